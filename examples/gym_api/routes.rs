//! The handlers. None of them knows that there is a cache.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{Router, get};
use axum::{Json, RequestExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::db::{Change, User};
use crate::debug;
use crate::error::ApiError;
use crate::gym::Gym;
use crate::period::Period;

/// The templates of the routes whose answers are cached.
pub(crate) const CACHED: [&str; 5] = [USERS, USER, STATS, HOURS, PARTICIPANTS];

const USERS: &str = "/users";
const USER: &str = "/users/{id}";
const STATS: &str = "/users/{id}/stats";
const HOURS: &str = "/operating-hours";
const PARTICIPANTS: &str = "/participants";

/// The routes that belong behind the cache: those that are read, and those that change what is.
pub(crate) fn cached() -> Router<Shared> {
    Router::new()
        .route(USERS, get(list_users).post(create_user))
        .route(USER, get(show_user).put(change_user).delete(delete_user))
        .route(STATS, get(show_stats))
        .route(HOURS, get(show_hours).put(set_hours))
        .route(PARTICIPANTS, get(list_participants))
}

/// The rest.
pub(crate) fn uncached() -> Router<Shared> {
    Router::new()
        .route("/debug/handler-runs", get(debug::handler_runs))
        .fallback(async || ApiError::no_such_route())
}

type Answer<T> = Result<T, ApiError>;

#[derive(Deserialize)]
struct Filter {
    role: Option<String>,
    status: Option<String>,
}

/// `?role=` and `?status=`; an empty one filters nothing.
async fn list_users(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Answer<Json<Vec<User>>> {
    shared.runs.count(USERS);
    let Query(filter) = filter?;
    let role = filter.role.as_deref().filter(|role| !role.is_empty());
    let status = filter.status.as_deref().filter(|status| !status.is_empty());
    Ok(Json(shared.database.users(&gym, role, status)?))
}

async fn show_user(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    id: Path<String>,
) -> Answer<Json<User>> {
    shared.runs.count(USER);
    find(&shared, &gym, &id).map(Json)
}

#[derive(Serialize)]
struct Stats {
    user: User,
    period: Period,
    days: u32,
    visits: u32,
}

/// `?period=week|month|quarter|year`, a month if there is none.
async fn show_stats(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    id: Path<String>,
    uri: Uri,
) -> Answer<Json<Stats>> {
    shared.runs.count(STATS);
    let period = Period::of(&uri).map_err(ApiError::bad_request)?;
    let user = find(&shared, &gym, &id)?;
    // This gym has no turnstile: an estimate, from what it knows of the user.
    let weekly = match (user.status.as_str(), user.role.as_str()) {
        ("active", "member") => 2,
        ("active", _) => 5,
        _ => 0,
    };
    let days = period.days();
    Ok(Json(Stats { user, period, days, visits: days * weekly / 7 }))
}

/// Who takes part: the gym's active users, by id and name.
async fn list_participants(State(shared): State<Shared>, Gym(gym): Gym) -> Answer<Json<Value>> {
    shared.runs.count(PARTICIPANTS);
    let active = shared.database.users(&gym, None, Some("active"))?;
    Ok(Json(active.iter().map(|user| json!({ "id": user.id, "name": user.name })).collect()))
}

async fn show_hours(State(shared): State<Shared>, Gym(gym): Gym) -> Answer<Json<Value>> {
    shared.runs.count(HOURS);
    let hours = shared.database.hours(&gym)?;
    let hours = hours.and_then(|hours| serde_json::from_str(&hours).ok());
    Ok(Json(hours.unwrap_or_else(|| {
        let (weekday, weekend) = ("06:00-22:00", "08:00-20:00");
        json!({
            "monday": weekday, "tuesday": weekday, "wednesday": weekday, "thursday": weekday,
            "friday": weekday, "saturday": weekend, "sunday": weekend,
        })
    })))
}

/// Takes any JSON object that isn't empty: holidays and the like are the gym's own business.
async fn set_hours(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    Input(hours): Input<Map<String, Value>>,
) -> Answer<Json<Map<String, Value>>> {
    if hours.is_empty() {
        return Err(ApiError::invalid("opening hours name at least one day"));
    }
    shared.database.set_hours(&gym, &Value::Object(hours.clone()).to_string())?;
    Ok(Json(hours))
}

async fn create_user(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    Input(change): Input<Change>,
) -> Answer<impl IntoResponse> {
    check(&change)?;
    let Change { name, role, status } = change;
    let name = name.ok_or_else(|| ApiError::invalid("name is missing"))?;
    let role = role.as_deref().unwrap_or("member");
    let status = status.as_deref().unwrap_or("active");
    Ok((StatusCode::CREATED, Json(shared.database.create(&gym, &name, role, status)?)))
}

/// Fields that are left out stay as they are.
async fn change_user(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    id: Path<String>,
    Input(change): Input<Change>,
) -> Answer<Json<User>> {
    check(&change)?;
    let changed = shared.database.update(&gym, user_id(&id)?, &change)?;
    changed.map(Json).ok_or_else(ApiError::no_such_user)
}

async fn delete_user(
    State(shared): State<Shared>,
    Gym(gym): Gym,
    id: Path<String>,
) -> Answer<StatusCode> {
    if shared.database.delete(&gym, user_id(&id)?)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::no_such_user())
    }
}

fn check(Change { name, role, status }: &Change) -> Answer<()> {
    for (field, text) in [("name", name), ("role", role), ("status", status)] {
        let Some(text) = text else { continue };
        if text.trim().is_empty() || text.chars().count() > 200 {
            return Err(ApiError::invalid(format!("{field} has 1 to 200 characters")));
        }
    }
    Ok(())
}

fn find(shared: &Shared, gym: &str, id: &str) -> Answer<User> {
    shared.database.user(gym, user_id(id)?)?.ok_or_else(ApiError::no_such_user)
}

/// Takes the one spelling that a number has. If `/users/007` were user 7 too, a write to
/// `/users/7` would have to know that; no cache can.
fn user_id(text: &str) -> Answer<i64> {
    match text.parse::<i64>() {
        Ok(id) if id.to_string() == text => Ok(id),
        _ => Err(ApiError::no_such_user()),
    }
}

/// A JSON body; what is wrong with one is said in JSON, too.
struct Input<T>(T);

impl<T: DeserializeOwned + 'static> FromRequest<Shared> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &Shared) -> Answer<Self> {
        let Json(input) = request.extract::<Json<T>, _>().await?;
        Ok(Self(input))
    }
}
