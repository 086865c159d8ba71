//! Requests that are large in one way or another.

use tower_response_cache::Route;

use crate::twin::{Asked, Twin};

on_each_store! {
    async fn a_field_of_64_kib_is_told_apart_and_makes_no_long_name(backend: Backend) {
        let twin = Twin::with(backend.store.clone(), |builder| {
            builder.route(Route::get("/private/{id}").header("x-filter"))
        });
        let large = |last: char| format!("{}{last}", "x".repeat(64 << 10));
        for field in ["x-filter", "x-forwarded-host"] {
            for last in ['a', 'b'] {
                twin.ask(Asked::get("/private/1").with(field, large(last))).await.assert_miss();
            }
            for last in ['a', 'b'] {
                twin.ask(Asked::get("/private/1").with(field, large(last))).await.assert_hit();
            }
        }
        #[cfg(feature = "redis")]
        if let Some(server) = &backend.server {
            let names = server.raw(&[b"KEYS", b"*"]);
            let longest = names.lines().map(str::len).max();
            assert!(longest < Some(1024), "{longest:?}");
        }
    }

    async fn a_hundred_lines_count_each(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let ask = |changed: usize| {
            (0..100).fold(Asked::get("/users/1"), |ask, line| {
                let value = if line == changed { "evil" } else { "good" };
                ask.with("x-forwarded-host", value)
            })
        };
        for changed in [0, 50, 99, 100] {
            twin.ask(ask(changed)).await.assert_miss();
        }
        twin.ask(ask(100)).await.assert_hit();
        // Those of the tenant too, none of which is one.
        let many = (0..100).fold(Asked::get("/users/1"), |ask, _| ask.with("x-gym-id", "4"));
        twin.ask(many).await.assert_bypass("bad-tenant");
        // And what is of no interest costs nothing but its place.
        let many = (0..100).fold(ask(100), |ask, line| ask.with(&format!("x-{line}"), "x"));
        twin.send(many).await.assert_hit();
    }

    async fn long_paths_and_queries_are_not_looked_up(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let long = "x".repeat(2000);
        let escapes = "%ff".repeat(400);
        let many = |count: usize| (0..count).map(|at| format!("{at}=")).collect::<Vec<_>>().join("&");
        for (target, why) in [
            (format!("/users/{long}"), "key-too-long"),
            (format!("/users/{escapes}"), "key-too-long"),
            (format!("/users/1?{long}"), "key-too-long"),
            (format!("/users/1?a={}", "x".repeat(60_000)), "key-too-long"),
            (format!("/users/1?{}", many(65)), "too-many-parameters"),
            (format!("/users/1?{}", "&".repeat(64)), "too-many-parameters"),
            // Those of which the route knows nothing count too: somebody has to read them.
            (format!("/list?{}&role=a", many(64)), "too-many-parameters"),
        ] {
            twin.ask(Asked::get(&target)).await.assert_bypass(why);
            twin.ask(Asked::get(&target)).await.assert_bypass(why);
        }
        assert_eq!(twin.cached.cache.stats().stored, 0);
    }
}
