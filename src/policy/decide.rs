//! The decision itself.

use std::sync::Arc;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use cedar_policy_core::ast;
use serde_json::{Map, Value, json};

use super::{
    compiled::{Answer, ask},
    engine::Engine,
    entities::Principal,
    schema::{entry, shared},
    slice::{Candidate, Slice},
};
use crate::domain::{
    clock::Timestamp,
    decision::{BadRequest, Decision, Verdict},
    permission::Permission,
};

/// The context attribute that the server sets where an action declares it.
pub(super) const NOW: &str = "now";
/// Values inside values of a context: no type of a schema is deeper, and Cedar reads them with much stack for each level.
const DEEPEST: usize = 20;
/// Characters of Cedar's sentence that a caller sees: it may repeat the whole context.
const LONGEST: usize = 500;

/// A request that fits the schema.
#[derive(Debug)]
pub struct Question<'e> {
    pub(super) slice: &'e Slice,
    pub(super) object: Object,
    pub(super) context: Context,
}

/// What a request acts on, as far as the server may know it.
#[derive(Debug, Clone)]
pub(super) enum Object {
    OwnOrg,
    /// Any other org, existing or not.
    ForeignOrg(EntityUid),
    /// A resource of another type: its id is all that is known.
    Bare(EntityUid),
}

/// Reads `context` against the action's context type; the server's own attributes cannot be supplied.
pub(super) fn read_context(
    engine: &Engine,
    slice: &Slice,
    given: &Map<String, Value>,
    now: Timestamp,
) -> Result<Context, BadRequest> {
    let sets_now = slice.context.contains_key(NOW);
    let invalid =
        |message: &dyn std::fmt::Display| BadRequest::InvalidContext(message.to_string().chars().take(LONGEST).collect());
    if sets_now && given.contains_key(NOW) {
        return Err(invalid(&"`now` is set by the server"));
    }
    if let Some(name) = given.keys().find(|name| !slice.context.contains_key(*name)) {
        return Err(invalid(&format!("it has no attribute `{name}`")));
    }
    if given.is_empty() && !slice.context.iter().any(|(name, attribute)| attribute.required && name != NOW) {
        if !sets_now {
            return Ok(Context::empty());
        }
        let now = RestrictedExpression::new_datetime(now.to_string());
        return Context::from_pairs([(NOW.to_owned(), now)]).map_err(|error| invalid(&error));
    }
    if given.values().any(|value| is_deeper(value, DEEPEST)) {
        return Err(invalid(&format!("its values are nested more than {DEEPEST} levels deep")));
    }
    if let Some(escape) = given.values().find_map(find_escape) {
        return Err(invalid(&format!(
            "`{escape}` is not accepted; write an entity as {{\"type\": …, \"id\": …}} and other values plainly"
        )));
    }
    let mut json = given.clone();
    if sets_now {
        json.insert(NOW.to_owned(), json!({"__extn": {"fn": "datetime", "arg": now.to_string()}}));
    }
    let context =
        Context::from_json_value(Value::Object(json), Some((&engine.schema, &slice.action))).map_err(|error| invalid(&error))?;
    context.validate(&engine.schema, &slice.action).map_err(|error| invalid(&error))?;
    Ok(context)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else { return true };
    match value {
        Value::Object(map) => map.values().any(|value| is_deeper(value, left)),
        Value::Array(values) => values.iter().any(|value| is_deeper(value, left)),
        _ => false,
    }
}

/// Cedar's JSON escapes let a caller choose an attribute's type, so they are refused at every depth.
fn find_escape(value: &Value) -> Option<&str> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let escape = matches!(key.as_str(), "__entity" | "__extn" | "__expr");
            if escape { Some(key.as_str()) } else { find_escape(value) }
        }),
        Value::Array(values) => values.iter().find_map(find_escape),
        _ => None,
    }
}

pub(super) fn decide(engine: &Engine, principal: &Principal, question: &Question<'_>) -> Arc<Decision> {
    let answer = match answer(engine, principal, question) {
        Ok(answer) => answer,
        Err(detail) => return failed(detail, Vec::new()),
    };
    let missing = || missing_permission(engine, principal, question);
    let decision = into_decision(&answer, missing);
    let contradiction = if decision.is_allow() { contradiction(engine, principal, question) } else { None };
    contradiction.map_or_else(|| Arc::clone(&decision), |detail| failed(detail, decision.policies.clone()))
}

/// A denial because something went wrong.
pub(super) fn failed(detail: String, policies: Vec<Arc<str>>) -> Arc<Decision> {
    Arc::new(Decision { verdict: Verdict::PolicyError { detail }, policies })
}

