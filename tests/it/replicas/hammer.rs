//! Clients that ask every replica about every key, all the time, and write down what they are told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{
    fleet::Fleet,
    history::{Answer, Bounds, Outcome, Recorder, Report, Ticker, check},
    program::{Reply, Visitor},
};

/// A run in progress. Keys are revoked in their order, so that the clients know where to look.
pub(crate) struct Hammer {
    pub(crate) recorder: Recorder,
    ticker: Ticker,
    keys: Arc<Vec<(String, String)>>,
    /// So many keys are revoked, or about to be.
    revoked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Hammer {
    /// As many clients as asked for at each server; each waits a little between two requests.
    pub(crate) fn start(fleet: &Fleet, keys: Vec<(String, String)>, clients: usize) -> Self {
        let recorder = Recorder::new();
        let mut hammer = Self {
            ticker: Ticker::start(&recorder),
            recorder,
            keys: Arc::new(keys),
            revoked: Arc::default(),
            stop: Arc::default(),
            clients: Vec::new(),
        };
        for replica in 0..fleet.members.len() {
            for _ in 0..clients {
                hammer.ask(fleet, replica);
            }
        }
        hammer
    }

    /// One more client of a server; it outlives the server and asks the one that takes its place only when told anew.
    pub(crate) fn ask(&mut self, fleet: &Fleet, replica: usize) {
        let visitors: Vec<Visitor> = self.keys.iter().map(|(_, secret)| fleet.key_at(replica, secret)).collect();
        let (recorder, revoked, stop) = (self.recorder.clone(), Arc::clone(&self.revoked), Arc::clone(&self.stop));
        let client = self.clients.len();
        self.clients.push(tokio::spawn(async move {
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                let key = next_key(asked + client, revoked.load(Ordering::Relaxed), visitors.len());
                decide(&recorder, client, replica, key, &visitors[key]).await;
                asked += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            asked
        }));
    }

    /// Revokes the next key by way of a server. Returns the answer, if there was one.
    pub(crate) async fn revoke(&self, fleet: &Fleet, replica: usize, query: &str) -> Option<Reply> {
        let key = self.revoked.fetch_add(1, Ordering::Relaxed);
        let begun = self.recorder.write(1_000, replica, "revoked", &[key], false);
        let path = format!("/v1/keys/{}/revoke{query}", self.keys[key].0);
        let reply = fleet.owner_at(replica).send(Method::POST, &path, Some(json!({}))).await.ok();
        let (status, code) = (reply.as_ref().map(|reply| reply.status), reply.as_ref().map_or("", Reply::code));
        let body = reply.as_ref().map(|reply| &reply.body);
        let revision = body.and_then(|body| body["revision"].as_u64());
        begun.end(Outcome::of(status, code, revision, body.and_then(|body| body["propagated"].as_str())));
        reply
    }

    /// Asks a server once about a key, as the clients do.
    pub(crate) async fn ask_once(&self, fleet: &Fleet, replica: usize, key: usize) {
        decide(&self.recorder, 2_000, replica, key, &fleet.key_at(replica, &self.keys[key].1)).await;
    }

    /// The secret of a key.
    pub(crate) fn secret(&self, key: usize) -> &str {
        &self.keys[key].1
    }

    /// Ends the run and judges it.
    pub(crate) async fn finish(self, bounds: Bounds) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        drop(self.ticker);
        let report = check(&self.recorder.history(), bounds);
        eprintln!("{report}");
        report
    }
}

/// Waits until a server has polled the database, or is no more.
pub(crate) async fn fresh(reader: &Visitor) {
    for _ in 0..1_000 {
        match reader.send(Method::GET, "/readyz", None).await {
            Ok(ready) if ready.status == 200 && ready.body["snapshot_age_ms"].as_u64().is_some_and(|age| age < 250) => return,
            // It was killed meanwhile, and another one has its place.
            Err(error) if error.is_connect() => return,
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every second request is about a key that has just been revoked, or is about to be.
fn next_key(turn: usize, revoked: usize, keys: usize) -> usize {
    if turn.is_multiple_of(2) { turn / 2 % keys } else { (revoked + 1).saturating_sub(turn / 2 % 4).min(keys - 1) }
}

async fn decide(recorder: &Recorder, client: usize, replica: usize, key: usize, visitor: &Visitor) {
    let begun = recorder.decide(client, replica, key);
    let reply = visitor.send(Method::POST, "/v1/authorize", Some(json!({ "action": "classify:create" }))).await;
    match reply {
        Ok(reply) => begun.end(Answer::of(Some(reply.status), reply.code()), reply.revision),
        Err(_) => begun.end(Answer::Nothing, None),
    }
}
