//! Which gym a request is about.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::error::ApiError;

/// The header that names the gym. The cache reads its tenant from the same one.
pub(crate) const GYM_HEADER: &str = "x-gym-id";

const LONGEST: usize = 64;

/// A gym's id: any UTF-8 text of 1 to 64 characters.
#[derive(Clone, Debug)]
pub(crate) struct Gym(pub(crate) String);

impl Gym {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(GYM_HEADER).iter();
        let id = match (values.next(), values.next()) {
            (Some(id), None) => id,
            (None, _) => return Err(ApiError::bad_request(format!("{GYM_HEADER} is missing"))),
            // Two ids are nobody's: whoever reads the first one and whoever reads the last one
            // would disagree on whose data this is.
            _ => return Err(ApiError::bad_request(format!("{GYM_HEADER} is there twice"))),
        };
        let id = std::str::from_utf8(id.as_bytes())
            .map_err(|_| ApiError::bad_request(format!("{GYM_HEADER} is not UTF-8")))?;
        match id.chars().count() {
            1..=LONGEST => Ok(Self(id.to_owned())),
            _ => Err(ApiError::bad_request(format!("{GYM_HEADER} has 1 to {LONGEST} characters"))),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Gym {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}
