//! Both stores keep the guarantees of the `Store` trait.

use tower_response_cache::store::conformance;

on_each_store! {
    async fn every_guarantee_holds(backend: Backend) {
        conformance::all(&*backend.store).await;
        conformance::all_spread(&*backend.store).await;
    }
}
