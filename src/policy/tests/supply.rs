//! A schema that asks for what the server never supplies is a failed load with a clear message, never an accident later.

use super::*;

const SCAN: &str = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";
const WEBHOOKS: &str = "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";

fn in_context(kind: &str) -> PolicyFiles {
    replaced(
        AUTHZ,
        SCAN,
        &format!("action \"scan:create\"\n  appliesTo {{ principal: [ApiKey], resource: [Org], context: {kind} }};"),
    )
}

#[test]
fn a_required_attribute_that_nobody_supplies_is_refused() {
    for (from, to, expected) in [
        (
            "expires_at?:",
            "team: String,\n  expires_at?:",
            "schema/authz.cedarschema:17:3: `ApiKey` requires the attribute `team`",
        ),
        ("expires_at?:", "expires_at:", "17:3: `ApiKey` requires the attribute `expires_at`"),
        ("name: String,", "name: String, region: String,", "`Org` requires the attribute `region`"),
        ("name: String,", "name: String, \"two words\": String,", "`Org` requires the attribute `two words`"),
        (
            WEBHOOKS,
            "entity Project = { owner: String };\naction \"webhooks:write\" appliesTo { principal: [ApiKey], resource: [Org, Project] };",
            "`Project` requires the attribute `owner`",
        ),
    ] {
        let refused = refusal(&replaced(AUTHZ, from, to));
        assert!(refused.contains(expected), "wanted {expected}, got: {refused}");
        assert!(refused.contains("the server does not always supply") && refused.contains("declare it as optional"), "{refused}");
    }
}

fn line_of(passage: &str) -> usize {
    let (before, _) = text(AUTHZ).split_once(passage).unwrap();
    before.matches('\n').count() + 1
}

#[test]
fn an_attribute_of_another_type_is_refused_wherever_the_type_is_written() {
    for (attribute, from, wrong, right) in [
        ("org", "org: Org", "String", "Org"),
        ("org", "org: Org", "ApiKey", "Org"),
        ("permissions", "permissions: Set<Action>", "Set<String>", "Set<Action>"),
        ("permissions", "permissions: Set<Action>", "Action", "Set<Action>"),
        ("environment", "environment: String", "Bool", "String"),
        ("created_at", "created_at: datetime", "Long", "datetime"),
        ("expires_at", "expires_at?: datetime", "String", "datetime"),
        ("name", "name: String", "Set<String>", "String"),
        ("suspended", "suspended: Bool", "Long", "Bool"),
        ("suspended", "suspended: Bool", "{ yes: Bool }", "Bool"),
    ] {
        let (label, _) = from.split_once(": ").unwrap();
        let direct = replaced(AUTHZ, from, &format!("{label}: {wrong}"));
        let through = |name: &str, declared: &str| {
            let text = text(AUTHZ).replace(from, &format!("{label}: {name}"));
            with(&[(AUTHZ, &format!("{text}\n{declared}"))])
        };
        let named = through("X", &format!("type X = {wrong};"));
        let twice = through("X", &format!("type Y = {wrong}; type X = Y;"));
        for files in [direct, named, twice] {
            let refused = refusal(&files);
            assert!(refused.contains(&format!("declares `{attribute}` as `")), "{attribute} {wrong}: {refused}");
            assert!(refused.contains(&format!("the server supplies `{right}`")) && !refused.contains("guard"), "{refused}");
            assert!(refused.starts_with(&format!("{AUTHZ}:{}:3: ", line_of(from))), "{refused}");
        }
    }
}

#[test]
fn the_servers_now_has_the_type_that_the_server_sets() {
    for (kind, more) in [
        ("{ now: String }", ""),
        ("{ now?: Long }", ""),
        ("{ now: { at: datetime } }", ""),
        ("{ now: duration }", ""),
        ("{ now: X }", "type X = Long;"),
        ("C", "type C = { now: X }; type X = decimal;"),
    ] {
        let files = in_context(kind);
        let schema = files.of(SourceKind::Schema).find(|file| file.path == AUTHZ).unwrap().text.clone();
        let refused = refusal(&with(&[(AUTHZ, &format!("{schema}\n{more}"))]));
        assert!(refused.contains("the context of `scan:create` declares `now` as"), "{kind}: {refused}");
        assert!(refused.contains("the server supplies `datetime`") && !refused.contains("guard"), "{refused}");
    }
    for (kind, more) in
        [("{ now: datetime }", ""), ("{ now?: __cedar::datetime }", ""), ("C", "type C = { now: X }; type X = datetime;")]
    {
        let schema = in_context(kind).of(SourceKind::Schema).find(|file| file.path == AUTHZ).unwrap().text.clone();
        let loaded = load(&with(&[(AUTHZ, &format!("{schema}\n{more}"))]));
        assert!(loaded.is_ok(), "{kind}: {}", loaded.unwrap_err());
    }
}

