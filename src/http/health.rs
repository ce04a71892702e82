//! `GET /livez` and `GET /readyz`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, ErrorBody},
    fresh::{Fresh, fresh},
    state::AppState,
};
use crate::snapshot::PolicyFailure;

/// The process answers. Touches nothing.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "health", security(()), responses((status = 200, body = Live)))]
pub(super) async fn livez() -> Json<Live> {
    Json(Live { status: "ok" })
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Live {
    status: &'static str,
}

/// What `readyz` says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    status: &'static str,
    revision: i64,
    snapshot_age_ms: u64,
    policies: ReadyPolicies,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReadyPolicies {
    digest: String,
    loaded_at: String,
    last_failure: Option<FailureView>,
}

/// A failed policy reload: the set before it stays in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailureView {
    at: String,
    file: Option<String>,
    line: Option<usize>,
    message: String,
}

impl From<&PolicyFailure> for FailureView {
    fn from(failure: &PolicyFailure) -> Self {
        Self { at: failure.at.to_string(), file: failure.file.clone(), line: failure.line, message: failure.message.clone() }
    }
}

/// Loaded and fresh. A failed policy reload leaves it 200: one bad edit must not drain every replica.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "health", security(()),
    responses((status = 200, body = Ready), (status = 503, body = ErrorBody)))]
pub(super) async fn readyz(State(app): State<AppState>) -> Response {
    if app.stopping.is_told() {
        return ApiError::Stopping.into_response();
    }
    let Fresh { snapshot, refused, .. } = fresh(&app, None, |_| ()).await;
    if let Some(error) = refused {
        return error.into_response();
    }
    let policies = snapshot.policies();
    let ready = Ready {
        status: "ready",
        revision: snapshot.revision(),
        snapshot_age_ms: u64::try_from(app.keeper.age_of(&snapshot).unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        policies: ReadyPolicies {
            digest: policies.engine.digest().to_string(),
            loaded_at: policies.loaded_at.to_string(),
            last_failure: app.keeper.policy_failure().as_deref().map(FailureView::from),
        },
    };
    Json(ready).into_response()
}
