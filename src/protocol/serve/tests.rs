use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderValue};

use super::{CacheControl, Extent, Serve, StoredFreshness};
use super::{may_serve, may_serve_on_error, request_control};

fn control(text: &str) -> CacheControl {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_str(text).unwrap());
    CacheControl::from_headers(&headers)
}

#[test]
fn serving_rfc9111_4() {
    use Serve::{Fresh, No, Revalidate, Stale};
    // Every stored response has a lifetime of 60 seconds.
    let rows = [
        ("4.2 fresh", "", "", 59, Fresh),
        ("4.2 at the end of its lifetime", "", "", 60, Revalidate),
        ("4.2 after it", "", "", 61, Revalidate),
        ("5.2.2.4 no-cache", "", "no-cache", 0, Revalidate),
        ("5.2.2.4 no-cache for fields", "", "no-cache=\"x\"", 0, Fresh),
        ("5.2.2.4 no-cache before max-stale", "max-stale", "no-cache", 0, Revalidate),
        ("5.2.1.4 no-cache", "no-cache", "", 0, Revalidate),
        ("5.2.1.4 no-cache, whatever it names", "no-cache=\"x\"", "", 0, Revalidate),
        ("5.2.1.5 no-store is not about what is stored", "no-store", "", 0, Fresh),
        ("5.2.1.1 max-age kept", "max-age=30", "", 30, Fresh),
        ("5.2.1.1 max-age passed", "max-age=30", "", 31, Revalidate),
        ("5.2.1.1 max-age passed, with max-stale", "max-age=30, max-stale", "", 31, Revalidate),
        ("5.2.1.1 max-age with max-stale", "max-age=90, max-stale=90", "", 80, Stale),
        ("5.2.1.1 max-age without", "max-age=90", "", 80, Revalidate),
        ("5.2.1.1 malformed", "max-age=x", "", 1, Revalidate),
        ("5.2.1.3 min-fresh kept", "min-fresh=30", "", 30, Fresh),
        ("5.2.1.3 min-fresh not kept", "min-fresh=30", "", 31, Revalidate),
        ("5.2.1.3 min-fresh beside max-stale", "min-fresh=1, max-stale", "", 61, Revalidate),
        ("5.2.1.3 malformed", "min-fresh=x", "", 0, Revalidate),
        ("5.2.1.2 max-stale kept", "max-stale=30", "", 89, Stale),
        ("5.2.1.2 max-stale passed", "max-stale=30", "", 90, Revalidate),
        ("5.2.1.2 any", "max-stale", "", u32::MAX, Stale),
        ("5.2.1.2 malformed", "max-stale=x", "", 61, Revalidate),
        ("5.2.1.2 no need", "max-stale", "", 30, Fresh),
        ("5.2.2.2 must-revalidate", "max-stale", "must-revalidate", 60, Revalidate),
        ("5.2.2.2 fresh", "", "must-revalidate", 59, Fresh),
        ("5.2.2.8 proxy-revalidate", "max-stale", "proxy-revalidate", 60, Revalidate),
        ("5.2.2.10 s-maxage", "max-stale", "s-maxage=60", 60, Revalidate),
        ("5.2.1.7 only-if-cached, fresh", "only-if-cached", "", 30, Fresh),
        ("5.2.1.7 only-if-cached, stale", "only-if-cached", "", 60, No),
        ("5.2.1.7 with max-stale", "only-if-cached, max-stale", "", 60, Stale),
        ("5.2.1.7 with no-cache", "only-if-cached, no-cache", "", 30, No),
        ("RFC 5861 3 within", "", "stale-while-revalidate=30", 89, Stale),
        ("RFC 5861 3 after", "", "stale-while-revalidate=30", 90, Revalidate),
        ("RFC 5861 3 none", "", "stale-while-revalidate=0", 60, Revalidate),
        (
            "RFC 5861 3 must-revalidate",
            "",
            "stale-while-revalidate=30, must-revalidate",
            60,
            Revalidate,
        ),
        ("RFC 5861 3 s-maxage", "", "stale-while-revalidate=30, s-maxage=60", 60, Revalidate),
        ("RFC 5861 3 of a request says nothing", "stale-while-revalidate=30", "", 60, Revalidate),
        ("RFC 5861 4 is for errors", "", "stale-if-error=30", 60, Revalidate),
    ];
    for (row, request, stored, age, expected) in rows {
        let stored = control(stored);
        let stored = StoredFreshness { control: &stored, lifetime: 60, age };
        assert_eq!(may_serve(&control(request), &stored), expected, "{row}");
    }
}

#[test]
fn serving_after_an_error_rfc5861_4() {
    let rows = [
        ("nobody allows it", "", "", 60, false),
        ("within", "", "stale-if-error=30", 89, true),
        ("after", "", "stale-if-error=30", 90, false),
        ("of the request", "stale-if-error=30", "", 89, true),
        ("the shorter of both", "stale-if-error=10", "stale-if-error=30", 80, false),
        ("the shorter of both, the other way", "stale-if-error=30", "stale-if-error=10", 80, false),
        ("fresh, but the request wanted a fresher", "max-age=1", "stale-if-error=30", 10, true),
        ("5.2.2.2 must-revalidate", "", "stale-if-error=30, must-revalidate", 60, false),
        ("5.2.2.8 proxy-revalidate", "", "stale-if-error=30, proxy-revalidate", 60, false),
        ("5.2.2.10 s-maxage", "", "stale-if-error=30, s-maxage=60", 60, false),
        ("5.2.2.4 no-cache", "", "stale-if-error=30, no-cache", 60, false),
        ("5.2.1.4 no-cache", "no-cache", "stale-if-error=30", 60, false),
        ("5.2.1.2 max-stale is not for errors", "max-stale", "", 60, false),
    ];
    for (row, request, stored, age, expected) in rows {
        let stored = control(stored);
        let stored = StoredFreshness { control: &stored, lifetime: 60, age };
        assert_eq!(may_serve_on_error(&control(request), &stored), expected, "{row}");
    }
}

#[test]
fn pragma_rfc9111_5_4() {
    type Row = (&'static str, Option<&'static str>, Option<&'static str>, Option<Extent>);
    let rows: [Row; 6] = [
        ("neither", None, None, None),
        ("alone", None, Some("No-Cache"), Some(Extent::Whole)),
        ("in a list", None, Some("x, no-cache"), Some(Extent::Whole)),
        ("another", None, Some("x"), None),
        ("beside Cache-Control", Some("max-age=5"), Some("no-cache"), None),
        ("beside an empty Cache-Control", Some(""), Some("no-cache"), None),
    ];
    for (row, cache_control, pragma, expected) in rows {
        let mut headers = HeaderMap::new();
        for (name, value) in [(CACHE_CONTROL, cache_control), (PRAGMA, pragma)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        assert_eq!(request_control(&headers).no_cache, expected, "{row}");
    }
}
