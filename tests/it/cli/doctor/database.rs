//! What the doctor finds at the database.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::{super::text, NEW, OLD, PEPPER, Patient, RETIRED, contents, on_both_engines};
use crate::support::{
    postgres::{drop_database, postgres_url},
    program::Program,
};

impl Patient {
    fn serve(&self) -> Program {
        self.shell.serve_with(&self.environment)
    }

    fn key(&self) -> String {
        let create = ["key", "create", "--org", "acme", "--name", "CI", "--environment", "live", "--permission", "jobs:read"];
        let made = self.command(&[&create[..], &["-o", "json"]].concat()).expect(0);
        text(&serde_json::from_str(&made.out).unwrap(), "/key/id")
    }
}

#[test]
fn a_database_that_cannot_be_reached_leaves_the_rest_to_be_told() {
    let mut patient = Patient::sqlite();
    fs::write(patient.path().join("notes.txt"), "these are notes, not a database ".repeat(200)).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let before = contents(patient.path());
    for (url, words) in [
        ("sqlite:missing.db".to_owned(), "there is no such file"),
        ("sqlite:none/missing.db".to_owned(), "there is no such file"),
        ("sqlite:notes.txt".to_owned(), "it is no SQLite database"),
        (format!("postgres://ada:hunter22@127.0.0.1:{free}/x"), "does not answer"),
    ] {
        patient.shell.url.clone_from(&url);
        let report = patient.report(5);
        report.told("database", "problem", words).told("policies", "ok", "").told("schema", "not checked", "cannot be reached");
        report.told("audit", "not checked", "cannot be reached");
        assert!(!report.ran.out.contains("hunter22"));
        if url.contains("missing") {
            report.told("file", "not checked", "there is no file").told("server lock", "ok", "no server runs");
        }
    }
    assert_eq!(contents(patient.path()), before, "the doctor made a file");
}

#[tokio::test]
async fn a_schema_of_another_time_is_told_from_damage() {
    on_both_engines(async |patient| {
        let newer = |version: u8, name: &str| {
            let hash = if patient.shell.url.starts_with("sqlite") { "x'00'" } else { "'\\x00'" };
            format!(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES ({version}, '{name}', TRUE, {hash}, 1)"
            )
        };
        patient.sql(&newer(98, "expand colours")).await;
        patient.report(0).told("schema", "warning", "`0098_expand_colours`").else_ok(&["schema"]);
        patient.sql(&newer(99, "contract colours")).await;
        let report = patient.report(1);
        report.told("schema", "problem", "migration 0099").told("hashes", "not checked", "schema");
        patient.sql("DELETE FROM _sqlx_migrations WHERE version <> 1").await;
        patient.report(1).told("schema", "problem", "pending: `0002_expand_replicas`").told("audit", "not checked", "schema");
        patient.sql("DROP TABLE _sqlx_migrations").await;
        patient.report(1).told("schema", "problem", "pending: `0001_init`, `0002_expand_replicas`");
    })
    .await;
    let mut patient = Patient::sqlite();
    fs::write(patient.path().join("empty.db"), "").unwrap();
    patient.shell.url = "sqlite:empty.db".to_owned();
    patient.report(1).told("schema", "problem", "pending: `0001_init`");
    assert_eq!(fs::read(patient.path().join("empty.db")).unwrap(), b"");
    let patient = Patient::sqlite();
    patient.sql("DELETE FROM meta").await;
    patient.report(1).told("schema", "problem", "lacks tables");
}

