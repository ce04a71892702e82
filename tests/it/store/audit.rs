//! The audit log: one row per write, a whole chain, and every way to tamper with it is found.

use claviger::{
    domain::{
        admin::Role,
        audit::{Actor, Author},
        key::KeyPatch,
        org::OrgPatch,
    },
    store::AuditCheck,
};

use crate::support::engines::{Bed, at, author, name, new_org, on_both_engines, permissions, reason};

/// Some writes of every noun; returns how many changed something.
async fn busy_hour(bed: &Bed) -> i64 {
    let org = bed.org("acme").await;
    let key = bed.key(org.id).await;
    let (admin, _) = bed.admin(Role::Owner).await;
    bed.store.suspend_org(&author(1), org.id, &reason("unpaid")).await.unwrap();
    bed.store.suspend_org(&author(2), org.id, &reason("again")).await.unwrap();
    bed.rotate(&key, 3, 100).await;
    let author = Author {
        actor: Actor::Admin { id: admin.id, role: Role::Owner },
        at: at(4),
        request_id: Some("req-7".to_owned()),
        address: Some("192.0.2.7".to_owned()),
    };
    let patch = KeyPatch { permissions: Some(permissions(&["scan:create"])), ..KeyPatch::default() };
    bed.store.update_key(&author, key.id, patch).await.unwrap();
    bed.store.revoke_key(&author, key.id, Some(&reason("leaked"))).await.unwrap();
    bed.store.revoke_key(&author, key.id, None).await.unwrap();
    7
}

async fn broken(bed: &Bed) -> (i64, String) {
    match bed.store.verify_audit().await.unwrap() {
        AuditCheck::Broken { revision, problem } => (revision, problem),
        whole @ AuditCheck::Whole { .. } => panic!("{whole}"),
    }
}

#[tokio::test]
async fn every_write_leaves_one_row_and_the_chain_is_whole() {
    on_both_engines(|bed| async move {
        let empty = bed.store.verify_audit().await.unwrap();
        assert_eq!(empty, AuditCheck::Whole { rows: 0, head: [0; 32] });
        let writes = busy_hour(&bed).await;
        assert_eq!(bed.store.head().await.unwrap().revision, writes);
        let whole = bed.store.verify_audit().await.unwrap();
        assert!(matches!(whole, AuditCheck::Whole { rows, .. } if rows == writes), "{whole}");
        let actions = bed.rows("SELECT action FROM audit ORDER BY revision").await.concat();
        let expected = ["org.create", "key.create", "admin.create", "org.suspend", "key.rotate", "key.update", "key.revoke"];
        assert_eq!(actions, expected);
    })
    .await;
}

#[tokio::test]
async fn a_row_says_who_did_what_to_whom_and_why() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let sql = "SELECT at, actor_kind, actor_id, action, target, reason, request_id, address FROM audit WHERE revision = 7";
        let row = bed.rows(sql).await.concat();
        assert_eq!(row[0], at(4).to_string());
        assert_eq!((row[1].as_str(), &row[2][..4], row[3].as_str()), ("admin", "adm_", "key.revoke"));
        assert_eq!((&row[4][..4], &row[5..]), ("key_", &["leaked", "req-7", "192.0.2.7"].map(String::from)[..]));
    })
    .await;
}

#[tokio::test]
async fn a_row_holds_what_changed_and_nothing_else() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let patch = OrgPatch { name: Some(name("Acme II")), slug: None };
        bed.store.update_org(&author(1), org.id, patch).await.unwrap();
        let rows = bed.rows("SELECT before, after FROM audit ORDER BY revision").await;
        assert_eq!(rows[0][0], "");
        let created: serde_json::Value = serde_json::from_str(&rows[0][1]).unwrap();
        assert_eq!((&created["name"], &created["slug"]), (&"The acme org".into(), &"acme".into()));
        assert_eq!(rows[1], [r#"{"name":"The acme org"}"#, r#"{"name":"Acme II"}"#]);
        let key = bed.key(org.id).await;
        bed.rotate(&key, 2, 100).await;
        bed.rotate(&key, 3, 100).await;
        let rows = bed.rows("SELECT before, after FROM audit WHERE revision = 5").await.concat();
        let [before, after] = [&rows[0], &rows[1]].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        let members = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((members(&before), members(&after)), (vec!["secrets".to_owned()], vec!["secrets".to_owned()]));
        let ends = |value: &serde_json::Value| {
            value["secrets"].as_array().unwrap().iter().map(|secret| secret["expires_at"].clone()).collect::<Vec<_>>()
        };
        let text = |ms: i64| serde_json::Value::from(at(ms).to_string());
        assert_eq!(ends(&before), [text(102), serde_json::Value::Null]);
        assert_eq!(ends(&after), [text(3), text(103), serde_json::Value::Null]);
    })
    .await;
}

