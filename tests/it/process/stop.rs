//! A server that is told to stop: it sends everybody away, answers what it has begun, and leaves nothing behind.

use std::{
    future::ready,
    process::Child,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    eventually,
    serve::{Place, on_both_engines},
};
use crate::support::{
    engines::number,
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
    program::{Program, send},
    relay::Fault,
    wire::read_all,
};

/// Every stop ends by then.
const END: Duration = Duration::from_secs(30);
/// The longest there is.
const DELAY: (&str, &str) = ("CLAVIGER_HTTP__SHUTDOWN_DELAY", "8s");
const DELAY_TIME: Duration = Duration::from_secs(8);
const QUESTION: &str = r#"{"action":"classify:create"}"#;

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(address(url)).await.unwrap()
}

/// A request that asks to keep the connection.
fn letter(method: &str, path: &str, secret: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An answer as it came, from a connection that the server then closed.
async fn ask(url: &str, letter: &str) -> String {
    let mut stream = connect(url).await;
    stream.write_all(letter.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

/// The answer has this status and says that the connection is at its end.
#[track_caller]
fn assert_last(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
    let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    assert!(head.contains("\r\nconnection: close"), "{answer}");
}

/// Waits until the port takes no connection.
async fn refused(url: &str) {
    let ask = async || TcpStream::connect(address(url)).await.is_err().then_some(());
    eventually("connections are refused", END, ask).await;
}

async fn stopping(url: &str) {
    let ready = letter("GET", "/readyz", "", "");
    let told = async || {
        let mut stream = connect(url).await;
        stream.write_all(ready.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        (&answer == b"HTTP/1.1 503").then_some(())
    };
    eventually("/readyz says that the server stops", END, told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_sends_everybody_away_and_answers_whatever_it_was_asked() {
    on_both_engines(async |place| {
        let mut serve = place.command(&[]);
        serve.env(DELAY.0, DELAY.1);
        let server = Program::start(serve);
        let (url, owner) = (server.told("/url"), place.owner().await);
        let admin = server.bearer(&owner);
        let org = admin.create_org("acme").await;
        let (key, secret) = admin.create_key(&org, &["classify:create"]).await;

        // One request is under way before the signal, and idle connections are open.
        let whole = letter("POST", "/v1/authorize", &secret, QUESTION);
        let (sent, unsent) = whole.split_at(whole.len() - 9);
        let mut slow = connect(&url).await;
        slow.write_all(sent.as_bytes()).await.unwrap();
        let mut idle = connect(&url).await;
        idle.write_all(whole.as_bytes()).await.unwrap();
        let mut first = vec![0; 15];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(first, b"HTTP/1.1 200 OK");

        send("TERM", server.pid());
        stopping(&url).await;
        let readyz = ask(&url, &letter("GET", "/readyz", "", "")).await;
        assert_last(&readyz, "503");
        assert!(readyz.contains(r#""code":"NOT_READY""#), "{readyz}");
        let letters = [
            (whole.clone(), "200"),
            (letter("POST", "/v1/authorize", &secret, r#"{"action":"scan:create"}"#), "403"),
            (letter("POST", "/v1/authorize", "nobody", QUESTION), "401"),
            (letter("POST", "/v1/authorize", &secret, "{"), "400"),
            (letter("GET", "/livez", "", ""), "200"),
            (letter("GET", "/nowhere", "", ""), "404"),
            (letter("GET", &format!("/v1/keys/{key}"), &owner, ""), "200"),
            (letter("POST", "/v1/orgs", &owner, r#"{"name":"Late","slug":"late"}"#), "201"),
        ];
        for (letter, status) in &letters {
            assert_last(&ask(&url, letter).await, status);
        }

        // It has 10 s to arrive, whatever the delay is.
        send("INT", server.pid());
        refused(&url).await;
        slow.write_all(unsent.as_bytes()).await.unwrap();
        assert_last(&read_all(&mut slow).await, "200");
        read_all(&mut idle).await;
        assert_eq!(server.ended().code, Some(0));
        if place.url.starts_with("postgres") {
            assert_eq!(number(&place.url, "SELECT count(*) FROM replica").await, 0);
        }
        let again = place.serve();
        let late = again.bearer(&owner).get("/v1/orgs?limit=200").await.expect(200);
        assert!(late.body.to_string().contains("late"), "{}", late.body);
    })
    .await;
}

/// Tells a server to stop, the second time while it still answers; how long its door stayed open after the first signal.
async fn time_to_refusal(signals: &[&str]) -> Duration {
    let place = Place::sqlite();
    let mut serve = place.command(&[]);
    serve.env(DELAY.0, DELAY.1);
    let server = Program::start(serve);
    let url = server.told("/url");
    let begun = Instant::now();
    send(signals[0], server.pid());
    if let Some(second) = signals.get(1) {
        stopping(&url).await;
        send(second, server.pid());
    }
    refused(&url).await;
    let took = begun.elapsed();
    assert_eq!(server.ended().code, Some(0), "{signals:?}");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_or_an_interrupt_skips_the_delay() {
    for signals in [&["INT"][..], &["TERM", "INT"], &["TERM", "TERM"]] {
        // A machine that stands still in between makes one of them look like a delay, hardly three.
        let mut skipped = false;
        for _ in 0..3 {
            skipped = time_to_refusal(signals).await < DELAY_TIME;
            if skipped {
                break;
            }
        }
        assert!(skipped, "{signals:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_all_is_answered_by_a_server_that_stops_as_far_as_it_has_come() {
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, 2, &[("CLAVIGER_CONSISTENCY__MAX_STALENESS", "60s")]).await;
    let owner = fleet.owner_at(0);
    let org = owner.create_org("acme").await;
    fleet.members[1].program.pause();
    let suspend = format!("/v1/orgs/{org}/suspend?wait=all");
    let waiting = tokio::spawn({
        let owner = owner.clone();
        async move { owner.post(&suspend, json!({ "reason": "unpaid" })).await }
    });
    let org = format!("/v1/orgs/{org}");
    let written = async || (owner.get(&org).await.expect(200).body["suspended_at"] != json!(null)).then_some(());
    eventually("the write is made", END, written).await;
    assert!(!waiting.is_finished());
    send("TERM", fleet.members[0].program.pid());
    let answer = timeout(END, waiting).await.unwrap().unwrap().expect(200);
    assert_eq!(answer.text("/propagated"), "pending");
    let mut members = fleet.members.into_iter();
    assert_eq!(members.next().unwrap().program.ended().code, Some(0));
    assert_eq!(number(&url, "SELECT count(*) FROM replica").await, 1);
    drop(members);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_went_silent_does_not_hold_up_the_end() {
    let url = postgres_url().await;
    let mut fleet = Fleet::start(&url, 1, &[]).await;
    let (_, secret) = fleet.keys(1).await.remove(0);
    fleet.key_at(0, &secret).authorize("classify:create").await.expect(200);
    let member = fleet.members.remove(0);
    member.relay.set(Fault::BlackHole);
    send("TERM", member.program.pid());
    let said = tokio::task::spawn_blocking(|| member.program.ended()).await.unwrap();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    drop(member.relay);
    drop_database(&url).await;
}

/// A server that has not said that it is ready. It ends when this is dropped.
struct Starting(Child);

impl Drop for Starting {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until somebody waits for a lock in this database, or nobody does.
async fn blocked(url: &str, somebody: bool) {
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let seen = async || ((number(url, waits).await > 0) == somebody).then_some(());
    eventually(if somebody { "a server waits for the lock" } else { "nobody waits for a lock" }, END, seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_stop_while_it_starts_ends_and_is_not_waited_for() {
    let place = Place::postgres().await;
    let url = place.url.clone();
    assert_eq!(place.serve().stop().code, Some(0));
    for (table, signal) in ["_sqlx_migrations", "api_key"].into_iter().flat_map(|table| [(table, "TERM"), (table, "INT")]) {
        let mut holder = PgConnection::connect(&url).await.unwrap();
        holder.execute(AssertSqlSafe(format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))).await.unwrap();
        let mut starting = Starting(place.command(&[]).spawn().unwrap());
        blocked(&url, true).await;
        send(signal, starting.0.id());
        let status = eventually("the server ends", END, || ready(starting.0.try_wait().unwrap())).await;
        assert_eq!(status.code(), Some(0), "{table}, {signal}: {status}");
        assert_eq!(number(&url, "SELECT count(*) FROM replica").await, 0, "{table}, {signal}");
        holder.close().await.unwrap();
        // Postgres goes on waiting for those that are gone.
        blocked(&url, false).await;
    }
    drop_database(&url).await;
}
