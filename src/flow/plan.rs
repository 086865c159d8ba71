//! Whether a response is stored, for how long, and as what.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AGE, CACHE_STATUS, ETAG, SET_COOKIE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method};
use http_body::SizeHint;

use super::freshness::allow_stale;
use super::read::Read;
use super::shared::{Attitude, Shared};
use super::step::millis;
use super::variants::Variant;
use crate::entry::{Content, Entry, Head, Id, Millis, Prepared, RunId};
use crate::key::Names;
use crate::policy::{Etag, MAX_TTL, ResponseGroups, ResponseTtl, Users};
use crate::protocol::freshness::{ResponseHead, corrected_initial_age, freshness_lifetime};
use crate::protocol::groups::{self, MAX_GROUP, MAX_GROUPS};
use crate::protocol::permission::{confined_fields, storable_rfc9111};
use crate::protocol::vary::{self, Vary};
use crate::protocol::{
    CacheControl, Extent, StorableRules, Uncacheable, body_refusal, conditional, etag, head_size,
    initial_age, lifetime, response_refusal, strip,
};

/// How a response is to be stored, worked out from its head.
pub(crate) struct Plan {
    /// When the head came, by the store's clock.
    began: Millis,
    fresh_until: Millis,
    age: u32,
    most: usize,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    /// For how long after its time the handler may be asked whether it is still good.
    revalidate: Duration,
    /// What is not stored of the head.
    unstored: Vec<HeaderName>,
    groups: Vec<String>,
    /// Where it belongs, if that is elsewhere than its request looked.
    pub(super) place: Option<Place>,
}

/// Where a response is stored.
pub(crate) struct Place {
    pub(super) names: Names,
    /// Which of a key's variants that is, if it is one.
    pub(super) variant: Option<Box<Variant>>,
}

/// In the place of a stamp, for those who need none.
const UNSTAMPED: Id = Id::mint(0, [0; 8]);

/// For how long a response is good, by whoever has the word.
struct Times {
    fresh: i64,
    age: u32,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    revalidate: Duration,
}

impl Plan {
    /// The plan for a response with this head, or why it is not to be stored. The request had these
    /// headers, and went to the handler at this moment.
    pub(crate) fn new(
        shared: &Shared,
        read: &Read,
        parts: &Parts,
        hint: &SizeHint,
        (asked, requested_at): (&HeaderMap, Millis),
    ) -> Result<Self, Uncacheable> {
        let most = read.route.max_body.unwrap_or(shared.settings.max_body);
        let now = shared.store.now();
        let (control, targeted) = shared.settings.control_of(&parts.headers);
        let times = match shared.settings.attitude {
            Attitude::Routes => by_route(read, parts, &control, most)?,
            Attitude::Rfc9111 => {
                let head = ResponseHead {
                    status: parts.status,
                    headers: &parts.headers,
                    control: &control,
                    targeted,
                    received_at: now,
                };
                by_rfc9111(read, parts, &head, most, (asked, requested_at))?
            }
        };
        if hint.lower() > most as u64 {
            return Err(Uncacheable::TooLarge);
        }
        // Before anything is remembered of what they say.
        if head_size(&parts.headers) > shared.settings.max_head {
            return Err(Uncacheable::HeadTooLarge);
        }
        let fresh_until = now.saturating_add_signed(times.fresh);
        let mut unstored: Vec<_> = confined_fields(&control).cloned().collect();
        unstored.extend(shared.settings.unstored().iter().cloned());
        if read.route.refusals.without_set_cookie {
            unstored.push(SET_COOKIE);
        }
        Ok(Self {
            began: now,
            fresh_until,
            age: times.age,
            most,
            stale_while_revalidate: times.stale_while_revalidate,
            stale_if_error: times.stale_if_error,
            revalidate: times.revalidate,
            unstored,
            groups: groups_of(parts)?,
            place: place_of(shared, read, &parts.headers, asked)?,
        })
    }

