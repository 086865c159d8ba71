//! What this store has moved lately: what another primary may have to be told.
//!
//! Kept are tenants, not scopes. Every key has the scope of its tenant, so moving that one ends
//! whatever any invalidation, fence, removal or pattern of the tenant was to end. It ends the rest
//! too, which is next to nothing: on a primary that has just become one, only what was stored there
//! since then is valid at all.

use std::collections::{HashMap, HashSet};
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
    /// And whether any of them was spread over slots: two caches may have two layouts.
    tenants: HashMap<Space, bool>,
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
        if let Some(spread) = spans.this.tenants.get_mut(space) {
            *spread |= space.is_spread();
            return Ok(());
        }
        if spans.this.tenants.len() >= spans.most {
            let text = "more tenants have been invalidated in half a minute than can be remembered";
            return Err(Failure::new(StoreErrorKind::Refused, text));
        }
        spans.this.tenants.insert(space.clone(), space.is_spread());
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
        self.places().iter().map(Place::generation).collect()
    }

    /// The same, with the slots in which something may have moved. Names are made when they are asked
    /// for: there may be many, and every invalidation waits for this lock.
    pub(super) fn places(&self) -> Vec<Place> {
        let spans = self.0.lock();
        let mut tenants: HashMap<&Space, bool> = HashMap::new();
        for (space, spread) in spans.this.tenants.iter().chain(&spans.last.tenants) {
            *tenants.entry(space).or_default() |= spread;
        }
        let namespaces: HashSet<&Box<str>> =
            spans.this.namespaces.union(&spans.last.namespaces).collect();
        let tenants =
            tenants.into_iter().map(|(space, spread)| Place::Tenant(space.clone().spread(spread)));
        tenants.chain(namespaces.into_iter().map(|all| Place::AllTenants(all.clone()))).collect()
    }
}

/// Where something has moved: all of it ends with one generation.
pub(super) enum Place {
    Tenant(Space),
    AllTenants(Box<str>),
}

impl Place {
    /// The generation that ends all that was to end.
    pub(super) fn generation(&self) -> String {
        match self {
            Self::Tenant(space) => space.whole_tenant(),
            Self::AllTenants(namespace) => Space::all_tenants(namespace),
        }
    }

    /// A name of each other slot in which the tenant has entries.
    pub(super) fn parts(&self) -> impl Iterator<Item = String> {
        let spread = match self {
            Self::Tenant(space) => Some(space).filter(|space| space.is_spread()),
            Self::AllTenants(_) => None,
        };
        spread.into_iter().flat_map(|space| (0..EPOCHS).map(|number| space.epoch(number)))
    }
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
        assert_eq!(places[0].generation(), "gym:g:{4}:tenant");
        let parts: Vec<String> = places[0].parts().collect();
        assert_eq!(parts.len() as u64, EPOCHS);
        assert_eq!(parts[17], "gym:g:{4:17}:!17");
    }

    #[test]
    fn of_two_layouts_of_one_tenant_both_are_remembered() {
        let (plain, spread) = (space("4"), space("4").spread(true));
        for (first, second) in [(&plain, &spread), (&spread, &plain)] {
            let began = Instant::now();
            let lately = Lately::new(began);
            lately.note_tenant(first).unwrap();
            lately.note_tenant(second).unwrap();
            assert_eq!(lately.places()[0].parts().count() as u64, EPOCHS);
            // Also where they are of two spans.
            let lately = Lately::new(began);
            lately.note_tenant(first).unwrap();
            lately.forget(began + AGE);
            lately.note_tenant(second).unwrap();
            assert_eq!(lately.places().len(), 1);
            assert_eq!(lately.places()[0].parts().count() as u64, EPOCHS);
        }
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
