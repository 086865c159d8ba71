//! Fields that are no structured ones: Cache-Control, ranges, entity tags, dates, Vary.

use http::header::{
    CACHE_CONTROL, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tower_response_cache::protocol::conditional::{Precondition, evaluate};
use tower_response_cache::protocol::freshness::{ResponseHead, freshness_lifetime};
use tower_response_cache::protocol::range::{RangeAnswer, apply};
use tower_response_cache::protocol::vary::{Normalise, Vary, secondary_key, selecting};
use tower_response_cache::protocol::{CacheControl, MAX_SECONDS, http_date, initial_age};

use crate::runner::fuzz;

/// Each line of the input as a line of the field; what no value may hold becomes a space.
pub fn lines(bytes: &[u8]) -> Vec<HeaderValue> {
    let line = |line: &[u8]| {
        let allowed = |byte: &u8| *byte == b'\t' || *byte >= 0x20 && *byte != 0x7f;
        let line: Vec<u8> =
            line.iter().map(|byte| if allowed(byte) { *byte } else { b' ' }).collect();
        HeaderValue::from_bytes(&line).unwrap()
    };
    bytes.split(|byte| *byte == b'\n').map(line).collect()
}

pub fn headers(name: &HeaderName, values: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.clone());
    }
    headers
}

fn one(name: &HeaderName, value: &HeaderValue) -> HeaderMap {
    headers(name, std::slice::from_ref(value))
}

/// No line hides what another one says, and their order does not matter.
#[test]
fn cache_control_restricts_as_much_as_any_of_its_lines() {
    fuzz("cache_control", |bytes| {
        let lines = lines(bytes);
        let parse =
            |lines: &[HeaderValue]| CacheControl::from_headers(&headers(&CACHE_CONTROL, lines));
        let all = parse(&lines);
        let each: Vec<_> = lines.iter().map(|line| parse(std::slice::from_ref(line))).collect();
        let any = |said: fn(&CacheControl) -> bool| each.iter().any(said);
        let least = |said: fn(&CacheControl) -> Option<u32>| each.iter().filter_map(said).min();
        assert_eq!(all.no_store, any(|one| one.no_store));
        assert_eq!(all.no_cache.is_some(), any(|one| one.no_cache.is_some()));
        assert_eq!(all.private.is_some(), any(|one| one.private.is_some()));
        assert_eq!(all.must_revalidate, any(|one| one.must_revalidate));
        assert_eq!(all.proxy_revalidate, any(|one| one.proxy_revalidate));
        assert_eq!(all.max_age, least(|one| one.max_age));
        assert_eq!(all.s_maxage, least(|one| one.s_maxage));
        assert_eq!(all.stale_if_error, least(|one| one.stale_if_error));
        assert_eq!(all.stale_while_revalidate, least(|one| one.stale_while_revalidate));
        assert_eq!(all.min_fresh, each.iter().filter_map(|one| one.min_fresh).max());
        assert!(all.shared_max_age().is_none_or(|seconds| seconds <= MAX_SECONDS));
        for line in &lines {
            // Whatever came before it.
            let mut longer = line.as_bytes().to_vec();
            longer.extend_from_slice(b", no-store");
            assert!(parse(&[HeaderValue::from_bytes(&longer).unwrap()]).no_store, "{line:?}");
            simple(line, &parse(std::slice::from_ref(line)));
        }
    });
}

/// Without quotes it is what anybody would make of it.
fn simple(line: &HeaderValue, found: &CacheControl) {
    let Ok(text) = line.to_str() else { return };
    if text.contains('"') {
        return;
    }
    let directives: Vec<_> = text.split(',').map(|part| part.trim_matches([' ', '\t'])).collect();
    let names =
        directives.iter().map(|part| part.split('=').next().unwrap().trim_end_matches([' ', '\t']));
    let has = |wanted: &str| names.clone().any(|name| name.eq_ignore_ascii_case(wanted));
    assert_eq!(found.no_store, has("no-store"), "{text}");
    assert_eq!(found.private.is_some(), has("private"), "{text}");
    assert_eq!(found.max_age.is_some(), has("max-age"), "{text}");
    let public = directives.iter().any(|part| part.eq_ignore_ascii_case("public"));
    assert_eq!(found.public, public, "{text}");
    let ages = directives.iter().filter(|part| part.to_ascii_lowercase().starts_with("max-age"));
    if let [age] = ages.collect::<Vec<_>>()[..]
        && let Some(digits) = age.get(8..)
        && age.as_bytes()[7] == b'='
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        let seconds = digits.parse::<u64>().unwrap_or(u64::MAX).min(MAX_SECONDS.into());
        assert_eq!(found.max_age.map(u64::from), Some(seconds), "{text}");
    }
}

