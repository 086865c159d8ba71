//! A stored response is brought up to date without its body being made anew: the handler is asked
//! whether it is still good (RFC 9111, section 4.3), or has answered a HEAD (section 4.3.5).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, DATE, ETAG, LAST_MODIFIED};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body::SizeHint;
use tokio::time::Instant;

use super::fill;
use super::lookup::Held;
use super::origin::{Answer, Handler, Origin};
use super::plan::Plan;
use super::read::{Read, forward_miss};
use super::shared::{Attitude, Shared};
use super::step::{after, step};
use crate::entry::{Content, Entry, Snapshot};
use crate::policy::{ResponseGroups, ResponseTtl};
use crate::protocol::conditional;

/// What a refresh of this entry can ask the handler about, if it may.
pub(crate) fn held_for_refresh(
    shared: &Shared,
    read: &Read,
    entry: &Arc<Entry>,
    snapshot: Option<&Snapshot>,
) -> Option<Box<Held>> {
    let may = shared.settings.attitude == Attitude::Rfc9111 || !read.route.revalidate.is_zero();
    may.then(|| {
        Box::new(Held {
            entry: Arc::clone(entry),
            frame: Bytes::new(),
            snapshot: snapshot.cloned(),
            on_error: false,
            revalidate: true,
        })
    })
}

/// The conditions under which a run with this snapshot asks the handler, if what is stored is
/// still all that has been seen: empty if it is not.
///
/// An invalidation in between means that the stored response is of a handler that began before it,
/// and no 304 makes that undone.
pub(crate) fn conditions(held: Option<&Held>, snapshot: Option<&Snapshot>) -> HeaderMap {
    let is_same = |held: &&Held| held.revalidate && held.snapshot.as_ref() == snapshot;
    match held.filter(is_same).map(|held| &held.entry.content) {
        Some(Content::Response { headers, .. }) if snapshot.is_some() => {
            conditional::validators(headers)
        }
        _ => HeaderMap::new(),
    }
}

/// The response that a 304 confirms: the stored one with what the 304 says anew. `None` if the 304
/// is about another one.
pub(crate) fn confirmed(held: &Held, not_modified: &Parts) -> Option<(Parts, Bytes)> {
    let Content::Response { status, headers } = &held.entry.content else { return None };
    let mut headers = headers.clone();
    if !conditional::freshen(&mut headers, &not_modified.headers) {
        return None;
    }
    // RFC 9110, section 6.6.1: without a date it was made when it came.
    for name in [AGE, DATE] {
        copy(&name, &not_modified.headers, &mut headers);
    }
    let mut response = Response::new(());
    *response.status_mut() = *status;
    *response.headers_mut() = headers;
    let (said, extensions) = (&not_modified.extensions, response.extensions_mut());
    if let Some(ttl) = said.get::<ResponseTtl>() {
        extensions.insert(*ttl);
    }
    // The body is of the groups that it was of, whatever is said beside it: one too many ends it
    // too early, one too few would never end it.
    let mut groups: Vec<_> = held.entry.tags.iter().map(|(group, _)| group.clone()).collect();
    if let Some(ResponseGroups(more)) = said.get() {
        groups.extend(more.iter().cloned());
    }
    extensions.insert(ResponseGroups(groups));
    Some((response.into_parts().0, held.entry.body.clone()))
}

fn copy(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    to.remove(name);
    for value in from.get_all(name) {
        let _ = to.try_append(name.clone(), value.clone());
    }
}

