//! The built `claviger serve` as a process, and what the kernel says of its memory.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

/// Nothing here takes this long, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) struct Server {
    process: Child,
    url: String,
    client: reqwest::Client,
    /// From the start of the process to its ready line.
    pub(crate) ready: Duration,
}

/// Megabytes (10⁶ bytes): resident now, and at most so far.
pub(crate) struct Memory {
    now: u64,
    most: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.now, self.most)
    }
}

impl Server {
    pub(crate) fn start(database: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--database", database]);
        command.args(["--policies", concat!(env!("CARGO_MANIFEST_DIR"), "/policies")]);
        command.args(["--schema", concat!(env!("CARGO_MANIFEST_DIR"), "/schema")]);
        command.env("CLAVIGER_LOG__LEVEL", "warn").env("CLAVIGER_LOG__DECISIONS", "false");
        let started = Instant::now();
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        let ready = started.elapsed();
        let line: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let url = line["url"].as_str().expect("the ready line has a URL").to_owned();
        Self { process, url, client: reqwest::Client::new(), ready }
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the process runs");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line about memory");
            let kibibytes: u64 = line.trim_end_matches("kB").trim().parse().expect("a number");
            kibibytes * 1_024 / 1_000_000
        };
        Memory { now: bytes("VmRSS:"), most: bytes("VmHWM:") }
    }

    pub(crate) async fn authorize(&self, secret: &str) {
        let request = self.client.post(format!("{}/v1/authorize", self.url)).bearer_auth(secret);
        let request = request.header("content-type", "application/json").body(r#"{"action":"classify:create"}"#);
        request.send().await.and_then(reqwest::Response::error_for_status).expect("a decision");
    }

    /// Gives the database another history and waits until it is loaded beside the old one.
    pub(crate) async fn reload(&self, database: &str) -> Duration {
        const OTHER: &str = "UPDATE meta SET epoch = 'x' || epoch, revision = revision + 1";
        let before = self.revision().await;
        let started = Instant::now();
        if database.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(database).await.expect("a connection");
            connection.execute(OTHER).await.expect("another epoch");
        } else {
            let mut connection = PgConnection::connect(database).await.expect("a connection");
            connection.execute(OTHER).await.expect("another epoch");
        }
        while self.revision().await.is_none_or(|now| Some(now) == before) && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started.elapsed()
    }

    /// The revision by which the server decides; `None` while it does not.
    async fn revision(&self) -> Option<i64> {
        let answer = self.client.get(format!("{}/readyz", self.url)).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        answer["revision"].as_i64()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
