//! A collector that is away, silent or unwilling costs spans, counted, and nothing else.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use claviger::{
    domain::{clock::Clock, key::Refusal, random::Random},
    telemetry::{self, Counts, MetricsConfig, RecentFilter, Recorder, Rules, TraceConfig},
};
use mock_collector::{MockServer, Protocol};
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};

use super::{
    LogConfig, Outcome, Telemetry, TelemetryError, allowed, apart, batch, forbidden, one, open, to, without_decision_lines,
};

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A collector made of a closure, which is given each connection.
fn listener(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

/// Reads one request's head and the body that its length announces.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    let _ = stream.read_exact(&mut body);
    head
}

/// Ends telemetry within what is promised: 5 s, and something for a busy machine.
async fn end(telemetry: Telemetry) -> Counts {
    let recorder = telemetry.recorder();
    timeout(Duration::from_secs(8), telemetry.shutdown()).await.unwrap();
    recorder.counts()
}

#[tokio::test]
async fn a_collector_that_is_away_stops_no_decision_and_every_lost_span_is_counted() {
    let (telemetry, written) = open(&LogConfig::default(), &to(format!("http://{}", nobody()))).unwrap();
    (0..1_000).for_each(|_| telemetry.recorder().record(one(allowed())));
    let counts = end(telemetry).await;
    assert_eq!((counts.spans_exported, counts.spans_dropped + counts.spans_failed), (0, 1_000));
    assert_eq!(written.lines().iter().filter(|line| line["event"] == "decision").count(), 1_000);
}

#[tokio::test]
async fn a_collector_that_never_answers_fills_the_queue_and_no_more() {
    let held = mpsc::channel();
    let address = listener(move |stream| held.0.send(stream).unwrap());
    let trace = TraceConfig { queue: 600, ..to(format!("http://{address}")) };
    let (telemetry, _) = open(&without_decision_lines(), &trace).unwrap();
    let recorder = telemetry.recorder();
    (0..10_000).for_each(|_| recorder.record(one(allowed())));
    // 600 wait, and at most two exports were taken from the queue meanwhile.
    assert!(recorder.counts().spans_dropped >= 10_000 - 600 - 2 * 512, "{:?}", recorder.counts());
    let counts = end(telemetry).await;
    assert_eq!((counts.spans_exported, counts.spans_dropped + counts.spans_failed), (0, 10_000));
}

#[tokio::test]
async fn what_waits_for_a_collector_is_bounded_in_bytes_too() {
    let held = mpsc::channel();
    let address = listener(move |stream| held.0.send(stream).unwrap());
    let trace = TraceConfig { queue: 1_000_000, queue_bytes: 1024 * 1024, ..to(format!("http://{address}")) };
    let (telemetry, _) = open(&without_decision_lines(), &trace).unwrap();
    let recorder = telemetry.recorder();
    (0..10_000).for_each(|_| recorder.record(one(allowed())));
    let dropped = recorder.counts().spans_dropped;
    // A record of one decision holds some hundred bytes.
    assert!((4_000..9_900).contains(&dropped), "{dropped}");
    let counts = end(telemetry).await;
    assert_eq!((counts.spans_exported, counts.spans_dropped + counts.spans_failed), (0, 10_000));
}

/// A collector that takes nothing.
fn unwilling() -> SocketAddr {
    listener(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    })
}

#[test]
fn losses_are_told_by_one_line_and_not_by_one_for_each_export() {
    let Some(log) = apart("telemetry::losses::losses_are_told_by_one_line_and_not_by_one_for_each_export") else {
        return Runtime::new().unwrap().block_on(lose_three_times());
    };
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<_> = lines.map(|line| (line["level"].clone(), line["lost"].clone(), line["target"].clone())).collect();
    let line = |lost: u64| ("WARN".into(), lost.into(), "claviger::telemetry::export".into());
    assert_eq!(told, [line(1), line(2)], "the first loss, and at the end the rest: {log}");
}

