//! What is stored under one key, and what it is worth: never a value of a header field, and the body
//! only if it is asked for.

use std::time::Duration;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Serialize;

use super::access::{Access, tenant_of};
use super::moment::{rfc3339, words};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::entry::{Content, Entry, Millis};
use crate::flow::{self, Inspection, StampState, Worth};

pub(super) const PARAMETERS: [&str; 6] =
    ["tenant", "tenantless", "target", "method", "entry", "body"];
pub(super) const REPEATED: [&str; 1] = ["header"];

/// How much of a body is shown.
const MOST_BODY: usize = 64 << 10;

/// How many headers a request by hand may have.
const MOST_HEADERS: usize = 32;

/// A key, and what is stored under it.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) tenant: Option<String>,
    /// The name of the key within its tenant: variant and text.
    pub(super) key: String,
    /// The template of its route, if it is known.
    pub(super) route: Option<String>,
    /// What is stored is worth, as a name.
    pub(super) state: &'static str,
    /// The same as a sentence.
    pub(super) explanation: String,
    /// Whether the memory of this process has answered, and not the store.
    pub(super) near: bool,
    pub(super) stored: Option<Metadata>,
    pub(super) stamps: Vec<Stamp>,
    /// The body, if it was asked for.
    pub(super) body: Option<Body>,
}

/// What an entry says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    /// `response`, `value`, or `varies` for one that names what the key's responses vary by.
    pub(super) kind: &'static str,
    pub(super) status: Option<u16>,
    /// The names of its header fields, or of those that responses vary by.
    pub(super) headers: Vec<String>,
    pub(super) stored_at: String,
    pub(super) age_s: u32,
    /// How long it stays fresh; negative since it is not any more.
    pub(super) ttl_s: i64,
    pub(super) stale_for_s: i64,
    /// Of its body, and of all that is stored.
    pub(super) body_bytes: usize,
    pub(super) bytes: usize,
    /// How long its handler ran.
    pub(super) handler_ms: f64,
    pub(super) groups: Vec<String>,
}

/// A scope that it is stamped with.
#[derive(Debug, Serialize)]
pub(super) struct Stamp {
    pub(super) scope: String,
    /// `valid`, `softened`, `moved`, `missing` or `closed`.
    pub(super) state: &'static str,
    pub(super) explanation: &'static str,
    /// Since when the generation in force is.
    pub(super) since: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Body {
    /// The text; what is not UTF-8 is replaced.
    pub(super) text: String,
    /// Whether there is more.
    pub(super) truncated: bool,
}

/// `host` is that of the request that asks: clients say the same one, unless told otherwise.
pub(super) async fn look_up(
    access: &Access,
    parameters: &Parameters,
    host: Option<HeaderValue>,
) -> Result<Found, Problem> {
    let part = access.part(parameters.get("tenant"), parameters.flag("tenantless")?)?;
    let with_body = parameters.flag("body")?;
    let shared = part.shared();
    let inspection = match (parameters.get("target"), parameters.get("entry")) {
        (Some(target), None) => {
            let method = parameters.get("method").unwrap_or("GET");
            let method = Method::from_bytes(method.as_bytes())
                .map_err(|_| Problem::bad("`method` is that of a request, such as GET"))?;
            let target = target_of(target)?;
            let mut headers = headers_of(parameters)?;
            if let Some(host) = host.filter(|_| !headers.contains_key(HOST)) {
                headers.insert(HOST, host);
            }
            let (space, tenantless) = (part.space(), part.is_tenantless());
            flow::inspect_target(shared, space, tenantless, method, target, headers)
                .await
                .map_err(|why| Problem::of_lookup(&why))?
        }
        (None, Some(entry)) => {
            let (variant, text) =
                entry.split_once(' ').filter(|(variant, _)| !variant.is_empty()).ok_or_else(
                    || Problem::bad("`entry` is a key as the list of keys has it: `GET /users`"),
                )?;
            flow::inspect_stored(shared, part.space(), variant, text)
                .await
                .map_err(|error| Problem::of_store(&error))?
        }
        _ => {
            return Err(Problem::bad(
                "say what to look up: `target`, a path with its query such as /users?role=member, or \
                 `entry`, a key as the list of keys has it",
            ));
        }
    };
    Ok(Found::of(&inspection, shared.store.now(), with_body))
}

/// The host that a request is for.
pub(super) fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    let named = uri.authority().and_then(|known| HeaderValue::try_from(known.as_str()).ok());
    named.or_else(|| headers.get(HOST).cloned())
}

fn target_of(text: &str) -> Result<Uri, Problem> {
    let uri: Option<Uri> = text.parse().ok();
    let origin_form = uri.filter(|uri| uri.authority().is_none() && text.starts_with('/'));
    origin_form.ok_or_else(|| {
        Problem::bad(
            "`target` is a path with its query, escaped as in a request: /users?role=member",
        )
    })
}

