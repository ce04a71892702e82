//! A policy as decisions ask it: with its condition taken out once, at load.
//!
//! Cedar's own evaluator answers. Its authorizer would put the condition of every policy together for every request, and sort the
//! answers into maps that nobody reads; what it does besides is in [`ask`], and tested against it.

use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, Entities, Policy, PrincipalConstraint, Request, ResourceConstraint};
use cedar_policy_core::{
    ast::{Expr, Literal, SlotEnv, ValueKind},
    authorizer::AuthorizationError,
    evaluator::Evaluator,
    extensions::Extensions,
};

use super::engine::{Engine, Label};

/// A policy, and what has to be true for it to hold.
#[derive(Debug)]
pub(super) struct Compiled {
    policy: Policy,
    condition: Expr,
}

/// What Cedar says about a request, before the facts are checked against it.
pub(super) struct Answer<'e> {
    pub allowed: bool,
    /// The determining policies, in the order in which they were asked.
    pub reasons: Vec<&'e Label>,
    pub errors: Vec<String>,
}

impl Compiled {
    pub(super) fn new(policy: Policy) -> Arc<Self> {
        let tree: &cedar_policy_core::ast::Policy = policy.as_ref();
        let condition = match tree.non_scope_constraints() {
            // Without the three `true` of its scope.
            Some(condition) if is_open(&policy) => condition.clone(),
            _ => tree.condition(),
        };
        Arc::new(Self { policy, condition })
    }

    /// The policy, as far as it must be asked.
    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// # Errors
    /// Cedar's sentence about what it cannot evaluate.
    fn holds(&self, evaluator: &Evaluator<'_>) -> Result<bool, String> {
        let slots = SlotEnv::new();
        match evaluator.interpret(&self.condition, &slots).map(|value| value.value) {
            Ok(ValueKind::Lit(Literal::Bool(truth))) => Ok(truth),
            Ok(_) => Err(format!("while evaluating policy `{}`: it is neither true nor false", self.policy.id())),
            Err(error) => {
                let id = AsRef::<cedar_policy_core::ast::PolicyID>::as_ref(self.policy.id()).clone();
                Err(AuthorizationError::PolicyEvaluationError { id, error }.to_string())
            }
        }
    }
}

/// Whether the scope matches every request.
pub(super) fn is_open(policy: &Policy) -> bool {
    let scope = (policy.principal_constraint(), policy.action_constraint(), policy.resource_constraint());
    matches!(scope, (PrincipalConstraint::Any, ActionConstraint::Any, ResourceConstraint::Any))
}

/// Answers as Cedar's authorizer does: a policy that fails is left out, a `forbid` that holds overrides every `permit`, and nothing
/// is allowed unless a `permit` holds.
pub(super) fn ask<'e>(engine: &'e Engine, request: &Request, policies: &'e [Arc<Compiled>], entities: &Entities) -> Answer<'e> {
    let request: &cedar_policy_core::ast::Request = request.as_ref();
    let evaluator = Evaluator::new(request.clone(), entities.as_ref(), Extensions::all_available());
    let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for compiled in policies {
        match (compiled.holds(&evaluator), compiled.policy.effect()) {
            (Ok(true), Effect::Permit) => permits.push(compiled.policy.id()),
            (Ok(true), Effect::Forbid) => forbids.push(compiled.policy.id()),
            (Ok(false), _) => {}
            (Err(error), _) => errors.push(error),
        }
    }
    let allowed = forbids.is_empty() && !permits.is_empty();
    let determining = if forbids.is_empty() { permits } else { forbids };
    Answer { allowed, reasons: determining.into_iter().filter_map(|id| engine.labels.get(id)).collect(), errors }
}
