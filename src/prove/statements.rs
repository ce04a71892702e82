//! Whether an invariant holds, and whether it says anything; whether an assumption can be evaluated.

use std::io;

use cedar_policy::{Effect, Policy};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet, Env};

use super::{
    Counterexample, Kind, Proof, Verdict,
    ask::{Answer, NOT_CONFIRMED, Prover, Question, World, compile, compile_set},
    checks::{Case, Findings, errs, is_matched, matches, proof},
    encode,
    witness::{Witness, tidy},
};
use crate::policy::Statement;

/// An invariant is true, errs for no request and says something; an assumption errs for no request.
pub(super) async fn check(case: &Case<'_>, prover: &mut Prover<'_>, kind: Kind, statement: &Statement) -> io::Result<Proof> {
    let policy = &statement.policy;
    let name = policy.id().to_string();
    let (mut found, mut errors, mut live) = (Findings::default(), Vec::new(), kind == Kind::Assumption);
    for world in case.worlds.iter().filter(|world| encode::can_match(policy, &world.env, &world.groups)) {
        let outcome = match asked(case, kind, policy, world) {
            Ok(asked) => check_in(case, prover, world, policy, &name, asked, &mut live).await?,
            Err(error) => Outcome { unknown: vec![error], ..Outcome::default() },
        };
        for reason in outcome.unknown {
            found.note(reason);
        }
        errors.extend(outcome.errs);
        if let Some(refuted) = outcome.refuted {
            found.add(refuted);
        }
    }
    let verdict = if !errors.is_empty() {
        found.counterexamples = Vec::new();
        for error in errors {
            found.add(error);
        }
        Verdict::Errs
    } else if !found.counterexamples.is_empty() {
        Verdict::Refuted
    } else if !found.notes.is_empty() {
        Verdict::Undecided
    } else if !live {
        found.note("no request matches it, so it says nothing".to_owned());
        Verdict::Vacuous
    } else if kind == Kind::Assumption {
        Verdict::Assumed
    } else {
        Verdict::Proved
    };
    Ok(proof(kind, name, statement.sentence.clone(), verdict, found))
}

/// A statement, compiled for one kind of request.
struct Asked {
    alone: CompiledPolicy,
    /// What must be allowed by nobody (of a forbid) or by the policies (of a permit); an assumption claims nothing.
    matched: Option<(Effect, CompiledPolicySet)>,
}

fn asked(case: &Case<'_>, kind: Kind, policy: &Policy, world: &World<'_>) -> Result<Asked, String> {
    let (env, schema) = (&world.env, case.schema);
    if kind == Kind::Assumption {
        return Ok(Asked { alone: compile(policy, env, schema)?, matched: None });
    }
    let matched = encode::set([&encode::as_permit(policy)?], &case.assumptions)?;
    let matched = Some((policy.effect(), compile_set(&matched, env, schema)?));
    Ok(Asked { alone: compile(&case.assuming(policy)?, env, schema)?, matched })
}

#[derive(Default)]
struct Outcome {
    errs: Option<Counterexample>,
    refuted: Option<Counterexample>,
    unknown: Vec<String>,
}

async fn check_in(
    case: &Case<'_>,
    prover: &mut Prover<'_>,
    world: &World<'_>,
    policy: &Policy,
    name: &str,
    asked: Asked,
    live: &mut bool,
) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut confirm = |env: &Env, expected, holds: &dyn Fn(&Witness) -> bool| {
        let witness = tidy(env, case.schema, &case.named, holds);
        let told = witness.map(|witness| witness.counterexample(witness.decide(case.policies), None, expected));
        if told.is_none() {
            outcome.unknown.push(NOT_CONFIRMED.to_owned());
        }
        told
    };
    let mut unknown = Vec::new();
    match prover.ask(name, "errs", &world.env, Question::NeverErrs(&asked.alone)).await? {
        Answer::Holds => {}
        Answer::Unknown(reason) => unknown.push(reason),
        Answer::Fails(env) => {
            let may_occur = |witness: &Witness| asked.matched.is_none() || case.may_occur(witness);
            outcome.errs = confirm(&env, None, &|witness| may_occur(witness) && errs(witness, policy));
        }
    }
    if !*live {
        match prover.ask(name, "matches", &world.env, Question::NeverMatches(&asked.alone)).await? {
            Answer::Holds => {}
            Answer::Unknown(reason) => unknown.push(reason),
            Answer::Fails(env) if is_matched(case, &env, policy) => *live = true,
            Answer::Fails(_) => unknown.push(NOT_CONFIRMED.to_owned()),
        }
    }
    if let Some((effect, matched)) = &asked.matched {
        match &world.compiled {
            Err(error) => unknown.push(error.clone()),
            Ok(policies) => {
                let (question, expected) = match effect {
                    Effect::Forbid => (Question::Disjoint(policies, matched), false),
                    Effect::Permit => (Question::Implies(matched, policies), true),
                };
                match prover.ask(name, "holds", &world.env, question).await? {
                    Answer::Holds => {}
                    Answer::Unknown(reason) => unknown.push(reason),
                    Answer::Fails(env) => {
                        let contradicts = |witness: &Witness| {
                            let decided = witness.decide(case.policies);
                            decided.allowed != expected && matches(witness, policy) && case.may_occur(witness)
                        };
                        outcome.refuted = confirm(&env, Some(expected), &contradicts);
                    }
                }
            }
        }
    }
    outcome.unknown.extend(unknown);
    Ok(outcome)
}
