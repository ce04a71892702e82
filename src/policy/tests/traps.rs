//! Cedar's traps, and the tripwires behind the policies.

use serde_json::json;

use super::*;

/// `scan:create` with a number in its context.
fn priced(rule: &str) -> PolicyFiles {
    let priced = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { price: Long } };";
    let schema = text(AUTHZ).replace("action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };", priced);
    with(&[(AUTHZ, &schema), (EXTRA, rule)])
}

#[test]
fn a_forbid_that_fails_to_evaluate_is_a_denial_and_not_skipped() {
    let rule = "@id(\"expensive-denied\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource)
        when { context.price * 9223372036854775807 < 0 };";
    let engine = load(&priced(rule)).unwrap();
    let ask = |price: i64| {
        decide_with(&engine, facts(&["scan:create"], false), "scan:create", None, json!({ "price": price })).unwrap()
    };
    assert!(ask(1).is_allow());
    let failed = ask(2);
    assert_eq!(failed.code(), Some("POLICY_ERROR"));
    assert!(matches!(&failed.verdict, Verdict::PolicyError { detail } if detail.contains("expensive-denied")), "{failed:?}");
}

#[test]
fn a_permit_that_fails_to_evaluate_is_a_denial_though_another_permits() {
    let rule = "@id(\"cheap-allowed\") permit (principal is ApiKey, action == Action::\"scan:create\", resource is Org)
        when { principal.org == resource && principal.permissions.contains(action) && context.price * 9223372036854775807 < 0 };";
    let engine = load(&priced(rule)).unwrap();
    let failed = decide_with(&engine, facts(&["scan:create"], false), "scan:create", None, json!({"price": 2})).unwrap();
    assert_eq!(failed.code(), Some("POLICY_ERROR"));
    assert_eq!(failed.policies, ["granted-permission-allowed".into()]);
}

#[test]
fn a_forbid_on_a_group_fires_from_scope_and_from_condition() {
    for rule in [
        "forbid (principal is ApiKey, action in Action::\"read-only\", resource);",
        "forbid (principal is ApiKey, action in [Action::\"webhooks:write\", Action::\"read-only\"], resource);",
        "forbid (principal is ApiKey, action, resource) when { action in Action::\"read-only\" };",
        "forbid (principal is ApiKey, action, resource) when { action in [Action::\"read-only\"] };",
        "forbid (principal is ApiKey, action, resource) unless { !(action in Action::\"read-only\") };",
        "forbid (principal, action, resource) when { principal is ApiKey && action in Action::\"read-only\" };",
    ] {
        let engine = load(&with(&[(EXTRA, &format!("@id(\"nothing-read\") {rule}"))])).unwrap();
        let granted = || facts(&["jobs:read", "scan:create"], false);
        assert_eq!(decide(&engine, granted(), "jobs:read", None).policies, ["nothing-read".into()], "{rule}");
        assert!(decide(&engine, granted(), "scan:create", None).is_allow(), "{rule}");
    }
}

#[test]
fn a_forbid_on_a_group_fires_for_another_resource_type_and_for_actions_that_only_the_context_names() {
    let schema = text(AUTHZ).replace(
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
        "entity Project;\naction \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org, Project], context: { event?: Action } };",
    );
    let rules = "@id(\"projects-allowed\") permit (principal is ApiKey, action, resource is Project)
            when { principal.permissions.contains(action) };
        @id(\"no-events-of-reads\") forbid (principal is ApiKey, action == Action::\"webhooks:write\", resource)
            when { context has event && context.event in Action::\"read-only\" };";
    let engine = load(&with(&[(AUTHZ, &schema), (EXTRA, rules)])).unwrap();
    let project = Some(Resource { kind: "Project".into(), id: "p".into() });
    for resource in [None, project] {
        let ask = |event: &str| {
            let context = json!({"event": {"type": "Action", "id": event}});
            decide_with(&engine, facts(&["webhooks:write"], false), "webhooks:write", resource.clone(), context).unwrap()
        };
        assert_eq!(ask("jobs:read").policies, ["no-events-of-reads".into()]);
        assert!(ask("scan:create").is_allow());
    }
}

#[test]
fn no_policy_set_lets_a_suspended_organizations_key_in() {
    let engine = unguarded(&without(SUSPENSION));
    assert!(decide(&engine, facts(&["jobs:read"], false), "jobs:read", None).is_allow());
    let denied = decide(&engine, facts(&["jobs:read"], true), "jobs:read", None);
    assert_eq!(denied.code(), Some("POLICY_ERROR"));
    let expected = "the policies allow a key of a suspended organization";
    assert_eq!(denied.verdict, Verdict::PolicyError { detail: expected.into() });
}

#[test]
fn no_policy_set_lets_a_key_act_on_a_foreign_organization() {
    let engine = unguarded(&replaced(GRANTS, "principal.org == resource &&", ""));
    assert!(decide(&engine, facts(&["jobs:read"], false), "jobs:read", Some(org(own_org().to_string()))).is_allow());
    let denied = decide(&engine, facts(&["jobs:read"], false), "jobs:read", Some(org("org_other")));
    let expected = "the policies allow a key on an organization that is not its own";
    assert_eq!(denied.verdict, Verdict::PolicyError { detail: expected.into() });
}

#[test]
fn the_setting_lifts_the_suspension_for_the_named_action_alone() {
    let settings = Settings { suspended_may: ["credits:read".parse().unwrap()].into() };
    let all = ["credits:read", "jobs:read"];
    let lifted = replaced(
        SUSPENSION,
        "when { principal.org.suspended }",
        "when { principal.org.suspended } unless { action == Action::\"credits:read\" }",
    );
    let engine = Engine::load(&lifted, &settings).unwrap();
    assert!(decide(&engine, facts(&all, true), "credits:read", None).is_allow());
    assert_eq!(decide(&engine, facts(&all, true), "jobs:read", None).code(), Some("ORGANIZATION_SUSPENDED"));
    assert!(!decide(&engine, facts(&["jobs:read"], true), "credits:read", None).is_allow());

    let open = PolicyFiles::new(
        replaced(GRANTS, "principal.org == resource &&", "").iter().filter(|file| file.path != SUSPENSION).cloned().collect(),
    );
    let engine = Engine::load_without_guards(&open, &settings).unwrap();
    assert!(decide(&engine, facts(&all, true), "credits:read", None).is_allow());
    assert_eq!(decide(&engine, facts(&all, true), "jobs:read", None).code(), Some("POLICY_ERROR"));
    assert_eq!(decide(&engine, facts(&all, true), "credits:read", Some(org("org_other"))).code(), Some("POLICY_ERROR"));
}

#[test]
fn the_setting_alone_lifts_nothing() {
    let settings = Settings { suspended_may: ["credits:read".parse().unwrap()].into() };
    let engine = Engine::load(&shipped(), &settings).unwrap();
    assert_eq!(decide(&engine, facts(&["credits:read"], true), "credits:read", None).code(), Some("ORGANIZATION_SUSPENDED"));
}

#[test]
fn a_decision_that_was_made_at_load_never_overrules_the_answer() {
    let engine = engine();
    let label = |id: &str| &engine.labels[&cedar_policy::PolicyId::new(id)];
    for id in ["granted-permission-allowed", "suspended-org-denied"] {
        for allowed in [true, false] {
            let answer = crate::policy::compiled::Answer { allowed, reasons: vec![label(id)], errors: Vec::new() };
            let decision = crate::policy::decide::into_decision(&answer, || None);
            assert_eq!((decision.is_allow(), &*decision.policies), (allowed, &[id.into()][..]));
        }
    }
}
