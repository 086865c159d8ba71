use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Binding, Captures, KeyTemplate, PathTemplate, Reach, ScopeKind, ScopeTemplate, Segment,
    TextTemplate, found,
};
use crate::key::Glob;
use crate::key::byte_set::ByteSet;
use crate::key::glob::tests::redis_prefixed;

const PATTERN: &str = "(a|b|\u{e9}|:|/|\\?|\\*|\\\\\\*|\\[ab\\]|\\[\\^a\\]|\\{\\{|\\}\\}|\\{x\\}:|\\{y\\}/|\\{z\\}\\{\\{|\\{w\\},){0,5}(\\{v\\}|\\*)?";

/// The glob that a pattern is with these values, and what may not be in each value.
fn substituted(template: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut glob = String::new();
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            glob.push(letter);
            rest = &rest[2..];
        } else if letter == '{' {
            let end = rest.find('}').unwrap();
            glob.push_str(&Glob::escape(values[&rest[1..end]]));
            rest = &rest[end + 1..];
        } else if letter == '\\' {
            glob.push_str(&rest[..2]);
            rest = &rest[2..];
        } else {
            glob.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    glob
}

/// Every choice of values for the parameters `names` that are pieces of `text`.
fn choices<'a>(
    names: &[(&'a str, Option<char>)],
    text: &'a str,
    chosen: &mut BTreeMap<&'a str, &'a str>,
    visit: &mut impl FnMut(&BTreeMap<&'a str, &'a str>),
) {
    let Some(((name, delimiter), others)) = names.split_first() else {
        visit(chosen);
        return;
    };
    let mut pieces = vec![""];
    for from in 0..text.len() {
        pieces.extend((from + 1..=text.len()).filter_map(|to| text.get(from..to)));
    }
    pieces.sort_unstable();
    pieces.dedup();
    for piece in pieces {
        let is_value = piece.bytes().all(|byte| ByteSet::VALUE.contains(byte));
        if is_value && delimiter.is_none_or(|delimiter| !piece.contains(delimiter)) {
            chosen.insert(name, piece);
            choices(others, text, chosen, visit);
        }
    }
}

fn encoded_value() -> impl Strategy<Value = String> {
    "(a|b|-|\\.|%2F|users|me){1,2}".prop_filter("a dot segment", |text| text != "." && text != "..")
}

fn text_value() -> impl Strategy<Value = String> {
    "(a|b|%3A|,|\\+|=|users|-){0,2}"
}

fn route() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("a"),
        Just("users"),
        Just("%61"),
        Just("-"),
        Just("{p}"),
        Just("{q}"),
        Just(""),
    ];
    (prop::collection::vec(segment, 1..4), prop::option::of(Just("{*r}")))
        .prop_map(|(segments, rest)| {
            let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
            format!("/{}{rest}", segments.join("/"))
        })
        .prop_filter("not a route", |text| PathTemplate::parse(text).is_ok())
}

fn path_scope() -> impl Strategy<Value = ScopeTemplate> {
    let segment =
        prop_oneof![Just("a"), Just("users"), Just("b"), Just("{s}"), Just("{t}"), Just("")];
    (prop::collection::vec(segment, 1..4), any::<bool>()).prop_filter_map(
        "not a scope",
        |(segments, is_subtree)| {
            let template = format!("/{}", segments.join("/"));
            if is_subtree {
                ScopeTemplate::subtree(&template).ok()
            } else {
                ScopeTemplate::path(&template).ok()
            }
        },
    )
}

fn pattern_scope() -> impl Strategy<Value = ScopeTemplate> {
    let near =
        "(/users|/a|users:|/|:|\\{s\\}/|\\{s\\}:|\\{t\\}:|\\?|a|-){0,4}(\\*|\\{u\\}|/\\{u\\}/\\*)?";
    prop_oneof![3 => near.boxed(), 1 => PATTERN.boxed()]
        .prop_filter_map("not a pattern", |text| ScopeTemplate::pattern(&text).ok())
}

fn key_template() -> impl Strategy<Value = KeyTemplate> {
    prop_oneof![
        Just(KeyTemplate::Path),
        "(users:|a|:|\\{p\\}:|\\{q\\}/|-){1,4}(\\{k\\})?"
            .prop_filter_map("not a key", |text| KeyTemplate::parse(&text).ok()),
    ]
}

