//! What a request says beside its path and its query, where that is part of its key: who asks, and the
//! fields. Written as the text of the key's variant, or as bytes by which a key is known again.

use std::borrow::Cow;
use std::cell::Cell;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::request::Parts;

use crate::key::{TenantId, encode};
use crate::policy::{CachedRoute, Params, Unreadable, Users};
use crate::protocol::Glance;
use crate::telemetry::Bypass;

/// Writes all of it, with who asks as [`identity`] has read it.
pub(super) fn write(
    route: &CachedRoute,
    parts: &Parts,
    fields: Glance<'_>,
    identity: Option<&str>,
    out: &mut impl Variant,
) {
    if let Some(identity) = identity {
        // No name of a header field begins with an at sign.
        out.name("@");
        out.value(identity.as_bytes());
    }
    push_headers(route, parts, fields, out);
}

/// Where it is written.
pub(super) trait Variant {
    /// Begins what stands under a name.
    fn name(&mut self, name: &str);

    /// One of the values of that name.
    fn value(&mut self, value: &[u8]);

    /// A value that is for nobody to read: a digest of it.
    fn secret(&mut self, value: &[u8]);
}

/// As text: `;name=value,value`, or `;name` for one that has no value. Names of keys are for operators to
/// read.
pub(super) struct Text {
    text: String,
    separator: char,
}

impl Text {
    /// That of a method.
    pub(super) fn new(method: &str) -> Self {
        let mut text = String::with_capacity(64);
        text.push_str(method);
        Self { text, separator: '=' }
    }

    /// The text, or a digest in its place if it is longer than `most` bytes.
    pub(super) fn within(self, most: usize, method: &str) -> String {
        if self.text.len() <= most {
            return self.text;
        }
        format!("{method};@#{}", blake3::hash(self.text.as_bytes()))
    }
}

impl Variant for Text {
    fn name(&mut self, name: &str) {
        self.text.push(';');
        self.text.push_str(name);
        self.separator = '=';
    }

    fn value(&mut self, value: &[u8]) {
        self.text.push(self.separator);
        self.separator = ',';
        encode(value, &mut self.text);
    }

    fn secret(&mut self, value: &[u8]) {
        self.value(&[]);
        self.text.push('#');
        self.text.push_str(&blake3::hash(value).to_hex());
    }
}

/// As bytes that are equal only if the texts are: values as they came, with their lengths.
#[derive(Default)]
pub(super) struct Raw(pub(super) Vec<u8>);

thread_local! {
    /// Where the bytes of one request after another are written.
    static WRITTEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Raw {
    /// Nothing yet, in the place of those before it.
    pub(super) fn begin() -> Self {
        let mut bytes = WRITTEN.take();
        bytes.clear();
        Self(bytes)
    }

    /// What is long stands there as a digest, which does not begin as anything else does.
    pub(super) fn shorten(&mut self) {
        const LONG: usize = 512;
        if self.0.len() > LONG {
            let digest = blake3::hash(&self.0);
            self.0.clear();
            self.0.push(0);
            self.0.extend_from_slice(digest.as_bytes());
        }
    }

    /// Gives the place back, unless somebody has had it grow far.
    pub(super) fn end(self) {
        const MOST: usize = 4096;
        if self.0.capacity() <= MOST {
            WRITTEN.set(self.0);
        }
    }
}

impl Variant for Raw {
    fn name(&mut self, name: &str) {
        // A length never begins so: no field is so long.
        self.0.extend_from_slice(&[0xff; 4]);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b';');
    }

    fn value(&mut self, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX - 1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
    }

    fn secret(&mut self, value: &[u8]) {
        self.value(blake3::hash(value).as_bytes());
    }
}

/// Who asks, if that is part of the key. To be read once a request: the app's function may answer otherwise
/// the next time, and what is compared and what is stored must be of one user.
///
/// # Errors
///
/// If there are credentials that go unmentioned, or an identity is lacking.
pub(super) fn identity<'a>(
    route: &CachedRoute,
    parts: &'a Parts,
    fields: &Glance<'_>,
    params: &Params<'a>,
    rfc9111: bool,
) -> Result<Option<Cow<'a, str>>, Bypass> {
    match &route.users {
        Some(Users::Same) => Ok(None),
        Some(Users::Per(identity)) => {
            let identity = identity.source().read(parts, params);
            let text = identity.map_err(|why| match why {
                Unreadable::Missing => Bypass::NoIdentity,
                Unreadable::Malformed => Bypass::BadIdentity,
            })?;
            // The same bounds as a tenant's: what is too long to be one is not an id.
            TenantId::check(&text).map_err(|_| Bypass::BadIdentity)?;
            Ok(Some(text))
        }
        None => {
            let carries = |name| fields.has(&name) && !route.keyed_headers.contains(&name);
            // RFC 9111, section 3.5, lets the response say whether others may have it.
            let ignores_authorization = route.refusals.ignore_authorization || rfc9111;
            if carries(AUTHORIZATION) && !ignores_authorization {
                return Err(Bypass::Authorization);
            }
            if carries(COOKIE) && !route.refusals.ignore_cookies {
                return Err(Bypass::Cookie);
            }
            Ok(None)
        }
    }
}

