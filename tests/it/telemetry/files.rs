//! The decision log as files: turned over, moved, torn, full, and never two servers'.

mod faults;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use claviger::{
    domain::{
        clock::{Clock, Timestamp},
        random::Random,
    },
    telemetry::{self, LogConfig, LoggedDecisions, MetricsConfig, Recorder, Rules, Telemetry, TelemetryError, TraceConfig},
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Written, allowed, batch, one};
use crate::process::eventually;

const NAME: &str = "decisions.jsonl";

/// A directory for logs, and a clock that stands still.
struct Logs {
    directory: TempDir,
    clock: Clock,
    config: LogConfig,
}

impl Logs {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let file = Some(directory.path().join(NAME));
        let clock = Clock::manual(Timestamp::from_millis(1_795_494_626_000));
        Self { clock, config: LogConfig { file, file_bytes: 64 * 1024, ..LogConfig::default() }, directory }
    }

    fn try_open(&self) -> Result<(Telemetry, Written), TelemetryError> {
        let written = Written::default();
        let output = Box::new(written.clone());
        let telemetry = telemetry::open(
            &self.config,
            &TraceConfig::default(),
            &MetricsConfig::default(),
            Rules::default(),
            &self.clock,
            &Random::seeded(3),
            output,
        )?;
        Ok((telemetry, written))
    }

    fn open(&self) -> (Telemetry, Written) {
        self.try_open().unwrap()
    }

    /// Writes the lines of these decisions, from a start to an end.
    async fn write(&self, ids: impl IntoIterator<Item = u32>) {
        let (telemetry, _) = self.open();
        ids.into_iter().for_each(|id| self.record(&telemetry.recorder(), id));
        telemetry.shutdown().await;
    }

    fn record(&self, recorder: &Recorder, id: u32) {
        let mut record = one(allowed());
        record.start = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.now().as_millis().try_into().unwrap());
        record.request_id = id.to_string().as_str().into();
        recorder.record(record);
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(NAME)
    }

    /// The names of all files but the lock's, sorted.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| *name != format!("{NAME}.lock")).collect();
        names.sort();
        names
    }
}

/// Which decisions a file holds; every line is whole.
fn ids(path: &Path) -> Vec<u32> {
    ids_so_far(path).unwrap_or_else(|| panic!("the last line of {} has no end", path.display()))
}

/// The same while it is written: nothing where a write is under way.
fn ids_so_far(path: &Path) -> Option<Vec<u32>> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}")));
    let ids = |line: Value| line["claviger.request.id"].as_str().unwrap().parse().unwrap();
    (text.is_empty() || text.ends_with('\n')).then(|| lines.map(ids).collect())
}

/// Waits until a file holds these.
async fn wait_for(path: &Path, expected: &[u32]) {
    let ask = async || (path.exists() && ids_so_far(path)? == expected).then_some(());
    eventually(&format!("{expected:?} in {}", path.display()), Duration::from_secs(30), ask).await;
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn decisions_go_to_a_file_for_this_user_alone_and_events_stay_where_they_were() {
    let logs = Logs::new();
    let (telemetry, written) = logs.open();
    logs.record(&telemetry.recorder(), 1);
    tracing::dispatcher::with_default(telemetry.dispatch(), || tracing::info!(target: "claviger::http", "listening"));
    telemetry.shutdown().await;
    assert_eq!((ids(&logs.path()), mode(&logs.path())), (vec![1], 0o600));
    let said: Vec<_> = written.lines().iter().map(|line| line["message"].clone()).collect();
    assert_eq!(said, ["listening"]);
    logs.write([2, 3]).await;
    assert_eq!((ids(&logs.path()), logs.names()), (vec![1, 2, 3], vec![NAME.to_owned()]));
}

#[tokio::test]
async fn a_file_is_turned_over_before_it_is_too_large_and_only_so_many_are_kept() {
    let mut logs = Logs::new();
    logs.config.files = 3;
    for name in ["decisions-notes.jsonl", "decisions-20261124.jsonl", "other-20261124T043026.000Z.jsonl"] {
        fs::write(logs.directory.path().join(name), "mine\n").unwrap();
    }
    logs.write(0..600).await;
    // A clock that was set back does not change the order of the names.
    logs.clock = Clock::manual(Timestamp::from_millis(1_795_494_626_000 - 3_600_000));
    logs.write(600..1_000).await;
    let names = logs.names();
    assert_eq!(names.len(), 3 + 4, "{names:?}");
    let mut kept = Vec::new();
    let ours = names.iter().filter(|name| name.starts_with("decisions-20261124T")).map(String::as_str);
    for name in ours.chain([NAME]) {
        let path = logs.directory.path().join(name);
        assert!(fs::metadata(&path).unwrap().len() <= logs.config.file_bytes, "{name}");
        assert_eq!(mode(&path), 0o600, "{name}");
        kept.extend(ids(&path));
    }
    let first = kept[0];
    assert!((1..1_000).contains(&first) && kept == (first..1_000).collect::<Vec<_>>(), "{kept:?}");
}

#[tokio::test]
async fn the_age_of_a_file_counts_from_its_first_line_over_every_restart() {
    let logs = Logs::new();
    logs.write([1]).await;
    logs.clock.advance(Duration::from_hours(12));
    logs.write([2]).await;
    logs.clock.advance(Duration::from_hours(11));
    logs.write([3]).await;
    assert_eq!(logs.names(), [NAME]);
    logs.clock.advance(Duration::from_hours(1));
    logs.write([4, 5]).await;
    assert_eq!(logs.names(), ["decisions-20261125T043026.000Z.jsonl", NAME]);
    assert_eq!(ids(&logs.directory.path().join("decisions-20261125T043026.000Z.jsonl")), [1, 2, 3]);
    assert_eq!(ids(&logs.path()), [4, 5]);
}

#[tokio::test]
async fn a_line_that_a_crash_tore_is_ended_so_that_the_others_stay_lines() {
    let logs = Logs::new();
    logs.write([1]).await;
    let mut text = fs::read_to_string(logs.path()).unwrap();
    let torn = text[..100].to_owned();
    text.push_str(&torn);
    fs::write(logs.path(), &text).unwrap();
    logs.write([2]).await;
    let text = fs::read_to_string(logs.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[1]), (3, &*torn));
    for (line, id) in [(lines[0], "1"), (lines[2], "2")] {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["claviger.request.id"], id);
    }
}

