//! `GET /v1/whoami`: what a key may do now, told to the key itself.

use axum::{
    Json,
    extract::{Extension, Request as HttpRequest, State},
    response::IntoResponse,
};
use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;

use super::{
    auth::{authenticate_key, bearer},
    envelope::AnsweredAt,
    error::{ApiError, Errors},
    fresh::{Fresh, fresh, min_revision},
    state::{App, AppState},
};
use crate::{
    domain::{
        decision::Request,
        id::{KeyId, OrgId},
        key::{Environment, Refusal},
        permission::Permission,
    },
    snapshot::Snapshot,
};

/// A key about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhoAmI {
    key: WhoAmIKey,
    org: WhoAmIOrg,
    /// The permissions that would be allowed now on the key's own org, without a context.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WhoAmIKey {
    #[schema(value_type = String)]
    id: KeyId,
    #[schema(value_type = String)]
    name: Box<str>,
    #[schema(value_type = String, example = "test")]
    environment: Environment,
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    created_at: String,
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WhoAmIOrg {
    #[schema(value_type = String)]
    id: OrgId,
    name: String,
    suspended: bool,
}

/// What the calling key is, and what it may do now on its own organization.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", tag = "decisions", responses((status = 200, body = WhoAmI), Errors))]
pub(super) async fn whoami(State(app): State<AppState>, request: HttpRequest) -> Result<impl IntoResponse, ApiError> {
    let token = bearer(request.headers())?;
    let at_least = min_revision(request.headers())?;
    let Fresh { snapshot, made, refused } = fresh(&app, at_least, |snapshot| WhoAmI::of(&app, snapshot, token)).await;
    let made = made.map_err(|refusal| {
        app.recorder.reject(refusal);
        ApiError::InvalidApiKey { sent: token.is_some() }
    });
    let answer = refused.map_or(made, Err)?;
    Ok((Extension(AnsweredAt(snapshot.revision())), Json(answer)))
}

impl WhoAmI {
    fn of(app: &App, snapshot: &Snapshot, token: Option<&str>) -> Result<Self, Refusal> {
        let now = app.now();
        let found = authenticate_key(app, snapshot, token, now).map_err(|(refusal, _)| refusal)?;
        let caller = app.keeper.caller(&found, snapshot);
        app.keeper.note_use(&caller, &found, now);
        let engine = &snapshot.policies().engine;
        let allowed = |name: &Permission| {
            let request = Request { action: name.to_string(), resource: None, context: Map::new() };
            engine.read(&request, &caller, now).is_ok_and(|question| engine.decide(&caller, &question).is_allow())
        };
        let permissions = engine.permissions().iter().map(|info| info.name.clone()).filter(allowed).collect();
        let (key, org) = (&found.key, &found.org);
        Ok(Self {
            key: WhoAmIKey {
                id: key.id,
                name: key.name.clone(),
                environment: key.environment,
                permissions: key.permissions.to_vec(),
                created_at: key.created_at.to_string(),
                expires_at: key.expires_at.map(|at| at.to_string()),
            },
            org: WhoAmIOrg { id: org.id, name: org.name.to_string(), suspended: org.suspended },
            permissions,
        })
    }
}
