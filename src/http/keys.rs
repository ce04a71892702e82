//! API keys: `/v1/orgs/{org}/keys` and `/v1/keys`.

use std::time::Duration;

use axum::{Json, extract::Path, response::Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    body::{Fields, both_expiries, missing, parse_expiry},
    error::{ApiError, Errors, created},
    management::{Call, ListBody, ListCall, Settled, optional_field, path_id, required_field},
    once::{IdempotencyKey, Made, OnceCall},
    state::AppState,
    view::KeyView,
    wait::{Propagated, WaitParam},
};
use crate::{
    domain::{
        clock::parse_duration,
        id::KeyId,
        key::{Environment, Key, KeyPatch, LONGEST_OVERLAP, NewKey},
        name::{Name, Reason},
        permission::Permissions,
        secret::{Plane, Secret},
    },
    policy::ManagementAction,
};

/// A write's answer about a key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyWritten {
    key: KeyView,
    revision: i64,
    /// With `?wait=all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    propagated: Option<Propagated>,
}

impl KeyWritten {
    fn new(call: &Call, written: &Settled<Key>) -> Self {
        let key = KeyView::new(&written.value, call.app.now());
        Self { key, revision: written.revision, propagated: written.propagated }
    }
}

/// The answer that shows a secret of a key, once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyMade {
    key: KeyView,
    /// `null` when the answer is given again.
    #[schema(required = true, example = "op_live_…")]
    secret: Option<String>,
    revision: i64,
    /// With `?wait=all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    propagated: Option<Propagated>,
}

impl Made for KeyMade {
    type Thing = Key;

    fn new(key: &Key, revision: i64, secret: Option<&Secret>) -> Self {
        let secret = secret.map(|secret| secret.expose().to_owned());
        Self { key: KeyView::new(key, key.updated_at), secret, revision, propagated: None }
    }
}

/// What `create_key` takes.
#[derive(Debug, ToSchema)]
pub(super) struct CreateKey {
    #[schema(value_type = String, example = "CI")]
    name: Name,
    /// `live` or `test`
    #[schema(value_type = String, example = "live")]
    environment: Environment,
    /// Permissions and presets; presets are expanded now.
    #[schema(value_type = Vec<String>, example = json!(["read-only"]))]
    permissions: Permissions,
    /// RFC 3339; or give `expires_in`.
    #[schema(value_type = String, required = false)]
    expires_at: Option<String>,
    /// `[0-9]+[smhd]`; or give `expires_at`.
    #[schema(value_type = String, required = false, example = "90d")]
    expires_in: Option<String>,
}

impl CreateKey {
    fn read(call: &Call, mut fields: Fields) -> Result<NewKey, ApiError> {
        let body = Self {
            name: required_field(&mut fields, "name")?,
            environment: required_field(&mut fields, "environment")?,
            permissions: read_permissions(call, &mut fields)?.ok_or_else(|| missing("permissions"))?,
            expires_at: fields.text("expires_at")?,
            expires_in: fields.text("expires_in")?,
        };
        fields.finish()?;
        let expires_at = parse_expiry(body.expires_at.as_deref(), body.expires_in.as_deref(), call.app.now())?;
        Ok(NewKey { name: body.name, environment: body.environment, permissions: body.permissions, expires_at })
    }
}

/// `permissions`: names that the schema has, presets expanded.
pub(super) fn read_permissions(call: &Call, fields: &mut Fields) -> Result<Option<Permissions>, ApiError> {
    let Some(names) = fields.texts("permissions")? else { return Ok(None) };
    let snapshot = call.app.keeper.current();
    let engine = &snapshot.policies().engine;
    let permissions = engine.expand(names.iter().map(String::as_str)).map_err(|unknown| {
        let permissions = engine.permissions().iter().map(|info| info.name.clone());
        ApiError::UnknownPermission {
            unknown,
            valid: permissions.chain(engine.presets().iter().map(|preset| preset.name.clone())).collect(),
        }
    })?;
    Ok(Some(permissions))
}

fn mint(call: &Call, plane: Plane) -> Result<Secret, ApiError> {
    Secret::mint(&call.app.prefix, plane, &call.app.random).map_err(|error| {
        tracing::error!(%error, "no secret can be made");
        ApiError::Internal
    })
}

/// Makes a key and shows its secret, once.
#[utoipa::path(post, path = "/v1/orgs/{org}/keys", operation_id = "create_key", tag = "keys", params(WaitParam, ("org" = String, Path), IdempotencyKey),
    request_body = CreateKey, responses((status = 201, body = KeyMade), Errors))]
