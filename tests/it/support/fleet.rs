//! Several servers on one Postgres, each behind a relay of its own.

use std::{path::PathBuf, time::Duration};

use claviger::{domain::random::Random, store::Store};
use tempfile::TempDir;

use super::{
    engines::{config, new_owner},
    program::{Program, Visitor, command, shipped_directory},
    relay::Relay,
};

/// Servers that decide from one database, and an owner.
pub(crate) struct Fleet {
    pub(crate) url: String,
    pub(crate) owner: String,
    pub(crate) members: Vec<Member>,
    settings: Vec<(String, String)>,
    directory: TempDir,
}

/// A server and its way to the database.
pub(crate) struct Member {
    pub(crate) program: Program,
    pub(crate) relay: Relay,
}

impl Fleet {
    /// As many servers as asked for, with these settings besides: `("CLAVIGER_…", "…")`.
    pub(crate) async fn start(url: &str, count: usize, settings: &[(&str, &str)]) -> Self {
        let store = Store::open(&config(url), Random::System).await.unwrap();
        store.migrate().await.unwrap();
        let owner = new_owner(&store).await;
        store.close().await;
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let directory = TempDir::new().unwrap();
        let mut fleet = Self { url: url.to_owned(), owner, members: Vec::new(), settings, directory };
        for _ in 0..count {
            let member = fleet.launch().await;
            fleet.members.push(member);
        }
        fleet
    }

    /// One more server, ready.
    pub(crate) async fn launch(&self) -> Member {
        self.launch_at("127.0.0.1:0", &[]).await
    }

    /// The same at an address, with more of an environment than the others have; an empty value leaves a setting at its default.
    pub(crate) async fn launch_at(&self, listen: &str, environment: &[(&str, &str)]) -> Member {
        let relay = Relay::before(&self.url).await.unwrap();
        let text = |path: PathBuf| path.display().to_string();
        let (policies, schema) = (text(shipped_directory("policies")), text(shipped_directory("schema")));
        let arguments = ["serve", "--listen", listen, "--policies", &policies, "--schema", &schema];
        let mut command = command(self.directory.path(), &arguments);
        command.env("CLAVIGER_DATABASE__URL", relay.reroute(&self.url)).env("CLAVIGER_HTTP__SHUTDOWN_DELAY", "0s");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        for (name, value) in environment {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        // The relay of this very program runs while the server starts.
        let program = tokio::task::spawn_blocking(move || Program::start(command)).await.unwrap();
        Member { program, relay }
    }

    /// The owner, at one of the servers.
    pub(crate) fn owner_at(&self, member: usize) -> Visitor {
        self.members[member].program.bearer(&self.owner)
    }

    /// Somebody with a key, at one of the servers.
    pub(crate) fn key_at(&self, member: usize, secret: &str) -> Visitor {
        self.members[member].program.bearer(secret)
    }

    /// An org with some keys that may do one thing: their ids and secrets.
    pub(crate) async fn keys(&self, count: usize) -> Vec<(String, String)> {
        let owner = self.owner_at(0);
        let org = owner.create_org("acme").await;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(owner.create_key(&org, &["classify:create"]).await);
        }
        let last = &keys.last().unwrap().1;
        for member in 0..self.members.len() {
            self.allowed_soon(member, last).await;
        }
        keys
    }

    /// Waits until a server allows a key what it may do.
    pub(crate) async fn allowed_soon(&self, member: usize, secret: &str) {
        let visitor = self.key_at(member, secret);
        for _ in 0..1_500 {
            if visitor.authorize("classify:create").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("server {member} does not allow the key");
    }
}
