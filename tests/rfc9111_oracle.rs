//! The rules of RFC 9111 in `protocol`, held against those of another implementation of them.
//!
//! Where the two are known to differ, the line that leaves the case out says why.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tower_response_cache::protocol::freshness::{
    Lifetime, MAX_HEURISTIC, ResponseHead, corrected_initial_age, freshness_lifetime,
};
use tower_response_cache::protocol::permission::storable_rfc9111;
use tower_response_cache::protocol::serve::{Serve, StoredFreshness, may_serve, request_control};
use tower_response_cache::protocol::{CacheControl, Extent, Uncacheable, age};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const RECEIVED: u64 = 784_111_777_000;

#[derive(Clone, Debug)]
struct Case {
    method: Method,
    first: HeaderMap,
    status: StatusCode,
    response: HeaderMap,
    /// Milliseconds in the cache.
    resident: u64,
    second: HeaderMap,
}

const DIRECTIVES: [&str; 18] = [
    "no-store",
    "no-cache",
    "no-cache=\"x-a\"",
    "private",
    "private=\"x-a\"",
    "public",
    "max-age=60",
    "max-age=\"60\"",
    "max-age=0",
    "max-age=soon",
    "max-age",
    "s-maxage=30",
    "s-maxage=0",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "no-transform",
    "x-unknown=1",
];

const ASKED: [&str; 9] = [
    "no-cache",
    "no-store",
    "max-age=20",
    "max-age=90",
    "min-fresh=10",
    "max-stale",
    "max-stale=20",
    "only-if-cached",
    "no-transform",
];

fn headers(fields: Vec<(&'static str, Option<String>)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_str(&value).unwrap());
        }
    }
    headers
}

fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(select(values).prop_map(str::to_owned))
}

fn directives(all: &'static [&'static str], most: usize) -> impl Strategy<Value = Option<String>> {
    let some = subsequence(all, 0..=most).prop_shuffle().prop_map(|some| some.join(", "));
    proptest::option::of(some)
}

fn case() -> impl Strategy<Value = Case> {
    let response = (
        directives(&DIRECTIVES, 3),
        maybe(&[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sat, 05 Nov 1994 08:49:37 GMT",
            "0",
            "never",
        ]),
        maybe(&[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:40:00 GMT",
            "Sat, 05 Nov 1994 08:49:37 GMT",
            "Thu, 06 Oct 1994 08:49:37 GMT",
            "Fri, 06 Nov 1970 08:49:37 GMT",
            "yesterday",
        ]),
        maybe(&["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:27 GMT", "today"]),
        maybe(&["0", "5", "40", "x"]),
        proptest::option::weighted(0.1, Just("a=b".to_owned())),
        maybe(&["accept", "accept, origin", "accept, *", "*"]),
    );
    let statuses = [
        101, 200, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 404, 405, 410, 414, 416,
        500, 501, 503,
    ];
    let others = vec![Method::HEAD, Method::POST, Method::PUT];
    (
        prop_oneof![3 => Just(Method::GET), 1 => select(others)],
        (maybe(&["Basic x"]), directives(&ASKED, 2)),
        prop_oneof![Just(200), select(statuses.to_vec())],
        response,
        0_u64..120_000,
        (directives(&ASKED, 2), maybe(&["no-cache"])),
    )
        .prop_map(|(method, (authorization, asked), status, response, resident, second)| {
            let (control, expires, modified, date, age, cookie, vary) = response;
            Case {
                method,
                first: headers(vec![("authorization", authorization), ("cache-control", asked)]),
                status: StatusCode::from_u16(status).unwrap(),
                response: headers(vec![
                    ("cache-control", control),
                    ("expires", expires),
                    ("last-modified", modified),
                    ("date", date),
                    ("age", age),
                    ("set-cookie", cookie),
                    ("vary", vary),
                ]),
                resident,
                second: headers(vec![("cache-control", second.0), ("pragma", second.1)]),
            }
        })
}

impl Case {
    fn request(&self, headers: &HeaderMap) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = "http://h/".parse().unwrap();
        *request.headers_mut() = headers.clone();
        request
    }

    fn theirs(&self) -> CachePolicy {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.response.clone();
        // It takes `immutable` for a lifetime, which RFC 8246 does not say.
        let options =
            CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
        let received = UNIX_EPOCH + Duration::from_millis(RECEIVED);
        CachePolicy::new_options(&self.request(&self.first), &response, received, options)
    }

    fn refusal(&self, control: &CacheControl) -> Option<Uncacheable> {
        let request = request_control(&self.first);
        storable_rfc9111(&self.method, &self.first, &request, &self.head(control), u64::MAX)
    }

    fn head<'a>(&'a self, control: &'a CacheControl) -> ResponseHead<'a> {
        let (status, headers) = (self.status, &self.response);
        ResponseHead { status, headers, control, targeted: false, received_at: RECEIVED }
    }

    /// Whether a directive stands there twice with two values. It takes that for
    /// `must-revalidate`, and with it for a permission; the rules here take the smallest.
    fn conflicts(&self) -> bool {
        let twice = |headers: &HeaderMap, name: &str| {
            let text = headers.get("cache-control").map_or("", |value| value.to_str().unwrap());
            let named = text.split(", ").filter(|one| one.split('=').next() == Some(name));
            named.count() > 1
        };
        let names = ["max-age", "s-maxage", "no-cache", "private", "max-stale"];
        names.iter().any(|name| twice(&self.response, name) || twice(&self.second, name))
    }
}

