//! `claviger policy prove`: the program itself, with the solver that `scripts/get-cvc5` puts where it is looked for.

mod against;
mod allowance;
mod broken;
mod invariants;
mod report;
mod solvers;

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::Repository;
use crate::support::program::{command, run_with};

/// What a proof said, and how it ended.
#[derive(Debug)]
struct Proved {
    code: i32,
    out: String,
    err: String,
}

impl Repository {
    /// The program on this repository, with the solver of this machine.
    fn prover(&self, arguments: &[&str]) -> Command {
        let line = [&["policy", "prove", "--policies", "policies", "--schema", "schema"], arguments].concat();
        let mut command = command(self.path(), &line);
        for variable in ["CVC5", "CVC5_LIB_DIR", "XDG_DATA_HOME", "HOME", "PATH"] {
            command.envs(std::env::var_os(variable).map(|value| (variable, value)));
        }
        command
    }

    fn prove(&self, arguments: &[&str]) -> Proved {
        Proved::of(self.prover(arguments))
    }

    /// The JSON document of a proof that must end so.
    #[track_caller]
    fn proof(&self, code: i32, arguments: &[&str]) -> Value {
        let proved = self.prove(&[arguments, &["--format", "json"]].concat());
        assert_eq!(proved.code, code, "{proved:?}");
        serde_json::from_str(&proved.out).unwrap_or_else(|error| panic!("{error}: {proved:?}"))
    }

    /// Takes the shipped invariants away, for what is compared and not claimed.
    fn without_invariants(self) -> Self {
        fs::remove_dir_all(self.path().join("policies/invariants")).unwrap();
        self
    }

    /// A copy of another repository.
    fn copy_of(other: &Self) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_tree(other.path(), copy.path());
        copy
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

impl Proved {
    fn of(command: Command) -> Self {
        let output = run_with(command, "");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let proved = Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!proved.err.contains("there is no solver; get cvc5"), "run `scripts/get-cvc5` before these tests");
        proved
    }
}

/// `name verdict` of each row of a part of the document.
fn rows(document: &Value, part: &str, name: &str) -> Vec<String> {
    let row = |row: &Value| format!("{} {}", row[name].as_str().unwrap(), row["verdict"].as_str().unwrap());
    document[part].as_array().unwrap().iter().map(row).collect()
}

/// The invariants that are not proved.
fn unproved(document: &Value) -> Vec<String> {
    rows(document, "invariants", "id").into_iter().filter(|row| !row.ends_with(" proved")).collect()
}

/// The actions that do not allow the same.
fn changed(document: &Value) -> Vec<String> {
    rows(document, "against", "action").into_iter().filter(|row| !row.ends_with(" same")).collect()
}

#[test]
fn the_shipped_policies_are_proved() {
    let document = Repository::shipped().proof(0, &[]);
    assert_eq!(
        rows(&document, "invariants", "id"),
        [
            "suspended-org-is-denied proved",
            "key-stays-in-its-org proved",
            "action-needs-its-permission proved",
            "granted-key-is-allowed proved",
        ]
    );
    let policies = rows(&document, "policies", "id");
    assert!(policies.len() == 6 && policies.iter().all(|row| row.ends_with(" proved")), "{policies:?}");
    assert_eq!(document["against"], serde_json::json!([]));
}
