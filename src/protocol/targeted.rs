//! Directives for this cache alone: targeted fields such as `CDN-Cache-Control` (RFC 9213).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::age::saturate;
use super::{CacheControl, Extent, list};

/// The directives of the first of the fields `names` that is there, well-formed and not empty (RFC
/// 9213 2.2). They count instead of `Cache-Control` and `Expires`.
///
/// A field is a dictionary of structured fields (RFC 9213 2.1): a malformed one is ignored whole,
/// and of a directive given twice the last counts. A directive without value is `?1`; times are
/// integers, lists of field names strings. `?0` is as if the directive were absent. Any other value
/// makes it as restrictive as it can be: a time is 0, a list means the whole response, and what
/// permits says nothing. Parameters and unknown directives are ignored.
#[must_use]
pub fn select(headers: &HeaderMap, names: &[HeaderName]) -> Option<CacheControl> {
    names.iter().find_map(|name| {
        let dictionary = parse(headers, name)?;
        (!dictionary.is_empty()).then(|| directives(&dictionary))
    })
}

fn parse(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    // RFC 9651 4.2: all lines are one value.
    Parser::new(&list::joined(headers, name)?).parse().ok()
}

fn directives(dictionary: &Dictionary) -> CacheControl {
    let mut found = CacheControl::default();
    for (name, value) in dictionary {
        let value = match value {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::Boolean(false) => continue,
                BareItem::Boolean(true) => Value::Bare,
                BareItem::Integer(number) => Value::Number(i64::from(*number)),
                BareItem::String(text) => Value::Text(text.as_str()),
                _ => Value::Other,
            },
            ListEntry::InnerList(_) => Value::Other,
        };
        set(&mut found, name.as_str(), &value);
    }
    found
}

#[derive(PartialEq, Eq)]
enum Value<'a> {
    Bare,
    Number(i64),
    Text(&'a str),
    Other,
}

impl Value<'_> {
    fn seconds(&self) -> u32 {
        match self {
            Self::Number(number) => saturate(u64::try_from(*number).unwrap_or(0)),
            Self::Bare | Self::Text(_) | Self::Other => 0,
        }
    }

    fn extent(&self) -> Extent {
        let Self::Text(text) = self else { return Extent::Whole };
        let members = text.as_bytes().split(|byte| *byte == b',').map(list::trim);
        let names = members
            .filter(|name| !name.is_empty())
            .map(|name| HeaderName::from_bytes(name).ok())
            .collect::<Option<Vec<_>>>();
        names.filter(|names| !names.is_empty()).map_or(Extent::Whole, Extent::Fields)
    }
}

/// The directives of responses (RFC 9111 5.2.2, RFC 5861, RFC 8246). Names of a dictionary are in
/// lower case.
fn set(control: &mut CacheControl, name: &str, value: &Value<'_>) {
    let bare = *value == Value::Bare;
    match name {
        "no-store" => control.no_store = true,
        "no-cache" => control.no_cache = Some(value.extent()),
        "private" => control.private = Some(value.extent()),
        "public" => control.public = bare,
        "max-age" => control.max_age = Some(value.seconds()),
        "s-maxage" => control.s_maxage = Some(value.seconds()),
        "must-revalidate" => control.must_revalidate = true,
        "proxy-revalidate" => control.proxy_revalidate = true,
        "must-understand" => control.must_understand = bare,
        "no-transform" => control.no_transform = true,
        "stale-while-revalidate" => control.stale_while_revalidate = Some(value.seconds()),
        "stale-if-error" => control.stale_if_error = Some(value.seconds()),
        "immutable" => control.immutable = bare,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    type Set = fn(&mut CacheControl);

    #[test]
    fn fields_rfc9213() {
        const CDN: &str = "cdn-cache-control";
        const OWN: &str = "own-cache-control";
        type Row = (&'static str, &'static [(&'static str, &'static str)], Option<Set>);
        let rows: &[Row] = &[
            ("absent", &[("cache-control", "max-age=5")], None),
            ("2.1 empty is ignored", &[(CDN, "")], None),
            ("2.1 a time", &[(CDN, "max-age=5")], Some(|c| c.max_age = Some(5))),
            ("2.1 a directive without value", &[(CDN, "no-store")], Some(|c| c.no_store = true)),
            ("2.1 parameters", &[(CDN, "max-age=5;x=1")], Some(|c| c.max_age = Some(5))),
            (
                "2.1 lines",
                &[(CDN, "max-age=5"), (CDN, "public")],
                Some(|c| {
                    c.max_age = Some(5);
                    c.public = true;
                }),
            ),
            (
                "RFC 9651 3.2 the last counts",
                &[(CDN, "max-age=5, max-age=9")],
                Some(|c| {
                    c.max_age = Some(9);
                }),
            ),
            ("2.1 malformed is ignored whole", &[(CDN, "no-store, max-age=")], None),
            ("2.1 not a dictionary", &[(CDN, "max-age=5, Public")], None),
            ("2.1 not ASCII", &[(CDN, "max-age=5, x=\"\u{e9}\"")], None),
            ("2.1 a number too long", &[(CDN, "max-age=9999999999999999")], None),
            (
                "1.2.2 overflow",
                &[(CDN, "max-age=999999999999")],
                Some(|c| {
                    c.max_age = Some(1 << 31);
                }),
            ),
            ("negative", &[(CDN, "max-age=-5")], Some(|c| c.max_age = Some(0))),
            ("another type", &[(CDN, "max-age=\"5\"")], Some(|c| c.max_age = Some(0))),
            ("a fraction", &[(CDN, "s-maxage=5.5")], Some(|c| c.s_maxage = Some(0))),
            ("a time without value", &[(CDN, "max-age")], Some(|c| c.max_age = Some(0))),
            ("false", &[(CDN, "no-store=?0, public")], Some(|c| c.public = true)),
            ("permitted with a value", &[(CDN, "public=5")], Some(|_| {})),
            ("restricted with a value", &[(CDN, "no-store=5")], Some(|c| c.no_store = true)),
            (
                "5.2.2.7 fields",
                &[(CDN, "private=\"x, y\"")],
                Some(|c| {
                    c.private =
                        Some(Extent::Fields(["x", "y"].map(HeaderName::from_static).to_vec()));
                }),
            ),
            ("5.2.2.7 whole", &[(CDN, "private")], Some(|c| c.private = Some(Extent::Whole))),
            (
                "5.2.2.4 a list",
                &[(CDN, "no-cache=(\"x\")")],
                Some(|c| {
                    c.no_cache = Some(Extent::Whole);
                }),
            ),
            ("unknown ones", &[(CDN, "x=1")], Some(|_| {})),
            (
                "2.2 the first in the cache's order",
                &[(CDN, "max-age=5"), (OWN, "max-age=9")],
                Some(|c| c.max_age = Some(9)),
            ),
            (
                "2.2 the next if malformed",
                &[(CDN, "max-age=5"), (OWN, "=")],
                Some(|c| {
                    c.max_age = Some(5);
                }),
            ),
            (
                "2.2 the next if empty",
                &[(CDN, "max-age=5"), (OWN, " ")],
                Some(|c| {
                    c.max_age = Some(5);
                }),
            ),
        ];
        let names = [OWN, CDN].map(HeaderName::from_static);
        for (row, fields, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *fields {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(HeaderName::from_static(name), value);
            }
            let expected = expected.map(|set| {
                let mut control = CacheControl::default();
                set(&mut control);
                control
            });
            assert_eq!(select(&headers, &names), expected, "{row}");
        }
    }
}
