//! `claviger backup`.

mod damage;
mod live;
mod undone;

use std::{
    fs,
    future::Future,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

use serde_json::{Value, json};

use super::{Ran, Shell, text};
use crate::support::{
    engines::{config, execute},
    postgres::{drop_database, postgres_url},
};

/// A database with an org `acme`, two keys and an owner.
struct House {
    shell: Shell,
    first: (String, String),
    second: (String, String),
    owner: String,
}

impl House {
    fn on(url: &str) -> Self {
        let shell = Shell::on(url);
        shell.org("Acme");
        let (first, second) = (shell.key("acme", "scan:create"), shell.key("acme", "jobs:read"));
        shell.run(&["admin", "create", "--role", "owner", "Ada"]).expect(0);
        shell.run(&["admin", "create", "--role", "owner", "Bob"]).expect(0);
        let admins = shell.run(&["admin", "list", "-o", "id"]).expect(0).out;
        let owner = admins.lines().next().unwrap().to_owned();
        Self { shell, first, second, owner }
    }

    fn is_postgres(&self) -> bool {
        self.shell.url.starts_with("postgres")
    }

    /// The same database for somebody who does not stand in the shell's directory.
    fn url(&self) -> String {
        match self.shell.url.strip_prefix("sqlite:") {
            Some(file) => format!("sqlite:{}", self.shell.path().join(file).display()),
            None => self.shell.url.clone(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shell.path().join(name)
    }

    /// Everything that the commands can tell of the database.
    fn state(&self) -> [Value; 3] {
        [&["org", "list"][..], &["key", "list", "--org", "acme"], &["admin", "list"]].map(|command| self.shell.json(command))
    }

    /// Whether the key may do this by the database as it is.
    fn check(&self, permission: &str, secret: &str) -> i32 {
        self.shell.run_with(&["check", permission, "--key", "-"], secret).code
    }

    fn create(&self, name: &str) -> Value {
        self.shell.json(&["backup", "create", name])
    }

    fn verify(&self, name: &str) -> Value {
        self.shell.json(&["backup", "verify", name])
    }

    fn restore(&self, name: &str) -> Ran {
        self.shell.run(&["backup", "restore", name, "--yes"])
    }

    /// What a restore would undo, by the refusal to do so without a yes.
    #[track_caller]
    fn refused_restore(&self, name: &str) -> Value {
        let ran = self.shell.run(&["backup", "restore", name, "-o", "json"]).expect(2);
        assert!(ran.err.contains("--yes"), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }
}

/// Makes a claim on each engine.
async fn on_both<F: Future<Output = House>>(claim: impl Fn(House) -> F) {
    for url in ["sqlite:claviger.db".to_owned(), postgres_url().await] {
        eprintln!("on {url}");
        let house = claim(House::on(&url)).await;
        if house.is_postgres() {
            drop_database(&config(&url).url).await;
        }
    }
}

#[tokio::test]
async fn a_database_comes_back_as_it_was_under_a_new_epoch() {
    on_both(async |house| {
        let before = house.state();
        let made = house.create("a.backup");
        let metadata = fs::metadata(house.file("a.backup")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let engine = if house.is_postgres() { "postgres" } else { "sqlite" };
        assert_eq!(made, json!({ "file": "a.backup", "engine": engine, "bytes": metadata.size() }));
        let verified = house.verify("a.backup");
        let told = |name: &str| verified[name].clone();
        assert_eq!((told("revision"), told("orgs"), told("keys"), told("engine")), (5.into(), 1.into(), 2.into(), engine.into()));
        assert_eq!((told("audit_whole"), told("audit")), (true.into(), "5 audit rows, the chain is whole".into()));
        assert!(text(&verified, "/last_write").ends_with('Z') && verified["pending"] == json!([]), "{verified}");

        house.shell.run(&["key", "revoke", &house.first.0, "--reason", "leaked", "--yes"]).expect(0);
        house.shell.run(&["org", "delete", "acme", "--yes"]).expect(0);
        house.shell.org("Other");
        let restored = house.restore("a.backup").expect(0);
        assert!(restored.out.contains("revision") && restored.err.contains("restored"), "{restored:?}");
        assert_eq!(house.state(), before);
        assert_eq!((house.check("scan:create", &house.first.1), house.check("jobs:read", &house.second.1)), (0, 0));

        house.create("b.backup");
        let again = house.verify("b.backup");
        assert_eq!((&again["revision"], &again["audit_whole"], &again["keys"]), (&5.into(), &true.into(), &2.into()));
        assert_ne!(again["epoch"], verified["epoch"]);
        let left: Vec<String> = fs::read_dir(house.shell.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("partial") || name.contains("restore"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        // Life goes on: the chain continues after a restore.
        house.shell.org("Initech");
        house.create("c.backup");
        assert_eq!(house.verify("c.backup")["audit"], "6 audit rows, the chain is whole");
        house
    })
    .await;
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_leaves_none_when_it_fails() {
    on_both(async |house| {
        house.shell.write("taken.backup", "something else");
        house.shell.run(&["backup", "create", "taken.backup"]).refused(1, "`taken.backup` exists already");
        assert_eq!(fs::read(house.file("taken.backup")).unwrap(), b"something else");
        house.shell.run(&["backup", "create", "none/a.backup"]).refused(1, "`none/a.backup` cannot be written");
        house.shell.run(&["backup", "create", "..", "-o", "json"]).refused(2, "names no file");
        house
    })
    .await;
    let shell = Shell::on("sqlite:nowhere.db");
    shell.run(&["backup", "create", "a.backup"]).refused(1, "there is no database file `nowhere.db`");
    let empty = Shell::on(&postgres_url().await);
    empty.run(&["backup", "create", "a.backup"]).refused(1, "claviger migrate up");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    drop_database(&empty.url).await;
}

#[tokio::test]
async fn a_lost_database_is_restored_where_there_is_none() {
    on_both(async |house| {
        let before = house.state();
        house.create("a.backup");
        let url = if house.is_postgres() { postgres_url().await } else { "sqlite:other.db".to_owned() };
        let other = House { shell: Shell { directory: house.shell.directory, url: url.clone(), server: None }, ..house };
        let refused = other.refused_restore("a.backup");
        assert_eq!((&refused["compared"], &refused["undone"]), (&true.into(), &json!([])));
        assert!(!other.file("other.db").exists());
        other.restore("a.backup").expect(0);
        assert_eq!(other.state(), before);
        if other.is_postgres() {
            drop_database(&url).await;
        } else {
            let mode = fs::metadata(other.file("other.db")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        other
    })
    .await;
}

#[tokio::test]
async fn a_backup_of_one_engine_restores_into_the_other() {
    let url = postgres_url().await;
    let [file, server] = ["sqlite:claviger.db", &url].map(House::on);
    let [before, after] = [&file, &server].map(|house| {
        house.create("a.backup");
        house.state()
    });
    assert_ne!(before, after);
    let swap = |from: &House, to: &House| fs::copy(from.file("a.backup"), to.file("b.backup")).unwrap();
    swap(&file, &server);
    swap(&server, &file);
    for house in [&file, &server] {
        house.restore("b.backup").expect(0);
    }
    assert_eq!((server.state(), file.state()), (before, after));
    assert_eq!((server.check("scan:create", &file.first.1), file.check("scan:create", &server.first.1)), (0, 0));
    for house in [&file, &server] {
        house.create("c.backup");
    }
    assert_eq!([&file, &server].map(|house| house.verify("c.backup")["audit_whole"].clone()), [true, true].map(Value::from));
    drop_database(&url).await;
}

#[tokio::test]
async fn texts_that_are_hard_to_quote_come_back_as_they_were() {
    on_both(async |house| {
        let name = "back\\slash \\N \\. 'quote' \"double\" $1 Ünï 世界";
        house.shell.line(&["org", "create", name, "--slug", "hard", "-o", "id"]);
        let before = house.state();
        house.create("a.backup");
        house.restore("a.backup").expect(0);
        assert_eq!(house.state(), before);
        assert!(before[0].to_string().contains("世界"));
        house
    })
    .await;
}

/// What the release before the newest migration left.
const BEFORE_REPLICAS: &str = "DROP TABLE replica; DROP TABLE idempotency; DROP TABLE secret_use; \
     DELETE FROM _sqlx_migrations WHERE version = 2";

#[tokio::test]
async fn a_backup_of_an_older_release_is_brought_up_to_date() {
    on_both(async |house| {
        let before = house.state();
        execute(&house.url(), BEFORE_REPLICAS).await.unwrap();
        house.create("old.backup");
        let verified = house.verify("old.backup");
        assert_eq!((&verified["pending"], &verified["audit_whole"]), (&json!(["0002_expand_replicas"]), &true.into()));
        // The database is as old; it gets its schema, too.
        house.restore("old.backup").expect(0);
        assert_eq!(house.state(), before);
        house.shell.run(&["key", "revoke", &house.first.0, "--yes"]).expect(0);
        house.restore("old.backup").expect(0);
        assert_eq!(house.state(), before);
        house
    })
    .await;
}

#[tokio::test]
async fn what_a_newer_release_made_is_refused() {
    on_both(async |house| {
        let (insert, values) = ("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)", "true");
        let checksum = if house.is_postgres() { "'\\x00'" } else { "x'00'" };
        let before = house.state();
        for (description, verifies) in [("expand regions", 0), ("drop orgs", 1)] {
            let sql = format!("{insert} VALUES (3, '{description}', {values}, {checksum}, 1)");
            execute(&house.url(), &sql).await.unwrap();
            let name = format!("{}.backup", description.replace(' ', "-"));
            house.create(&name);
            house.shell.run(&["backup", "restore", &name, "--yes"]).refused(1, "migration 0003");
            execute(&house.url(), "DELETE FROM _sqlx_migrations WHERE version = 3").await.unwrap();
            house.shell.run(&["backup", "restore", &name, "--yes"]).refused(1, "migration 0003");
            if !house.is_postgres() {
                house.shell.run(&["backup", "verify", &name]).expect(verifies);
            }
        }
        assert_eq!(house.state(), before);
        house
    })
    .await;
}

#[tokio::test]
async fn the_password_of_the_database_is_no_argument_of_a_program() {
    let url = postgres_url().await;
    let house = House::on(&url);
    let bin = house.file("bin");
    house.shell.write(
        "bin/pg_dump",
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && exit\n\
         echo \"arguments: $*; password: $PGPASSWORD\" >&2; exit 1\n",
    );
    fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = house.shell.command(&["backup", "create", "a.backup"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let ran = Ran::of(command, "");
    ran.refused(1, "arguments: --format=custom");
    let arguments = ran.err.split("; password: ").next().unwrap();
    assert!(!arguments.contains("unasked") && ran.err.contains("password: unasked"), "{ran:?}");
    assert!(!house.file("a.backup").exists());
    drop_database(&url).await;
}

#[tokio::test]
async fn an_old_pg_dump_is_passed_over_or_refused_and_never_run() {
    // It is passed over where a newer one lies under /usr/lib/postgresql, and refused where there is none.
    let url = postgres_url().await;
    let house = House::on(&url);
    house.shell.write("bin/pg_dump", "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n");
    fs::set_permissions(house.file("bin/pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = house.shell.command(&["backup", "create", "a.backup"]);
    command.env("PATH", house.file("bin"));
    let ran = Ran::of(command, "");
    match ran.code {
        0 => assert_eq!(house.verify("a.backup")["audit_whole"], true),
        _ => ran.refused(1, "install the client programs of Postgres"),
    }
    drop_database(&url).await;
}
