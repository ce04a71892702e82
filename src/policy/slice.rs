//! Slices: the policies that can matter for one action, cut out once at load.
//!
//! Sound, because a policy whose scope cannot match contributes no decision, no reason and no error. Inside a slice the parts
//! of a scope that match by construction are left out: Cedar would build, evaluate and drop them for every request, and an
//! action scope of groups would need the action hierarchy among the entities.

mod reliance;

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, Policy, PolicyFromJsonError, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Schema,
};
use cedar_policy_core::ast::EntityUID;
use serde_json::{Value, json};

use self::reliance::Reliance;
use super::{
    compiled::Compiled,
    decide::Object,
    diagnostic::Diagnostic,
    entities::{Principal, Shape},
    schema::{ActionShape, Attribute, ORG, Vocabulary, shared, uid},
};
use crate::domain::{
    decision::{BadRequest, Resource},
    id::OrgId,
    permission::Permission,
};

/// Everything about one action that is known before a request comes.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub action: EntityUid,
    /// The same as requests hold it.
    pub shared: Arc<EntityUID>,
    /// The groups that the action is in, directly or not.
    groups: Vec<EntityUid>,
    /// By id.
    pub policies: Vec<Arc<Compiled>>,
    /// Resource types by their full names.
    pub resources: Vec<(String, EntityTypeName)>,
    pub context: BTreeMap<String, Attribute>,
    /// The action and its groups, or all actions, when a condition of the slice asks for them with `in`; else empty.
    pub hierarchy: Vec<Entity>,
    /// The permissions that could turn a default denial into an allow.
    pub candidates: Vec<Candidate>,
}

/// A permission that could make the difference.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub permission: Permission,
    /// The policies whose answer can change with it. Where no other policy holds or fails, they alone decide what a key that
    /// has it would be answered.
    pub policies: Vec<Arc<Compiled>>,
}

/// A policy, and what slices need of it: read out of it once, not once for each action.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    policy: Policy,
    /// The same policy without the parts of its scope that [`can_match`] has looked at.
    sliced: Arc<Compiled>,
    /// The same again for any resource, where its scope asks for a type and no more.
    of_type: Option<(EntityTypeName, Arc<Compiled>)>,
    asks: Ancestors,
    /// The actions that it names in conditions and scope.
    named: Vec<Permission>,
    relies: Reliance,
}

/// Whose groups a condition asks for with `in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ancestors {
    Nobody,
    /// Those of the request's own action.
    Own,
    /// Those of some other action, which the policy names or the context brings.
    Every,
}

/// Reads what slices need out of every policy, by id: the order of slices.
pub(super) fn prepare(policies: &PolicySet) -> Result<Vec<Prepared>, Diagnostic> {
    let mut policies: Vec<&Policy> = policies.policies().collect();
    policies.sort_by_key(|policy| policy.id());
    policies.into_iter().map(Prepared::new).collect()
}

impl Prepared {
    /// The policy as it was written.
    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) fn new(policy: &Policy) -> Result<Self, Diagnostic> {
        let failed = |error: &dyn std::fmt::Display| Diagnostic::general(error.to_string()).policy(policy.id().to_string());
        let json = policy.to_json().map_err(|error| failed(&error))?;
        let mut met = vec!["action"];
        if matches!(policy.principal_constraint(), PrincipalConstraint::Is(_)) {
            met.push("principal");
        }
        let compiled = |met: &[&str]| without(policy, json.clone(), met).map(Compiled::new).map_err(|error| failed(&error));
        let sliced = compiled(&met)?;
        let of_type = if let ResourceConstraint::Is(kind) = policy.resource_constraint() {
            met.push("resource");
            Some((kind, compiled(&met)?))
        } else {
            None
        };
        let literals = policy.entity_literals();
        let named = literals.iter().filter(|uid| is_action(uid)).filter_map(|uid| uid.id().unescaped().parse().ok());
        Ok(Self {
            policy: policy.clone(),
            sliced,
            of_type,
            asks: json.get("conditions").map_or(Ancestors::Nobody, asks),
            relies: Reliance::read(json.get("conditions").unwrap_or(&Value::Null)),
            named: named.collect(),
        })
    }

    /// The policy for requests whose resource is of one of the types.
    fn on(&self, resources: &[(String, EntityTypeName)]) -> &Arc<Compiled> {
        match &self.of_type {
            Some((kind, compiled)) if resources.iter().all(|(_, valid)| valid == kind) => compiled,
            _ => &self.sliced,
        }
    }
}

impl Slice {
    pub(super) fn cut(
        action: &ActionShape,
        principal: &EntityTypeName,
        policies: &[Prepared],
        vocabulary: &Vocabulary,
    ) -> Result<Self, Diagnostic> {
        let mut slice = Vec::new();
        let mut asked = Ancestors::Nobody;
        let mut named: Vec<Permission> = action.name.parse().into_iter().collect();
        let (uid, groups) = (&action.uid, &action.groups);
        let matching = || policies.iter().filter(|prepared| can_match(&prepared.policy, uid, groups, principal));
        for prepared in matching() {
            asked = asked.max(prepared.asks);
            named.extend(prepared.named.iter().cloned());
            slice.push(Arc::clone(prepared.on(&action.resources)));
        }
        named.retain(|name| vocabulary.permissions.iter().any(|info| info.name == *name));
        named.sort();
        named.dedup();
        let mut candidates = Vec::new();
        for permission in named {
            let relying = matching().filter(|prepared| prepared.relies.is_on(&permission, &action.name));
            let policies = relying.map(|prepared| Arc::clone(prepared.on(&action.resources))).collect();
            candidates.push(Candidate { permission, policies });
        }
        let hierarchy = hierarchy(asked, uid, groups, &vocabulary.schema)?;
        let (resources, context) = (action.resources.clone(), action.context.clone());
        let (action, shared, groups) = (uid.clone(), shared(uid.clone()), groups.clone());
        Ok(Self { action, shared, groups, policies: slice, resources, context, hierarchy, candidates })
    }

