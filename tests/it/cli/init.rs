//! `claviger init`: a policy repository to start from.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use claviger::policy::SHIPPED;

use super::Shell;

/// Every file below a directory, with its text.
fn tree(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            files.insert(name, fs::read_to_string(&path).unwrap_or_default());
        }
    }
    files
}

#[test]
fn init_writes_the_shipped_files_and_what_checks_them() {
    let shell = Shell::new();
    let said = shell.run(&["init", "repository"]).expect(0);
    let repository = shell.path().join("repository");
    let files = tree(&repository);
    let mut told: Vec<&str> = said.out.lines().map(|line| line.strip_prefix("repository/").unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, files.keys().map(String::as_str).collect::<Vec<_>>());
    assert!(SHIPPED.iter().all(|(path, text)| files[*path] == *text));
    for script in ["scripts/check-policies", "scripts/get-cvc5"] {
        let mode = fs::metadata(repository.join(script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} can be run");
    }
}

#[test]
fn init_overwrites_nothing_and_says_what_is_in_the_way() {
    let shell = Shell::new();
    shell.write("README.md", "mine");
    shell.write("policies/suspension.cedar", "mine, too");
    fs::create_dir(shell.path().join("schema")).unwrap();
    symlink("nowhere", shell.path().join("schema/authz.cedarschema")).unwrap();
    let before = tree(shell.path());
    let ran = shell.run(&["init"]);
    ran.refused(1, "nothing was written");
    for path in ["README.md", "policies/suspension.cedar", "schema/authz.cedarschema"] {
        assert!(ran.err.contains(path), "{ran:?}");
    }
    assert!(!ran.err.contains("permissions.cedar"), "{ran:?}");
    assert_eq!(tree(shell.path()), before);

    let taken = Shell::new();
    taken.write("policies", "a file");
    taken.run(&["init"]).expect(1);
    assert_eq!(fs::read_to_string(taken.path().join("policies")).unwrap(), "a file");
}
