//! The audit log: one row per write, a whole chain, read in pages and as a whole.

mod tampered;

use claviger::{
    domain::{
        admin::Role,
        audit::{Actor, AuditFilter, Author},
        key::KeyPatch,
        org::OrgPatch,
    },
    store::{AuditCheck, Page, StoreError},
};

use crate::support::engines::{Bed, at, author, name, on_both_engines, permissions, reason};

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
async fn the_pages_and_the_export_hold_every_row_once_and_the_head_is_the_last_one() {
    on_both_engines(|bed| async move {
        let writes = busy_hour(&bed).await;
        let mut exported = Vec::new();
        bed.store
            .export_audit(|entry| {
                exported.push(entry);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        let revisions: Vec<i64> = exported.iter().map(|entry| entry.record.revision).collect();
        assert_eq!(revisions, (1..=writes).collect::<Vec<_>>());
        for limit in [1, 3, 7, 50] {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = bed.store.list_audit(Page { limit, after }, &AuditFilter::default()).await.unwrap();
                listed.extend(page.items);
                after = listed.last().map(|entry| entry.record.revision);
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(listed, exported, "limit {limit}");
        }
        let head = bed.store.audit_head().await.unwrap();
        assert_eq!((head.revision, &head.hash[..]), (writes, &exported[6].hash[..]));
        let whole = bed.store.verify_audit_against(vec![head.clone()]).await.unwrap();
        assert_eq!(whole, AuditCheck::Whole { rows: writes, head: head.hash });
    })
    .await;
}

#[tokio::test]
async fn a_filter_gives_the_rows_that_fit_all_of_it() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let target = bed.rows("SELECT target FROM audit WHERE revision = 2").await.concat().concat();
        let admin = bed.rows("SELECT actor_id FROM audit WHERE revision = 6").await.concat().concat();
        let all = AuditFilter::default;
        let target = || target.parse().ok();
        for (filter, expected) in [
            (AuditFilter { action: "key.rotate".parse().ok(), ..all() }, &[5][..]),
            (AuditFilter { action: "key.nothing".parse().ok(), ..all() }, &[]),
            (AuditFilter { target: target(), ..all() }, &[2, 5, 6, 7]),
            (AuditFilter { actor: "command_line".parse().ok(), ..all() }, &[1, 2, 3, 4, 5]),
            (AuditFilter { actor: "admin".parse().ok(), ..all() }, &[6, 7]),
            (AuditFilter { actor: admin.parse().ok(), ..all() }, &[6, 7]),
            (AuditFilter { actor: "system".parse().ok(), ..all() }, &[]),
            (AuditFilter { since: Some(at(1)), ..all() }, &[4, 5, 6, 7]),
            (AuditFilter { until: Some(at(1)), ..all() }, &[1, 2, 3]),
            (AuditFilter { since: Some(at(1)), until: Some(at(4)), target: target(), ..all() }, &[5]),
        ] {
            let page = bed.store.list_audit(Page { limit: 50, after: None }, &filter).await.unwrap();
            let revisions: Vec<i64> = page.items.iter().map(|entry| entry.record.revision).collect();
            assert_eq!((&*revisions, page.has_more), (expected, false), "{filter}");
        }
    })
    .await;
}