    /// The plan for a value that is fresh until then.
    #[cfg(feature = "data")]
    pub(super) fn of_value(now: Millis, fresh_until: Millis) -> Self {
        Self {
            began: now,
            fresh_until,
            age: 0,
            most: usize::MAX,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            revalidate: Duration::ZERO,
            unstored: Vec::new(),
            groups: Vec::new(),
            place: None,
        }
    }

    /// For how many seconds the response will be fresh.
    pub(crate) fn seconds(&self) -> i64 {
        let left = i128::from(self.fresh_until) - i128::from(self.began);
        i64::try_from(left.div_euclid(1000)).unwrap_or(i64::MAX)
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
        for name in [AGE, CACHE_STATUS].iter().chain(&self.unstored) {
            headers.remove(name);
        }
        if read.route.etag == Etag::OfBody && !headers.contains_key(ETAG) {
            headers.insert(ETAG, etag::generate(&body));
        }
        let (names, selection) = match &self.place {
            Some(place) => (&place.names, place.variant.as_ref().map(|known| known.selection)),
            None => (&*read.names, read.selection()),
        };
        Ok(Entry {
            head: Head {
                run: RunId([0; 8]),
                scopes: read.names.scopes_digest(),
                stamps: Box::default(),
                fresh_until: self.fresh_until,
            },
            name: names.entry_digest(),
            stored_at: self.began,
            age: self.age,
            stale_until: self.fresh_until.saturating_add(millis(self.stale_while_revalidate)),
            error_until: self.fresh_until.saturating_add(millis(self.stale_if_error)),
            cost: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            // Their stamps are known when it is stored.
            tags: self.groups.iter().map(|group| (group.clone(), UNSTAMPED)).collect(),
            selection,
            content: Content::Response { status: parts.status, headers },
            body,
            prepared: Prepared::default(),
        })
    }

    /// How long the entry is of use from now on.
    pub(super) fn keep(&self, entry: &Entry, now: Millis) -> Millis {
        let last = self.fresh_until.saturating_add(millis(self.revalidate));
        let end = entry.stale_until.max(entry.error_until).max(last);
        end.saturating_sub(now).max(1)
    }
}

/// The route says what is stored, and for how long; the response may say less.
fn by_route(
    read: &Read,
    parts: &Parts,
    control: &CacheControl,
    most: usize,
) -> Result<Times, Uncacheable> {
    let route = &read.route;
    let configured = match parts.extensions.get::<ResponseTtl>() {
        Some(ResponseTtl(ttl)) if ttl.is_zero() => return Err(Uncacheable::NoStore),
        Some(ResponseTtl(ttl)) => Some((*ttl).min(MAX_TTL)),
        None => route.ttl_of(parts.status, read.ttl),
    };
    let rules = StorableRules {
        statuses: if configured.is_some() { &[parts.status] } else { &[] },
        max_body: most as u64,
        private: route.refusals.store_private,
        set_cookie: route.refusals.without_set_cookie,
    };
    if let Some(why) = response_refusal(parts.status, &parts.headers, control, &rules) {
        return Err(why);
    }
    let configured = configured.unwrap_or_default();
    let fresh = lifetime(configured, control, &parts.headers, route.allow_longer);
    if fresh < Duration::from_millis(1) {
        return Err(Uncacheable::Expired);
    }
    let fresh = fresh.min(MAX_TTL);
    let fresh = fresh.mul_f64(1.0 - f64::from(route.jitter) / 100.0 * fastrand::f64());
    // RFC 9111, sections 5.2.2.2 and 5.2.2.8.
    let must_revalidate = control.must_revalidate || control.proxy_revalidate;
    let window = |window| if must_revalidate { Duration::ZERO } else { window };
    Ok(Times {
        fresh: i64::try_from(millis(fresh).max(1)).unwrap_or(i64::MAX),
        age: initial_age(&parts.headers),
        stale_while_revalidate: window(route.stale_while_revalidate),
        stale_if_error: window(route.stale_if_error),
        revalidate: route.revalidate,
    })
}

