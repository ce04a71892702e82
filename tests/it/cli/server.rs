//! `org`, `key` and `admin` through the management API of a running server.

use super::{Ran, Shell, check::foreign, text};

/// Runs a command with this token, and none of the shell's own environment.
fn with_token(shell: &Shell, arguments: &[&str], token: &str) -> Ran {
    let mut command = shell.command(arguments);
    command.env("CLAVIGER_ADMIN_TOKEN", token);
    Ran::of(command, "")
}

#[test]
fn whoever_shows_no_token_that_is_valid_and_may_do_it_is_refused() {
    let shell = Shell::through_server();
    let auditor = text(&shell.json(&["admin", "create", "--role", "auditor", "Audit"]), "/secret");
    let stranger = format!("op_admin_{}2iRigG", "0".repeat(32));
    for token in [&*stranger, "hello"] {
        with_token(&shell, &["org", "list"], token).refused(4, "INVALID_ADMIN_TOKEN: the admin token is missing or not valid");
    }
    with_token(&shell, &["org", "list"], "two words").refused(4, "characters");
    with_token(&shell, &["org", "list"], "").refused(4, "CLAVIGER_ADMIN_TOKEN");
    with_token(&shell, &["org", "list"], &auditor).expect(0);
    for arguments in [&["org", "create", "Acme"][..], &["admin", "create", "--role", "owner", "Eve"]] {
        with_token(&shell, arguments, &auditor).refused(4, "FORBIDDEN: the admin's role does not allow this");
    }
}

#[test]
fn a_token_comes_from_stdin_or_the_environment_and_never_from_a_flag() {
    let shell = Shell::through_server();
    let (_, token) = shell.server.as_ref().unwrap();
    let from_stdin = |arguments: &[&str], input: &str| {
        let mut command = shell.command(arguments);
        command.env_remove("CLAVIGER_ADMIN_TOKEN");
        Ran::of(command, input)
    };
    from_stdin(&["org", "list", "--token", "-"], &format!("{token}\nand more\n")).expect(0);
    from_stdin(&["org", "--token", "-", "list"], token).expect(0);
    from_stdin(&["org", "list", "--token", "-"], "\n").refused(4, "there is no admin token");
    let ran = from_stdin(&["org", "list", "--token", token], "");
    ran.refused(2, "list of processes");
    assert!(!ran.err.contains(&token[9..]), "{ran:?}");
    Shell::new().run(&["org", "list", "--token", "-"]).refused(2, "--server");
}

#[test]
fn a_flag_that_names_a_database_goes_before_a_server_in_the_environment() {
    let shell = Shell::through_server();
    let id = shell.org("Acme");
    assert_eq!(shell.line(&["org", "list", "-o", "id", "--database", "sqlite:claviger.db"]), id);
    shell.run(&["org", "list", "--database", "sqlite:other.db"]).refused(1, "there is no database file `other.db`");
    let (server, _) = shell.server.as_ref().unwrap();
    let url = server.told("/url");
    for arguments in [
        &["org", "--server", &url, "list", "--database", "sqlite:claviger.db"][..],
        &["admin", "list", "--server", &url, "--config", "claviger.toml"],
        &[
            "key",
            "create",
            "--org",
            "acme",
            "--name",
            "CI",
            "--environment",
            "live",
            "--permission",
            "jobs:read",
            "--policies",
            "p",
            "--server",
            &url,
        ],
    ] {
        shell.run(arguments).refused(2, "cannot be used with");
    }
    let mut proxied = shell.command(&["org", "list", "-o", "id", "--server", &url]);
    proxied.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    assert_eq!(Ran::of(proxied, "").expect(0).line(), id);
}