/// Passes a HEAD on, and brings what is stored up to date with the answer: one that agrees with it
/// freshens it, any other makes it invalid (RFC 9111, section 4.3.5).
pub(super) async fn by_head<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    origin: Origin<S, B>,
    snapshot: Option<Snapshot>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let detail = read.alone.map(crate::telemetry::Bypass::as_str);
    let is_comparable = |held: &Held| held.snapshot.is_some();
    if read.alone.is_some() || !read.held.as_deref().is_some_and(is_comparable) {
        return forward_miss(&shared, &read, origin, detail).await;
    }
    let asked = origin.headers().clone();
    let (began, began_at) = (Instant::now(), shared.store.now());
    let response = forward_miss(&shared, &read, origin, detail).await?;
    let Some(held) = read.held.take().filter(|_| response.status() == StatusCode::OK) else {
        return Ok(response);
    };
    let (parts, body) = response.into_parts();
    let mut told = Response::new(());
    *told.headers_mut() = parts.headers.clone();
    *told.extensions_mut() = parts.extensions.clone();
    let told = told.into_parts().0;
    let task = {
        let shared = Arc::clone(&shared);
        async move {
            if !agrees(&held, &told.headers) {
                let deadline = after(shared.settings.fill_timeout);
                let discard = step(&shared, "discard", deadline, |store| {
                    store.discard(&read.names, &held.frame)
                });
                let _ = discard.await;
                return;
            }
            // Without one nobody can tell whether it is about what is stored.
            let has_validator = [ETAG, LAST_MODIFIED].iter().any(|n| told.headers.contains_key(n));
            if !has_validator {
                return;
            }
            let Some((parts, body)) = confirmed(&held, &told) else { return };
            let hint = SizeHint::with_exact(body.len() as u64);
            let Ok(plan) = Plan::new(&shared, &read, &parts, &hint, (&asked, began_at)) else {
                return;
            };
            if let Ok(entry) = plan.entry(&read, &parts, vec![body], began.elapsed()) {
                let held = (snapshot, None, Vec::new());
                fill::finish(&shared, &read, held, plan, entry).await;
            }
        }
    };
    shared.work.spawn(task);
    Ok(Response::from_parts(parts, body))
}

/// Whether the answer to a HEAD is of the representation that is stored.
fn agrees(held: &Held, told: &HeaderMap) -> bool {
    let Content::Response { headers, .. } = &held.entry.content else { return false };
    let same = |name: &HeaderName| told.get(name).is_none_or(|new| headers.get(name) == Some(new));
    let length = told.get(CONTENT_LENGTH).is_none_or(|length| {
        length.to_str().ok().and_then(|text| text.parse().ok()) == Some(held.entry.body.len())
    });
    length && same(&ETAG) && same(&LAST_MODIFIED)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::IF_NONE_MATCH;

    use super::*;
    use crate::entry::{Head, Id, RunId};

    fn snapshot(micros: u64) -> Snapshot {
        let id = Id::mint(micros, [0; 8]);
        Snapshot { stamps: [id].into(), epoch: id, run: RunId([0; 8]) }
    }

    fn held(found_under: Option<Snapshot>) -> Held {
        let head = Head { run: RunId([0; 8]), scopes: [0; 8], stamps: [].into(), fresh_until: 0 };
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static("\"1\""));
        let content = Content::Response { status: StatusCode::OK, headers };
        let entry = Entry::new(head, 0, content, Bytes::from_static(b"body"));
        let frame = Bytes::new();
        let entry = Arc::new(entry);
        Held { entry, frame, snapshot: found_under, on_error: false, revalidate: true }
    }

    #[test]
    fn nothing_is_asked_about_what_was_invalidated_since_it_was_found() {
        let asks = |held: &Held, run: Option<&Snapshot>| {
            conditions(Some(held), run).contains_key(IF_NONE_MATCH)
        };
        let (before, after) = (snapshot(1), snapshot(2));
        assert!(asks(&held(Some(before.clone())), Some(&before)));
        assert!(!asks(&held(Some(before.clone())), Some(&after)));
        // Of a run without a snapshot nothing is stored, and nothing is known.
        assert!(!asks(&held(Some(before.clone())), None));
        assert!(!asks(&held(None), None));
        assert!(!asks(&held(None), Some(&before)));
        let forbidden = Held { revalidate: false, ..held(Some(before.clone())) };
        assert!(!asks(&forbidden, Some(&before)));
        assert!(conditions(None, Some(&before)).is_empty());
    }

    #[test]
    fn the_answer_to_a_head_agrees_by_length_and_validators_rfc9111_4_3_5() {
        type Row = (&'static str, &'static [(&'static HeaderName, &'static str)], bool);
        let rows: [Row; 6] = [
            ("nothing said", &[], true),
            ("the same tag", &[(&ETAG, "\"1\"")], true),
            ("another tag", &[(&ETAG, "\"2\"")], false),
            ("the same length", &[(&CONTENT_LENGTH, "4")], true),
            ("another length", &[(&ETAG, "\"1\""), (&CONTENT_LENGTH, "5")], false),
            ("a date that is not stored", &[(&LAST_MODIFIED, "x")], false),
        ];
        for (row, fields, expected) in rows {
            let mut told = HeaderMap::new();
            for (name, value) in fields {
                told.append(*name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(agrees(&held(None), &told), expected, "{row}");
        }
    }
}
