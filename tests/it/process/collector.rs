//! Whatever the collector does, the server decides as before, says what it lost, and stops.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use mock_collector::{MockServer, Protocol};
use serde_json::json;
use tempfile::TempDir;

use super::assert_json_lines;
use crate::support::program::{Program, command};

/// A collector as nobody wants it: what it does with a connection.
type Collector = fn(TcpStream);

fn refuses(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) {
        if stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn hangs_up(stream: TcpStream) {
    drop(stream);
}

fn never_answers(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) {}
}

/// Reads, and answers, ten bytes a second.
fn dawdles(mut stream: TcpStream) {
    let mut bytes = [0; 10];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) && stream.write_all(b"HTTP/1.1 2").is_ok() {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Where it listens; `None` for one that is away.
fn listen(collector: Option<Collector>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    if let Some(collector) = collector {
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || collector(stream));
            }
        });
    }
    endpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_collector_however_bad_stops_a_decision_or_the_server() {
    let collectors: [Option<Collector>; 5] = [None, Some(refuses), Some(hangs_up), Some(never_answers), Some(dawdles)];
    let all = collectors.into_iter().zip(["grpc", "http/protobuf"].into_iter().cycle()).map(|(collector, protocol)| {
        let endpoint = listen(collector);
        assert_goes_on(endpoint, protocol)
    });
    futures_util::future::join_all(all).await;
}

async fn assert_goes_on(endpoint: String, protocol: &'static str) {
    let directory = TempDir::new().unwrap();
    let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
    dev.env("CLAVIGER_TRACE__ENDPOINT", endpoint).env("CLAVIGER_TRACE__PROTOCOL", protocol);
    dev.env("CLAVIGER_TRACE__QUEUE", "512").env("CLAVIGER_TRACE__QUEUE_BYTES", "1048576");
    let server = Program::start(dev);
    let caller = server.bearer(&server.told("/keys/full_access"));
    let requests = vec![json!({ "action": "scan:create" }); 100];
    // Four times what may wait.
    for _ in 0..20 {
        caller.post("/v1/authorize/batch", json!({ "requests": requests })).await.expect(200);
    }
    caller.authorize("scan:create").await.expect(200);
    let said = server.stop();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("spans were lost"), "{}", said.stderr);
    assert_json_lines(&said.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_for_longer_than_an_export_may_take_is_given_everything_when_it_is_back() {
    let directory = TempDir::new().unwrap();
    let endpoint = listen(None);
    let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
    dev.env("CLAVIGER_TRACE__ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_TIMEOUT", "1500");
    let server = Program::start(dev);
    let caller = server.bearer(&server.told("/keys/full_access"));
    for _ in 0..10 {
        caller.authorize("scan:create").await.expect(200);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let collector = MockServer::builder().protocol(Protocol::HttpBinary).port(port).start().await.unwrap();
    collector.wait_for_spans(10, Duration::from_secs(30)).await.unwrap();
    let said = server.stop();
    assert!(!said.stderr.contains("spans were lost"), "{}", said.stderr);
}
