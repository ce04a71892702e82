//! Guards: decisions that any policy set must give, over every action and resource type. Compiled in, so that no edit of a
//! policy file can remove them.

use std::{str::FromStr, sync::Arc};

use serde_json::Value;

use super::{
    cases::Suite,
    decide::{self, NOW, Object, Question},
    diagnostic::{Diagnostic, LoadError},
    engine::Engine,
    entities::Principal,
    files::{PolicyFiles, SourceFile, SourceKind},
    management::{self, Action, Target},
    sample::Variant,
    schema::{ORG, uid},
    slice::Slice,
};
use crate::domain::{
    admin::Role,
    clock::Timestamp,
    facts::Facts,
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permission,
};

/// A moment that lies after every sample key's creation and before its expiry.
pub(super) const NOON: i64 = 1_795_521_600_000;

/// Broken cases of `guards.yaml` in one report.
const MOST_REPORTED: usize = 20;

/// Checks every guard and says which policy set's author broke which.
pub(super) fn check(engine: &Engine, files: &PolicyFiles) -> Result<(), LoadError> {
    let mut problems = Vec::new();
    let cast = Cast::new(engine)?;
    let mut allowed_somewhere = false;
    for name in engine.permissions.iter().map(|info| &info.name) {
        let Some(slice) = engine.keys.get(name.as_str()) else { continue };
        match check_action(engine, &cast, name, slice) {
            Ok(allowed) => allowed_somewhere |= allowed,
            Err(problem) => problems.push(problem),
        }
    }
    LoadError::check(problems)?;
    if !allowed_somewhere {
        let problem = broken("no key is allowed anything", "some action must be allowed to a key that holds every permission");
        return Err(problem.into());
    }
    LoadError::check(check_admins(engine))?;
    files.of(SourceKind::Guards).try_for_each(|file| check_suite(engine, file))
}

/// The guards that a team adds in `policies/guards.yaml`: every case must hold.
fn check_suite(engine: &Engine, file: &SourceFile) -> Result<(), LoadError> {
    let broken = Suite::parse(file)?.broken(engine, MOST_REPORTED)?;
    LoadError::check(
        broken
            .into_iter()
            .map(|problem| problem.help(format!("`{}` guards every load; a set that breaks it is never loaded", file.path)))
            .collect(),
    )
}

fn broken(what: &str, rule: &str) -> Diagnostic {
    Diagnostic::general(format!("guard: {what}")).help(format!("{rule}; a set that breaks this is never loaded"))
}

/// The sample keys: live and test, with and without an expiry.
struct Cast {
    granted: Vec<Principal>,
    empty: Vec<Principal>,
    suspended: Vec<Principal>,
}

impl Cast {
    fn new(engine: &Engine) -> Result<Self, Diagnostic> {
        let id = |text: &str| Diagnostic::general(format!("the sample id `{text}` does not parse"));
        let (key, org) = ("key_01kaw9zzzzzzzzzzzzzzzzzzzz", "org_01kaw9zzzzzzzzzzzzzzzzzzzz");
        let key = KeyId::from_str(key).map_err(|_| id(key))?;
        let org = OrgId::from_str(org).map_err(|_| id(org))?;
        let all: Arc<[Permission]> = engine.permissions.iter().map(|info| info.name.clone()).collect();
        let none: Arc<[Permission]> = Arc::default();
        let day = 86_400_000;
        let keys = |permissions: &Arc<[Permission]>, org_suspended: bool| {
            let kinds = [Environment::Live, Environment::Test].into_iter().flat_map(|env| [(env, false), (env, true)]);
            let principal = |(environment, expires): (Environment, bool)| {
                engine.principal(Facts {
                    key,
                    org,
                    org_name: "Acme".into(),
                    org_suspended,
                    environment,
                    permissions: permissions.clone(),
                    created_at: Timestamp::from_millis(NOON - day),
                    expires_at: expires.then(|| Timestamp::from_millis(NOON + day)),
                })
            };
            kinds.map(principal).collect()
        };
        Ok(Self { granted: keys(&all, false), empty: keys(&none, false), suspended: keys(&all, true) })
    }
}

