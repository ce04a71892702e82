//! The JSON Schema of a suite says what the reader takes.

use serde_json::{Value, json};

use super::*;
use crate::policy::cases::{
    cast::{OF_ADMIN, OF_KEY, OF_ORG},
    claims::{OF_CASE, OF_MATRIX, OF_RESOURCE, SCENE},
};

fn schema() -> Value {
    serde_json::from_str(SUITE_SCHEMA).unwrap()
}

fn valid(suite: &Value) -> bool {
    jsonschema::draft202012::new(&schema()).unwrap().is_valid(suite)
}

fn suites() -> impl Iterator<Item = (&'static str, Value)> {
    let suites = SHIPPED.iter().filter(|(path, _)| path.starts_with("policies/tests/"));
    suites.map(|(path, text)| (*path, Node::parse(&suite_file(text)).unwrap().to_json()))
}

#[test]
fn the_schema_is_one_of_draft_2020_12() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn every_shipped_suite_fits_the_schema() {
    assert!(suites().count() >= 3);
    for (path, suite) in suites() {
        assert!(valid(&suite), "{path}");
    }
}

#[test]
fn an_unknown_field_fits_nowhere() {
    let places = ["", "/orgs/acme", "/keys/all", "/admins/owner", "/matrix/0", "/cases/0", "/cases/4/resource"];
    let mut tried = 0;
    for (path, suite) in suites() {
        for place in places {
            let mut suite = suite.clone();
            let Some(Value::Object(fields)) = suite.pointer_mut(place) else { continue };
            fields.insert("decison".into(), "deny".into());
            assert!(!valid(&suite), "{path}{place}");
            tried += 1;
        }
    }
    assert!(tried >= 13, "{tried}");
}

#[test]
fn the_schema_has_the_fields_that_the_reader_knows() {
    let schema = schema();
    let in_schema = |place: &str| {
        let fields = schema.pointer(&format!("{place}/properties")).and_then(Value::as_object);
        let mut names: Vec<String> = fields.unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let known: [(&str, Vec<&str>); 7] = [
        ("", OF_SUITE.to_vec()),
        ("/$defs/org", OF_ORG.to_vec()),
        ("/$defs/key", OF_KEY.to_vec()),
        ("/$defs/admin", OF_ADMIN.to_vec()),
        ("/$defs/resource", OF_RESOURCE.to_vec()),
        ("/$defs/matrix", [&OF_MATRIX[..], &SCENE].concat()),
        ("/$defs/case", [&OF_CASE[..], &SCENE].concat()),
    ];
    for (place, mut names) in known {
        names.sort_unstable();
        assert_eq!(in_schema(place), names, "{place}");
    }
}

/// Both say yes or both say no: what an editor underlines is what the command refuses.
#[test]
fn the_schema_and_the_reader_agree_on_the_form_of_a_case() {
    let head = "name: a\norgs: { acme: }\nkeys: { k: { org: acme, permissions: [] } }\nadmins: { ada: { role: auditor } }\n";
    for (fields, fits) in [
        ("key: k, action: jobs:read, decision: deny", true),
        ("key: k, action: jobs:read, decision: deny, org: acme, code: A, reason: [a], policies: b, errors: 1", true),
        ("key: k, action: jobs:read, decision: deny, missing_permission: null, now: \"2026-11-24T12:00:00Z\"", true),
        ("key: k, action: jobs:read, decision: deny, resource: { type: Org, id: a }, context: { a: 1 }", true),
        ("admin: ada, action: orgs:list, decision: allow", true),
        ("admin: ada, action: admins:create, decision: deny, role: owner", true),
        ("key: k, action: jobs:read", false),
        ("action: jobs:read, decision: deny", false),
        ("key: k, admin: ada, action: jobs:read, decision: deny", false),
        ("key: k, action: jobs:read, decision: maybe", false),
        ("key: k, action: jobs:read, decision: allow, code: A", false),
        ("key: k, action: jobs:read, decision: deny, errors: -1", false),
        ("key: k, action: jobs:read, decision: deny, role: owner", false),
        ("key: k, action: jobs:read, decision: deny, org: acme, resource: { type: Org, id: a }", false),
        ("key: k, action: jobs:read, decision: deny, resource: { type: Org }", false),
        ("admin: ada, action: orgs:list, decision: deny, context: { a: 1 }", false),
    ] {
        let file = suite_file(&format!("{head}cases:\n  - {{ name: c, {fields} }}\n"));
        assert_eq!(Suite::parse(&file).is_ok(), fits, "{fields}");
        assert_eq!(valid(&Node::parse(&file).unwrap().to_json()), fits, "{fields}");
    }
    let empty = json!({"name": "a", "cases": []});
    assert!(!valid(&empty) && !valid(&json!({"name": "a"})) && !valid(&json!({"cases": empty})));
}
