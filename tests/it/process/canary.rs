//! A secret in every place of a request that there is: no output of a running server holds a part of it.

mod letters;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use self::letters::{Letter, letters};
use super::{Search, assert_files_hold_none, assert_json_lines, serve::Place};
use crate::support::{
    program::Program,
    receiver::Receiver,
    scrape::{CLASSIC, OPEN_METRICS, Scrape},
};

/// Secrets of every kind: what opens something, what no longer does, and what never did.
struct Secrets {
    owner: String,
    key: String,
    all: Vec<String>,
    org: String,
    key_id: String,
}

async fn secrets(place: &Place, server: &Program) -> Secrets {
    let owner = place.owner().await;
    let admin = server.bearer(&owner);
    let org = admin.create_org("acme").await;
    let (key_id, key) = admin.create_key(&org, &["jobs:read"]).await;
    let (revoked_id, revoked) = admin.create_key(&org, &["jobs:read"]).await;
    let rotated = admin.post(&format!("/v1/keys/{revoked_id}/rotate"), json!({ "overlap": "1h" })).await.expect(200);
    admin.post(&format!("/v1/keys/{revoked_id}/revoke"), json!({ "reason": "leaked" })).await.expect(200);
    let made = admin.post("/v1/admins", json!({ "name": "Grace", "role": "auditor" })).await.expect(201);
    let unknown = {
        use claviger::domain::{random::Random, secret::*};
        Secret::mint(&SecretPrefix::default(), Plane::Test, &Random::System).unwrap().expose().to_owned()
    };
    let all = vec![owner.clone(), key.clone(), revoked, rotated.text("/secret"), made.text("/secret"), unknown];
    Secrets { owner, key, all, org, key_id }
}

/// Sends bytes and reads all that comes back; what is no HTTP may be answered by the end of the connection.
fn send(server: &Program, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.told("/url").trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer, for a body that nobody read, is an end like any other.
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Sends every letter; claims that the search finds the secret in the letter and nothing in the answer.
fn send_all(server: &Program, search: &Search, letters: &[Letter]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for letter in letters {
        let bytes = letter.bytes();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(search.find(&bytes).is_some(), "the search does not see the secret in {shown}");
        let answer = send(server, &bytes);
        search.assert_finds_nothing(&answer, &format!("the answer to {shown}"));
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
        statuses.push(status.unwrap_or_else(|| panic!("no answer to {shown}")));
    }
    statuses
}

/// Claims that what is harmless arrives where a secret must not: there is something to search.
#[track_caller]
fn assert_tells(bytes: &[u8], marks: &[&str], what: &str) {
    for mark in marks {
        assert!(bytes.windows(mark.len()).any(|part| part == mark.as_bytes()), "{what} does not hold {mark}");
    }
}

/// Claims that neither the list of decisions nor what explains the last of them holds a part of a secret.
async fn assert_no_decision_shows_any(server: &Program, secrets: &Secrets, search: &Search) {
    let admin = server.bearer(&secrets.owner);
    let (mut ids, mut all, mut cursor) = (Vec::new(), String::new(), String::new());
    loop {
        let page = admin.get(&format!("/v1/decisions?limit=200{cursor}")).await.expect(200).body;
        ids.extend(page["data"].as_array().unwrap().iter().map(|view| view["id"].clone()));
        all.push_str(&page.to_string());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(ids.len() > 500, "{}", ids.len());
    for id in ids.iter().take(500) {
        all.push_str(&admin.post("/v1/explain", json!({ "decision_id": id })).await.expect(200).body.to_string());
    }
    search.assert_finds_nothing(all.as_bytes(), "the decisions in memory");
    assert_tells(all.as_bytes(), &["mark-of-a-resource", "mark-of-a-request", "mark-of-a-context"], "the decisions in memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_holds_a_part_of_a_secret_wherever_in_a_request_it_was() {
    let (place, receiver) = (Place::sqlite(), Receiver::start().await);
    let mut serve = place.command(&[]);
    serve.env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint);
    serve.env("CLAVIGER_METRICS__LISTEN", "127.0.0.1:0");
    serve.env("CLAVIGER_LOG__LEVEL", "trace").env("CLAVIGER_LOG__DECISIONS", "true");
    serve.env("CLAVIGER_RECORD__CONTEXT", r#"["a", "b"]"#);
    let server = Program::start(serve);
    let secrets = secrets(&place, &server).await;
    let search = Search::new(&secrets.all);

    let mut statuses = Vec::new();
    for secret in &secrets.all {
        statuses.extend(send_all(&server, &search, &letters(secret, &secrets)));
    }
    // Each way through the server was taken, and none of them broke.
    for status in [200, 400, 401, 403, 404, 405, 422] {
        assert!(statuses.contains(&status), "{status}");
    }
    assert!(!statuses.contains(&500), "{statuses:?}");
    let marked = server.bearer(&secrets.key);
    let question = json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "mark-of-a-resource" } });
    marked.post("/v1/authorize", question).await.expect(403);
    let question = json!({ "action": "jobs:read", "context": { "a": { "c": ["mark-of-a-context"] }, "b": "mark-of-a-context" } });
    marked.post("/v1/authorize", question).await.expect(422);
    server.bearer(&secrets.owner).create_org("mark-of-an-org").await;

    assert_no_decision_shows_any(&server, &secrets, &search).await;

    for form in [CLASSIC, OPEN_METRICS] {
        let (_, page) = Scrape::of(&server.told("/metrics_url"), form).await;
        search.assert_finds_nothing(page.as_bytes(), "the metrics");
        assert_tells(page.as_bytes(), &["claviger_decisions_total{action=\"jobs:read\"", "/v1/orgs/{org}"], "the metrics");
    }

    assert_files_hold_none(&secrets.all, place.path());
    let said = server.stop();
    assert_files_hold_none(&secrets.all, place.path());
    let database = std::fs::read(place.path().join("claviger.db")).unwrap();
    assert_tells(&database, &["mark-of-an-org", "mark-of-a-request"], "the database");
    search.assert_finds_nothing(said.stdout.as_bytes(), "stdout");
    search.assert_finds_nothing(said.stderr.as_bytes(), "stderr");
    assert_json_lines(&said.stderr);
    assert_tells(
        said.stderr.as_bytes(),
        &["\"event\":\"decision\"", "mark-of-a-resource", "mark-of-a-request", "mark-of-a-context"],
        "stderr",
    );
    let spans = receiver.bytes();
    search.assert_finds_nothing(&spans, "what the collector got");
    assert_tells(
        &spans,
        &["/v1/traces", "claviger.decision", "mark-of-a-resource", "mark-of-a-request", "mark-of-a-context"],
        "the collector",
    );
}
