//! What this store has moved lately: what another primary may have to be told.
//!
//! Kept are tenants, not scopes. Every key has the scope of its tenant, so moving that one ends
//! whatever any invalidation, fence, removal or pattern of the tenant was to end. It ends the rest
//! too, which is next to nothing: on a primary that has just become one, only what was stored there
//! since then is valid at all.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::failure::Failure;
use crate::key::{EPOCHS, ScopeNames, Space};
use crate::store::StoreErrorKind;

/// For how long a tenant is remembered at least, and at most twice as long. Three times what may pass
/// until an instance knows of another primary: about a second until it asks, some seconds until the
/// sentinels have told each other, and [`SETTLE`](super::tenure::SETTLE).
const AGE: Duration = Duration::from_secs(30);

/// How many tenants are remembered of one such span. With their names, about 8 MiB.
const MOST: usize = 65_536;

/// The tenants that had something moved, in this span and in the one before.
#[derive(Debug)]
pub(super) struct Lately(Mutex<Spans>);

#[derive(Debug)]
struct Spans {
    began: Instant,
    most: usize,
    this: Span,
    last: Span,
}

#[derive(Debug, Default)]
struct Span {
    tenants: HashSet<Space>,
    /// Of which the scope of all tenants has moved.
    namespaces: HashSet<Box<str>>,
}

impl Lately {
    pub(super) fn new(now: Instant) -> Self {
        Self::with_room(now, MOST)
    }

    fn with_room(now: Instant, most: usize) -> Self {
        let (this, last) = (Span::default(), Span::default());
        Self(Mutex::new(Spans { began: now, most, this, last }))
    }

    /// Remembers that something of the tenant is about to move. To be called before the primary is
    /// chosen that is asked to: whoever leaves that primary then finds it here.
    ///
    /// # Errors
    ///
    /// If there is no room. Then it must not be confirmed.
    pub(super) fn note_tenant(&self, space: &Space) -> Result<(), Failure> {
        let mut spans = self.0.lock();
        if spans.this.tenants.contains(space) {
            return Ok(());
        }
        if spans.this.tenants.len() >= spans.most {
            let text = "more tenants have been invalidated in half a minute than can be remembered";
            return Err(Failure::new(StoreErrorKind::Refused, text));
        }
        spans.this.tenants.insert(space.clone());
        Ok(())
    }

    /// The same for a set of scopes.
    pub(super) fn note(&self, scopes: &ScopeNames) -> Result<(), Failure> {
        if scopes.all_tenants().is_some() {
            let mut spans = self.0.lock();
            let namespace = scopes.space().namespace();
            if !spans.this.namespaces.contains(namespace) {
                spans.this.namespaces.insert(namespace.into());
            }
        }
        // With a configuration the whole tenant may move beside them.
        let is_of_tenant = !scopes.generations().is_empty()
            || scopes.has_epochs()
            || scopes.configuration().is_some();
        if is_of_tenant { self.note_tenant(scopes.space()) } else { Ok(()) }
    }

    /// Forgets what is old enough, if it is time to.
    pub(super) fn forget(&self, now: Instant) {
        let mut spans = self.0.lock();
        if now.duration_since(spans.began) >= AGE {
            spans.began = now;
            spans.last = std::mem::take(&mut spans.this);
        }
    }

    /// The generations that another primary has to move.
    pub(super) fn names(&self) -> Vec<String> {
        self.places().into_iter().map(|place| place.generation).collect()
    }

    /// The same, with names of all slots in which something may have moved.
    pub(super) fn places(&self) -> Vec<Place> {
        let spans = self.0.lock();
        let tenants: HashSet<&Space> = spans.this.tenants.union(&spans.last.tenants).collect();
        let namespaces: HashSet<&Box<str>> =
            spans.this.namespaces.union(&spans.last.namespaces).collect();
        let tenants = tenants.into_iter().map(|space| Place {
            generation: space.whole_tenant(),
            parts: (0..EPOCHS)
                .filter(|_| space.is_spread())
                .map(|number| space.epoch(number))
                .collect(),
        });
        let all = namespaces.into_iter().map(|namespace| Place {
            generation: Space::all_tenants(namespace),
            parts: Vec::new(),
        });
        tenants.chain(all).collect()
    }
}

/// A generation that ends all that was to end, and where that may have been.
pub(super) struct Place {
    pub(super) generation: String,
    /// Names of the other slots, where the tenant has entries.
    pub(super) parts: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Fingerprint;

    fn space(tenant: &str) -> Space {
        Space::new(&"gym".into(), tenant)
    }

    fn sorted(lately: &Lately) -> Vec<String> {
        let mut names = lately.names();
        names.sort();
        names
    }

    #[test]
    fn remembers_for_one_span_at_least_and_two_at_most() {
        let began = Instant::now();
        let lately = Lately::new(began);
        lately.note_tenant(&space("4")).unwrap();
        lately.forget(began + AGE / 2);
        assert_eq!(lately.names(), ["gym:g:{4}:tenant"]);
        lately.forget(began + AGE);
        lately.note_tenant(&space("5")).unwrap();
        lately.note_tenant(&space("4")).unwrap();
        assert_eq!(sorted(&lately), ["gym:g:{4}:tenant", "gym:g:{5}:tenant"]);
        lately.forget(began + 2 * AGE);
        assert_eq!(sorted(&lately), ["gym:g:{4}:tenant", "gym:g:{5}:tenant"]);
        lately.forget(began + 3 * AGE);
        assert!(lately.names().is_empty());
    }

    #[test]
    fn a_tenant_that_is_spread_is_in_many_places() {
        let lately = Lately::new(Instant::now());
        lately.note_tenant(&space("4").spread(true)).unwrap();
        let places = lately.places();
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].generation, "gym:g:{4}:tenant");
        assert_eq!(places[0].parts.len() as u64, EPOCHS);
        assert_eq!(places[0].parts[17], "gym:g:{4:17}:!17");
    }

    #[test]
    fn scopes_are_those_of_their_tenant_or_of_all() {
        let lately = Lately::new(Instant::now());
        let mut scopes = ScopeNames::new(&space("4"));
        scopes.push_all_tenants();
        lately.note(&scopes).unwrap();
        assert_eq!(lately.names(), ["gym:a:all"]);
        lately.note(&ScopeNames::groups(&space("5"), ["a"])).unwrap();
        assert_eq!(sorted(&lately), ["gym:a:all", "gym:g:{5}:tenant"]);
        // Beside all tenants the whole one moves, if another configuration has entries of it.
        scopes.set_configuration(Some(Fingerprint::of("one")));
        lately.note(&scopes).unwrap();
        assert_eq!(lately.names().len(), 3);
    }

    #[test]
    fn what_finds_no_room_is_refused_until_there_is() {
        let began = Instant::now();
        let lately = Lately::with_room(began, 2);
        lately.note_tenant(&space("1")).unwrap();
        lately.note_tenant(&space("2")).unwrap();
        let refused = lately.note_tenant(&space("3")).unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Refused, "a breaker must not open for it");
        lately.note_tenant(&space("1")).unwrap();
        lately.forget(began + AGE);
        lately.note_tenant(&space("3")).unwrap();
        assert_eq!(lately.names().len(), 3);
    }
}
