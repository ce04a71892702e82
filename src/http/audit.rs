//! `GET /v1/audit` and `GET /v1/audit/head`: who changed what, and where the chain stands.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{ApiError, Errors},
    management::{Call, ListBody, ListCall, PageQuery},
};
use crate::{
    domain::audit::{AuditEntry, AuditFilter, AuditHead, AuditRecord, from_hex, hex},
    policy::{ManagementAction, Target},
};

/// A row of the audit log, its texts exactly as they were hashed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRow)]
pub struct AuditView {
    /// The place in the chain, from 1; each write has one.
    revision: i64,
    #[schema(example = "evt_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    id: String,
    at: String,
    actor: ActorView,
    #[schema(example = "org.suspend")]
    action: String,
    /// The id of the org, the key or the admin.
    target: String,
    reason: Option<String>,
    /// JSON text of what changed, as it was before; `null` for a creation.
    before: Option<String>,
    /// JSON text of what changed, as it is since.
    after: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    /// The hash of the row before it, in hexadecimal; zeros for the first one.
    previous_hash: String,
    /// SHA-256 over the hash before it and every field above, in hexadecimal.
    hash: String,
}

/// Who changed it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorView {
    /// `admin`, `command_line` or `system`
    kind: String,
    /// Of an admin.
    id: Option<String>,
}

impl AuditView {
    /// A row for people and for whoever verifies the chain.
    #[must_use]
    pub fn new(entry: &AuditEntry) -> Self {
        let record = entry.record.clone();
        Self {
            revision: record.revision,
            id: record.id,
            at: record.at,
            actor: ActorView { kind: record.actor_kind, id: record.actor_id },
            action: record.action,
            target: record.target,
            reason: record.reason,
            before: record.before,
            after: record.after,
            request_id: record.request_id,
            address: record.address,
            previous_hash: hex(&entry.previous),
            hash: hex(&entry.hash),
        }
    }

    /// The row that is shown; `None` when a hash is no text of hexadecimal digits.
    #[must_use]
    pub fn entry(self) -> Option<AuditEntry> {
        let (previous, hash) = (from_hex(&self.previous_hash)?, from_hex(&self.hash)?);
        let record = AuditRecord {
            revision: self.revision,
            id: self.id,
            at: self.at,
            actor_kind: self.actor.kind,
            actor_id: self.actor.id,
            action: self.action,
            target: self.target,
            reason: self.reason,
            before: self.before,
            after: self.after,
            request_id: self.request_id,
            address: self.address,
        };
        Some(AuditEntry { record, previous, hash })
    }
}

/// Where the chain stands: kept elsewhere, it shows later whether rows were cut off or written anew.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditHead)]
pub struct AuditHeadView {
    /// Of the newest row.
    revision: i64,
    /// Its hash, in hexadecimal.
    hash: String,
}

impl AuditHeadView {
    /// A head for whoever keeps it.
    #[must_use]
    pub fn new(head: &AuditHead) -> Self {
        Self { revision: head.revision, hash: hex(&head.hash) }
    }

    /// The head that is shown; `None` when it is none.
    #[must_use]
    pub fn head(&self) -> Option<AuditHead> {
        AuditHead::parse(self.revision, &self.hash).ok()
    }
}

/// What `list_audit` takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters for the document; `read_filter` reads them")]
pub(super) struct FilterParams {
    /// Only this action, for example `org.suspend`.
    #[param(required = false)]
    action: String,
    /// Only changes of this org, key or admin, by its id.
    #[param(required = false)]
    target: String,
    /// Only changes by this admin, by its id, or by every `admin`, the `command_line` or the `system`.
    #[param(required = false)]
    actor: String,
    /// Only from this moment on, RFC 3339.
    #[param(required = false)]
    since: String,
    /// Only before this moment, RFC 3339.
    #[param(required = false)]
    until: String,
}

fn read_filter(query: &mut PageQuery) -> Result<AuditFilter, ApiError> {
    Ok(AuditFilter {
        action: query.take("action")?,
        target: query.take("target")?,
        actor: query.take("actor")?,
        since: query.take("since")?,
        until: query.take("until")?,
    })
}

/// Lists who changed what, oldest first. Nothing is verified: `claviger audit verify` does that.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit", tag = "audit",
    params(("limit" = Option<u32>, Query, description = "1 to 200, 50 when left out"), ("cursor" = Option<String>, Query),
        FilterParams),
    responses((status = 200, body = ListBody<AuditView>), Errors))]
pub(super) async fn list_audit(ListCall(mut call, mut query): ListCall) -> Result<Json<ListBody<AuditView>>, ApiError> {
    call.no_fields()?;
    let filter = read_filter(&mut query)?;
    let list = format!("audit {filter}");
    let page = query.page(&list)?;
    call.authorize(ManagementAction::AuditRead, &Target::System)?;
    let listing = call.app.store.list_audit(page, &filter).await?;
    Ok(ListBody::new(&list, &listing, |entry| entry.record.revision, AuditView::new))
}

/// Reads where the audit chain stands, to be kept elsewhere.
#[utoipa::path(get, path = "/v1/audit/head", operation_id = "read_audit_head", tag = "audit",
    responses((status = 200, body = AuditHeadView), Errors))]
pub(super) async fn read_audit_head(mut call: Call) -> Result<Json<AuditHeadView>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::AuditRead, &Target::System)?;
    Ok(Json(AuditHeadView::new(&call.app.store.audit_head().await?)))
}
