//! How orgs, keys and admins look in JSON. No view holds a hash, its algorithm or a pepper id.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    admin::Admin,
    clock::Timestamp,
    key::{Key, KeySecret},
    org::Org,
};

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Org)]
pub struct OrgView {
    #[schema(example = "org_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    id: String,
    name: String,
    slug: String,
    /// `active`, `suspended` or `deleted`
    state: &'static str,
    suspended_at: Option<String>,
    suspension_reason: Option<String>,
    created_at: String,
    updated_at: String,
    deleted_at: Option<String>,
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl OrgView {
    /// An org for people.
    #[must_use]
    pub fn new(org: &Org) -> Self {
        let state = match (&org.deleted_at, &org.suspension) {
            (Some(_), _) => "deleted",
            (None, Some(_)) => "suspended",
            (None, None) => "active",
        };
        Self {
            id: org.id.to_string(),
            name: org.name.to_string(),
            slug: org.slug.to_string(),
            state,
            suspended_at: text(org.suspension.as_ref().map(|suspension| suspension.at)),
            suspension_reason: org.suspension.as_ref().map(|suspension| suspension.reason.to_string()),
            created_at: org.created_at.to_string(),
            updated_at: org.updated_at.to_string(),
            deleted_at: text(org.deleted_at),
        }
    }
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    #[schema(example = "key_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    id: String,
    org_id: String,
    name: String,
    /// `live` or `test`
    environment: &'static str,
    permissions: Vec<String>,
    /// `active`, `disabled`, `expired` or `revoked`
    state: &'static str,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    disabled_at: Option<String>,
    revoked_at: Option<String>,
    revocation_reason: Option<String>,
    /// To within a minute.
    last_used_at: Option<String>,
    /// Oldest first; during a rotation two of them are live.
    secrets: Vec<SecretView>,
}

/// What people see of a secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(super) struct SecretView {
    id: String,
    #[schema(example = "op_live_…R8mQ")]
    hint: String,
    created_at: String,
    expires_at: Option<String>,
    /// To within a minute.
    last_used_at: Option<String>,
}

impl SecretView {
    fn new(secret: &KeySecret) -> Self {
        Self {
            id: secret.id.to_string(),
            hint: secret.hint.clone(),
            created_at: secret.created_at.to_string(),
            expires_at: text(secret.expires_at),
            last_used_at: text(secret.last_used_at),
        }
    }
}

impl KeyView {
    /// A key as it is at `now`.
    #[must_use]
    pub fn new(key: &Key, now: Timestamp) -> Self {
        Self {
            id: key.id.to_string(),
            org_id: key.org.to_string(),
            name: key.name.to_string(),
            environment: key.environment.as_str(),
            permissions: key.permissions.iter().map(ToString::to_string).collect(),
            state: key.state(now),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            expires_at: text(key.expires_at),
            disabled_at: text(key.disabled_at),
            revoked_at: text(key.revocation.as_ref().map(|revocation| revocation.at)),
            revocation_reason: key.revocation.as_ref().and_then(|revocation| Some(revocation.reason.as_ref()?.to_string())),
            last_used_at: text(key.secrets.iter().filter_map(|secret| secret.last_used_at).max()),
            secrets: key.secrets.iter().map(SecretView::new).collect(),
        }
    }
}

/// An administrator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Admin)]
pub struct AdminView {
    #[schema(example = "adm_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    id: String,
    name: String,
    /// `owner`, `operator` or `auditor`
    role: &'static str,
    /// `active` or `revoked`
    state: &'static str,
    #[schema(example = "op_admin_…R8mQ")]
    hint: String,
    created_at: String,
    revoked_at: Option<String>,
}

impl AdminView {
    /// An admin for people.
    #[must_use]
    pub fn new(admin: &Admin) -> Self {
        Self {
            id: admin.id.to_string(),
            name: admin.name.to_string(),
            role: admin.role.as_str(),
            state: if admin.revoked_at.is_some() { "revoked" } else { "active" },
            hint: admin.hint.clone(),
            created_at: admin.created_at.to_string(),
            revoked_at: text(admin.revoked_at),
        }
    }
}