#[tokio::test]
async fn a_file_that_somebody_moves_deletes_or_empties_is_noticed() {
    let logs = Logs::new();
    let (telemetry, written) = logs.open();
    let recorder = telemetry.recorder();
    let (path, moved) = (logs.path(), logs.directory.path().join("moved"));
    logs.record(&recorder, 1);
    wait_for(&path, &[1]).await;
    fs::rename(&path, &moved).unwrap();
    logs.record(&recorder, 2);
    wait_for(&path, &[2]).await;
    assert_eq!((ids(&moved), mode(&path)), (vec![1], 0o600));
    fs::remove_file(&path).unwrap();
    logs.record(&recorder, 3);
    wait_for(&path, &[3]).await;
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    logs.record(&recorder, 4);
    wait_for(&path, &[4]).await;
    telemetry.shutdown().await;
    assert_eq!((recorder.counts().lines_dropped, written.text()), (0, String::new()));
}

#[tokio::test]
async fn a_log_has_one_server_and_a_second_one_is_refused_until_that_ends() {
    let logs = Logs::new();
    let (first, _) = logs.open();
    let refused = logs.try_open().err().map(|error| error.to_string()).unwrap();
    let said = "cannot be written: another server writes to it; give each one a `log.file` of its own";
    assert!(refused.contains(said) && refused.contains(NAME), "{refused}");
    first.shutdown().await;
    logs.write([1]).await;
    // Who logs no decision needs no file.
    let (_telemetry, _) = logs.open();
    let silent = LogConfig { decisions: LoggedDecisions::Off, ..logs.config.clone() };
    let clock = &logs.clock;
    telemetry::open(
        &silent,
        &TraceConfig::default(),
        &MetricsConfig::default(),
        Rules::default(),
        clock,
        &Random::seeded(3),
        Box::new(Written::default()),
    )
    .unwrap();
}

#[test]
fn what_can_be_no_log_is_refused_at_the_start() {
    let mut logs = Logs::new();
    let inside = |name: &str| logs.directory.path().join(name);
    fs::create_dir(inside("folder")).unwrap();
    std::os::unix::fs::symlink("elsewhere", inside("link")).unwrap();
    let cases = [
        (inside("missing/decisions.jsonl"), "its directory must be there"),
        (inside("folder"), "it is no regular file"),
        (inside("link"), "it is no regular file"),
        ("/dev/null/decisions.jsonl".into(), "its directory must be there"),
    ];
    for (path, words) in cases {
        let shown = path.display().to_string();
        logs.config.file = Some(path);
        let refused = logs.try_open().err().map(|error| error.to_string()).unwrap();
        assert!(refused.contains(words) && refused.contains(&shown), "{refused}");
    }
}

#[tokio::test]
async fn lines_of_a_batch_are_never_mixed_with_others_and_each_counts() {
    let mut logs = Logs::new();
    logs.config.file_bytes = 10 << 20;
    let (telemetry, _) = logs.open();
    let recorder = telemetry.recorder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let recorder = recorder.clone();
            scope.spawn(move || (0..20).for_each(|_| recorder.record(batch((0..50).map(|_| allowed())))));
        }
    });
    telemetry.shutdown().await;
    let text = fs::read_to_string(logs.path()).unwrap();
    let indexes: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["claviger.batch.index"].clone()).collect();
    assert_eq!(indexes, (0..80).flat_map(|_| 0..50).map(Value::from).collect::<Vec<_>>());
    assert_eq!(recorder.counts().lines_dropped, 0);
}
