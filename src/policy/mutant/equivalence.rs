//! What the schema says about a mutant, by Cedar's validator: refused, or unable to make a difference.

use cedar_policy::{EntityTypeName, Policy, PolicyId, PolicySet, RequestEnv, ValidationMode, ValidationWarning, Validator};

use super::edit::{Edit, Part};
use crate::policy::{
    clause::{Anatomy, Piece},
    engine::Engine,
    management,
    slice::Slice,
};

/// The validator, and which requests count.
pub(super) struct Judge {
    validator: Validator,
    /// A condition that holds for what the server asks; none when that is all that the schema allows.
    served: Option<String>,
}

impl Judge {
    pub(super) fn new(engine: &Engine) -> Self {
        let (served, never): (Vec<RequestEnv>, Vec<RequestEnv>) =
            engine.schema.request_envs().partition(|environment| is_served(engine, environment));
        let condition = |environment: &RequestEnv| {
            let (principal, action, resource) = (environment.principal(), environment.action(), environment.resource());
            format!("(principal is {principal} && action == {action} && resource is {resource})")
        };
        let served = (!never.is_empty()).then(|| served.iter().map(condition).collect::<Vec<_>>().join(" || "));
        Self { validator: Validator::new(engine.schema.clone()), served }
    }

    /// The policy that a text is, under the id; nothing when the server would refuse it.
    pub(super) fn accept(&self, id: &PolicyId, text: &str) -> Option<Policy> {
        let policy = Policy::parse(Some(id.clone()), text).ok()?;
        let mut set = PolicySet::new();
        set.add(policy.clone()).ok()?;
        let result = self.validator.validate(&set, ValidationMode::Strict);
        (result.validation_passed() && result.validation_warnings().next().is_none()).then_some(policy)
    }

    /// Whether the edit changes nothing about any request that the server asks, by types alone.
    pub(super) fn is_equivalent(&self, anatomy: &Anatomy, edit: &Edit) -> bool {
        self.differences(anatomy, edit).is_some_and(|all| all.iter().all(|difference| self.is_impossible(difference)))
    }

    /// Policies that hold exactly where the edit makes a difference.
    fn differences(&self, anatomy: &Anatomy, edit: &Edit) -> Option<Vec<String>> {
        let all = anatomy.clauses.len();
        Some(match edit.part {
            Part::Effect => vec![self.policy(anatomy, None, "true", &conditions(&anatomy.clauses, all))],
            Part::Scope(index) => {
                let part = anatomy.scope.get(index)?;
                let (old, new) = (as_condition(part, &part.text), as_condition(part, &edit.apply_to(part)));
                let rest = conditions(&anatomy.clauses, all);
                let differ = |a: &str, b: &str| self.policy(anatomy, Some(index), &format!("({a}) && !({b})"), &rest);
                vec![differ(&old, &new), differ(&new, &old)]
            }
            Part::Clause(index) => {
                let clause = anatomy.clauses.get(index)?;
                let (old, new) = (clause.text.clone(), edit.apply_to(clause));
                let before = conditions(&anatomy.clauses, index);
                let differ = |a: &str, b: &str| {
                    let difference = format!("{before} when {{ ({a}) && !({b}) }}");
                    self.policy(anatomy, None, "true", &difference)
                };
                vec![differ(&old, &new), differ(&new, &old)]
            }
        })
    }

    /// A policy with the same scope, one part of it open if wanted, and these conditions.
    fn policy(&self, anatomy: &Anatomy, open: Option<usize>, first: &str, conditions: &str) -> String {
        let part = |(index, part): (usize, &Piece)| {
            if open == Some(index) { part.kind.as_str().to_owned() } else { part.text.clone() }
        };
        let scope: Vec<String> = anatomy.scope.iter().enumerate().map(part).collect();
        let served = self.served.as_ref().map(|served| format!("when {{ {served} }}")).unwrap_or_default();
        format!("permit ({}) {served} when {{ {first} }} {conditions};", scope.join(", "))
    }

    fn is_impossible(&self, text: &str) -> bool {
        let Ok(policy) = Policy::parse(None, text) else { return false };
        let mut set = PolicySet::new();
        if set.add(policy).is_err() {
            return false;
        }
        let result = self.validator.validate(&set, ValidationMode::Strict);
        let never = |warning: &ValidationWarning| {
            matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_))
        };
        result.validation_passed() && result.validation_warnings().any(never)
    }
}

/// A part of a scope as a condition; one that is open holds always.
fn as_condition(part: &Piece, text: &str) -> String {
    if text.trim() == part.kind.as_str() { "true".to_owned() } else { text.to_owned() }
}

/// The conditions that Cedar has found to hold when it comes to the clause with this number, or behind the last one.
fn conditions(clauses: &[Piece], number: usize) -> String {
    let own = clauses.get(number).map(|clause| clause.condition);
    let mut blocks: Vec<(usize, &'static str, Vec<String>)> = Vec::new();
    for clause in clauses.iter().take(number) {
        // In the clause's own `unless`, those before it hold, or it would make no difference.
        let kind = if own == Some(clause.condition) { "when" } else { clause.kind.as_str() };
        let text = format!("({})", clause.text);
        match blocks.last_mut() {
            Some((condition, _, texts)) if *condition == clause.condition => texts.push(text),
            _ => blocks.push((clause.condition, kind, vec![text])),
        }
    }
    let blocks: Vec<String> = blocks.iter().map(|(_, kind, texts)| format!("{kind} {{ {} }}", texts.join(" && "))).collect();
    blocks.join(" ")
}

/// Whether the server ever asks about such a request.
fn is_served(engine: &Engine, environment: &RequestEnv) -> bool {
    let (principal, action, resource) = (environment.principal(), environment.action(), environment.resource());
    let is_this = |slice: &Slice| slice.action == *action;
    if *principal == engine.shape.key_type {
        return engine.keys.values().any(is_this);
    }
    let operation = management::Action::ALL.into_iter().find(|operation| operation.as_str() == action.id().unescaped());
    let about = |operation: management::Action| -> &EntityTypeName {
        if operation.is_about_org() { &engine.shape.org_type } else { &engine.shape.system_type }
    };
    *principal == engine.shape.admin_type
        && engine.admins.values().any(is_this)
        && operation.is_some_and(|operation| about(operation) == resource)
}