/// Turns Cedar's answer into ours: an error anywhere is a denial, because Cedar skips the policy that failed.
pub(super) fn into_decision(answer: &Answer<'_>, missing: impl FnOnce() -> Option<Permission>) -> Arc<Decision> {
    // The answer is Cedar's; what was made at load must say the same, or is not used.
    if let ([label], true) = (&*answer.reasons, answer.errors.is_empty())
        && label.alone.is_allow() == answer.allowed
    {
        return Arc::clone(&label.alone);
    }
    let policies: Vec<Arc<str>> = answer.reasons.iter().map(|label| label.id.clone()).collect();
    let verdict = if answer.errors.is_empty() {
        match answer.reasons.first() {
            _ if answer.allowed => Verdict::Allow,
            Some(label) => Verdict::Forbidden { code: label.code.clone(), message: label.message.clone() },
            None => Verdict::NotPermitted { missing: missing() },
        }
    } else {
        Verdict::PolicyError { detail: answer.errors.join("; ") }
    };
    Arc::new(Decision { verdict, policies })
}

/// The tripwires: an allow that no policy edit may ever bring about.
fn contradiction(engine: &Engine, principal: &Principal, question: &Question<'_>) -> Option<String> {
    let action = question.slice.action.id().unescaped();
    if principal.facts.org_suspended && !engine.settings.suspended_may.iter().any(|may| may.as_str() == action) {
        return Some("the policies allow a key of a suspended organization".to_owned());
    }
    matches!(question.object, Object::ForeignOrg(_))
        .then(|| "the policies allow a key on an organization that is not its own".to_owned())
}

/// Asks Cedar, with the entities that are already built where that is enough.
pub(super) fn answer<'e>(engine: &'e Engine, principal: &Principal, question: &Question<'e>) -> Result<Answer<'e>, String> {
    let entities = principal.entities.as_ref().map_err(Clone::clone)?;
    if matches!(question.object, Object::OwnOrg) && question.slice.hierarchy.is_empty() {
        return Ok(evaluate(engine, principal, question, entities));
    }
    let entities = principal.entities_with(engine, None, other_entities(engine, question)?)?;
    Ok(evaluate(engine, principal, question, &entities))
}

/// What a request is about besides the key and its org.
fn other_entities(engine: &Engine, question: &Question<'_>) -> Result<Vec<Entity>, String> {
    let mut entities = question.slice.hierarchy.clone();
    entities.extend(object_entity(engine, question)?);
    Ok(entities)
}

/// What a request acts on, when it is not the key's own org.
pub(super) fn object_entity(engine: &Engine, question: &Question<'_>) -> Result<Option<Entity>, String> {
    Ok(match &question.object {
        Object::OwnOrg => None,
        Object::ForeignOrg(uid) => Some(engine.shape.foreign_org(uid.clone())?),
        Object::Bare(uid) => Some(Entity::with_uid(uid.clone())),
    })
}

fn evaluate<'e>(engine: &'e Engine, principal: &Principal, question: &Question<'e>, entities: &Entities) -> Answer<'e> {
    ask(engine, &request(principal, question), &question.slice.policies, entities)
}

/// A question as Cedar is asked it.
pub(super) fn request(principal: &Principal, question: &Question<'_>) -> Request {
    let resource = match &question.object {
        Object::OwnOrg => entry(&principal.org_uid),
        Object::ForeignOrg(uid) | Object::Bare(uid) => entry(&shared(uid.clone())),
    };
    let context: &ast::Context = question.context.as_ref();
    let (key, action) = (entry(&principal.uid), entry(&question.slice.shared));
    ast::Request::new_unchecked(key, action, resource, Some(context.clone())).into()
}

/// The permission that would have made the difference, when exactly one would. Without it no policy holds and none fails, so
/// that those that rely on it decide.
fn missing_permission(engine: &Engine, principal: &Principal, question: &Question<'_>) -> Option<Permission> {
    let request = request(principal, question);
    let others = other_entities(engine, question).ok()?;
    let would_do = |candidate: &&Candidate| {
        let entities = principal.entities_with(engine, Some(&candidate.permission), others.iter().cloned());
        let answer = entities.map(|entities| ask(engine, &request, &candidate.policies, &entities));
        answer.is_ok_and(|answer| answer.allowed && answer.errors.is_empty())
    };
    let lacking =
        question.slice.candidates.iter().filter(|candidate| !principal.facts.permissions.contains(&candidate.permission));
    let mut missing = lacking.filter(would_do).map(|candidate| &candidate.permission);
    let first = missing.next()?;
    missing.next().is_none().then(|| first.clone())
}