/// One range, as whole numbers of any size.
fn naive_range(text: &str, length: u64) -> Option<RangeAnswer> {
    let (unit, set) = text.split_once('=')?;
    let blank = [' ', '\t'];
    if !unit.trim_matches(blank).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs =
        set.split(',').map(|spec| spec.trim_matches(blank)).filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else { return None };
    let (first, last) = spec.split_once('-')?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u128>().unwrap_or(u128::MAX).min(u64::MAX.into()))
    };
    let length = u128::from(length);
    let (start, end) = match (first, last) {
        ("", count) => match number(count)? {
            0 => return Some(RangeAnswer::Unsatisfiable),
            _ if length == 0 => return None,
            count => (length.saturating_sub(count), length - 1),
        },
        (start, "") => (number(start)?, u128::MAX),
        (start, end) => (number(start)?, number(end)?),
    };
    if end < start {
        return None;
    }
    if start >= length {
        return Some(RangeAnswer::Unsatisfiable);
    }
    let end = end.min(length - 1);
    Some(RangeAnswer::Part {
        start: u64::try_from(start).unwrap(),
        end: u64::try_from(end).unwrap(),
    })
}

#[test]
fn a_range_is_within_the_body_or_is_none() {
    fuzz("range", |bytes| {
        let lines = lines(bytes);
        let asked = headers(&RANGE, &lines);
        for length in [0, 1, 10, 500, u64::MAX] {
            let answer = apply(&Method::GET, &asked, StatusCode::OK, &HeaderMap::new(), length);
            if let RangeAnswer::Part { start, end } = answer {
                assert!(start <= end && end < length, "{answer:?} of {length}");
            }
            let expected = match &lines[..] {
                [line] => line.to_str().ok().and_then(|text| naive_range(text, length)),
                _ => None,
            };
            assert_eq!(answer, expected.unwrap_or(RangeAnswer::Whole), "{lines:?} of {length}");
        }
    });
}

/// Every tag of a list of tags, or nothing if it is no such list. A state for each byte.
fn naive_tags(lines: &[HeaderValue]) -> Option<Vec<Vec<u8>>> {
    #[derive(PartialEq)]
    enum State {
        Before,
        Weak,
        Inside,
        After,
    }
    let mut tags = Vec::new();
    let mut stars = 0;
    for line in lines {
        let mut state = State::Before;
        let mut tag = Vec::new();
        for byte in line.as_bytes() {
            state = match (state, *byte) {
                (State::Before, b' ' | b'\t' | b',') | (State::After, b',') => State::Before,
                (State::Before, b'"') => State::Inside,
                (State::Before, b'W') => State::Weak,
                (State::Before, b'*') => {
                    stars += 1;
                    State::After
                }
                (State::Weak, b'/') if tag.is_empty() => {
                    tag.push(b'/');
                    State::Weak
                }
                (State::Weak, b'"') if !tag.is_empty() => {
                    tag.clear();
                    State::Inside
                }
                (State::Inside, b'"') => {
                    tags.push(std::mem::take(&mut tag));
                    State::After
                }
                (State::Inside, 0x21..=0x7e | 0x80..) => {
                    tag.push(*byte);
                    State::Inside
                }
                (State::After, b' ' | b'\t') => State::After,
                _ => return None,
            };
        }
        if matches!(state, State::Weak | State::Inside) {
            return None;
        }
    }
    match stars {
        0 => Some(tags),
        1 if tags.is_empty() => Some(vec![b"a".to_vec(), b"b,c".to_vec()]),
        _ => None,
    }
}

