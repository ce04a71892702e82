//! Organizations: the owners of keys, and what suspension acts on.

use super::{
    clock::Timestamp,
    id::OrgId,
    name::{Name, Reason, Slug},
};

/// An organization. A deleted one is a tombstone: it ends every key and keeps its id for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    pub id: OrgId,
    pub name: Name,
    pub slug: Slug,
    pub suspension: Option<Suspension>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// Since when and why an organization is suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    pub at: Timestamp,
    pub reason: Reason,
}

/// What a new organization starts with.
#[derive(Debug, Clone)]
pub struct NewOrg {
    pub name: Name,
    pub slug: Slug,
}

/// What may change about an organization; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct OrgPatch {
    pub name: Option<Name>,
    pub slug: Option<Slug>,
}
