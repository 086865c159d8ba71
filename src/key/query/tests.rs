use proptest::prelude::*;

use super::*;

fn normal(raw: &str) -> Result<String, QueryError> {
    let mut out = String::from("kept?");
    let done = normalize_query(raw, Keep::All, QueryLimits::default(), &mut out);
    let text = out.strip_prefix("kept?").unwrap().to_owned();
    done.map(|()| text)
}

fn kept(raw: &str, names: &[&str]) -> Result<String, QueryError> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut out = String::new();
    normalize_query(raw, Keep::Named(&names), QueryLimits::default(), &mut out).map(|()| out)
}

fn value(raw: &str, name: &str) -> Result<String, QueryError> {
    let mut out = String::new();
    template_value(raw, name, &mut out).map(|()| out)
}

#[test]
fn pairs_are_sorted_stably() {
    assert_eq!(normal("b=2&a=1").as_deref(), Ok("a=1&b=2"));
    assert_eq!(normal("a=2&b=1&a=1&a").as_deref(), Ok("a=2&a=1&a&b=1"));
    assert_eq!(normal("").as_deref(), Ok(""));
    assert_eq!(normal("&&a=1&").as_deref(), Ok("a=1"));
    assert_eq!(normal("a=b=c").as_deref(), Ok("a=b%3Dc"));
    assert_eq!(normal("=x&a").as_deref(), Ok("=x&a"));
    // Sorted by the name, which `ab` and `a` share only as a prefix.
    assert_eq!(normal("ab=1&a=2").as_deref(), Ok("a=2&ab=1"));
}

#[test]
fn spellings_that_handlers_tell_apart_stay_apart() {
    let all = ["a=+", "a=%20", "a=%2B", "a=", "a"].map(|raw| normal(raw).unwrap());
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{one}");
    }
    assert_eq!(normal("%61=%62").as_deref(), Ok("a=b"));
    assert_eq!(normal("a=%2b").as_deref(), Ok("a=%2B"));
}

#[test]
fn only_named_parameters_are_kept() {
    assert_eq!(kept("utm=x&role=a&%72ole=b", &["role"]).as_deref(), Ok("role=a&role=b"));
    assert_eq!(kept("utm=x", &["role"]).as_deref(), Ok(""));
    assert_eq!(kept("role=x", &[]).as_deref(), Ok(""));
    assert_eq!(kept("ids[]=1", &["ids%5B%5D"]).as_deref(), Ok("ids%5B%5D=1"));
    // Whether it is the parameter depends on the handler, so it may not vanish.
    assert_eq!(kept("user+name=x", &["user%20name"]).as_deref(), Ok("user+name=x"));
    assert_eq!(kept("user+name=x", &["user%2Bname"]).as_deref(), Ok("user+name=x"));
}

#[test]
fn limits_are_kept() {
    let limits = QueryLimits::new(2, 8);
    let ask = |raw| normalize_query(raw, Keep::All, limits, &mut String::new());
    assert_eq!(ask("a&b"), Ok(()));
    assert_eq!(ask("a&b&c"), Err(QueryError::TooMany));
    assert_eq!(ask("a=1234567"), Err(QueryError::TooLong));
    assert_eq!(normal("a=%"), Err(QueryError::MalformedEscape));
    assert_eq!(normal("b=1&%4=1"), Err(QueryError::MalformedEscape));
}

#[test]
fn template_values_follow_the_table() {
    for (raw, text) in [
        ("", ""),
        ("b=1", ""),
        ("a=x", "x"),
        ("a=", "="),
        ("a", "=="),
        ("a=x&b=1&a=&a=y%2Cz&a", "x,=,y%2Cz,=="),
        ("%61=1", "1"),
        ("a==", "%3D"),
    ] {
        assert_eq!(value(raw, "a").as_deref(), Ok(text), "{raw}");
    }
    assert_eq!(value("a=%", "a"), Err(QueryError::MalformedEscape));
    assert_eq!(value("a+b=1", "a%20b"), Err(QueryError::AmbiguousName));
    assert_eq!(value("a+b=1", "c").as_deref(), Ok(""));
}

/// A parameter's values as a handler would see them, decoded.
fn meant(raw: &str) -> Vec<Option<String>> {
    pairs(raw)
        .filter(|(name, _)| *name == "a")
        .map(|(_, value)| {
            value.map(|value| {
                let mut out = String::new();
                part(value, &mut out).unwrap();
                out
            })
        })
        .collect()
}

proptest! {
    #[test]
    fn query_normalisation_is_idempotent_and_ignores_the_order_of_names(
        pairs in prop::collection::vec(("[a-d]", "(=([a-c+=,;]|%20|%2[bB]|%61|\u{e9}){0,3})?"), 0..8),
        rotation in 0..8_usize,
    ) {
        let text = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>().join("&")
        };
        let once = normal(&text(&pairs)).unwrap();
        prop_assert_eq!(normal(&once), Ok(once.clone()));
        // Moving all pairs of one name to the front keeps the order within each name.
        let mut moved = pairs.clone();
        let first = char::from(b'a' + u8::try_from(rotation % 4).unwrap()).to_string();
        moved.sort_by_key(|(name, _)| *name != first);
        prop_assert_eq!(normal(&text(&moved)), Ok(once));
    }

    #[test]
    fn template_values_are_injective(
        one in "(a|b|=|&|,|\\+|%2C|%3D){0,8}",
        other in "(a|b|=|&|,|\\+|%2C|%3D){0,8}",
    ) {
        let same = value(&one, "a") == value(&other, "a");
        prop_assert_eq!(same, meant(&one) == meant(&other));
    }

    #[test]
    fn nothing_panics(raw in "\\PC{0,20}", name in "\\PC{0,3}") {
        let _ = normal(&raw);
        let _ = kept(&raw, &[&name]);
        let _ = value(&raw, &name);
    }
}
