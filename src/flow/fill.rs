//! A whole response becomes an entry.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AGE, CACHE_STATUS, ETAG};
use http::response::Parts;
use http_body::SizeHint;

use super::flights::Lead;
use super::lease::Lease;
use super::read::Read;
use super::shared::Shared;
use super::step::millis;
use super::step::within;
use crate::entry::{Content, Entry, Head, Millis, RunId, Snapshot};
use crate::policy::{Etag, MAX_TTL, ResponseTtl};
use crate::protocol::{
    CacheControl, StorableRules, Uncacheable, body_refusal, etag, initial_age, lifetime,
    response_refusal, strip,
};
use crate::store::{Filled, Refusal};

/// How a response is to be stored, worked out from its head.
pub(crate) struct Plan {
    /// When the head came, by the store's clock.
    began: Millis,
    fresh: Duration,
    age: u32,
    most: usize,
    /// Stale at the end of its time, whatever windows the route has.
    must_revalidate: bool,
}

impl Plan {
    /// The plan for a response with this head, or why it is not to be stored.
    pub(crate) fn new(
        shared: &Shared,
        read: &Read,
        parts: &Parts,
        hint: &SizeHint,
    ) -> Result<Self, Uncacheable> {
        let control = CacheControl::from_headers(&parts.headers);
        let configured = match parts.extensions.get::<ResponseTtl>() {
            Some(ResponseTtl(ttl)) if ttl.is_zero() => return Err(Uncacheable::NoStore),
            Some(ResponseTtl(ttl)) => Some((*ttl).min(MAX_TTL)),
            None => read.route.ttl_of(parts.status, read.ttl),
        };
        let most = read.route.max_body.unwrap_or(shared.settings.max_body);
        let rules = StorableRules {
            statuses: if configured.is_some() { &[parts.status] } else { &[] },
            keyed: &read.route.keyed_headers,
            max_body: most as u64,
        };
        if let Some(why) = response_refusal(parts.status, &parts.headers, &control, &rules) {
            return Err(why);
        }
        if hint.lower() > most as u64 {
            return Err(Uncacheable::TooLarge);
        }
        let configured = configured.unwrap_or_default();
        let fresh = lifetime(configured, &control, &parts.headers, read.route.allow_longer);
        if fresh < Duration::from_millis(1) {
            return Err(Uncacheable::Expired);
        }
        let fresh = fresh.min(MAX_TTL);
        let fresh = fresh.mul_f64(1.0 - f64::from(read.route.jitter) / 100.0 * fastrand::f64());
        Ok(Self {
            began: shared.store.now(),
            fresh,
            age: initial_age(&parts.headers),
            most,
            // RFC 9111, sections 5.2.2.2 and 5.2.2.8.
            must_revalidate: control.must_revalidate || control.proxy_revalidate,
        })
    }

    /// For how many seconds the response will be fresh.
    pub(crate) fn seconds(&self) -> i64 {
        i64::try_from(self.fresh.as_secs()).unwrap_or(i64::MAX)
    }

    /// How large the body may be.
    pub(crate) fn max_body(&self) -> usize {
        self.most
    }

    /// The entry, complete but for the stamps, which `finish` adds.
    pub(crate) fn entry(
        &self,
        read: &Read,
        parts: &Parts,
        chunks: Vec<Bytes>,
        took: Duration,
    ) -> Result<Entry, Uncacheable> {
        let body = join(chunks);
        let length = body.len() as u64;
        if let Some(why) = body_refusal(&parts.headers, length, false, self.most as u64) {
            return Err(why);
        }
        let mut headers = parts.headers.clone();
        strip(&mut headers);
        headers.remove(AGE);
        headers.remove(CACHE_STATUS);
        if read.route.etag == Etag::OfBody && !headers.contains_key(ETAG) {
            headers.insert(ETAG, etag::generate(&body));
        }
        let fresh_until = self.began + millis(self.fresh).max(1);
        let window = |window| if self.must_revalidate { 0 } else { millis(window) };
        Ok(Entry {
            head: Head {
                run: RunId([0; 8]),
                scopes: read.names.scopes_digest(),
                stamps: Box::default(),
                fresh_until,
            },
            name: read.names.entry_digest(),
            stored_at: self.began,
            age: self.age,
            stale_until: fresh_until + window(read.route.stale_while_revalidate),
            error_until: fresh_until + window(read.route.stale_if_error),
            cost: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            tags: Vec::new(),
            content: Content::Response { status: parts.status, headers },
            body,
        })
    }
}

/// Gives the response to those who wait for it, and stores it.
pub(crate) async fn finish(
    shared: &Arc<Shared>,
    read: &Read,
    (snapshot, mut lease, leads): (Option<Snapshot>, Option<Lease>, Vec<Lead>),
    mut entry: Entry,
) {
    shared.uncacheables.forget(&read.names);
    if let Some(snapshot) = &snapshot {
        entry.head.run = snapshot.run;
        entry.head.stamps = snapshot.stamps.clone();
    }
    let end = entry.stale_until.max(entry.error_until);
    let keep = end.saturating_sub(shared.store.now()).max(1);
    let frame = snapshot.is_some().then(|| entry.encode());
    if !leads.is_empty() {
        let entry = Arc::new(entry);
        for lead in &leads {
            lead.land(&entry);
        }
    }
    let (Some(snapshot), Some(frame)) = (snapshot, frame) else { return };
    store(shared, read, &snapshot, lease.as_mut(), frame, keep).await;
    // Only now, so that whoever comes in between joins the flight and does not run again.
    drop(leads);
}

async fn store(
    shared: &Arc<Shared>,
    read: &Read,
    snapshot: &Snapshot,
    lease: Option<&mut Lease>,
    frame: Bytes,
    keep: Millis,
) {
    let token = lease.as_ref().map(|lease| lease.token());
    let step = shared.store.fill(&read.names, snapshot, token, frame, keep);
    match within(shared.settings.fill_timeout, step).await {
        Ok(Filled::Stored) => {
            shared.counters.stored.increment();
            if let Some(lease) = lease {
                lease.lose();
            }
        }
        Ok(Filled::Refused(Refusal::Space)) => {
            shared.counters.store_errors.increment();
            tracing::warn!("the store has no room for an entry");
        }
        Ok(Filled::Refused(why)) => {
            shared.counters.refused.increment();
            tracing::debug!(route = %read.route.name, reason = why.as_str(), "fill refused");
        }
        Err(error) => shared.note_error("fill", &error),
    }
}

fn join(mut chunks: Vec<Bytes>) -> Bytes {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut body = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in &chunks {
        body.extend_from_slice(chunk);
    }
    body.freeze()
}
