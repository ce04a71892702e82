//! Whether a policy errs for some request, and whether it matches any.

use std::io;

use cedar_policy::{Effect, Policy, PolicySet};
use serde_json::Value;

use super::{
    Counterexample, Kind, Proof, Verdict,
    ask::{Answer, NOT_CONFIRMED, Prover, Question, World, compile},
    checks::{Case, Findings, errs, is_matched, proof},
    encode,
    witness::{Witness, tidy},
};

/// A policy never errs, and matches some request.
pub(super) async fn check(case: &Case<'_>, prover: &mut Prover<'_>, policy: &Policy) -> io::Result<Proof> {
    let (mut found, mut unmatched, mut live) = (Findings::default(), Vec::new(), false);
    let name = policy.id().to_string();
    for world in case.worlds.iter().filter(|world| encode::can_match(policy, &world.env, &world.groups)) {
        let compiled = match case.assuming(policy).and_then(|policy| compile(&policy, &world.env, case.schema)) {
            Ok(compiled) => compiled,
            Err(error) => {
                found.note(error);
                continue;
            }
        };
        match prover.ask(&name, "errs", &world.env, Question::NeverErrs(&compiled)).await? {
            Answer::Holds => {}
            Answer::Unknown(reason) => found.note(reason),
            Answer::Fails(env) => {
                let errs = |witness: &Witness| case.may_occur(witness) && errs(witness, policy);
                match tidy(&env, case.schema, &case.named, errs) {
                    Some(witness) => found.add(repairable(case, prover, world, policy, witness).await?),
                    None => found.note(NOT_CONFIRMED.to_owned()),
                }
            }
        }
        if !live {
            match prover.ask(&name, "matches", &world.env, Question::NeverMatches(&compiled)).await? {
                Answer::Holds => {}
                Answer::Fails(env) if is_matched(case, &env, policy) => live = true,
                Answer::Fails(_) => unmatched.push(NOT_CONFIRMED.to_owned()),
                Answer::Unknown(reason) => unmatched.push(reason),
            }
        }
    }
    let verdict = if !found.counterexamples.is_empty() {
        Verdict::Errs
    } else if !found.notes.is_empty() {
        Verdict::Undecided
    } else if live {
        Verdict::Proved
    } else if unmatched.is_empty() {
        found.note("no request matches it".to_owned());
        Verdict::Dead
    } else {
        for reason in unmatched {
            found.note(reason);
        }
        Verdict::Undecided
    };
    Ok(proof(Kind::Policy, name, String::new(), verdict, found))
}

/// What the set decides on a request for which one of its policies errs, whatever that policy says once it is repaired.
fn decided_anyway(case: &Case<'_>, policy: &Policy, witness: &Witness) -> Option<bool> {
    let others = || case.policies.policies().filter(|other| other.id() != policy.id()).cloned();
    let without = PolicySet::from_policies(others()).ok()?;
    let with = PolicySet::from_policies(others().chain(encode::unconditional(policy).ok())).ok()?;
    let (without, with) = (witness.decide(&without), witness.decide(&with));
    (without.errors.is_empty() && without.allowed == with.allowed).then_some(without.allowed)
}

/// Of the requests for which a policy errs, one whose right answer is known: the others decide it. It can stay as a test.
async fn repairable(
    case: &Case<'_>,
    prover: &mut Prover<'_>,
    world: &World<'_>,
    policy: &Policy,
    first: Witness,
) -> io::Result<Counterexample> {
    let told = |witness: &Witness| {
        let expected = decided_anyway(case, policy, witness);
        witness.counterexample(witness.decide(case.policies), None, expected)
    };
    if decided_anyway(case, policy, &first).is_some() {
        return Ok(told(&first));
    }
    for (when, unless) in settings(world, policy).unwrap_or_default() {
        let asked = encode::guarded(policy, &when, &unless).and_then(|policy| case.assuming(&policy));
        let Ok(compiled) = asked.and_then(|policy| compile(&policy, &world.env, case.schema)) else { continue };
        let name = policy.id().to_string();
        let answer = prover.ask(&name, "errs-decided", &world.env, Question::NeverErrs(&compiled)).await?;
        let Answer::Fails(env) = answer else { continue };
        let useful = |witness: &Witness| {
            case.may_occur(witness) && errs(witness, policy) && decided_anyway(case, policy, witness).is_some()
        };
        if let Some(witness) = tidy(&env, case.schema, &case.named, useful) {
            return Ok(told(&witness));
        }
    }
    Ok(told(&first))
}

type Conditions = (Vec<Value>, Vec<Value>);

/// Circumstances in which a policy makes no difference: another one forbids, another one permits and none forbids, or, for a
/// forbid, none permits.
fn settings(world: &World<'_>, policy: &Policy) -> Result<Vec<Conditions>, String> {
    let others = |effect: Effect| {
        let others = world.policies.iter().filter(move |other| other.id() != policy.id() && other.effect() == effect);
        others.map(|other| encode::expression(other)).collect::<Result<Vec<Value>, String>>()
    };
    let (forbids, permits) = (others(Effect::Forbid)?, others(Effect::Permit)?);
    let mut settings: Vec<Conditions> = forbids.iter().map(|forbid| (vec![forbid.clone()], Vec::new())).collect();
    match policy.effect() {
        Effect::Permit => settings.extend(permits.into_iter().map(|permit| (vec![permit], forbids.clone()))),
        Effect::Forbid => settings.push((Vec::new(), permits)),
    }
    settings.truncate(MOST_SETTINGS);
    Ok(settings)
}

/// Circumstances that are tried: a set may hold thousands of policies.
const MOST_SETTINGS: usize = 16;
