//! Servers whose clocks are wrong by an hour: what expires does so by the clock of the database.

use std::{path::PathBuf, time::Duration};

use claviger::domain::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::support::{
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
    program::{Reply, Visitor},
};

const HOUR_MS: i64 = 3_600_000;
/// How late an expiry may be honoured.
const LATE_MS: i64 = 1_000;
/// How much of an answer's way a server may take for a difference of clocks.
const EARLY_MS: i64 = 500;

/// Debian's library that shows a process another time.
fn library() -> String {
    let places = std::fs::read_dir("/usr/lib").unwrap().map(|place| place.unwrap().path().join("faketime/libfaketime.so.1"));
    let found: Option<PathBuf> = places.filter(|path| path.is_file()).min();
    let found = found.expect("this test needs libfaketime: install it, for example with `apt-get install faketime`");
    found.display().to_string()
}

/// The clock of this machine, which is the database's.
fn now() -> i64 {
    Clock::System.now().as_millis()
}

#[track_caller]
fn time(value: &Value) -> i64 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no time")).parse::<Timestamp>().unwrap().as_millis()
}

fn moment(ms: i64) -> String {
    Timestamp::from_millis(ms).to_string()
}

/// Asks until a key is refused everywhere: allowed before its end, refused after it.
async fn assert_ends(visitors: &[Visitor], end: i64, what: &str) {
    let mut refused = vec![false; visitors.len()];
    let mut allowed = 0;
    while refused.contains(&false) {
        for (at, visitor) in visitors.iter().enumerate() {
            let sent = now();
            let status = visitor.authorize("classify:create").await.status;
            let answered = now();
            match status {
                200 => {
                    allowed += 1;
                    assert!(!refused[at], "server {at}: {what} is allowed again");
                    assert!(sent <= end + LATE_MS, "server {at}: {what} is allowed {} ms after its end", sent - end);
                }
                401 => {
                    refused[at] = true;
                    assert!(answered >= end - EARLY_MS, "server {at}: {what} is refused {} ms before its end", end - answered);
                }
                other => panic!("server {at}: {what}: {other}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(allowed > 0, "{what} was never allowed");
}

/// What a write answers has the time of the database.
#[track_caller]
fn assert_written(reply: &Reply, pointer: &str, before: i64) {
    let told = time(reply.body.pointer(pointer).unwrap());
    assert!((before - LATE_MS..=now() + LATE_MS).contains(&told), "{pointer} is {} ms off", told - before);
}

/// Everything with a time in it, written at one server and honoured at all.
async fn assert_right(fleet: &Fleet, writer: usize, org: &str) {
    let owner = fleet.owner_at(writer);
    let everywhere = |secret: &str| (0..fleet.members.len()).map(|at| fleet.key_at(at, secret)).collect::<Vec<_>>();
    // Waited for, so that a refusal is one of what was written.
    let keys = format!("/v1/orgs/{org}/keys?wait=all");
    let key = async |fields: Value| {
        let mut body = json!({ "name": "CI", "environment": "live", "permissions": ["classify:create"] });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        owner.post(&keys, body).await
    };

    let before = now();
    let brief = key(json!({ "expires_in": "3s" })).await.expect(201);
    for pointer in ["/key/created_at", "/key/updated_at", "/key/secrets/0/created_at"] {
        assert_written(&brief, pointer, before);
    }
    let end = time(&brief.body["key"]["expires_at"]);
    assert!((before + 3_000 - LATE_MS..=now() + 3_000 + LATE_MS).contains(&end), "it ends {} ms after", end - before);
    assert_ends(&everywhere(&brief.text("/secret")), end, "a key that lives for 3 s").await;
    let path = format!("/v1/keys/{}", brief.text("/key/id"));
    assert_eq!(owner.get(&path).await.expect(200).text("/state"), "expired");

    let end = now() + 3_000;
    let dated = key(json!({ "expires_at": moment(end) })).await.expect(201);
    assert_eq!(dated.text("/key/state"), "active");
    assert_ends(&everywhere(&dated.text("/secret")), end, "a key with a date").await;
    key(json!({ "expires_at": moment(now() - HOUR_MS / 2) })).await.expect(422);
    let lasting = key(json!({ "expires_at": moment(now() + HOUR_MS / 2) })).await.expect(201);
    let old = lasting.text("/secret");

    let before = now();
    let path = format!("/v1/keys/{}/rotate?wait=all", lasting.text("/key/id"));
    let rotated = owner.post(&path, json!({ "overlap": "3s" })).await.expect(200);
    assert_written(&rotated, "/key/secrets/1/created_at", before);
    let end = time(&rotated.body["key"]["secrets"][0]["expires_at"]);
    assert!((before + 3_000 - LATE_MS..=now() + 3_000 + LATE_MS).contains(&end), "the overlap ends {} ms after", end - before);
    assert_ends(&everywhere(&old), end, "a rotated secret").await;
    for visitor in everywhere(&rotated.text("/secret")) {
        visitor.authorize("classify:create").await.expect(200);
    }
}

/// The clock that a server's log shows.
#[track_caller]
fn clock_of(log: &str) -> i64 {
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    time(&first["timestamp"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_is_by_the_clock_of_the_database_whatever_a_server_s_own_clock_says() {
    let (url, library) = (postgres_url().await, library());
    let mut fleet = Fleet::start(&url, 1, &[]).await;
    for shift in ["+1h", "-1h"] {
        let environment = [
            ("LD_PRELOAD", &*library),
            ("FAKETIME", shift),
            // Ages and timeouts are no matter of the wall clock.
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let member = fleet.launch_at("127.0.0.1:0", &environment).await;
        fleet.members.push(member);
    }
    let org = fleet.owner_at(0).create_org("acme").await;
    for writer in 0..fleet.members.len() {
        assert_right(&fleet, writer, &org).await;
    }
    for (at, member) in fleet.members.drain(..).enumerate() {
        let said = tokio::task::spawn_blocking(|| member.program.stop()).await.unwrap();
        let off = clock_of(&said.stderr) - now();
        let hours = [0, 1, -1][at];
        assert!((off - hours * HOUR_MS).abs() < HOUR_MS / 2, "server {at} was not lied to: its clock is {off} ms off");
    }
    drop_database(&url).await;
}
