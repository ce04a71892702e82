//! `claviger policy …` and the directories that it reads.

mod check;
mod coverage;
mod diff;
mod directories;
mod explain;
mod fmt;
mod lint;
mod matrix;
mod mutants;
#[cfg(feature = "prove")]
mod prove;
mod recorded;
mod reports;
#[cfg(feature = "prove")]
mod script;
mod suites;

use std::{fs, path::Path};

use clap::Parser;
use claviger::{
    cli::{
        exit::Exit,
        policy::{PolicyArgs, run_with},
        streams::{Stream, Streams},
    },
    policy::SHIPPED,
};
use tempfile::TempDir;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: PolicyArgs,
}

/// A policy repository on disk: the shipped files, and whatever a test does to them.
struct Repository(TempDir);

/// What a command wrote, and how it ended. The repository's path reads `DIR`.
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Repository {
    fn shipped() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        for (path, text) in SHIPPED {
            repository.write(path, text);
        }
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// Replaces a text that must be there.
    fn edit(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "`{old}` is not in {path}");
        self.write(path, text.replacen(old, new, 1));
    }

    /// Runs `claviger policy …` on the repository.
    fn run(&self, args: &[&str]) -> Ran {
        let dir = self.path().display().to_string();
        let (policies, schema) = (format!("{dir}/policies"), format!("{dir}/schema"));
        let mut line = vec!["policy", args[0], "--policies", &policies];
        if args[0] != "fmt" {
            line.extend(["--schema", &schema]);
        }
        line.extend(&args[1..]);
        let ran = run(&line);
        Ran { out: ran.out.replace(&dir, "DIR"), err: ran.err.replace(&dir, "DIR"), ..ran }
    }
}

/// Runs `claviger policy …` with captured streams.
fn run(line: &[&str]) -> Ran {
    let args = Command::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // Wide enough that no sentence is wrapped: where it would be depends on the length of the directory's name.
    let mut streams = Streams { out: Stream::plain(&mut out), err: Stream::plain(&mut err), width: 2_000 };
    let exit = run_with(args, &mut streams).unwrap();
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

impl std::fmt::Display for Ran {
    /// Everything, for snapshots.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}", self.exit.code(), self.out, self.err)
    }
}

#[test]
fn the_help_says_what_a_command_leaves_alone_and_how_it_ends() {
    let help = |line: &[&str]| Command::try_parse_from(line).map_or_else(|help| help.to_string(), |_| String::new());
    let (policy, fmt, test) =
        (help(&["policy", "--help"]), help(&["policy", "fmt", "--help"]), help(&["policy", "test", "--help"]));
    assert!(policy.contains("Exit codes: 0 yes"), "{policy}");
    assert!(fmt.contains("Schema files are left alone"), "{fmt}");
    assert!(test.contains("skips the guards"), "{test}");
}
