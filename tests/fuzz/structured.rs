//! Structured fields: targeted fields, groups, No-Vary-Search.

use http::{HeaderName, HeaderValue, Method};
use tower_response_cache::protocol::groups::{
    MAX_GROUP, MAX_GROUPS, cache_groups, invalidated_groups,
};
use tower_response_cache::protocol::no_vary_search::{
    Ignored, MAX_NAMES, MAX_PARAMETERS, search_variance,
};
use tower_response_cache::protocol::{MAX_SECONDS, targeted};

use crate::fields::{headers, lines};
use crate::runner::fuzz;

/// All of a field's lines are one value, whoever has split it where.
fn joined(lines: &[HeaderValue]) -> HeaderValue {
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&lines.join(&b", "[..])).unwrap()
}

#[test]
fn structured_fields_are_within_their_bounds_or_say_nothing() {
    fuzz("structured", |bytes| {
        let lines = lines(bytes);
        let whole = [joined(&lines)];
        targeted_field(&lines, &whole);
        groups(&lines, &whole);
        no_vary_search(&lines, &whole);
    });
}

fn targeted_field(lines: &[HeaderValue], whole: &[HeaderValue]) {
    let name = HeaderName::from_static("cdn-cache-control");
    let names = std::slice::from_ref(&name);
    let found = targeted::select(&headers(&name, lines), names);
    assert_eq!(found, targeted::select(&headers(&name, whole), names));
    let Some(found) = found else { return };
    let times = [found.max_age, found.s_maxage, found.stale_if_error, found.stale_while_revalidate];
    assert!(times.into_iter().flatten().all(|seconds| seconds <= MAX_SECONDS), "{found:?}");
    // Of one given twice the last counts, so that what is added counts whatever was there.
    let mut more = whole[0].as_bytes().to_vec();
    more.extend_from_slice(b", max-age=7, no-store");
    let more = targeted::select(&headers(&name, &[HeaderValue::from_bytes(&more).unwrap()]), names);
    let more = more.expect("it is still a dictionary");
    assert!(more.no_store && more.max_age == Some(7), "{more:?}");
}

fn groups(lines: &[HeaderValue], whole: &[HeaderValue]) {
    let name = HeaderName::from_static("cache-groups");
    let found = cache_groups(&headers(&name, lines));
    assert_eq!(found, cache_groups(&headers(&name, whole)));
    if let Ok(found) = found {
        assert!(found.len() <= MAX_GROUPS && found.iter().all(|group| group.len() <= MAX_GROUP));
        assert!(found.is_sorted_by(|one, other| one < other));
        let name = HeaderName::from_static("cache-group-invalidation");
        assert_eq!(invalidated_groups(&Method::POST, &headers(&name, lines)), found);
    }
}

fn no_vary_search(lines: &[HeaderValue], whole: &[HeaderValue]) {
    let name = HeaderName::from_static("no-vary-search");
    let found = search_variance(&headers(&name, lines));
    assert_eq!(found, search_variance(&headers(&name, whole)));
    let Some(found) = found else { return };
    let (Ignored::Listed(names) | Ignored::AllBut(names)) = &found.ignored else {
        panic!("another kind: {found:?}");
    };
    assert!(names.len() <= MAX_PARAMETERS);
    assert!(names.iter().map(String::len).sum::<usize>() <= MAX_NAMES);
    assert!(names.is_sorted_by(|one, other| one < other));
    let says_something = found.any_order || found.ignored != Ignored::Listed(Vec::new());
    assert!(says_something, "{found:?}");
}
