//! Two configurations fill entries of one tenant, as during a rolling deploy.

use super::Bench;
use crate::key::{Configured, Fingerprint, Names, ScopeNames};
use crate::store::{Filled, LeaseToken, Miss, Mode, Refusal, Store};

impl Bench<'_> {
    /// Names of a key under a configuration, with the scope of the whole tenant as every key has it.
    fn under(&self, configuration: &str, text: &str, scopes: &[&str]) -> Names {
        let mut names = self.names(text, &["tenant"]);
        for scope in scopes {
            names.push_scope(scope);
        }
        let fingerprint = Some(Fingerprint::of(configuration));
        names.set_configured(Configured { layout: 0, fingerprint });
        names
    }

    fn named_by(&self, configuration: &str, texts: &[&str]) -> ScopeNames {
        let mut scopes = self.scopes(texts);
        scopes.set_configuration(Some(Fingerprint::of(configuration)));
        scopes
    }

    async fn move_by(&self, configuration: &str, texts: &[&str], mode: Mode) {
        let scopes = self.named_by(configuration, texts);
        self.store.invalidate(&scopes, mode).await.expect("invalidate answers");
    }
}

/// As long as one configuration alone has filled entries, its invalidations reach no more than they
/// name.
pub async fn one_configuration_moves_what_it_names(store: &dyn Store) {
    let bench = Bench::new(store);
    let users = bench.under("old", "/users", &["path:/users"]);
    let hours = bench.under("old", "/hours", &["path:/hours"]);
    bench.filled(&users).await;
    bench.filled(&hours).await;
    bench.move_by("old", &["path:/users"], Mode::Hard).await;
    bench.move_by("old", &[], Mode::Hard).await;
    assert!(!bench.is_valid(&users).await);
    assert!(bench.is_valid(&hours).await);
}

/// An invalidation under one configuration reaches all that another one has filled of the tenant, in
/// either mode and whatever it names, and nothing of another tenant; and afterwards the one that is
/// left is alone.
pub async fn configurations_that_differ_move_the_whole_tenant(store: &dyn Store) {
    for mode in [Mode::Hard, Mode::Soft] {
        let bench = Bench::new(store);
        let other = bench.tenant("5");
        let old = bench.under("old", "/users", &["path:/users"]);
        let elsewhere = other.under("old", "/users", &["path:/users"]);
        let new = bench.under("new", "/hours", &["tag:hours"]);
        for (bench, names) in [(&bench, &old), (&other, &elsewhere), (&bench, &new)] {
            bench.filled(names).await;
        }
        bench.move_by("new", &["tag:members"], mode).await;
        assert!(!bench.is_valid(&old).await, "what is stamped with scopes that are not known");
        assert!(other.is_valid(&elsewhere).await);

        bench.filled(&new).await;
        bench.move_by("new", &["tag:members"], mode).await;
        assert!(bench.is_valid(&new).await, "the other one has filled nothing since");

        bench.filled(&old).await;
        bench.move_by("new", &[], mode).await;
        assert!(!bench.is_valid(&old).await, "it is there again");
    }
}

/// A fill is refused whose configuration nobody who invalidated meanwhile could know of.
pub async fn fill_is_refused_to_an_unlisted_configuration(store: &dyn Store) {
    let bench = Bench::new(store);
    let old = bench.under("old", "/users", &["path:/users"]);
    let snapshot = bench.granted(&old).await;
    let frame = bench.frame(&old, &snapshot, b"old");
    assert_eq!(bench.fill(&old, &snapshot, &frame).await, Filled::Stored);
    // The same names, the same snapshot, of a configuration that has not missed.
    let new = bench.under("new", "/users", &["path:/users"]);
    let frame = bench.frame(&new, &snapshot, b"new");
    assert_eq!(bench.fill(&new, &snapshot, &frame).await, Filled::Refused(Refusal::Stamp));
    assert!(bench.is_valid(&old).await, "nothing has changed");
    assert_eq!(bench.fill(&new, &snapshot, &frame).await, Filled::Stored);
}

/// A fence under one configuration closes what another one has filled, and its end opens it again, with
/// nothing from before.
pub async fn fences_close_the_whole_tenant_to_others(store: &dyn Store) {
    let bench = Bench::new(store);
    let old = bench.under("old", "/users", &["path:/users"]);
    bench.filled(&old).await;
    let (scopes, token) = (bench.named_by("new", &["tag:members"]), LeaseToken::random());
    store.fence(&scopes, token, 30_000).await.expect("fence answers");
    assert!(!bench.is_valid(&old).await);
    assert_eq!(bench.miss(&old, None).await, Miss::Closed);
    store.lift(&scopes, token).await.expect("lift answers");
    assert!(!bench.is_valid(&old).await);
    bench.filled(&old).await;
    assert!(bench.is_valid(&old).await);
}