#[test]
fn a_server_that_is_gone_is_named_in_one_sentence() {
    let shell = Shell::new();
    for arguments in [&["org", "list"][..], &["org", "create", "Acme"], &["admin", "list"], &["key", "verify", "--key", "-"]] {
        let mut command = shell.command(&[arguments, &["--server", "http://127.0.0.1:1"]].concat());
        command.env("CLAVIGER_ADMIN_TOKEN", "op_admin_x");
        let ran = Ran::of(command, "op_live_x");
        ran.refused(5, "the server at `http://127.0.0.1:1` does not answer");
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    }
    let mut command = shell.command(&["org", "list", "--server", "http://me:hunter22@127.0.0.1:1"]);
    command.env("CLAVIGER_ADMIN_TOKEN", "op_admin_x");
    let ran = Ran::of(command, "");
    ran.refused(2, "without a user");
    assert!(!ran.err.contains("hunter22"), "{ran:?}");
}

#[tokio::test]
async fn the_same_database_reads_the_same_both_ways_however_long_its_lists_are() {
    let shell = Shell::through_server();
    let (server, token) = shell.server.as_ref().unwrap();
    let admin = server.bearer(token);
    for number in 0..203 {
        admin.create_org(&format!("org-{number}")).await;
    }
    let (key, _) = shell.key("org-202", "jobs:read");
    shell.run(&["key", "rotate", &key]).expect(0);
    let commands: [&[&str]; 6] = [
        &["org", "list"],
        &["org", "get", "org-202"],
        &["key", "list", "--org", "org-202"],
        &["key", "get", &key],
        &["admin", "list"],
        &["audit", "list"],
    ];
    for arguments in commands {
        for output in ["table", "json", "id"] {
            let arguments = [arguments, &["-o", output]].concat();
            let here = shell.run(&[&arguments[..], &["--database", "sqlite:claviger.db"]].concat()).expect(0);
            assert_eq!(shell.run(&arguments).expect(0).out, here.out, "{arguments:?}");
        }
    }
    assert_eq!(shell.run(&["org", "list", "-o", "id"]).expect(0).out.lines().count(), 203);
    for arguments in
        [&["org", "get", "org-203"][..], &["org", "get", "nothing-like-it"], &["key", "get", "key_01kaw9m3gz5v8r7q2n4c6x0b1d"]]
    {
        let here = shell.run(&[arguments, &["--database", "sqlite:claviger.db"]].concat()).expect(1);
        assert_eq!(shell.run(arguments).expect(1).err, here.err);
    }
}

#[test]
fn what_is_no_answer_of_a_claviger_server_is_no_success() {
    let shell = Shell::new();
    let body = |status: &str, body: &str| {
        let elsewhere = "http://127.0.0.1:1/v1/orgs";
        format!("HTTP/1.1 {status}\r\nlocation: {elsewhere}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let list = ["org", "list"];
    let create = ["admin", "create", "--role", "owner", "Ada"];
    let cases: [(&[&str], String, i32); 8] = [
        (&list, body("200 OK", "<html>welcome</html>"), 1),
        (&list, body("200 OK", r#"{"data":[{"name":"Acme"}],"next_cursor":null}"#), 1),
        (&list, body("200 OK", r#"{"data":[],"next_cursor":"/../x?y"}"#), 1),
        (&list, body("307 Temporary Redirect", ""), 1),
        (&list, body("403 Forbidden", "blocked by a firewall"), 1),
        (&create, body("201 Created", r#"{"admin":{"id":"adm_1"},"revision":1}"#), 1),
        (&create, body("204 No Content", ""), 1),
        (&list, body("503 Service Unavailable", r#"{"error":{"code":"STORE_UNAVAILABLE","message":"wait"}}"#), 5),
    ];
    for (arguments, answer, code) in cases {
        let (url, asked) = foreign(&answer);
        let mut command = shell.command(&[arguments, &["--server", &url]].concat());
        command.env("CLAVIGER_ADMIN_TOKEN", "op_admin_x");
        let ran = Ran::of(command, "");
        ran.refused(code, if code == 1 { "no answer of a claviger server" } else { "STORE_UNAVAILABLE: wait" });
        assert!(asked.join().unwrap().contains("Bearer op_admin_x"));
    }
}
