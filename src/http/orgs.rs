//! Organizations: `/v1/orgs`.

use axum::{Json, extract::Path, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::Fields,
    error::{ApiError, Errors, created},
    management::{Call, ListBody, ListCall, Settled, optional_field, path_id, required_field},
    once::{IdempotencyKey, Made, OnceCall},
    state::AppState,
    view::OrgView,
    wait::{Propagated, WaitParam},
};
use crate::{
    domain::{
        id::OrgId,
        name::{Name, Reason, Slug},
        org::{NewOrg, Org, OrgPatch},
        secret::Secret,
    },
    policy::{ManagementAction, Target},
};

/// A write's answer about an org.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrgWritten {
    org: OrgView,
    revision: i64,
    /// With `?wait=all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    propagated: Option<Propagated>,
}

impl Made for OrgWritten {
    type Thing = Org;

    fn new(org: &Org, revision: i64, _: Option<&Secret>) -> Self {
        Self { org: OrgView::new(org), revision, propagated: None }
    }
}

impl From<Settled<Org>> for OrgWritten {
    fn from(settled: Settled<Org>) -> Self {
        Self { propagated: settled.propagated, ..Self::new(&settled.value, settled.revision, None) }
    }
}

/// What `create_org` takes.
#[derive(Debug, ToSchema)]
pub(super) struct CreateOrg {
    #[schema(value_type = String, example = "Acme")]
    name: Name,
    /// Made from the name when left out.
    #[schema(value_type = String, required = false, example = "acme")]
    slug: Option<Slug>,
}

impl CreateOrg {
    fn read(mut fields: Fields) -> Result<NewOrg, ApiError> {
        let body = Self { name: required_field(&mut fields, "name")?, slug: optional_field(&mut fields, "slug")? };
        fields.finish()?;
        let no_slug = || ApiError::Unprocessable { param: "slug", message: "the name suggests no slug; give one".into() };
        let slug = body.slug.or_else(|| Slug::suggest(&body.name)).ok_or_else(no_slug)?;
        Ok(NewOrg { name: body.name, slug })
    }
}

/// Makes an organization.
#[utoipa::path(post, path = "/v1/orgs", operation_id = "create_org", tag = "orgs", params(WaitParam, IdempotencyKey),
    request_body = CreateOrg, responses((status = 201, body = OrgWritten), Errors))]
pub(super) async fn create_org(OnceCall(mut call, repeat): OnceCall) -> Result<Response, ApiError> {
    let new = CreateOrg::read(call.fields()?)?;
    call.authorize(ManagementAction::OrgsCreate, &Target::System)?;
    let write = |app: AppState, attempt| async move { app.store.create_org(attempt, new).await };
    Ok(created(&call.make::<OrgWritten, _, _>(repeat, None, write).await?))
}

/// Lists the organizations that exist, oldest first.
#[utoipa::path(get, path = "/v1/orgs", operation_id = "list_orgs", tag = "orgs",
    params(("limit" = Option<u32>, Query, description = "1 to 200, 50 when left out"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ListBody<OrgView>), Errors))]
pub(super) async fn list_orgs(ListCall(mut call, query): ListCall) -> Result<Json<ListBody<OrgView>>, ApiError> {
    call.no_fields()?;
    let page = query.page("orgs")?;
    call.authorize(ManagementAction::OrgsList, &Target::System)?;
    let listing = call.app.store.list_orgs(page).await?;
    Ok(ListBody::new("orgs", &listing, |org| org.id, OrgView::new))
}

/// Reads an organization; a deleted one is told as such.
#[utoipa::path(get, path = "/v1/orgs/{org}", operation_id = "find_org", tag = "orgs", params(("org" = String, Path)),
    responses((status = 200, body = OrgView), Errors))]
pub(super) async fn find_org(Path(org): Path<String>, mut call: Call) -> Result<Json<OrgView>, ApiError> {
    call.no_fields()?;
    let org = call.authorize_org(ManagementAction::OrgsRead, path_id(&org)).await?;
    Ok(Json(OrgView::new(&org)))
}

