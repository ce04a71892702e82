//! Why a request is decided as it is: every policy, each part of its scope and each clause alone, and what would have to be
//! different where no policy permits it.

use std::sync::Arc;

use cedar_policy::{AuthorizationError, PolicyId, PolicySet};

use super::{
    cases::Asked,
    clause::{Anatomy, Piece, PieceKind, Truth},
    decide::failed,
    engine::{Effect, Engine, PolicyInfo},
    load::{STACK, on_stack},
    schema::ORG,
    situation::{Situation, Situations},
    slice::Slice,
};
use crate::domain::{
    admin::Role,
    clock::Timestamp,
    decision::{BadRequest, Decision, Request},
    facts::Facts,
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permissions,
};

/// A decision and what made it.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub decision: Arc<Decision>,
    pub why: Why,
}

/// What the policies are worth for one request.
#[derive(Debug, Clone, Default)]
pub struct Why {
    /// Every policy of the set, in the order of files and lines; none where Cedar was never asked.
    pub policies: Vec<ExplainedPolicy>,
    /// Where no policy permits the request and none forbids it: the permits with the fewest parts that do not hold.
    pub nearest: Vec<NearMiss>,
}

/// One policy, for one request.
#[derive(Debug, Clone)]
pub struct ExplainedPolicy {
    pub info: PolicyInfo,
    /// Whether the policy as a whole holds.
    pub holds: Truth,
    /// Principal, action, resource, then the clauses in the order of the text.
    pub parts: Vec<ExplainedPart>,
}

/// A part of a scope or a clause, looked at alone.
#[derive(Debug, Clone)]
pub struct ExplainedPart {
    pub kind: PieceKind,
    /// As it stands in the file.
    pub text: String,
    /// Line and column, counted from 1.
    pub position: (usize, usize),
    /// What it is worth.
    pub truth: Truth,
    /// Whether the policy may hold as far as this part goes. An `unless` is out of the way when one of its clauses is false.
    pub holds: bool,
}

/// A permit that would have held, had these been different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    pub policy: Arc<str>,
    /// A sentence for each part that does not hold.
    pub changes: Vec<String>,
}

/// A key that need not exist.
#[derive(Debug, Clone)]
pub struct WhatIf {
    pub permissions: Permissions,
    pub environment: Environment,
    /// `None`: at the moment of the request.
    pub created_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub org_name: String,
    pub org_suspended: bool,
}

impl WhatIf {
    /// What the server would know about such a key.
    #[must_use]
    pub fn facts(self, now: Timestamp) -> Facts {
        Facts {
            key: KeyId::NIL,
            org: OrgId::NIL,
            org_name: self.org_name.into(),
            org_suspended: self.org_suspended,
            environment: self.environment,
            permissions: self.permissions.into_iter().collect(),
            created_at: self.created_at.unwrap_or(now),
            expires_at: self.expires_at,
        }
    }
}

/// Permits that are named as near misses: whoever has to read more reads none.
const MOST_NEAR: usize = 3;

impl ExplainedPolicy {
    /// Whether the request is one that the policy is about.
    #[must_use]
    pub fn is_about(&self) -> bool {
        self.parts.iter().take(3).all(|part| part.holds)
    }
}

impl Engine {
    /// Decides a request as the server does, and looks at every policy and every part of it.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub fn explain(&self, facts: Facts, request: &Request, now: Timestamp) -> Result<Explanation, BadRequest> {
        let principal = self.principal(facts.clone());
        let decision = self.decide(&principal, &self.read(request, &principal, now)?);
        let explanation = match self.why(&Asked::Key { facts, request: request.clone(), now }) {
            Ok(why) => Explanation { decision, why },
            // What cannot be looked at is not said to be allowed.
            Err(detail) => Explanation { decision: failed(detail, Vec::new()), why: Why::default() },
        };
        Ok(explanation)
    }

    /// Looks at every policy and every part of it, for one question.
    ///
    /// # Errors
    /// Why Cedar is never asked: the request does not fit the schema, or the target not the action.
    pub fn why(&self, asked: &Asked) -> Result<Why, String> {
        // Taking policies apart needs the parser's stack.
        on_stack(STACK, || why(self, asked)).unwrap_or_else(|error| Err(error.to_string()))
    }
}

