//! Administrators: `/v1/admins`.

use axum::{Json, extract::Path, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Errors, created},
    management::{Call, ListBody, ListCall, path_id, required_field},
    once::{IdempotencyKey, Made, OnceCall},
    state::AppState,
    view::AdminView,
    wait::{Propagated, WaitParam},
};
use crate::{
    domain::{
        admin::{Admin, NewAdmin, Role},
        id::OfAdmin,
        name::Name,
        secret::{Plane, Secret},
    },
    policy::{ManagementAction, Target},
};

/// A write's answer about an admin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminWritten {
    admin: AdminView,
    revision: i64,
    /// With `?wait=all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    propagated: Option<Propagated>,
}

/// The answer that shows an admin's token, once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminMade {
    admin: AdminView,
    /// `null` when the answer is given again.
    #[schema(required = true, example = "op_admin_…")]
    secret: Option<String>,
    revision: i64,
    /// With `?wait=all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    propagated: Option<Propagated>,
}

impl Made for AdminMade {
    type Thing = Admin;

    fn new(admin: &Admin, revision: i64, secret: Option<&Secret>) -> Self {
        Self { admin: AdminView::new(admin), secret: secret.map(|secret| secret.expose().to_owned()), revision, propagated: None }
    }
}

/// What `create_admin` takes.
#[derive(Debug, ToSchema)]
pub(super) struct CreateAdmin {
    #[schema(value_type = String)]
    name: Name,
    /// `owner`, `operator` or `auditor`
    #[schema(value_type = String, example = "auditor")]
    role: Role,
}

/// Makes an admin and shows the token, once.
#[utoipa::path(post, path = "/v1/admins", operation_id = "create_admin", tag = "admins", params(WaitParam, IdempotencyKey),
    request_body = CreateAdmin, responses((status = 201, body = AdminMade), Errors))]
pub(super) async fn create_admin(OnceCall(mut call, repeat): OnceCall) -> Result<Response, ApiError> {
    let mut fields = call.fields()?;
    let body = CreateAdmin { name: required_field(&mut fields, "name")?, role: required_field(&mut fields, "role")? };
    fields.finish()?;
    call.authorize(ManagementAction::AdminsCreate, &Target::Admin(body.role))?;
    let secret = Secret::mint(&call.app.prefix, Plane::Admin, &call.app.random).map_err(|error| {
        tracing::error!(%error, "no token can be made");
        ApiError::Internal
    })?;
    let sealed = call.app.peppers.current.seal(&secret);
    let new = NewAdmin { name: body.name, role: body.role };
    let write = |app: AppState, attempt| async move { app.store.create_admin(attempt, new, &sealed).await };
    Ok(created(&call.make::<AdminMade, _, _>(repeat, Some(secret), write).await?))
}

/// Lists the admins, oldest first, revoked ones included.
#[utoipa::path(get, path = "/v1/admins", operation_id = "list_admins", tag = "admins",
    params(("limit" = Option<u32>, Query, description = "1 to 200, 50 when left out"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ListBody<AdminView>), Errors))]
pub(super) async fn list_admins(ListCall(mut call, query): ListCall) -> Result<Json<ListBody<AdminView>>, ApiError> {
    call.no_fields()?;
    let page = query.page("admins")?;
    call.authorize(ManagementAction::AdminsList, &Target::System)?;
    let listing = call.app.store.list_admins(page).await?;
    Ok(ListBody::new("admins", &listing, |admin| admin.id, AdminView::new))
}

async fn find(call: &Call, id: &str) -> Result<Option<Admin>, ApiError> {
    match path_id::<OfAdmin>(id) {
        Some(id) => Ok(call.app.store.find_admin(id).await?),
        None => Ok(None),
    }
}

/// Reads an admin.
#[utoipa::path(get, path = "/v1/admins/{admin}", operation_id = "find_admin", tag = "admins", params(("admin" = String, Path)),
    responses((status = 200, body = AdminView), Errors))]
pub(super) async fn find_admin(Path(admin): Path<String>, mut call: Call) -> Result<Json<AdminView>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::AdminsList, &Target::System)?;
    let admin = find(&call, &admin).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(AdminView::new(&admin)))
}

/// Revokes an admin's token; the last owner cannot be revoked.
#[utoipa::path(post, path = "/v1/admins/{admin}/revoke", operation_id = "revoke_admin", tag = "admins", params(WaitParam, ("admin" = String, Path)),
    responses((status = 200, body = AdminWritten), Errors))]
pub(super) async fn revoke_admin(Path(admin): Path<String>, mut call: Call) -> Result<Json<AdminWritten>, ApiError> {
    call.no_fields()?;
    let admin = find(&call, &admin).await?;
    // Who may not revoke the most powerful is not told that an admin is missing.
    call.authorize(ManagementAction::AdminsRevoke, &Target::Admin(admin.as_ref().map_or(Role::Owner, |admin| admin.role)))?;
    let id = admin.ok_or(ApiError::NotFound)?.id;
    let settled = call.commit(|app, author| async move { app.store.revoke_admin(&author, id).await }).await?;
    Ok(Json(AdminWritten { admin: AdminView::new(&settled.value), revision: settled.revision, propagated: settled.propagated }))
}
