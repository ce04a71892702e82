//! What is in force: `/v1/permissions` and `/v1/policies`.

use std::collections::BTreeMap;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Errors},
    health::FailureView,
    management::Call,
};
use crate::policy::{Effect, ManagementAction, Target};

/// Everything that a key can be granted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PermissionList {
    permissions: Vec<PermissionView>,
    presets: Vec<PresetView>,
}

/// A permission: an action of the schema that applies to keys.
#[derive(Debug, Serialize, ToSchema)]
struct PermissionView {
    #[schema(example = "jobs:read")]
    name: String,
    /// The sentence of its `@doc`.
    description: Option<String>,
    /// The presets that hold it.
    presets: Vec<String>,
}

/// A preset: an action group, expanded when a key is written.
#[derive(Debug, Serialize, ToSchema)]
struct PresetView {
    #[schema(example = "read-only")]
    name: String,
    description: Option<String>,
    permissions: Vec<String>,
}

/// Lists every permission and preset of the schema in force.
#[utoipa::path(get, path = "/v1/permissions", operation_id = "list_permissions", tag = "policies",
    responses((status = 200, body = PermissionList), Errors))]
pub(super) async fn list_permissions(mut call: Call) -> Result<Json<PermissionList>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::PermissionsList, &Target::System)?;
    let snapshot = call.app.keeper.current();
    let engine = &snapshot.policies().engine;
    let names = |names: &[crate::domain::permission::Permission]| names.iter().map(ToString::to_string).collect();
    let permissions = engine.permissions().iter().map(|info| PermissionView {
        name: info.name.to_string(),
        description: info.doc.clone(),
        presets: names(&info.presets),
    });
    let presets = engine.presets().iter().map(|preset| PresetView {
        name: preset.name.to_string(),
        description: preset.doc.clone(),
        permissions: names(&preset.permissions),
    });
    Ok(Json(PermissionList { permissions: permissions.collect(), presets: presets.collect() }))
}

/// The policy set in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicySetView {
    /// `sha256:` over every live file.
    digest: String,
    loaded_at: String,
    policies: Vec<PolicyView>,
    /// Why the files are not what is in force; `null` when they are.
    last_failure: Option<FailureView>,
}

/// One policy.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyView {
    id: String,
    /// `permit` or `forbid`
    effect: &'static str,
    file: String,
    line: usize,
    annotations: BTreeMap<String, String>,
}

/// Reads the policy set in force.
#[utoipa::path(get, path = "/v1/policies", operation_id = "read_policies", tag = "policies",
    responses((status = 200, body = PolicySetView), Errors))]
pub(super) async fn read_policies(mut call: Call) -> Result<Json<PolicySetView>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::PoliciesRead, &Target::System)?;
    let snapshot = call.app.keeper.current();
    let policies = snapshot.policies();
    let view = policies.engine.policies().iter().map(|policy| PolicyView {
        id: policy.id.to_string(),
        effect: if policy.effect == Effect::Permit { "permit" } else { "forbid" },
        file: policy.file.clone(),
        line: policy.line,
        annotations: policy.annotations.clone(),
    });
    Ok(Json(PolicySetView {
        digest: policies.engine.digest().to_string(),
        loaded_at: policies.loaded_at.to_string(),
        policies: view.collect(),
        last_failure: call.app.keeper.policy_failure().as_deref().map(FailureView::from),
    }))
}
