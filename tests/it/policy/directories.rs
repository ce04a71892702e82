//! Which files are live, and what happens to one that cannot be read.

use std::{fs, os::unix::fs::symlink, path::Path};

use claviger::{
    policy::{MOST_BYTES, SourceKind},
    snapshot::files::{PolicyDirs, ReadError, read, read_tests},
};

use super::Repository;

fn dirs(repository: &Repository) -> PolicyDirs {
    PolicyDirs { policies: repository.path().join("policies"), schema: repository.path().join("schema") }
}

fn names(repository: &Repository) -> Vec<String> {
    read(&dirs(repository)).unwrap().iter().map(|file| file.name.clone()).collect()
}

const LIVE: [&str; 5] =
    ["authz.cedarschema", "management.cedar", "management.cedarschema", "permissions.cedar", "suspension.cedar"];

#[test]
fn sub_folders_dot_files_and_other_files_are_not_live() {
    let repository = Repository::shipped();
    for path in [
        "policies/.hidden.cedar",
        "policies/..data/a.cedar",
        "policies/invariants/a.cedar",
        "policies/folder.cedar/a.cedar",
        "policies/suspension.cedar.bak",
        "policies/suspension.cedar~",
        "policies/other.yaml",
        "policies/a.cedarschema",
        "schema/a.cedar",
        "schema/guards.yaml",
    ] {
        repository.write(path, "x");
    }
    assert_eq!(names(&repository), LIVE);
    repository.write("policies/guards.yaml", "x");
    assert_eq!(read(&dirs(&repository)).unwrap().of(SourceKind::Guards).count(), 1);
}

#[test]
fn a_mounted_config_map_is_read_once_and_follows_its_swaps() {
    let repository = Repository::shipped();
    let mount = repository.path().join("mount");
    for (version, text) in [("..v1", "// one\n"), ("..v2", "// two\n")] {
        repository.write(&format!("mount/{version}/a.cedar"), text);
    }
    symlink("..v1", mount.join("..data")).unwrap();
    symlink("..data/a.cedar", mount.join("a.cedar")).unwrap();
    let dirs = PolicyDirs { policies: mount.clone(), schema: repository.path().join("schema") };
    let texts = || -> Vec<String> {
        read(&dirs).unwrap().of(SourceKind::Policies).map(|file| format!("{}={}", file.name, file.text)).collect()
    };
    assert_eq!(texts(), ["a.cedar=// one\n"]);
    symlink("..v2", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    assert_eq!(texts(), ["a.cedar=// two\n"]);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_never_skipped() {
    let repository = Repository::shipped();
    let at = |name: &str| repository.path().join("policies").join(name);
    symlink("nowhere", at("link.cedar")).unwrap();
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::Unreadable { path, .. }) if path == at("link.cedar")));
    fs::remove_file(at("link.cedar")).unwrap();

    symlink("/dev/zero", at("device.cedar")).unwrap();
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::NoFile(path)) if path == at("device.cedar")));
    fs::remove_file(at("device.cedar")).unwrap();

    fs::write(at("bytes.cedar"), b"// ok\n\xff").unwrap();
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::NoUtf8 { path, offset: 6, .. }) if path == at("bytes.cedar")));
    fs::remove_file(at("bytes.cedar")).unwrap();

    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.cedar");
    fs::write(repository.path().join("policies").join::<&std::ffi::OsStr>(name), "").unwrap();
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::BadName(_))));
    repository.write("policies/tests/a\n::error::b/c.yaml", "x");
    assert!(matches!(read_tests(&repository.path().join("policies")), Err(ReadError::BadName(_))));
}

#[test]
fn files_that_are_too_large_together_are_refused_without_being_read() {
    let repository = Repository::shipped();
    let live: usize = read(&dirs(&repository)).unwrap().iter().map(|file| file.text.len()).sum();
    repository.write("policies/a.cedar", "/".repeat(MOST_BYTES - live));
    assert!(read(&dirs(&repository)).is_ok());
    repository.write("policies/b.cedar", "/");
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::TooLarge(_))));
    // A sparse file of a terabyte: it would not fit into memory.
    fs::File::create(repository.path().join("policies/a.cedar")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(read(&dirs(&repository)), Err(ReadError::TooLarge(path)) if path.ends_with("a.cedar")));
}

#[test]
fn a_missing_directory_is_told_from_an_empty_one() {
    let repository = Repository::shipped();
    let dirs = PolicyDirs { schema: repository.path().join("none"), ..dirs(&repository) };
    assert!(matches!(read(&dirs), Err(ReadError::NoDirectory(path)) if path == dirs.schema));
    fs::create_dir(&dirs.schema).unwrap();
    assert_eq!(read(&dirs).unwrap().of(SourceKind::Schema).count(), 0);
    let dirs = PolicyDirs { schema: repository.path().join("policies/suspension.cedar"), ..dirs };
    assert!(matches!(read(&dirs), Err(ReadError::NoDirectory(_))));
    assert!(matches!(read_tests(Path::new("no/such/folder")), Err(ReadError::NoDirectory(_))));
}

#[test]
fn paths_are_shown_as_they_were_given() {
    let dirs = PolicyDirs { policies: "policies".into(), schema: "./schema".into() };
    let paths: Vec<String> = read(&dirs).unwrap().iter().map(|file| file.path.clone()).collect();
    assert!(paths.contains(&"policies/suspension.cedar".to_owned()) && paths.contains(&"./schema/authz.cedarschema".to_owned()));
}

#[test]
fn suites_are_found_in_all_folders_under_tests_in_order() {
    let repository = Repository::shipped();
    for path in ["b/deep/one.yaml", "a.yml", "b/.hidden.yaml", ".git/two.yaml", "c.json", "README.md"] {
        repository.write(&format!("policies/tests/{path}"), "x");
    }
    let tests = repository.path().join("policies/tests");
    let found = read_tests(&repository.path().join("policies")).unwrap();
    let paths: Vec<&str> = found.iter().map(|file| file.path.strip_prefix(&format!("{}/", tests.display())).unwrap()).collect();
    assert_eq!(paths, ["a.yml", "b/deep/one.yaml", "c.json", "management.yaml", "permissions.yaml", "suspension.yaml"]);
    symlink("..", tests.join("loop")).unwrap();
    assert!(matches!(read_tests(&repository.path().join("policies")), Err(ReadError::TooDeep(_))));
}
