//! What code does with the typed data cache, each compared with what it would fetch.

use std::time::{Duration, Instant};

use tower_response_cache::{DataErrorKind, DataKey, InvalidateError, Scope, TenantCache};

use crate::fixture::{CONNECT, Fixture, INVALIDATE, LOOKUP};
use crate::support::app::App;

const HOUR: Duration = Duration::from_secs(3600);

/// How long something may have to be asked again once the store is back.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueOperation {
    Hit,
    Miss,
    FetchFails,
    Get,
    GetMany,
    Set,
    Remove,
    Invalidate,
    /// By another instance, whose network is whole.
    InvalidateElsewhere,
    DeletePattern,
}

/// What a fetch gives that fails.
#[derive(Debug, PartialEq, Eq)]
struct Failed(String);

impl ValueOperation {
    pub const ALL: [Self; 10] = [
        Self::Hit,
        Self::Miss,
        Self::FetchFails,
        Self::Get,
        Self::GetMany,
        Self::Set,
        Self::Remove,
        Self::Invalidate,
        Self::InvalidateElsewhere,
        Self::DeletePattern,
    ];

    /// The longest that the store may hold it up.
    pub fn limit(self) -> Duration {
        match self {
            Self::Hit | Self::Miss | Self::FetchFails | Self::Get | Self::GetMany => LOOKUP,
            // Two steps, each with the time that a fill has.
            Self::Set => 2 * INVALIDATE,
            Self::Remove | Self::Invalidate | Self::InvalidateElsewhere => INVALIDATE,
            Self::DeletePattern => CONNECT + Duration::from_secs(3),
        }
    }

    /// Whether one that has failed is to be called again by whoever called it: until then what was
    /// stored before may come back with the store.
    fn is_to_be_repeated(self) -> bool {
        matches!(self, Self::Set | Self::Remove | Self::DeletePattern)
    }

    /// Does it with this value in it. Answers how long it took. Whatever the store does, who fetches
    /// gets what is true.
    pub async fn run(self, fixture: &Fixture, value: &str, context: &str) -> Duration {
        let app = &fixture.app;
        let began = Instant::now();
        match self {
            Self::Hit => true_now(app, "7", context).await,
            Self::Miss => true_now(app, value, context).await,
            Self::FetchFails => {
                let id = format!("fails-{value}");
                let fetch = async || Err::<String, _>(Failed(id.clone()));
                let given = gym(app).get_or_fetch(key(&id), HOUR, fetch).await;
                assert_eq!(given, Err(Failed(id.clone())), "{context}");
                // Nothing of it is left for who comes later.
                true_now(app, &id, context).await;
            }
            Self::Get => {
                let found = gym(app).get::<String>(key("7")).await;
                failed_or(found.map(|found| vec![found]), &["7"], app, context);
            }
            Self::GetMany => {
                let ids = ["7", "70", "71"];
                failed_or(gym(app).get_many(ids.map(key)).await, &ids, app, context);
            }
            Self::InvalidateElsewhere => {
                // Once: the other one reaches the store only where the fault is of the network.
                if value == "1" {
                    write(app, value);
                    let _ = self.change(&fixture.other).await;
                }
            }
            Self::Set | Self::Remove | Self::Invalidate | Self::DeletePattern => {
                write(app, value);
                if let Err(why) = self.change(app).await {
                    assert!(why.is_store, "{context}: {why:?}");
                }
            }
        }
        let took = began.elapsed();
        true_now(app, "7", context).await;
        took
    }

