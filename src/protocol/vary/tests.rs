use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Normalise, Vary, secondary_key, selecting};

fn lines(name: &'static str, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn fields(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().map(|name| HeaderName::from_static(name)).collect()
}

const ALL: Normalise = Normalise { accept_encoding: true, accept_language: true };
const NONE: Normalise = Normalise { accept_encoding: false, accept_language: false };

#[test]
fn selecting_rfc9110_12_5_5() {
    let named = |names| Vary::Fields(fields(names));
    let rows: [(&str, &[&str], Vary); 10] = [
        ("absent", &[], Vary::None),
        ("empty", &[""], Vary::None),
        ("one", &["Accept"], named(&["accept"])),
        ("sorted, each once", &["origin, accept,Origin"], named(&["accept", "origin"])),
        ("lines", &["origin", "accept"], named(&["accept", "origin"])),
        ("star", &["*"], Vary::Star),
        ("star among names", &["accept, *"], Vary::Star),
        ("star on a second line", &["accept", "*"], Vary::Star),
        ("no name", &["accept language"], Vary::Star),
        ("5.6.1 empty members", &[", accept ,,"], named(&["accept"])),
    ];
    for (row, vary, expected) in rows {
        assert_eq!(selecting(&lines("vary", vary)), expected, "{row}");
    }
}

#[test]
fn keys_rfc9111_4_1() {
    type Row = (&'static str, &'static str, &'static [&'static str], &'static str);
    let rows: [Row; 13] = [
        ("absent", "x", &[], "x"),
        ("empty", "x", &[""], "x="),
        ("a value", "x", &["a/b, c"], "x=a/b,%20c"),
        ("lines are one", "x", &["a/b", "c"], "x=a/b,%20c"),
        ("an empty line counts", "x", &["", ""], "x=,%20"),
        ("white space at the ends", "x", &["  a\t"], "x=a"),
        ("white space within may mean something", "x", &["a  b"], "x=a%20%20b"),
        ("what the text is made of", "x", &["a;b=%3B"], "x=a%3Bb=%253B"),
        ("case", "x", &["A"], "x=A"),
        ("white space round separators", "accept", &["a/b ;\tq=1 ,c/d"], "accept=a/b%3Bq=1,c/d"),
        ("white space elsewhere", "accept", &["a b"], "accept=a%20b"),
        ("white space in quotes", "accept", &["a;b=\"c , d\" , e"], "accept=a%3Bb=\"c%20,%20d\",e"),
        ("an escaped quote", "accept", &[r#"a;b="\" , d" , e"#], r#"accept=a%3Bb="\"%20,%20d",e"#),
    ];
    for (row, name, values, expected) in rows {
        let found = secondary_key(&fields(&[name]), &lines(name, values), NONE);
        assert_eq!(found, expected, "{row}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("b", HeaderValue::from_bytes(b"\xff").unwrap());
    headers.insert("unnamed", HeaderValue::from_static("1"));
    assert_eq!(secondary_key(&fields(&["a", "b", "c"]), &headers, NONE), "a;b=%FF;c");
    assert_eq!(secondary_key(&[], &headers, NONE), "");
}

#[test]
fn codings_rfc9110_12_5_3() {
    let rows = [
        ("absent", None, "accept-encoding"),
        ("empty: no coding", Some(""), "accept-encoding=identity"),
        ("sorted", Some("gzip, br"), "accept-encoding=br,gzip,identity"),
        ("another order", Some("br;q=0.1,GZIP , identity"), "accept-encoding=br,gzip,identity"),
        ("refused", Some("gzip;q=0, br;q=0.0"), "accept-encoding=identity"),
        ("no identity", Some("gzip, identity;q=0"), "accept-encoding=gzip"),
        ("unknown ones", Some("compress, gzip"), "accept-encoding=gzip,identity"),
        ("8.4.1.3 x-gzip", Some("x-gzip"), "accept-encoding=gzip,identity"),
        ("star", Some("*"), "accept-encoding=br,deflate,gzip,identity,zstd"),
        ("star, but", Some("gzip;q=0,*"), "accept-encoding=br,deflate,identity,zstd"),
        ("no star", Some("gzip, *;q=0"), "accept-encoding=gzip"),
        ("malformed", Some("br;q=2, gzip"), "accept-encoding=br%3Bq=2,gzip"),
        ("malformed too", Some("br gzip"), "accept-encoding=br%20gzip"),
        ("12.4.2 four digits", Some("br;q=0.0001"), "accept-encoding=br%3Bq=0.0001"),
    ];
    for (row, value, expected) in rows {
        let headers = value.map_or_else(HeaderMap::new, |v| lines("accept-encoding", &[v]));
        assert_eq!(secondary_key(&fields(&["accept-encoding"]), &headers, ALL), expected, "{row}");
    }
    let raw = secondary_key(
        &fields(&["accept-encoding"]),
        &lines("accept-encoding", &["gzip, br"]),
        NONE,
    );
    assert_eq!(raw, "accept-encoding=gzip,br", "an option");
}

#[test]
fn languages_rfc9110_12_5_4() {
    let many = vec!["aa"; 33].join(",");
    let raw = format!("accept-language={many}");
    let rows = [
        ("absent", None, "accept-language"),
        ("empty", Some(""), "accept-language="),
        ("primary, each once", Some("en-US, EN;q=0.9"), "accept-language=en"),
        ("by weight", Some("de;q=0.5, fr;q=0.75, en"), "accept-language=en,fr,de"),
        ("of equal weight the first", Some("de;q=0.5, fr;q=0.500"), "accept-language=de,fr"),
        ("refused", Some("de, fr;q=0"), "accept-language=de"),
        ("star", Some("de, *;q=0.1"), "accept-language=de,*"),
        ("malformed", Some("de;level=1"), "accept-language=de%3Blevel=1"),
        ("too many", Some(many.as_str()), raw.as_str()),
    ];
    for (row, value, expected) in rows {
        let headers = value.map_or_else(HeaderMap::new, |v| lines("accept-language", &[v]));
        assert_eq!(secondary_key(&fields(&["accept-language"]), &headers, ALL), expected, "{row}");
    }
}

proptest! {
    #[test]
    fn keys_are_injective(
        a in vec(proptest::option::of("[a;=%,\" é]{0,4}"), 3),
        b in vec(proptest::option::of("[a;=%,\" é]{0,4}"), 3),
    ) {
        let names = ["a", "b", "x-c"];
        let [(key_a, said_a), (key_b, said_b)] = [a, b].map(|values| {
            let mut headers = HeaderMap::new();
            let values: Vec<_> =
                values.into_iter().map(|v| v.map(|v| v.trim().to_owned())).collect();
            for (name, value) in names.into_iter().zip(&values) {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            (secondary_key(&fields(&names), &headers, NONE), values)
        });
        prop_assert_eq!(key_a == key_b, said_a == said_b);
    }

    #[test]
    fn normalising_takes_anything(value in "[a-zA-Z*;=q.,0-9 \"-]{0,60}") {
        for name in ["accept-encoding", "accept-language"] {
            let key = secondary_key(&fields(&[name]), &lines(name, &[value.as_str()]), ALL);
            let again = secondary_key(&fields(&[name]), &lines(name, &[value.as_str()]), ALL);
            prop_assert_eq!(key, again);
        }
    }
}