#[test]
fn a_type_that_only_has_the_name_of_cedars_own_is_refused() {
    for declared in ["entity datetime;", "type datetime = Long;", "entity datetime enum [\"noon\"];"] {
        let refused = refusal(&added(AUTHZ, declared));
        assert!(
            refused.contains("`datetime` shadows a builtin Cedar name") && refused.starts_with(AUTHZ),
            "{declared}: {refused}"
        );
    }
}

#[test]
fn parents_tags_and_lists_of_ids_are_refused_because_the_server_never_supplies_them() {
    let entity = |name: &str| format!("entity {name} = {{");
    for name in ["ApiKey", "Org"] {
        let parents = replaced(AUTHZ, &entity(name), &format!("entity Team;\nentity {name} in [Team] = {{"));
        assert!(refusal(&parents).contains(&format!("`{name}` has a parent type (`in […]`), which the server never supplies")));
        let at = text(AUTHZ).find(&entity(name)).unwrap();
        let (before, after) = text(AUTHZ).split_at(at);
        let tagged = with(&[(AUTHZ, &format!("{before}{}", after.replacen("};", "} tags String;", 1)))]);
        assert!(refusal(&tagged).contains(&format!("`{name}` has `tags`, which the server never supplies")));
    }
    for (declared, why) in [
        ("entity Team;\nentity Project in [Team];", "`Project` has a parent type"),
        ("entity Project tags String;", "`Project` has `tags`"),
        ("entity Project enum [\"one\"];", "`Project` has a list of its ids"),
    ] {
        let action = "action \"webhooks:write\" appliesTo { principal: [ApiKey], resource: [Org, Project] };";
        let refused = refusal(&replaced(AUTHZ, WEBHOOKS, &format!("{declared}\n{action}")));
        assert!(refused.contains(why), "{declared}: {refused}");
    }
    let keys = replaced(AUTHZ, WEBHOOKS, "action \"webhooks:write\" appliesTo { principal: [ApiKey], resource: [ApiKey] };");
    assert!(refusal(&keys).contains("`ApiKey` cannot be the resource of a permission"));
}

#[test]
fn a_key_may_be_declared_through_common_types_and_without_what_no_rule_reads() {
    let named = "type Time = datetime;\ntype Granted = Set<Permission>;\ntype Permission = Action;\ntype Owner = Org;\n";
    let through = text(AUTHZ)
        .replace("org: Org", "org: Owner")
        .replace("Set<Action>", "Granted")
        .replace("created_at: datetime", "created_at: Time")
        .replace("expires_at?: datetime", "expires_at?: Time");
    let engine = load(&with(&[(AUTHZ, &format!("{named}{through}"))])).unwrap();
    assert!(decide(&engine, facts(&["jobs:read"], false), "jobs:read", None).is_allow());
    assert_eq!(decide(&engine, facts(&["jobs:read"], true), "jobs:read", None).code(), Some("ORGANIZATION_SUSPENDED"));

    let whole = replaced(AUTHZ, "entity ApiKey = {", "entity ApiKey = Shape;\ntype Shape = {");
    assert!(refusal(&whole).starts_with("schema/authz.cedarschema:12:17: error parsing schema: unexpected token `Shape`"));

    let bare =
        text(AUTHZ).replace("  created_at: datetime,\n  expires_at?: datetime,\n", "").replace("  environment: String,\n", "");
    let engine = load(&with(&[(AUTHZ, &bare)])).unwrap();
    assert!(decide(&engine, facts(&["jobs:read"], false), "jobs:read", None).is_allow());
}

#[test]
fn permissions_have_names_that_can_be_granted() {
    let namespaced = added(AUTHZ, "namespace Acme { action \"jobs:write\" appliesTo { principal: [ApiKey], resource: [Org] }; }");
    assert!(refusal(&namespaced).contains("the permission `jobs:write` is declared in the namespace `Acme`"));
    let long = "a".repeat(129);
    for name in ["Jobs:Write", "jobs write", "", ":jobs", "jobs:wríte", "jobs/write", long.as_str()] {
        let refused = refusal(&added(AUTHZ, &format!("action \"{name}\" appliesTo {{ principal: [ApiKey], resource: [Org] }};")));
        assert!(refused.contains("cannot be a permission") && refused.starts_with(AUTHZ), "{name}: {refused}");
    }
}

