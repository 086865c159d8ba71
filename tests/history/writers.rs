//! Clients that write, through the layer and from code.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use fastrand::Rng;
use futures_util::FutureExt;
use tokio::time::{sleep, timeout};
use tower_response_cache::{InvalidateError, Scope};

use crate::checker::{Kind, Write};
use crate::fleet::{Fleet, request};
use crate::source::{End, Key, LIST, NEWS, PRICES, Plan, TARGETS, TENANTS, all_keys, order};
use crate::traffic::{Traffic, Writes, ask};

/// Writes until it is aborted.
pub async fn writer(fleet: Fleet, traffic: Traffic, mut rng: Rng) {
    loop {
        let instance = rng.usize(..fleet.instances.len());
        let tenant = TENANTS[rng.usize(..TENANTS.len())];
        let stay =
            (traffic.trouble && rng.u8(..) < 40).then(|| Duration::from_micros(rng.u64(..12_000)));
        let by_request = match traffic.writes {
            Writes::Every | Writes::Tags => rng.bool(),
            Writes::Patterns | Writes::Paths => false,
        };
        if by_request {
            let plan = write_plan(&mut rng, traffic.trouble);
            let call = if traffic.writes == Writes::Tags { 4 } else { rng.u8(..16) };
            let write = by_layer(&fleet, instance, tenant, call, &mut rng, plan);
            leave_after(stay, AssertUnwindSafe(write).catch_unwind()).await;
        } else {
            let call = match traffic.writes {
                Writes::Every => rng.u8(..8),
                Writes::Patterns => 6,
                Writes::Paths => 0,
                Writes::Tags => 3,
            };
            by_code(&fleet, instance, tenant, call, &mut rng, stay).await;
        }
        sleep(Duration::from_micros(rng.u64(..12_000))).await;
    }
}

async fn leave_after<T>(stay: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match stay {
        None => Some(work.await),
        Some(stay) => timeout(stay, work).await.ok(),
    }
}

/// A mutating request; its answer is the confirmation.
async fn by_layer(
    fleet: &Fleet,
    instance: usize,
    tenant: &'static str,
    call: u8,
    rng: &mut Rng,
    plan: Plan,
) {
    let user = if rng.bool() { "1" } else { "2" };
    let of_user = keys_where(tenant, |target| in_subtree(target, user));
    let (how, target, keys) = match call {
        0..4 => {
            let keys = keys_where(tenant, |target| in_subtree(target, user) || target == LIST);
            ("PUT /users/{id}", format!("/users/{user}"), keys)
        }
        4..7 => ("PUT fenced", format!("/users/{user}/fenced"), of_user),
        7..9 => ("PUT held", format!("/users/{user}/held"), of_user),
        9 => ("PUT /plans", "/plans".to_owned(), all_keys().collect()),
        10..12 => ("PUT hard news", "/news/1/hard".to_owned(), vec![Key { tenant, target: NEWS }]),
        12..14 => ("PUT soft news", "/news/1/soft".to_owned(), vec![Key { tenant, target: NEWS }]),
        _ => ("PUT prices", PRICES.to_owned(), vec![Key { tenant, target: PRICES }]),
    };
    let mut sent = request(Method::PUT, tenant, &target, plan);
    let ticket = rng.u64(..);
    sent.headers_mut().insert("x-order", order(ticket, &keys).parse().unwrap());
    let router = fleet.instances[instance].router.clone();
    let (status, headers, _) = ask(router, sent).await;
    let told = fleet.history.now();
    // Of a soft rule, which doesn't ask for confirmation, nothing is known.
    let Some(version) = fleet.source.redeem(ticket).filter(|_| how != "PUT soft news") else {
        return;
    };
    let kind = if headers.contains_key("x-handler") {
        Kind::Hard
    } else {
        // The layer answers by itself only if it could not confirm.
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{how}");
        Kind::Unconfirmed(instance)
    };
    fleet.history.write(Write { keys, version, told, kind, how });
}