fn why(engine: &Engine, asked: &Asked) -> Result<Why, String> {
    let situations = Situations::new(engine).map_err(|error| error.to_string())?;
    let here = situations.of(asked)?;
    let anatomies = engine.anatomies.get_or_init(|| engine.dissect()).as_ref().map_err(ToString::to_string)?;
    let policies = anatomies.iter().map(|anatomy| look(engine, anatomy, &here)).collect::<Result<Vec<_>, _>>()?;
    if policies.iter().any(|policy| policy.holds != Truth::False) {
        return Ok(Why { policies, nearest: Vec::new() });
    }
    let mut elsewhere = Vec::new();
    for (sentence, asked) in alternatives(asked, here.slice) {
        elsewhere.push((sentence, situations.of(&asked)?));
    }
    let nearest = nearest(engine, anatomies, &policies, &elsewhere);
    Ok(Why { policies, nearest })
}

fn look(engine: &Engine, anatomy: &Anatomy, situation: &Situation<'_>) -> Result<ExplainedPolicy, String> {
    let policy = engine.originals.policy(&PolicyId::new(&anatomy.info.id)).ok_or("a policy is not in its set")?;
    let alone = PolicySet::from_policies([policy.clone()]).map_err(|error| error.to_string())?;
    let response = engine.authorizer.is_authorized(&situation.request, &alone, &situation.entities);
    let holds = match response.diagnostics().errors().next() {
        Some(AuthorizationError::PolicyEvaluationError(error)) => Truth::Error(error.inner().to_string()),
        None if response.diagnostics().reason().next().is_some() => Truth::True,
        None => Truth::False,
    };
    let ask = |piece| Piece::ask(piece, &engine.authorizer, &situation.request, &situation.entities);
    let asked: Vec<(&Piece, Truth)> = pieces(anatomy).map(|piece| (piece, ask(piece))).collect();
    let is_out_of_the_way = |condition| {
        let mut beside = asked.iter().filter(|(other, _)| other.kind == PieceKind::Unless && other.condition == condition);
        beside.any(|(_, truth)| *truth == Truth::False)
    };
    let part = |(piece, truth): &(&Piece, Truth)| ExplainedPart {
        kind: piece.kind,
        text: piece.text.clone(),
        position: piece.position,
        truth: truth.clone(),
        holds: match piece.kind {
            PieceKind::Unless => is_out_of_the_way(piece.condition),
            _ => *truth == Truth::True,
        },
    };
    Ok(ExplainedPolicy { info: anatomy.info.clone(), holds, parts: asked.iter().map(part).collect() })
}

fn pieces(anatomy: &Anatomy) -> impl Iterator<Item = &Piece> {
    anatomy.scope.iter().chain(&anatomy.clauses)
}

/// The same question with one thing different, and what is said where that makes the difference.
fn alternatives(asked: &Asked, slice: &Slice) -> Vec<(String, Asked)> {
    match asked {
        Asked::Key { facts, request, now } => {
            let asked = |(sentence, facts, request)| (sentence, Asked::Key { facts, request, now: *now });
            key_alternatives(facts, request, slice).into_iter().map(asked).collect()
        }
        Asked::Admin { admin, role, action, target } => {
            let others = Role::ALL.into_iter().filter(|other| other != role);
            let asked = |other| Asked::Admin { admin: *admin, role: other, action: *action, target: target.clone() };
            others.map(|other| (format!("the admin's role is `{role}`, not `{other}`"), asked(other))).collect()
        }
        // Entities that somebody made up: nothing is known about what else they could be.
        Asked::Cedar(_) => Vec::new(),
    }
}

