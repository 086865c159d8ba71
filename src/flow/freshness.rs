//! Whether a valid entry may answer: by the route's word, or by RFC 9111.

use super::read::Read;
use super::shared::{Attitude, Shared};
use super::step::millis;
use crate::entry::{Content, Entry, Millis};
use crate::policy::CachedRoute;
use crate::protocol::serve::{Serve, StoredFreshness, may_serve, may_serve_on_error};
use crate::protocol::{CacheControl, age, conditional};

/// What the time that has passed leaves of a valid entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It answers the request.
    Fresh,
    /// It may answer while a refresh runs.
    Stale { since: Millis },
    /// It may not answer before the handler was asked.
    Unfit {
        /// When its time ended, or will.
        since: Millis,
        /// Whether it may answer if the handler fails.
        on_error: bool,
        /// Whether the handler may be asked if it is still good.
        revalidate: bool,
    },
}

/// Judges a valid entry, which soft invalidations have made stale at `softened_at` if they have.
pub(crate) fn judge(
    shared: &Shared,
    read: &Read,
    entry: &Entry,
    softened_at: Option<Millis>,
    now: Millis,
) -> Freshness {
    match shared.settings.attitude {
        _ if read.is_value => by_route(entry, 0, softened_at, now),
        Attitude::Routes => by_route(entry, millis(read.route.revalidate), softened_at, now),
        Attitude::Rfc9111 => by_rfc9111(shared, read, entry, softened_at, now),
    }
}

/// Whether the response of another request's run, which has just come, may answer this one without
/// the handler being asked: what a look-up would have to ask about may not be shared either.
pub(crate) fn may_share(shared: &Shared, read: &Read, entry: &Entry) -> bool {
    let now = shared.store.now();
    match shared.settings.attitude {
        _ if read.is_value => true,
        Attitude::Routes => true,
        Attitude::Rfc9111 => by_rfc9111(shared, read, entry, None, now) == Freshness::Fresh,
    }
}

/// The same, of what is stale and is there because that run has failed.
pub(crate) fn may_share_on_error(shared: &Shared, read: &Read, entry: &Entry) -> bool {
    let now = shared.store.now();
    match shared.settings.attitude {
        Attitude::Routes => true,
        Attitude::Rfc9111 => match by_rfc9111(shared, read, entry, None, now) {
            Freshness::Fresh | Freshness::Stale { .. } => true,
            Freshness::Unfit { on_error, .. } => on_error,
        },
    }
}

fn by_route(
    entry: &Entry,
    revalidate: Millis,
    softened_at: Option<Millis>,
    now: Millis,
) -> Freshness {
    let fresh_until = entry.head.fresh_until;
    if softened_at.is_none() && now < fresh_until {
        return Freshness::Fresh;
    }
    // Whatever is stale has been so by now, though our estimate of the store's clock be behind.
    let since = softened_at.unwrap_or(fresh_until).min(fresh_until).min(now);
    let within = |end: Millis| now < since.saturating_add(end.saturating_sub(fresh_until));
    if within(entry.stale_until) {
        return Freshness::Stale { since };
    }
    Freshness::Unfit {
        since,
        on_error: within(entry.error_until),
        revalidate: now < since.saturating_add(revalidate) && has_validator(entry),
    }
}

fn by_rfc9111(
    shared: &Shared,
    read: &Read,
    entry: &Entry,
    softened_at: Option<Millis>,
    now: Millis,
) -> Freshness {
    let Content::Response { headers, .. } = &entry.content else {
        return Freshness::Unfit { since: now, on_error: false, revalidate: false };
    };
    let mut control = shared.settings.control_of(headers).0;
    allow_stale(&mut control, &read.route);
    let fresh_until = entry.head.fresh_until;
    let since = softened_at.map_or(fresh_until, |at| at.min(fresh_until).min(now));
    let stored = StoredFreshness {
        control: &control,
        lifetime: lifetime(entry, since),
        age: age(entry.stored_at, entry.age, now),
    };
    let nothing = CacheControl::default();
    let wants = read.wants.as_deref().unwrap_or(&nothing);
    // A client may take what is old, but not what has been invalidated: that is for the window.
    let softened = softened_at.is_some().then(|| CacheControl { max_stale: None, ..wants.clone() });
    match may_serve(softened.as_ref().unwrap_or(wants), &stored) {
        Serve::Fresh => Freshness::Fresh,
        Serve::Stale => Freshness::Stale { since },
        Serve::Revalidate | Serve::No => Freshness::Unfit {
            since,
            on_error: may_serve_on_error(wants, &stored),
            revalidate: has_validator(entry),
        },
    }
}