pub(super) async fn create_key(Path(org): Path<String>, OnceCall(mut call, repeat): OnceCall) -> Result<Response, ApiError> {
    let fields = call.fields()?;
    let new = CreateKey::read(&call, fields)?;
    let org = call.authorize_org(ManagementAction::KeysCreate, path_id(&org)).await?;
    let secret = mint(&call, new.environment.plane())?;
    let sealed = call.app.peppers.current.seal(&secret);
    let write = |app: AppState, attempt| async move { app.store.create_key(attempt, org.id, new, &sealed).await };
    Ok(created(&call.make::<KeyMade, _, _>(repeat, Some(secret), write).await?))
}

/// Lists the keys of an organization, oldest first, revoked ones included.
#[utoipa::path(get, path = "/v1/orgs/{org}/keys", operation_id = "list_keys", tag = "keys",
    params(("org" = String, Path), ("limit" = Option<u32>, Query, description = "1 to 200, 50 when left out"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ListBody<KeyView>), Errors))]
pub(super) async fn list_keys(
    Path(org): Path<String>,
    ListCall(mut call, query): ListCall,
) -> Result<Json<ListBody<KeyView>>, ApiError> {
    call.no_fields()?;
    let list = format!("keys of {org}");
    let page = query.page(&list)?;
    let org = call.authorize_org(ManagementAction::KeysList, path_id(&org)).await?;
    let listing = call.app.store.list_keys(org.id, page).await?;
    let now = call.app.now();
    Ok(ListBody::new(&list, &listing, |key| key.id, |key| KeyView::new(key, now)))
}

/// Finds a key and asks the policies about its org; a missing key is told only to those who may read keys at all.
async fn authorize_key(call: &Call, action: ManagementAction, id: &str) -> Result<Key, ApiError> {
    let key = match path_id::<crate::domain::id::OfKey>(id) {
        Some(id) => call.app.store.find_key(id).await?,
        None => None,
    };
    call.authorize_org(action, key.as_ref().map(|key| key.org)).await?;
    key.ok_or(ApiError::NotFound)
}

/// Reads a key.
#[utoipa::path(get, path = "/v1/keys/{key}", operation_id = "find_key", tag = "keys", params(("key" = String, Path)),
    responses((status = 200, body = KeyView), Errors))]
pub(super) async fn find_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyView>, ApiError> {
    call.no_fields()?;
    let key = authorize_key(&call, ManagementAction::KeysRead, &key).await?;
    Ok(Json(KeyView::new(&key, call.app.now())))
}

/// What `update_key` takes.
#[derive(Debug, ToSchema)]
pub(super) struct UpdateKey {
    #[schema(value_type = String, required = false)]
    name: Option<Name>,
    /// Replaces the whole list.
    #[schema(value_type = Vec<String>, required = false)]
    permissions: Option<Permissions>,
    /// RFC 3339, or `null` for no expiry.
    expires_at: Option<String>,
    /// `[0-9]+[smhd]`
    #[schema(value_type = String, required = false)]
    expires_in: Option<String>,
    #[schema(ignore)]
    without_expiry: bool,
}

impl UpdateKey {
    fn read(call: &Call, mut fields: Fields) -> Result<KeyPatch, ApiError> {
        let body = Self {
            name: optional_field(&mut fields, "name")?,
            permissions: read_permissions(call, &mut fields)?,
            without_expiry: fields.take_null("expires_at"),
            expires_at: fields.text("expires_at")?,
            expires_in: fields.text("expires_in")?,
        };
        fields.finish()?;
        let expiry = parse_expiry(body.expires_at.as_deref(), body.expires_in.as_deref(), call.app.now())?;
        if expiry.is_some() && body.without_expiry {
            return Err(both_expiries());
        }
        let expires_at = if body.without_expiry { Some(None) } else { expiry.map(Some) };
        Ok(KeyPatch { name: body.name, permissions: body.permissions, expires_at })
    }
}

/// Changes a key's name, permissions or expiry.
#[utoipa::path(patch, path = "/v1/keys/{key}", operation_id = "update_key", tag = "keys", params(WaitParam, ("key" = String, Path)),
    request_body = UpdateKey, responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn update_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    let fields = call.fields()?;
    let patch = UpdateKey::read(&call, fields)?;
    let key = authorize_key(&call, ManagementAction::KeysUpdate, &key).await?;
    let written = call.commit(|app, author| async move { app.store.update_key(&author, key.id, patch).await }).await?;
    Ok(Json(KeyWritten::new(&call, &written)))
}

/// What `rotate_key` takes.
#[derive(Debug, ToSchema)]
pub(super) struct RotateKey {
    /// How long the old secret stays valid: `0s` to `7d`, `24h` when left out.
    #[schema(value_type = String, required = false, example = "24h")]
    overlap: Duration,
}

