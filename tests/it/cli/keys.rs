//! `claviger key`.

use claviger::policy::SHIPPED;
use serde_json::json;

use super::{Ran, Shell, text};

const CREATE: [&str; 10] =
    ["key", "create", "--org", "acme", "--name", "CI", "--environment", "test", "--permission", "jobs:read"];

fn with_acme() -> Shell {
    let shell = Shell::new();
    shell.org("Acme");
    shell
}

fn both_with_acme() -> [Shell; 2] {
    Shell::both().map(|shell| {
        shell.org("Acme");
        shell
    })
}

impl Shell {
    /// What `verify` finds of a secret that is not valid: a server does not say why.
    fn invalid(&self, reason: &str) -> (i32, String) {
        (4, if self.server.is_some() { "not told" } else { reason }.to_owned())
    }

    /// Whether a secret is valid, and why not.
    fn verify(&self, secret: &str) -> (i32, String) {
        let ran = self.run_with(&["key", "verify", "--key", "-", "-o", "json"], secret);
        let body: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!(body["valid"], json!(ran.code == 0), "{ran:?}");
        let silent = if ran.code == 0 { "valid" } else { "not told" };
        (ran.code, body["reason"].as_str().unwrap_or(silent).to_owned())
    }
}

#[test]
fn a_new_secret_is_alone_on_stdout_and_once_in_the_json() {
    for shell in both_with_acme() {
        let made = shell.run(&CREATE).expect(0);
        let secret = made.line();
        assert!(secret.starts_with("op_test_") && secret.len() == 46, "{made:?}");
        assert!(made.err.contains("never again") && made.err.contains("key_") && !made.err.contains(&secret[8..20]), "{made:?}");
        assert_eq!(shell.verify(&secret), (0, "valid".to_owned()));

        let json = shell.run(&[&CREATE[..], &["-o", "json"]].concat()).expect(0);
        assert_eq!((json.out.matches("op_test_").count(), &*json.err), (2, ""), "one secret and its hint: {json:?}");
        shell.run(&[&CREATE[..], &["-o", "id"]].concat()).refused(2, "-o json");
    }
}

#[test]
fn a_key_is_granted_what_the_schema_has_and_nothing_else() {
    for shell in both_with_acme() {
        let create = |permissions: &[&str]| shell.run(&[&CREATE[..8], permissions].concat());
        create(&["--permission", "jobs:reed"]).refused(2, "`jobs:reed` (did you mean `jobs:read`?)");
        create(&["--permission", "Jobs:read"]).refused(2, "it has classify:create");
        create(&[]).refused(2, "--permission");
        create(&["--permission", "read-only", "scan:create"]).expect(0);
        let made = &shell.json(&["key", "list", "--org", "acme"])["data"][0];
        assert_eq!(made["permissions"], json!(["credits:read", "jobs:read", "results:read", "scan:create"]));
    }
}

#[test]
fn a_policy_repository_beside_it_says_which_permissions_there_are() {
    let shell = with_acme();
    let action = r#"action "reports:read" appliesTo { principal: [ApiKey], resource: [Org] };"#;
    for (path, text) in SHIPPED {
        let more = if path == "schema/authz.cedarschema" { action } else { "" };
        shell.write(path, &format!("{text}\n{more}\n"));
        shell.write(&format!("elsewhere/{path}"), text);
    }
    let create = |more: &[&str]| shell.run(&[&CREATE[..8], &["--permission", "reports:read"], more].concat());
    let secret = create(&[]).expect(0).line();
    assert_eq!(shell.run_with(&["check", "reports:read", "--key", "-"], &secret).code, 0);
    let elsewhere = ["--policies", "elsewhere/policies", "--schema", "elsewhere/schema"];
    create(&elsewhere).refused(2, "`reports:read`");
    create(&["--policies", "nowhere"]).refused(2, "there is no directory `nowhere`");
    let mut command = shell.command(&[&CREATE[..8], &["--permission", "reports:read"]].concat());
    command.env("CLAVIGER_POLICIES__DIR", "elsewhere/policies").env("CLAVIGER_POLICIES__SCHEMA", "elsewhere/schema");
    Ran::of(command, "").refused(2, "`reports:read`");
}

