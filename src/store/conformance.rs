//! What every store must do: one function for each guarantee of [`Store`].
//!
//! A store of your own is right if [`all`] and [`all_spread`] return. Each function works in tenants that nobody else
//! has, so that they can run side by side and on a server that is in use; what they leave behind
//! expires by itself. Lifetimes are waited for in real time, so the whole takes a few seconds.
//!
//! ```
//! # async fn example() {
//! use tower_response_cache::store::{Store, conformance};
//!
//! async fn my_store_keeps_its_word(store: &dyn Store) {
//!     conformance::all(store).await;
//!     conformance::all_spread(store).await;
//! }
//! # }
//! ```
//!
//! # Panics
//!
//! Each function panics where the store breaks the guarantee, or answers with an error.

#![allow(clippy::missing_panics_doc, reason = "asserting is what these functions are for")]

mod configurations;
mod fills;
mod groups;
mod leases;
mod listing;
mod reading;
mod removal;
mod scopes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::configurations::{
    configurations_that_differ_move_the_whole_tenant, fences_close_the_whole_tenant_to_others,
    fill_is_refused_to_an_unlisted_configuration, one_configuration_moves_what_it_names,
};
pub use self::fills::{
    fill_appears_with_its_bytes, fill_expires, fill_extends_generations_and_never_shortens_them,
    fill_is_refused_after_an_invalidation, fill_is_refused_after_the_epoch_moved,
    fill_is_refused_from_another_run, fill_needs_the_lease_if_one_is_held,
    fill_that_races_an_invalidation_is_not_valid_after_it,
};
pub use self::groups::{
    group_invalidation_creates_nothing, group_invalidation_moves_generation_and_epochs,
    group_invalidation_reaches_no_other_tenant, group_that_was_lost_revives_nothing,
    groups_of_any_name_are_kept_apart, stamp_creates_and_extends,
    stamp_is_refused_after_the_epoch_moved, stamp_is_refused_from_another_run,
    stamp_refused_changes_nothing, stamped_fill_is_refused_after_an_invalidation,
    stamped_fill_that_races_an_invalidation_is_not_valid_after_it,
};
pub use self::leases::{
    lease_expires, lease_goes_to_one_of_many, lease_is_outdated_by_an_invalidation,
    lease_is_renewed_and_released_by_its_holder_alone, miss_without_lease_never_waits,
};
pub use self::listing::keys_are_listed_by_pages_of_one_tenant;
pub use self::reading::{
    answers_and_has_a_clock, dropped_futures_leave_the_store_usable, ids_are_never_minted_twice,
    lookup_of_the_unknown_is_empty, miss_creates_what_is_missing,
    miss_says_again_for_a_fresh_entry, odd_texts_and_bytes_are_kept_apart,
};
pub use self::removal::{
    delete_pattern_refuses_fills_under_way, delete_pattern_removes_what_matches_in_one_tenant,
    discard_removes_only_what_was_seen, remove_takes_one_entry,
    trim_removes_only_what_is_too_large,
};
pub use self::scopes::{
    all_tenants_are_reached_at_once, fence_closes_until_it_is_lifted, fence_ends_at_its_deadline,
    fence_outlasts_invalidations, fences_of_two_tokens_add_up, hard_invalidation_moves_generations,
    invalidation_creates_nothing, invalidation_reaches_no_other_tenant,
    soft_invalidation_keeps_three_ids_behind,
};

use super::{LeaseToken, Miss, MissRequest, Store};
use crate::entry::{Generation, Head, Id, Millis, Snapshot};
use crate::key::{Names, ScopeNames, Space};

/// Runs every function of this module, one after the other.
pub async fn all(store: &dyn Store) {
    answers_and_has_a_clock(store).await;
    ids_are_never_minted_twice(store).await;
    lookup_of_the_unknown_is_empty(store).await;
    miss_creates_what_is_missing(store).await;
    miss_says_again_for_a_fresh_entry(store).await;
    odd_texts_and_bytes_are_kept_apart(store).await;
    dropped_futures_leave_the_store_usable(store).await;

    fill_appears_with_its_bytes(store).await;
    fill_expires(store).await;
    fill_extends_generations_and_never_shortens_them(store).await;
    fill_is_refused_after_an_invalidation(store).await;
    fill_is_refused_after_the_epoch_moved(store).await;
    fill_is_refused_from_another_run(store).await;
    fill_needs_the_lease_if_one_is_held(store).await;
    fill_that_races_an_invalidation_is_not_valid_after_it(store).await;

    lease_goes_to_one_of_many(store).await;
    lease_expires(store).await;
    lease_is_outdated_by_an_invalidation(store).await;
    lease_is_renewed_and_released_by_its_holder_alone(store).await;
    miss_without_lease_never_waits(store).await;

    hard_invalidation_moves_generations(store).await;
    soft_invalidation_keeps_three_ids_behind(store).await;
    invalidation_creates_nothing(store).await;
    invalidation_reaches_no_other_tenant(store).await;
    all_tenants_are_reached_at_once(store).await;
    fence_closes_until_it_is_lifted(store).await;
    fence_ends_at_its_deadline(store).await;
    fence_outlasts_invalidations(store).await;
    fences_of_two_tokens_add_up(store).await;

    stamp_creates_and_extends(store).await;
    stamp_is_refused_after_the_epoch_moved(store).await;
    stamp_is_refused_from_another_run(store).await;
    stamp_refused_changes_nothing(store).await;
    stamped_fill_is_refused_after_an_invalidation(store).await;
    stamped_fill_that_races_an_invalidation_is_not_valid_after_it(store).await;
    group_invalidation_moves_generation_and_epochs(store).await;
    group_invalidation_creates_nothing(store).await;
    group_invalidation_reaches_no_other_tenant(store).await;
    group_that_was_lost_revives_nothing(store).await;
    groups_of_any_name_are_kept_apart(store).await;

    one_configuration_moves_what_it_names(store).await;
    configurations_that_differ_move_the_whole_tenant(store).await;
    fill_is_refused_to_an_unlisted_configuration(store).await;
    fences_close_the_whole_tenant_to_others(store).await;

    keys_are_listed_by_pages_of_one_tenant(store).await;

    remove_takes_one_entry(store).await;
    discard_removes_only_what_was_seen(store).await;
    trim_removes_only_what_is_too_large(store).await;
    delete_pattern_removes_what_matches_in_one_tenant(store).await;
    delete_pattern_refuses_fills_under_way(store).await;
}