#[test]
fn a_list_of_tags_names_what_it_says() {
    fuzz("etag", |bytes| {
        let lines = lines(bytes);
        let asked = headers(&IF_NONE_MATCH, &lines);
        for tag in ["a", "b,c"] {
            for stored in [format!("\"{tag}\""), format!("W/\"{tag}\"")] {
                let stored = one(&ETAG, &HeaderValue::try_from(stored).unwrap());
                let found = evaluate(&Method::GET, &asked, StatusCode::OK, &stored);
                let named = naive_tags(&lines)
                    .is_some_and(|tags| tags.iter().any(|one| one == tag.as_bytes()));
                let expected = if named { Precondition::NotModified } else { Precondition::Pass };
                assert_eq!(found, expected, "{lines:?} of {tag}");
            }
        }
        // Whatever the stored one is.
        let own = headers(&ETAG, &lines);
        let _ = evaluate(&Method::GET, &one(&IF_NONE_MATCH, &lines[0]), StatusCode::OK, &own);
    });
}

#[test]
fn a_date_is_a_moment_or_none() {
    fuzz("date", |bytes| {
        let lines = lines(bytes);
        let mut head = headers(&EXPIRES, &lines);
        head.insert(DATE, http_date(784_111_777));
        let control = CacheControl::default();
        let lifetime = |headers: &HeaderMap, received_at| {
            let status = StatusCode::OK;
            let head =
                ResponseHead { status, headers, control: &control, targeted: false, received_at };
            freshness_lifetime(&head).seconds()
        };
        let seconds = lifetime(&head, 0);
        assert!(seconds <= MAX_SECONDS);
        let date = |line: &HeaderValue| {
            let date =
                httpdate::parse_http_date(line.to_str().ok()?.trim_matches([' ', '\t'])).ok()?;
            Some(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
        };
        let earliest = lines.iter().map(|line| date(line).unwrap_or(0)).min().unwrap();
        let expected = earliest.saturating_sub(784_111_777).min(MAX_SECONDS.into());
        assert_eq!(u64::from(seconds), expected, "{lines:?}");
        for line in &lines {
            for name in [DATE, LAST_MODIFIED] {
                let mut stored = one(&name, line);
                assert!(lifetime(&stored, u64::MAX) <= MAX_SECONDS);
                stored.insert(EXPIRES, http_date(u64::MAX));
                assert!(lifetime(&stored, 0) <= MAX_SECONDS);
            }
            let changed = one(&LAST_MODIFIED, &http_date(784_111_777));
            let since =
                evaluate(&Method::GET, &one(&IF_MODIFIED_SINCE, line), StatusCode::OK, &changed);
            let unchanged = date(line).is_some_and(|date| date >= 784_111_777);
            assert_eq!(since == Precondition::NotModified, unchanged, "{line:?}");
            assert!(initial_age(&one(&http::header::AGE, line)) <= MAX_SECONDS);
        }
    });
}

#[test]
fn what_a_response_varies_by_is_in_its_key() {
    fuzz("vary", |bytes| {
        let lines = lines(bytes);
        let mut names = Vec::new();
        let mut star = false;
        for line in &lines {
            for member in line.as_bytes().split(|byte| *byte == b',') {
                let member = member.trim_ascii();
                match HeaderName::from_bytes(member) {
                    _ if member.is_empty() => {}
                    Ok(name) if member != b"*" => names.push(name),
                    _ => star = true,
                }
            }
        }
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        let expected = match (star, names.is_empty()) {
            (true, _) => Vary::Star,
            (false, true) => Vary::None,
            (false, false) => Vary::Fields(names),
        };
        assert_eq!(selecting(&headers(&VARY, &lines)), expected, "{lines:?}");
        told_apart(&lines[..lines.len().min(8)]);
    });
}

/// What is told apart by its bytes is told apart in a key; what is normalised stays so.
fn told_apart(values: &[HeaderValue]) {
    let [own, accept] = ["x-own", "accept-language"].map(HeaderName::from_static);
    let normalise = Normalise { accept_encoding: true, accept_language: true };
    for one_value in values {
        for other in values {
            let key =
                |value| secondary_key(&[own.clone(), accept.clone()], &one(&own, value), normalise);
            let trimmed = |value: &HeaderValue| {
                let text = value.as_bytes();
                let start =
                    text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len());
                let end =
                    text.iter().rposition(|byte| !b" \t".contains(byte)).map_or(start, |at| at + 1);
                text[start..end].to_vec()
            };
            assert_eq!(key(one_value) == key(other), trimmed(one_value) == trimmed(other));
        }
        let key = secondary_key(std::slice::from_ref(&accept), &one(&accept, one_value), normalise);
        assert!(key.bytes().all(|byte| matches!(byte, 0x21..=0x7e)), "{key}");
    }
}
