//! Which role may make which management call, for every call that the OpenAPI document has.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use claviger::{domain::admin::Role, http::document};
use serde_json::{Value, json};

use crate::support::app::TestApp;

const ROLES: [Role; 3] = [Role::Owner, Role::Operator, Role::Auditor];

/// Operation, the role of the admin that it is about, and whether an owner, an operator and an auditor may.
const MATRIX: &[(&str, Role, [bool; 3])] = &[
    ("create_org", Role::Auditor, [true, true, false]),
    ("list_orgs", Role::Auditor, [true, true, true]),
    ("find_org", Role::Auditor, [true, true, true]),
    ("update_org", Role::Auditor, [true, true, false]),
    ("delete_org", Role::Auditor, [true, true, false]),
    ("suspend_org", Role::Auditor, [true, true, false]),
    ("unsuspend_org", Role::Auditor, [true, true, false]),
    ("create_key", Role::Auditor, [true, true, false]),
    ("list_keys", Role::Auditor, [true, true, true]),
    ("find_key", Role::Auditor, [true, true, true]),
    ("update_key", Role::Auditor, [true, true, false]),
    ("delete_key", Role::Auditor, [true, true, false]),
    ("rotate_key", Role::Auditor, [true, true, false]),
    ("finish_rotation", Role::Auditor, [true, true, false]),
    ("disable_key", Role::Auditor, [true, true, false]),
    ("enable_key", Role::Auditor, [true, true, false]),
    ("revoke_key", Role::Auditor, [true, true, false]),
    ("create_admin", Role::Owner, [true, false, false]),
    ("create_admin", Role::Operator, [true, false, false]),
    ("create_admin", Role::Auditor, [true, true, false]),
    ("list_admins", Role::Auditor, [true, true, true]),
    ("find_admin", Role::Owner, [true, true, true]),
    ("revoke_admin", Role::Owner, [true, false, false]),
    ("revoke_admin", Role::Operator, [true, false, false]),
    ("revoke_admin", Role::Auditor, [true, true, false]),
    ("list_permissions", Role::Auditor, [true, true, true]),
    ("read_policies", Role::Auditor, [true, true, true]),
    ("explain", Role::Auditor, [true, true, true]),
    ("list_replicas", Role::Auditor, [true, true, true]),
    ("list_audit", Role::Auditor, [true, true, true]),
    ("read_audit_head", Role::Auditor, [true, true, true]),
    ("list_decisions", Role::Auditor, [true, true, true]),
    ("find_decision", Role::Auditor, [true, true, true]),
    ("stream_decisions", Role::Auditor, [true, true, true]),
];

/// The management calls of the document: method and path by operation.
pub(super) fn management_calls() -> BTreeMap<String, (Method, String)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut calls = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let tag = operation["tags"][0].as_str().unwrap();
            if !["decisions", "health"].contains(&tag) {
                let method = method.to_uppercase().parse().unwrap();
                calls.insert(operation["operationId"].as_str().unwrap().to_owned(), (method, path.clone()));
            }
        }
    }
    calls
}

/// A body that the call accepts.
pub(super) fn body(operation: &str, about: Role, unique: usize) -> Value {
    match operation {
        "create_org" => json!({ "name": format!("made {unique}") }),
        "update_org" | "update_key" => json!({ "name": "renamed" }),
        "suspend_org" | "unsuspend_org" => json!({ "reason": "r" }),
        "create_key" => json!({ "name": "n", "environment": "live", "permissions": [] }),
        "explain" => json!({ "action": "jobs:read", "key": { "permissions": [] } }),
        "create_admin" => json!({ "name": "n", "role": about.as_str() }),
        _ => json!(null),
    }
}

#[test]
fn the_matrix_names_every_management_call_and_no_other() {
    let named: BTreeSet<String> = MATRIX.iter().map(|(operation, ..)| (*operation).to_owned()).collect();
    assert_eq!(named, management_calls().into_keys().collect());
}

#[tokio::test]
async fn each_role_may_do_what_the_matrix_says_and_nothing_else() {
    let app = TestApp::new().await;
    let calls = management_calls();
    let mut callers = Vec::new();
    for role in ROLES {
        callers.push(app.admin(role).await);
    }
    let nothing = ["org", "key", "adm", "dec"].map(|kind| format!("{kind}_00000000000000000000000000"));
    for (row, (operation, about, allowed)) in MATRIX.iter().enumerate() {
        for (column, caller) in callers.iter().enumerate() {
            let unique = row * ROLES.len() + column;
            let (org, made) = app.org_with_key(&format!("org-{unique}"), &[]).await;
            let admin = app.new_admin(*about).await.0;
            let (method, path) = &calls[*operation];
            let decision = app.key(&made).authorize("jobs:read").await.json()["decision_id"].as_str().unwrap().to_owned();
            let send = async |[org, key, admin, decision]: &[String; 4]| {
                let path =
                    path.replace("{org}", org).replace("{key}", key).replace("{admin}", admin).replace("{decision}", decision);
                caller.send_json(method.clone(), &path, body(operation, *about, unique)).await
            };
            let revision = app.revision().await;
            let answer = send(&[org.id.to_string(), made.id(), admin.id.to_string(), decision]).await;
            if allowed[column] {
                assert!([200, 201].contains(&answer.status), "{operation} of {about:?} by {:?}: {answer:?}", ROLES[column]);
                continue;
            }
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "FORBIDDEN"),
                "{operation} of {about:?} by {:?}",
                ROLES[column]
            );
            // Who may not do it is not told what exists.
            send(&nothing).await.refused(403, "FORBIDDEN");
            assert_eq!(app.revision().await, revision, "{operation} of {about:?} by {:?}", ROLES[column]);
        }
    }
}