/// A route with its keys, and a scope, which is in half of the cases made after them.
fn route_and_scope() -> impl Strategy<Value = (String, KeyTemplate, ScopeTemplate)> {
    (route(), key_template()).prop_flat_map(|(route, key)| {
        let source = match &key {
            KeyTemplate::Path => route.clone(),
            KeyTemplate::Text(text) => text.as_str().to_owned(),
        };
        let near = (0..=source.len(), "(\\*|\\{s\\}|\\{s\\}:|/)?", any::<bool>()).prop_filter_map(
            "not a pattern",
            move |(cut, end, is_whole)| {
                let kept = if is_whole { &source } else { source.get(..cut)? };
                ScopeTemplate::pattern(&format!("{kept}{end}")).ok()
            },
        );
        let scope =
            prop_oneof![2 => near.boxed(), 1 => path_scope().boxed(), 1 => pattern_scope().boxed()];
        (Just(route), Just(key), scope)
    })
}

/// The normalised path of a request that the route takes.
fn path_of(route: &PathTemplate, values: &BTreeMap<&str, String>) -> String {
    let mut path = String::new();
    for segment in route.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(&super::super::path::canonical(text)),
            Segment::Param(name) | Segment::Rest(name) => path.push_str(&values[name.as_str()]),
        }
    }
    path
}

fn text_of(text: &TextTemplate, values: &BTreeMap<&str, String>) -> String {
    let mut out = String::new();
    text.write(
        |name, out| {
            out.push_str(&values[name]);
            Ok::<(), ()>(())
        },
        &mut out,
    )
    .unwrap();
    out
}

fn resolved(bindings: &[Binding], values: &BTreeMap<&str, String>) -> Vec<String> {
    bindings
        .iter()
        .map(|binding| match binding {
            Binding::Param(name) => values[name.as_str()].clone(),
            Binding::Constant(text) => text.clone(),
        })
        .collect()
}

fn owned(captures: Option<Captures<'_>>) -> Option<Vec<String>> {
    captures.map(|captures| captures.values().iter().map(|&value| value.to_owned()).collect())
}

