//! The HTTP API: the route list and its layers.

mod auth;
mod authorize;
mod batch;
mod body;
mod decision;
mod envelope;
mod error;
mod health;
mod input;
mod record;
mod serve;
mod state;
mod whoami;

use axum::{
    Router,
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

pub use serve::{DRAIN, Peer, serve};
pub use state::{App, AppState};

use self::error::ApiError;

/// Every route, behind two layers: the envelope that every answer has, and a net for panics inside it.
#[must_use]
pub fn router(app: &AppState) -> Router {
    Router::new()
        .route("/v1/authorize", post(authorize::authorize))
        .route("/v1/authorize/batch", post(batch::authorize_batch))
        .route("/v1/whoami", get(whoami::whoami))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(app.clone())
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a handler panicked; the answer is 500, which allows nothing");
            ApiError::Internal.into_response()
        }))
        .layer(from_fn_with_state(app.clone(), envelope::envelope))
}