/// What `update_org` takes.
#[derive(Debug, ToSchema)]
pub(super) struct UpdateOrg {
    #[schema(value_type = String, required = false)]
    name: Option<Name>,
    #[schema(value_type = String, required = false)]
    slug: Option<Slug>,
}

/// Changes an organization's name or slug.
#[utoipa::path(patch, path = "/v1/orgs/{org}", operation_id = "update_org", tag = "orgs", params(WaitParam, ("org" = String, Path)),
    request_body = UpdateOrg, responses((status = 200, body = OrgWritten), Errors))]
pub(super) async fn update_org(Path(org): Path<String>, mut call: Call) -> Result<Json<OrgWritten>, ApiError> {
    let mut fields = call.fields()?;
    let body = UpdateOrg { name: optional_field(&mut fields, "name")?, slug: optional_field(&mut fields, "slug")? };
    fields.finish()?;
    let org = call.authorize_org(ManagementAction::OrgsUpdate, path_id(&org)).await?;
    let patch = OrgPatch { name: body.name, slug: body.slug };
    let written = call.commit(|app, author| async move { app.store.update_org(&author, org.id, patch).await }).await?;
    Ok(Json(written.into()))
}

/// Deletes an organization: a tombstone that ends every key.
#[utoipa::path(delete, path = "/v1/orgs/{org}", operation_id = "delete_org", tag = "orgs", params(WaitParam, ("org" = String, Path)),
    responses((status = 200, body = OrgWritten), Errors))]
pub(super) async fn delete_org(Path(org): Path<String>, mut call: Call) -> Result<Json<OrgWritten>, ApiError> {
    call.no_fields()?;
    let org = call.authorize_org(ManagementAction::OrgsDelete, path_id(&org)).await?;
    let written = call.commit(|app, author| async move { app.store.delete_org(&author, org.id).await }).await?;
    Ok(Json(written.into()))
}

/// Why an organization is suspended, or no longer.
#[derive(Debug, ToSchema)]
pub(super) struct Suspension {
    #[schema(value_type = String, example = "payment overdue")]
    reason: Reason,
}

impl Suspension {
    async fn read(call: &mut Call, org: &str, action: ManagementAction) -> Result<(OrgId, Reason), ApiError> {
        let mut fields = call.fields()?;
        let body = Self { reason: required_field(&mut fields, "reason")? };
        fields.finish()?;
        Ok((call.authorize_org(action, path_id(org)).await?.id, body.reason))
    }
}

/// Suspends an organization: none of its keys is allowed anything until it is unsuspended.
#[utoipa::path(post, path = "/v1/orgs/{org}/suspend", operation_id = "suspend_org", tag = "orgs", params(WaitParam, ("org" = String, Path)),
    request_body = Suspension, responses((status = 200, body = OrgWritten), Errors))]
pub(super) async fn suspend_org(Path(org): Path<String>, mut call: Call) -> Result<Json<OrgWritten>, ApiError> {
    let (org, reason) = Suspension::read(&mut call, &org, ManagementAction::OrgsSuspend).await?;
    let written = call.commit(|app, author| async move { app.store.suspend_org(&author, org, &reason).await }).await?;
    Ok(Json(written.into()))
}

/// Lifts a suspension.
#[utoipa::path(post, path = "/v1/orgs/{org}/unsuspend", operation_id = "unsuspend_org", tag = "orgs", params(WaitParam, ("org" = String, Path)),
    request_body = Suspension, responses((status = 200, body = OrgWritten), Errors))]
pub(super) async fn unsuspend_org(Path(org): Path<String>, mut call: Call) -> Result<Json<OrgWritten>, ApiError> {
    let (org, reason) = Suspension::read(&mut call, &org, ManagementAction::OrgsUnsuspend).await?;
    let written = call.commit(|app, author| async move { app.store.unsuspend_org(&author, org, &reason).await }).await?;
    Ok(Json(written.into()))
}
