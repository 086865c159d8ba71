use proptest::prelude::*;

use super::*;

/// What Redis 7 does with a pattern, step by step and with its recursion.
fn redis(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    while p < pattern.len() && t < text.len() {
        match pattern[p] {
            b'*' => {
                while pattern.get(p + 1) == Some(&b'*') {
                    p += 1;
                }
                if p + 1 == pattern.len() {
                    return true;
                }
                return (t..text.len()).any(|from| redis(&pattern[p + 1..], &text[from..]));
            }
            b'?' => {}
            b'[' => {
                p += 1;
                let negated = pattern.get(p) == Some(&b'^');
                if negated {
                    p += 1;
                }
                let mut found = false;
                loop {
                    let left = pattern.len().saturating_sub(p);
                    if left >= 2 && pattern[p] == b'\\' {
                        p += 1;
                        found |= pattern[p] == text[t];
                    } else if left == 0 {
                        p -= 1;
                        break;
                    } else if pattern[p] == b']' {
                        break;
                    } else if left >= 3 && pattern[p + 1] == b'-' {
                        let (a, b) = (pattern[p], pattern[p + 2]);
                        found |= (a.min(b)..=a.max(b)).contains(&text[t]);
                        p += 2;
                    } else {
                        found |= pattern[p] == text[t];
                    }
                    p += 1;
                }
                if found == negated {
                    return false;
                }
            }
            byte => {
                let mut byte = byte;
                if byte == b'\\' && p + 1 < pattern.len() {
                    p += 1;
                    byte = pattern[p];
                }
                if byte != text[t] {
                    return false;
                }
            }
        }
        p += 1;
        t += 1;
        if t == text.len() {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
        }
    }
    p >= pattern.len() && t == text.len()
}

/// Both behind a prefix, as the store has them.
pub(in crate::key) fn redis_prefixed(pattern: &str, text: &str) -> bool {
    redis(format!("x{pattern}").as_bytes(), format!("x{text}").as_bytes())
}

#[test]
fn the_table_holds() {
    for (pattern, matching, other) in [
        ("*", &["", "a", "/users"][..], &[][..]),
        ("", &[""], &["a"]),
        ("a?c", &["abc", "a*c"], &["ac", "abbc"]),
        ("[abc]", &["a", "b"], &["d", "ab", ""]),
        ("[c-a]", &["a", "b", "c"], &["d", "-"]),
        ("[^a]", &["b", "^"], &["a", ""]),
        ("[^]", &["b", "]"], &["", "bb"]),
        ("[]", &[], &["", "]", "[]"]),
        ("[\\]]", &["]"], &["\\"]),
        ("\\*", &["*"], &["a", "\\*"]),
        ("[a-\\]]", &["a]", "\\]"], &["a", "]"]),
        ("/users*", &["/users", "/users/42", "/users?a=1"], &["/user"]),
        ("a**b", &["ab", "acb"], &["a"]),
    ] {
        let glob = Glob::new(pattern).unwrap();
        for text in matching {
            assert!(glob.matches(text), "{pattern} matches {text}");
        }
        for text in other {
            assert!(!glob.matches(text), "{pattern} does not match {text}");
        }
    }
}

#[test]
fn what_redis_would_misread_is_refused() {
    for (pattern, error) in [
        ("[abc", GlobError::UnclosedClass),
        ("[a-]", GlobError::UnclosedClass),
        ("[", GlobError::UnclosedClass),
        ("[a\\", GlobError::UnclosedClass),
        ("a\\", GlobError::TrailingBackslash),
        ("a\nb", GlobError::ControlCharacter),
        ("[\u{e9}]", GlobError::NonAsciiClass),
        (&"a".repeat(1025), GlobError::TooLong),
    ] {
        assert_eq!(Glob::new(pattern), Err(error), "{pattern}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_literal_prefix_ends_at_the_first_wildcard() {
    for (pattern, prefix) in
        [("/users/*", "/users/"), ("\\*a?", "*a"), ("*", ""), ("caf\\\u{e9}[a]", "caf\u{e9}")]
    {
        assert_eq!(Glob::new(pattern).unwrap().literal_prefix(), prefix);
    }
}

#[test]
fn many_stars_take_no_exponential_time() {
    let glob = Glob::new(&"*a".repeat(500)).unwrap();
    assert!(!glob.matches(&format!("{}b", "a".repeat(4000))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn globs_agree_with_a_naive_redis(
        pattern in "[ab/:*?\\[\\]^\\-\\\\%]{0,10}",
        text in "[ab/:*?\\[\\]^\\-\\\\%]{0,8}",
    ) {
        if let Ok(glob) = Glob::new(&pattern) {
            prop_assert_eq!(glob.matches(&text), redis_prefixed(&pattern, &text));
        }
    }

    #[test]
    fn globs_of_classes_agree_with_a_naive_redis(
        pattern in "(\\[\\^?([a-d]|-|\\\\\\]|\\\\a|[a-d]-[a-d]){0,3}\\]|\\*|[a-d]|\\?){0,5}",
        text in "[a-d\\]-]{0,6}",
    ) {
        if let Ok(glob) = Glob::new(&pattern) {
            prop_assert_eq!(glob.matches(&text), redis_prefixed(&pattern, &text));
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_alone(text in "[ab*?\\[\\]^\\-\\\\{}]{0,6}", other in "[ab*?\\[\\]^\\-\\\\{}]{0,6}") {
        let glob = Glob::new(&Glob::escape(&text)).unwrap();
        prop_assert!(glob.matches(&text));
        prop_assert_eq!(glob.matches(&other), text == other);
        prop_assert_eq!(glob.literal_prefix(), text);
    }
}