fn headers_of(parameters: &Parameters) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for line in parameters.all("header").flat_map(str::lines).filter(|line| !line.trim().is_empty())
    {
        let pair = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?))
        });
        let (name, value) =
            pair.ok_or_else(|| Problem::bad("write a `header` as `accept-language: de`"))?;
        if headers.len() == MOST_HEADERS {
            return Err(Problem::bad(format!("at most {MOST_HEADERS} headers")));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

impl Found {
    fn of(inspection: &Inspection, now: Millis, with_body: bool) -> Self {
        let names = &inspection.names;
        let key = names.space().key_of(names.entry()).unwrap_or_default().to_owned();
        let stored = inspection.entry.as_ref();
        let body = stored.filter(|_| with_body).map(|entry| Body::of(&entry.body));
        let stamps = inspection.stamps.iter().map(|stamp| Stamp {
            scope: stamp.scope.clone(),
            state: name_of(stamp.state),
            explanation: explain_stamp(stamp.state),
            since: stamp.since.map(rfc3339),
        });
        Self {
            tenant: tenant_of(names.space()),
            key,
            route: inspection.route.as_ref().map(|route| route.name.to_string()),
            state: inspection.worth.as_str(),
            explanation: explain(inspection, now),
            near: inspection.near,
            stored: stored.map(|entry| Metadata::of(entry, inspection.bytes, now)),
            stamps: stamps.collect(),
            body,
        }
    }
}

impl Metadata {
    fn of(entry: &Entry, bytes: usize, now: Millis) -> Self {
        let (kind, status, mut headers) = match &entry.content {
            Content::Response { status, headers } => {
                let names = headers.keys().map(ToString::to_string).collect();
                ("response", Some(status.as_u16()), names)
            }
            Content::Value => ("value", None, Vec::new()),
            Content::Varies(by) => ("varies", None, by.iter().map(ToString::to_string).collect()),
        };
        headers.sort();
        Self {
            kind,
            status,
            headers,
            stored_at: rfc3339(entry.stored_at),
            age_s: crate::protocol::age(entry.stored_at, entry.age, now),
            ttl_s: seconds_until(entry.head.fresh_until, now),
            stale_for_s: seconds_until(entry.stale_until, now),
            body_bytes: entry.body.len(),
            bytes,
            handler_ms: f64::from(entry.cost) / 1000.0,
            groups: entry.tags.iter().map(|(group, _)| group.clone()).collect(),
        }
    }
}

impl Body {
    fn of(body: &[u8]) -> Self {
        let shown = &body[..body.len().min(MOST_BODY)];
        let text = String::from_utf8_lossy(shown).into_owned();
        Self { text, truncated: shown.len() < body.len() }
    }
}

fn seconds_until(moment: Millis, now: Millis) -> i64 {
    let millis = i128::from(moment) - i128::from(now);
    i64::try_from(millis.div_euclid(1000)).unwrap_or(i64::MAX)
}

impl Worth {
    fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Corrupt => "corrupt",
            Self::Mismatched => "mismatched",
            Self::OtherConfiguration => "other-configuration",
            Self::OtherRun => "other-run",
            Self::Invalidated => "invalidated",
            Self::Unknown => "unknown",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

fn explain(inspection: &Inspection, now: Millis) -> String {
    let sentence = match inspection.worth {
        Worth::Absent if inspection.names.entry().contains(";host=") => {
            "Nothing is stored: the next request runs the handler. The key holds the host: if clients \
             say another one than you do, look it up with the header `host`."
        }
        Worth::Absent => "Nothing is stored: the next request runs the handler.",
        Worth::Corrupt => "What is stored can't be read. The next request removes it.",
        Worth::Mismatched => {
            "What is stored is the answer to something else. It is not served. Find out who else \
             writes to this store."
        }
        Worth::OtherConfiguration => {
            "It was stored under other routes or rules than this instance has. It is not served \
             here, and goes with its time."
        }
        Worth::OtherRun => {
            "It was stored before the store was restarted, or by another server, and is not served."
        }
        Worth::Invalidated => {
            "It has been invalidated: the stamps below say by what. The next request runs the \
             handler."
        }
        Worth::Unknown => {
            "Its name does not tell what invalidates it, since a template has made it, or since it has \
             tags of its own. If a request asks for it, look it up by the path of that request."
        }
        Worth::Stale => "It may be served while one request refreshes it.",
        Worth::Expired => "Its time is over: the next request runs the handler.",
        Worth::Fresh => {
            let left = inspection.entry.as_ref().map_or(0, |entry| entry.head.fresh_until);
            let left = Duration::from_millis(left.saturating_sub(now));
            return format!("It is served, for another {}.", words(left));
        }
    };
    sentence.to_owned()
}

fn name_of(state: StampState) -> &'static str {
    match state {
        StampState::Valid => "valid",
        StampState::Softened => "softened",
        StampState::Moved => "moved",
        StampState::Missing => "missing",
        StampState::Closed => "closed",
    }
}

fn explain_stamp(state: StampState) -> &'static str {
    match state {
        StampState::Valid => "as it was when the handler began",
        StampState::Softened => "softly invalidated since: stale",
        StampState::Moved => "invalidated since",
        StampState::Missing => "not known to the store any more",
        StampState::Closed => "closed while a write is under way",
    }
}
