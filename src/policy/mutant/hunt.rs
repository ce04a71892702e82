//! Running the test cases against every mutant.

use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{Authorizer, Effect as CedarEffect, Entities, Policy, PolicyId, PolicySet, Request};

use super::{
    Mutant,
    edit::{Edit, edits},
    equivalence::Judge,
    literal::Literals,
};
use crate::policy::{
    cases::{Asked, Case, Missing},
    clause::Anatomy,
    cores::on_every_core,
    diagnostic::{Diagnostic, LoadError},
    engine::Engine,
    load::{STACK, on_stack},
    situation::Situations,
    slice::{Prepared, Slice},
};

/// What became of the mutants of a policy set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hunt {
    /// Mutants that a case noticed.
    pub killed: usize,
    /// Mutants that strict validation refuses.
    pub invalid: usize,
    /// Mutants that the schema shows to make no difference.
    pub equivalent: usize,
    /// Mutants that no case noticed, in the order of files and lines.
    pub survivors: Vec<Mutant>,
}

impl Hunt {
    /// Makes every mutant of the engine's policies, on every core, and runs the cases, which hold without them. After each
    /// mutant it says how many are done, and of how many.
    ///
    /// # Errors
    /// None for an engine that was loaded, unless memory is short.
    pub fn run(engine: &Engine, cases: &[&Case], said: impl Fn(usize, usize) + Sync) -> Result<Self, LoadError> {
        let anatomies = engine.dissect()?;
        let (judge, literals) = (Judge::new(engine), Literals::new(&engine.schema));
        let prey = || anatomies.iter().map(|anatomy| Prey::new(engine, anatomy, &literals)).collect::<Result<Vec<_>, _>>();
        let prey = on_stack(STACK, prey)?.map_err(LoadError::from)?;
        let (total, done) = (prey.iter().map(|prey| prey.edits.len()).sum(), AtomicUsize::new(0));
        let said = || said(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        let hunts = on_every_core(STACK, &prey, |share| hunt(engine, share, cases, &judge, &said));
        let mut all = Self::default();
        for hunt in hunts.map_err(|error| Diagnostic::general(error.to_string()))? {
            let hunt = hunt.map_err(LoadError::from)?;
            all.killed += hunt.killed;
            all.invalid += hunt.invalid;
            all.equivalent += hunt.equivalent;
            all.survivors.extend(hunt.survivors);
        }
        Ok(all)
    }
}

/// A policy and what will be done to it.
struct Prey<'a> {
    anatomy: &'a Anatomy,
    policy: Policy,
    edits: Vec<Edit>,
}

impl<'a> Prey<'a> {
    fn new(engine: &Engine, anatomy: &'a Anatomy, literals: &Literals) -> Result<Self, Diagnostic> {
        let policy = engine.originals.policy(&PolicyId::new(&anatomy.info.id)).cloned();
        let policy = policy.ok_or_else(|| Diagnostic::general("a policy is not in its set").policy(&*anatomy.info.id))?;
        let edits = edits(anatomy, &policy, literals);
        Ok(Self { anatomy, policy, edits })
    }
}

fn hunt(
    engine: &Engine,
    share: &[Prey<'_>],
    cases: &[&Case],
    judge: &Judge,
    said: &(dyn Fn() + Sync),
) -> Result<Hunt, Diagnostic> {
    let mut engine = engine.clone();
    let mut range = Range::new(&mut engine, cases)?;
    let mut hunt = Hunt::default();
    for Prey { anatomy, policy, edits } in share {
        let before = range.aim(policy)?;
        for edit in edits {
            match judge.accept(policy.id(), &edit.apply(anatomy)) {
                None => hunt.invalid += 1,
                Some(mutant) if range.notices(&before, &mutant)? => hunt.killed += 1,
                Some(_) if judge.is_equivalent(anatomy, edit) => hunt.equivalent += 1,
                Some(_) => hunt.survivors.push(Mutant::new(anatomy, edit)),
            }
            said();
        }
    }
    Ok(hunt)
}

/// What a policy alone contributes to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Nothing,
    Permit,
    Forbid,
    Error,
}

/// The policy that is mutated, as it was.
struct Aim {
    prepared: Prepared,
    /// The cases by number and what it contributes to the answer of each, those first where it contributes something: they
    /// are the likeliest to notice.
    shares: Vec<(usize, Share)>,
}

/// The engine, and the cases as Cedar is asked them; those that never reach a policy are left out.
struct Range<'e, 'c> {
    engine: &'e mut Engine,
    authorizer: Authorizer,
    targets: Vec<Target<'c>>,
}

struct Target<'c> {
    case: &'c Case,
    request: Request,
    entities: Entities,
}

