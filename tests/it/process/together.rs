//! Many processes that start at the same moment on a database that is empty yet.

use std::{process::Command, thread};

use serde_json::{Value, json};

use super::{
    alone::assert_taken,
    serve::{Place, on_both_engines},
};
use crate::support::program::{Program, command, run};

const MANY: usize = 8;

/// Does the same many times at once.
fn at_once<T: Send>(act: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..MANY).map(|_| scope.spawn(&act)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_migrations_is_applied_and_the_others_find_it_done() {
    on_both_engines(async |place| {
        let ran = at_once(|| run(command(place.path(), &["migrate", "up", "-o", "json", "--database", &place.url])));
        let mut applied = 0;
        for output in &ran {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            if told != json!({ "applied": [] }) {
                assert_eq!(told, json!({ "applied": ["0001_init", "0002_expand_replicas"] }));
                applied += 1;
            }
        }
        assert_eq!(applied, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_servers_that_start_on_an_empty_postgres_share_one_history() {
    let place = Place::postgres().await;
    let servers = at_once(|| Program::start(place.command(&[])));
    let mut epochs = Vec::new();
    for server in &servers {
        let digest = server.bearer("none").get("/internal/digest").await.expect(200);
        epochs.push(digest.text("/epoch"));
        server.bearer("none").get("/readyz").await.expect(200);
    }
    assert!(!epochs[0].is_empty() && epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    let owner = place.owner().await;
    let replicas = servers[0].bearer(&owner).get("/v1/replicas").await.expect(200);
    assert_eq!((replicas.body["data"].as_array().unwrap().len(), replicas.text("/epoch")), (MANY, epochs[0].clone()));
    // A write at one is a fact at all, as the last thing that shows that they are one.
    let org = servers[0].bearer(&owner).create_org("acme").await;
    let (_, secret) = servers[1].bearer(&owner).create_key(&org, &["scan:create"]).await;
    servers[1].bearer(&owner).post("/v1/orgs?wait=all", json!({ "name": "last", "slug": "last" })).await.expect(201);
    for server in &servers {
        server.bearer(&secret).authorize("scan:create").await.expect(200);
    }
    drop(servers);
    place.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_servers_that_start_on_an_empty_file_serves_and_the_others_say_why_not() {
    let place = Place::sqlite();
    let file = place.url.strip_prefix("sqlite:").unwrap();
    let start = |command: Command| Program::start_or_end(command);
    let (mut ready, mut refused) = (Vec::new(), 0);
    for started in at_once(|| start(place.command(&[]))) {
        match started {
            Ok(server) => ready.push(server),
            Err(output) => {
                assert_taken(&output, file);
                refused += 1;
            }
        }
    }
    assert_eq!((ready.len(), refused), (1, MANY - 1));
    ready[0].bearer("none").get("/readyz").await.expect(200);
    let owner = place.owner().await;
    ready[0].bearer(&owner).create_org("acme").await;
}
