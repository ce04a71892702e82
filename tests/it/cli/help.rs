//! Every command explains itself.

use clap::{Command, CommandFactory};
use claviger::cli::Cli;

use super::Shell;

/// The commands that do something, with their whole names.
fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    let mut commands = command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()).peekable();
    if commands.peek().is_none() {
        found.push((path.to_owned(), command.clone()));
    }
    for sub in commands {
        leaves(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

#[test]
fn every_command_has_an_example_that_it_understands() {
    let mut program = Cli::command();
    program.build();
    let mut found = Vec::new();
    leaves(&program, "claviger", &mut found);
    assert!(found.len() > 25, "{}", found.len());
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Examples:") && help.contains(&path), "`{path}` has no example: {help}");
        assert!(command.get_about().is_some(), "`{path}` does not say what it does");
        let undocumented =
            command.get_arguments().find(|argument| argument.get_long().is_some() && argument.get_help().is_none());
        assert!(undocumented.is_none(), "`{path}` does not say what `{}` is", undocumented.unwrap());
    }
}

#[test]
fn no_flag_takes_a_secret() {
    let shell = Shell::new();
    for command in [&["key", "verify"][..], &["check"], &["key", "create"], &["admin", "create"]] {
        // A dash says that standard input is read, and is all that these take.
        let help = shell.run(&[command, &["--help"]].concat()).expect(0).out.replace("--token <->", "");
        for flag in ["--secret", "--token", "--password", "--pepper"] {
            assert!(!help.contains(flag), "{help}");
        }
    }
}

#[test]
fn the_version_is_told_and_an_unknown_command_is_suggested() {
    let shell = Shell::new();
    assert_eq!(shell.run(&["--version"]).expect(0).line(), concat!("claviger ", env!("CARGO_PKG_VERSION")));
    shell.run(&["orgs"]).refused(2, "org");
    assert!(shell.run(&[]).expect(2).err.contains("Usage: claviger <COMMAND>"));
}
