//! The database is down: decisions go on for as long as they may, and nothing is made up.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{BOUNDS, hammer::Hammer};
use crate::support::{fleet::Fleet, history::Answer, postgres::Cluster};

/// How long the database is down: `CLAVIGER_OUTAGE` seconds, or so long as a run of all tests can afford.
fn outage() -> Duration {
    Duration::from_secs(std::env::var("CLAVIGER_OUTAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(4))
}

/// Waits until a write is made, and says how long that took.
async fn writes_again(fleet: &Fleet, member: usize) -> Duration {
    let since = Instant::now();
    loop {
        let reply =
            fleet.owner_at(member).post("/v1/orgs", json!({ "name": format!("again-{member}-{:?}", since.elapsed()) })).await;
        if reply.status == 201 {
            return since.elapsed();
        }
        assert!(since.elapsed() < Duration::from_secs(30), "server {member} does not write again: {}", reply.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_within_the_lease_fails_no_decision_and_every_write_at_once() {
    let mut cluster = Cluster::own();
    let fleet = Fleet::start(&cluster.url(), 3, &[]).await;
    let hammer = Hammer::start(&fleet, fleet.keys(10).await, 2);
    for member in 0..3 {
        hammer.revoke(&fleet, member, "?wait=all").await.unwrap().expect(200);
    }
    cluster.stop();
    let down = Instant::now();
    // A moment to notice; after that no write is even tried.
    tokio::time::sleep(Duration::from_millis(600)).await;
    while down.elapsed() < outage() {
        for member in 0..3 {
            let asked = Instant::now();
            let refused = fleet.owner_at(member).post("/v1/orgs", json!({ "name": "lost" })).await;
            assert_eq!((refused.status, refused.code()), (503, "STORE_UNAVAILABLE"));
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?} is not at once", asked.elapsed());
            fleet.key_at(member, "").get("/readyz").await.expect(200);
        }
    }
    cluster.start();
    for member in 0..3 {
        let took = writes_again(&fleet, member).await;
        eprintln!("server {member} writes {took:?} after the database is back");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let decides = hammer.recorder.history().decides;
    let failed: Vec<_> = decides.iter().filter(|decide| !matches!(decide.answer, Answer::Allow | Answer::Deny(_))).collect();
    // The last ones of the clients are still under way.
    let failed: Vec<_> = failed.into_iter().filter(|decide| decide.span.end != u64::MAX).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let report = hammer.finish(BOUNDS).await;
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_past_the_lease_is_a_503_everywhere_and_ends_by_itself() {
    let mut cluster = Cluster::own();
    let fleet = Fleet::start(&cluster.url(), 2, &[("CLAVIGER_CONSISTENCY__MAX_STALENESS", "2s")]).await;
    let keys = fleet.keys(1).await;
    cluster.stop();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for member in 0..2 {
        for path in ["/readyz", "/v1/whoami"] {
            let refused = fleet.key_at(member, &keys[0].1).get(path).await;
            assert_eq!((refused.status, refused.code()), (503, "STALE_SNAPSHOT"), "{path}");
        }
        let refused = fleet.key_at(member, &keys[0].1).authorize("classify:create").await;
        assert_eq!((refused.status, refused.code()), (503, "STALE_SNAPSHOT"));
        fleet.key_at(member, "").get("/livez").await.expect(200);
    }
    cluster.start();
    for member in 0..2 {
        fleet.allowed_soon(member, &keys[0].1).await;
        fleet.key_at(member, "").get("/readyz").await.expect(200);
    }
}