/// A commit, and an invalidation by a call.
async fn by_code(
    fleet: &Fleet,
    instance: usize,
    tenant: &'static str,
    call: u8,
    rng: &mut Rng,
    stay: Option<Duration>,
) {
    let user = if rng.bool() { "1" } else { "2" };
    let path = format!("/users/{user}");
    let cache = fleet.instances[instance].cache.tenant(tenant).unwrap();
    let in_path = |target: &str| in_subtree(target, user);
    let (how, keys) = match call {
        0 => ("path", keys_where(tenant, |target| target == path)),
        1 => ("subtree", keys_where(tenant, in_path)),
        2 => ("pattern", keys_where(tenant, |target| target == LIST)),
        3 => ("tag", keys_where(tenant, in_path)),
        4 => ("set", keys_where(tenant, |target| in_path(target) || target == LIST)),
        5 => ("tenant", keys_where(tenant, |_| true)),
        6 => ("delete_pattern", keys_where(tenant, in_path)),
        _ => ("soften", keys_where(tenant, |target| target == NEWS)),
    };
    let id = [("id", user)];
    let glob = format!("{path}*");
    // What stops midway is for its caller to call again.
    let debt = (call == 6).then(|| Debt { fleet, tenant, glob: Some(glob.clone()) });
    let version = fleet.source.commit(&keys);
    let done = match call {
        0 => leave_after(stay, cache.invalidate(&Scope::path(&path))).await,
        1 => leave_after(stay, cache.invalidate(&Scope::subtree(&path))).await,
        2 => leave_after(stay, cache.invalidate(&Scope::pattern("users:*"))).await,
        3 => {
            let scope = Scope::tag("user:{id}").with("id", user);
            leave_after(stay, cache.invalidate(&scope)).await
        }
        4 => leave_after(stay, cache.invalidate_set("user", &id)).await,
        5 => leave_after(stay, cache.invalidate_all()).await,
        6 => leave_after(stay, cache.delete_pattern(&glob).map(|done| done.map(drop))).await,
        _ => leave_after(stay, cache.soften(&Scope::path(NEWS))).await,
    };
    let told = fleet.history.now();
    let kind = match (done, call) {
        (Some(Ok(())), 7..) => Kind::Soft,
        (Some(Ok(())), _) => Kind::Hard,
        (Some(Err(_)), 6) | (None, _) => return,
        (Some(Err(InvalidateError::Store(_))), _) => Kind::Unconfirmed(instance),
        (Some(Err(error)), _) => panic!("{how}: {error}"),
    };
    if let Some(mut debt) = debt {
        debt.glob = None;
    }
    fleet.history.write(Write { keys, version, told, kind, how });
}

/// An ad-hoc deletion that is owed unless it ends, also when its client is aborted.
struct Debt<'a> {
    fleet: &'a Fleet,
    tenant: &'static str,
    glob: Option<String>,
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if let Some(glob) = self.glob.take() {
            self.fleet.owe(self.tenant, glob);
        }
    }
}

fn keys_where(tenant: &'static str, is_meant: impl Fn(&str) -> bool) -> Vec<Key> {
    let targets = TARGETS.into_iter().filter(|target| is_meant(target));
    targets.map(|target| Key { tenant, target }).collect()
}

fn in_subtree(target: &str, user: &str) -> bool {
    let rest = target.strip_prefix("/users/").and_then(|rest| rest.strip_prefix(user));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn write_plan(rng: &mut Rng, trouble: bool) -> Plan {
    let [first, second] = [rng.u64(..3000), rng.u64(..10_000)].map(Duration::from_micros);
    let end = match rng.u8(..) {
        _ if !trouble => End::Answer,
        0..20 => End::Fail,
        20..30 => End::Panic,
        _ => End::Answer,
    };
    Plan { first, second, end }
}
