//! A disk that is full, a directory that is gone: decisions go on, what is lost is counted, no line is torn.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

use claviger::{
    domain::random::Random,
    telemetry::{self, MetricsConfig, Recorder, Rules, Telemetry, TraceConfig},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::runtime::Runtime;

use super::{Logs, NAME, ids_so_far, wait_for};
use crate::process::eventually;

/// Records these, and waits until each is written or lost; those that are in the file now.
async fn settle(logs: &Logs, recorder: &Recorder, from: u32, to: u32) -> Vec<u32> {
    (from..to).for_each(|id| logs.record(recorder, id));
    let ask = async || {
        let there = if logs.path().exists() { ids_so_far(&logs.path())? } else { Vec::new() };
        (there.len() as u64 + recorder.counts().lines_dropped == u64::from(to)).then_some(there)
    };
    eventually("every line is written or counted", Duration::from_secs(30), ask).await
}

/// Fills a disk that has room for some lines only, makes room, and claims that nothing but whole lines is missing.
async fn fill(logs: &Logs, telemetry: Telemetry, make_room: impl FnOnce()) {
    let recorder = telemetry.recorder();
    let mut there = Vec::new();
    for round in 0..20 {
        there = settle(logs, &recorder, round * 10, round * 10 + 10).await;
    }
    let lost = recorder.counts().lines_dropped;
    assert!(lost > 20 && lost < 200 && there.len() as u64 + lost == 200, "{lost}");
    assert_eq!(there, (0..200 - u32::try_from(lost).unwrap()).collect::<Vec<_>>(), "what is there is what came first");
    make_room();
    let more = settle(logs, &recorder, 200, 210).await;
    assert_eq!(more, there.iter().copied().chain(200..210).collect::<Vec<_>>());
    telemetry.shutdown().await;
    assert_eq!(recorder.counts().lines_dropped, lost);
}

/// The largest size of a file.
fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn where_a_file_may_not_grow_decisions_go_on_and_no_line_is_torn() {
    const INSIDE: &str = "TEST_RUNS_WITH_A_LIMIT";
    if env::var_os(INSIDE).is_some() {
        limit(Some(50_001));
        let logs = Logs::new();
        let telemetry = telemetry::start(
            &logs.config,
            &TraceConfig::default(),
            &MetricsConfig::default(),
            Rules::default(),
            &logs.clock,
            &Random::seeded(3),
        )
        .unwrap();
        return Runtime::new().unwrap().block_on(fill(&logs, telemetry, || limit(None)));
    }
    // The limit holds for a process, and its signal would end one that does not ignore it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap()).env(INSIDE, "1");
    let test = "telemetry::files::faults::where_a_file_may_not_grow_decisions_go_on_and_no_line_is_torn";
    let output = shell.args(["--exact", test, "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let told: Vec<_> = said.lines().filter(|line| line.contains("decision log lines were dropped\"")).collect();
    assert!(told.len() == 1 && told[0].contains("os error"), "once a minute: {said}");
}

/// A file system of its own, where this user may mount one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, bytes: u32) -> Option<Self> {
        let device = || fs::metadata(at).unwrap().dev();
        let before = device();
        let size = format!("size={bytes}");
        // What it says of its success is not to be trusted.
        let _ = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output();
        (device() != before).then(|| Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().unwrap().success());
    }
}

#[tokio::test]
async fn on_a_full_disk_decisions_go_on_and_no_line_is_torn() {
    let mut logs = Logs::new();
    let place = logs.directory.path().to_owned();
    // Without the right to mount, the test before this one says the same.
    let Some(_disk) = Disk::mount(&place, 128 * 1024) else { return };
    let ballast = place.join("ballast");
    fs::write(&ballast, vec![0; 64 * 1024]).unwrap();
    logs.config.file_bytes = 1 << 20;
    let (telemetry, _) = logs.open();
    fill(&logs, telemetry, || fs::remove_file(&ballast).unwrap()).await;
}

#[tokio::test]
async fn a_directory_that_is_gone_costs_lines_until_it_is_there_again() {
    let mut logs = Logs::new();
    let place = logs.directory.path().join("logs");
    fs::create_dir(&place).unwrap();
    let path = place.join(NAME);
    logs.config.file = Some(path.clone());
    let (telemetry, _) = logs.open();
    let recorder = telemetry.recorder();
    logs.record(&recorder, 1);
    wait_for(&path, &[1]).await;
    fs::rename(&place, logs.directory.path().join("away")).unwrap();
    (2..5).for_each(|id| logs.record(&recorder, id));
    let lost = async || (recorder.counts().lines_dropped == 3).then_some(());
    eventually("three lines are lost", Duration::from_secs(30), lost).await;
    assert!(!place.exists());
    fs::create_dir(&place).unwrap();
    logs.record(&recorder, 5);
    wait_for(&path, &[5]).await;
    // The lock is on the new directory, too.
    assert!(logs.try_open().is_err());
    telemetry.shutdown().await;
    assert_eq!(recorder.counts().lines_dropped, 3);
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_any_more_keeps_the_file_that_is_open() {
    let mut logs = Logs::new();
    logs.config.file_age = "1s".to_owned();
    let (telemetry, _) = logs.open();
    let recorder = telemetry.recorder();
    logs.record(&recorder, 1);
    wait_for(&logs.path(), &[1]).await;
    let allow = |mode| fs::set_permissions(logs.directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o500);
    // Whoever may do everything may do this.
    let is_allowed = fs::write(logs.directory.path().join("probe"), "").is_ok();
    logs.clock.advance(Duration::from_mins(1));
    logs.record(&recorder, 2);
    if is_allowed {
        wait_for(&logs.path(), &[2]).await;
    } else {
        wait_for(&logs.path(), &[1, 2]).await;
    }
    allow(0o700);
    telemetry.shutdown().await;
    assert_eq!(recorder.counts().lines_dropped, 0);
}
