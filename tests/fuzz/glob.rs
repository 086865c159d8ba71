//! Patterns: the compiler and the matcher, against a matcher that looks at the pattern as it stands.

use tower_response_cache::key::Glob;

use crate::runner::fuzz;

/// Whether the pattern, which is a valid one, takes the whole text. Every position that a star could
/// end at is kept at once.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (length, takes): (usize, Box<dyn Fn(u8) -> bool>) = match pattern[at] {
            b'*' => {
                let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
                ends[first..].fill(true);
                at += 1;
                continue;
            }
            b'?' => (1, Box::new(|_| true)),
            b'\\' => {
                let literal = pattern[at + 1];
                (2, Box::new(move |byte| byte == literal))
            }
            b'[' => {
                let (length, members, negated) = class(&pattern[at..]);
                (length, Box::new(move |byte| members.contains(&byte) != negated))
            }
            literal => (1, Box::new(move |byte| byte == literal)),
        };
        for index in (0..text.len()).rev() {
            ends[index + 1] = ends[index] && takes(text[index]);
        }
        ends[0] = false;
        at += length;
    }
    ends[text.len()]
}

/// How long a class is, its members, and whether they are those that are not in it.
fn class(text: &[u8]) -> (usize, Vec<u8>, bool) {
    let negated = text.get(1) == Some(&b'^');
    let mut at = 1 + usize::from(negated);
    let mut members = Vec::new();
    loop {
        match text[at] {
            b']' => return (at + 1, members, negated),
            b'\\' => {
                members.push(text[at + 1]);
                at += 2;
            }
            first if text[at + 1] == b'-' => {
                let last = text[at + 2];
                members.extend(first.min(last)..=first.max(last));
                at += 3;
            }
            one => {
                members.push(one);
                at += 1;
            }
        }
    }
}

/// An input is a pattern, a newline, and a text.
#[test]
fn a_pattern_matches_what_it_says() {
    fuzz("glob", |bytes| {
        let input = String::from_utf8_lossy(bytes);
        let (pattern, text) = input.split_once('\n').unwrap_or((&input, "/users/42"));
        // Linear in each is what is promised, so that both at full length are no measure of time.
        let text: String = text.chars().take(2048).collect();
        let text = text.as_str();
        if let Ok(glob) = Glob::new(pattern) {
            assert_eq!(
                glob.matches(text),
                naive(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
            let prefix = glob.literal_prefix();
            assert!(!glob.matches(text) || text.starts_with(&prefix), "{pattern} {prefix}");
        }
        if let Ok(exact) = Glob::new(&Glob::escape(text)) {
            assert!(exact.matches(text));
            assert!(!exact.matches(&format!("{text}x")));
            assert_eq!(exact.literal_prefix(), text);
        }
    });
}