/// The freshness lifetime of an entry whose time ends at `since`, in seconds since it was generated.
fn lifetime(entry: &Entry, since: Millis) -> u32 {
    let left = i128::from(since) - i128::from(entry.stored_at);
    let seconds = left.div_euclid(1000) + i128::from(entry.age);
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Lets the windows of the route stand in for those that a response does not have.
pub(crate) fn allow_stale(control: &mut CacheControl, route: &CachedRoute) {
    let seconds = |window: std::time::Duration| {
        let seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        (seconds > 0).then_some(seconds)
    };
    control.stale_while_revalidate =
        control.stale_while_revalidate.or(seconds(route.stale_while_revalidate));
    control.stale_if_error = control.stale_if_error.or(seconds(route.stale_if_error));
}

fn has_validator(entry: &Entry) -> bool {
    match &entry.content {
        Content::Response { headers, .. } => !conditional::validators(headers).is_empty(),
        Content::Value | Content::Varies(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::ETAG;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::entry::{Head, RunId};

    fn entry(fresh_until: Millis, stale: Millis, error: Millis) -> Entry {
        let head = Head { run: RunId([0; 8]), scopes: [0; 8], stamps: Box::default(), fresh_until };
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static("\"1\""));
        let content = Content::Response { status: StatusCode::OK, headers };
        let mut entry = Entry::new(head, 0, content, Bytes::new());
        entry.stale_until = fresh_until + stale;
        entry.error_until = fresh_until + error;
        entry
    }

    #[test]
    fn freshness_by_time_and_by_soft_invalidation() {
        // (windows for stale, error and revalidation, softened at, now) of an entry that is fresh
        // until 1000
        let rows = [
            ((0, 0, 0, None, 999), "fresh"),
            ((0, 0, 0, None, 1000), "nothing"),
            ((10, 0, 0, None, 1009), "stale"),
            ((10, 0, 0, None, 1010), "nothing"),
            ((0, 10, 0, None, 1009), "on error"),
            ((10, 20, 0, None, 1015), "on error"),
            ((0, 0, 10, None, 1009), "revalidate"),
            ((0, 0, 10, None, 1010), "nothing"),
            ((0, 10, 10, None, 1005), "both"),
            ((10, 0, 0, Some(500), 509), "stale"),
            ((10, 0, 0, Some(500), 510), "nothing"),
            ((0, 0, 10, Some(500), 509), "revalidate"),
            ((0, 0, 0, Some(500), 500), "nothing"),
            // The store minted the id at 500, and its clock reads 499 here.
            ((0, 0, 0, Some(500), 499), "nothing"),
            ((10, 0, 0, Some(500), 499), "stale"),
        ];
        for ((stale, error, revalidate, softened, now), expected) in rows {
            let found = match by_route(&entry(1000, stale, error), revalidate, softened, now) {
                Freshness::Fresh => "fresh",
                Freshness::Stale { .. } => "stale",
                Freshness::Unfit { on_error: true, revalidate: true, .. } => "both",
                Freshness::Unfit { on_error: true, .. } => "on error",
                Freshness::Unfit { revalidate: true, .. } => "revalidate",
                Freshness::Unfit { .. } => "nothing",
            };
            assert_eq!(found, expected, "{stale} {error} {revalidate} {softened:?} {now}");
        }
    }

    #[test]
    fn lifetimes_count_from_when_the_response_was_generated() {
        let mut stored = entry(60_000, 0, 0);
        stored.age = 5;
        assert_eq!(lifetime(&stored, 60_000), 65);
        // Stale from the beginning.
        stored.stored_at = 70_000;
        assert_eq!(lifetime(&stored, 60_000), 0);
    }
}
