//! Requests per second of one server core, as a ratio to the floor, in one interleaved run.
//!
//! Every server runs on core 0, `wrk` on core 1; each round measures every server once; medians count. Run by `scripts/bench`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench prints its table, and ends on the spot when it cannot measure"
)]

#[path = "load/collector.rs"]
mod collector;
#[path = "load/floor.rs"]
mod floor;
#[path = "load/policies.rs"]
mod policies;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use claviger::{
    domain::{
        audit::Author,
        clock::Clock,
        key::{Environment, NewKey},
        org::NewOrg,
        random::Random,
        secret::{Hashing, Plane, Secret, SecretPrefix},
    },
    policy::{Engine, Settings, SourceKind},
    store::{DatabaseConfig, Store},
};

const KEYS: usize = 10_000;
const CONNECTIONS: &str = "64";
/// Of the servers, those from here on export.
const EXPORTING: usize = 3;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("floor") => return runtime().block_on(floor::serve()),
        Some("collector") => return runtime().block_on(collector::serve()),
        _ => {}
    }
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seconds) = (number("ROUNDS", 5), number("SECONDS", 4));
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a temporary directory");
    let keys = dir.path().join("keys");
    runtime().block_on(prepare(dir.path(), &keys));
    let collector = Server::myself("collector", "1");
    let mut servers = vec![
        Server::myself("floor", "0").named("axum-json, decides nothing (the floor)"),
        Server::claviger(dir.path(), 8, None),
        Server::claviger(dir.path(), 1_000, None),
        Server::claviger(dir.path(), 8, Some(&("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone()))),
        Server::claviger(dir.path(), 8, Some(&("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.url)))),
    ];
    for server in &mut servers {
        server.requests += measure(server, &keys, 1).requests;
    }
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for server in &mut servers {
            let sample = measure(server, &keys, seconds);
            server.requests += sample.requests;
            server.samples.push(sample);
        }
    }
    report(&servers, rounds, seconds);
    stall(servers.split_off(EXPORTING), &collector, &keys, rounds);
}

/// What becomes of the spans when the collector stands still for three seconds at full load: of the last server, between rounds
/// in which nothing is amiss. The count is of all that export.
fn stall(mut exporting: Vec<Server>, collector: &Server, keys: &Path, rounds: usize) {
    let pid = collector.process.id().to_string();
    let signal = |name: &str, pid: &str| {
        Command::new("kill").args([name, pid]).status().expect("kill runs");
    };
    let (mut undisturbed, mut stalled) = (Vec::new(), Vec::new());
    let server = exporting.last().expect("one exports");
    for round in 1..=rounds {
        eprintln!("stall {round} of {rounds}");
        undisturbed.push(measure(server, keys, 6));
        stalled.push(std::thread::scope(|scope| {
            let load = scope.spawn(|| measure(server, keys, 6));
            std::thread::sleep(Duration::from_secs(1));
            signal("-STOP", &pid);
            std::thread::sleep(Duration::from_secs(3));
            signal("-CONT", &pid);
            load.join().expect("the load ends")
        }));
    }
    let requests = exporting.iter().map(|server| server.requests).sum::<u64>()
        + undisturbed.iter().chain(&stalled).map(|sample| sample.requests).sum::<u64>();
    // They flush what waits.
    for server in &mut exporting {
        signal("-TERM", &server.process.id().to_string());
        server.process.wait().expect("the server ends");
    }
    let count = count_of(&collector.url);
    let p99 = |samples: &[Sample]| median(samples, |sample| sample.p99_us);
    println!(
        "\nspans: {count} of at least {requests} decisions arrived, all rounds and {rounds} stalls of 3 s at full load included\n\
         p99 of {rounds} rounds with a stall {:.0} µs, of those between them {:.0} µs (medians): {:.2} of it",
        p99(&stalled),
        p99(&undisturbed),
        p99(&stalled) / p99(&undisturbed)
    );
}

fn count_of(url: &str) -> u64 {
    let count = async { reqwest::get(format!("{url}/count")).await.expect("an answer").text().await.expect("a text") };
    runtime().block_on(count).parse().expect("a number")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Ten thousand keys of one hundred orgs in a SQLite file, their secrets one to a line.
async fn prepare(dir: &Path, keys: &Path) {
    eprintln!("making {KEYS} keys");
    let config = DatabaseConfig { url: format!("sqlite:{}", dir.join("claviger.db").display()) };
    let store = Store::open(&config, Random::System).await.expect("the store opens");
    store.migrate().await.expect("the schema is made");
    let engine = Engine::load(&policies::set(8), &Settings::default()).expect("the policies load");
    let permissions = engine.expand(engine.permissions().iter().map(|info| info.name.as_str())).expect("known permissions");
    let author = || Author::system(Clock::System.now());
    let (mut secrets, mut org) = (String::new(), None);
    for index in 0..KEYS {
        if index % (KEYS / 100) == 0 {
            let slug = format!("acme-{index}").parse().expect("a slug");
            org = Some(
                store
                    .create_org(&author(), NewOrg { name: "Acme".parse().expect("a name"), slug })
                    .await
                    .expect("an org")
                    .value
                    .id,
            );
        }
        let secret = Secret::mint(&SecretPrefix::default(), Plane::Live, &Random::System).expect("randomness");
        let name = format!("Key {index}").parse().expect("a name");
        let new = NewKey { name, environment: Environment::Live, permissions: permissions.clone(), expires_at: None };
        store.create_key(&author(), org.expect("made before"), new, &Hashing::Plain.seal(&secret)).await.expect("a key");
        secrets.push_str(secret.expose());
        secrets.push('\n');
    }
    store.close().await;
    fs::write(keys, secrets).expect("the secrets are written");
}

struct Server {
    name: String,
    url: String,
    process: Child,
    samples: Vec<Sample>,
    /// All that were answered.
    requests: u64,
}

#[derive(Clone, Copy)]
struct Sample {
    requests: u64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Server {
    /// This program in another role, on a core.
    fn myself(role: &str, core: &str) -> Self {
        let program = std::env::current_exe().expect("this bench has a path");
        Self::start(role, Command::new("taskset").args(["-c", core]).arg(program).arg(role))
    }

    fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// `collector`: the variable that names it, for spans or for all, and its URL.
    fn claviger(dir: &Path, count: usize, collector: Option<&(&str, String)>) -> Self {
        let place = dir.join(format!("set-{count}-{}", collector.map_or("alone", |(variable, _)| *variable)));
        let (policies, schema) = (place.join("policies"), place.join("schema"));
        for folder in [&policies, &schema] {
            fs::create_dir_all(folder).expect("a folder for the policies");
        }
        for file in policies::set(count).iter() {
            let folder = if file.kind == SourceKind::Schema { &schema } else { &policies };
            fs::write(folder.join(&file.name), &file.text).expect("a policy file is written");
        }
        // One server to a file.
        let database = place.join("claviger.db");
        fs::copy(dir.join("claviger.db"), &database).expect("the database is copied");
        let mut command = Command::new("taskset");
        command.args(["-c", "0", env!("CARGO_BIN_EXE_claviger"), "serve", "--listen", "127.0.0.1:0", "--database"]);
        command.arg(format!("sqlite:{}", database.display())).arg("--policies").arg(policies).arg("--schema").arg(schema);
        command.env("CLAVIGER_LOG__DECISIONS", "false").env("CLAVIGER_LOG__LEVEL", "warn");
        command.envs(collector.map(|(variable, url)| (*variable, url)));
        let spans = match collector {
            None => "",
            Some((variable, _)) if variable.contains("TRACES") => ", every span exported",
            Some(_) => ", every span and the metrics exported",
        };
        Self::start(&format!("claviger, every decision fresh, {count} policies{spans}"), &mut command)
    }

    fn start(name: &str, command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts; is `taskset` installed?");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let url = ready["url"].as_str().expect("the ready line has a URL").to_owned();
        Self { name: name.to_owned(), url, process, samples: Vec::new(), requests: 0 }
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.samples, of)
    }
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn measure(server: &Server, keys: &Path, seconds: usize) -> Sample {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/wrk.lua");
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t", "1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-s", script, &server.url])
        .env("CLAVIGER_BENCH_KEYS", keys)
        .output()
        .expect("wrk runs; is it installed?");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result =
        text.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("no result from wrk: {text}"));
    let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().expect("a number")).collect();
    assert!(numbers[4] == 0.0, "{} of {} requests to {} failed", numbers[4], numbers[0], server.name);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let requests = numbers[0] as u64;
    Sample { requests, per_second: numbers[0] / numbers[1] * 1e6, p50_us: numbers[2], p99_us: numbers[3] }
}

fn report(servers: &[Server], rounds: usize, seconds: usize) {
    let floor = servers[0].median(|sample| sample.per_second);
    println!(
        "\nserver on core 0, wrk on core 1, {CONNECTIONS} connections, {KEYS} keys; medians of {rounds} rounds of {seconds} s\n"
    );
    println!("| through HTTP | req/s | of the floor | p50 / p99 µs |\n|---|---|---|---|");
    for server in servers {
        let per_second = server.median(|sample| sample.per_second);
        let (p50, p99) = (server.median(|sample| sample.p50_us), server.median(|sample| sample.p99_us));
        println!("| {} | {per_second:.0} | {:.0} % | {p50:.0} / {p99:.0} |", server.name, per_second / floor * 100.0);
    }
}