/// The response says whether it is stored, and for how long.
fn by_rfc9111(
    read: &Read,
    parts: &Parts,
    head: &ResponseHead<'_>,
    most: usize,
    (asked, requested_at): (&HeaderMap, Millis),
) -> Result<Times, Uncacheable> {
    let nothing = CacheControl::default();
    let wants = read.wants.as_deref().unwrap_or(&nothing);
    // The app has said what of Authorization is in the key, or that it does not matter.
    let (nobody, refusals) = (HeaderMap::new(), read.route.refusals);
    let is_keyed = matches!(read.route.users, Some(Users::Per(_)));
    let asked = if is_keyed || refusals.ignore_authorization { &nobody } else { asked };
    if let Some(why) = storable_rfc9111(&Method::GET, asked, wants, head, most as u64) {
        return Err(why);
    }
    let lifetime = match parts.extensions.get::<ResponseTtl>() {
        Some(ResponseTtl(ttl)) if ttl.is_zero() => return Err(Uncacheable::NoStore),
        Some(ResponseTtl(ttl)) => i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
        None => i64::from(freshness_lifetime(head).seconds()),
    };
    let age = corrected_initial_age(head.headers, requested_at, head.received_at);
    let fresh = lifetime.saturating_sub(i64::from(age)).saturating_mul(1000);
    let mut control = head.control.clone();
    allow_stale(&mut control, &read.route);
    let seconds = |window: Option<u32>| Duration::from_secs(window.unwrap_or(0).into());
    let has_validator = !conditional::validators(head.headers).is_empty();
    // One that names fields confines these and nothing else (RFC 9111, section 5.2.2.4).
    let is_validated = control.no_cache == Some(Extent::Whole) || fresh <= 0;
    if is_validated && !has_validator {
        // It could never be used.
        return Err(if fresh <= 0 { Uncacheable::Expired } else { Uncacheable::NoCache });
    }
    Ok(Times {
        fresh: fresh.min(i64::try_from(MAX_TTL.as_millis()).unwrap_or(i64::MAX)),
        age,
        stale_while_revalidate: seconds(control.stale_while_revalidate),
        stale_if_error: seconds(control.stale_if_error),
        revalidate: read.route.revalidate,
    })
}

/// The groups that a response is in: by its field and by its extension.
fn groups_of(parts: &Parts) -> Result<Vec<String>, Uncacheable> {
    let said = groups::cache_groups(&parts.headers).map_err(|_| Uncacheable::TooManyGroups)?;
    let Some(ResponseGroups(more)) = parts.extensions.get() else { return Ok(said) };
    let mut all = said;
    all.extend(more.iter().cloned());
    all.sort_unstable();
    all.dedup();
    let fits = all.len() <= MAX_GROUPS && all.iter().all(|group| group.len() <= MAX_GROUP);
    if fits { Ok(all) } else { Err(Uncacheable::TooManyGroups) }
}

/// Where a response with these headers belongs, if that is elsewhere than its request looked: by
/// what it says of the query, and by what it varies.
fn place_of(
    shared: &Shared,
    read: &Read,
    headers: &HeaderMap,
    asked: &HeaderMap,
) -> Result<Option<Place>, Uncacheable> {
    let by = match vary::selecting(headers) {
        Vary::Fields(by) => by,
        Vary::None | Vary::Star => Vec::new(),
    };
    let Some(key) = read.learn_search(shared, headers) else {
        let known: &[HeaderName] = read.variant.as_ref().map_or(&[], |variant| &variant.fields);
        let is_known = |name| known.contains(name) || read.route.keyed_headers.contains(name);
        if by.iter().all(is_known) {
            return Ok(None);
        }
        let fields = read.learn(shared, &by).ok_or(Uncacheable::VaryLimit)?;
        let (names, variant) = Variant::of(shared, read.key(), fields, asked);
        return Ok(Some(Place { names, variant: Some(Box::new(variant)) }));
    };
    let fields = read.learn_of(shared, &key, &by).ok_or(Uncacheable::VaryLimit)?;
    if fields.is_empty() {
        return Ok(Some(Place { names: key, variant: None }));
    }
    let (names, variant) = Variant::of(shared, &key, fields, asked);
    Ok(Some(Place { names, variant: Some(Box::new(variant)) }))
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
