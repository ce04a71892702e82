//! `claviger audit`: on a database, through a server, and on an exported file without either.

use std::{
    fs,
    process::{Command, Stdio},
};

use claviger::domain::audit::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Ran, Shell, text};
use crate::support::{
    engines::execute,
    postgres::{drop_database, postgres_url},
    program::shipped_directory,
};

/// Makes and suspends an org.
fn busy_hour(shell: &Shell) -> String {
    let org = shell.org("Acme");
    shell.run(&["org", "suspend", "acme", "--reason", "payment overdue", "--yes"]).expect(0);
    shell.key("acme", "jobs:read");
    org
}

fn export(shell: &Shell) -> Vec<String> {
    shell.run(&["audit", "export"]).expect(0).out.lines().map(str::to_owned).collect()
}

/// Verifies these lines as a file.
fn verify(shell: &Shell, lines: &[String], more: &[&str]) -> Ran {
    let text = lines.join("\n") + "\n";
    shell.write("audit.jsonl", &text);
    shell.run(&[&["audit", "verify", "--file", "audit.jsonl"], more].concat())
}

/// Runs SQL on the shell's SQLite file.
async fn sql(shell: &Shell, sql: &str) {
    let url = format!("sqlite:{}", shell.path().join("claviger.db").display());
    execute(&url, sql).await.unwrap();
}

#[test]
fn the_list_tells_who_changed_what_and_takes_filters() {
    for shell in Shell::both() {
        let org = busy_hour(&shell);
        let table = shell.run(&["audit", "list", "--target", &org]).expect(0).out;
        let mut lines = table.lines();
        assert!(lines.next().unwrap().starts_with("REVISION"), "{table}");
        assert!(lines.next().unwrap().contains("org.create") && table.contains("payment overdue"), "{table}");
        let rows = shell.json(&["audit", "list", "--action", "org.suspend"]);
        assert_eq!((text(&rows, "/data/0/target"), rows["data"].as_array().unwrap().len()), (org.clone(), 1));
        let ids = shell.run(&["audit", "list", "-o", "id", "--since", "2020-01-01T00:00:00Z"]).expect(0).out;
        assert!(ids.lines().count() >= 3 && ids.lines().all(|id| id.starts_with("evt_")), "{ids}");
        let nothing = shell.run(&["audit", "list", "--until", "2020-01-01T00:00:00Z"]).expect(0);
        assert!(nothing.out.is_empty() && nothing.err.contains("no row"), "{nothing:?}");
        shell.run(&["audit", "list", "--action", "suspend"]).refused(2, "org.suspend");
        shell.run(&["audit", "list", "--target", "acme"]).refused(2, "the id of an organization");
        shell.run(&["audit", "list", "--since", "yesterday"]).refused(2, "RFC 3339");
    }
}

#[test]
fn a_whole_chain_is_told_with_its_head_wherever_it_is_read() {
    for shell in Shell::both() {
        busy_hour(&shell);
        let head = shell.line(&["audit", "head"]);
        let typed = shell.line(&["audit", "head", "-o", "id"]);
        let read: Value = serde_json::from_str(&head).unwrap();
        assert_eq!(typed, format!("{}:{}", read["revision"], text(&read, "/hash")));
        shell.write("heads", &format!("{head}\n"));
        shell.org("Later");
        for more in [&[][..], &["--head", "heads"], &["--head", &typed], &["--head", &typed, "--head", "heads"]] {
            let whole = shell.json(&[&["audit", "verify"], more].concat());
            assert_eq!(
                (&whole["whole"], &whole["rows"], &whole["head"]["revision"]),
                (&json!(true), &whole["head"]["revision"], &json!(read["revision"].as_i64().unwrap() + 1))
            );
            let lines = export(&shell);
            let from_file = verify(&shell, &lines, &[more, &["-o", "json"]].concat()).expect(0).out;
            assert_eq!(serde_json::from_str::<Value>(&from_file).unwrap(), whole);
        }
        let told = shell.run(&["audit", "verify"]).expect(0).out;
        assert!(
            told.contains("rows") && told.contains("whole") && told.contains(&shell.line(&["audit", "head", "-o", "id"])),
            "{told}"
        );
    }
}