tokio::task_local! {
    /// Whether the tenants of the suite are spread over slots; they aren't if nobody says so.
    static SPREAD: bool;
}

/// The same with tenants that are [spread](Space::spread) over slots of a cluster.
pub async fn all_spread(store: &dyn Store) {
    SPREAD.scope(true, all(store)).await;
}

fn is_spread() -> bool {
    SPREAD.try_with(|spread| *spread).unwrap_or(false)
}

/// Long enough for a step, short enough to expire soon after the suite.
const KEEP: Millis = 60_000;

/// A tenant of a namespace that nobody else has, on the store under test.
struct Bench<'a> {
    store: &'a dyn Store,
    namespace: Arc<str>,
    space: Space,
}

impl<'a> Bench<'a> {
    fn new(store: &'a dyn Store) -> Self {
        let number = u128::from_be_bytes(LeaseToken::random().0);
        let namespace: Arc<str> = format!("conformance-{number:032x}").into();
        let space = Space::new(&namespace, "4").spread(is_spread());
        Self { store, namespace, space }
    }

    /// Another tenant of the same namespace.
    fn tenant(&self, tenant: &str) -> Self {
        let space = Space::new(&self.namespace, tenant).spread(is_spread());
        Self { store: self.store, namespace: Arc::clone(&self.namespace), space }
    }

    fn names(&self, text: &str, scopes: &[&str]) -> Names {
        let mut names = Names::new(&self.space, "GET", text);
        for scope in scopes {
            names.push_scope(scope);
        }
        names
    }

    fn scopes(&self, texts: &[&str]) -> ScopeNames {
        let mut scopes = ScopeNames::new(&self.space);
        for text in texts {
            scopes.push(text);
        }
        scopes
    }

    async fn miss(&self, names: &Names, lease: Option<(LeaseToken, Millis)>) -> Miss {
        let request =
            MissRequest { lease, keep: KEEP, scopes: names.scopes_digest(), ignore_entry: false };
        self.store.miss(names, &request).await.expect("miss answers")
    }

    /// A miss that is granted without a lease.
    async fn granted(&self, names: &Names) -> Snapshot {
        match self.miss(names, None).await {
            Miss::Granted(snapshot) => snapshot,
            other => panic!("expected a grant, got {other:?}"),
        }
    }

    async fn fill(&self, names: &Names, snapshot: &Snapshot, frame: &Bytes) -> super::Filled {
        let filled = self.store.fill(names, snapshot, None, frame.clone(), KEEP).await;
        filled.expect("fill answers")
    }

    /// Stores an entry that is fresh for a minute.
    async fn filled(&self, names: &Names) -> Bytes {
        let snapshot = self.granted(names).await;
        let frame = self.frame(names, &snapshot, b"body");
        assert_eq!(self.fill(names, &snapshot, &frame).await, super::Filled::Stored);
        frame
    }

    fn frame(&self, names: &Names, snapshot: &Snapshot, body: &[u8]) -> Bytes {
        frame(names, snapshot, body, self.store.now() + KEEP)
    }

    async fn lookup(&self, names: &Names) -> super::Found {
        self.store.lookup(names).await.expect("lookup answers")
    }

    async fn generations(&self, names: &Names) -> Vec<Generation> {
        self.lookup(names).await.generations.to_vec()
    }

    /// Whether a lookup finds an entry whose stamps are the generations in force.
    async fn is_valid(&self, names: &Names) -> bool {
        let found = self.lookup(names).await;
        let (Some(entry), Some(snapshot)) = (&found.entry, found.snapshot()) else {
            return false;
        };
        Head::is_fresh(entry, names.scopes_digest(), &snapshot, self.store.now())
    }
}

fn frame(names: &Names, snapshot: &Snapshot, body: &[u8], fresh_until: Millis) -> Bytes {
    let mut frame = Vec::new();
    let head = Head {
        run: snapshot.run,
        scopes: names.scopes_digest(),
        stamps: snapshot.stamps.clone(),
        fresh_until,
    };
    head.write(&mut frame);
    frame.extend_from_slice(body);
    frame.into()
}

fn currents(generations: &[Generation]) -> Vec<Option<Id>> {
    generations.iter().map(Generation::current).collect()
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
