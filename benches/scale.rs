//! How much memory `claviger serve` takes and how long its start lasts, with a million keys, on SQLite and on Postgres.
//!
//! Run by hand: `cargo bench --bench scale`; `KEYS` (1,000,000) changes the number of keys, a tenth of it is the number of orgs.
//! It also loads everything anew under another epoch, because the old and the new rows then lie side by side.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench prints its table, and ends on the spot when it cannot measure"
)]

#[path = "scale/fill.rs"]
mod fill;
#[expect(clippy::unwrap_used, clippy::panic, unused, reason = "this file is the tests', which need more of it")]
#[path = "../tests/it/support/postgres.rs"]
mod postgres;
#[path = "scale/server.rs"]
mod server;

use std::time::Duration;

use server::{Memory, Server};

/// How often the server is asked before its memory is read again.
const DECISIONS: usize = 10;

#[tokio::main]
async fn main() {
    let keys = std::env::var("KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sqlite = format!("sqlite:{}", dir.path().join("claviger.db").display());
    let mut rows = Vec::new();
    for (engine, url) in [("SQLite", sqlite), ("Postgres", postgres::postgres_url().await)] {
        eprintln!("{engine}: making {keys} keys of {} orgs", keys / 10);
        let secrets = fill::fill(&url, keys).await;
        eprintln!("{engine}: measuring");
        rows.push((engine, measure(&url, &secrets).await));
    }
    report(keys, &rows);
}

struct Sample {
    ready: Duration,
    at_ready: Memory,
    after_decisions: Memory,
    reloaded: Duration,
    after_reload: Memory,
}

async fn measure(url: &str, secrets: &[String]) -> Sample {
    let server = Server::start(url);
    let at_ready = server.memory();
    for secret in secrets.iter().take(DECISIONS) {
        server.authorize(secret).await;
    }
    let after_decisions = server.memory();
    let reloaded = server.reload(url).await;
    Sample { ready: server.ready, at_ready, after_decisions, reloaded, after_reload: server.memory() }
}

fn report(keys: usize, rows: &[(&str, Sample)]) {
    println!("\n`claviger serve` with {keys} keys of {} orgs; resident now / at most, in MB\n", keys / 10);
    println!(
        "| | ready after | at ready | after {DECISIONS} decisions | after a whole reload (it took) |\n|---|---|---|---|---|"
    );
    for (engine, sample) in rows {
        println!(
            "| {engine} | {:.1} s | {} | {} | {} ({:.1} s) |",
            sample.ready.as_secs_f64(),
            sample.at_ready,
            sample.after_decisions,
            sample.after_reload,
            sample.reloaded.as_secs_f64()
        );
    }
}
