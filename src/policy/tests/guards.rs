//! What every policy set must do, and what it may do besides.

use super::*;

fn granted(action: &str, and: &str) -> String {
    format!(
        "@id(\"extra\") permit (principal is ApiKey, action == Action::\"{action}\", resource is Org) when {{ principal.org == resource{and} }};"
    )
}

/// A resource type beside `Org`, and a rule that opens it.
fn projects(rule: &str) -> Vec<(&'static str, String)> {
    let schema = text(AUTHZ).replace(
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
        "entity Project;\naction \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org, Project] };",
    );
    let projects = "@id(\"projects\") permit (principal is ApiKey, action, resource is Project) when { principal.permissions.contains(action) };";
    vec![(AUTHZ, schema), (EXTRA, format!("{projects}\n{rule}"))]
}

fn edits(owned: &[(&'static str, String)]) -> PolicyFiles {
    with(&owned.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>())
}

const SUSPENDED: &str = "is allowed to a key of a suspended organization";

#[test]
fn a_suspension_that_does_not_cover_everything_is_refused() {
    let rule = "when { principal.org.suspended }";
    let all = |to: &str| replaced(SUSPENSION, rule, to);
    for (what, files) in [
        ("deleted", without(SUSPENSION)),
        ("unless for one action", all("when { principal.org.suspended } unless { action == Action::\"credits:read\" }")),
        ("unless for test keys", all("when { principal.org.suspended } unless { principal.environment == \"test\" }")),
        ("live keys only", all("when { principal.org.suspended && principal.environment == \"live\" }")),
        ("keys with an expiry only", all("when { principal.org.suspended && principal has expires_at }")),
        ("keys without an expiry only", all("when { principal.org.suspended } unless { principal has expires_at }")),
        ("one action only", replaced(SUSPENSION, "action,", "action == Action::\"jobs:read\",")),
        ("one group only", replaced(SUSPENSION, "action,", "action in Action::\"read-only\",")),
        ("turned round", all("unless { principal.org.suspended }")),
        ("made a permit", replaced(SUSPENSION, "forbid", "permit")),
    ] {
        let refused = refusal(&files);
        assert!(
            refused.contains("guard: `") && (refused.contains(SUSPENDED) || what == "made a permit" || what == "turned round"),
            "{what}: {refused}"
        );
    }
}

#[test]
fn a_suspension_that_reads_the_resource_is_refused_once_a_resource_is_no_organization() {
    let owned = projects("");
    assert!(load(&edits(&owned)).is_ok());
    let mut reading = owned;
    let rule =
        text(SUSPENSION).replace("resource\n)", "resource is Org\n)").replace("principal.org.suspended", "resource.suspended");
    reading.push((SUSPENSION, rule));
    let refused = refusal(&edits(&reading));
    assert!(refused.contains("`webhooks:write`") && refused.contains(SUSPENDED), "{refused}");
}

#[test]
fn a_grant_that_reaches_too_far_is_refused_and_the_policy_is_named() {
    for (files, why, by) in [
        (
            replaced(GRANTS, "principal.org == resource &&", ""),
            "is allowed on a foreign organization",
            "granted-permission-allowed",
        ),
        (
            replaced(GRANTS, "&& principal.permissions.contains(action)", ""),
            "is allowed to a key without any permission",
            "granted-permission-allowed",
        ),
        (with(&[(EXTRA, "@id(\"all\") permit (principal, action, resource);")]), "is allowed on a foreign organization", "all"),
        (with(&[(EXTRA, &granted("jobs:read", ""))]), "`jobs:read` is allowed to a key without any permission", "extra"),
        (
            with(&[(EXTRA, &granted("jobs:read", " && principal.environment == \"test\" && principal has expires_at"))]),
            "`jobs:read` is allowed to a key without any permission",
            "extra",
        ),
        (
            with(&[(
                EXTRA,
                "@id(\"foreign\") permit (principal is ApiKey, action in Action::\"read-only\", resource is Org) when { principal.permissions.contains(action) && resource.name == \"\" };",
            )]),
            "is allowed on a foreign organization",
            "foreign",
        ),
    ] {
        let refused = refusal(&files);
        assert!(refused.contains(why) && refused.contains(&format!("by the policy `{by}`")), "{refused}");
        assert!(refused.contains("a set that breaks this is never loaded"), "{refused}");
    }
}

#[test]
fn a_permit_that_waits_for_a_word_in_the_context_is_refused() {
    for (kind, condition) in [
        ("{ admin: Bool }", "context.admin"),
        ("{ admin?: Bool }", "context has admin && context.admin"),
        ("{ admin?: Bool }", "!(context has admin)"),
        ("{ roles: Set<String> }", "!context.roles.isEmpty()"),
        ("{ a: { b?: { level: Long } } }", "context.a has b.level && context.a.b.level > 0"),
        ("{ now: datetime }", "context.now > datetime(\"2026-01-01\")"),
    ] {
        let schema = text(AUTHZ).replace(
            "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
            &format!("action \"scan:create\"\n  appliesTo {{ principal: [ApiKey], resource: [Org], context: {kind} }};"),
        );
        let refused = refusal(&with(&[(AUTHZ, &schema), (EXTRA, &granted("scan:create", &format!(" && {condition}")))]));
        assert!(refused.contains("`scan:create` is allowed to a key without any permission"), "{condition}: {refused}");
    }
}

#[test]
fn a_set_that_allows_nothing_is_refused() {
    let nothing = "guard: no key is allowed anything";
    assert!(refusal(&without(GRANTS)).contains(nothing));
    assert!(refusal(&with(&[(EXTRA, "@id(\"closed\") forbid (principal is ApiKey, action, resource);")])).contains(nothing));
}

#[test]
fn a_policy_that_fails_for_a_sample_is_refused() {
    let schema = text(AUTHZ)
        .replace("resource: [Org] };\n\n@doc(\"Read job", "resource: [Org], context: { price: Long } };\n\n@doc(\"Read job");
    let rule = "@id(\"overflow\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { context.price + 9223372036854775807 < 0 };";
    let refused = refusal(&with(&[(AUTHZ, &schema), (EXTRA, rule)]));
    assert!(refused.contains("guard: `scan:create` cannot be evaluated") && refused.contains("`overflow`"), "{refused}");
}

#[test]
fn management_rules_that_lock_the_owner_out_or_let_the_auditor_write_are_refused() {
    let owner = "guard: an owner may not do `keys:create`";
    for (files, why) in [
        (replaced(ADMINS, "principal.role == \"owner\"", "principal.role == \"root\""), owner),
        (replaced(ADMINS, "@id(\"owner-allowed\")\npermit", "@id(\"owner-allowed\")\nforbid"), owner),
        (without(ADMINS), owner),
        (
            with(&[(
                EXTRA,
                "@id(\"frozen\") forbid (principal is Claviger::Admin, action == Claviger::Action::\"keys:create\", resource is Org) when { resource.suspended };",
            )]),
            owner,
        ),
        (
            with(&[(
                EXTRA,
                "@id(\"closed\") forbid (principal is Claviger::Admin, action == Claviger::Action::\"admins:create\", resource) when { context.role == \"owner\" };",
            )]),
            "guard: an owner may not do `admins:create`",
        ),
        (replaced(ADMINS, "action in Claviger::Action::\"read\",", "action,"), "guard: an auditor may do `keys:create`"),
        (
            replaced(
                MANAGEMENT,
                "\"orgs:update\",",
                "\"orgs:update\" in [\"read\"] appliesTo { principal: [Admin], resource: [Org] };\n  action",
            ),
            "guard: an auditor may do `orgs:update`",
        ),
        (replaced(MANAGEMENT, "\"keys:revoke\"\n", "\"keys:erase\"\n"), "the schema does not declare `keys:revoke` for admins"),
        (without(MANAGEMENT), "the schema does not declare the entity type `Claviger::Admin`"),
    ] {
        let refused = refusal(&files);
        assert!(refused.contains(why), "wanted {why}, got: {refused}");
    }
}

#[test]
fn an_action_outside_of_the_management_schema_never_takes_the_place_of_one_inside() {
    let decoy = "namespace Zoo { action \"keys:create\" appliesTo { principal: [Claviger::Admin], resource: [Org] }; }";
    let schema = format!("{}\n{decoy}", text(AUTHZ));
    let rule = "@id(\"decoy\") permit (principal is Claviger::Admin, action == Zoo::Action::\"keys:create\", resource);";
    let engines = [added(AUTHZ, decoy), with(&[(AUTHZ, &schema), (EXTRA, rule)])].map(|files| load(&files).unwrap());
    let target = Target::Org { id: own_org(), name: "Acme".into(), suspended: false };
    for engine in engines {
        let admin = crate::domain::id::AdminId::new(now(), &Random::seeded(3));
        let decide = |role| engine.decide_management(admin, role, ManagementAction::KeysCreate, &target);
        assert!(decide(crate::domain::admin::Role::Owner).is_allow());
        assert!(!decide(crate::domain::admin::Role::Auditor).is_allow());
    }
}

#[test]
fn good_variations_load() {
    let night = "when { context.now.toTime() < duration(\"8h\") || context.now.toTime() > duration(\"18h\") }";
    let hours = text(AUTHZ).replace(
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime } };",
    );
    let nested = text(AUTHZ).replace("action \"read-only\";", "action \"read-only\" in [\"support\"];\naction \"support\";");
    let renamed = text(AUTHZ).replace("\"read-only\"", "\"viewer\"");
    let shipped_hours =
        format!("@id(\"night\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) {night};");
    for (what, edits) in [
        ("a forbid for test keys", vec![(EXTRA, "@id(\"x\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { principal.environment == \"test\" };".to_owned())]),
        ("a permission without a policy", vec![(AUTHZ, format!("{}\naction \"new:thing\" appliesTo {{ principal: [ApiKey], resource: [Org] }};", text(AUTHZ)))]),
        ("another resource type", projects("")),
        ("business hours", vec![(AUTHZ, hours), (EXTRA, shipped_hours)]),
        ("an optional attribute that nobody supplies", vec![(AUTHZ, text(AUTHZ).replace("expires_at?:", "team?: String,\n  expires_at?:")), (EXTRA, "@id(\"x\") forbid (principal is ApiKey, action, resource) when { principal has team && principal.team == \"x\" };".to_owned())]),
        ("presets in presets", vec![(AUTHZ, nested)]),
        ("a renamed preset", vec![(AUTHZ, renamed)]),
        ("files apart", vec![("schema/more.cedarschema", "action \"new:thing\" appliesTo { principal: [ApiKey], resource: [Org] };".to_owned())]),
    ] {
        let loaded = load(&self::edits(&edits));
        assert!(loaded.is_ok(), "{what}: {}", loaded.unwrap_err());
    }
}
