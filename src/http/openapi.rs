//! `GET /openapi.json`: generated from the handlers, so that it cannot say what they do not do.

use axum::{Json, extract::State};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::state::Document;

/// The document's frame; the routes bring their own parts.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Claviger",
        description = "Decides what API keys may do. The status of `/v1/authorize` carries the decision: only 200 is an allow.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Security),
    security(("bearer" = [])),
    paths(openapi),
    tags(
        (name = "decisions", description = "For services and gateways, with the key of their caller"),
        (name = "orgs", description = "For administrators"),
        (name = "keys", description = "For administrators"),
        (name = "admins", description = "For administrators"),
        (name = "policies", description = "For administrators"),
        (name = "audit", description = "For administrators: who changed what"),
        (name = "recent decisions", description = "For administrators: what was decided, by which policies, under which version"),
        (name = "health", description = "For whoever runs the server"),
    )
)]
pub(super) struct Frame;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("op_live_…, op_test_… or op_admin_…");
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// What `authorize` takes.
#[derive(Debug, ToSchema)]
#[schema(as = AuthorizeRequest)]
#[expect(dead_code, reason = "describes a body for the document; `decision::read_request` reads it")]
pub(super) struct AuthorizeRequest {
    #[schema(example = "classify:create")]
    action: String,
    /// The key's own organization when left out.
    #[schema(value_type = ResourceRef, required = false)]
    resource: Option<ResourceRef>,
    /// Must fit the context type that the schema declares for the action.
    #[schema(value_type = Object, required = false)]
    context: Option<Value>,
}

/// What is acted on.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body for the document")]
pub(super) struct ResourceRef {
    #[schema(example = "Org")]
    r#type: String,
    id: String,
}

/// What `authorize_batch` takes.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body for the document; `batch` reads it")]
pub(super) struct BatchRequest {
    #[schema(min_items = 1, max_items = 100)]
    requests: Vec<AuthorizeRequest>,
}

/// What `authorize_batch` answers: a decision for each request, in order, without `request_id`; a denial has `error`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes an answer for the document")]
pub(super) struct BatchDecisions {
    #[schema(value_type = Vec<Object>)]
    decisions: Vec<Value>,
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "health", security(()),
    responses((status = 200, body = Object)))]
pub(super) async fn openapi(State(document): State<Document>) -> Json<utoipa::openapi::OpenApi> {
    Json(utoipa::openapi::OpenApi::clone(&document))
}
