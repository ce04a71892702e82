//! What the doctor finds at a server.

use chrono::{DateTime, TimeDelta, Utc};
use claviger::domain::clock::Clock;

use super::{
    super::{Ran, check::foreign},
    Patient, Report,
};

const CHECKS: [&str; 6] = ["server", "readiness", "snapshot", "policies in force", "server clock", "server replicas"];

impl Patient {
    /// The doctor who sees nothing but a server.
    fn ask_server(&self, arguments: &[&str], token: &str) -> Ran {
        let mut command = self.shell.command(&[&["doctor", "-o", "json"], arguments].concat());
        command.env_remove("CLAVIGER_DATABASE__URL").env("CLAVIGER_ADMIN_TOKEN", token).current_dir("/");
        Ran::of(command, "")
    }
}

/// What a server that answers this, and nothing else, is told.
fn report_on(answer: &str, code: i32) -> Report {
    let (url, asked) = foreign(answer);
    let report = Report::of(Patient::sqlite().ask_server(&["--server", &url], ""), code);
    assert!(asked.join().unwrap().starts_with("GET /readyz "));
    report
}

fn answer(status: &str, date: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{date}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// The date header of a server whose clock is so many seconds ahead.
fn date(ahead: i64) -> String {
    let at = DateTime::<Utc>::from(Clock::System.now()) + TimeDelta::seconds(ahead);
    format!("date: {}\r\n", at.format("%a, %d %b %Y %H:%M:%S GMT"))
}

fn ready(age: u32, failure: &str) -> String {
    format!(
        r#"{{"status":"ready","revision":7,"snapshot_age_ms":{age},"policies":{{"digest":"sha256:1","loaded_at":"now","last_failure":{failure}}}}}"#
    )
}

#[test]
fn a_sound_server_has_nothing_to_be_told() {
    let mut patient = Patient::sqlite();
    let token = patient.command(&["admin", "create", "--role", "auditor", "Ada"]).expect(0).line();
    let server = patient.shell.serve_with(&patient.environment);
    let url = server.told("/url");
    let report = Report::of(patient.ask_server(&["--server", &url], &token), 0);
    report.else_ok(&[]);
    assert_eq!(report.names(), [&["settings"], &CHECKS[..]].concat());
    report.told("server", "ok", &url).told("readiness", "ok", "revision 1").told("server replicas", "ok", "1 server decides");
    assert!(!report.ran.out.contains(&token[9..]));

    let report = Report::of(patient.ask_server(&["--server", &url], ""), 0);
    report.told("server replicas", "not checked", "there is no admin token").else_ok(&["server replicas"]);
    let stranger = format!("op_admin_{}2iRigG", "0".repeat(32));
    let report = Report::of(patient.ask_server(&["--server", &url], &stranger), 1);
    report.told("server replicas", "problem", "INVALID_ADMIN_TOKEN").else_ok(&["server replicas"]);

    // Besides the database, and by the environment.
    patient.set("CLAVIGER_SERVER", &url);
    patient.set("CLAVIGER_ADMIN_TOKEN", &token);
    let report = patient.report(0);
    report.told("server lock", "ok", "a server runs").else_ok(&[]);
    assert!(report.names().ends_with(&CHECKS), "{:?}", report.names());
    let url = patient.shell.url.clone();
    let alone = Report::of(patient.ask(&["-o", "json", "--database", &url]), 0);
    assert!(!alone.names().contains(&"server"), "a flag that names a database goes before the environment");
}

#[test]
fn a_server_that_does_not_answer_leaves_the_rest_to_be_told() {
    let patient = Patient::sqlite();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = Report::of(patient.ask_server(&["--server", &format!("http://127.0.0.1:{free}")], ""), 5);
    report.told("server", "problem", "does not answer").told("readiness", "not checked", "cannot be reached");
    report.told("settings", "ok", "");
    let report = report_on(&answer("200 OK", "", "<html>welcome</html>"), 1);
    report.told("server", "problem", "no answer of a claviger server").told("server clock", "not checked", "cannot be reached");
}

#[test]
fn a_server_that_is_not_ready_says_why() {
    let body = r#"{"error":{"code":"STALE_SNAPSHOT","message":"too old"}}"#;
    let report = report_on(&answer("503 Service Unavailable", &date(0), body), 1);
    report.told("server", "ok", "").told("readiness", "problem", "STALE_SNAPSHOT: too old");
    report.told("snapshot", "not checked", "not ready").told("policies in force", "not checked", "not ready");
}

#[test]
fn an_old_snapshot_and_policies_that_failed_to_load_are_warnings() {
    let failure = r#"{"at":"2026-01-01T00:00:00.000Z","file":"policies/a.cedar","line":3,"message":"unexpected token"}"#;
    let report = report_on(&answer("200 OK", &date(0), &ready(12_345, failure)), 0);
    report.told("snapshot", "warning", "12 s ago").told("readiness", "ok", "revision 7");
    report.told("policies in force", "warning", "since 2026-01-01T00:00:00.000Z: policies/a.cedar:3: unexpected token");
    report.told("server clock", "ok", "less than a second");
}

#[test]
fn a_server_whose_clock_is_off_is_told() {
    for (ahead, words) in [(90, "ahead of this machine's"), (-90, "behind this machine's")] {
        report_on(&answer("200 OK", &date(ahead), &ready(5, "null")), 0).told("server clock", "warning", words);
    }
    report_on(&answer("200 OK", "", &ready(5, "null")), 0).told("server clock", "not checked", "does not tell the time");
}