/// More than usual, and as many as `PROPTEST_CASES` asks for.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(1000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_global_rejects: 1 << 20, ..ProptestConfig::default() })]

    #[test]
    fn compiled_scopes_agree_with_a_naive_glob(
        template in prop_oneof![
            PATTERN,
            "(a|\\?)?(\\{x\\},|\\{y\\}=|\\{z\\}:){0,3}(\\{v\\}|\\*|,\\*a)?",
        ],
        text in prop_oneof!["[ab:/\u{e9}]{0,3}[ab:/,{}*%+-]{0,4}", "[ab:,=]{0,7}"],
    ) {
        let Ok(scope) = ScopeTemplate::pattern(&template) else { return Ok(()) };
        let names: Vec<_> = scope
            .params()
            .map(|name| {
                let end = template.find(&format!("{{{name}}}")).unwrap() + name.len() + 2;
                (name, template[end..].chars().next())
            })
            .collect();
        prop_assume!(names.len() <= 3);
        let mut matching = Vec::new();
        choices(&names, &text, &mut BTreeMap::new(), &mut |values| {
            if redis_prefixed(&substituted(&template, values), &text) {
                matching.push(names.iter().map(|(name, _)| values[name]).collect::<Vec<_>>());
            }
        });
        prop_assert!(matching.len() <= 1, "{matching:?}");
        prop_assert_eq!(found(scope.bind_from_text(&text)), matching.pop());
    }

    #[test]
    fn path_scopes_agree_with_a_naive_comparison(
        scope in path_scope(),
        segments in prop::collection::vec("(a|b|users|%2F)?", 1..5),
    ) {
        let path = format!("/{}", segments.join("/"));
        let captures = scope.bind_from_path(&path);
        // With the values that stand in the parameters' places, if the path is long enough.
        let values: BTreeMap<&str, &str> = scope
            .as_str()
            .split('/')
            .zip(path.split('/'))
            .filter_map(|(part, value)| {
                Some((part.strip_prefix('{')?.strip_suffix('}')?, value))
            })
            .collect();
        let covered = if values.len() == scope.params().len() {
            let base = substituted(scope.as_str(), &values).replace('\\', "");
            let above = if base == "/" && scope.as_str() == "/" { "" } else { base.as_str() };
            let is_below = path.starts_with(&format!("{above}/"));
            path == base || scope.kind() == ScopeKind::Subtree && is_below
        } else {
            false
        };
        prop_assert_eq!(captures.is_some(), covered);
        if let Some(captures) = captures {
            let expected: Vec<_> = scope.params().map(|name| values[name]).collect();
            prop_assert_eq!(captures.values(), expected);
        }
    }

    #[test]
    fn reach_agrees_with_run_time_matching(
        (route, key, scope) in route_and_scope(),
        p in encoded_value(),
        q in encoded_value(),
        k in text_value(),
        text_p in text_value(),
        text_q in text_value(),
        rest in "(a|users|/){1,4}",
        query in prop::option::of("(a=b|x=\\+|c)(&d=%2F)?"),
    ) {
        let route = PathTemplate::parse(&route).unwrap();
        let in_path = BTreeMap::from([("p", p), ("q", q), ("r", rest)]);
        let in_text = BTreeMap::from([("p", text_p), ("q", text_q), ("k", k)]);
        let path = path_of(&route, &in_path);
        let reach = scope.reach(&route, &key);
        let (captures, values) = match (&key, scope.kind()) {
            (KeyTemplate::Text(text), ScopeKind::Pattern) => {
                (owned(scope.bind_from_text(&text_of(text, &in_text))), &in_text)
            }
            (KeyTemplate::Path, ScopeKind::Pattern) => {
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                (owned(scope.bind_from_text(&format!("{path}{query}"))), &in_path)
            }
            _ => (owned(scope.bind_from_path(&path)), &in_path),
        };
        match reach {
            Reach::Never => prop_assert_eq!(captures, None),
            Reach::Always(bindings) => {
                prop_assert_eq!(captures, Some(resolved(&bindings, values)));
            }
            Reach::Sometimes if scope.kind() != ScopeKind::Pattern => {
                // Exact but for catch-alls: some request is covered and another is not.
                let is_rest = |segment: &Segment| matches!(segment, Segment::Rest(_));
                prop_assume!(!route.segments().iter().any(is_rest));
                let strange = BTreeMap::from([("p", "zz".into()), ("q", "zz".into())]);
                prop_assert_eq!(owned(scope.bind_from_path(&path_of(&route, &strange))), None);
                let fitting: BTreeMap<&str, String> = route
                    .segments()
                    .iter()
                    .zip(scope.as_str().split('/').skip(1).chain(std::iter::repeat("zz")))
                    .filter_map(|(segment, text)| match segment {
                        Segment::Param(name) if text.starts_with('{') => Some((name.as_str(), "zz".to_owned())),
                        Segment::Param(name) => Some((name.as_str(), text.to_owned())),
                        _ => None,
                    })
                    .collect();
                prop_assert!(scope.bind_from_path(&path_of(&route, &fitting)).is_some());
            }
            Reach::Sometimes => {}
        }
    }

    #[test]
    fn key_texts_are_injective_and_collisions_are_foreseen(
        one in key_template(),
        other in key_template(),
        a in prop::collection::vec(text_value(), 3),
        b in prop::collection::vec(text_value(), 3),
    ) {
        let (KeyTemplate::Text(first), KeyTemplate::Text(second)) = (&one, &other) else {
            return Ok(());
        };
        let values = |of: &[String]| {
            ["p", "q", "k"].into_iter().zip(of.iter().cloned()).collect::<BTreeMap<_, _>>()
        };
        let (a, b) = (values(&a), values(&b));
        let same = first.params().all(|name| a[name] == b[name]);
        prop_assert_eq!(text_of(first, &a) == text_of(first, &b), same);
        if text_of(first, &a) == text_of(second, &b) {
            prop_assert!(one.may_collide(&other));
        }
        prop_assert!(!text_of(first, &a).starts_with('/'));
    }

    #[test]
    fn scope_texts_are_injective(
        one in prop_oneof![path_scope().boxed(), pattern_scope().boxed()],
        values in prop::collection::vec(text_value(), 8),
        others in prop::collection::vec(text_value(), 8),
    ) {
        let text = |values: &[String]| {
            let pairs: Vec<_> = one.params().zip(values).collect();
            let mut out = String::new();
            one.bind(
                |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()),
                &mut out,
            )
            .unwrap();
            out
        };
        let count = one.params().len();
        // A value holds its own delimiter only where it was never captured from a key.
        let is_plain = |values: &[String]| values[..count].iter().all(|value| !value.contains(','));
        prop_assume!(is_plain(&values) && is_plain(&others));
        prop_assert_eq!(text(&values) == text(&others), values[..count] == others[..count]);
    }

    #[test]
    fn no_template_panics(text in "\\PC{0,12}", braces in "[/{}*a\\[\\]\\\\:.%]{0,12}", key in "\\PC{0,12}") {
        for text in [&text, &braces] {
            let _ = PathTemplate::parse(text);
            let _ = KeyTemplate::parse(text);
            let _ = ScopeTemplate::tag(text);
            for scope in [ScopeTemplate::path(text), ScopeTemplate::subtree(text), ScopeTemplate::pattern(text)].into_iter().flatten() {
                let _ = scope.bind_from_path(&key);
                let _ = scope.bind_from_text(&key);
                let _ = super::any(&scope);
            }
        }
    }
}
