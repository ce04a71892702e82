//! A server that is killed in the middle of writing loses nothing that it answered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use claviger::store::AuditCheck;
use reqwest::Method;
use serde_json::json;

use super::{
    eventually,
    serve::{Place, on_both_engines},
};
use crate::support::program::Visitor;

const ROUNDS: usize = 10;
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
    let enough = async || (answered.lock().unwrap().len() >= 3 + 4 * round).then_some(());
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
        for number in 0..ROUNDS {
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
