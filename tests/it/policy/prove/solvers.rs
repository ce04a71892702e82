//! Where the solver is looked for, and what becomes of one that misbehaves.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use super::{Proved, Repository, command, rows, run_with, unproved};

/// Writes a program.
fn program(repository: &Repository, name: &str, body: &str) -> String {
    repository.write(name, format!("#!/bin/sh\n{body}\n"));
    let path = repository.path().join(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A program that says that it is cvc5, and then does something else.
fn impostor(repository: &Repository, name: &str, body: &str) -> String {
    program(repository, name, &format!("read a; echo '(:name \"cvc5\")'; read b; echo '(:version \"1.3.1\")'\n{body}"))
}

/// Nothing is proved, and the reason names the solver and says these words.
#[track_caller]
fn undecided(repository: &Repository, solver: &str, words: &str) {
    let mut command = repository.prover(&["--timeout-ms", "300", "--format", "json"]);
    command.env("CVC5", solver);
    let proved = Proved::of(command);
    assert_eq!(proved.code, 3, "{proved:?}");
    let document: serde_json::Value = serde_json::from_str(&proved.out).unwrap();
    let verdicts = [rows(&document, "policies", "id"), rows(&document, "invariants", "id")].concat();
    assert!(verdicts.iter().all(|row| row.ends_with(" undecided")), "{solver}: {verdicts:?}");
    let note = document["invariants"][0]["notes"][0].as_str().unwrap();
    assert!(note.contains(words), "{words}: {note}");
}

#[test]
fn a_solver_that_misbehaves_is_named_and_proves_nothing() {
    let repository = Repository::shipped();
    let shell = |name: &str, body: &str| program(&repository, name, body);
    undecided(&repository, &shell("dies", "echo 'no license' >&2; exit 7"), "dies` died (exit status: 7): no license");
    undecided(&repository, &shell("garbage", "exec yes"), "garbage` is not cvc5");
    undecided(&repository, &shell("echoes", "exec cat"), "echoes` is not cvc5");
    undecided(&repository, &shell("silent", "exec cat >/dev/null <&-"), "silent` died");
    undecided(
        &repository,
        &shell("z3", "read a; echo '(:name \"Z3\")'; read b; echo '(:version \"4.15.4\")'; exec cat"),
        "z3` is not cvc5: asked for its name it says `(:name \"Z3\")",
    );
    let later = |name: &str, body: &str| impostor(&repository, name, body);
    undecided(&repository, &later("dies-later", "read x; exit 3"), "dies-later` died (exit status: 3)");
    undecided(&repository, &later("hangs", "exec sleep 600"), "hangs` hangs: it does not answer within");
    let answers = |answer: &str| {
        format!("while read x; do case \"$x\" in *check-sat*) {answer};; *get-model*) printf '(\\n)\\n';; esac; done")
    };
    undecided(&repository, &later("perhaps", &answers("echo perhaps")), "perhaps` answers `perhaps`");
    undecided(&repository, &later("errors", &answers("echo '(error \"no\")'")), "answers `(error \"no\")`");
    undecided(&repository, &later("unknown", &answers("echo unknown")), "the solver finds no answer within 300 ms");
    undecided(&repository, &later("always", &answers("echo sat")), "counterexample does not hold");
}

#[test]
fn a_solver_that_finds_everything_impossible_proves_nothing() {
    let repository = Repository::shipped();
    let never = impostor(&repository, "never", "while read x; do case \"$x\" in *check-sat*) echo unsat;; esac; done");
    let mut command = repository.prover(&["--format", "json"]);
    command.env("CVC5", never);
    let proved = Proved::of(command);
    assert_eq!(proved.code, 3);
    let document = serde_json::from_str(&proved.out).unwrap();
    assert_eq!(unproved(&document).len(), 4, "{document}");
}

/// The program with nothing in its environment but these.
fn found_with(repository: &Repository, environment: &[(&str, &Path)]) -> (i32, String) {
    let mut command = command(repository.path(), &["policy", "prove", "--policies", "policies", "--schema", "schema"]);
    command.envs(environment.iter().copied());
    let output = run_with(command, "");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn without_a_solver_the_command_that_gets_it_is_named() {
    let repository = Repository::shipped();
    // Whatever lies in the working directory is nobody's solver.
    program(&repository, "cvc5", "exit 0");
    let (here, empty) = (Path::new("."), Path::new(""));
    for path in [here, empty, Path::new("/nonexistent:.:")] {
        let (code, error) = found_with(&repository, &[("PATH", path), ("HOME", here), ("XDG_DATA_HOME", here)]);
        assert_eq!((code, &*error), (5, "error: there is no solver; get cvc5 with `scripts/get-cvc5`\n"));
    }
    for (variable, value, words) in [
        ("CVC5", "./cvc5", "CVC5 names `./cvc5`, which is no absolute path"),
        ("CVC5", "/nonexistent/cvc5", "which is no program"),
        ("CVC5_LIB_DIR", "lib", "which is no absolute path"),
        ("CVC5_LIB_DIR", "/nonexistent", "but there is no `libcvc5` in `/nonexistent`"),
    ] {
        let (code, error) = found_with(&repository, &[(variable, Path::new(value))]);
        assert!(code == 5 && error.contains(words) && error.contains("scripts/get-cvc5"), "{words}: {error}");
    }
}

#[test]
fn a_program_on_the_path_is_found_last() {
    let repository = Repository::shipped();
    let folder = repository.path().join("bin");
    program(&repository, "bin/cvc5", "exit 9");
    let (code, error) = found_with(&repository, &[("PATH", &folder)]);
    assert!(code == 3 && error.contains("bin/cvc5` died (exit status: 9)"), "{error}");
    let (code, error) = found_with(&repository, &[("PATH", &folder), ("CVC5", Path::new("/bin/false"))]);
    assert!(code == 3 && error.contains("/bin/false` died"), "{error}");
}

/// Where the libraries are on this machine, as the prover looks for them.
fn libraries() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").or_else(|| Some(format!("{}/.local/share", set("HOME")?)))?;
    set("CVC5_LIB_DIR").or(Some(format!("{data}/claviger/cvc5"))).filter(|folder| Path::new(folder).is_dir())
}

#[test]
fn the_stand_in_speaks_as_the_program_does() {
    // Where a whole program of cvc5 is named instead there is nothing to stand in for.
    let Some(folder) = libraries() else { return };
    let repository = Repository::shipped();
    let say = |input: &str| {
        let mut command = command(repository.path(), &["__cvc5", &folder, "--tlimit-per=5000"]);
        command.stdin(Stdio::piped());
        let output = run_with(command, input);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(say("(get-info :name)\n"), (0, "(:name \"cvc5\")\n".to_owned()));
    let script = "(set-logic ALL)(declare-const a Int)(assert (< a 0))(check-sat)(assert (> a 0))(check-sat)\n(reset)\n(set-logic ALL)(declare-const a Bool)(check-sat)(exit)(check-sat)";
    assert_eq!(say(script), (0, "sat\nunsat\nsat\n".to_owned()));
    let (code, answer) = say("(assert (= tomato 1))(check-sat)(check-sat)");
    assert!(code == 1 && answer.starts_with("(error \"Parse Error: ") && answer.lines().count() == 1, "{answer}");
    let (code, answer) = say("(set-logic ALL)(check-sat)(get-model)(check-sat)");
    assert!(code == 1 && answer.starts_with("sat\n(error ") && answer.lines().count() == 2, "{answer}");
    assert_eq!(say(""), (0, String::new()));
}
