//! Everything that is asked, in order, and what the answers have in common.

use std::{collections::HashSet, io};

use cedar_policy::{EntityUid, Policy, PolicySet, Schema};
use cedar_policy_symcc::Env;
use serde_json::Value;

use super::{
    Counterexample, Event, Kind, Options, Proof, Subject, Verdict,
    ask::{Prover, World, worlds},
    change, encode, policies, statements,
    witness::{Witness, tidy},
};
use crate::policy::Statement;

/// Everything that the questions are about.
pub(super) struct Case<'a> {
    pub schema: &'a Schema,
    pub policies: &'a PolicySet,
    /// The policies of the assumptions, and what each of them matches, as an expression.
    pub assumptions: Vec<Policy>,
    assumed: Vec<Value>,
    /// The assumptions as a set that allows what they rule out.
    ruled_out: PolicySet,
    /// Entities that some policy names.
    pub named: HashSet<EntityUid>,
    pub worlds: Vec<World<'a>>,
}

impl<'a> Case<'a> {
    fn new(subject: Subject<'a>) -> Result<Self, String> {
        let (schema, policies) = (subject.engine.schema(), subject.engine.policy_set());
        let statements = &subject.invariants.assumptions;
        let assumptions: Vec<Policy> = statements.iter().map(|statement| statement.policy.clone()).collect();
        let claims = subject.invariants.claims.iter().map(|claim| &claim.policy);
        let old = subject.baseline.map(|engine| engine.policy_set().policies()).into_iter().flatten();
        let all = policies.policies().chain(old).chain(claims).chain(&assumptions);
        Ok(Self {
            assumed: assumptions.iter().map(encode::expression).collect::<Result<_, _>>()?,
            ruled_out: encode::set(&assumptions.iter().map(encode::as_permit).collect::<Result<Vec<_>, _>>()?, &[])?,
            named: all.flat_map(Policy::entity_literals).collect(),
            worlds: worlds(policies, schema, &assumptions),
            schema,
            policies,
            assumptions,
        })
    }

    /// The assumptions hold for it.
    pub(super) fn may_occur(&self, witness: &Witness) -> bool {
        let ruled_out = witness.decide(&self.ruled_out);
        !ruled_out.allowed && ruled_out.errors.is_empty()
    }

    /// A policy for the requests that the assumptions leave.
    pub(super) fn assuming(&self, policy: &Policy) -> Result<Policy, String> {
        encode::guarded(policy, &[], &self.assumed)
    }
}

/// What was found out about one thing, action by action.
#[derive(Default)]
pub(super) struct Findings {
    pub notes: Vec<String>,
    pub counterexamples: Vec<Counterexample>,
}

impl Findings {
    /// Notes why something is not known; what goes for many actions is said once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Keeps a counterexample, one for each action.
    pub(super) fn add(&mut self, found: Counterexample) {
        if self.counterexamples.iter().all(|known| known.action != found.action) {
            self.counterexamples.push(found);
        }
    }
}

pub(super) async fn run(
    subject: Subject<'_>,
    options: Options,
    tell: &mut dyn FnMut(Event<'_>) -> io::Result<()>,
) -> io::Result<Vec<Proof>> {
    let case = Case::new(subject).map_err(io::Error::other)?;
    let mut prover = Prover::start(options, tell).await?;
    let mut proofs = Vec::new();
    for info in subject.engine.policies() {
        if let Some(policy) = case.policies.policy(&cedar_policy::PolicyId::new(&info.id)) {
            let proof = policies::check(&case, &mut prover, policy).await?;
            prover.tell(Event::Proof(&proof))?;
            proofs.push(proof);
        }
    }
    for (kind, statement) in subject.statements() {
        let proof = statements::check(&case, &mut prover, kind, statement).await?;
        prover.tell(Event::Proof(&proof))?;
        proofs.push(proof);
    }
    if let Some(baseline) = subject.baseline {
        change::compare(&case, &mut prover, (subject.engine, baseline), &mut proofs).await?;
    }
    Ok(proofs)
}

impl<'a> Subject<'a> {
    fn statements(self) -> impl Iterator<Item = (Kind, &'a Statement)> {
        let assumptions = self.invariants.assumptions.iter().map(|statement| (Kind::Assumption, statement));
        assumptions.chain(self.invariants.claims.iter().map(|statement| (Kind::Invariant, statement)))
    }
}

/// The policy errs on it, whatever the others do.
pub(super) fn errs(witness: &Witness, policy: &Policy) -> bool {
    PolicySet::from_policies([policy.clone()]).is_ok_and(|alone| !witness.decide(&alone).errors.is_empty())
}

/// The policy does match what the solver made up.
pub(super) fn is_matched(case: &Case<'_>, env: &Env, policy: &Policy) -> bool {
    tidy(env, case.schema, &case.named, |witness| matches(witness, policy) && case.may_occur(witness)).is_some()
}

pub(super) fn matches(witness: &Witness, policy: &Policy) -> bool {
    let alone = encode::as_permit(policy).ok().and_then(|permit| PolicySet::from_policies([permit]).ok());
    alone.is_some_and(|alone| witness.decide(&alone).allowed)
}

pub(super) fn proof(kind: Kind, name: String, sentence: String, verdict: Verdict, found: Findings) -> Proof {
    Proof { kind, name, sentence, verdict, notes: found.notes, counterexamples: found.counterexamples }
}
