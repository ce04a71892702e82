//! Whatever the collector does, the server decides as before, grows no larger, says what it lost, and stops.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::assert_json_lines;
use crate::support::program::{Program, command};

/// A collector as nobody wants it: what it does with a connection.
type Collector = fn(TcpStream);

fn refuses(mut stream: TcpStream) {
    let mut bytes = [0; 65_536];
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
    let mut bytes = [0; 65_536];
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

/// Memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_collector_however_bad_stops_a_decision_or_fills_the_memory() {
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
    // What is kept on purpose is not in question here.
    dev.env("CLAVIGER_LOG__RECENT", "0").env("CLAVIGER_LOG__DECISIONS", "off");
    let server = Program::start(dev);
    let caller = server.bearer(&server.told("/keys/full_access"));
    let requests = vec![json!({ "action": "scan:create" }); 100];
    let batches = async |count: usize| {
        for _ in 0..count {
            let answer = caller.post("/v1/authorize/batch", json!({ "requests": requests })).await;
            answer.expect(200);
        }
    };
    batches(20).await;
    let before = resident(server.pid());
    // Twenty thousand spans of about two kilobytes.
    batches(200).await;
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(grown < 20 * 1024, "{grown} KiB more");
    caller.authorize("scan:create").await.expect(200);
    let said = server.stop();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("spans were lost"), "{}", said.stderr);
    assert_json_lines(&said.stderr);
}
