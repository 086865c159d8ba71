//! Fields that a handler reads and no key holds: what one client says in them must not become the
//! answer to another.

use std::time::Duration;

use tower_response_cache::{
    CLIENT_FIELDS, Cache, CacheBuilder, ConfigError, Identity, MemoryStore, Route, TARGET_FIELDS,
    Tenant,
};

use crate::twin::{Asked, Twin};

on_each_store! {
    async fn fields_that_name_a_target_are_told_apart_on_every_route(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        for field in TARGET_FIELDS {
            for target in [format!("/users/{field}"), format!("/list?role={field}")] {
                twin.ask(Asked::get(&target).with(field, "evil.example")).await.assert_miss();
                twin.ask(Asked::get(&target).with(field, "gym.example")).await.assert_miss();
                twin.ask(Asked::get(&target)).await.assert_miss();
                twin.ask(Asked::get(&target).with(field, "gym.example")).await.assert_hit();
                twin.ask(Asked::get(&target)).await.assert_hit();
            }
        }
    }

    async fn lines_and_lists_of_such_a_field_are_told_apart(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let field = "x-forwarded-host";
        let ask = || Asked::get("/users/1");
        let asked = [
            ask().with(field, "a").with(field, "b"),
            ask().with(field, "b").with(field, "a"),
            ask().with(field, "a,b"),
            ask().with(field, "a%2Cb"),
            ask().with(field, "a").with("x-host", "b"),
            ask().with(field, "a;x-host=b"),
            ask().with(field, "A"),
            ask().with(field, ""),
            ask(),
        ];
        for one in &asked {
            twin.ask(one.clone()).await.assert_miss();
        }
        for one in &asked {
            twin.ask(one.clone()).await.assert_hit();
        }
    }

    async fn the_host_of_a_target_counts_as_its_field_does(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        // As HTTP/2 has it, and as a target in absolute form.
        let asked = ["http://evil.example/users/1", "http://gym.example/users/1", "/users/1"];
        for target in asked {
            twin.ask(Asked::get(target)).await.assert_miss();
        }
        for target in asked {
            twin.ask(Asked::get(target)).await.assert_hit();
        }
        twin.ask(Asked::get("https://gym.example/users/1")).await.assert_miss();
        // The same on a route that names the field itself.
        let named = Twin::with(backend.store.clone(), |builder| {
            let route = Route::get("/private/{id}").header("host");
            builder.namespace("named").ignore_target_fields().route(route)
        });
        for target in ["http://evil.example/private/1", "http://gym.example/private/1"] {
            named.ask(Asked::get(target)).await.assert_miss();
        }
    }

    async fn what_is_in_no_key_is_the_answer_to_others(backend: Backend) {
        // The control: this is what the two settings are for.
        let twin = Twin::with(backend.store.clone(), CacheBuilder::ignore_target_fields);
        twin.ask(Asked::get("/users/1").with("x-forwarded-host", "evil.example")).await.assert_miss();
        let victim = twin.send(Asked::get("/users/1")).await;
        victim.assert_hit();
        assert!(victim.text().contains("evil.example"), "{victim:?}");
    }

    async fn a_field_that_is_removed_is_in_no_key_and_seen_by_no_handler(backend: Backend) {
        let fields = || TARGET_FIELDS.into_iter().chain(CLIENT_FIELDS);
        let twin = Twin::with(backend.store.clone(), |builder| builder.removed_fields(fields()));
        for field in fields() {
            let target = format!("/users/{field}");
            let attacker = twin.send(Asked::get(&target).with(field, "evil.example")).await;
            attacker.assert_miss();
            twin.ask(Asked::get(&target)).await.assert_hit();
            assert!(!attacker.text().contains("evil"), "{attacker:?}");
        }
        // What a request says who asks for a part, or with a condition, is for its handler alone.
        for field in ["range", "if-match"] {
            let ask = Asked::get(&format!("/users/{field}")).with(field, "x");
            let alone = twin.send(ask.with("x-host", "evil.example")).await;
            assert!(!alone.text().contains("evil"), "{alone:?}");
        }
        // Nothing is kept from a handler whose answer is for its client alone.
        let bypass = Asked::bare("/users/1").with("x-forwarded-for", "1.2.3.4");
        twin.ask(bypass).await.assert_bypass("no-tenant");
        twin.ask(Asked::get("/private/1").with("x-forwarded-for", "1.2.3.4")).await;
    }

    async fn a_refresh_behind_a_stale_answer_is_poisoned_as_little(backend: Backend) {
        let twin = Twin::with(backend.store.clone(), |builder| {
            let route = Route::get("/private/{id}")
                .ttl(Duration::from_millis(1))
                .stale_while_revalidate(Duration::from_secs(60));
            builder.route(route).removed_fields(["x-forwarded-for"])
        });
        twin.send(Asked::get("/private/1")).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let runs = twin.runs();
        twin.send(Asked::get("/private/1").with("x-forwarded-for", "evil")).await.assert_hit();
        assert_eq!(twin.runs(), runs + 1, "refreshed by the attacker's request");
        twin.ask(Asked::get("/private/1")).await.assert_hit();
    }

    async fn what_the_app_names_stays_where_the_handler_finds_it(backend: Backend) {
        let store = || backend.store.clone();
        let twin = Twin::with(store(), |builder| {
            let route = Route::get("/private/{id}").header("x-forwarded-for");
            builder.removed_fields(CLIENT_FIELDS).route(route)
        });
        for client in ["1.1.1.1", "2.2.2.2"] {
            let ask = Asked::get("/private/1").with("X-Forwarded-For", client);
            twin.ask(ask).await.assert_miss();
        }
        // A tenant and an identity are in the key as they are.
        let twin = Twin::with(store(), |builder| {
            let user = Identity::header("x-real-ip");
            let builder = builder.namespace("sources").tenant(Tenant::header("X-Forwarded-Host"));
            builder.per_user(user).removed_fields(["x-forwarded-host", "X-Real-IP"])
        });
        for (gym, user) in [("a", "1"), ("a", "2"), ("b", "1")] {
            let ask = Asked::bare("/users/1").with("x-forwarded-host", gym);
            let ask = ask.with("x-real-ip", user);
            twin.ask(ask.clone()).await.assert_miss();
            twin.ask(ask).await.assert_hit();
        }
    }

    async fn what_a_response_varies_by_is_what_its_handler_has_seen(backend: Backend) {
        use axum::http::HeaderMap;
        use axum::routing::get;
        let cache = Cache::builder(backend.store.clone())
            .route(Route::get("/").tenantless().same_for_all_users())
            .removed_fields(["x-forwarded-proto"]);
        let handler = |headers: HeaderMap| async move {
            ([("vary", "x-forwarded-proto")], format!("{:?}", headers.get("x-forwarded-proto")))
        };
        let app = crate::support::app::App::of(cache, axum::Router::new().route("/", get(handler)));
        let ask = |proto: &str| Asked::bare("/").with("x-forwarded-proto", proto).build();
        assert_eq!(app.send(ask("http")).await.text(), "None");
        app.cache.settled().await;
        let answer = app.send(ask("https")).await;
        answer.assert_hit();
        assert_eq!(answer.text(), "None");
    }
}

#[test]
fn a_field_is_not_both_removed_and_in_the_key() {
    let builder = || Cache::builder(MemoryStore::new());
    let both = builder().keyed_fields(["X-Host"]).removed_fields(["x-host"]).build();
    assert!(matches!(both, Err(ConfigError::Contradiction { .. })), "{both:?}");
    let framing = builder().removed_fields(["Content-Length"]).build();
    assert!(matches!(framing, Err(ConfigError::Contradiction { .. })), "{framing:?}");
    for builder in [builder().keyed_fields(["no name"]), builder().removed_fields(["no name"])] {
        let name = builder.build();
        assert!(matches!(name, Err(ConfigError::Header(_))), "{name:?}");
    }
}