#[tokio::test]
async fn secrets_under_a_pepper_that_is_gone_are_counted() {
    on_both_engines(async |patient| {
        patient.set(PEPPER, OLD);
        patient.command(&["org", "create", "Acme"]).expect(0);
        let keys = [patient.key(), patient.key(), patient.key()];
        patient.command(&["admin", "create", "--role", "owner", "Ada"]).expect(0);
        patient.command(&["key", "revoke", &keys[2], "--yes"]).expect(0);
        patient.report(0).told("hashes", "ok", "2 secrets of keys and 1 admin token").else_ok(&[]);
        patient.set(PEPPER, NEW);
        let report = patient.report(1);
        report.told("hashes", "problem", &format!("2 secrets of keys under pepper `2025`, for example of `{}`", keys[0]));
        report.told("hashes", "problem", "1 admin token under pepper `2025`").else_ok(&["hashes"]);
        patient.set(RETIRED, OLD);
        patient.report(0).else_ok(&[]);
        patient.environment.remove(RETIRED);
        patient.environment.remove(PEPPER);
        patient.report(1).told("hashes", "problem", "under pepper `2025`");
        patient.key();
        patient.set(PEPPER, OLD);
        patient.report(1).told("hashes", "problem", "1 secret of a key without a pepper");
        patient.set(RETIRED, "plain");
        patient.report(0).else_ok(&[]);
    })
    .await;
}

#[tokio::test]
async fn permissions_that_the_schema_has_no_more_are_named() {
    on_both_engines(async |patient| {
        patient.command(&["org", "create", "Acme"]).expect(0);
        let keys = [patient.key(), patient.key(), patient.key()];
        patient.report(0).told("permissions", "ok", "3 keys").else_ok(&[]);
        for (key, permissions) in [(&keys[0], r#"["jobs:fax","jobs:read"]"#), (&keys[1], r#"["jobs:fax","jobs:telex"]"#)] {
            patient.sql(&format!("UPDATE api_key SET permissions = '{permissions}' WHERE id = '{key}'")).await;
        }
        let report = patient.report(0);
        report.told("permissions", "warning", &format!("`jobs:fax` (2 keys, for example `{}`)", keys[0]));
        report.told("permissions", "warning", &format!("`jobs:telex` (1 key, for example `{}`)", keys[1]));
        report.else_ok(&["permissions"]);
        patient.sql(&format!("UPDATE api_key SET permissions = 'many' WHERE id = '{}'", keys[2])).await;
        let report = patient.report(1);
        report.told("permissions", "problem", &format!("of 1 key cannot be read, for example of `{}`", keys[2]));
    })
    .await;
}

#[tokio::test]
async fn an_edited_audit_row_is_found() {
    on_both_engines(async |patient| {
        patient.command(&["org", "create", "Acme"]).expect(0);
        patient.command(&["org", "suspend", "acme", "--reason", "unpaid", "--yes"]).expect(0);
        patient.sql("UPDATE audit SET reason = 'paid' WHERE revision = 2").await;
        let report = patient.report(1);
        report.told("audit", "problem", "the audit row of revision 2 (`evt_").else_ok(&["audit"]);
        patient.sql("DROP TABLE audit").await;
        patient.report(1).told("audit", "problem", "lacks tables");
    })
    .await;
}

#[test]
fn a_file_that_others_can_use_is_told() {
    let patient = Patient::sqlite();
    let file = patient.path().join("claviger.db");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    patient.report(0).told("file", "warning", "has mode 0640").else_ok(&["file"]);
    mode(0o622);
    let report = patient.report(1);
    report.told("file", "problem", "can make themselves keys").else_ok(&["file"]);
    assert!(report.ran.out.contains(&format!("chmod 600 '{}'", file.display())));
}

#[test]
fn whether_a_server_runs_on_the_file_is_told_and_a_look_keeps_none_out() {
    let patient = Patient::sqlite();
    patient.report(0).told("server lock", "ok", "no server runs on");
    let server = patient.serve();
    patient.report(0).told("server lock", "ok", "a server runs on").else_ok(&[]);
    server.kill();
    patient.report(0).told("server lock", "ok", "no server runs on");
    drop(patient.serve());
    let lock = patient.path().join("claviger.db.lock");
    fs::remove_file(&lock).unwrap();
    symlink(&lock, &lock).unwrap();
    patient
        .report(1)
        .told("server lock", "problem", "claviger.db.lock`, by which no second server starts")
        .else_ok(&["server lock"]);
}

#[tokio::test]
async fn what_a_killed_server_left_behind_stays_as_it_is() {
    let patient = Patient::sqlite();
    let made = patient.command(&["admin", "create", "--role", "owner", "Ada"]).expect(0);
    let server = patient.serve();
    server.bearer(&made.line()).create_org("acme").await;
    server.kill();
    let logged = |name: &str| fs::read(patient.path().join(name)).unwrap();
    let before = (logged("claviger.db"), logged("claviger.db-wal"));
    assert!(!before.1.is_empty());
    patient.report(0).told("schema", "ok", "revision 2").told("audit", "ok", "2 audit rows").else_ok(&[]);
    assert_eq!((logged("claviger.db"), logged("claviger.db-wal")), before);
}

#[tokio::test]
async fn a_database_whose_clock_is_off_is_told() {
    let url = postgres_url().await;
    let patient = Patient::on(&url);
    let name = url.rsplit('/').next().unwrap();
    let clock = |seconds: i32| {
        format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             'SELECT pg_catalog.clock_timestamp() + interval ''{seconds} s'''"
        )
    };
    patient.sql(&clock(0)).await;
    patient.sql(&format!("ALTER DATABASE {name} SET search_path = public, pg_catalog")).await;
    patient.report(0).told("clock", "ok", "less than a second").else_ok(&[]);
    patient.sql(&clock(90)).await;
    let report = patient.report(0);
    report.told("clock", "warning", " s ahead of this machine's").else_ok(&["clock"]);
    patient.sql(&clock(-90)).await;
    patient.report(0).told("clock", "warning", " s behind this machine's");
    drop_database(&url).await;
}

