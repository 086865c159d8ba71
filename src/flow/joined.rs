//! What becomes of a request that has waited for the run of another one.

use std::sync::Arc;

use http::HeaderMap;

use super::coalesce::Course;
use super::flights::Full;
use super::freshness::{may_share, may_share_on_error};
use super::hit::Served;
use super::lookup::{Seen, Verdict, examine, groups_of};
use super::read::Read;
use super::run::Run;
use super::shared::Shared;
use crate::entry::{Entry, Snapshot};
use crate::telemetry::Bound;

/// What a request does that waited for a run which has failed.
pub(super) fn failed_course(shared: &Shared, stale: &Arc<Entry>, read: &Read) -> Course {
    match failed(shared, stale, read) {
        Some(entry) => Course::Serve(entry, Served::Collapsed),
        None => Course::Run(Run::unshared()),
    }
}

/// What is stale, if this request may have it now that the run it waited for has failed.
pub(super) fn failed(shared: &Shared, stale: &Arc<Entry>, read: &Read) -> Option<Arc<Entry>> {
    let may = is_selected(shared, stale, read) && may_share_on_error(shared, read, stale);
    may.then(|| Arc::clone(stale))
}

/// Whether the response of another request's run is what this request selects, and may have. What
/// of its query counts, what the key's responses vary by and the groups that they are in may not
/// have been known when it joined.
pub(super) fn is_for(shared: &Shared, entry: &Entry, read: &Read) -> bool {
    is_selected(shared, entry, read) && may_share(shared, read, entry)
}

fn is_selected(shared: &Shared, entry: &Entry, read: &Read) -> bool {
    entry.name == read.names.entry_digest()
        && entry.selection == read.selection()
        && (entry.tags.is_empty() || !shared.dirty.covers_any(&groups_of(read, entry)))
}

/// What a second look-up gave.
pub(super) enum Looked {
    Served(Arc<Entry>),
    Missed {
        snapshot: Option<Snapshot>,
        unusable: bool,
        /// The request has other names now, since the key has variants.
        moved: bool,
    },
    /// The store did not answer.
    Nothing,
}

pub(super) async fn look_again(
    shared: &Arc<Shared>,
    read: &mut Read,
    headers: &HeaderMap,
) -> Looked {
    let before = read.names.entry_digest();
    let Ok(Seen { verdict, snapshot, .. }) = examine(shared, read, headers).await else {
        return Looked::Nothing;
    };
    let moved = read.names.entry_digest() != before;
    match verdict {
        Verdict::Fresh(entry) | Verdict::Due(entry) => Looked::Served(entry),
        Verdict::Stale(_) => Looked::Missed { snapshot, unusable: false, moved },
        Verdict::Miss { unusable, held, .. } => {
            // What was held may have gone, or been replaced.
            read.held = held.or(read.held.take());
            Looked::Missed { snapshot, unusable, moved }
        }
    }
}

/// Counts that there was no room to wait.
pub(super) fn count(shared: &Shared, why: Full) {
    match why {
        Full::Flight => shared.telemetry.over(Bound::Waiters),
        Full::Sky => shared.telemetry.over(Bound::Flights),
    }
}
