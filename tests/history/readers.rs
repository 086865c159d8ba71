//! Clients that read.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use fastrand::Rng;
use futures_util::FutureExt;
use tokio::time::{sleep, timeout};
use tower_response_cache::DataKey;

use crate::checker::{Read, Seen, Via};
use crate::fleet::{Fleet, request};
use crate::source::{End, Injected, Key, LIST, NEWS, PRICES, Plan, TARGETS, TENANTS, body_of};
use crate::traffic::{Traffic, ask};

/// Nobody may wait longer than this: the limits of the configuration add up to less than 5 s.
const PATIENCE: Duration = Duration::from_secs(12);

/// Reads until it is aborted.
pub async fn reader(fleet: Fleet, traffic: Traffic, mut rng: Rng) {
    loop {
        let instance = rng.usize(..fleet.instances.len());
        let key = random_key(&mut rng);
        let plan = read_plan(&mut rng, key, traffic.trouble);
        let stay =
            (traffic.trouble && rng.u8(..) < 30).then(|| Duration::from_micros(rng.u64(..20_000)));
        if rng.u8(..4) == 0
            && let Some(name) = data_key(key)
        {
            value(&fleet, instance, key, name, plan, stay).await;
        } else {
            let method = if rng.u8(..20) == 0 { Method::HEAD } else { Method::GET };
            read(&fleet, instance, method, key, plan, stay).await;
        }
        sleep(Duration::from_micros(rng.u64(..3000))).await;
    }
}

/// One read, noted. A client with a limited stay leaves at its end, wherever it is then.
pub async fn read(
    fleet: &Fleet,
    instance: usize,
    method: Method,
    key: Key,
    plan: Plan,
    stay: Option<Duration>,
) -> Seen {
    let router = fleet.instances[instance].router.clone();
    let begin = fleet.history.now();
    let head = method == Method::HEAD;
    let sent = request(method, key.tenant, key.target, plan);
    let answer = AssertUnwindSafe(ask(router, sent)).catch_unwind();
    let seen = match timeout(stay.unwrap_or(PATIENCE), answer).await {
        Err(_) if stay.is_some() => Seen::Left,
        Err(_) => Seen::Hung,
        Ok(answer) => judge(key, head, plan, answer),
    };
    let end = fleet.history.now();
    fleet.history.read(Read { instance, key, begin, end, seen: seen.clone() });
    seen
}

/// What the value is called that every write of this key reaches too, if there is such a name; a value
/// is never stale.
fn data_key(key: Key) -> Option<DataKey> {
    match key.target {
        // Some writes reach the list by its path and some by its text.
        LIST | NEWS | PRICES => None,
        path => {
            let user = path.split('/').nth(2)?;
            Some(DataKey::from(path).tag(format!("user:{user}")))
        }
    }
}

/// The same read of a value of the typed data cache.
async fn value(
    fleet: &Fleet,
    instance: usize,
    key: Key,
    name: DataKey,
    plan: Plan,
    stay: Option<Duration>,
) {
    let tenant = fleet.instances[instance].cache.tenant(key.tenant).unwrap();
    let begin = fleet.history.now();
    let fetched = AtomicBool::new(false);
    let fetch = async || {
        fetched.store(true, Ordering::Relaxed);
        let version = fleet.source.version(key);
        sleep(plan.first).await;
        match plan.end {
            End::Answer => Ok((format!("{key:?}"), version)),
            End::Fail => Err(()),
            End::Panic => std::panic::panic_any(Injected),
        }
    };
    let asked = tenant.get_or_fetch::<(String, u64), ()>(name, Duration::from_secs(60), fetch);
    let answer = AssertUnwindSafe(asked).catch_unwind();
    let seen = match timeout(stay.unwrap_or(PATIENCE), answer).await {
        Err(_) if stay.is_some() => Seen::Left,
        Err(_) => Seen::Hung,
        Ok(Err(panic)) if panic.is::<Injected>() && plan.end == End::Panic => Seen::Failed,
        Ok(Err(_)) => Seen::Wrong("another's panic".to_owned()),
        Ok(Ok(Err(()))) if plan.end == End::Fail => Seen::Failed,
        Ok(Ok(Err(()))) => Seen::Wrong("another's error".to_owned()),
        Ok(Ok(Ok((of, _)))) if of != format!("{key:?}") => {
            Seen::Wrong(format!("the value of {of}"))
        }
        Ok(Ok(Ok((_, version)))) => {
            let via = if fetched.load(Ordering::Relaxed) { Via::Miss } else { Via::Hit };
            Seen::Version(version, via)
        }
    };
    let end = fleet.history.now();
    fleet.history.read(Read { instance, key, begin, end, seen });
}

type Answer = Result<(StatusCode, HeaderMap, Result<Bytes, axum::Error>), Box<dyn Any + Send>>;

fn judge(key: Key, head: bool, plan: Plan, answer: Answer) -> Seen {
    // A failure is nobody's but the client's whose own handler failed.
    let (status, headers, body) = match answer {
        Err(panic) if panic.is::<Injected>() && plan.end == End::Panic => return Seen::Failed,
        Err(panic) if panic.is::<Injected>() => {
            return Seen::Wrong("another's panic".to_owned());
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            return Seen::Wrong(format!("a panic: {text:?}"));
        }
        Ok(answer) => answer,
    };
    let Ok(body) = body else { return Seen::Wrong("the body broke off".to_owned()) };
    let is_failure =
        status == StatusCode::INTERNAL_SERVER_ERROR && headers.contains_key("x-handler");
    if is_failure && plan.end == End::Fail {
        return Seen::Failed;
    }
    if status != StatusCode::OK {
        return Seen::Wrong(format!("status {status}"));
    }
    let version = headers.get("x-version").and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(version) = version else { return Seen::Wrong("no version".to_owned()) };
    let is_its_own = if head { body.is_empty() } else { body == body_of(key, version) };
    if !is_its_own {
        return Seen::Wrong(format!("the answer to {key:?} of version {version} is {body:?}"));
    }
    let told = headers.get("cache-status").map_or("", |value| value.to_str().unwrap());
    let via = if told.contains("; hit") {
        Via::Hit
    } else if told.contains("; collapsed") {
        Via::Collapsed
    } else if told.contains("fwd=bypass") {
        Via::Bypass
    } else if told.contains("fwd=miss") || told.contains("fwd=stale") {
        Via::Miss
    } else {
        return Seen::Wrong(format!("Cache-Status {told:?}"));
    };
    Seen::Version(version, via)
}

fn random_key(rng: &mut Rng) -> Key {
    Key { tenant: TENANTS[rng.usize(..TENANTS.len())], target: TARGETS[rng.usize(..TARGETS.len())] }
}

fn read_plan(rng: &mut Rng, key: Key, trouble: bool) -> Plan {
    let first = Duration::from_micros(rng.u64(..20_000));
    let second = if rng.u8(..4) == 0 { rng.u64(..8000) } else { 0 };
    let failures = if key.target == PRICES { 100 } else { 6 };
    let end = match rng.u8(..) {
        _ if !trouble => End::Answer,
        at if at < failures => End::Fail,
        at if at < failures + 4 => End::Panic,
        _ => End::Answer,
    };
    Plan { first, second: Duration::from_micros(second), end }
}
