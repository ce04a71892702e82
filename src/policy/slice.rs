//! Slices: the policies that can matter for one action, cut out once at load.
//!
//! Sound, because a policy whose scope cannot match contributes no decision, no reason and no error. Inside a slice the
//! action scope is `action`: it matches by construction, and needs no action hierarchy among the entities.

use std::collections::BTreeMap;

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    pst::{self, StaticPolicy},
};
use serde_json::Value;

use super::{
    decide::Object,
    diagnostic::Diagnostic,
    entities::{Principal, Shape},
    schema::{ActionShape, Attribute, ORG, Vocabulary, uid},
};
use crate::domain::{
    decision::{BadRequest, Resource},
    id::OrgId,
    permission::Permission,
};

/// Everything about one action that is known before a request comes.
#[derive(Debug)]
pub(super) struct Slice {
    pub action: EntityUid,
    pub policies: PolicySet,
    /// Resource types by their full names.
    pub resources: Vec<(String, EntityTypeName)>,
    pub context: BTreeMap<String, Attribute>,
    /// The action and its groups, when a condition of the slice asks for a hierarchy with `in`; else empty.
    pub hierarchy: Vec<Entity>,
    /// The permissions that could turn a default denial into an allow.
    pub candidates: Vec<Permission>,
}

impl Slice {
    pub(super) fn cut(
        action: &ActionShape,
        principal: &EntityTypeName,
        policies: &PolicySet,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Diagnostic> {
        let mut slice = PolicySet::new();
        let mut asks_hierarchy = false;
        let mut candidates: Vec<Permission> = action.name.parse().into_iter().collect();
        for policy in policies.policies().filter(|policy| can_match(policy, action, principal)) {
            let failed = |error: &dyn std::fmt::Display| Diagnostic::general(error.to_string()).policy(policy.id().to_string());
            let policy = any_action(policy).map_err(|error| failed(&error))?;
            asks_hierarchy |= policy.to_json().map_or(true, |json| uses_in(&json));
            candidates.extend(
                policy.entity_literals().iter().filter(|uid| is_action(uid)).filter_map(|uid| uid.id().unescaped().parse().ok()),
            );
            slice.add(policy).map_err(|error| Diagnostic::general(error.to_string()))?;
        }
        candidates.retain(|name| vocabulary.permissions.iter().any(|info| info.name == *name));
        candidates.sort();
        candidates.dedup();
        let hierarchy = if asks_hierarchy { hierarchy(action, vocabulary)? } else { Vec::new() };
        let (resources, context) = (action.resources.clone(), action.context.clone());
        Ok(Self { action: action.uid.clone(), policies: slice, resources, context, hierarchy, candidates })
    }

    /// What the request acts on: without a resource, the key's own org.
    pub(super) fn object(&self, resource: Option<&Resource>, principal: &Principal, shape: &Shape) -> Result<Object, BadRequest> {
        let kind = resource.map_or(ORG, |resource| resource.kind.as_str());
        let Some((_, type_name)) = self.resources.iter().find(|(valid, _)| valid == kind) else {
            let (action, kind) = (self.action.id().unescaped().to_owned(), kind.to_owned());
            let valid = self.resources.iter().map(|(kind, _)| kind.clone()).collect();
            return Err(BadRequest::UnknownResourceType { action, kind, valid });
        };
        Ok(match resource {
            None => Object::OwnOrg,
            Some(resource) if kind == ORG && resource.id.parse::<OrgId>() == Ok(principal.facts.org) => Object::OwnOrg,
            Some(resource) if kind == ORG => Object::ForeignOrg(shape.org_uid(&resource.id)),
            Some(resource) => Object::Bare(uid(type_name, &resource.id)),
        })
    }
}

fn is_action(uid: &EntityUid) -> bool {
    uid.type_name().basename() == "Action" && uid.type_name().namespace_components().next().is_none()
}

/// Keeps a policy iff its action scope is any, names the action, or names one of its groups, and its principal scope can hold.
fn can_match(policy: &Policy, action: &ActionShape, principal: &EntityTypeName) -> bool {
    let names = |uid: &EntityUid| *uid == action.uid || action.groups.contains(uid);
    let action_fits = match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == action.uid,
        ActionConstraint::In(uids) => uids.iter().any(names),
    };
    let principal_fits = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
        PrincipalConstraint::Eq(uid) => uid.type_name() == principal,
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => kind == *principal,
    };
    action_fits && principal_fits
}

/// The same policy for any action.
fn any_action(policy: &Policy) -> Result<Policy, pst::PstConstructionError> {
    let mut body = policy.to_pst()?.body().clone();
    body.action = pst::ActionConstraint::Any;
    let body = StaticPolicy::try_from(body)?;
    Policy::from_pst(body.into())
}

/// Whether `in` occurs anywhere in a policy's JSON form; a record with a field of that name counts too, which only costs speed.
fn uses_in(json: &Value) -> bool {
    match json {
        Value::Object(map) => map.iter().any(|(key, value)| key == "in" || uses_in(value)),
        Value::Array(values) => values.iter().any(uses_in),
        _ => false,
    }
}

fn hierarchy(action: &ActionShape, vocabulary: &Vocabulary) -> Result<Vec<Entity>, Diagnostic> {
    let all = vocabulary.schema.action_entities().map_err(|error| Diagnostic::general(error.to_string()))?;
    Ok(std::iter::once(&action.uid).chain(&action.groups).filter_map(|uid| all.get(uid).cloned()).collect())
}