#[tokio::test]
async fn replicas_that_are_not_like_the_others_are_named() {
    let url = postgres_url().await;
    let patient = Patient::on(&url);
    patient.command(&["org", "create", "Acme"]).expect(0);
    patient.report(0).told("replicas", "ok", "0 servers decide");
    let server = patient.serve();
    patient.report(0).told("replicas", "ok", "1 server decides").else_ok(&[]);
    let address = server.told("/url").trim_start_matches("http://").to_owned();
    let row = |version: &str, policies: &str, acked: i64, seen: &str| {
        format!(
            "DELETE FROM replica WHERE address = 'other:1'; INSERT INTO replica VALUES ('rep_01kaw9m3gz5v8r7q2n4c6x0b1d', \
             'other:1', {version}, {policies}, {acked}, 3600000, clock_timestamp(), clock_timestamp() {seen})"
        )
    };
    let like = |column: &str| format!("(SELECT {column} FROM replica LIMIT 1)");
    let (version, policies) = (like("version"), like("policy_set"));
    patient.sql(&row(&version, &policies, 1, "+ interval '1 h'")).await;
    patient.report(0).told("replicas", "ok", "2 servers decide").else_ok(&[]);
    for (sql, words) in [
        (
            row(&version, &policies, 1, "- interval '90 s'"),
            "`rep_01kaw9m3gz5v8r7q2n4c6x0b1d` at other:1 was last seen 9".to_owned(),
        ),
        (row(&version, &policies, 0, "+ interval '1 h'"), "at other:1 lacks 1 revision".to_owned()),
        (row(&version, "''", -1, "+ interval '1 h'"), "at other:1 has loaded nothing yet".to_owned()),
        (row("'9.9.9'", &policies, 1, "+ interval '1 h'"), "9.9.9 (other:1)".to_owned()),
        (row(&version, "'sha256:0'", 1, "+ interval '1 h'"), format!("({address})")),
    ] {
        patient.sql(&sql).await;
        let report = patient.report(0);
        report.told("replicas", "warning", &words).else_ok(&["replicas"]);
    }
    patient.sql("UPDATE replica SET id = 'nobody' WHERE address = 'other:1'").await;
    patient.report(1).told("replicas", "problem", "`replica` cannot be read: `nobody`");
    drop(server);
    drop_database(&url).await;
}
