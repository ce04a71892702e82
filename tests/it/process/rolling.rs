//! A rolling restart behind a proxy: each server in turn is told to stop and another takes its place, and nobody notices.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
    program::Visitor,
    proxy::{Proxy, free_address},
};

const SERVERS: usize = 3;
const CLIENTS: usize = 6;
/// The servers stop as they do by default, and say what they decided.
const SETTINGS: &[(&str, &str)] = &[("CLAVIGER_HTTP__SHUTDOWN_DELAY", ""), ("CLAVIGER_LOG__DECISIONS", "true")];

/// What clients of the proxy have seen.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// Asks for the same again and again, until it is over.
async fn ask(visitor: Visitor, path: &'static str, expected: u16, pause: Duration, seen: Arc<Seen>) {
    for n in 0.. {
        if seen.over.load(Ordering::SeqCst) {
            break;
        }
        let body = match path {
            "/v1/authorize" => json!({ "action": "classify:create" }),
            _ => json!({ "name": "Rolling", "slug": format!("rolling-{n}") }),
        };
        match visitor.send(Method::POST, path, Some(body)).await {
            Ok(reply) if reply.status == expected => {
                seen.answered.fetch_add(1, Ordering::SeqCst);
            }
            failed => seen.failures.lock().unwrap().push(format!("{path}: {failed:?}")),
        }
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request() {
    let url = postgres_url().await;
    let mut fleet = Fleet::start(&url, 0, &[]).await;
    let addresses: Vec<_> = (0..SERVERS).map(|_| free_address()).collect();
    for address in &addresses {
        let member = fleet.launch_at(address, SETTINGS).await;
        fleet.members.push(member);
    }
    let (_, secret) = fleet.keys(1).await.remove(0);
    let proxy = Proxy::before(&addresses).await;
    for server in 0..SERVERS {
        proxy.sees(server, true).await;
    }

    let (seen, mut clients) = (Arc::new(Seen::default()), JoinSet::new());
    for client in 0..CLIENTS {
        let visitor = Visitor::at(&proxy.url, &secret, client % 2 == 0);
        clients.spawn(ask(visitor, "/v1/authorize", 200, Duration::from_millis(10), Arc::clone(&seen)));
    }
    let owner = Visitor::at(&proxy.url, &fleet.owner, false);
    clients.spawn(ask(owner, "/v1/orgs", 201, Duration::from_millis(200), Arc::clone(&seen)));

    for (server, address) in addresses.iter().enumerate() {
        let old = fleet.members.remove(0);
        let said = tokio::task::spawn_blocking(|| old.program.stop()).await.unwrap();
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert!(said.stderr.contains("\"event\":\"decision\""), "server {server} was asked nothing");
        let new = fleet.launch_at(address, SETTINGS).await;
        fleet.members.push(new);
        proxy.sees(server, true).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    seen.over.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let answered = seen.answered.load(Ordering::SeqCst);
    eprintln!("{answered} requests answered");
    let failures = std::mem::take(&mut *seen.failures.lock().unwrap());
    assert!(failures.is_empty(), "{} of {} failed: {failures:#?}", failures.len(), answered + failures.len());
    for member in fleet.members.drain(..) {
        let said = tokio::task::spawn_blocking(|| member.program.stop()).await.unwrap();
        assert!(said.stderr.contains("\"event\":\"decision\""), "a server that came back was asked nothing");
    }
    drop(proxy);
    drop_database(&url).await;
}