fn storing(case: &Case) -> Result<bool, TestCaseError> {
    let control = CacheControl::from_headers(&case.response);
    let ours = case.refusal(&control);
    let theirs = case.theirs().is_storable();
    if case.conflicts() {
        return Ok(false);
    }
    match ours {
        // It stores them, but never for any time; or with `public`, which P5 does not allow.
        Some(Uncacheable::SetCookie | Uncacheable::VaryStar) => return Ok(false),
        // It stores what is explicitly fresh; RFC 9110 9.3.3 asks for a Content-Location too.
        Some(Uncacheable::Method) if case.method == Method::POST => return Ok(false),
        // It does not know `must-understand`.
        _ if control.must_understand => return Ok(false),
        // It stores nothing that is private in part.
        None if matches!(control.private, Some(Extent::Fields(_))) => return Ok(false),
        // It stores only statuses of a list; RFC 9111 3 asks for that with `must-understand` alone.
        None if matches!(case.status.as_u16(), 400 | 500 | 503) => return Ok(false),
        _ => {}
    }
    prop_assert_eq!(ours.is_none(), theirs, "{:?} {:?}", ours, case);
    Ok(theirs)
}

fn serving(case: &Case) -> Result<bool, TestCaseError> {
    let control = CacheControl::from_headers(&case.response);
    // What is not to be stored is never looked at again.
    if case.refusal(&control).is_some() || !case.theirs().is_storable() || case.conflicts() {
        return Ok(false);
    }
    // It takes these for stale from the beginning; RFC 9111 5.2.2.8 only once they are stale.
    if control.proxy_revalidate {
        return Ok(false);
    }
    // It takes `no-cache` with fields for one without; here these fields are not stored.
    if matches!(control.no_cache, Some(Extent::Fields(_))) {
        return Ok(false);
    }
    // It passes over a `max-age` without a value, which is malformed.
    let text = case.response.get("cache-control").map_or("", |value| value.to_str().unwrap());
    if text.split(", ").any(|one| one == "max-age") {
        return Ok(false);
    }
    let lifetime = freshness_lifetime(&case.head(&control));
    // It guesses without a limit.
    if lifetime == Lifetime::Heuristic(MAX_HEURISTIC) {
        return Ok(false);
    }
    let initial = corrected_initial_age(&case.response, RECEIVED, RECEIVED);
    // It does not look at the apparent age (RFC 9111 4.2.3).
    if initial != tower_response_cache::protocol::initial_age(&case.response) {
        return Ok(false);
    }
    let now = RECEIVED + case.resident;
    let stored = StoredFreshness {
        control: &control,
        lifetime: lifetime.seconds(),
        age: age(RECEIVED, initial, now),
    };
    let theirs = case.theirs();
    let theirs_now = UNIX_EPOCH + Duration::from_millis(now);
    let fresh = may_serve(&CacheControl::default(), &stored) == Serve::Fresh;
    prop_assert_eq!(fresh, !theirs.is_stale(theirs_now), "{:?} {:?}", lifetime, case);
    if control.no_cache.is_none() {
        let left = u64::from(stored.lifetime.saturating_sub(stored.age));
        // Ages are whole seconds here (RFC 9111 1.2.2), and whole seconds and less there.
        let theirs = theirs.time_to_live(theirs_now).as_millis().div_ceil(1000);
        prop_assert_eq!(u128::from(left), theirs, "{:?}", case);
    }

    let request = request_control(&case.second);
    // It obeys `Pragma` beside `Cache-Control` too, which RFC 9111 5.4 does not.
    if case.second.contains_key("pragma") && case.second.contains_key("cache-control") {
        return Ok(true);
    }
    // It serves stale for `max-stale` against `s-maxage` and `no-cache` (RFC 9111 4.2.4).
    let forbidden = control.s_maxage.is_some() || control.no_cache.is_some();
    if request.max_stale.is_some() && forbidden {
        return Ok(true);
    }
    // Parts of seconds, as above, decide at the limits of the request.
    if !case.resident.is_multiple_of(1000)
        && (request.max_age.is_some() || request.min_fresh.is_some())
    {
        return Ok(true);
    }
    let ours = may_serve(&request, &stored);
    let theirs = theirs.before_request(&case.request(&case.second), theirs_now);
    let theirs = matches!(theirs, BeforeRequest::Fresh(_));
    prop_assert_eq!(matches!(ours, Serve::Fresh | Serve::Stale), theirs, "{:?} {:?}", ours, case);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn storing_is_the_same(case in case()) {
        storing(&case)?;
    }

    #[test]
    fn serving_is_the_same(mut case in case(), whole: bool) {
        if whole {
            case.resident -= case.resident % 1000;
        }
        serving(&case)?;
    }
}

/// What is left out must not be everything.
#[test]
fn enough_is_compared() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut stored, mut served) = (0, 0);
    for _ in 0..2000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        stored += u32::from(storing(&case).unwrap());
        served += u32::from(serving(&case).unwrap());
    }
    assert!(stored > 200 && served > 100, "{stored} stored, {served} served");
}
