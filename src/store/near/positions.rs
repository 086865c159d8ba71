//! What has moved, and since when it is known.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use twox_hash::XxHash3_64;

use crate::key::{Names, ScopeNames};

/// How many positions there are. Names that share one move together, which costs a round trip.
const PLACES: usize = 1 << 18;

/// For every name a position that advances when the name moves.
#[derive(Debug)]
pub(super) struct Positions {
    places: Box<[AtomicU32]>,
    /// Advances when nothing can be said of any name.
    era: AtomicU64,
}

/// The positions of some names at one moment.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) era: u64,
    places: Box<[(u32, u32)]>,
}

impl Positions {
    pub(super) fn new() -> Self {
        let places = std::iter::repeat_with(AtomicU32::default).take(PLACES).collect();
        Self { places, era: AtomicU64::new(0) }
    }

    /// The name has moved.
    pub(super) fn advance(&self, name: &[u8]) {
        self.places[place(name)].fetch_add(1, Ordering::Release);
    }

    /// Any name may have moved.
    pub(super) fn advance_all(&self) {
        self.era.fetch_add(1, Ordering::Release);
    }

    /// The positions of a key's scopes and its epoch, as of now.
    pub(super) fn note(&self, names: &Names) -> Noted {
        let era = self.era.load(Ordering::Acquire);
        let places = std::iter::once(names.epoch()).chain(names.scopes()).map(|name| {
            let place = place(name.as_bytes());
            #[allow(clippy::cast_possible_truncation, reason = "there are 2^18")]
            let number = place as u32;
            (number, self.places[place].load(Ordering::Acquire))
        });
        Noted { era, places: places.collect() }
    }

    /// Whether none of the names has been told to have moved since.
    pub(super) fn hold(&self, noted: &Noted) -> bool {
        noted
            .places
            .iter()
            .all(|(place, was)| self.places[*place as usize].load(Ordering::Acquire) == *was)
    }

    /// Whether word of every move since has come, or will.
    pub(super) fn is_of_this_era(&self, noted: &Noted) -> bool {
        self.era.load(Ordering::Acquire) == noted.era
    }
}

fn place(name: &[u8]) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "reduced to 18 bits")]
    let place = XxHash3_64::oneshot(name) as usize % PLACES;
    place
}

/// Names that this process is about to move. They advance when this is dropped: after the store has
/// answered, or has not, and before whoever asked for it goes on.
#[derive(Debug)]
pub(in crate::store) struct Moving<'a> {
    positions: &'a Positions,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Scopes(&'a ScopeNames),
    Epoch(&'a Names),
    Names(&'a [String]),
}

impl<'a> Moving<'a> {
    pub(super) fn scopes(positions: &'a Positions, scopes: &'a ScopeNames) -> Self {
        Self { positions, what: What::Scopes(scopes) }
    }

    pub(super) fn epoch(positions: &'a Positions, names: &'a Names) -> Self {
        Self { positions, what: What::Epoch(names) }
    }

    pub(super) fn names(positions: &'a Positions, names: &'a [String]) -> Self {
        Self { positions, what: What::Names(names) }
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let advance = |name: &str| self.positions.advance(name.as_bytes());
        match self.what {
            What::Scopes(scopes) => {
                scopes.generations().iter().for_each(|name| advance(name));
                scopes.all_tenants().iter().for_each(|name| advance(name));
                scopes.epochs().for_each(|name| advance(&name));
            }
            What::Epoch(names) => advance(names.epoch()),
            What::Names(names) => names.iter().for_each(|name| advance(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Space;

    fn names(text: &str) -> Names {
        let mut names = Names::new(&Space::new(&"gym".into(), "4"), "GET", text);
        names.push_scope("tenant");
        names.push_scope(&format!("path:{text}"));
        names
    }

    #[test]
    fn whatever_moves_a_name_outdates_what_was_noted_with_it() {
        let positions = Positions::new();
        let (users, other) = (names("/users"), names("/other"));
        let noted = || (positions.note(&users), positions.note(&other));
        let (one, two) = noted();
        positions.advance(b"gym:g:{4}:path:/users");
        assert!(!positions.hold(&one) && positions.hold(&two));
        let (one, two) = noted();
        positions.advance(users.epoch().as_bytes());
        assert!(!positions.hold(&one) && positions.hold(&two));
        let (one, two) = noted();
        let mut scopes = ScopeNames::new(users.space());
        scopes.push("tenant");
        let moving = Moving::scopes(&positions, &scopes);
        assert!(positions.hold(&one) && positions.hold(&two));
        drop(moving);
        assert!(!positions.hold(&one) && !positions.hold(&two));
        let (one, _) = noted();
        positions.advance_all();
        assert!(positions.hold(&one) && !positions.is_of_this_era(&one));
        // A group's invalidation moves every epoch.
        let (one, _) = noted();
        drop(Moving::scopes(&positions, &ScopeNames::groups(users.space(), ["news"])));
        assert!(!positions.hold(&one));
    }
}
