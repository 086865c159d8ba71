//! Clients that leave at any moment, and look whose answer they have got.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_response_cache::DataKey;

use crate::support::app::App;

/// The clients at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Clients {
    /// So many begin to read. Every answer names its tenant and its key.
    pub fn begin(app: &App, count: usize) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (app, stop, answers) = (app.clone(), Arc::clone(&stop), Arc::clone(&answers));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if ask(&app).await {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_micros(fastrand::u64(500..4000))).await;
                }
            });
        }
        Self { stop, answers, tasks }
    }

    /// Waits for them, and fails if one of them has got what was another's.
    pub async fn end(mut self, app: &App) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
        assert!(self.answers.load(Ordering::Relaxed) > 0, "nobody has got an answer");
        let stats = app.cache.stats();
        assert_eq!((stats.mismatched, stats.corrupt), (0, 0), "{stats:?}");
    }
}

/// Answers whether the client stayed to the end.
async fn ask(app: &App) -> bool {
    let gym = ["4", "5", "6"][fastrand::usize(..3)];
    let (path, id) = [("users", 1), ("users", 2), ("users", 3), ("teams", 1), ("teams", 2)]
        [fastrand::usize(..5)];
    let target = format!("/{path}/{id}");
    let stay = match fastrand::u8(..3) {
        0 => Duration::from_micros(fastrand::u64(..3000)),
        1 => Duration::from_millis(fastrand::u64(..200)),
        _ => Duration::from_secs(20),
    };
    if fastrand::bool() {
        return fetch(app, gym, path, id, stay).await;
    }
    let Ok(answer) = timeout(stay, app.get(gym, &target)).await else {
        assert!(stay < Duration::from_secs(20), "{target} hangs");
        return false;
    };
    assert!(answer.status.is_success(), "{target}: {answer:?}");
    assert_eq!(answer.text(), format!("{gym}/{id}="), "{target} of {gym} is somebody else's");
    true
}

/// As [`ask`], of a value.
async fn fetch(app: &App, gym: &str, kind: &str, id: u8, stay: Duration) -> bool {
    let own = format!("{gym}/{kind}/{id}");
    let key = DataKey::template("{kind}:{id}").with("kind", kind).with("id", id.to_string());
    let cache = app.cache.tenant(gym).unwrap();
    let fetch = async || Ok::<_, Infallible>(own.clone());
    let given = cache.get_or_fetch(key, Duration::from_millis(50), fetch);
    let Ok(Ok(given)) = timeout(stay, given).await else {
        assert!(stay < Duration::from_secs(20), "{own} hangs");
        return false;
    };
    assert_eq!(given, own, "somebody else's");
    true
}
