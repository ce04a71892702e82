//! The commands as people and scripts run them: each one a process on a database of its own.

mod admins;
mod api;
mod audit;
mod backup;
mod check;
mod config;
mod decisions;
mod doctor;
mod help;
mod init;
mod keys;
mod migrate;
mod orgs;
mod running;
mod secrecy;
mod server;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Program, command, run_with, shipped_directory};

/// A directory to run commands in, with the database that they work on.
struct Shell {
    directory: TempDir,
    url: String,
    /// The server to act through, with its URL in the environment, and an owner's token.
    server: Option<(Program, String)>,
}

/// What a command said and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Shell {
    /// On an SQLite file that is not there yet.
    fn new() -> Self {
        Self::on("sqlite:claviger.db")
    }

    fn on(url: &str) -> Self {
        Self { directory: TempDir::new().unwrap(), url: url.to_owned(), server: None }
    }

    /// On a database that no command can reach but through a server.
    fn through_server() -> Self {
        let mut shell = Self::new();
        let token = shell.line(&["admin", "create", "--role", "owner", "Root"]);
        shell.server = Some((shell.serve(), token));
        shell.url = "sqlite:nowhere.db".to_owned();
        shell
    }

    /// What is claimed of a command holds on a database and through a server.
    fn both() -> [Self; 2] {
        [Self::new(), Self::through_server()]
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.path(), arguments);
        command.env("CLAVIGER_DATABASE__URL", &self.url).env("CLAVIGER_HTTP__SHUTDOWN_DELAY", "0s");
        if let Some((server, token)) = &self.server {
            command.env("CLAVIGER_SERVER", server.told("/url")).env("CLAVIGER_ADMIN_TOKEN", token);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments), "")
    }

    /// Runs a command that reads from its standard input.
    fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.command(arguments), input)
    }

    /// The JSON that a command answers.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["-o", "json"]].concat()).expect(0);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// The one line that a command answers.
    #[track_caller]
    fn line(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect(0).line()
    }

    /// Makes an org and returns its id.
    #[track_caller]
    fn org(&self, name: &str) -> String {
        self.line(&["org", "create", name, "-o", "id"])
    }

    /// Makes a live key; returns its id and its secret.
    #[track_caller]
    fn key(&self, org: &str, permission: &str) -> (String, String) {
        let made =
            self.json(&["key", "create", "--org", org, "--name", "CI", "--environment", "live", "--permission", permission]);
        (text(&made, "/key/id"), text(&made, "/secret"))
    }

    /// A server on the same database and the shipped policies.
    fn serve(&self) -> Program {
        self.serve_with(&BTreeMap::new())
    }

    /// The same, with these variables besides.
    fn serve_with(&self, environment: &BTreeMap<String, String>) -> Program {
        let path = |name| shipped_directory(name).display().to_string();
        let (policies, schema) = (path("policies"), path("schema"));
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--policies", &policies, "--schema", &schema]);
        command.envs(environment);
        Program::start(command)
    }
}

impl Ran {
    fn of(command: Command, input: &str) -> Self {
        let output = run_with(command, input);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        Self { code: output.status.code().unwrap(), out, err }
    }

    /// The same, when it ended so.
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The one line on stdout.
    #[track_caller]
    fn line(&self) -> String {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// Refused with this code and one sentence that has these words; nothing on stdout.
    #[track_caller]
    fn refused(&self, code: i32, words: &str) {
        assert_eq!((self.code, &*self.out), (code, ""), "{self:?}");
        assert!(self.err.starts_with("error: ") && self.err.contains(words), "{words}: {self:?}");
    }
}

#[track_caller]
fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}")).to_owned()
}
