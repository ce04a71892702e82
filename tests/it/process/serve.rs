//! `claviger serve` on both databases: start, stop, start again.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use claviger::{
    domain::{audit::Author, clock::Clock, random::Random},
    store::Store,
};
use tempfile::TempDir;

use super::{assert_holds_none, assert_json_lines};
use crate::support::{
    engines::{config, new_owner, reason},
    postgres::{drop_database, postgres_url},
    program::{Program, command, run, shipped_directory},
};

/// A fresh database, without any table, and how to serve it.
pub(super) struct Place {
    pub(super) url: String,
    directory: TempDir,
}

impl Place {
    /// On SQLite.
    pub(super) fn sqlite() -> Self {
        let directory = TempDir::new().unwrap();
        let url = format!("sqlite:{}", directory.path().join("claviger.db").display());
        Self { url, directory }
    }

    /// On a Postgres that must be dropped in the end.
    pub(super) async fn postgres() -> Self {
        Self { url: postgres_url().await, directory: TempDir::new().unwrap() }
    }

    /// Drops the Postgres database.
    pub(super) async fn drop(self) {
        drop_database(&self.url).await;
    }

    /// Where the server runs, and its files are when the database is one.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn command(&self, more: &[&str]) -> Command {
        let (policies, schema) = (shipped_directory("policies"), shipped_directory("schema"));
        let text = |path: &PathBuf| path.display().to_string();
        let (policies, schema) = (text(&policies), text(&schema));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--policies", &policies, "--schema", &schema];
        let mut command = command(self.path(), &[&arguments, more].concat());
        command.env("CLAVIGER_DATABASE__URL", &self.url).env("CLAVIGER_HTTP__SHUTDOWN_DELAY", "0s");
        command
    }

    pub(super) fn serve(&self) -> Program {
        Program::start(self.command(&[]))
    }

    /// A store as another process would have it.
    pub(super) async fn store(&self) -> Store {
        Store::open(&config(&self.url), Random::System).await.unwrap()
    }

    /// An owner, made past the server; their token.
    pub(super) async fn owner(&self) -> String {
        let store = self.store().await;
        let owner = new_owner(&store).await;
        store.close().await;
        owner
    }
}

/// The command line at this moment.
fn now() -> Author {
    Author::command_line(Clock::System.now())
}

/// Makes a claim on a fresh database of each engine.
pub(super) async fn on_both_engines(claim: impl AsyncFn(&Place)) {
    for postgres in [false, true] {
        eprintln!("on {}", if postgres { "postgres" } else { "sqlite" });
        let place = if postgres { Place::postgres().await } else { Place::sqlite() };
        claim(&place).await;
        if postgres {
            drop_database(&place.url).await;
        }
    }
}

#[tokio::test]
async fn serve_keeps_everything_over_a_restart() {
    on_both_engines(async |place| {
        let pending = run(place.command(&["--no-migrate"]));
        assert_eq!((pending.status.code(), &*pending.stdout), (Some(1), &b""[..]));
        assert!(String::from_utf8_lossy(&pending.stderr).contains("is pending"));

        let server = place.serve();
        let mut told: Vec<_> = server.ready.as_object().unwrap().keys().map(String::as_str).collect();
        told.sort_unstable();
        assert_eq!(told, ["metrics_url", "url"]);
        let owner = place.owner().await;
        let org = server.bearer(&owner).create_org("kept").await;
        let (key, secret) = server.bearer(&owner).create_key(&org, &["classify:create"]).await;
        let allowed = server.bearer(&secret).authorize("classify:create").await.expect(200);
        assert_eq!((allowed.text("/org/id"), allowed.text("/key/id")), (org.clone(), key.clone()));
        server.bearer(&secret).authorize("scan:create").await.expect(403);
        let said = server.stop();
        assert_eq!((said.code, said.stdout.lines().count()), (Some(0), 1), "{}", said.stderr);
        assert_json_lines(&said.stderr);
        assert_holds_none(&[owner.clone(), secret.clone()], said.stderr.as_bytes(), "stderr");
        assert!(!said.stderr.contains("unasked"), "the password of the database is in the log");

        let server = Program::start(place.command(&["--no-migrate"]));
        server.bearer(&secret).authorize("classify:create").await.expect(200);
        let kept = server.bearer(&owner).get(&format!("/v1/keys/{key}")).await.expect(200);
        assert_eq!(kept.text("/org_id"), org);
        assert_eq!(server.stop().code, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_suspension_by_another_process_is_honoured_within_a_second() {
    on_both_engines(async |place| {
        let server = place.serve();
        let owner = server.bearer(&place.owner().await);
        let org = owner.create_org("acme").await;
        let key = server.bearer(&owner.create_key(&org, &["classify:create"]).await.1);
        key.authorize("classify:create").await.expect(200);
        let store = place.store().await;
        store.suspend_org(&now(), org.parse().unwrap(), &reason("unpaid")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(key.authorize("classify:create").await.expect(403).code(), "ORGANIZATION_SUSPENDED");
        store.unsuspend_org(&now(), org.parse().unwrap(), &reason("paid")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        key.authorize("classify:create").await.expect(200);
        store.close().await;
    })
    .await;
}
