//! A slice answers what the whole set answers. The whole set is asked with entities and requests built with the schema.

mod management;
mod missing;

use std::sync::OnceLock;

use cedar_policy::{
    Authorizer, Context, Decision as Effect, Entities, EntityUid, PolicyId, PolicySet, Request as CedarRequest, Schema,
    SchemaFragment, ValidationMode, Validator,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::policy::decide;

const ROOT: &str = r#"
entity Org = { name: String, suspended: Bool };
entity Project;
entity Member;
type Permissions = Set<Action>;
entity ApiKey = { org: Org, permissions: Permissions, environment: String, created_at: datetime, expires_at?: datetime, note?: String };
action "everything";
action "read-only" in ["everything"];
action "deep-read" in ["read-only"];
action "jobs:read" in ["deep-read"] appliesTo { principal: [ApiKey, Member], resource: [Org, Project] };
action "results:read" in ["read-only"]
  appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime, amount?: Long, flag: Bool } };
action "scan:create" in ["everything"]
  appliesTo { principal: [ApiKey], resource: [Org, Project], context: { amount: Long, wanted?: Action } };
action "webhooks:write" appliesTo { principal: [ApiKey], resource: [Org] };
action "join" in ["read-only"] appliesTo { principal: [Member], resource: [Org] };
"#;

const PERMISSIONS: [&str; 4] = ["jobs:read", "results:read", "scan:create", "webhooks:write"];

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let fragments = [ROOT, text(MANAGEMENT)].map(|text| SchemaFragment::from_cedarschema_str(text).unwrap().0);
        Schema::from_schema_fragments(fragments).unwrap()
    })
}

fn is_valid(policy: &str) -> bool {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    let set: PolicySet = policy.parse().unwrap_or_else(|error| panic!("{policy}: {error:?}"));
    let validator = VALIDATOR.get_or_init(|| Validator::new(schema().clone()));
    validator.validate(&set, ValidationMode::Strict).validation_passed_without_warnings()
}

/// Conditions that strict validation accepts for every kind of principal, resource and context.
const ATOMS: [&str; 33] = [
    "principal.permissions.contains(action)",
    "principal.permissions.contains(Action::\"scan:create\")",
    "principal.permissions.containsAny([Action::\"jobs:read\", Action::\"read-only\"])",
    "principal.permissions.isEmpty()",
    "resource is Org && principal.org == resource",
    "principal.org.suspended",
    "principal.org.name like \"A*\"",
    "principal.environment == \"live\"",
    "principal has expires_at && principal.expires_at > datetime(\"2027-01-01\")",
    "principal has note && principal.note == \"x\"",
    "!(principal has note)",
    "principal.created_at < datetime(\"2026-12-01\")",
    "principal == ApiKey::\"OWN-KEY\"",
    "principal is ApiKey in ApiKey::\"OWN-KEY\"",
    "principal in ApiKey::\"OWN-KEY\"",
    "action in Action::\"read-only\"",
    "action in [Action::\"deep-read\", Action::\"webhooks:write\"]",
    "action in principal.permissions",
    "action == Action::\"jobs:read\"",
    "Action::\"jobs:read\" in Action::\"read-only\"",
    "Action::\"deep-read\" in Action::\"everything\"",
    "(if principal.org.suspended then action else Action::\"jobs:read\") in Action::\"everything\"",
    "resource is Org && resource.suspended",
    "resource is Org && resource.name == \"\"",
    "resource is Project",
    "resource == Project::\"p1\"",
    "resource == Org::\"OWN-ORG\"",
    "context has flag && context.flag",
    "context has now && context.now > datetime(\"2026-11-24\")",
    "context has amount && context.amount + 9223372036854775807 > 5",
    "context has amount && context.amount * 2 > 5",
    "context has wanted && context.wanted in Action::\"read-only\"",
    "context has wanted && principal.permissions.contains(context.wanted)",
];