#[test]
fn anybody_can_recompute_the_chain_from_an_export() {
    let shell = Shell::new();
    busy_hour(&shell);
    let mut previous = [0; 32];
    for line in export(&shell) {
        let row: Value = serde_json::from_str(&line).unwrap();
        let fields = [
            json!(row["revision"].to_string()),
            row["id"].clone(),
            row["at"].clone(),
            row["actor"]["kind"].clone(),
            row["actor"]["id"].clone(),
            row["action"].clone(),
            row["target"].clone(),
            row["reason"].clone(),
            row["before"].clone(),
            row["after"].clone(),
            row["request_id"].clone(),
            row["address"].clone(),
        ];
        let mut sha = Sha256::new();
        sha.update(previous);
        for field in &fields {
            match field.as_str() {
                None => sha.update([0]),
                Some(text) => sha.update([&[1], &(text.len() as u64).to_be_bytes()[..], text.as_bytes()].concat()),
            }
        }
        assert_eq!(text(&row, "/previous_hash"), hex(&previous));
        previous = sha.finalize().into();
        assert_eq!(text(&row, "/hash"), hex(&previous));
    }
}

#[test]
fn the_program_of_the_page_on_audit_verifies_an_export() {
    let shell = Shell::new();
    busy_hour(&shell);
    let page = fs::read_to_string(shipped_directory("docs/audit.md")).unwrap();
    let program = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let python = |export: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ran::of(command, export)
    };
    let export = shell.run(&["audit", "export"]).expect(0).out;
    let head = shell.line(&["audit", "head", "-o", "id"]);
    assert_eq!(python(&export).expect(0).line(), head.split_once(':').unwrap().1);
    let edited = export.replacen("payment overdue", "paid", 1);
    assert!(python(&edited).expect(1).err.contains("the row of revision 2"), "{edited}");
}

#[tokio::test]
async fn the_first_bad_row_is_named_on_both_engines() {
    for url in ["sqlite:claviger.db".to_owned(), postgres_url().await] {
        let shell = Shell::on(&url);
        busy_hour(&shell);
        let head = shell.line(&["audit", "head"]);
        shell.write("heads", &format!("{head}\n"));
        let url = if url.starts_with("sqlite") { format!("sqlite:{}", shell.path().join("claviger.db").display()) } else { url };
        execute(&url, "UPDATE audit SET reason = 'paid' WHERE revision = 2").await.unwrap();
        let ran = shell.run(&["audit", "verify", "-o", "json"]).expect(3);
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&found["whole"], &found["revision"], &found["fault"]), (&json!(false), &json!(2), &json!("edited")));
        assert!(
            ran.err.contains(&format!("error: the audit row of revision 2 (`{}`) was edited", text(&found, "/id"))),
            "{ran:?}"
        );
        execute(
            &url,
            "UPDATE meta SET revision = 1, audit_head = (SELECT hash FROM audit WHERE revision = 1); \
             DELETE FROM audit WHERE revision > 1",
        )
        .await
        .unwrap();
        shell.run(&["audit", "verify"]).expect(0);
        shell.run(&["audit", "verify", "--head", "heads"]).refused(3, "the audit row of revision 2 was cut off at the end");
        if url.starts_with("postgres") {
            drop_database(&url).await;
        }
    }
}