#[tokio::test]
async fn every_altered_column_is_found() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let columns =
            ["at", "actor_kind", "actor_id", "action", "target", "reason", "before", "after", "request_id", "address", "id"];
        for column in columns {
            let old = bed.rows(&format!("SELECT {column} FROM audit WHERE revision = 6")).await.concat().concat();
            let edit = |value: &str| format!("UPDATE audit SET {column} = {value} WHERE revision = 6");
            // The same moment in another spelling is an edit, too.
            let respelled = format!("'{}'", at(4).to_string().replace('Z', "+00:00"));
            for value in ["''", &respelled, "'evt_00000000000000000000000000'"] {
                bed.execute(&edit(value)).await;
                let (revision, problem) = broken(&bed).await;
                assert_eq!(revision, 6, "{column} = {value}: {problem}");
            }
            let null = old.is_empty() && column == "reason";
            bed.execute(&edit(&if null { "NULL".to_owned() } else { format!("'{old}'") })).await;
            let check = bed.store.verify_audit().await.unwrap();
            assert!(matches!(check, AuditCheck::Whole { .. }), "{column}: {check}");
        }
    })
    .await;
}

#[tokio::test]
async fn deleted_reordered_added_and_rehashed_rows_are_found() {
    on_both_engines(|bed| async move {
        let writes = busy_hour(&bed).await;
        bed.execute("CREATE TABLE kept AS SELECT * FROM audit").await;
        let restore = "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept";
        let hash = if bed.is_postgres() { "'\\x00'" } else { "x'00'" };
        for (sql, revision, problem) in [
            ("DELETE FROM audit WHERE revision = 1", 1, "it is missing"),
            ("DELETE FROM audit WHERE revision = 4", 4, "it is missing"),
            ("DELETE FROM audit WHERE revision = 7", 7, "it is missing"),
            ("DELETE FROM audit", 1, "it is missing"),
            (
                "UPDATE audit SET revision = 99 WHERE revision = 4; UPDATE audit SET revision = 4 WHERE revision = 5; \
                 UPDATE audit SET revision = 5 WHERE revision = 99",
                4,
                "it does not continue the row before it",
            ),
            (
                "INSERT INTO audit SELECT 8, 'evt_00000000000000000000000000', at, actor_kind, actor_id, action, target, \
                 reason, before, after, request_id, address, hash, prev_hash FROM audit WHERE revision = 7",
                8,
                "it was altered",
            ),
            (&format!("UPDATE audit SET hash = {hash} WHERE revision = 3"), 3, "it was altered"),
            (&format!("UPDATE audit SET prev_hash = {hash} WHERE revision = 3"), 3, "it does not continue the row before it"),
        ] {
            bed.execute(sql).await;
            assert_eq!(broken(&bed).await, (revision, problem.to_owned()), "{sql}");
            bed.execute(restore).await;
        }
        assert!(matches!(bed.store.verify_audit().await.unwrap(), AuditCheck::Whole { rows, .. } if rows == writes));
        bed.execute(&format!("UPDATE meta SET audit_head = {hash}")).await;
        assert_eq!(broken(&bed).await.0, writes);
    })
    .await;
}

#[tokio::test]
async fn cutting_off_the_end_is_found_even_when_meta_is_turned_back() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let AuditCheck::Whole { head, .. } = bed.store.verify_audit().await.unwrap() else { panic!("not whole") };
        bed.execute(
            "UPDATE meta SET revision = 6, audit_head = (SELECT hash FROM audit WHERE revision = 6); \
             DELETE FROM audit WHERE revision = 7; DELETE FROM change WHERE revision = 7",
        )
        .await;
        let turned_back = bed.store.verify_audit().await.unwrap();
        assert!(matches!(turned_back, AuditCheck::Whole { rows: 6, head: other } if other != head), "{turned_back}");
        bed.store.create_org(&author(9), new_org("next")).await.unwrap();
        let overwritten = bed.store.verify_audit().await.unwrap();
        assert!(matches!(overwritten, AuditCheck::Whole { rows: 7, head: other } if other != head), "{overwritten}");
    })
    .await;
}
