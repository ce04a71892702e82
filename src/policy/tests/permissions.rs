//! What a denial tells, and what names stand for.

use serde_json::json;

use super::*;

fn missing(engine: &Engine, held: &[&str], action: &str) -> Option<String> {
    match decide(engine, facts(held, false), action, None).verdict {
        Verdict::NotPermitted { missing } => missing.map(|name| name.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_denial_names_the_one_permission_that_would_do() {
    let engine = engine();
    assert_eq!(missing(&engine, &["jobs:read"], "scan:create").as_deref(), Some("scan:create"));
    assert_eq!(missing(&engine, &[], "jobs:read").as_deref(), Some("jobs:read"));
    let decision = decide(&engine, facts(&[], false), "jobs:read", None);
    assert!(decision.policies.is_empty());
    assert_eq!(decision.code(), Some("PERMISSION_DENIED"));
}

#[test]
fn a_denial_names_none_when_two_would_do() {
    let rule = "@id(\"writers-read\") permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org)
        when { principal.org == resource && principal.permissions.contains(Action::\"scan:create\") };";
    let engine = load(&with(&[(EXTRA, rule)])).unwrap();
    assert_eq!(missing(&engine, &[], "jobs:read"), None);
    assert_eq!(missing(&engine, &[], "results:read").as_deref(), Some("results:read"));
    assert!(decide(&engine, facts(&["scan:create"], false), "jobs:read", None).is_allow());
}

#[test]
fn a_denial_names_another_permission_when_only_that_would_do() {
    let rule = "@id(\"scanners-alone\") forbid (principal is ApiKey, action == Action::\"webhooks:write\", resource)
        unless { principal.permissions.contains(Action::\"webhooks:write\") };
        @id(\"second-factor\") permit (principal is ApiKey, action == Action::\"scan:create\", resource is Org)
        when { principal.org == resource && principal.permissions.containsAll([Action::\"scan:create\", Action::\"jobs:read\"]) };";
    let both = text(GRANTS).replace(
        "principal.permissions.contains(action)",
        "principal.permissions.contains(action) && action != Action::\"scan:create\"",
    );
    let engine = load(&with(&[(GRANTS, &both), (EXTRA, rule)])).unwrap();
    assert_eq!(missing(&engine, &["scan:create"], "scan:create").as_deref(), Some("jobs:read"));
    assert_eq!(missing(&engine, &[], "scan:create"), None, "one alone would not do");
}

#[test]
fn a_denial_names_none_when_the_permission_is_held_or_would_not_help() {
    let engine = engine();
    let foreign = decide(&engine, facts(&["jobs:read"], false), "jobs:read", Some(org("org_other")));
    assert_eq!(foreign.verdict, Verdict::NotPermitted { missing: None });
    let foreign = decide(&engine, facts(&[], false), "jobs:read", Some(org("org_other")));
    assert_eq!(foreign.verdict, Verdict::NotPermitted { missing: None });

    let live = text(GRANTS).replace(
        "principal.permissions.contains(action)",
        "principal.permissions.contains(action) && principal.environment == \"live\"",
    );
    let engine = load(&with(&[(GRANTS, &live)])).unwrap();
    assert_eq!(missing(&engine, &["jobs:read"], "jobs:read"), None);
    assert_eq!(missing(&engine, &[], "jobs:read"), None);
}

#[test]
fn permissions_that_the_schema_no_longer_has_are_kept_and_harmless() {
    let engine = engine();
    let held = ["gone:read", "jobs:read", "read-only", "keys:create"];
    assert!(decide(&engine, facts(&held, false), "jobs:read", None).is_allow());
    assert_eq!(missing(&engine, &held, "results:read").as_deref(), Some("results:read"));
    let bad = decide_with(&engine, facts(&held, false), "gone:read", None, Value::Null);
    assert!(matches!(bad, Err(BadRequest::UnknownAction { .. })));
    assert_eq!(engine.principal(facts(&held, false)).facts().permissions.len(), 4);
}

#[test]
fn a_preset_in_a_keys_permissions_grants_nothing() {
    let rule = "@id(\"readers\") permit (principal is ApiKey, action, resource is Org)
        when { principal.org == resource && principal.permissions.contains(Action::\"read-only\") };";
    let engine = unguarded(&with(&[(EXTRA, rule)]));
    assert!(!decide(&engine, facts(&["read-only"], false), "jobs:read", None).is_allow());
}

#[test]
fn presets_expand_to_their_permissions_also_through_other_presets() {
    let nested = text(AUTHZ)
        .replace(
            "action \"read-only\";",
            "action \"read-only\" in [\"support\"];\n@doc(\"What support needs\")\naction \"support\";",
        )
        .replace("action \"webhooks:write\"", "action \"webhooks:write\" in [\"support\"]");
    let engine = load(&with(&[(AUTHZ, &nested)])).unwrap();
    let expand =
        |names: &[&str]| engine.expand(names.iter().copied()).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(expand(&["read-only"]).unwrap(), ["credits:read", "jobs:read", "results:read"]);
    assert_eq!(expand(&["support", "jobs:read"]).unwrap(), ["credits:read", "jobs:read", "results:read", "webhooks:write"]);
    assert_eq!(expand(&[]).unwrap(), Vec::<String>::new());
    assert_eq!(
        expand(&["jobs:raed", "read-only", "", "keys:create", "operate"]).unwrap_err(),
        ["jobs:raed", "", "keys:create", "operate"]
    );
    let support = engine.presets().iter().find(|preset| preset.name.as_str() == "support").unwrap();
    assert_eq!(support.doc.as_deref(), Some("What support needs"));
    let webhooks = engine.permissions().iter().find(|info| info.name.as_str() == "webhooks:write").unwrap();
    assert_eq!(webhooks.presets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["support"]);
    assert_eq!(webhooks.doc.as_deref(), Some("Create and test webhook endpoints"));
}

#[test]
fn the_schema_is_the_only_list_of_permissions() {
    let names = |engine: &Engine| engine.permissions().iter().map(|info| info.name.to_string()).collect::<Vec<_>>();
    let shipped = ["classify:create", "credits:read", "jobs:read", "results:read", "scan:create", "webhooks:write"];
    assert_eq!(names(&engine()), shipped);
    let more = load(&added(AUTHZ, "action \"new:thing\" appliesTo { principal: [ApiKey], resource: [Org] };")).unwrap();
    assert_eq!(names(&more).len(), 7);
    assert!(decide(&more, facts(&["new:thing"], false), "new:thing", None).is_allow());
    let context = json!({"anything": 1});
    assert!(decide_with(&more, facts(&["new:thing"], false), "new:thing", None, context).is_err());
}

#[test]
fn the_codes_that_policies_answer_are_listed() {
    let rule = "@id(\"quiet\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { principal.environment == \"test\" };
        @id(\"blank\") @code(\"\") @message(\"\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { principal.org.name == \"\" };";
    let engine = load(&with(&[(EXTRA, rule)])).unwrap();
    let codes: Vec<(String, String)> = engine.codes().iter().map(|(code, text)| (code.to_string(), text.to_string())).collect();
    let expected = [("FORBIDDEN", "a policy forbids this request"), ("ORGANIZATION_SUSPENDED", "the organization is suspended")];
    assert_eq!(codes, expected.map(|(code, text)| (code.to_owned(), text.to_owned())));
    let denied = decide(&engine, facts(&["scan:create"], false), "scan:create", None);
    assert_eq!((denied.code(), denied.policies.len()), (Some("FORBIDDEN"), 1));
    let twice = decide(&engine, facts(&["scan:create"], true), "scan:create", None);
    assert_eq!(twice.policies, ["quiet".into(), "suspended-org-denied".into()]);
    assert_eq!(twice.code(), Some("FORBIDDEN"), "of several, the code of the smallest id");
}