#[test]
fn an_expiry_is_a_time_or_a_length_that_lies_ahead() {
    for shell in both_with_acme() {
        let create = |more: &[&str]| shell.run(&[&CREATE[..], more].concat());
        create(&["--expires-in", "90d"]).expect(0);
        create(&["--expires-at", "2999-01-01T00:00:00Z"]).expect(0);
        create(&["--expires-in", "0s"]).refused(2, "in the future");
        create(&["--expires-at", "2001-01-01T00:00:00Z"]).refused(2, "in the future");
        create(&["--expires-in", "1d", "--expires-at", "2999-01-01T00:00:00Z"]).refused(2, "cannot be used with");
        create(&["--expires-in", "soon"]).refused(2, "a duration is a number");
        let keys = shell.json(&["key", "list", "--org", "acme"]);
        assert!(text(&keys, "/data/0/expires_at") < text(&keys, "/data/1/expires_at"));
        assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_rotation_keeps_the_key_and_ends_the_old_secret_when_told() {
    for shell in both_with_acme() {
        let (id, first) = shell.key("acme", "jobs:read");
        let second = shell.run(&["key", "rotate", &id]).expect(0).line();
        assert_eq!((shell.verify(&first).0, shell.verify(&second).0), (0, 0));
        assert_eq!(shell.json(&["key", "get", &id])["secrets"].as_array().unwrap().len(), 2);
        shell.run(&["key", "finish-rotation", &id]).expect(0);
        assert_eq!((shell.verify(&first), shell.verify(&second).0), (shell.invalid("secret_expired"), 0));
        let third = shell.json(&["key", "rotate", &id, "--overlap", "0s", "--yes"]);
        assert_eq!((shell.verify(&second).0, shell.verify(&text(&third, "/secret")).0), (4, 0));
        assert_eq!(text(&third, "/key/id"), id);
        shell.run(&["key", "rotate", &id, "--overlap", "8d"]).refused(2, "at most `7d`");
    }
}

#[test]
fn a_disabled_key_can_come_back_and_a_revoked_one_cannot() {
    for shell in both_with_acme() {
        let (id, secret) = shell.key("acme", "jobs:read");
        shell.run(&["key", "disable", &id, "--yes"]).expect(0);
        assert_eq!(shell.verify(&secret), shell.invalid("key_disabled"));
        shell.run(&["key", "rotate", &id]).refused(1, "the key is disabled");
        shell.run(&["key", "enable", &id]).expect(0);
        assert_eq!(shell.verify(&secret).0, 0);
        let revoked = shell.json(&["key", "revoke", &id, "--reason", "leaked", "--yes"]);
        assert_eq!((text(&revoked, "/key/state"), text(&revoked, "/key/revocation_reason")), ("revoked".into(), "leaked".into()));
        assert_eq!(shell.verify(&secret), shell.invalid("key_revoked"));
        shell.run(&["key", "enable", &id]).refused(1, "the key is revoked");
        shell.run(&["key", "get", "key_01kaw9m3gz5v8r7q2n4c6x0b1d"]).refused(1, "there is no key");
    }
}

#[test]
fn verify_says_whose_a_secret_is_and_how_it_stands() {
    let shell = with_acme();
    let (id, secret) = shell.key("acme", "jobs:read");
    let said = shell.run_with(&["key", "verify", "--key", "-"], &format!("  {secret}\n")).expect(0).out;
    assert!([&id, "CI", "Acme", "jobs:read"].iter().all(|word| said.contains(word)) && !said.contains(&secret), "{said}");
    assert_eq!(shell.run_with(&["key", "verify", "--key", "-", "-o", "id"], &secret).expect(0).line(), id);
    shell.run(&["org", "suspend", "acme", "--reason", "x", "--yes"]).expect(0);
    assert!(shell.run_with(&["key", "verify", "--key", "-"], &secret).expect(0).out.contains("suspended"));
    shell.run(&["key", "revoke", &id, "--yes"]).expect(0);
    let revoked = shell.run_with(&["key", "verify", "--key", "-"], &secret).expect(4);
    assert!(revoked.out.contains(&id) && revoked.err.contains("its key is revoked"), "{revoked:?}");

    let token = shell.line(&["admin", "create", "--role", "owner", "Ada"]);
    shell.run_with(&["key", "verify", "--key", "-"], &token).refused(4, "admin token");
    let stranger = format!("op_live_{}0sEKhM", "0".repeat(32));
    for (text, why) in
        [(&*stranger, "no key of this database"), (&secret[..45], "mistyped"), ("hello", "shape"), ("a b", "shape")]
    {
        shell.run_with(&["key", "verify", "--key", "-"], text).refused(4, why);
    }
}

#[test]
fn a_server_tells_a_valid_key_about_itself_and_of_any_other_only_that_it_is_none() {
    let shell = Shell::through_server();
    shell.org("Acme");
    let (id, secret) = shell.key("acme", "jobs:read");
    let verify = |arguments: &[&str], text: &str| shell.run_with(&[&["key", "verify", "--key", "-"], arguments].concat(), text);
    let said = verify(&[], &secret).expect(0).out;
    assert!(
        [&id, "CI", "Acme", "jobs:read", "active"].iter().all(|word| said.contains(word)) && !said.contains(&secret),
        "{said}"
    );
    assert_eq!(verify(&["-o", "id"], &secret).expect(0).line(), id);
    shell.run(&["org", "suspend", "acme", "--reason", "x", "--yes"]).expect(0);
    assert!(verify(&[], &secret).expect(0).out.contains("suspended"));
    shell.run(&["key", "revoke", &id, "--yes"]).expect(0);
    for text in [&*secret, "hello", &format!("op_live_{}0sEKhM", "0".repeat(32))] {
        verify(&[], text).refused(4, "a server does not say why");
    }
    verify(&[], "a b").refused(4, "characters");
}

#[test]
fn a_secret_comes_from_stdin_or_the_environment_and_never_from_a_flag() {
    for shell in both_with_acme() {
        let (_, secret) = shell.key("acme", "jobs:read");
        for command in [&["key", "verify"][..], &["check", "jobs:read"]] {
            shell.run(command).refused(4, "CLAVIGER_API_KEY");
            shell.run_with(&[command, &["--key", "-"]].concat(), "\n").refused(4, "there is no API key");
            let ran = shell.run(&[command, &["--key", &secret]].concat());
            ran.refused(2, "list of processes");
            assert!(!ran.err.contains(&secret[8..]));
            let mut from_environment = shell.command(command);
            from_environment.env("CLAVIGER_API_KEY", &secret);
            Ran::of(from_environment, "").expect(0);
        }
    }
}
