//! What a set allows beside another one: the same, less, or more.

use std::{collections::BTreeSet, io};

use cedar_policy::{EntityUid, Policy, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::Env;
use serde_json::Value;

use super::{
    Counterexample, Event, Kind, Proof, Verdict,
    ask::{Answer, NOT_CONFIRMED, Prover, Question, World, compile_set, groups, worlds},
    checks::{Case, Findings, proof},
    encode,
    witness::{Witness, tidy},
};
use crate::policy::Engine;

/// Compares action by action; an action that only one side has allows nothing on the other.
pub(super) async fn compare(
    case: &Case<'_>,
    prover: &mut Prover<'_>,
    (engine, baseline): (&Engine, &Engine),
    proofs: &mut Vec<Proof>,
) -> io::Result<()> {
    let before = Before::new(engine, baseline);
    let mut actions = plain_actions(case.schema);
    actions.extend(plain_actions(baseline.schema()));
    actions.sort_by_cached_key(ToString::to_string);
    actions.dedup();
    for action in actions {
        let mut row = Row::default();
        for world in case.worlds.iter().filter(|world| *world.env.action() == action) {
            compare_in(case, prover, &before, world, &mut row).await?;
        }
        for world in before.worlds.iter().filter(|world| *world.env.action() == action) {
            if case.worlds.iter().all(|now| now.env != world.env) {
                was_allowed(prover, world, &mut row).await?;
            }
        }
        let verdict = match &row {
            row if row.wider => Verdict::Wider,
            row if row.undecided => Verdict::Undecided,
            row if row.narrower => Verdict::Narrower,
            _ => Verdict::Same,
        };
        if row.wider && row.narrower {
            row.found.note("it is narrower, too: other requests are no longer allowed".to_owned());
        }
        let proof = proof(Kind::Change, action.to_string(), String::new(), verdict, row.found);
        prover.tell(Event::Proof(&proof))?;
        proofs.push(proof);
    }
    Ok(())
}

/// Every action that is no group.
pub(super) fn plain_actions(schema: &Schema) -> Vec<EntityUid> {
    let groups: Vec<&EntityUid> = schema.action_groups().collect();
    schema.actions().filter(|action| !groups.contains(action)).cloned().collect()
}

#[derive(Default)]
struct Row {
    wider: bool,
    narrower: bool,
    undecided: bool,
    found: Findings,
}

impl Row {
    fn unknown(&mut self, reason: String) {
        self.undecided = true;
        self.found.note(reason);
    }

    fn differs(&mut self, is_wider: bool, found: Counterexample) {
        self.wider |= is_wider;
        self.narrower |= !is_wider;
        self.found.add(found);
    }
}

/// The other set, under its own schema.
struct Before<'a> {
    worlds: Vec<World<'a>>,
    /// Both schemas have the same groups of actions, so that `action in …` means the same.
    same_groups: bool,
    /// Names of attributes that a type has in one schema only: under the other one `has` says silently no.
    one_sided: BTreeSet<String>,
}

impl<'a> Before<'a> {
    fn new(engine: &Engine, baseline: &'a Engine) -> Self {
        let (policies, schema) = (baseline.policy_set(), baseline.schema());
        let (now, before) = (engine.attributes(), baseline.attributes());
        Self {
            worlds: worlds(policies, schema, &[]),
            same_groups: hierarchy(engine.schema()) == hierarchy(schema),
            one_sided: now.symmetric_difference(&before).map(|(_, name)| name.clone()).collect(),
        }
    }

    /// What of it counts for requests of these types. They are asked under the schema of now: what that schema would make of
    /// the groups in it is resolved first.
    fn policies_in(&self, env: &RequestEnv) -> Result<Vec<Policy>, String> {
        let Some(world) = self.worlds.iter().find(|world| world.env == *env) else { return Ok(Vec::new()) };
        for policy in &world.policies {
            let json = policy.to_json().map_err(|error| error.to_string())?;
            if let Some(name) = self.one_sided.iter().find(|name| asks_for(&json, name)) {
                let id = policy.id();
                return Err(format!("`{id}` before asks whether there is `{name}`, which only one of the two schemas declares"));
            }
        }
        if self.same_groups {
            return Ok(world.policies.iter().copied().cloned().collect());
        }
        let resolved = world.policies.iter().map(|policy| {
            encode::for_action(policy, env.action(), &world.groups).map_err(|error| format!("`{}` before: {error}", policy.id()))
        });
        Ok(resolved.collect::<Result<Vec<Option<Policy>>, String>>()?.into_iter().flatten().collect())
    }
}