    /// Whether a policy can matter for requests of such a principal.
    pub(super) fn can_hold(&self, policy: &Prepared, principal: &EntityTypeName) -> bool {
        can_match(&policy.policy, &self.action, &self.groups, principal)
    }

    /// Puts a policy in the place of the one with its id, as if the set had been loaded with it. What the other one needed
    /// besides (groups of actions, candidates) stays: it changes no answer.
    pub(super) fn exchange(&mut self, policy: &Prepared, principal: &EntityTypeName, schema: &Schema) -> Result<(), Diagnostic> {
        let id = policy.policy.id();
        let is_here = self.can_hold(policy, principal);
        let action = self.action.id().unescaped();
        put(&mut self.policies, id, is_here.then(|| policy.on(&self.resources)));
        for Candidate { permission, policies } in &mut self.candidates {
            let relies = is_here && policy.relies.is_on(permission, action);
            put(policies, id, relies.then(|| policy.on(&self.resources)));
        }
        if !is_here {
            return Ok(());
        }
        let hierarchy = hierarchy(policy.asks, &self.action, &self.groups, schema)?;
        if hierarchy.len() > self.hierarchy.len() {
            self.hierarchy = hierarchy;
        }
        for permission in &policy.named {
            if self.candidates.iter().all(|candidate| candidate.permission != *permission) {
                // All of them: more than those that rely on it, which changes no answer.
                let policies = self.policies.clone();
                self.candidates.push(Candidate { permission: permission.clone(), policies });
            }
        }
        Ok(())
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

/// Puts a policy into the place of the one with its id, or takes that one away.
fn put(policies: &mut Vec<Arc<Compiled>>, id: &PolicyId, policy: Option<&Arc<Compiled>>) {
    let place = policies.partition_point(|there| there.policy().id() < id);
    let end = place + usize::from(policies.get(place).is_some_and(|there| there.policy().id() == id));
    policies.splice(place..end, policy.cloned());
}

fn is_action(uid: &EntityUid) -> bool {
    uid.type_name().basename() == "Action" && uid.type_name().namespace_components().next().is_none()
}

/// Keeps a policy iff its action scope is any, names the action, or names one of its groups, and its principal scope can hold.
pub(super) fn can_match(policy: &Policy, action: &EntityUid, groups: &[EntityUid], principal: &EntityTypeName) -> bool {
    let names = |uid: &EntityUid| uid == action || groups.contains(uid);
    let action_fits = match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(uids) => uids.iter().any(names),
    };
    let principal_fits = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
        PrincipalConstraint::Eq(uid) => uid.type_name() == principal,
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => kind == *principal,
    };
    action_fits && principal_fits
}

/// The same policy with those parts of its scope open, from its JSON form.
fn without(policy: &Policy, mut json: Value, parts: &[&str]) -> Result<Policy, Box<PolicyFromJsonError>> {
    if let Some(policy) = json.as_object_mut() {
        policy.extend(parts.iter().map(|part| ((*part).to_owned(), json!({"op": "All"}))));
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(Box::new)
}

/// Whose groups an expression in Cedar's JSON form asks for. A record with a field `in` counts too, which only costs speed.
fn asks(expression: &Value) -> Ancestors {
    match expression {
        Value::Object(map) => {
            let inside = map.values().map(asks).max().unwrap_or(Ancestors::Nobody);
            // `a in b` is {"in": {"left": a, "right": b}}, `a is T in b` is {"is": {"left": a, "in": b, …}}.
            let left = map.get("in").and_then(|operands| operands.get("left"));
            let left = left.or_else(|| map.get("left").filter(|_| map.contains_key("in")));
            let variable = left.and_then(|left| left.get("Var")).and_then(Value::as_str);
            let own = match variable {
                Some("action") => Ancestors::Own,
                None if map.contains_key("in") => Ancestors::Every,
                // No `in`, or that of a key, an admin or a resource: the server gives them no parents.
                _ => Ancestors::Nobody,
            };
            inside.max(own)
        }
        Value::Array(values) => values.iter().map(asks).max().unwrap_or(Ancestors::Nobody),
        _ => Ancestors::Nobody,
    }
}

fn hierarchy(asked: Ancestors, action: &EntityUid, groups: &[EntityUid], schema: &Schema) -> Result<Vec<Entity>, Diagnostic> {
    if asked == Ancestors::Nobody {
        return Ok(Vec::new());
    }
    let all = schema.action_entities().map_err(|error| Diagnostic::general(error.to_string()))?;
    if asked == Ancestors::Every {
        return Ok(all.iter().cloned().collect());
    }
    Ok(std::iter::once(action).chain(groups).filter_map(|uid| all.get(uid).cloned()).collect())
}
