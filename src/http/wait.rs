//! `?wait=all`: a write that answers when no replica can act on what was before it.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{error::ApiError, state::App};
use crate::snapshot::Fence;

/// The parameter of every write, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter for the document; `take_wait` reads it")]
pub(super) struct WaitParam {
    /// Answers when no replica can act on what was before the write: in a moment while all are connected, and otherwise when the
    /// lease of those that are not has run out.
    #[param(required = false)]
    wait: Wait,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a value for the document")]
enum Wait {
    All,
}

/// How far a write has come that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Propagated {
    /// No replica can act on what was before it.
    All,
    /// The write is made; whether every replica has it could not be seen.
    Pending,
}

/// Takes `wait=all` out of a query.
///
/// # Errors
/// Another value, or the parameter twice.
pub(super) fn take_wait(pairs: &mut Vec<(String, String)>) -> Result<bool, ApiError> {
    let Some(at) = pairs.iter().position(|(name, _)| name == "wait") else { return Ok(false) };
    let (_, value) = pairs.remove(at);
    if pairs.iter().any(|(name, _)| name == "wait") {
        return Err(ApiError::invalid("wait", "the parameter occurs twice"));
    }
    if value == "all" { Ok(true) } else { Err(ApiError::invalid("wait", "`wait` must be `all`")) }
}

/// Waits for all replicas; not longer than this server lives.
pub(super) async fn wait_for_all(app: &App, fence: &Fence) -> Propagated {
    let all = tokio::select! {
        all = app.keeper.propagate(fence) => all,
        () = app.stopping.told() => false,
    };
    if all { Propagated::All } else { Propagated::Pending }
}
