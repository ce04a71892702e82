//! Rows that somebody wrote by hand: the one that cannot be read denies, all others are loaded.

use claviger::{
    domain::admin::Role,
    store::{Changes, Fact, Page, StoreError},
};

use super::follow::load;
use crate::support::engines::{Bed, at, author, new_org, on_both_engines, reason};

/// A fact without what does not matter here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Org(String),
    Key(String),
    BrokenOrg(String),
    BrokenKey(String),
}

fn seen(facts: &[Fact]) -> Vec<Seen> {
    let mut seen: Vec<Seen> = facts
        .iter()
        .map(|fact| match fact {
            Fact::Org(org) => Seen::Org(org.id.to_string()),
            Fact::Key(key) => Seen::Key(key.id.to_string()),
            Fact::BrokenOrg(id) => Seen::BrokenOrg(id.to_string()),
            Fact::BrokenKey(id) => Seen::BrokenKey(id.to_string()),
        })
        .collect();
    seen.sort();
    seen
}

/// Garbage for every column of an org and of a key with its secret that decisions read.
fn garbage(bed: &Bed) -> Vec<(&'static str, String)> {
    let texts = [
        ("org", "name = ''"),
        ("org", "name = 'op_live_00000000000000000000000000000000000000'"),
        ("api_key", "name = ''"),
        ("api_key", "environment = 'prod'"),
        ("api_key", "environment = ''"),
        ("api_key", "permissions = ''"),
        ("api_key", "permissions = 'null'"),
        ("api_key", "permissions = '{\"scan:create\":true}'"),
        ("api_key", "permissions = '[\"Scan:Create\"]'"),
        ("api_key", "permissions = '[[]]'"),
        ("secret", "id = 'sec_garbage'"),
    ];
    let bytes = if bed.is_postgres() {
        [("secret", "hash = ''"), ("secret", "hash = '\\x0102'")]
    } else {
        [("secret", "hash = x''"), ("secret", "hash = x'0102'")]
    };
    let texts = texts.into_iter().chain(bytes);
    let mut all: Vec<_> = texts.map(|(table, edit)| (table, edit.to_owned())).collect();
    for (table, column) in [
        ("org", "suspended_at"),
        ("org", "deleted_at"),
        ("api_key", "created_at"),
        ("api_key", "expires_at"),
        ("api_key", "disabled_at"),
        ("api_key", "revoked_at"),
        ("secret", "expires_at"),
    ] {
        let values: &[&str] = match (bed.is_postgres(), table) {
            (false, _) => &[
                "'tomorrow'",
                "'9999999999999'",
                "CAST(x'ff' AS TEXT)",
                // Of these two the text does not tell which came first.
                "'2030-01-01 10:00:00'",
                "'2030-01-01T10:00:00+02:00'",
            ],
            // A secret that ended in antiquity is one that ended.
            (true, "secret") => &["'infinity'", "'290000-01-01'"],
            (true, _) => &["'infinity'", "'-infinity'", "'290000-01-01'", "'0044-03-15 BC'"],
        };
        all.extend(values.iter().map(|value| (table, format!("{column} = {value}"))));
    }
    all
}

#[tokio::test]
async fn a_row_with_garbage_denies_and_the_others_are_loaded() {
    on_both_engines(|bed| async move {
        let (acme, other) = (bed.org("acme").await, bed.org("other").await);
        let (key, healthy) = (bed.key(acme.id).await, bed.key(other.id).await);
        let start = bed.store.head().await.unwrap();
        bed.store.suspend_org(&author(1), acme.id, &reason("r")).await.unwrap();
        bed.store.unsuspend_org(&author(2), acme.id, &reason("r")).await.unwrap();
        bed.store.disable_key(&author(3), key.id).await.unwrap();
        bed.store.enable_key(&author(4), key.id).await.unwrap();
        let columns = "CREATE TABLE kept_org AS SELECT * FROM org; CREATE TABLE kept_api_key AS SELECT * FROM api_key; \
             CREATE TABLE kept_secret AS SELECT * FROM secret";
        bed.execute(columns).await;
        for (table, edit) in garbage(&bed) {
            let id = match table {
                "org" => acme.id.to_string(),
                "api_key" => key.id.to_string(),
                _ => key.secrets[0].id.to_string(),
            };
            bed.execute(&format!("UPDATE {table} SET {edit} WHERE id = '{id}'")).await;
            let (_, facts) = load(&bed, at(5)).await;
            let broken_org = table == "org";
            let expected = |all: bool| {
                let mut expected = vec![
                    if broken_org { Seen::BrokenOrg(acme.id.to_string()) } else { Seen::Org(acme.id.to_string()) },
                    if broken_org { Seen::Key(key.id.to_string()) } else { Seen::BrokenKey(key.id.to_string()) },
                ];
                if all {
                    expected.extend([Seen::Org(other.id.to_string()), Seen::Key(healthy.id.to_string())]);
                }
                expected.sort();
                expected
            };
            assert_eq!(seen(&facts), expected(true), "{table}: {edit}");
            let changes = bed.store.changes_since(&start).await.unwrap();
            let Changes::Apply { facts, .. } = changes else { panic!("{table}: {edit}: {changes:?}") };
            assert_eq!(seen(&facts), expected(false), "{table}: {edit}");
            for table in ["secret", "api_key", "org"] {
                restore(&bed, table).await;
            }
        }
        assert_eq!(load(&bed, at(5)).await.1.iter().filter(|fact| matches!(fact, Fact::Key(_))).count(), 2);
    })
    .await;
}

