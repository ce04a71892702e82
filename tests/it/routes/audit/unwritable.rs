//! A change whose audit row cannot be written does not happen, and the server acts as if nobody had asked for it.

use axum::http::Method;
use claviger::{domain::admin::Role, store::AuditCheck};
use serde_json::json;

use super::super::roles::{body, management_calls};
use crate::support::{
    app::{MadeKey, Setup, TestApp},
    engines::{dump, execute},
};

/// How an audit row is not written: refused, in the ways of each engine, or not written without a word.
const SQLITE: [(&str, &str); 4] = [
    ("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END", "DROP TRIGGER no_audit"),
    ("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'full'); END", "DROP TRIGGER no_audit"),
    ("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ROLLBACK, 'full'); END", "DROP TRIGGER no_audit"),
    ("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END", "DROP TRIGGER no_audit"),
];
const POSTGRES: [(&str, &str); 4] = [
    (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$; \
         CREATE TRIGGER no_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()",
        "DROP TRIGGER no_audit ON audit",
    ),
    (
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER no_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION skip()",
        "DROP TRIGGER no_audit ON audit",
    ),
    (
        "CREATE CONSTRAINT TRIGGER no_audit AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION refuse()",
        "DROP TRIGGER no_audit ON audit",
    ),
    ("REVOKE INSERT ON audit FROM keeper", "GRANT INSERT ON audit TO keeper"),
];
const KEEPER: &str = "CREATE ROLE keeper LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO keeper";

/// What the calls are about, one of each for each state that a change needs.
struct Scene<'a> {
    app: &'a TestApp,
    org: String,
    key: MadeKey,
    suspended: String,
    rotated: MadeKey,
    disabled: MadeKey,
    admin: String,
}

impl<'a> Scene<'a> {
    async fn set(app: &'a TestApp) -> Self {
        let owner = app.owner();
        let (org, key) = app.org_with_key("acme", &["jobs:read"]).await;
        let (rotated, disabled) = (app.new_key(org.id, &[]).await, app.new_key(org.id, &[]).await);
        owner.post(&format!("/v1/keys/{}/rotate", rotated.id()), json!({ "overlap": "1h" })).await.expect(200);
        owner.post(&format!("/v1/keys/{}/disable", disabled.id()), json!(null)).await.expect(200);
        let suspended = app.org("late").await.id.to_string();
        owner.post(&format!("/v1/orgs/{suspended}/suspend"), json!({ "reason": "r" })).await.expect(200);
        let admin = app.new_admin(Role::Auditor).await.0.id.to_string();
        Self { app, org: org.id.to_string(), key, suspended, rotated, disabled, admin }
    }

    fn path(&self, operation: &str, path: &str) -> String {
        let org = if operation == "unsuspend_org" { &self.suspended } else { &self.org };
        let key = match operation {
            "finish_rotation" => &self.rotated,
            "enable_key" => &self.disabled,
            _ => &self.key,
        };
        path.replace("{org}", org).replace("{key}", &key.id()).replace("{admin}", &self.admin)
    }

    /// What the server decides by.
    async fn digest(&self) -> String {
        self.app.anonymous().get("/internal/digest").await.expect(200).to_string()
    }

    /// Makes every change that there is, and sees that none of them happens.
    async fn nothing_happens(&self, url: &str) {
        let (before, digest) = (dump(url).await, self.digest().await);
        let mut refused = 0;
        for (operation, (method, path)) in management_calls() {
            if method == Method::GET || operation == "explain" {
                continue;
            }
            let caller = self.app.owner();
            let caller = if operation.starts_with("create") { caller.header("idempotency-key", &*operation) } else { caller };
            let answer = caller.send_json(method, &self.path(&operation, &path), body(&operation, Role::Auditor, 99)).await;
            assert!([500, 503].contains(&answer.status), "{operation}: {answer:?}");
            assert!(!answer.text().contains("op_") && !answer.text().contains("full"), "{operation}: {answer:?}");
            assert_eq!(dump(url).await, before, "{operation}");
            refused += 1;
        }
        assert_eq!((refused, self.digest().await), (15, digest));
        self.app.key(&self.key).authorize("jobs:read").await.expect(200);
    }

    /// The same changes are made when the row can be written.
    async fn goes_on(&self) {
        let revision = self.app.revision().await;
        let suspend = json!({ "reason": "overdue" });
        let answer = self.app.owner().post(&format!("/v1/orgs/{}/suspend", self.org), suspend).await.expect(200);
        assert_eq!(answer["revision"], revision + 1);
        self.app.key(&self.key).authorize("jobs:read").await.refused(403, "ORGANIZATION_SUSPENDED");
        self.app.owner().post(&format!("/v1/orgs/{}/unsuspend", self.org), json!({ "reason": "paid" })).await.expect(200);
        let check = self.app.state.store.verify_audit().await.unwrap();
        assert!(matches!(check, AuditCheck::Whole { rows, .. } if rows == revision + 2), "{check}");
    }
}

#[tokio::test]
async fn no_change_happens_whose_audit_row_cannot_be_written_on_sqlite() {
    let app = TestApp::new().await;
    let scene = Scene::set(&app).await;
    for (refuse, allow) in SQLITE {
        eprintln!("{refuse}");
        app.execute(refuse).await;
        scene.nothing_happens(&app.url).await;
        app.execute(allow).await;
        scene.goes_on().await;
    }
    app.end().await;
}

#[tokio::test]
async fn no_change_happens_whose_audit_row_cannot_be_written_on_postgres() {
    let first = TestApp::with(Setup { postgres: true, ..Setup::default() }).await;
    let url = first.url.clone();
    execute(&url, KEEPER).await.unwrap();
    // A superuser may always insert.
    let app = TestApp::at(url.replace("postgres:unasked", "keeper:unasked")).await;
    let scene = Scene::set(&app).await;
    for (refuse, allow) in POSTGRES {
        eprintln!("{refuse}");
        execute(&url, refuse).await.unwrap();
        scene.nothing_happens(&url).await;
        execute(&url, allow).await.unwrap();
        scene.goes_on().await;
    }
    app.state.store.close().await;
    first.end().await;
}
