//! What clients and code do, each compared with the app that has no cache.

use std::time::{Duration, Instant};

use axum::http::Method;

use crate::fixture::{CONNECT, Fixture, INVALIDATE, LOOKUP};
use crate::support::app::{App, request};
use crate::values::ValueOperation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Hit,
    Miss,
    Write,
    FencedWrite,
    Group,
    DeletePattern,
    Remove,
    /// Of the typed data cache.
    Value(ValueOperation),
}

impl Operation {
    const OF_RESPONSES: [Self; 7] = [
        Self::Hit,
        Self::Miss,
        Self::Write,
        Self::FencedWrite,
        Self::Group,
        Self::DeletePattern,
        Self::Remove,
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::OF_RESPONSES.into_iter().chain(ValueOperation::ALL.map(Self::Value))
    }

    /// The longest that the store may hold it up.
    pub fn limit(self) -> Duration {
        match self {
            Self::Hit | Self::Miss => LOOKUP,
            Self::Write | Self::FencedWrite | Self::Group | Self::Remove => INVALIDATE,
            // It has as many steps as there are keys, and three seconds for each.
            Self::DeletePattern => CONNECT + Duration::from_secs(3),
            Self::Value(operation) => operation.limit(),
        }
    }

    /// What is read to see what it has done.
    fn target(self) -> &'static str {
        match self {
            Self::Group => "/teams/7",
            _ => "/users/7",
        }
    }

    /// Does it with this value in it. Answers how long it took. What a client sees is what it sees
    /// without a cache, be it of the operation or of a read after it.
    pub async fn run(self, fixture: &Fixture, value: &str, context: &str) -> Duration {
        if let Self::Value(operation) = self {
            return operation.run(fixture, value, context).await;
        }
        let (app, plain) = (&fixture.app, &fixture.plain);
        let began = Instant::now();
        match self {
            Self::Hit => same(app, plain, Method::GET, self.target(), "", context).await,
            Self::Miss => {
                let target = format!("/users/{value}");
                same(app, plain, Method::GET, &target, "", context).await;
            }
            Self::Write => same(app, plain, Method::PUT, "/users/7", value, context).await,
            Self::FencedWrite => same(app, plain, Method::PUT, "/fenced/7", value, context).await,
            Self::Group => same(app, plain, Method::PUT, "/teams/7", value, context).await,
            Self::DeletePattern => {
                // It is for code, which is told that it has failed, and promised nothing then.
                let _ = app.cache.tenant("4").unwrap().delete_pattern("/users/9*").await;
            }
            Self::Remove => same(app, plain, Method::DELETE, "/users/7", "", context).await,
            Self::Value(_) => unreachable!("it has been run"),
        }
        let took = began.elapsed();
        same(app, plain, Method::GET, self.target(), "", context).await;
        took
    }

    /// Asks until what it is about is a hit, and answers how long that took.
    pub async fn hit_again(self, fixture: &Fixture, context: &str) -> Duration {
        match self {
            Self::Value(operation) => operation.hit_again(fixture, context).await,
            _ => fixture.hit_again(self.target()).await,
        }
    }

    /// Once the store is back: what is for code to do again is done again, and nobody gets anything
    /// from before, here or elsewhere.
    pub async fn after(self, fixture: &Fixture, context: &str) {
        match self {
            Self::Value(operation) => return operation.after(fixture, context).await,
            Self::DeletePattern => {
                let tenant = fixture.app.cache.tenant("4").unwrap();
                tenant.delete_pattern("/users/9*").await.expect(context);
            }
            _ => {}
        }
        for app in [&fixture.app, &fixture.other] {
            same(app, &fixture.plain, Method::GET, self.target(), "", context).await;
        }
    }
}

/// Asks both, and sees that they answer the same.
async fn same(app: &App, plain: &App, method: Method, target: &str, body: &str, context: &str) {
    let ask = || {
        let mut request = request(method.clone(), "4", target);
        *request.body_mut() = body.to_owned().into();
        request
    };
    let expected = plain.send(ask()).await;
    let answer = app.send(ask()).await;
    assert_eq!(
        (answer.status, answer.text()),
        (expected.status, expected.text()),
        "{context}: {method} {target}"
    );
}
