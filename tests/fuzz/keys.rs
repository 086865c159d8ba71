//! Paths, queries, and what becomes of them in names.

use std::fmt::Write;

use tower_response_cache::key::{
    Keep, KeyTemplate, PathError, QueryError, QueryLimits, ScopeTemplate, encode, kept_pairs,
    normalize_path, normalize_path_lossy, normalize_query, normalize_value_lossy, template_value,
};

use crate::runner::fuzz;

/// What escapes stand for; `None` if one is none.
fn decoded(raw: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = raw.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &after[2..];
    }
    Some(bytes)
}

fn spelled(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}

/// A bare plus stands for itself.
fn spelled_part(raw: &str) -> Option<String> {
    let pieces: Option<Vec<_>> =
        raw.split('+').map(|piece| Some(spelled(&decoded(piece)?))).collect();
    Some(pieces?.join("+"))
}

fn naive_path(raw: &str) -> Result<String, PathError> {
    let mut segments = Vec::new();
    // The first thing that is wrong is what is told.
    for segment in raw.split('/') {
        let segment = spelled(&decoded(segment).ok_or(PathError::MalformedEscape)?);
        if segment == "." || segment == ".." {
            return Err(PathError::DotSegment);
        }
        segments.push(segment);
    }
    Ok(segments.join("/"))
}

/// In the order of names, and among pairs of one name in their own.
fn naive_query(raw: &str, kept: &[&str]) -> Option<String> {
    let mut pairs = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair, None),
        };
        let name = spelled_part(name)?;
        let value = value.map(spelled_part);
        let text = match value {
            None => name.clone(),
            Some(value) => format!("{name}={}", value?),
        };
        pairs.push((name, text));
    }
    pairs.retain(|(name, _)| kept.is_empty() || kept.contains(&&**name));
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some(pairs.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("&"))
}

#[test]
fn a_path_has_one_spelling_or_none() {
    fuzz("path", |bytes| {
        let raw = String::from_utf8_lossy(bytes);
        let mut out = String::from("before");
        let done = normalize_path(&raw, &mut out);
        let normal = out.strip_prefix("before").unwrap().to_owned();
        assert_eq!(done.map(|()| normal.clone()), naive_path(&raw));
        assert!(done.is_ok() || normal.is_empty());

        let mut lossy = String::new();
        normalize_path_lossy(&raw, &mut lossy);
        let mut again = String::new();
        if lossy.starts_with('/') {
            normalize_path_lossy(&lossy, &mut again);
            assert_eq!(again, lossy, "it is one spelling");
            let segments = || lossy.split('/');
            assert!(!segments().any(|segment| segment == "." || segment == ".."), "{lossy}");
        }
        if done.is_ok() {
            assert_eq!(lossy, normal, "reads and writes know one path by one name");
        }
        let (mut value, mut encoded) = (String::new(), String::new());
        normalize_value_lossy(&raw, &mut value);
        encode(raw.as_bytes(), &mut encoded);
        assert_eq!(
            decoded(&encoded).as_deref(),
            Some(raw.as_bytes()),
            "nothing else is spelled so"
        );
        for text in [&value, &encoded] {
            assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte))
            );
        }
        scopes_of(&normal, &encoded);
    });
}

/// What a value from a request is bound to is found for that value, and for no other.
fn scopes_of(path: &str, encoded: &str) {
    let template = ScopeTemplate::subtree("/users/{id}").unwrap();
    let mut bound = String::new();
    if template.bind_any(|_| Some(encoded), &mut bound).is_ok() {
        assert_eq!(bound, format!("subtree:/users/{encoded}"));
    }
    if let Some(captures) = template.bind_from_path(path) {
        let value = captures.value(0).unwrap();
        let rest = path.strip_prefix("/users/").unwrap();
        assert_eq!(rest.split('/').next(), Some(value));
    }
}

#[test]
fn a_query_has_one_spelling_or_none() {
    let names = ["a".to_owned(), "b".to_owned(), "user%20name".to_owned()];
    let wide = QueryLimits::new(usize::MAX, usize::MAX);
    fuzz("query", |bytes| {
        let raw = String::from_utf8_lossy(bytes);
        let query = |keep| {
            let mut out = String::from("/p?");
            let done = normalize_query(&raw, keep, wide, &mut out);
            done.map(|()| out.strip_prefix("/p?").unwrap().to_owned())
        };
        let all = query(Keep::All);
        assert_eq!(all, naive_query(&raw, &[]).ok_or(QueryError::MalformedEscape));
        let Ok(all) = all else {
            assert!(query(Keep::Named(&names)).is_err() && query(Keep::Except(&names)).is_err());
            return;
        };
        let mut again = String::new();
        normalize_query(&all, Keep::All, wide, &mut again).unwrap();
        assert_eq!(again, all);
        // All spellings of a name in which a plus may be a space.
        let spellings = ["a", "b", "user%20name", "user+name"];
        assert_eq!(query(Keep::Named(&names)).ok(), naive_query(&raw, &spellings));
        let (kept, rest) =
            (kept_pairs(&raw, Keep::Named(&names)), kept_pairs(&raw, Keep::Except(&names)));
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).count();
        assert_eq!(kept.unwrap().len() + rest.unwrap().len(), pairs, "each is kept by one of them");
        within_limits(&raw, pairs);
        let mut value = String::new();
        match template_value(&raw, "a", &mut value) {
            Ok(()) => assert!(
                value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%+,=".contains(&byte))
            ),
            Err(_) => assert!(value.is_empty()),
        }
    });
}

fn within_limits(raw: &str, pairs: usize) {
    for limits in [QueryLimits::default(), QueryLimits::new(2, 20)] {
        match limits.check(raw) {
            Ok(()) => assert!(raw.len() <= limits.bytes && pairs <= limits.pairs),
            Err(QueryError::TooLong) => assert!(raw.len() > limits.bytes),
            Err(QueryError::TooMany) => assert!(raw.matches('&').count() + 1 > limits.pairs),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_template_is_one_or_a_mistake() {
    fuzz("template", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let scopes = [
            ScopeTemplate::path(&text),
            ScopeTemplate::subtree(&text),
            ScopeTemplate::pattern(&text),
            ScopeTemplate::tag(&text),
        ];
        for template in scopes.into_iter().flatten() {
            let mut bound = String::new();
            if template.bind_any(|_| Some("%2A"), &mut bound).is_ok() {
                assert!(!bound.is_empty());
                let (_, key_text) = bound.split_once(':').unwrap();
                let _ = template.bind_from_path(key_text);
                let _ = template.bind_from_text(key_text);
            }
        }
        if let Ok(KeyTemplate::Text(template)) = KeyTemplate::parse(&text) {
            let mut out = String::new();
            let value = |_: &str, out: &mut String| {
                out.push_str("%2A");
                Ok::<_, ()>(())
            };
            template.write(value, &mut out).unwrap();
        }
    });
}