/// Whether an expression in Cedar's JSON form has a `has` with the name.
fn asks_for(expression: &Value, name: &str) -> bool {
    match expression {
        Value::Object(fields) => {
            let attribute = fields.get("has").and_then(|has| has.get("attr"));
            let named = attribute.is_some_and(|attribute| {
                attribute == name || attribute.as_array().is_some_and(|names| names.iter().any(|one| one == name))
            });
            named || fields.values().any(|value| asks_for(value, name))
        }
        Value::Array(values) => values.iter().any(|value| asks_for(value, name)),
        _ => false,
    }
}

/// Every action with its groups, in a form that can be compared.
fn hierarchy(schema: &Schema) -> Vec<(String, Vec<String>)> {
    let entities = schema.action_entities().ok();
    let named = |action: &EntityUid| {
        let mut groups: Vec<String> = groups(entities.as_ref(), action).iter().map(ToString::to_string).collect();
        groups.sort();
        (action.to_string(), groups)
    };
    let mut all: Vec<_> = schema.actions().map(named).collect();
    all.sort();
    all
}

async fn compare_in(
    case: &Case<'_>,
    prover: &mut Prover<'_>,
    before: &Before<'_>,
    world: &World<'_>,
    row: &mut Row,
) -> io::Result<()> {
    let old = before.policies_in(&world.env).and_then(|old| {
        let compiled = compile_set(&encode::set(&old, &case.assumptions)?, &world.env, case.schema)
            .map_err(|error| format!("the policies before do not fit the schema of now: {error}"))?;
        Ok((encode::set(&old, &[])?, compiled))
    });
    let (set, old, now) = match (old, &world.compiled) {
        (Ok((set, old)), Ok(now)) => (set, old, now),
        (Err(reason), _) => {
            row.unknown(reason);
            return Ok(());
        }
        (_, Err(reason)) => {
            row.unknown(reason.clone());
            return Ok(());
        }
    };
    let topic = world.env.action().to_string();
    for (check, question, is_wider) in
        [("wider", Question::Implies(now, &old), true), ("narrower", Question::Implies(&old, now), false)]
    {
        match prover.ask(&topic, check, &world.env, question).await? {
            Answer::Holds => {}
            Answer::Unknown(reason) => row.unknown(reason),
            Answer::Fails(env) => match difference(case, &set, &env, is_wider) {
                Some(found) => row.differs(is_wider, found),
                None => row.unknown(NOT_CONFIRMED.to_owned()),
            },
        }
    }
    Ok(())
}

/// The request that only one side allows, when the authorizer says so, too.
fn difference(case: &Case<'_>, before: &PolicySet, env: &Env, is_wider: bool) -> Option<Counterexample> {
    let differs = |witness: &Witness| {
        let (now, before) = (witness.decide(case.policies), witness.decide(before));
        now.allowed == is_wider && before.allowed != is_wider && case.may_occur(witness)
    };
    let witness = tidy(env, case.schema, &case.named, differs)?;
    Some(witness.counterexample(witness.decide(case.policies), Some(witness.decide(before)), Some(!is_wider)))
}

/// Requests that can no longer be made: if any of them was allowed, less is allowed now.
async fn was_allowed(prover: &mut Prover<'_>, world: &World<'_>, row: &mut Row) -> io::Result<()> {
    let topic = world.env.action().to_string();
    let answer = match &world.compiled {
        Ok(old) => prover.ask(&topic, "gone", &world.env, Question::NeverAllows(old)).await?,
        Err(reason) => Answer::Unknown(reason.clone()),
    };
    match answer {
        Answer::Holds => {}
        Answer::Unknown(reason) => row.unknown(reason),
        Answer::Fails(_) => {
            row.narrower = true;
            row.found.note(format!("the schema no longer lets {} act so on {}", world.env.principal(), world.env.resource()));
        }
    }
    Ok(())
}