    /// Fetches until what is stored is given.
    pub async fn hit_again(self, fixture: &Fixture, context: &str) -> Duration {
        let began = Instant::now();
        loop {
            let (given, is_hit) = fetch(&fixture.app, "7").await;
            // The writer never sees what is from before its write, confirmed or not.
            if !self.is_to_be_repeated() && self != Self::InvalidateElsewhere {
                assert_eq!(given, truth(&fixture.app, "7"), "{context}, until there is a hit");
            }
            if is_hit {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "{context}: no hit any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Once the store is back: what has failed is done again, and nobody gets what is older.
    pub async fn after(self, fixture: &Fixture, context: &str) {
        let began = Instant::now();
        while self.is_to_be_repeated() {
            match self.change(&fixture.app).await {
                Ok(()) => break,
                Err(why) => assert!(began.elapsed() < PATIENCE, "{context}: {why:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self == Self::InvalidateElsewhere {
            fixture.other.cache.shutdown(PATIENCE).await.expect(context);
        }
        for app in [&fixture.app, &fixture.other] {
            true_now(app, "7", context).await;
            // A server that a replica comes to has another replication id. Each connection finds that out
            // within a second, and the read with which it does counts for nothing.
            let found = loop {
                match gym(app).get_many(["7", "70"].map(key)).await {
                    Ok(found) => break found,
                    Err(why) => {
                        let is_late = began.elapsed() > PATIENCE;
                        assert!(
                            why.kind() == DataErrorKind::Store && !is_late,
                            "{context}: {why:?}"
                        );
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            failed_or(Ok(found), &["7", "70"], app, context);
        }
    }

    /// Makes known that what was true is not.
    async fn change(self, app: &App) -> Result<(), Why> {
        let gym = gym(app);
        match self {
            Self::Set => Ok(gym.set(key("7"), HOUR, &truth(app, "7")).await?),
            Self::Remove => Ok(gym.remove(key("7")).await.map(drop)?),
            Self::DeletePattern => Ok(gym.delete_pattern("value:*").await.map(drop)?),
            _ => Ok(gym.invalidate(&Scope::pattern("value:*")).await?),
        }
    }
}

/// What an instance was told that could not change something.
#[derive(Debug)]
struct Why {
    is_store: bool,
    #[allow(dead_code, reason = "shown where a test fails")]
    text: String,
}

impl From<tower_response_cache::DataError> for Why {
    fn from(error: tower_response_cache::DataError) -> Self {
        Self { is_store: error.kind() == DataErrorKind::Store, text: format!("{error:?}") }
    }
}

impl From<InvalidateError> for Why {
    fn from(error: InvalidateError) -> Self {
        let is_store = matches!(error, InvalidateError::Store(_));
        Self { is_store, text: format!("{error:?}") }
    }
}

fn gym(app: &App) -> TenantCache {
    app.cache.tenant("4").unwrap()
}

fn key(id: &str) -> DataKey {
    DataKey::template("value:{id}").with("id", id)
}

fn write(app: &App, value: &str) {
    app.source.put("4", "value-7", value);
}

/// What a fetch gives now.
fn truth(app: &App, id: &str) -> String {
    format!("4/{id}={}", app.source.read("4", &format!("value-{id}")).unwrap_or_default())
}

/// What is given, and whether it was there.
async fn fetch(app: &App, id: &str) -> (String, bool) {
    let mut is_hit = true;
    let fetch = async || {
        is_hit = false;
        Ok::<_, Failed>(truth(app, id))
    };
    // The fetch has no error, and the store's are none of the caller's.
    let given = gym(app).get_or_fetch(key(id), HOUR, fetch).await.unwrap();
    (given, is_hit)
}

async fn true_now(app: &App, id: &str, context: &str) {
    assert_eq!(fetch(app, id).await.0, truth(app, id), "{context}: {id}");
}

/// Code that asks without a fetch is told that the store has failed, or gets what is true or nothing.
#[track_caller]
fn failed_or(
    found: Result<Vec<Option<String>>, tower_response_cache::DataError>,
    ids: &[&str],
    app: &App,
    context: &str,
) {
    match found {
        Ok(found) => {
            assert_eq!(found.len(), ids.len(), "{context}");
            for (found, id) in found.into_iter().zip(ids) {
                assert!(found.is_none_or(|found| found == truth(app, id)), "{context}: {id}");
            }
        }
        Err(error) => assert_eq!(error.kind(), DataErrorKind::Store, "{context}"),
    }
}