/// One permission on every resource type and in every sample context; whether any sample key is allowed.
fn check_action(engine: &Engine, cast: &Cast, name: &Permission, slice: &Slice) -> Result<bool, Diagnostic> {
    let mut allowed = false;
    for (kind, type_name) in &slice.resources {
        let own = if kind == ORG { Object::OwnOrg } else { Object::Bare(uid(type_name, "sample")) };
        // Without a context of the caller's all variants are one.
        let variants = if slice.context.keys().all(|name| name == NOW) { 1 } else { Variant::ALL.len() };
        for variant in Variant::ALL.into_iter().take(variants) {
            let ask = |principal: &Principal, object: &Object| sample_answer(engine, slice, variant, principal, object);
            for principal in &cast.granted {
                allowed |= ask(principal, &own)?.is_some();
                let foreign = Object::ForeignOrg(engine.shape.org_uid("sample"));
                if kind == ORG
                    && let Some(by) = ask(principal, &foreign)?
                {
                    return Err(broken(
                        &format!("`{name}` is allowed on a foreign organization by the policy `{by}`"),
                        "a key acts on its own organization only",
                    )
                    .policy(by));
                }
            }
            for principal in &cast.empty {
                if let Some(by) = ask(principal, &own)? {
                    return Err(broken(
                        &format!("`{name}` is allowed to a key without any permission by the policy `{by}`"),
                        "a key without permissions is denied everything",
                    )
                    .policy(by));
                }
            }
            for principal in cast.suspended.iter().filter(|_| !engine.settings.suspended_may.contains(name)) {
                if ask(principal, &own)?.is_some() {
                    let rule = "a key of a suspended organization is denied everything (the setting `policies.suspended_may` lists exceptions)";
                    return Err(broken(&format!("`{name}` is allowed to a key of a suspended organization"), rule));
                }
            }
        }
    }
    Ok(allowed)
}

/// Asks Cedar without the tripwires: a guard must find what they would hide. An error is no denial to rely on.
/// The answer is the policy that allows it.
fn sample_answer(
    engine: &Engine,
    slice: &Slice,
    variant: Variant,
    principal: &Principal,
    object: &Object,
) -> Result<Option<String>, Diagnostic> {
    let action = slice.action.id().unescaped().to_owned();
    let failed =
        |detail: String| broken(&format!("`{action}` cannot be evaluated: {detail}"), "policies must evaluate without an error");
    let mut attributes = slice.context.clone();
    let sets_now = attributes.remove(NOW).is_some();
    let mut sample = engine.types.sample_record(&attributes, variant);
    if let (true, Value::Object(fields)) = (sets_now, &mut sample) {
        let now = Timestamp::from_millis(NOON).to_string();
        fields.insert(NOW.to_owned(), serde_json::json!({"__extn": {"fn": "datetime", "arg": now}}));
    }
    let context = cedar_policy::Context::from_json_value(sample, Some((&engine.schema, &slice.action)));
    let context = context.map_err(|error| failed(error.to_string()))?;
    context.validate(&engine.schema, &slice.action).map_err(|error| failed(error.to_string()))?;
    let question = Question { slice, object: object.clone(), context };
    let answer = decide::answer(engine, principal, &question).map_err(failed)?;
    match answer.errors.first() {
        Some(error) => Err(failed(error.clone())),
        None => Ok(answer.reasons.first().filter(|_| answer.allowed).map(|label| label.id.to_string())),
    }
}

/// An owner may do every management action, an auditor may write nothing.
fn check_admins(engine: &Engine) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let read = |name: &str| Action::ALL.iter().any(|action| action.as_str() == name && action.is_read());
    let declared = engine.admins.keys().map(AsRef::as_ref);
    let mut names: Vec<&str> = declared.chain(Action::ALL.iter().map(|action| action.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        for target in targets(engine, name) {
            let ask = |role| {
                management::answer(engine, "adm_sample", role, name, &target).map(|answer| (answer.allowed, answer.errors))
            };
            match ask(Role::Owner) {
                Ok((true, errors)) if errors.is_empty() => {}
                Ok((_, errors)) if errors.is_empty() => {
                    problems.push(broken(&format!("an owner may not do `{name}`"), "an owner may do every management action"));
                }
                Ok((_, errors)) => problems.push(broken(
                    &format!("`{name}` cannot be evaluated: {}", errors.join("; ")),
                    "policies must evaluate without an error",
                )),
                Err(detail) => problems.push(broken(&detail, "`claviger init` writes a complete schema/management.cedarschema")),
            }
            if !read(name) && ask(Role::Auditor).is_ok_and(|(allowed, _)| allowed) {
                problems.push(broken(&format!("an auditor may do `{name}`"), "an auditor may write nothing"));
            }
        }
    }
    problems.sort_by(|a, b| a.message.cmp(&b.message));
    problems.dedup_by(|a, b| a.message == b.message);
    problems
}

/// What an action can be about: what the server asks, or for an action that it never asks about, by its resource types.
pub(super) fn targets(engine: &Engine, name: &str) -> Vec<Target> {
    let asked = Action::ALL.into_iter().find(|action| action.as_str() == name);
    if asked.is_some_and(Action::is_about_admin) {
        return Role::ALL.map(Target::Admin).into();
    }
    let takes_org = |slice: &Slice| slice.resources.iter().any(|(kind, _)| kind == ORG);
    let about_org = asked.map_or_else(|| engine.admins.get(name).is_some_and(takes_org), Action::is_about_org);
    let org = OrgId::from_str("org_01kaw9zzzzzzzzzzzzzzzzzzzz").ok().filter(|_| about_org);
    match org {
        Some(id) => [false, true].map(|suspended| Target::Org { id, name: "Acme".to_owned(), suspended }).into(),
        None => vec![Target::System],
    }
}
