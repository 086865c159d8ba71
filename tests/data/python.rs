//! Each row of docs/PYTHON.md.

use std::convert::Infallible;
use std::time::Duration;

use tower_response_cache::{CacheBuilder, DataKey, InvalidationSet, Scope, Store};

use crate::{Fetches, HOUR, builder, gym};

const PAGE: &str = include_str!("../../docs/PYTHON.md");

/// The service's invalidation of users: of one, or of all.
fn service(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    builder(store)
        .scope(Scope::pattern("users:*"))
        .set(InvalidationSet::named("user").pattern("user:{id}:*").pattern("users:*").or_all())
}

on_each_store! {
    async fn get_or_set(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let (gym, fetches) = (gym(&cache), Fetches::default());
        for _ in 0..3 {
            assert_eq!(fetches.get(&gym, "participants", vec![1, 2]).await, [1, 2]);
            cache.settled().await;
        }
        assert_eq!(fetches.count(), 1);
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.runs, stats.stored), (2, 1, 1, 1));
    }

    async fn get_or_set_json(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let gym = gym(&cache);
        let hours = serde_json::json!({"open": "06:00", "close": "22:00"});
        let fetch = async || Ok::<_, Infallible>(hours.clone());
        assert_eq!(gym.get_or_fetch_json("hours", HOUR, fetch).await.unwrap(), hours);
    }

    async fn delete_pattern(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let (gym, other) = (gym(&cache), cache.tenant("5").unwrap());
        for key in ["users:a", "users:b", "hours"] {
            gym.set(key, HOUR, &1).await.unwrap();
            other.set(key, HOUR, &1).await.unwrap();
        }
        assert_eq!(gym.delete_pattern("users:*").await.unwrap(), 2);
        // The service's pattern forgot the tenant.
        assert_eq!(other.get::<u32>("users:a").await.unwrap(), Some(1));
    }

    async fn invalidate_user_caches(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let gym = gym(&cache);
        let key = |id: &str| DataKey::template("user:{id}:stats").with("id", id);
        let fill = async || {
            for key in [key("1"), key("2"), DataKey::from("users:list")] {
                gym.set(key, HOUR, &1).await.unwrap();
            }
        };
        fill().await;
        gym.invalidate_set("user", &[("id", "1")]).await.unwrap();
        assert_eq!(gym.get::<u32>(key("1")).await.unwrap(), None);
        assert_eq!(gym.get::<u32>("users:list").await.unwrap(), None);
        assert_eq!(gym.get::<u32>(key("2")).await.unwrap(), Some(1));
        fill().await;
        gym.invalidate_set_for_all("user").await.unwrap();
        assert_eq!(gym.get::<u32>(key("2")).await.unwrap(), None);
    }

    async fn ttl_by_period(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let gym = gym(&cache);
        let ttl = |period: &str| Duration::from_secs(match period {
            "week" => 1800,
            "month" => 3600,
            "quarter" => 7200,
            _ => 14_400,
        });
        for period in ["week", "month", "quarter", "year"] {
            let key = DataKey::template("stats:{period}").with("period", period);
            let fetch = async || Ok::<_, Infallible>(period.to_owned());
            assert_eq!(gym.get_or_fetch(key, ttl(period), fetch).await.unwrap(), period);
        }
    }

    async fn undecodable_entries_are_removed(backend: Backend) {
        let cache = service(backend.store.clone()).build().unwrap();
        let (gym, fetches) = (gym(&cache), Fetches::default());
        gym.set("k", HOUR, "no number").await.unwrap();
        assert_eq!(fetches.get(&gym, "k", 7).await, 7);
        cache.settled().await;
        assert_eq!(gym.get::<u32>("k").await.unwrap(), Some(7));
    }

    async fn a_set_whose_result_is_checked(backend: Backend) {
        let cache = service(backend.store.clone()).max_body(10).build().unwrap();
        assert!(gym(&cache).set("k", HOUR, "longer than ten bytes").await.is_err());
    }
}

#[test]
fn every_row_names_a_test_that_there_is() {
    let sources = [
        include_str!("python.rs"),
        include_str!("outage.rs"),
        include_str!("concurrency.rs"),
        include_str!("../faults/connections.rs"),
        include_str!("../promises/outage.rs"),
        include_str!("../store_redis.rs"),
    ]
    .concat();
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        let name = row.trim_end_matches(" |").rsplit('|').next().unwrap();
        let name = name.split('`').nth(1).unwrap_or_default();
        assert!(sources.contains(&format!("fn {name}(")), "no test {name:?} for {row}");
    }
}
