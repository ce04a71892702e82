//! The terminal of somebody who follows a page.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Block, Page, is_shown};
use crate::support::program::{Program, run};

/// What ends a block of commands and does not end by itself.
const SERVERS: [&str; 3] = ["cargo run --release -- dev", "claviger dev", "claviger serve"];

/// Somebody who follows a page, in a directory of their own.
pub(super) struct Reader {
    home: TempDir,
    pub(super) servers: Vec<Program>,
    /// What the page says, and what it is here.
    pub(super) places: Vec<(&'static str, String)>,
    /// The variables that their terminal begins with.
    pub(super) variables: Vec<(&'static str, String)>,
    /// How long a running server may take until it knows what was done.
    soon: Duration,
}

impl Reader {
    pub(super) fn new(soon: Duration) -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("repository")).unwrap();
        fs::write(home.path().join("terminal"), "").unwrap();
        let variables = vec![("PATH", std::env::var("PATH").unwrap())];
        Self { home, servers: Vec::new(), places: Vec::new(), variables, soon }
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where they begin.
    pub(super) fn repository(&self) -> PathBuf {
        self.home().join("repository")
    }

    /// A shell that knows the variables and the directory of the commands before, and stops at the first command that fails.
    pub(super) fn shell(&self, commands: &str) -> Command {
        let commands = self.places.iter().fold(commands.to_owned(), |text, (from, to)| text.replace(from, to));
        let terminal = self.home().join("terminal");
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -aeo pipefail\n. '{}'\n{commands}", terminal.display())]);
        shell.current_dir(self.repository()).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }

    /// Types commands; what they say, on both streams, in its order.
    #[track_caller]
    pub(super) fn types(&self, commands: &str) -> String {
        let terminal = self.home().join("terminal");
        let keep = format!("{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > \"{}\"", terminal.display());
        let output = run(self.shell(&format!("trap '{}' EXIT\nexec 2>&1\n{commands}", keep.replace('\'', r"'\''"))));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{commands}\nends with {} and says\n{said}", output.status);
        said
    }

    /// Types commands that must say what is shown; a question may need a moment until its answer is that.
    #[track_caller]
    pub(super) fn types_and_sees(&self, commands: &str, shown: &str) -> String {
        let deadline = Instant::now() + self.soon;
        loop {
            let said = self.types(commands);
            if is_shown(shown, &said) {
                return said;
            }
            let may_change = commands.starts_with("curl ") && Instant::now() < deadline;
            assert!(may_change, "{commands}\nshould say\n{shown}\n\nand says\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn starts(&mut self, command: &str) {
        self.servers.push(Program::start(self.shell(&format!("exec {command}"))));
        let url = self.servers.last().unwrap().told("/url");
        self.places.push(("http://127.0.0.1:8080", url));
    }

    /// Types what is in a block; what its commands say.
    #[track_caller]
    pub(super) fn follows(&mut self, page: &Page, block: &Block, next: Option<&Block>) -> String {
        if !page.is_run(block) {
            return String::new();
        }
        let (commands, server) = split_server(block.text);
        let said = match next.filter(|next| next.language == "text") {
            Some(shown) => self.types_and_sees(commands, shown.text),
            None => self.types(commands),
        };
        if let Some(server) = server {
            self.starts(server);
        }
        said
    }
}

/// The command that ends a block when it is a server, which does not end by itself.
fn split_server(commands: &'static str) -> (&'static str, Option<&'static str>) {
    let (before, last) = commands.rsplit_once('\n').unwrap_or(("", commands));
    let is_server = SERVERS.iter().any(|name| last.starts_with(name));
    if is_server { (before, Some(last)) } else { (commands, None) }
}