impl RotateKey {
    fn read(mut fields: Fields) -> Result<Duration, ApiError> {
        let refuse = |message: String| ApiError::Unprocessable { param: "overlap", message };
        let overlap = fields.text("overlap")?.unwrap_or_else(|| "24h".to_owned());
        fields.finish()?;
        let body = Self { overlap: parse_duration(&overlap).map_err(|error| refuse(format!("`overlap`: {error}")))? };
        if body.overlap > LONGEST_OVERLAP { Err(refuse("`overlap` is at most `7d`".to_owned())) } else { Ok(body.overlap) }
    }
}

/// Gives a key a new secret, shown once; the old one dies at the end of the overlap.
#[utoipa::path(post, path = "/v1/keys/{key}/rotate", operation_id = "rotate_key", tag = "keys", params(WaitParam, ("key" = String, Path), IdempotencyKey),
    request_body = Option<RotateKey>, responses((status = 200, body = KeyMade), Errors))]
pub(super) async fn rotate_key(Path(key): Path<String>, OnceCall(mut call, repeat): OnceCall) -> Result<Json<Value>, ApiError> {
    let overlap = RotateKey::read(call.optional_fields())?;
    let key = authorize_key(&call, ManagementAction::KeysRotate, &key).await?;
    let secret = mint(&call, key.environment.plane())?;
    let sealed = call.app.peppers.current.seal(&secret);
    let write = |app: AppState, attempt| async move { app.store.rotate_key(attempt, key.id, overlap, &sealed).await };
    Ok(Json(call.make::<KeyMade, _, _>(repeat, Some(secret), write).await?))
}

/// Ends the overlap of a rotation now.
#[utoipa::path(post, path = "/v1/keys/{key}/rotation/finish", operation_id = "finish_rotation", tag = "keys", params(WaitParam, ("key" = String, Path)),
    responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn finish_rotation(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    call.no_fields()?;
    let id = authorize_key(&call, ManagementAction::KeysRotate, &key).await?.id;
    let written = call.commit(|app, author| async move { app.store.finish_rotation(&author, id).await }).await?;
    Ok(Json(KeyWritten::new(&call, &written)))
}

/// Disables a key until it is enabled again.
#[utoipa::path(post, path = "/v1/keys/{key}/disable", operation_id = "disable_key", tag = "keys", params(WaitParam, ("key" = String, Path)),
    responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn disable_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    call.no_fields()?;
    let id = authorize_key(&call, ManagementAction::KeysDisable, &key).await?.id;
    let written = call.commit(|app, author| async move { app.store.disable_key(&author, id).await }).await?;
    Ok(Json(KeyWritten::new(&call, &written)))
}

/// Enables a disabled key.
#[utoipa::path(post, path = "/v1/keys/{key}/enable", operation_id = "enable_key", tag = "keys", params(WaitParam, ("key" = String, Path)),
    responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn enable_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    call.no_fields()?;
    let id = authorize_key(&call, ManagementAction::KeysEnable, &key).await?.id;
    let written = call.commit(|app, author| async move { app.store.enable_key(&author, id).await }).await?;
    Ok(Json(KeyWritten::new(&call, &written)))
}

/// What `revoke_key` takes.
#[derive(Debug, Default, ToSchema)]
pub(super) struct RevokeKey {
    #[schema(value_type = String, required = false, example = "leaked")]
    reason: Option<Reason>,
}

/// Revokes a key for ever.
#[utoipa::path(post, path = "/v1/keys/{key}/revoke", operation_id = "revoke_key", tag = "keys", params(WaitParam, ("key" = String, Path)),
    request_body = Option<RevokeKey>, responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn revoke_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    let mut fields = call.optional_fields();
    let body = RevokeKey { reason: optional_field(&mut fields, "reason")? };
    fields.finish()?;
    revoke(&call, &key, body).await
}

/// Deletes a key: revokes it and keeps it as a tombstone.
#[utoipa::path(delete, path = "/v1/keys/{key}", operation_id = "delete_key", tag = "keys", params(WaitParam, ("key" = String, Path)),
    responses((status = 200, body = KeyWritten), Errors))]
pub(super) async fn delete_key(Path(key): Path<String>, mut call: Call) -> Result<Json<KeyWritten>, ApiError> {
    call.no_fields()?;
    revoke(&call, &key, RevokeKey::default()).await
}

async fn revoke(call: &Call, key: &str, body: RevokeKey) -> Result<Json<KeyWritten>, ApiError> {
    let id: KeyId = authorize_key(call, ManagementAction::KeysRevoke, key).await?.id;
    let written = call.commit(|app, author| async move { app.store.revoke_key(&author, id, body.reason.as_ref()).await }).await?;
    Ok(Json(KeyWritten::new(call, &written)))
}
