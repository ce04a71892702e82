//! A loaded policy set: what it can answer, and what it says about itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use cedar_policy::{Authorizer, PolicyId, PolicySet, Schema};

use super::{
    clause::Anatomy,
    decide::{Question, read_context},
    diagnostic::LoadError,
    entities::{Principal, Shape},
    management::{self, Target},
    sample::{Types, declare},
    slice::Slice,
};
use crate::domain::{
    admin::Role,
    clock::Timestamp,
    decision::{BadRequest, Decision, Request},
    facts::Facts,
    id::AdminId,
    nearest::nearest,
    permission::{Permission, Permissions},
};

/// What a policy set cannot say about itself.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Actions that a suspended organization's keys may still be allowed (`policies.suspended_may`).
    pub suspended_may: BTreeSet<Permission>,
}

/// A permission as `GET /v1/permissions` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionInfo {
    pub name: Permission,
    /// The sentence of its `@doc`.
    pub doc: Option<String>,
    /// The presets that hold it.
    pub presets: Vec<Permission>,
}

/// A named group of permissions: expanded when a key is written, never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    pub name: Permission,
    pub doc: Option<String>,
    pub permissions: Vec<Permission>,
}

/// What a policy does when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Permit,
    Forbid,
}

/// A policy as `GET /v1/policies` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    pub id: Arc<str>,
    pub effect: Effect,
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub annotations: BTreeMap<String, String>,
}

/// The error code and sentence of a `forbid`, and its id as answers carry it.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub id: Arc<str>,
    pub code: Arc<str>,
    pub message: Arc<str>,
    /// The decision that it alone determines: most are, so that they need not be made anew.
    pub alone: Arc<Decision>,
}

/// A validated, guarded policy set. Immutable; a reload makes a new one.
#[derive(Clone)]
pub struct Engine {
    pub(super) authorizer: Authorizer,
    pub(super) schema: Schema,
    pub(super) settings: Settings,
    pub(super) digest: Arc<str>,
    pub(super) shape: Shape,
    pub(super) types: Types,
    pub(super) labels: HashMap<PolicyId, Label>,
    /// By permission: what can matter when a key wants to use it.
    pub(super) keys: HashMap<Arc<str>, Slice>,
    /// By management action.
    pub(super) admins: HashMap<Arc<str>, Slice>,
    pub(super) permissions: Vec<PermissionInfo>,
    pub(super) presets: Vec<Preset>,
    pub(super) policies: Vec<PolicyInfo>,
    /// The policies as they were written, which the slices have parts of: what is studied, and asked by tests that speak to Cedar
    /// itself; never what decides.
    pub(super) originals: PolicySet,
    /// The same taken apart, once somebody asked why.
    pub(super) anatomies: OnceLock<Result<Vec<Anatomy>, LoadError>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("digest", &self.digest).field("policies", &self.policies.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// `sha256:` over every live file.
    #[must_use]
    pub const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Every permission, by name.
    #[must_use]
    pub fn permissions(&self) -> &[PermissionInfo] {
        &self.permissions
    }

    /// Every preset.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        &self.presets
    }

    /// Every policy, in the order of files and lines.
    #[must_use]
    pub fn policies(&self) -> &[PolicyInfo] {
        &self.policies
    }

    /// Every policy under its id, as it was written.
    #[must_use]
    pub const fn policy_set(&self) -> &PolicySet {
        &self.originals
    }

    /// What the policies were validated with.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Every attribute that the schema declares: of an entity type, a named type or an action's context, and its name.
    #[must_use]
    pub fn attributes(&self) -> BTreeSet<(String, String)> {
        let mut declared = self.types.declared();
        for slice in self.keys.values().chain(self.admins.values()) {
            let action = slice.action.to_string();
            for (name, attribute) in &slice.context {
                declared.insert((action.clone(), name.clone()));
                declare(&format!("{action}.{name}"), &attribute.kind, &mut declared);
            }
        }
        declared
    }

    /// The name of an action for keys, as the schema has it; `None` when it has none of this name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Arc<str>> {
        self.keys.get_key_value(name).map(|(name, _)| name)
    }

    /// The permissions that the names stand for, presets expanded.
    ///
    /// # Errors
    /// The names that are neither permission nor preset.
    pub fn expand<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Permissions, Vec<String>> {
        let (mut permissions, mut unknown) = (Permissions::new(), Vec::new());
        for name in names {
            if let Some(info) = self.permissions.iter().find(|info| info.name.as_str() == name) {
                permissions.insert(info.name.clone());
            } else if let Some(preset) = self.presets.iter().find(|preset| preset.name.as_str() == name) {
                permissions.extend(preset.permissions.iter().cloned());
            } else {
                unknown.push(name.to_owned());
            }
        }
        if unknown.is_empty() { Ok(permissions) } else { Err(unknown) }
    }

    /// Builds what Cedar needs to know about a key, for any number of decisions.
    #[must_use]
    pub fn principal(&self, facts: impl Into<Arc<Facts>>) -> Principal {
        Principal::new(self, facts.into())
    }

    /// Reads a request against the schema. `now` becomes `context.now` where the action declares it.
    ///
    /// # Errors
    /// When the action is no permission, does not apply to the resource's type, or the context is not of its type.
    pub fn read<'e>(&'e self, request: &Request, principal: &Principal, now: Timestamp) -> Result<Question<'e>, BadRequest> {
        let slice = self.keys.get(request.action.as_str()).ok_or_else(|| self.unknown_action(&request.action))?;
        let object = slice.object(request.resource.as_ref(), principal, &self.shape)?;
        let context = read_context(self, slice, &request.context, now)?;
        Ok(Question { slice, object, context })
    }

    /// Answers a question. Pure, synchronous, infallible: whatever goes wrong is a denial.
    #[must_use]
    pub fn decide(&self, principal: &Principal, question: &Question<'_>) -> Arc<Decision> {
        super::decide::decide(self, principal, question)
    }

    /// Whether an admin may call a management operation.
    #[must_use]
    pub fn decide_management(&self, admin: AdminId, role: Role, action: management::Action, target: &Target) -> Arc<Decision> {
        management::decide(self, admin, role, action, target)
    }

    /// The codes that policies of this set answer, with their sentences.
    #[must_use]
    pub fn codes(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let forbids = self.policies.iter().filter(|policy| policy.effect == Effect::Forbid);
        let labels = forbids.filter_map(|policy| self.labels.get(&PolicyId::new(&policy.id)));
        labels.map(|label| (label.code.clone(), label.message.clone())).collect()
    }

    fn unknown_action(&self, action: &str) -> BadRequest {
        // No permission is longer, and measuring takes time with the square of the length.
        let known = self.permissions.iter().filter(|_| action.len() <= 128).map(|info| info.name.as_str());
        BadRequest::UnknownAction { action: action.to_owned(), nearest: nearest(action, known, 3).map(str::to_owned) }
    }
}
