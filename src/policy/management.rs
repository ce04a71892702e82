//! The management API's own world: admins, what they may do, and to what.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};

use super::{
    compiled::{Answer, ask},
    decide::{failed, into_decision},
    engine::Engine,
    schema::uid,
    slice::Slice,
};
use crate::domain::{
    admin::Role,
    decision::Decision,
    id::{AdminId, OrgId},
};

/// A management operation, as `schema/management.cedarschema` declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    AdminsCreate,
    AdminsList,
    AdminsRevoke,
    AuditRead,
    DecisionsRead,
    KeysCreate,
    KeysDisable,
    KeysEnable,
    KeysList,
    KeysRead,
    KeysRevoke,
    KeysRotate,
    KeysUpdate,
    OrgsCreate,
    OrgsDelete,
    OrgsList,
    OrgsRead,
    OrgsSuspend,
    OrgsUnsuspend,
    OrgsUpdate,
    PermissionsList,
    PoliciesRead,
    ReplicasList,
}

impl Action {
    /// Every operation that the server asks about.
    pub const ALL: [Self; 23] = [
        Self::AdminsCreate,
        Self::AdminsList,
        Self::AdminsRevoke,
        Self::AuditRead,
        Self::DecisionsRead,
        Self::KeysCreate,
        Self::KeysDisable,
        Self::KeysEnable,
        Self::KeysList,
        Self::KeysRead,
        Self::KeysRevoke,
        Self::KeysRotate,
        Self::KeysUpdate,
        Self::OrgsCreate,
        Self::OrgsDelete,
        Self::OrgsList,
        Self::OrgsRead,
        Self::OrgsSuspend,
        Self::OrgsUnsuspend,
        Self::OrgsUpdate,
        Self::PermissionsList,
        Self::PoliciesRead,
        Self::ReplicasList,
    ];

    /// The action's id in the namespace `Claviger`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdminsCreate => "admins:create",
            Self::AdminsList => "admins:list",
            Self::AdminsRevoke => "admins:revoke",
            Self::AuditRead => "audit:read",
            Self::DecisionsRead => "decisions:read",
            Self::KeysCreate => "keys:create",
            Self::KeysDisable => "keys:disable",
            Self::KeysEnable => "keys:enable",
            Self::KeysList => "keys:list",
            Self::KeysRead => "keys:read",
            Self::KeysRevoke => "keys:revoke",
            Self::KeysRotate => "keys:rotate",
            Self::KeysUpdate => "keys:update",
            Self::OrgsCreate => "orgs:create",
            Self::OrgsDelete => "orgs:delete",
            Self::OrgsList => "orgs:list",
            Self::OrgsRead => "orgs:read",
            Self::OrgsSuspend => "orgs:suspend",
            Self::OrgsUnsuspend => "orgs:unsuspend",
            Self::OrgsUpdate => "orgs:update",
            Self::PermissionsList => "permissions:list",
            Self::PoliciesRead => "policies:read",
            Self::ReplicasList => "replicas:list",
        }
    }

    /// Whether it only looks. Not read from the schema: no edit can call a write a read.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(
            self,
            Self::AdminsList
                | Self::AuditRead
                | Self::DecisionsRead
                | Self::KeysList
                | Self::KeysRead
                | Self::OrgsList
                | Self::OrgsRead
                | Self::PermissionsList
                | Self::PoliciesRead
                | Self::ReplicasList
        )
    }
}

impl Action {
    /// Whether the server asks about an org: with [`Target::Org`].
    #[must_use]
    pub const fn is_about_org(self) -> bool {
        matches!(
            self,
            Self::KeysCreate
                | Self::KeysDisable
                | Self::KeysEnable
                | Self::KeysList
                | Self::KeysRead
                | Self::KeysRevoke
                | Self::KeysRotate
                | Self::KeysUpdate
                | Self::OrgsDelete
                | Self::OrgsRead
                | Self::OrgsSuspend
                | Self::OrgsUnsuspend
                | Self::OrgsUpdate
        )
    }

