//! Claims about the engine, on the shipped policies and on sets made to break it.

mod context;
mod depth;
mod diagnostics;
mod files;
mod guards;
mod ids;
mod permissions;
mod slices;
mod supply;
mod threads;
mod traps;

use serde_json::{Map, Value};

use super::*;
use crate::domain::{
    clock::Timestamp,
    decision::{BadRequest, Decision, Request, Resource, Verdict},
    facts::Facts,
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permission,
    random::Random,
};

const AUTHZ: &str = "schema/authz.cedarschema";
const MANAGEMENT: &str = "schema/management.cedarschema";
const GRANTS: &str = "policies/permissions.cedar";
const SUSPENSION: &str = "policies/suspension.cedar";
const ADMINS: &str = "policies/management.cedar";
const EXTRA: &str = "policies/extra.cedar";

/// The shipped text of a live file.
fn text(path: &str) -> &'static str {
    SHIPPED.iter().find(|(shipped, _)| *shipped == path).map(|(_, text)| *text).unwrap()
}

fn file(path: &str, text: impl Into<String>) -> SourceFile {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let kind = if folder == "schema" { SourceKind::Schema } else { SourceKind::Policies };
    SourceFile { kind, path: path.to_owned(), name: name.to_owned(), text: text.into() }
}

/// The shipped files, some of them replaced and others added.
fn with(edits: &[(&str, &str)]) -> PolicyFiles {
    let kept = shipped().iter().filter(|file| edits.iter().all(|(path, _)| *path != file.path)).cloned().collect::<Vec<_>>();
    PolicyFiles::new(kept.into_iter().chain(edits.iter().map(|(path, text)| file(path, *text))).collect())
}

/// The shipped files without one.
fn without(path: &str) -> PolicyFiles {
    PolicyFiles::new(shipped().iter().filter(|file| file.path != path).cloned().collect())
}

/// The shipped files, one of them with an addition at its end.
fn added(path: &str, more: &str) -> PolicyFiles {
    with(&[(path, &format!("{}\n{more}", text(path)))])
}

/// The shipped files, with one passage of one of them replaced.
fn replaced(path: &str, from: &str, to: &str) -> PolicyFiles {
    assert!(text(path).contains(from), "{path} holds no `{from}`");
    with(&[(path, &text(path).replace(from, to))])
}

fn load(files: &PolicyFiles) -> Result<Engine, LoadError> {
    Engine::load(files, &Settings::default())
}

fn unguarded(files: &PolicyFiles) -> Engine {
    Engine::load_without_guards(files, &Settings::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Why a set does not load: everything that is wrong, each with its place and help.
fn refusal(files: &PolicyFiles) -> String {
    let Err(error) = load(files) else { panic!("the set loads") };
    let line = |problem: &Diagnostic| {
        let (line, column) = problem.position().unwrap_or_default();
        let help = problem.help.as_deref().unwrap_or_default();
        format!("{}:{line}:{column}: {problem} ({help})", problem.file().unwrap_or_default())
    };
    error.diagnostics().map(line).collect::<Vec<_>>().join("\n")
}

fn engine() -> Engine {
    load(&shipped()).expect("the shipped policies load")
}

/// Tuesday, 24 November 2026, at noon.
fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn own_org() -> OrgId {
    OrgId::new(now(), &Random::seeded(2))
}

fn facts(permissions: &[&str], suspended: bool) -> Facts {
    Facts {
        key: KeyId::new(now(), &Random::seeded(1)),
        org: own_org(),
        org_name: "Acme".into(),
        org_suspended: suspended,
        environment: Environment::Test,
        permissions: permissions.iter().map(|name| name.parse::<Permission>().unwrap()).collect(),
        created_at: now(),
        expires_at: None,
    }
}

fn org(id: impl Into<String>) -> Resource {
    Resource { kind: "Org".into(), id: id.into() }
}

fn decide_with(
    engine: &Engine,
    facts: Facts,
    action: &str,
    resource: Option<Resource>,
    context: Value,
) -> Result<Decision, BadRequest> {
    let principal = engine.principal(facts);
    let context = if let Value::Object(map) = context { map } else { Map::new() };
    let question = engine.read(&Request { action: action.into(), resource, context }, &principal, now())?;
    Ok(engine.decide(&principal, &question).as_ref().clone())
}

fn decide(engine: &Engine, facts: Facts, action: &str, resource: Option<Resource>) -> Decision {
    decide_with(engine, facts, action, resource, Value::Null).unwrap()
}

#[test]
fn a_granted_permission_is_allowed() {
    let decision = decide(&engine(), facts(&["jobs:read"], false), "jobs:read", None);
    assert_eq!(decision.verdict, Verdict::Allow);
    assert_eq!(decision.policies, ["granted-permission-allowed".into()]);
}

#[test]
fn a_suspended_organization_is_denied_even_with_every_permission() {
    let engine = engine();
    let all: Vec<&str> = engine.permissions().iter().map(|info| info.name.as_str()).collect();
    for action in &all {
        let decision = decide(&engine, facts(&all, true), action, None);
        assert_eq!(decision.code(), Some("ORGANIZATION_SUSPENDED"), "{action}");
        assert_eq!(decision.policies, ["suspended-org-denied".into()]);
    }
}
