//! `claviger org`.

use serde_json::json;

use super::{Shell, text};

#[test]
fn an_org_is_named_by_its_id_or_its_slug() {
    for shell in Shell::both() {
        let made = shell.json(&["org", "create", "Acme, Inc."]);
        let id = text(&made, "/org/id");
        assert_eq!((text(&made, "/org/slug"), text(&made, "/org/state")), ("acme-inc".to_owned(), "active".to_owned()));
        assert_eq!(shell.json(&["org", "get", &id]), shell.json(&["org", "get", "acme-inc"]));
        assert_eq!(shell.line(&["org", "get", "acme-inc", "-o", "id"]), id);
        let table = shell.run(&["org", "get", "acme-inc"]).expect(0).out;
        assert!(table.contains(&id) && table.contains("Acme, Inc.") && table.contains("active"), "{table}");
    }
}

#[test]
fn lists_are_tables_json_or_ids() {
    for shell in Shell::both() {
        if shell.server.is_none() {
            shell.run(&["migrate", "up"]).expect(0);
        }
        let none = shell.run(&["org", "list"]).expect(0);
        assert_eq!(none.out, "");
        assert!(none.err.contains("claviger org create"), "{none:?}");
        assert_eq!(shell.json(&["org", "list"]), json!({ "data": [], "next_cursor": null }));

        let ids: Vec<String> = (0..3).map(|number| shell.org(&format!("Org {number}"))).collect();
        assert_eq!(shell.run(&["org", "list", "-o", "id"]).expect(0).out.lines().collect::<Vec<_>>(), ids);
        let table = shell.run(&["org", "list"]).expect(0).out;
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("ID") && lines[0].contains("SLUG") && lines.len() == 4, "{table}");
        assert!(ids.iter().zip(&lines[1..]).all(|(id, line)| line.starts_with(id)), "{table}");
        let listed = shell.json(&["org", "list"]);
        assert_eq!(listed["data"].as_array().unwrap().len(), 3);
        assert_eq!(listed["data"][1], shell.json(&["org", "get", &ids[1]]));
    }
}

#[test]
fn nothing_is_colored_and_nothing_is_cut_where_a_pipe_reads() {
    let shell = Shell::new();
    let name = "An organization with a name that is as long as names may be, because somebody thought so, or nearly";
    shell.line(&["org", "create", name, "--slug", "long", "-o", "id"]);
    let mut command = shell.command(&["org", "list"]);
    command.env("COLUMNS", "20").env("CLICOLOR_FORCE", "1");
    let table = super::Ran::of(command, "").expect(0).out;
    assert!(table.contains(name) && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn a_suspension_has_a_reason_and_can_be_lifted() {
    for shell in Shell::both() {
        shell.org("Acme");
        let (_, secret) = shell.key("acme", "scan:create");
        let check = || shell.run_with(&["check", "scan:create", "--key", "-"], &secret).code;
        assert_eq!(check(), 0);
        let suspended = shell.json(&["org", "suspend", "acme", "--reason", "payment overdue", "--yes"]);
        assert_eq!(
            (text(&suspended, "/org/state"), text(&suspended, "/org/suspension_reason")),
            ("suspended".into(), "payment overdue".into())
        );
        assert_eq!(check(), 3);
        let again = shell.json(&["org", "suspend", "acme", "--reason", "another", "--yes"]);
        assert_eq!(again, suspended);
        shell.run(&["org", "suspend", "acme", "--yes"]).refused(2, "--reason");
        assert_eq!(text(&shell.json(&["org", "unsuspend", "acme", "--reason", "paid"]), "/org/state"), "active");
        assert_eq!(check(), 0);
    }
}

#[test]
fn a_deleted_org_is_a_tombstone_and_its_keys_are_no_keys() {
    for shell in Shell::both() {
        let id = shell.org("Acme");
        let (_, secret) = shell.key("acme", "scan:create");
        shell.run(&["org", "delete", "acme", "--yes"]).expect(0);
        assert_eq!(text(&shell.json(&["org", "get", &id]), "/state"), "deleted");
        shell.run(&["org", "get", "acme"]).refused(1, "there is no organization `acme`");
        assert_eq!(shell.run_with(&["check", "scan:create", "--key", "-"], &secret).code, 4);
        shell.run(&["org", "suspend", &id, "--reason", "x", "--yes"]).expect(1);
        assert_ne!(shell.org("Acme"), id);
    }
}

#[test]
fn whatever_ends_something_says_what_it_ends_and_needs_a_yes() {
    for shell in Shell::both() {
        shell.org("Acme");
        let (key, secret) = shell.key("acme", "scan:create");
        let (revoked, _) = shell.key("acme", "scan:create");
        shell.run(&["key", "revoke", &revoked, "--yes"]).expect(0);
        shell.run(&["admin", "create", "--role", "owner", "Ada"]).expect(0);
        let admin = shell.run(&["admin", "list", "-o", "id"]).expect(0).out.lines().last().unwrap().to_owned();
        let state = || {
            [shell.json(&["org", "get", "acme"]), shell.json(&["key", "list", "--org", "acme"]), shell.json(&["admin", "list"])]
        };
        let before = state();
        let harmful: [(&[&str], &str); 6] = [
            (&["org", "suspend", "acme", "--reason", "x"], "Acme"),
            (&["org", "delete", "acme"], "Acme"),
            (&["key", "disable", &key], "CI"),
            (&["key", "revoke", &key], "CI"),
            (&["key", "rotate", &key, "--overlap", "0s"], "CI"),
            (&["admin", "revoke", &admin], "Ada"),
        ];
        for (arguments, name) in harmful {
            let ran = shell.run_with(arguments, "y\n");
            ran.refused(2, "--yes");
            assert!(ran.err.contains(name) && (name == "Ada" || ran.err.contains("1 active key")), "{ran:?}");
        }
        assert_eq!(state(), before);
        assert_eq!(shell.run_with(&["check", "scan:create", "--key", "-"], &secret).code, 0);
    }
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    for shell in Shell::both() {
        shell.org("Acme");
        shell.run(&["org", "get", "acmee"]).refused(1, "did you mean `acme`?");
        shell.run(&["org", "get", "globex"]).refused(1, "claviger org list");
        shell.run(&["org", "get", "org_01kaw9m3gz5v8r7q2n4c6x0b1d"]).refused(1, "there is no organization");
        shell.run(&["key", "list", "--org", "acm"]).refused(1, "did you mean `acme`?");
        shell.run(&["org", "create", "Acme"]).refused(1, "the slug `acme` is taken");
        shell.run(&["org", "create", "世界"]).refused(2, "--slug");
        shell.run(&["org", "create", " "]).refused(2, "1 to 100 characters");
        shell.run(&["org", "gett", "acme"]).refused(2, "get");
    }
}

#[test]
fn a_mistyped_database_is_no_empty_database() {
    let shell = Shell::on("sqlite:nowhere.db");
    for arguments in [&["org", "list"][..], &["key", "list", "--org", "acme"], &["admin", "list"], &["migrate", "status"]] {
        shell.run(arguments).refused(1, "there is no database file `nowhere.db`");
    }
    assert!(!shell.path().join("nowhere.db").exists());
    let nobody = Shell::on("postgres://claviger:hunter22@127.0.0.1:1/claviger");
    let ran = nobody.run(&["org", "list"]);
    ran.refused(1, "does not answer");
    assert!(ran.err.lines().count() == 1 && !ran.err.contains("hunter22"), "{ran:?}");
}