    /// Whether the server asks about an admin: with [`Target::Admin`].
    #[must_use]
    pub const fn is_about_admin(self) -> bool {
        matches!(self, Self::AdminsCreate | Self::AdminsRevoke)
    }

    pub(super) const fn fits(self, target: &Target) -> bool {
        match target {
            Target::System => !self.is_about_org() && !self.is_about_admin(),
            Target::Admin(_) => self.is_about_admin(),
            Target::Org { .. } => self.is_about_org(),
        }
    }
}

/// What a management operation is about.
#[derive(Debug, Clone)]
pub enum Target {
    /// The installation as a whole.
    System,
    /// An admin to be made or revoked, by role.
    Admin(Role),
    Org {
        id: OrgId,
        name: String,
        suspended: bool,
    },
}

impl Target {
    fn uid(&self, engine: &Engine) -> EntityUid {
        match self {
            Self::System | Self::Admin(_) => uid(&engine.shape.system_type, "system"),
            Self::Org { id, .. } => engine.shape.org_uid(&id.to_string()),
        }
    }

    fn entity(&self, engine: &Engine) -> Result<Entity, String> {
        match self {
            Self::System | Self::Admin(_) => Ok(Entity::with_uid(self.uid(engine))),
            Self::Org { name, suspended, .. } => engine.shape.org_entity(self.uid(engine), name, *suspended),
        }
    }

    fn context(&self) -> Result<Context, String> {
        match self {
            Self::Admin(role) => {
                let role = RestrictedExpression::new_string(role.as_str().to_owned());
                Context::from_pairs([("role".to_owned(), role)]).map_err(|error| error.to_string())
            }
            Self::System | Self::Org { .. } => Ok(Context::empty()),
        }
    }
}

pub(super) fn decide(engine: &Engine, admin: AdminId, role: Role, action: Action, target: &Target) -> Arc<Decision> {
    let failed = |detail| failed(detail, Vec::new());
    if !action.fits(target) {
        return failed(format!("`{}` is not about such a target", action.as_str()));
    }
    match answer(engine, &admin.to_string(), role, action.as_str(), target) {
        Ok(answer) => into_decision(&answer, || None),
        Err(detail) => failed(detail),
    }
}

/// Asks Cedar about an admin; an action that the schema does not declare for admins is an error, so a denial.
pub(super) fn answer<'e>(
    engine: &'e Engine,
    admin: &str,
    role: Role,
    action: &str,
    target: &Target,
) -> Result<Answer<'e>, String> {
    let slice = find_slice(engine, action)?;
    let (request, entities) = situation(engine, admin, role, slice, target, &slice.hierarchy)?;
    Ok(ask(engine, &request, &slice.policies, &entities))
}

pub(super) fn find_slice<'e>(engine: &'e Engine, action: &str) -> Result<&'e Slice, String> {
    engine.admins.get(action).ok_or_else(|| format!("the schema does not declare `{action}` for admins"))
}

/// What Cedar is asked about an admin, and what it may look at: these actions, too.
pub(super) fn situation(
    engine: &Engine,
    admin: &str,
    role: Role,
    slice: &Slice,
    target: &Target,
    actions: &[Entity],
) -> Result<(Request, Entities), String> {
    let principal = uid(&engine.shape.admin_type, admin);
    let attributes = HashMap::from([("role".to_owned(), RestrictedExpression::new_string(role.as_str().to_owned()))]);
    let entity = Entity::new(principal.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
    let all = [entity, target.entity(engine)?].into_iter().chain(actions.iter().cloned());
    let entities = Entities::from_entities(all, None).map_err(|error| error.to_string())?;
    let request = Request::new(principal, slice.action.clone(), target.uid(engine), target.context()?, None)
        .map_err(|error| error.to_string())?;
    Ok((request, entities))
}