/// Adds the declared request headers, and those of the fields that are keyed if they are sent.
fn push_headers(route: &CachedRoute, parts: &Parts, fields: Glance<'_>, out: &mut impl Variant) {
    for name in &route.keyed_headers {
        if *name == HOST {
            push_host(parts, fields, out);
        } else {
            push_header(name, parts, out);
        }
    }
    if route.keyed_if_sent.has_host() {
        push_host(parts, fields, out);
    }
    for name in route.keyed_if_sent.found(fields) {
        push_header(name, parts, out);
    }
}

fn push_header(name: &HeaderName, parts: &Parts, out: &mut impl Variant) {
    let is_secret = *name == AUTHORIZATION || *name == COOKIE;
    out.name(name.as_str());
    for value in parts.headers.get_all(name) {
        if is_secret {
            out.secret(value.as_bytes());
        } else {
            out.value(value.as_bytes());
        }
    }
}

/// Adds the host that the request was sent to. Where the target names one (RFC 9112, section 3.2.2;
/// HTTP/2's `:authority`), it counts, with its scheme, and a Host beside it is the same.
fn push_host(parts: &Parts, fields: Glance<'_>, out: &mut impl Variant) {
    let Some(authority) = parts.uri.authority() else {
        // Sent twice it has no key.
        if let (Some(host), _) = fields.host() {
            out.name("host");
            out.value(host.as_bytes());
        }
        return;
    };
    out.name("host");
    out.value(authority.as_str().as_bytes());
    if let Some(scheme) = parts.uri.scheme() {
        out.name("@scheme");
        out.value(scheme.as_str().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is written: names, each with its values, of which some are secret.
    type Said = Vec<(String, Vec<(bool, Vec<u8>)>)>;

    fn written(said: &Said, out: &mut impl Variant) {
        for (name, values) in said {
            out.name(name);
            for (is_secret, value) in values {
                if *is_secret {
                    out.secret(value);
                } else {
                    out.value(value);
                }
            }
        }
    }

    fn said() -> impl Strategy<Value = Said> {
        let value =
            proptest::collection::vec(prop::sample::select(&[0, b';', b'=', b'a', 0xff][..]), 0..5);
        let values = proptest::collection::vec((any::<bool>(), value), 0..3);
        proptest::collection::vec(("[ab]{1,2}", values), 0..4)
    }

    #[test]
    fn the_text_is_for_operators_to_read() {
        let mut text = Text::new("GET");
        let said = vec![
            ("host".to_owned(), vec![(false, b"a:1".to_vec())]),
            ("x-none".to_owned(), vec![]),
            ("x-two".to_owned(), vec![(false, b"1".to_vec()), (false, b"2".to_vec())]),
            ("cookie".to_owned(), vec![(true, b"s".to_vec()), (true, b"s".to_vec())]),
        ];
        written(&said, &mut text);
        let digest = format!("#{}", blake3::hash(b"s"));
        let expected = format!("GET;host=a%3A1;x-none;x-two=1,2;cookie={digest},{digest}");
        assert_eq!(text.text, expected);
        let mut raw = Raw::default();
        written(&said, &mut raw);
        assert!(raw.0.windows(32).any(|it| it == blake3::hash(b"s").as_bytes()));
        assert!(!raw.0.windows(5).any(|it| it == b"\0\0\0\x01s"), "a secret is not kept");
        let before = raw.0.clone();
        raw.shorten();
        assert_eq!(raw.0, before, "it is short");
        let long = vec![("x-long".to_owned(), vec![(false, vec![b'a'; 1000])])];
        let shortened = |said: &Said| {
            let mut raw = Raw::default();
            written(said, &mut raw);
            raw.shorten();
            raw.0
        };
        let other = vec![("x-long".to_owned(), vec![(false, vec![b'a'; 1001])])];
        assert!(shortened(&long).len() < 64 && shortened(&long) != shortened(&other));
    }

    proptest! {
        #[test]
        fn bytes_are_equal_where_texts_are(one in said(), other in said(), at in any::<usize>()) {
            let bytes = |said: &Said| {
                let mut raw = Raw::default();
                written(said, &mut raw);
                raw.0
            };
            let text = |said: &Said| {
                let mut text = Text::new("GET");
                written(said, &mut text);
                text.text
            };
            // One that has nothing to do with it, and one that differs in little.
            let mut near = one.clone();
            if !near.is_empty() {
                let (name, values) = &mut near[at % one.len()];
                match values.pop() {
                    Some((is_secret, mut value)) => {
                        value.pop();
                        values.push((is_secret, value));
                    }
                    None => name.push('a'),
                }
            }
            for other in [other, near] {
                prop_assert_eq!(bytes(&one) == bytes(&other), one == other);
                prop_assert_eq!(text(&one) == text(&other), one == other);
            }
        }
    }
}
