//! P3, P19: what is stored under an entry's name is believed only if it is that entry, whole.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use bytes::Bytes;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::{Route, Store};

use crate::planted::{asked, names, plant, stored};
use crate::support::app::{App, Source, gym_cache};

/// An app with two users, and the frame of the first one's page.
async fn app_with_entry(store: &Arc<dyn Store>) -> (App, Bytes) {
    let source = Source::default();
    source.put("4", "42", "value");
    source.put("4", "43", "value");
    let app = App::with(gym_cache(Arc::clone(store)), source);
    app.warm("4", "/users/42").await;
    let frame = stored(store, "42").await.expect("it is stored");
    (app, frame)
}

/// Plants these bytes, asks, and sees that afterwards all is well again.
async fn is_a_miss_and_heals(
    app: &App,
    store: &Arc<dyn Store>,
    bytes: &Bytes,
    what: &str,
) -> &'static str {
    plant(&**store, &names("42"), bytes).await;
    let reason = asked(app, "42", what).await;
    app.get_settled("4", "/users/42").await.assert_hit();
    reason
}

on_each_store! {
    async fn a_frame_that_is_cut_anywhere_is_a_miss(backend: Backend) {
        let (app, frame) = app_with_entry(&backend.store).await;
        for length in 0..frame.len() {
            let what = format!("{length} of {} bytes", frame.len());
            let cut = frame.slice(..length);
            let reason = is_a_miss_and_heals(&app, &backend.store, &cut, &what).await;
            // Without a length in it, what has lost its end is found out by its checksum.
            assert!(matches!(reason, "truncated" | "bad-checksum"), "{what}: {reason}");
        }
    }

    async fn a_frame_with_any_byte_changed_is_a_miss(backend: Backend) {
        let (app, frame) = app_with_entry(&backend.store).await;
        for at in 0..frame.len() {
            for bits in [1, 0xff] {
                let mut changed = frame.to_vec();
                changed[at] ^= bits;
                let what = format!("byte {at} of {} by {bits:#x}", frame.len());
                let reason = is_a_miss_and_heals(&app, &backend.store, &changed.into(), &what).await;
                let expected: &[_] = match at {
                    0..3 => &["foreign"],
                    3 => &["other-version"],
                    // How many stamps there are.
                    20 => &["bad-checksum", "truncated"],
                    _ => &["bad-checksum"],
                };
                assert!(expected.contains(&reason), "{what}: {reason}");
            }
        }
    }

    async fn a_frame_that_has_grown_is_a_miss(backend: Backend) {
        let (app, frame) = app_with_entry(&backend.store).await;
        let longer = Bytes::from([&frame[..], b"\0"].concat());
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &longer, "longer").await, "bad-checksum");
        let twice = Bytes::from([&frame[..], &frame[..]].concat());
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &twice, "twice").await, "bad-checksum");
    }

    async fn what_somebody_else_wrote_is_a_miss(backend: Backend) {
        let (app, _) = app_with_entry(&backend.store).await;
        for (bytes, expected) in [
            (&b"{\"json\": true}"[..], "foreign"),
            (b"\0\0\0\0", "foreign"),
            (b"TR", "truncated"),
            (b"TRC\x02", "other-version"),
            (b"TRC\x00and more", "other-version"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "foreign"),
        ] {
            let bytes = Bytes::from_static(bytes);
            let what = format!("{bytes:?}");
            assert_eq!(is_a_miss_and_heals(&app, &backend.store, &bytes, &what).await, expected);
        }
    }

    async fn p3_the_entry_of_another_key_is_a_miss(backend: Backend) {
        let (app, _) = app_with_entry(&backend.store).await;
        app.warm("4", "/users/43").await;
        let other = stored(&backend.store, "43").await.unwrap();
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &other, "of another user").await, "mismatched");
        // Another tenant's entry of the same key.
        app.source.put("5", "42", "other");
        app.warm("5", "/users/42").await;
        let mut theirs = Names::new(&Space::new(&"gym".into(), "5"), "GET", "/users/42");
        for scope in ["tenant", "path:/users/42", "subtree:/users/42"] {
            theirs.push_scope(scope);
        }
        let other = backend.store.lookup(&theirs).await.unwrap().entry.unwrap();
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &other, "of another tenant").await, "mismatched");
        app.get("5", "/users/42").await.assert_hit();
    }

    async fn what_is_larger_than_any_entry_is_a_miss(backend: Backend) {
        let (_, frame) = app_with_entry(&backend.store).await;
        let source = Source::default();
        source.put("4", "42", "value");
        let small = gym_cache(backend.store.clone()).max_body(100).max_head(100);
        let app = App::with(small, source);
        let mut large = frame.to_vec();
        large.resize(100 << 10, b'x');
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &large.into(), "large").await, "oversized");
        // As large as some route's may be it is read, and found wrong by its bytes.
        let mut large = frame.to_vec();
        large.resize(64 << 10, b'x');
        assert_eq!(is_a_miss_and_heals(&app, &backend.store, &large.into(), "not so large").await, "bad-checksum");
    }

    /// Where nothing is stored over them, wrong bytes are removed: all that is asked for below is not
    /// to be stored.
    async fn wrong_bytes_go_and_others_stay(backend: Backend) {
        let (app, frame) = app_with_entry(&backend.store).await;
        app.warm("4", "/users/43").await;
        let other = stored(&backend.store, "43").await.unwrap();
        let handler = || async { ([(header::CACHE_CONTROL, "no-store")], "4/42=value") };
        let builder = gym_cache(backend.store.clone()).route(Route::get("/unused"));
        let unstored = App::of(builder, Router::new().route("/users/{id}", get(handler)));
        let mut cut = frame.to_vec();
        cut.pop();
        for bytes in [Bytes::from_static(b"foreign"), cut.into(), other] {
            plant(&*backend.store, &names("42"), &bytes).await;
            asked(&unstored, "42", "planted").await;
            unstored.cache.settled().await;
            assert_eq!(stored(&backend.store, "42").await, None, "{bytes:?}");
        }
        app.get("4", "/users/43").await.assert_hit();
    }
}