fn key_alternatives(facts: &Facts, request: &Request, slice: &Slice) -> Vec<(String, Facts, Request)> {
    let mut all = Vec::new();
    for permission in
        slice.candidates.iter().map(|candidate| &candidate.permission).filter(|name| !facts.permissions.contains(name))
    {
        let permissions = facts.permissions.iter().chain([permission]).cloned().collect();
        let sentence = format!("the key lacks the permission `{permission}`");
        all.push((sentence, Facts { permissions, ..facts.clone() }, request.clone()));
    }
    if request.resource.as_ref().is_some_and(|resource| resource.kind == ORG) {
        let sentence = "the resource is not the key's own organization".to_owned();
        all.push((sentence, facts.clone(), Request { resource: None, ..request.clone() }));
    }
    if facts.org_suspended {
        let sentence = "the key's organization is suspended".to_owned();
        all.push((sentence, Facts { org_suspended: false, ..facts.clone() }, request.clone()));
    }
    let other = if facts.environment == Environment::Live { Environment::Test } else { Environment::Live };
    let sentence = format!("the key's environment is `{}`, not `{}`", facts.environment.as_str(), other.as_str());
    all.push((sentence, Facts { environment: other, ..facts.clone() }, request.clone()));
    all
}

/// The permits that the fewest parts keep from holding. One about other callers is not near, whatever else holds.
fn nearest(
    engine: &Engine,
    anatomies: &[Anatomy],
    policies: &[ExplainedPolicy],
    elsewhere: &[(String, Situation<'_>)],
) -> Vec<NearMiss> {
    let mut misses: Vec<(usize, NearMiss)> = Vec::new();
    for (anatomy, policy) in anatomies.iter().zip(policies) {
        let is_for_caller = policy.parts.first().is_some_and(|part| part.holds);
        if policy.info.effect == Effect::Forbid || !is_for_caller || policy.holds == Truth::True {
            continue;
        }
        let failing: Vec<_> = pieces(anatomy).zip(&policy.parts).filter(|(_, part)| !part.holds).collect();
        // The clauses of an `unless` stand in the way together: one change does.
        let groups =
            failing.chunk_by(|(a, _), (b, _)| (a.kind, a.condition) == (b.kind, b.condition) && a.kind == PieceKind::Unless);
        let changes: Vec<String> = groups.map(|group| change(engine, group, elsewhere)).collect();
        // A clause is nearer than an action or a resource that the policy is not about.
        let distance = changes.len() + if policy.is_about() { 0 } else { policy.parts.len() };
        misses.push((distance, NearMiss { policy: policy.info.id.clone(), changes }));
    }
    let nearest = misses.iter().map(|(distance, _)| *distance).min();
    misses.into_iter().filter(|(distance, _)| Some(*distance) == nearest).map(|(_, miss)| miss).take(MOST_NEAR).collect()
}

/// What would have to be different for this part to hold, or for one clause of this `unless` to be false.
fn change(engine: &Engine, group: &[(&Piece, &ExplainedPart)], elsewhere: &[(String, Situation<'_>)]) -> String {
    let would_do = |situation: &Situation<'_>| {
        group.iter().any(|(piece, _)| {
            let truth = piece.ask(&engine.authorizer, &situation.request, &situation.entities);
            truth == if piece.kind == PieceKind::Unless { Truth::False } else { Truth::True }
        })
    };
    let sentences: Vec<&str> =
        elsewhere.iter().filter(|(_, situation)| would_do(situation)).map(|(sentence, _)| sentence.as_str()).collect();
    let texts: Vec<&str> = group.iter().map(|(_, part)| part.text.as_str()).collect();
    let text = texts.join(" && ");
    if !sentences.is_empty() {
        return format!("{} (`{text}`)", sentences.join(", or "));
    }
    let error = group.iter().find_map(|(_, part)| if let Truth::Error(error) = &part.truth { Some(error) } else { None });
    match (error, group.first().map(|(piece, _)| piece.kind)) {
        (Some(error), _) => format!("`{text}` cannot be evaluated: {error}"),
        (None, Some(PieceKind::Unless)) => format!("`{text}` is true, under an `unless`"),
        (None, Some(scope @ (PieceKind::Principal | PieceKind::Action | PieceKind::Resource))) => {
            format!("the {} does not match `{text}`", scope.as_str())
        }
        (None, _) => format!("`{text}` is false"),
    }
}