fn condition() -> impl Strategy<Value = String> {
    let atom = select(&ATOMS[..]).prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

const PRINCIPALS: [&str; 8] = [
    "principal is ApiKey",
    "principal is ApiKey",
    "principal is ApiKey",
    "principal == ApiKey::\"OWN-KEY\"",
    "principal == ApiKey::\"another\"",
    "principal is ApiKey in ApiKey::\"OWN-KEY\"",
    "principal is Member",
    "principal",
];
const ACTIONS: [&str; 12] = [
    "action",
    "action",
    "action == Action::\"jobs:read\"",
    "action == Action::\"scan:create\"",
    "action == Action::\"results:read\"",
    "action in Action::\"read-only\"",
    "action in Action::\"everything\"",
    "action in Action::\"deep-read\"",
    "action in [Action::\"deep-read\", Action::\"webhooks:write\"]",
    "action in [Action::\"scan:create\", Action::\"results:read\"]",
    "action in Action::\"webhooks:write\"",
    "action == Action::\"join\"",
];
const RESOURCES: [&str; 6] = [
    "resource",
    "resource",
    "resource is Org",
    "resource is Project",
    "resource == Org::\"OWN-ORG\"",
    "resource == Project::\"p1\"",
];

/// A policy without an id that passes strict validation.
fn policy() -> impl Strategy<Value = String> {
    let clauses = vec((any::<bool>(), condition()), 0..3);
    let scope = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]));
    let all = (any::<bool>(), scope, clauses);
    all.prop_filter_map("strict validation refuses it", |(permit, (principal, action, resource), clauses)| {
        let typed = principal.contains("ApiKey");
        let clause = |(when, condition): &(bool, String)| {
            let condition = if typed { condition.clone() } else { format!("principal is ApiKey && {condition}") };
            format!(" {} {{ {condition} }}", if *when { "when" } else { "unless" })
        };
        let effect = if permit { "permit" } else { "forbid" };
        let clauses: String = clauses.iter().map(clause).collect();
        let policy = format!("{effect} ({principal}, {action}, {resource}){clauses};");
        let policy = policy.replace("OWN-KEY", &facts(&[], false).key.to_string()).replace("OWN-ORG", &own_org().to_string());
        is_valid(&policy).then_some(policy)
    })
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let held = proptest::sample::subsequence(
        ["jobs:read", "results:read", "scan:create", "webhooks:write", "gone:read"].to_vec(),
        0..=5,
    );
    (held, any::<bool>(), any::<bool>(), select(&[None, Some(0), Some(400)][..])).prop_map(|(held, suspended, live, days)| {
        Facts {
            environment: if live { Environment::Live } else { Environment::Test },
            expires_at: days.map(|days: u64| now().plus(std::time::Duration::from_secs(days * 86_400 + 1))),
            ..facts(&held, suspended)
        }
    })
}

/// Every action on every resource, each with a context that fits.
fn requests(amount: Option<i64>, flag: bool, wanted: Option<&str>) -> Vec<Request> {
    let resource = |kind: &str, id: &str| Some(Resource { kind: kind.into(), id: id.into() });
    let mut requests = Vec::new();
    for action in PERMISSIONS {
        let mut context = match action {
            "results:read" => json!({ "flag": flag }),
            "scan:create" => json!({ "amount": amount.unwrap_or(3) }),
            _ => json!({}),
        };
        if let (Some(amount), "results:read") = (amount, action) {
            context["amount"] = json!(amount);
        }
        if let (Some(wanted), "scan:create") = (wanted, action) {
            context["wanted"] = json!({"type": "Action", "id": wanted});
        }
        let orgs = [None, Some(org(own_org().to_string())), Some(org("org_other"))];
        let projects = [resource("Project", "p1"), resource("Project", "p2")];
        for resource in orgs.into_iter().chain(projects.into_iter().filter(|_| matches!(action, "jobs:read" | "scan:create"))) {
            let Value::Object(context) = context.clone() else { unreachable!() };
            requests.push(Request { action: action.into(), resource, context });
        }
    }
    requests
}

