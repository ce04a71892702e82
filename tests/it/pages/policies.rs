//! `docs/policies.md`: the change that it walks through, command by command, in a policy repository of its own.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use claviger::policy::{Change, SUITE_SCHEMA};

use super::{Page, Reader, quoted};
use crate::support::program::{command, run};

/// Two reads half a second apart must agree before a server takes files over.
const SOON: Duration = Duration::from_secs(30);

const MUTANTS: [Change; 5] =
    [Change::ClauseDropped, Change::EffectFlipped, Change::ScopeWidened, Change::ConditionNegated, Change::LiteralChanged];

fn page() -> Page {
    Page::read("docs/policies.md", &[])
}

/// Somebody with the program on the PATH, a name for git, and the solver of this machine.
fn engineer() -> Reader {
    let mut engineer = Reader::new(SOON);
    let programs = engineer.home().join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_claviger"), programs.join("claviger")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let solver = ["HOME", "XDG_DATA_HOME", "CVC5", "CVC5_LIB_DIR"].into_iter();
    engineer.variables = solver.filter_map(|name| Some((name, std::env::var(name).ok()?))).collect();
    let own = [("PATH", &*path), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")];
    let acme = [
        ("GIT_AUTHOR_NAME", "Acme"),
        ("GIT_AUTHOR_EMAIL", "acme@example.com"),
        ("GIT_COMMITTER_NAME", "Acme"),
        ("GIT_COMMITTER_EMAIL", "acme@example.com"),
    ];
    engineer.variables.extend(own.into_iter().chain(acme).map(|(name, value)| (name, value.to_owned())));
    engineer.places = vec![("claviger dev", "claviger dev --listen 127.0.0.1:0 -o json".to_owned())];
    engineer
}

#[test]
fn every_command_of_the_page_on_policies_works_and_says_what_is_shown() {
    let page = page();
    let mut engineer = engineer();
    for (block, next) in page.steps() {
        engineer.follows(&page, block, next);
    }
    assert_eq!(engineer.servers.len(), 1, "the change goes live");
}

#[test]
fn every_block_of_the_page_on_policies_is_commands_or_what_they_say() {
    page().is_proved_block_by_block(&[]);
}

#[test]
fn what_the_page_on_policies_lists_is_there() {
    let page = page();
    for link in page.links() {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&link).exists(), "there is no {link}");
    }
    let help = |name: &str| {
        let output = run(command(Path::new("."), &["policy", name, "--help"]));
        String::from_utf8(output.stdout).unwrap()
    };
    let help: String = ["check", "test", "prove"].map(help).concat();
    let prose = page.blocks.iter().flat_map(|block| quoted(block.prose));
    for flag in prose.filter_map(|text| text.split(' ').find(|word| word.starts_with("--"))) {
        assert!(help.contains(flag) || ["--policies", "--schema"].contains(&flag), "there is no {flag}");
    }
    for change in MUTANTS {
        assert!(page.text.contains(&format!("`{}`", change.as_str())), "{} is not explained", change.as_str());
    }
    let rows: Vec<&str> = page.text.lines().filter(|line| line.contains("`keys`") && line.starts_with('|')).collect();
    assert!(!rows.is_empty());
    for word in rows.into_iter().flat_map(quoted) {
        let is_known = ["\"", "`"].iter().any(|quote| SUITE_SCHEMA.contains(&format!("{quote}{word}{quote}")));
        assert!(is_known, "a suite has no {word}");
    }
}
