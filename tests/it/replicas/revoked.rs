//! A revocation is a fact: at once where it was answered, within a second elsewhere.

use std::time::Duration;

use sqlx::{Executor, PgPool};

use super::{
    BOUNDS,
    hammer::{Hammer, fresh},
};
use crate::process::eventually;
use crate::support::{
    fleet::Fleet,
    history::Report,
    postgres::{drop_database, postgres_url},
};

/// Keys of a run: `CLAVIGER_KEYS`, or so many as a run of all tests can afford.
fn keys() -> usize {
    std::env::var("CLAVIGER_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(120)
}

/// Whether nothing else runs on this machine: `CLAVIGER_STRICT`. Then a reset connection is back within the bound, too.
fn is_strict() -> bool {
    std::env::var_os("CLAVIGER_STRICT").is_some()
}

#[track_caller]
fn assert_holds(report: &Report, writes: usize) {
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n"));
    assert!(report.writes >= writes && report.decides > 10 * writes, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_revoked_on_one_replica_are_allowed_nothing_there_and_nothing_anywhere_a_second_later() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 3, &[]).await;
    let hammer = Hammer::start(&fleet, fleet.keys(keys()).await, 2);
    for _ in 0..keys() {
        hammer.revoke(&fleet, 0, "").await.unwrap().expect(200);
    }
    tokio::time::sleep(BOUNDS.connected).await;
    assert_holds(&hammer.finish(BOUNDS).await, keys());
    drop(fleet);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_while_listeners_are_terminated_and_connections_reset() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 3, &[]).await;
    let hammer = Hammer::start(&fleet, fleet.keys(keys()).await, 2);
    let pool = PgPool::connect(&url).await.unwrap();
    let mut terminated = 0;
    for turn in 0..keys() {
        // By way of each in turn; whoever is cut off in the middle of its write does not know, which is no 2xx.
        let _ = hammer.revoke(&fleet, turn % 3, "").await;
        let sql =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
        terminated += pool.execute(sql).await.unwrap().rows_affected();
        if turn.is_multiple_of(4) {
            let member = turn / 4 % 3;
            // On a machine that is busy with other tests, connecting takes its time, and until then it is not connected.
            let apart = (!is_strict()).then(|| hammer.recorder.apart(member));
            fleet.members[member].relay.reset_all();
            let reader = fleet.key_at(member, "");
            tokio::spawn(async move {
                fresh(&reader).await;
                if let Some(apart) = apart {
                    apart.end();
                }
            });
        }
    }
    pool.close().await;
    tokio::time::sleep(BOUNDS.connected).await;
    let report = hammer.finish(BOUNDS).await;
    eprintln!("{terminated} listeners terminated, {} times all connections of a server reset", keys() / 4);
    assert!(terminated > 20, "{terminated}");
    assert_holds(&report, keys() / 2);
    drop(fleet);
    drop_database(&url).await;
}

/// As a firewall does that forgot them: nothing arrives any more, and nobody says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_went_silent_are_given_up_long_before_the_lease_ends() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 2, &[]).await;
    let keys = fleet.keys(4).await;
    for (key, secret) in &keys {
        fleet.members[1].relay.strand_all();
        fleet.owner_at(0).post(&format!("/v1/keys/{key}/revoke"), serde_json::json!({})).await.expect(200);
        let denied = async || (fleet.key_at(1, secret).authorize("classify:create").await.status == 401).then_some(());
        eventually("the revocation", Duration::from_secs(20), denied).await;
        // It writes by way of new connections, too.
        let body = serde_json::json!({ "name": key });
        let writes = async || (fleet.owner_at(1).post("/v1/orgs", body.clone()).await.status == 201).then_some(());
        eventually("a write", Duration::from_secs(20), writes).await;
    }
    drop(fleet);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_all_is_a_fact_everywhere_when_it_is_answered() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 3, &[]).await;
    let hammer = Hammer::start(&fleet, fleet.keys(20).await, 1);
    for turn in 0..20 {
        let reply = hammer.revoke(&fleet, turn % 3, "?wait=all").await.unwrap().expect(200);
        assert_eq!(reply.text("/propagated"), "all");
        for member in 0..3 {
            let denied = fleet.key_at(member, hammer.secret(turn)).authorize("classify:create").await;
            assert_eq!((denied.status, denied.code()), (401, "INVALID_API_KEY"));
        }
    }
    assert!(hammer.finish(BOUNDS).await.violations.is_empty());
    // What is done already is waited for in the same way, and says so.
    let again = fleet.owner_at(1).get("/v1/replicas").await.expect(200);
    assert_eq!(again.body["data"].as_array().unwrap().len(), 3);
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(fleet);
    drop_database(&url).await;
}
