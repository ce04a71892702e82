//! User text is a value: whatever an id says, it names something that does not exist.

use super::*;

fn hostile() -> Vec<String> {
    let own = own_org().to_string();
    let mut ids: Vec<String> = [
        "",
        " ",
        "\"); permit(principal,action,resource); //",
        "\" ) ; permit ( principal , action , resource ) ; @id(\"",
        "Org::\"x\"",
        "\"",
        "\\",
        "\\\"",
        "'",
        "a\nb",
        "a\r\nb",
        "a\0b",
        "\u{202e}gro",
        "\u{feff}",
        "*",
        "org:*",
        "?resource",
        "principal.org",
        "${org}",
        "../org",
        "org_",
        "sample",
    ]
    .map(str::to_owned)
    .into();
    ids.extend([
        own.to_uppercase(),
        own.replace("org_", "ORG_"),
        format!("{own} "),
        format!(" {own}"),
        format!("{own}\0"),
        format!("{own}\n"),
        format!("Org::\"{own}\""),
        format!("\"{own}\""),
        own.trim_start_matches("org_").to_owned(),
        own.replace('o', "\u{43e}"),
        facts(&[], false).key.to_string(),
        "x".repeat(60 * 1024),
        "\"".repeat(60 * 1024),
    ]);
    ids
}

#[test]
fn a_hostile_id_is_denied_as_a_missing_organization_is() {
    let engine = engine();
    let policies = engine.policies().to_vec();
    let all: Vec<&str> = engine.permissions().iter().map(|info| info.name.as_str()).collect();
    for suspended in [false, true] {
        let missing = decide(&engine, facts(&all, suspended), "jobs:read", Some(org("org_01kaw9zzzzzzzzzzzzzzzzzzzz")));
        assert!(!missing.is_allow());
        for id in hostile() {
            let decision = decide(&engine, facts(&all, suspended), "jobs:read", Some(org(id.clone())));
            assert_eq!(decision, missing, "{:?}", id.chars().take(60).collect::<String>());
        }
    }
    assert_eq!(engine.policies(), policies);
    assert!(decide(&engine, facts(&all, false), "jobs:read", Some(org(own_org().to_string()))).is_allow());
}

#[test]
fn a_hostile_id_of_another_resource_type_opens_nothing_either() {
    let schema = text(AUTHZ).replace(
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
        "entity Project;\naction \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org, Project] };",
    );
    let rule =
        "@id(\"one-project\") permit (principal is ApiKey, action == Action::\"webhooks:write\", resource == Project::\"one\")
        when { principal.permissions.contains(action) };";
    let engine = load(&with(&[(AUTHZ, &schema), (EXTRA, rule)])).unwrap();
    let project = |id: &str| Some(Resource { kind: "Project".into(), id: id.into() });
    let ask = |id: &str| decide(&engine, facts(&["webhooks:write"], false), "webhooks:write", project(id));
    assert!(ask("one").is_allow());
    for id in hostile().iter().map(String::as_str).chain(["One", "one ", "one\0", "\"one\"", "Project::\"one\""]) {
        assert_eq!(ask(id).verdict, Verdict::NotPermitted { missing: None }, "{:?}", id.chars().take(60).collect::<String>());
    }
}

#[test]
fn a_hostile_resource_type_or_action_is_no_request_at_all() {
    let engine = engine();
    for kind in
        ["", "org", "Org ", "Org::X", "Org\"", "ApiKey", "Action", "Claviger::System", "Claviger::Admin", "__cedar::String"]
    {
        let resource = Some(Resource { kind: kind.into(), id: own_org().to_string() });
        let bad = decide_with(&engine, facts(&["jobs:read"], false), "jobs:read", resource, Value::Null).unwrap_err();
        assert!(matches!(bad, BadRequest::UnknownResourceType { .. }), "{kind}: {bad}");
    }
    let long = "jobs:read".repeat(8_000);
    for action in
        ["", "read-only", "Jobs:read", "jobs:read ", "jobs:read\0", "Action::\"jobs:read\"", "keys:create", "read", long.as_str()]
    {
        let bad = decide_with(&engine, facts(&["jobs:read"], false), action, None, Value::Null).unwrap_err();
        assert!(matches!(bad, BadRequest::UnknownAction { .. }), "{action}");
    }
}

#[test]
fn a_misspelt_action_is_told_the_nearest_permission_and_noise_is_told_nothing() {
    let engine = engine();
    let nearest = |action: &str| match decide_with(&engine, facts(&[], false), action, None, Value::Null) {
        Err(BadRequest::UnknownAction { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("job:read").as_deref(), Some("jobs:read"));
    assert_eq!(nearest("Scan:Create").as_deref(), Some("scan:create"));
    assert_eq!(nearest("classify:craete").as_deref(), Some("classify:create"));
    for noise in ["", "delete everything", &"jobs:read".repeat(20)] {
        assert_eq!(nearest(noise), None, "{noise}");
    }
}

#[test]
fn names_and_ids_of_the_keys_own_organization_are_values_too() {
    let rule = "@id(\"acme-alone\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { principal.org.name == \"Acme\" };";
    let engine = load(&with(&[(EXTRA, rule)])).unwrap();
    let named = |name: &str| Facts { org_name: name.into(), ..facts(&["scan:create"], false) };
    assert!(!decide(&engine, named("Acme"), "scan:create", None).is_allow());
    for name in ["\"); permit(principal,action,resource); //", "Acme\"", "acme", "Acme\0", ""] {
        assert!(decide(&engine, named(name), "scan:create", None).is_allow(), "{name:?}");
    }
}
