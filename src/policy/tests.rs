//! Claims about the engine, on the shipped policies and on sets made to break it.

use super::*;
use crate::domain::{
    clock::Timestamp,
    decision::{Decision, Request, Resource, Verdict},
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permission,
    random::Random,
};

fn engine() -> Engine {
    Engine::load(&shipped(), &Settings::default()).expect("the shipped policies load")
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn facts(permissions: &[&str], suspended: bool) -> Facts {
    Facts {
        key: KeyId::new(now(), &Random::seeded(1)),
        org: OrgId::new(now(), &Random::seeded(2)),
        org_name: "Acme".into(),
        org_suspended: suspended,
        environment: Environment::Test,
        permissions: permissions.iter().map(|name| name.parse::<Permission>().unwrap()).collect(),
        created_at: now(),
        expires_at: None,
    }
}

fn decide(engine: &Engine, facts: Facts, action: &str, resource: Option<Resource>) -> Decision {
    let principal = engine.principal(facts);
    let request = Request { action: action.into(), resource, context: serde_json::Map::new() };
    let question = engine.read(&request, &principal, now()).unwrap();
    engine.decide(&principal, &question)
}

#[test]
fn a_granted_permission_is_allowed() {
    let decision = decide(&engine(), facts(&["jobs:read"], false), "jobs:read", None);
    assert_eq!(decision.verdict, Verdict::Allow);
    assert_eq!(decision.policies, ["granted-permission-allowed".into()]);
}

#[test]
fn a_denial_names_the_permission_that_would_do() {
    let decision = decide(&engine(), facts(&["jobs:read"], false), "scan:create", None);
    assert_eq!(decision.verdict, Verdict::NotPermitted { missing: Some("scan:create".parse().unwrap()) });
    assert!(decision.policies.is_empty());
}

#[test]
fn a_suspended_organization_is_denied_even_with_every_permission() {
    let decision = decide(&engine(), facts(&["jobs:read"], true), "jobs:read", None);
    assert_eq!(decision.code(), Some("ORGANIZATION_SUSPENDED"));
    assert_eq!(decision.policies, ["suspended-org-denied".into()]);
}

#[test]
fn a_foreign_organization_is_denied_and_no_permission_would_help() {
    let other = Resource { kind: "Org".into(), id: "org_".into() };
    let decision = decide(&engine(), facts(&["jobs:read"], false), "jobs:read", Some(other));
    assert_eq!(decision.verdict, Verdict::NotPermitted { missing: None });
}