/// Puts back every row of a table from its copy, without deleting what others point to.
async fn restore(bed: &Bed, table: &str) {
    let columns = match table {
        "org" => "name, suspended_at, deleted_at",
        "api_key" => "name, environment, permissions, created_at, expires_at, disabled_at, revoked_at",
        _ => "id, hash, expires_at",
    };
    let by = if table == "secret" { "hint" } else { "id" };
    let kept =
        |column| format!("UPDATE {table} SET {column} = (SELECT {column} FROM kept_{table} k WHERE k.{by} = {table}.{by})");
    bed.execute(&columns.split(", ").map(kept).collect::<Vec<_>>().join("; ")).await;
}

#[tokio::test]
async fn a_row_whose_id_is_garbage_is_left_out() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let key = bed.key(org.id).await;
        let copy = "INSERT INTO org SELECT 'ORG_GARBAGE', name, 'copy', suspended_at, suspension_reason, created_at, \
             updated_at, deleted_at, revision FROM org";
        bed.execute(copy).await;
        let copy = "INSERT INTO api_key SELECT '', org_id, name, environment, permissions, created_at, updated_at, \
             expires_at, disabled_at, revoked_at, revocation_reason, revision FROM api_key";
        bed.execute(copy).await;
        let (_, facts) = load(&bed, at(1)).await;
        assert_eq!(seen(&facts), [Seen::Org(org.id.to_string()), Seen::Key(key.id.to_string())]);
    })
    .await;
}

#[tokio::test]
async fn a_key_with_one_bad_secret_of_two_is_broken_whichever_it_is() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let rotated = bed.rotate(&key, 1, 100).await;
        for secret in &rotated.secrets {
            bed.execute(&format!("UPDATE secret SET id = 'sec_garbage' WHERE id = '{}'", secret.id)).await;
            let (_, facts) = load(&bed, at(2)).await;
            assert!(matches!(&facts[1..], [Fact::BrokenKey(id)] if *id == key.id), "{facts:?}");
            bed.execute(&format!("UPDATE secret SET id = '{}' WHERE id = 'sec_garbage'", secret.id)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_row_that_somebody_deleted_denies() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        let org = bed.org("acme").await;
        let key = bed.key(org.id).await;
        bed.execute("DELETE FROM secret; DELETE FROM api_key; DELETE FROM org").await;
        let changes = bed.store.changes_since(&start).await.unwrap();
        let Changes::Apply { facts, .. } = changes else { panic!("{changes:?}") };
        assert_eq!(facts, [Fact::BrokenOrg(org.id), Fact::BrokenKey(key.id)]);
    })
    .await;
}

#[tokio::test]
async fn reads_and_writes_of_a_garbage_row_name_it_and_change_nothing() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let key = bed.key(org.id).await;
        let (_, token) = bed.admin(Role::Owner).await;
        bed.execute("UPDATE org SET name = ''; UPDATE api_key SET permissions = '['; UPDATE admin SET role = 'god'").await;
        let corrupt = |error: StoreError, wanted: &str| match error {
            StoreError::Corrupt { table, .. } => assert_eq!(table, wanted),
            other => panic!("{other}"),
        };
        corrupt(bed.store.find_org(org.id).await.unwrap_err(), "org");
        corrupt(bed.store.find_key(key.id).await.unwrap_err(), "api_key");
        corrupt(bed.store.authenticate_admin(&[token.hash]).await.unwrap_err(), "admin");
        corrupt(bed.store.list_orgs(Page { limit: 1, after: None }).await.unwrap_err(), "org");
        corrupt(bed.store.suspend_org(&author(1), org.id, &reason("r")).await.unwrap_err(), "org");
        corrupt(bed.store.revoke_key(&author(1), key.id, None).await.unwrap_err(), "api_key");
        assert_eq!(bed.store.head().await.unwrap().revision, 3);
        bed.store.create_org(&author(2), new_org("next")).await.unwrap();
    })
    .await;
}
