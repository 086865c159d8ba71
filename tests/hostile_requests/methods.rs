//! Requests that say one method and mean another.

use axum::http::Method;

use crate::twin::{Asked, Twin};

const OVERRIDES: [&str; 3] = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];

on_each_store! {
    async fn a_read_that_wants_to_be_a_write_is_neither_answered_nor_stored(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        for (at, field) in OVERRIDES.into_iter().enumerate() {
            let target = format!("/users/{at}");
            let ask = || Asked::get(&target);
            // Not stored: the next one is a miss.
            twin.ask(ask().with(field, "DELETE")).await.assert_bypass("method-override");
            twin.ask(ask()).await.assert_miss();
            // Not answered: the handler runs, be it for a method that changes nothing.
            for method in ["DELETE", "delete", "GET", ""] {
                let runs = twin.runs();
                twin.ask(ask().with(field, method)).await.assert_bypass("method-override");
                twin.ask(ask().method(Method::HEAD).with(field, method)).await;
                assert_eq!(twin.runs(), runs + 2);
            }
            twin.ask(ask()).await.assert_hit();
        }
    }

    async fn a_method_in_another_case_is_another_method(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        twin.ask(Asked::get("/users/1")).await.assert_miss();
        for method in ["get", "Get", "GET2", "PURGE", "BAN"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = twin.ask(Asked::get("/users/1").method(method)).await;
            assert!(!answer.is_hit(), "{answer:?}");
        }
    }
}
