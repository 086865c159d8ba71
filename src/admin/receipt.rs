//! What came of an invalidation.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use serde::Serialize;
use tracing::Instrument as _;

use super::access::{Access, tenant_of};
use super::audit;
use super::moment::{millis, rfc3339};
use super::order::{Order, Plan};
use super::problem::Problem;
use super::router::Admin;
use crate::TenantCache;
use crate::clock::{Clock as _, SystemClock};
use crate::key::ScopeNames;
use crate::store::Mode;
use crate::tenant::InvalidateError;

/// What was done, and whether the store has confirmed it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Receipt {
    /// `invalidate` or `delete-pattern`.
    pub(super) action: &'static str,
    /// Whose; `null` for what belongs to no tenant.
    pub(super) tenant: Option<String>,
    /// What was asked for, in words.
    pub(super) what: String,
    /// `hard` or `soft`.
    pub(super) mode: &'static str,
    /// The scopes, or the pattern.
    pub(super) scopes: Vec<String>,
    /// How many generations the store has moved. A scope that nothing is stored under has none.
    pub(super) moved: Option<usize>,
    /// How many entries were removed: by a pattern alone, since nothing is searched otherwise.
    pub(super) removed: Option<u64>,
    /// Whether no request that begins from now on is answered from before.
    pub(super) confirmed: bool,
    /// Why not.
    pub(super) error: Option<String>,
    /// When it began.
    pub(super) at: String,
    /// How long it took.
    pub(super) took_ms: f64,
}

/// Carries an order out, and tells the log what came of it.
///
/// # Dropping
///
/// It goes on, on a task of its own: who asks and leaves must not be able to change what nobody is told
/// of.
pub(super) async fn carry_out(
    admin: &Arc<Admin>,
    user: String,
    order: Order,
) -> Result<Receipt, Problem> {
    let own = Arc::clone(admin);
    let task = async move {
        let done = attempt(&own.access, &order).await;
        match &done {
            Ok(receipt) => audit::done(&user, receipt),
            Err(problem) => audit::refused(&user, order.action(), problem),
        }
        done
    };
    let task = admin.access.shared().work.spawn(task.in_current_span());
    task.await.unwrap_or_else(|_| {
        let message = "nobody knows what became of it: look whether it was done, or ask again";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "lost", message))
    })
}

async fn attempt(access: &Access, order: &Order) -> Result<Receipt, Problem> {
    let (part, plan) = order.plan(access)?;
    let (at, began) = (rfc3339(SystemClock.millis()), Instant::now());
    let mut receipt = Receipt {
        action: order.action(),
        tenant: tenant_of(part.space()),
        what: order.words(),
        mode: plan.mode(),
        scopes: plan.scopes(&part),
        moved: None,
        removed: None,
        confirmed: true,
        error: None,
        at,
        took_ms: 0.0,
    };
    match plan {
        Plan::Invalidate(scopes, mode) => invalidate(&part, scopes, mode, &mut receipt).await?,
        Plan::Delete(glob) => {
            let removed = part.delete_pattern(&glob).await;
            receipt.removed = Some(removed.map_err(|error| Problem::of_invalidation(&error))?);
        }
    }
    receipt.took_ms = millis(began.elapsed());
    Ok(receipt)
}

/// One that the store has not confirmed is tried again by the cache: it is no failure, and no
/// success.
async fn invalidate(
    part: &TenantCache,
    scopes: ScopeNames,
    mode: Mode,
    receipt: &mut Receipt,
) -> Result<(), Problem> {
    match part.carry_out(scopes, mode).await {
        Ok(done) => receipt.moved = Some(done.moved),
        Err(InvalidateError::Store(error)) => {
            receipt.confirmed = false;
            receipt.error = Some(format!(
                "{error}. This instance passes these scopes by and goes on trying; other instances \
                 may serve what is stored until it has succeeded."
            ));
        }
        Err(error) => return Err(Problem::of_invalidation(&error)),
    }
    Ok(())
}