/// Cedar's answer over the whole set: whether it allows, the determining policies, and how many failed.
fn whole(set: &PolicySet, facts: &Facts, request: &Request) -> (bool, Vec<String>, usize) {
    let own = json!({"type": "Org", "id": facts.org.to_string()});
    let resource =
        request.resource.as_ref().map_or_else(|| own.clone(), |resource| json!({"type": resource.kind, "id": resource.id}));
    let held = facts.permissions.iter().filter(|name| PERMISSIONS.contains(&name.as_str()));
    let mut key = json!({
        "org": own,
        "permissions": held.map(|name| json!({"type": "Action", "id": name.as_str()})).collect::<Vec<_>>(),
        "environment": facts.environment.as_str(),
        "created_at": facts.created_at.to_string(),
    });
    if let Some(at) = facts.expires_at {
        key["expires_at"] = json!(at.to_string());
    }
    let key_uid = json!({"type": "ApiKey", "id": facts.key.to_string()});
    let mut entities = vec![
        json!({"uid": key_uid, "attrs": key, "parents": []}),
        json!({"uid": own, "attrs": {"name": &*facts.org_name, "suspended": facts.org_suspended}, "parents": []}),
    ];
    if resource != own {
        let attributes = if resource["type"] == "Org" { json!({"name": "", "suspended": false}) } else { json!({}) };
        entities.push(json!({"uid": resource, "attrs": attributes, "parents": []}));
    }
    let entities = Entities::from_json_value(Value::Array(entities), Some(schema())).unwrap();
    let action = EntityUid::from_json(json!({"type": "Action", "id": request.action})).unwrap();
    let mut context = request.context.clone();
    if request.action == "results:read" {
        context.insert("now".into(), json!(now().to_string()));
    }
    let context = Context::from_json_value(Value::Object(context), Some((schema(), &action))).unwrap();
    let [key, resource] = [key_uid, resource].map(|uid| EntityUid::from_json(uid).unwrap());
    let request = CedarRequest::new(key, action, resource, context, Some(schema())).unwrap();
    let response = Authorizer::new().is_authorized(&request, set, &entities);
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort();
    (response.decision() == Effect::Allow, reasons, response.diagnostics().errors().count())
}

fn sliced(engine: &Engine, facts: &Facts, request: &Request) -> (bool, Vec<String>, usize) {
    let principal = engine.principal(facts.clone());
    let question = engine.read(request, &principal, now()).unwrap();
    let answer = decide::answer(engine, &principal, &question).unwrap();
    let reasons: Vec<String> = answer.reasons.iter().map(|label| label.id.to_string()).collect();
    let decision = engine.decide(&principal, &question);
    let denied = !answer.allowed || !answer.errors.is_empty();
    assert!(!(denied && decision.is_allow()), "{decision:?}");
    assert_eq!(decision.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), reasons);
    (answer.allowed, reasons, answer.errors.len())
}

fn numbered(policies: &[String]) -> PolicySet {
    let policies = policies.iter().enumerate();
    PolicySet::from_policies(
        policies.map(|(n, text)| cedar_policy::Policy::parse(Some(PolicyId::new(format!("p{n:02}"))), text).unwrap()),
    )
    .unwrap()
}

fn slicing(policies: &[String]) -> Engine {
    let texts: Vec<String> = policies.iter().enumerate().map(|(n, text)| format!("@id(\"p{n:02}\")\n{text}")).collect();
    unguarded(&with(&[
        (AUTHZ, ROOT),
        (GRANTS, &texts.join("\n")),
        (SUSPENSION, "@id(\"s\") forbid (principal is Member, action, resource);"),
    ]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_slice_answers_what_the_whole_set_answers(
        policies in vec(policy(), 1..12),
        keys in vec(any_facts(), 3),
        amount in select(&[None, Some(0), Some(3), Some(i64::MAX), Some(i64::MIN)][..]),
        flag: bool,
        wanted in select(&[None, Some("jobs:read"), Some("webhooks:write"), Some("deep-read")][..]),
    ) {
        let (engine, set) = (slicing(&policies), numbered(&policies));
        for request in requests(amount, flag, wanted) {
            for facts in &keys {
                prop_assert_eq!(sliced(&engine, facts, &request), whole(&set, facts, &request), "{:?} {:?}", facts, request);
            }
        }
    }
}

#[test]
fn every_atom_of_the_random_policies_is_valid_and_matters_alone() {
    for atom in ATOMS {
        let own = atom.replace("OWN-KEY", &facts(&[], false).key.to_string()).replace("OWN-ORG", &own_org().to_string());
        let policies =
            ["permit", "forbid"].map(|effect| format!("{effect} (principal is ApiKey, action, resource) when {{ {own} }};"));
        assert!(policies.iter().all(|policy| is_valid(policy)), "{atom}");
        let (engine, set) = (slicing(&policies), numbered(&policies));
        for request in requests(Some(3), true, Some("jobs:read")) {
            let facts = facts(&["jobs:read", "gone:read"], true);
            assert_eq!(sliced(&engine, &facts, &request), whole(&set, &facts, &request), "{atom} {request:?}");
        }
    }
}
