//! A replica that sleeps or is cut off from the database holds up who waits for all, and acts on nothing that they were told is
//! past.

use std::time::{Duration, Instant};

use super::hammer::Hammer;
use crate::support::{
    fleet::Fleet,
    history::Bounds,
    postgres::{drop_database, postgres_url},
    relay::Fault,
};

const LEASE: Duration = Duration::from_secs(2);
const SHORT: [(&str, &str); 1] = [("CLAVIGER_CONSISTENCY__MAX_STALENESS", "2s")];
const BOUNDS: Bounds = Bounds { connected: Duration::from_secs(1), max_staleness: LEASE };

/// Revokes the next key while somebody is absent, and waits for all.
async fn revoke_everywhere(fleet: &Fleet, hammer: &Hammer) {
    let asked = Instant::now();
    let reply = hammer.revoke(fleet, 0, "?wait=all").await.unwrap().expect(200);
    assert_eq!(reply.text("/propagated"), "all");
    assert!(asked.elapsed() > LEASE, "{:?}: the lease of the absent one was not waited for", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_slept_allows_nothing_that_was_revoked_meanwhile_not_even_in_its_first_answer() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 3, &SHORT).await;
    let hammer = Hammer::start(&fleet, fleet.keys(5).await, 1);
    for key in 0..3 {
        let apart = hammer.recorder.apart(1);
        fleet.members[1].program.pause();
        revoke_everywhere(&fleet, &hammer).await;
        // They lie in its socket when it wakes up.
        let first: Vec<_> = (0..8).map(|_| hammer.ask_once(&fleet, 1, key)).collect();
        let waiting = futures_util::future::join_all(first);
        let wake = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            fleet.members[1].program.resume();
        };
        tokio::join!(waiting, wake);
        fleet.allowed_soon(1, hammer.secret(4)).await;
        apart.end();
    }
    let report = hammer.finish(BOUNDS).await;
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n"));
    drop(fleet);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_shuts_its_door_before_the_others_say_all() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 3, &SHORT).await;
    let hammer = Hammer::start(&fleet, fleet.keys(5).await, 1);
    for (key, fault) in [Fault::BlackHole, Fault::Refuse, Fault::BlackHole].into_iter().enumerate() {
        let apart = hammer.recorder.apart(1);
        fleet.members[1].relay.set(fault);
        revoke_everywhere(&fleet, &hammer).await;
        // It is too old for a key that nobody revoked, too, and for one that nobody has.
        let alive = fleet.key_at(1, hammer.secret(4)).authorize("classify:create").await;
        assert_eq!((alive.status, alive.code()), (503, "STALE_SNAPSHOT"), "{fault:?}");
        let unknown = fleet.key_at(1, &format!("op_live_{}0sEKhM", "0".repeat(32))).authorize("classify:create").await;
        assert_eq!((unknown.status, unknown.code()), (503, "STALE_SNAPSHOT"), "{fault:?}");
        let ready = fleet.key_at(1, "").get("/readyz").await;
        assert_eq!((ready.status, ready.code()), (503, "STALE_SNAPSHOT"), "{fault:?}");
        fleet.members[1].relay.set(Fault::Pass);
        fleet.allowed_soon(1, hammer.secret(4)).await;
        apart.end();
        let revoked = fleet.key_at(1, hammer.secret(key)).authorize("classify:create").await;
        assert_eq!((revoked.status, revoked.code()), (401, "INVALID_API_KEY"));
    }
    let report = hammer.finish(BOUNDS).await;
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n"));
    drop(fleet);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_died_is_waited_for_once_and_then_taken_off_the_list() {
    let url = postgres_url().await;
    let mut fleet = Fleet::start(&url, 3, &SHORT).await;
    let hammer = Hammer::start(&fleet, fleet.keys(5).await, 1);
    let dead = fleet.members.remove(1);
    dead.program.kill();
    revoke_everywhere(&fleet, &hammer).await;
    for _ in 0..600 {
        let listed = fleet.owner_at(0).get("/v1/replicas").await.expect(200);
        if listed.body["data"].as_array().unwrap().len() == 2 {
            let asked = Instant::now();
            hammer.revoke(&fleet, 0, "?wait=all").await.unwrap().expect(200);
            assert!(asked.elapsed() < LEASE, "{:?}: nobody is absent any more", asked.elapsed());
            drop(fleet);
            return drop_database(&url).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the dead replica stays on the list");
}