#[tokio::test]
async fn what_a_server_shows_is_verified_like_the_database() {
    let shell = Shell::through_server();
    busy_hour(&shell);
    let last = shell.json(&["audit", "verify"])["rows"].as_i64().unwrap();
    sql(&shell, "CREATE TABLE kept AS SELECT * FROM audit").await;
    for (change, revision, fault) in [
        ("UPDATE audit SET after = replace(after, ',', ', ') WHERE revision = 2", 2, "edited"),
        ("UPDATE audit SET prev_hash = x'00' WHERE revision = 3", 3, "edited"),
        ("DELETE FROM audit WHERE revision = 1", 1, "missing"),
        ("UPDATE audit SET revision = 99 WHERE revision = 2", 2, "out_of_order"),
        (&format!("DELETE FROM audit WHERE revision = {last}"), last, "cut_off"),
    ] {
        sql(&shell, change).await;
        let ran = shell.run(&["audit", "verify", "-o", "json"]).expect(3);
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&found["revision"], &found["fault"]), (&json!(revision), &json!(fault)), "{change}: {ran:?}");
        sql(&shell, "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").await;
    }
    shell.run(&["audit", "verify"]).expect(0);
}

#[test]
fn any_change_of_an_export_is_named() {
    let shell = Shell::new();
    busy_hour(&shell);
    let head = shell.line(&["audit", "head", "-o", "id"]);
    let lines = export(&shell);
    let edited = |from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[1].contains(from), "{}", lines[1]);
        lines[1] = lines[1].replacen(from, to, 1);
        lines
    };
    let changed = |change: fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines
    };
    for (lines, revision, fault) in [
        (edited("payment overdue", "paid"), 2, "was edited"),
        (edited("\"reason\":\"payment overdue\"", "\"reason\":null"), 2, "was edited"),
        (edited("\"request_id\":null", "\"request_id\":\"\""), 2, "was edited"),
        (edited("\"hash\":\"", "\"hash\":\"00"), 2, "was edited"),
        (edited("\"revision\":2", "\"revision\":2.0"), 2, "was edited"),
        (edited("{", "{\"note\":\"fine\","), 2, "was edited"),
        (edited("\"request_id\":null,", ""), 2, "was edited"),
        (edited("\"reason\":", "\"reason\":\"paid\",\"reason\":"), 2, "was edited"),
        (edited("{", ""), 2, "was edited"),
        (changed(|lines| drop(lines.remove(0))), 1, "is missing"),
        (changed(|lines| lines.swap(0, 1)), 1, "is out of order"),
        (changed(|lines| lines.insert(1, lines[1].clone())), 2, "was inserted"),
        (changed(|lines| lines.insert(1, String::new())), 2, "was inserted"),
    ] {
        let ran = verify(&shell, &lines, &[]);
        ran.refused(3, &format!("the audit row of revision {revision}"));
        assert!(ran.err.contains(fault), "{fault}: {ran:?}");
    }
    verify(&shell, &lines[..2], &[]).expect(0);
    verify(&shell, &lines[..2], &["--head", &head]).refused(3, "revision 3 was cut off at the end");
    let text = fs::read_to_string(shell.path().join("audit.jsonl")).unwrap();
    shell.run_with(&["audit", "verify", "--file", "-"], &text).expect(0);
}

#[test]
fn what_is_no_head_and_no_file_is_a_usage_error() {
    let shell = Shell::new();
    busy_hour(&shell);
    shell.write("empty", "\n");
    shell.write("notes", "7\n");
    for head in ["nowhere", "empty", "notes", "7:abc", "-1:00"] {
        shell.run(&["audit", "verify", &format!("--head={head}")]).refused(2, head);
    }
    shell.run(&["audit", "verify", "--file", "nowhere"]).refused(1, "the export `nowhere` cannot be read");
}

#[tokio::test]
async fn a_row_that_somebody_wrote_does_not_speak_to_the_terminal() {
    let shell = Shell::new();
    busy_hour(&shell);
    sql(&shell, "UPDATE audit SET reason = 'x' || char(27) || '[2J' || char(10) || 'y' WHERE revision = 2").await;
    let table = shell.run(&["audit", "list"]).expect(0).out;
    assert!(table.contains(r"x\u{1b}[2J\ny") && !table.contains('\u{1b}'), "{table:?}");
}