#[test]
fn an_action_for_keys_and_for_others_is_a_permission_and_the_others_rules_are_not_the_keys() {
    let schema = format!(
        "{}\nentity Member;\naction \"notes:read\" appliesTo {{ principal: [ApiKey, Member], resource: [Org] }};",
        text(AUTHZ)
    );
    let rule = "@id(\"members-read\") permit (principal is Member, action == Action::\"notes:read\", resource);";
    let engine = load(&with(&[(AUTHZ, &schema), (EXTRA, rule)])).unwrap();
    assert!(decide(&engine, facts(&["notes:read"], false), "notes:read", None).is_allow());
    let denied = decide(&engine, facts(&[], false), "notes:read", None);
    assert_eq!(denied.verdict, Verdict::NotPermitted { missing: Some("notes:read".parse().unwrap()) });
}

#[test]
fn one_namespace_may_be_spread_over_files_and_a_name_declared_twice_is_placed() {
    let more = "action \"notes:read\" in [\"read-only\"] appliesTo { principal: [ApiKey], resource: [Org] };";
    let engine = load(&with(&[("schema/notes.cedarschema", more)])).unwrap();
    assert!(engine.expand(["read-only"]).unwrap().contains(&"notes:read".parse().unwrap()));
    assert!(decide(&engine, facts(&["notes:read"], false), "notes:read", None).is_allow());

    for (twice, named) in [
        ("action \"jobs:read\" appliesTo { principal: [ApiKey], resource: [Org] };", "jobs:read"),
        ("entity Org;", "Org"),
        ("\n\nentity Thing = { other: Unheard };", "Unheard"),
        ("\n\naction \"x:y\" in [\"unheard\"] appliesTo { principal: [ApiKey], resource: [Org] };", "unheard"),
    ] {
        let refused = refusal(&with(&[("schema/notes.cedarschema", twice)]));
        assert!(refused.contains(named) && refused.starts_with("schema/"), "{twice}: {refused}");
    }
}

#[test]
fn the_management_schema_fits_what_the_server_asks() {
    let admins = "action \"admins:create\", \"admins:revoke\"\n    appliesTo { principal: [Admin], resource: [System], context: { role: String } };";
    for (from, to, why) in [
        ("role: String,", "role: Long,", "`Claviger::Admin` declares `role` as `Long`; the server supplies `String`"),
        ("role: String,", "role: String, mfa: Bool,", "`Claviger::Admin` requires the attribute `mfa`"),
        ("entity Admin = {", "entity Team; entity Admin in [Team] = {", "`Claviger::Admin` has a parent type"),
        ("entity System;", "entity System tags String;", "`Claviger::System` has `tags`"),
        (
            admins,
            &admins.replace("role: String", "role: String, reason: String"),
            "the context of `admins:create` requires the attribute `reason`",
        ),
        (admins, &admins.replace("role: String", "role: Bool"), "the context of `admins:create` declares `role` as `Bool`"),
        (
            "\"orgs:create\" in [\"operate\"]\n    appliesTo { principal: [Admin], resource: [System] }",
            "\"orgs:create\" in [\"operate\"]\n    appliesTo { principal: [Admin], resource: [Org] }",
            "`orgs:create` does not apply to `Claviger::System`, which the server asks about",
        ),
        (
            "\"orgs:read\", \"keys:list\", \"keys:read\" in [\"read\"]\n    appliesTo { principal: [Admin], resource: [Org] }",
            "\"orgs:read\", \"keys:list\", \"keys:read\" in [\"read\"]\n    appliesTo { principal: [Admin], resource: [Org], context: { now: datetime } }",
            "the context of `keys:list` requires the attribute `now`",
        ),
    ] {
        let refused = refusal(&replaced(MANAGEMENT, from, to));
        assert!(refused.contains(why) && refused.starts_with(MANAGEMENT), "wanted {why}, got: {refused}");
    }
}

#[test]
fn the_setting_for_suspended_organizations_names_permissions() {
    let settings = Settings { suspended_may: ["credits:raed".parse().unwrap()].into() };
    let error = Engine::load(&shipped(), &settings).unwrap_err().to_string();
    assert!(error.contains("`policies.suspended_may` names `credits:raed`, which is no permission"), "{error}");
}
