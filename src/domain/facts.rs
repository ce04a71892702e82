//! What decisions are made on, and recorded with.

use std::sync::Arc;

use super::{
    clock::Timestamp,
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permission,
};

/// What the server knows about a key and its org, at one moment.
#[derive(Debug, Clone)]
pub struct Facts {
    pub key: KeyId,
    pub org: OrgId,
    pub org_name: Arc<str>,
    pub org_suspended: bool,
    pub environment: Environment,
    /// Shared by the keys that hold the same ones.
    pub permissions: Arc<[Permission]>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}
