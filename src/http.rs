//! The HTTP API: the route list.

mod admins;
mod api;
mod audit;
mod auth;
mod authorize;
mod batch;
mod body;
mod decision;
mod decisions;
mod docs;
mod envelope;
mod error;
mod explain;
mod fresh;
mod health;
mod input;
mod keys;
mod management;
mod metrics;
mod once;
mod openapi;
mod orgs;
mod policies;
mod record;
mod replicas;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod wait;
mod whoami;

use axum::{Router, middleware::from_fn, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use api::Api;
pub use audit::{AuditHeadView, AuditView};
pub use decisions::DecisionView;
pub use error::refused_key;
pub use explain::{ExplanationView, NearMissView, PartExplanation, PolicyExplanation, RecordedView, WhyView};
pub use metrics::MetricsDoor;
pub use replicas::ReplicaView;
pub use serve::{Answers, DRAIN, serve};
pub use state::{App, AppState, Explainer, Stopping};
pub use view::{AdminView, KeyView, OrgView};

use self::state::Document;

/// For services and gateways: decided in memory, from one snapshot.
fn decision_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(authorize::authorize))
        .routes(routes!(batch::authorize_batch))
        .routes(routes!(whoami::whoami))
}

/// For administrators: authenticated and authorized from the store.
fn management_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(orgs::create_org, orgs::list_orgs))
        .routes(routes!(orgs::find_org, orgs::update_org, orgs::delete_org))
        .routes(routes!(orgs::suspend_org))
        .routes(routes!(orgs::unsuspend_org))
        .routes(routes!(keys::create_key, keys::list_keys))
        .routes(routes!(keys::find_key, keys::update_key, keys::delete_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(keys::finish_rotation))
        .routes(routes!(keys::disable_key))
        .routes(routes!(keys::enable_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(admins::create_admin, admins::list_admins))
        .routes(routes!(admins::find_admin))
        .routes(routes!(admins::revoke_admin))
        .routes(routes!(policies::list_permissions))
        .routes(routes!(policies::read_policies))
        .routes(routes!(explain::explain))
        .routes(routes!(replicas::list_replicas))
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::read_audit_head))
        .routes(routes!(decisions::list_decisions))
        .routes(routes!(decisions::stream::stream_decisions))
        .routes(routes!(decisions::find_decision))
        .route_layer(from_fn(management::traced))
}

/// For whoever runs the server.
fn open_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(docs::error_docs))
        .routes(routes!(replicas::read_digest))
}

/// The OpenAPI document of every route, and the routes.
fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Frame::openapi())
        .merge(decision_routes())
        .merge(management_routes())
        .merge(open_routes())
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

fn routes(app: &AppState) -> Router {
    let (routes, document) = documented().split_for_parts();
    let document: Router = Router::new().route("/openapi.json", get(openapi::openapi)).with_state(Document::new(document));
    routes.with_state(app.clone()).merge(document)
}
