//! The database is restored from an older backup under live replicas: they notice, and decide nothing until they have read it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{BOUNDS, hammer::Hammer};
use crate::support::{
    engines::execute,
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
};

const TABLES: [&str; 7] = ["org", "api_key", "secret", "admin", "audit", "change", "meta"];

async fn back_up(url: &str) {
    let copies: Vec<_> = TABLES.iter().map(|table| format!("CREATE TABLE kept_{table} AS TABLE {table};")).collect();
    execute(url, &copies.concat()).await.unwrap();
}

/// In one transaction, as a restore is. Keys refer to orgs and secrets to keys, so the order matters.
async fn restore(url: &str, more: &str) {
    let delete = TABLES.iter().rev().map(|table| format!("DELETE FROM {table};"));
    let insert = TABLES.iter().map(|table| format!("INSERT INTO {table} SELECT * FROM kept_{table};"));
    let sql: String = delete.chain(insert).collect();
    execute(url, &format!("BEGIN; {sql} {more} COMMIT")).await.unwrap();
}

/// Waits until a server names a revision as low as the backup's.
async fn reads(fleet: &Fleet, member: usize, secret: &str, revision: u64) {
    for _ in 0..500 {
        let reply = fleet.key_at(member, secret).authorize("classify:create").await;
        if reply.status == 200 && reply.revision == Some(revision) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("server {member} does not read the restored database");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_noticed_and_read_anew_before_anything_is_decided_by_it() {
    for more in ["UPDATE meta SET epoch = 'restored'; DELETE FROM replica;", "UPDATE meta SET epoch = 'again';", ""] {
        let url = postgres_url().await;
        let fleet = Fleet::start(&url, 3, &[]).await;
        let hammer = Hammer::start(&fleet, fleet.keys(10).await, 1);
        hammer.revoke(&fleet, 0, "?wait=all").await.unwrap().expect(200);
        back_up(&url).await;
        let kept = fleet.key_at(0, hammer.secret(9)).authorize("classify:create").await.revision.unwrap();
        for _ in 0..3 {
            hammer.revoke(&fleet, 0, "?wait=all").await.unwrap().expect(200);
        }
        let restoring = hammer.recorder.restore();
        restore(&url, more).await;
        restoring.end();
        for member in 0..3 {
            // Revoked after the backup was made, so not in it; and one that was revoked before, so still.
            reads(&fleet, member, hammer.secret(2), kept).await;
            let revoked = fleet.key_at(member, hammer.secret(0)).authorize("classify:create").await;
            assert_eq!((revoked.status, revoked.code()), (401, "INVALID_API_KEY"));
        }
        // Life goes on in the new history, on all of them.
        let path = format!("/v1/keys/{}?wait=all", key_of(&fleet, hammer.secret(9)).await);
        let gone = fleet.owner_at(2).send(Method::DELETE, &path, None).await.unwrap().expect(200);
        assert_eq!(gone.body["revision"], json!(kept + 1));
        for member in 0..3 {
            assert_eq!(fleet.key_at(member, hammer.secret(9)).authorize("classify:create").await.status, 401);
        }
        drop(fleet);
        drop_database(&url).await;
    }
}

async fn key_of(fleet: &Fleet, secret: &str) -> String {
    fleet.key_at(0, secret).get("/v1/whoami").await.expect(200).text("/key/id")
}

/// A standby that lacked the last writes took over, and has come as far by other ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_of_the_same_length_is_told_by_its_tags() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 2, &[]).await;
    let keys = fleet.keys(3).await;
    let revision = fleet.key_at(0, &keys[0].1).authorize("classify:create").await.revision.unwrap();
    let other = format!(
        "BEGIN; UPDATE change SET tag = 'another' WHERE revision = {revision}; \
         UPDATE api_key SET disabled_at = now() WHERE id = '{}'; COMMIT",
        keys[2].0
    );
    execute(&url, &other).await.unwrap();
    for member in 0..2 {
        let mut status = 200;
        for _ in 0..500 {
            status = fleet.key_at(member, &keys[2].1).authorize("classify:create").await.status;
            if status == 401 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status, 401);
        fleet.allowed_soon(member, &keys[0].1).await;
    }
    assert_eq!(BOUNDS.connected, Duration::from_secs(1));
    drop(fleet);
    drop_database(&url).await;
}