async fn lose_three_times() {
    let trace = to(format!("http://{}", unwilling()));
    let telemetry = telemetry::start(
        &without_decision_lines(),
        &trace,
        &MetricsConfig::default(),
        Rules::default(),
        &Clock::System,
        &Random::System,
    )
    .unwrap();
    let recorder = telemetry.recorder();
    for n in 1..=3 {
        recorder.record(one(allowed()));
        while recorder.counts().spans_failed < n {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_collector_that_refuses_loses_the_spans_and_they_are_counted() {
    let (telemetry, _) = open(&without_decision_lines(), &to(format!("http://{}", unwilling()))).unwrap();
    telemetry.recorder().record(batch([allowed(), allowed()]));
    assert_eq!(end(telemetry).await, Counts { spans_failed: 3, ..Counts::default() });
}

#[tokio::test]
async fn a_collector_that_comes_back_is_given_what_waited() {
    let address = nobody();
    let (telemetry, _) = open(&without_decision_lines(), &to(format!("http://{address}"))).unwrap();
    (0..600).for_each(|_| telemetry.recorder().record(one(allowed())));
    // A full batch is tried at once and finds nobody; the collector starts while it is tried again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let server = MockServer::builder().protocol(Protocol::HttpBinary).port(address.port()).start().await.unwrap();
    server.wait_for_spans(600, Duration::from_secs(20)).await.unwrap();
    assert_eq!(end(telemetry).await, Counts { spans_exported: 600, ..Counts::default() });
}

#[tokio::test]
async fn the_configured_headers_go_to_the_path_of_the_standard() {
    let (sender, requests) = mpsc::channel();
    let address = listener(move |mut stream| {
        sender.send(read_request(&mut stream)).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
    let headers = [("x-token".to_owned(), "hunter22".into())].into();
    let (telemetry, written) = open(&LogConfig::default(), &TraceConfig { headers, ..to(format!("http://{address}")) }).unwrap();
    telemetry.recorder().record(one(allowed()));
    assert_eq!(end(telemetry).await.spans_exported, 1);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("x-token: hunter22\r\n") && request.contains("content-type: application/x-protobuf\r\n"),
        "{request}"
    );
    assert!(!written.text().contains("hunter22"));
}

#[tokio::test]
async fn when_nobody_wants_records_none_is_kept() {
    let log = LogConfig { recent: 0, ..without_decision_lines() };
    let (telemetry, written) = open(&log, &TraceConfig::default()).unwrap();
    assert!(!telemetry.recorder().wants_records() && telemetry.recorder().recent().is_none());
    telemetry.recorder().record(one(allowed()));
    Recorder::off().record(one(allowed()));
    assert_eq!((end(telemetry).await, written.text()), (Counts::default(), String::new()));
}

#[tokio::test]
async fn every_decision_is_kept_whatever_is_logged_and_sampled() {
    let trace = TraceConfig { allow_ratio: 0.0, ..to(format!("http://{}", nobody())) };
    for log in [LogConfig::default(), without_decision_lines()] {
        let (telemetry, _) = open(&log, &trace).unwrap();
        let recorder = telemetry.recorder();
        recorder.record(one(allowed()));
        recorder.record(batch([allowed(), forbidden(), allowed()]));
        (0..500).for_each(|_| recorder.record(one(Outcome::Refused(Refusal::Unknown))));
        assert_eq!(recorder.recent().unwrap().list(&RecentFilter::default(), 1_000, None).0.len(), 504);
        end(telemetry).await;
    }
}

/// A log that nobody reads: the first write never returns.
struct Unread;

impl Write for Unread {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        loop {
            thread::park();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_decision() {
    let (clock, random) = (Clock::System, Random::System);
    let telemetry = telemetry::open(
        &LogConfig::default(),
        &TraceConfig::default(),
        &MetricsConfig::default(),
        Rules::default(),
        &clock,
        &random,
        Box::new(Unread),
    )
    .unwrap();
    let recorder = telemetry.recorder();
    (0..1_000).for_each(|_| recorder.record(batch((0..100).map(|_| allowed()))));
    let dropped = recorder.counts().lines_dropped;
    assert!((34_000..=34_500).contains(&dropped), "{dropped}");
    end(telemetry).await;
}

#[tokio::test]
async fn what_is_recorded_after_the_end_is_counted() {
    let (telemetry, written) = open(&LogConfig::default(), &TraceConfig::default()).unwrap();
    let recorder = telemetry.recorder();
    assert_eq!(end(telemetry).await, Counts::default());
    recorder.record(batch([allowed(), allowed()]));
    assert_eq!((recorder.counts().lines_dropped, written.text()), (2, String::new()));
}

#[test]
fn settings_that_make_no_sense_are_refused_before_anything_starts() {
    let log = LogConfig { level: "inof".to_owned(), ..LogConfig::default() };
    assert!(matches!(open(&log, &TraceConfig::default()), Err(TelemetryError::Level(_))));
    assert!(matches!(open(&LogConfig::default(), &to("localhost:4318")), Err(TelemetryError::Endpoint(_))));
}
