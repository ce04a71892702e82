//! A server that is killed in the middle of writing loses nothing that it answered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use claviger::{
    domain::random::Random,
    store::{AuditCheck, Store},
};
use reqwest::Method;
use serde_json::json;

use super::{
    eventually,
    serve::{Place, on_both_engines},
};
use crate::support::{engines::config, fleet::Fleet, postgres::Cluster, program::Visitor};

/// Kills on each engine: `CLAVIGER_KILLS`, or as many as a run of all tests can afford.
fn rounds() -> usize {
    std::env::var("CLAVIGER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

const WRITERS: usize = 3;

/// The secret and the id of a key, and its org.
type Made = (String, String, String);

/// Makes orgs with a key each until the server is gone, and keeps what was answered.
async fn write(owner: Visitor, slug: String, answered: Arc<Mutex<Vec<Made>>>) {
    for n in 0..10_000 {
        let body = json!({ "name": slug, "slug": format!("{slug}-{n}") });
        let Ok(org) = owner.send(Method::POST, "/v1/orgs", Some(body)).await else { return };
        let org = org.expect(201).text("/org/id");
        let body = json!({ "name": "CI", "environment": "live", "permissions": ["classify:create"] });
        let Ok(key) = owner.send(Method::POST, &format!("/v1/orgs/{org}/keys"), Some(body)).await else { return };
        let key = key.expect(201);
        answered.lock().unwrap().push((key.text("/secret"), key.text("/key/id"), org));
    }
}

/// Writes, kills the server after some answers, and returns them all.
async fn round(place: &Place, owner: &str, round: usize) -> Vec<Made> {
    let server = place.serve();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(server.bearer(owner), format!("r{round}-w{writer}"), Arc::clone(&answered))))
        .collect();
    let enough = async || (answered.lock().unwrap().len() >= 3 + 4 * (round % 10)).then_some(());
    eventually("answered writes", Duration::from_secs(30), enough).await;
    server.kill();
    for writer in writers {
        writer.await.unwrap();
    }
    let answered = answered.lock().unwrap();
    answered.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_answered_before_a_kill_is_there_after_it() {
    on_both_engines(async |place| {
        drop(place.serve());
        let owner = place.owner().await;
        let mut made = Vec::new();
        for number in 0..rounds() {
            made.extend(round(place, &owner, number).await);
            let store = place.store().await;
            let check = store.verify_audit().await.unwrap();
            store.close().await;
            let writes = i64::try_from(made.len() * 2).unwrap();
            assert!(matches!(check, AuditCheck::Whole { rows, .. } if rows > writes), "round {number}: {check}");
        }
        let server = place.serve();
        for (secret, key, org) in &made {
            let allowed = server.bearer(secret).authorize("classify:create").await.expect(200);
            assert_eq!((allowed.text("/key/id"), allowed.text("/org/id")), (key.clone(), org.clone()));
        }
    })
    .await;
}

/// The database is killed as well; here it is one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_answered_before_the_database_was_killed_is_there_after_it() {
    let mut cluster = Cluster::own();
    let fleet = Fleet::start(&cluster.url(), 1, &[]).await;
    let mut made: Vec<Made> = Vec::new();
    for number in 0..rounds().div_ceil(10).max(3) {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let slug = format!("r{number}-w{writer}");
                tokio::spawn(write_until_refused(fleet.owner_at(0), slug, Arc::clone(&answered)))
            })
            .collect();
        let enough = async || (answered.lock().unwrap().len() >= 10).then_some(());
        eventually("answered writes", Duration::from_secs(30), enough).await;
        cluster.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        cluster.start();
        made.extend(answered.lock().unwrap().iter().cloned());
        let store = Store::open(&config(&cluster.url()), Random::System).await.unwrap();
        let check = store.verify_audit().await.unwrap();
        store.close().await;
        assert!(matches!(check, AuditCheck::Whole { rows, .. } if rows > i64::try_from(made.len() * 2).unwrap()), "{check}");
    }
    for (secret, key, org) in &made {
        let visitor = fleet.key_at(0, secret);
        let allowed = async || Some(visitor.authorize("classify:create").await).filter(|reply| reply.status == 200);
        let allowed = eventually("what was answered", Duration::from_secs(30), allowed).await;
        assert_eq!((allowed.text("/key/id"), allowed.text("/org/id")), (key.clone(), org.clone()));
    }
}

/// As `write`, until the first answer that is no 2xx.
async fn write_until_refused(owner: Visitor, slug: String, answered: Arc<Mutex<Vec<Made>>>) {
    for n in 0..10_000 {
        let body = json!({ "name": slug, "slug": format!("{slug}-{n}") });
        let Ok(org) = owner.send(Method::POST, "/v1/orgs", Some(body)).await else { return };
        if org.status != 201 {
            return;
        }
        let org = org.text("/org/id");
        let body = json!({ "name": "CI", "environment": "live", "permissions": ["classify:create"] });
        let Ok(key) = owner.send(Method::POST, &format!("/v1/orgs/{org}/keys"), Some(body)).await else { return };
        if key.status != 201 {
            return;
        }
        answered.lock().unwrap().push((key.text("/secret"), key.text("/key/id"), org));
    }
}
