//! The metrics of a running server: where they can be asked for, what tools of the field make of them, where they are sent.
#![expect(clippy::float_cmp, reason = "counts are whole numbers, and what else is compared went through no arithmetic")]

mod collected;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::{eventually, serve::Place};
use crate::support::{
    postgres::Cluster,
    program::{Program, command, copy_files, run, shipped_directory},
    scrape::{CLASSIC, OPEN_METRICS, Scrape},
};

/// `dev` with metrics, in an empty directory.
fn dev(directory: &TempDir) -> Command {
    let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
    dev.env("CLAVIGER_METRICS__LISTEN", "127.0.0.1:0");
    dev
}

/// The status and the head of the answer to a bare request.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// What promtool says of a page: nothing.
fn assert_promtool_is_content(page: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is there: it comes with the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let told = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && told.is_empty(), "{}\n{page}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own_which_ends_with_the_server() {
    let place = Place::sqlite();
    let mut serve = place.command(&[]);
    serve.env("CLAVIGER_METRICS__LISTEN", "127.0.0.1:0");
    let server = Program::start(serve);
    let (url, metrics_url) = (server.told("/url"), server.told("/metrics_url"));
    let (api, metrics) =
        (url.trim_start_matches("http://"), metrics_url.trim_start_matches("http://").trim_end_matches("/metrics"));
    for (address, request, status) in [
        (metrics, "GET /metrics", 200),
        (metrics, "GET /metrics?name=x", 200),
        (metrics, "HEAD /metrics", 405),
        (metrics, "POST /metrics", 405),
        (metrics, "GET /", 404),
        (metrics, "GET /metrics/", 404),
        (metrics, "GET /livez", 404),
        (metrics, "POST /v1/authorize", 404),
        (api, "GET /metrics", 404),
        (api, "GET /livez", 200),
    ] {
        let (given, answer) = ask(address, request);
        assert_eq!(given, status, "{request}: {answer}");
        assert_eq!(status == 405, answer.contains("allow: GET\r\n"), "{answer}");
    }
    let metrics = metrics.to_owned();
    let said = server.stop();
    assert!(said.code == Some(0) && said.stderr.contains(&format!("\"metrics\":\"{metrics}\"")), "{}", said.stderr);
    assert!(TcpStream::connect(&metrics).is_err());
}

#[test]
fn a_port_for_metrics_that_is_taken_is_told_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::sqlite();
    let mut serve = place.command(&[]);
    serve.env("CLAVIGER_METRICS__LISTEN", &address);
    let output = run(serve);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{said}");
    assert!(said.contains(&format!("`{address}` is taken by another process")) && said.contains("`metrics.listen`"), "{said}");
    let mut dev = command(place.path(), &["dev", "--listen", "127.0.0.1:0"]);
    dev.env("CLAVIGER_METRICS__LISTEN", "0.0.0.0:0");
    assert_eq!(run(dev).status.code(), Some(2), "`dev` is for this machine only");
}

#[tokio::test]
async fn promtool_and_the_readers_of_openmetrics_are_content() {
    let directory = TempDir::new().unwrap();
    let server = Program::start(dev(&directory));
    let metrics_url = server.told("/metrics_url");
    assert_promtool_is_content(&Scrape::of(&metrics_url, CLASSIC).await.1);
    let (admin, key) = (server.bearer(&server.told("/admin_token")), server.bearer(&server.told("/keys/read_only")));
    key.authorize("jobs:read").await.expect(200);
    key.authorize("scan:create").await.expect(403);
    key.authorize("\"\\\n").await.expect(422);
    server.bearer("none").authorize("jobs:read").await.expect(401);
    admin.create_org("measured").await;
    admin.get("/v1/nowhere").await.expect(404);
    let (read, text) = Scrape::of(&metrics_url, CLASSIC).await;
    assert_promtool_is_content(&text);
    let (open, _) = Scrape::of(&metrics_url, OPEN_METRICS).await;
    for read in [read, open] {
        assert_eq!(read.value("claviger_decisions_total", &[]), 4.0);
        assert_eq!(read.value("claviger_audit_writes_total", &[]), 1.0);
    }
}

#[tokio::test]
async fn a_reload_is_counted_whether_it_fails_or_succeeds() {
    let directory = TempDir::new().unwrap();
    for name in ["policies", "schema"] {
        copy_files(&shipped_directory(name), &directory.path().join(name));
    }
    let server = Program::start(dev(&directory));
    let metrics_url = server.told("/metrics_url");
    let counts = async || {
        let (read, _) = Scrape::of(&metrics_url, CLASSIC).await;
        let reloads = |outcome| read.value("claviger_policy_reloads_total", &[("outcome", outcome)]);
        let refused = read.value("claviger_policy_refused", &[]);
        (reloads("success"), reloads("failure"), refused, read.value("claviger_policy_last_success_seconds", &[]))
    };
    let (.., first) = counts().await;
    let file = directory.path().join("policies").join("more.cedar");
    fs::write(&file, "forbid (principal, action, resource").unwrap();
    let after = async |success, failure, refused| {
        eventually(&format!("{success} reloads and {failure} failures"), Duration::from_secs(30), async || {
            let (succeeded, failed, refuses, last) = counts().await;
            (succeeded == success && failed == failure && refuses == refused).then_some(last)
        })
        .await
    };
    assert_eq!(after(0.0, 1.0, 1.0).await, first);
    let closed = r#"@id("scans-closed") forbid (principal, action == Action::"scan:create", resource);"#;
    fs::write(&file, closed).unwrap();
    assert!(after(1.0, 1.0, 0.0).await > first);
}

#[tokio::test]
async fn metrics_are_there_while_the_database_is_away_and_tell_how_long() {
    let (mut cluster, place) = (Cluster::own(), Place::sqlite());
    let mut serve = place.command(&[]);
    serve.env("CLAVIGER_METRICS__LISTEN", "127.0.0.1:0").env("CLAVIGER_DATABASE__URL", cluster.url());
    serve.env("CLAVIGER_CONSISTENCY__MAX_STALENESS", "2s");
    let server = Program::start(serve);
    let metrics_url = server.told("/metrics_url");
    cluster.stop();
    eventually("an age past the lease", Duration::from_secs(30), async || {
        let (read, _) = Scrape::of(&metrics_url, CLASSIC).await;
        (read.value("claviger_snapshot_age_seconds", &[]) > 2.5).then_some(())
    })
    .await;
    server.bearer("none").authorize("jobs:read").await.expect(503);
    let (read, _) = Scrape::of(&metrics_url, CLASSIC).await;
    assert_eq!(read.value("claviger_decisions_total", &[("code", "STALE_SNAPSHOT"), ("action", "other")]), 1.0);
    assert_eq!(read.value("claviger_keys_rejected_total", &[]), 0.0, "nothing is known of the key");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_there_while_every_worker_decides() {
    let directory = TempDir::new().unwrap();
    let server = Program::start(dev(&directory));
    let key = server.bearer(&server.told("/keys/full_access"));
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(async move {
                loop {
                    key.authorize("jobs:read").await.expect(200);
                }
            })
        })
        .collect();
    let mut last = 0.0;
    for _ in 0..20 {
        let (read, _) = Scrape::of(&server.told("/metrics_url"), OPEN_METRICS).await;
        let now = read.value("claviger_decisions_total", &[("decision", "allow")]);
        assert!(now >= last, "{now} {last}");
        last = now;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(last > 0.0);
    let wrong = server.bearer(&server.told("/keys/full_access")).post("/v1/authorize", json!({})).await;
    assert_eq!(wrong.status, 400);
}