impl Target<'_> {
    /// Whether the policy can matter for it, by what its scope says about action and principal.
    fn is_reached_by(&self, engine: &Engine, policy: &Prepared) -> bool {
        let (slice, principal) = match &self.case.asked {
            Asked::Key { request, .. } => (engine.keys.get(request.action.as_str()), &engine.shape.key_type),
            Asked::Admin { action, .. } => (engine.admins.get(action.as_str()), &engine.shape.admin_type),
            // Its principal may be of any type.
            Asked::Cedar(_) => return true,
        };
        slice.is_some_and(|slice| slice.can_hold(policy, principal))
    }
}

impl<'e, 'c> Range<'e, 'c> {
    fn new(engine: &'e mut Engine, cases: &[&'c Case]) -> Result<Self, Diagnostic> {
        let situations = Situations::new(engine)?;
        let target = |case: &&'c Case| {
            let situation = situations.of(&case.asked).ok()?;
            Some(Target { case, request: situation.request, entities: situation.entities })
        };
        let targets = cases.iter().filter_map(target).collect();
        Ok(Self { authorizer: Authorizer::new(), targets, engine })
    }

    fn aim(&self, policy: &Policy) -> Result<Aim, Diagnostic> {
        let (set, prepared) = (alone(policy)?, Prepared::new(policy)?);
        let share = |target: &Target<'_>| {
            if target.is_reached_by(self.engine, &prepared) { self.share(&set, policy, target) } else { Share::Nothing }
        };
        let mut shares: Vec<(usize, Share)> =
            self.targets.iter().enumerate().map(|(number, target)| (number, share(target))).collect();
        shares.sort_by_key(|(_, share)| *share == Share::Nothing);
        Ok(Aim { prepared, shares })
    }

    /// An answer is made of what each policy contributes: where a mutant contributes the same, the case cannot notice it.
    fn share(&self, set: &PolicySet, policy: &Policy, target: &Target<'_>) -> Share {
        let response = self.authorizer.is_authorized(&target.request, set, &target.entities);
        let diagnostics = response.diagnostics();
        if diagnostics.errors().next().is_some() {
            return Share::Error;
        }
        match (diagnostics.reason().next(), policy.effect()) {
            (None, _) => Share::Nothing,
            (Some(_), CedarEffect::Permit) => Share::Permit,
            (Some(_), CedarEffect::Forbid) => Share::Forbid,
        }
    }

    /// Whether a case fails with the mutant in the place of the policy. The engine is as before afterwards.
    fn notices(&mut self, aim: &Aim, mutant: &Policy) -> Result<bool, Diagnostic> {
        let (set, prepared) = (alone(mutant)?, Prepared::new(mutant)?);
        for (number, before) in &aim.shares {
            let Some(target) = self.targets.get(*number) else { continue };
            if ![&aim.prepared, &prepared].into_iter().any(|policy| target.is_reached_by(self.engine, policy)) {
                continue;
            }
            if self.share(&set, mutant, target) == *before && !self.asks_more(aim, &prepared, target) {
                continue;
            }
            let case = target.case;
            exchange(self.engine, &case.asked, &prepared)?;
            let passed = case.run(self.engine).passed();
            exchange(self.engine, &case.asked, &aim.prepared)?;
            if !passed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the case also claims something about answers that it would get with more permissions.
    fn asks_more(&self, aim: &Aim, mutant: &Prepared, target: &Target<'_>) -> bool {
        let principal = &self.engine.shape.key_type;
        let slice = match &target.case.asked {
            Asked::Key { request, .. } => self.engine.keys.get(request.action.as_str()),
            Asked::Admin { .. } | Asked::Cedar(_) => None,
        };
        let matters = |slice: &Slice| slice.can_hold(&aim.prepared, principal) || slice.can_hold(mutant, principal);
        target.case.expected.missing_permission != Missing::Any && slice.is_some_and(matters)
    }
}

fn alone(policy: &Policy) -> Result<PolicySet, Diagnostic> {
    let mut set = PolicySet::new();
    set.add(policy.clone()).map_err(|error| Diagnostic::general(error.to_string()))?;
    Ok(set)
}

fn replace(set: &mut PolicySet, policy: &Policy) -> Result<(), Diagnostic> {
    let failed = |error: &dyn std::fmt::Display| Diagnostic::general(error.to_string());
    set.remove_static(policy.id().clone()).map_err(|error| failed(&error))?;
    set.add(policy.clone()).map_err(|error| failed(&error))
}

/// Puts a policy into the slice that answers a question.
fn exchange(engine: &mut Engine, asked: &Asked, policy: &Prepared) -> Result<(), Diagnostic> {
    let (slice, principal) = match asked {
        Asked::Key { request, .. } => (engine.keys.get_mut(request.action.as_str()), &engine.shape.key_type),
        Asked::Admin { action, .. } => (engine.admins.get_mut(action.as_str()), &engine.shape.admin_type),
        Asked::Cedar(_) => return replace(&mut engine.originals, policy.policy()),
    };
    slice.map_or(Ok(()), |slice| slice.exchange(policy, principal, &engine.schema))
}
