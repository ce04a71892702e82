//! `GET /v1/audit` and `GET /v1/audit/head`: who changed what, in pages that fit a filter.

mod unwritable;

use std::time::Duration;

use claviger::domain::{admin::Role, audit::AuditHead};
use serde_json::{Value, json};

use crate::support::app::{TestApp, on_both_engines};

/// An org that is suspended and unsuspended by an owner, over HTTP, a second after each other.
async fn busy_hour(app: &TestApp) -> String {
    let owner = app.owner().header("x-request-id", "ticket-7");
    let made = owner.post("/v1/orgs", json!({ "name": "Acme" })).await.expect(201);
    let org = made["org"]["id"].as_str().unwrap().to_owned();
    for (verb, reason) in [("suspend", "payment overdue"), ("unsuspend", "paid")] {
        app.state.clock.advance(Duration::from_secs(1));
        owner.post(&format!("/v1/orgs/{org}/{verb}"), json!({ "reason": reason })).await.expect(200);
    }
    org
}

fn revisions(body: &Value) -> Vec<i64> {
    body["data"].as_array().unwrap().iter().map(|row| row["revision"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_row_says_who_changed_what_when_and_why_and_is_hashed_with_the_one_before() {
    on_both_engines(async |app| {
        let org = busy_hour(app).await;
        let body = app.admin(Role::Auditor).await.get("/v1/audit").await.expect(200);
        assert_eq!((revisions(&body), &body["next_cursor"]), (vec![1, 2, 3, 4, 5], &json!(null)));
        let (made, row) = (&body["data"][1], &body["data"][2]);
        let mut names: Vec<&String> = row.as_object().unwrap().keys().collect();
        names.sort();
        let expected = [
            "action",
            "actor",
            "address",
            "after",
            "at",
            "before",
            "hash",
            "id",
            "previous_hash",
            "reason",
            "request_id",
            "revision",
            "target",
        ];
        assert_eq!(names, expected);
        assert_eq!((&made["before"], &row["previous_hash"]), (&json!(null), &made["hash"]));
        assert_eq!(
            (&row["action"], &row["target"], &row["reason"]),
            (&json!("org.suspend"), &json!(org), &json!("payment overdue"))
        );
        assert_eq!((&row["at"], &row["request_id"]), (&json!("2026-11-24T04:30:27.000Z"), &json!("ticket-7")));
        assert_eq!(row["actor"]["kind"], "admin");
        assert!(row["actor"]["id"].as_str().unwrap().starts_with("adm_") && row["id"].as_str().unwrap().starts_with("evt_"));
        let after: Value = serde_json::from_str(row["after"].as_str().unwrap()).unwrap();
        assert_eq!(after["suspension_reason"], "payment overdue", "{after}");
        let head = app.owner().get("/v1/audit/head").await.expect(200);
        assert_eq!(head, json!({ "revision": 5, "hash": body["data"][4]["hash"] }));
        let head = AuditHead::parse(5, head["hash"].as_str().unwrap()).unwrap();
        app.state.store.verify_audit_against(vec![head]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_within_its_filter_and_no_other() {
    on_both_engines(async |app| {
        let org = busy_hour(app).await;
        let owner = app.owner();
        let get = async |query: &str| owner.get(&format!("/v1/audit?{query}")).await.expect(200);
        for (query, expected) in [
            ("limit=200", &[1, 2, 3, 4][..]),
            ("action=org.suspend", &[3]),
            ("actor=admin", &[2, 3, 4]),
            ("actor=command_line", &[1]),
            ("action=org.suspend&actor=command_line", &[]),
            ("since=2026-11-24T04:30:27Z", &[3, 4]),
            ("since=2026-11-24T05:30:27%2B01:00&until=2026-11-24T04:30:28Z", &[3]),
            (&format!("target={org}"), &[2, 3, 4]),
        ] {
            assert_eq!(revisions(&get(query).await), expected, "{query}");
        }
        let filter = format!("target={org}&limit=1");
        let first = get(&filter).await;
        let cursor = first["next_cursor"].as_str().unwrap().to_owned();
        owner.post(&format!("/v1/orgs/{org}/suspend"), json!({ "reason": "late" })).await.expect(200);
        let (mut seen, mut next) = (revisions(&first), Some(cursor.clone()));
        while let Some(cursor) = next {
            let page = get(&format!("{filter}&cursor={cursor}")).await;
            seen.extend(revisions(&page));
            next = page["next_cursor"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, [2, 3, 4, 5]);
        for other in ["", "actor=admin&", "since=2026-11-24T04:30:27Z&"] {
            owner.get(&format!("/v1/audit?{other}cursor={cursor}")).await.invalid(400, "cursor");
        }
        owner.get(&format!("/v1/orgs?cursor={cursor}")).await.invalid(400, "cursor");
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_says_nothing_is_refused_by_its_name() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for (query, param) in [
        ("action=suspend", "action"),
        ("action=org.suspend&action=org.delete", "action"),
        ("target=acme", "target"),
        ("actor=Ada", "actor"),
        ("since=yesterday", "since"),
        ("since=2026-11-24", "since"),
        ("until=", "until"),
        ("limit=0", "limit"),
        ("org=acme", "org"),
        ("reason=paid", "reason"),
    ] {
        owner.get(&format!("/v1/audit?{query}")).await.invalid(400, param);
    }
    owner.get("/v1/audit/head?limit=1").await.invalid(400, "limit");
    for path in ["/v1/audit", "/v1/audit/head"] {
        app.anonymous().get(path).await.refused(401, "INVALID_ADMIN_TOKEN");
        owner.post(path, json!({})).await.refused(405, "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn no_row_holds_a_secret_or_what_the_database_keeps_of_one() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let owner = app.owner();
    let rotated = owner.post(&format!("/v1/keys/{}/rotate", made.id()), json!({ "overlap": "1h" })).await.expect(200);
    let admin = owner.post("/v1/admins", json!({ "name": "Ada", "role": "auditor" })).await.expect(201);
    let reason = json!({ "reason": format!("leaked {}", made.secret) });
    owner.post(&format!("/v1/orgs/{}/suspend", org.id), reason).await;
    let answer = owner.get("/v1/audit").await;
    let list = answer.expect(200);
    for secret in [&made.secret, rotated["secret"].as_str().unwrap(), admin["secret"].as_str().unwrap()] {
        answer.hides(secret);
    }
    for name in ["hash_alg", "pepper", "sha256", "hmac"] {
        assert!(!answer.text().contains(name), "{list}");
    }
}
