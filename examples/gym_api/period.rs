//! The periods for which a user's figures can be had.

use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;
use serde::{Deserialize, Serialize};

/// A period that ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Period {
    /// 7 days.
    Week,
    /// 30 days: what a request gets that names none.
    #[default]
    Month,
    /// 90 days.
    Quarter,
    /// 365 days.
    Year,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    period: Period,
}

impl Period {
    /// The one that the query of `uri` asks for, or why there is none.
    ///
    /// The handler and the cache's TTL both ask here, so they can't read a query differently.
    pub(crate) fn of(uri: &Uri) -> Result<Self, String> {
        Query::<Params>::try_from_uri(uri)
            .map(|Query(params)| params.period)
            .map_err(|rejection| rejection.body_text())
    }

    pub(crate) fn days(self) -> u32 {
        match self {
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        }
    }

    /// How long figures of this period may be kept.
    pub(crate) fn ttl(self) -> Duration {
        Duration::from_secs(match self {
            Self::Week => 1800,
            Self::Month => 3600,
            Self::Quarter => 7200,
            Self::Year => 14400,
        })
    }
}
