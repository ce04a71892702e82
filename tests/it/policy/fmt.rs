//! `claviger policy fmt`.

use std::{fs, os::unix::fs::PermissionsExt as _, os::unix::fs::symlink};

use claviger::cli::exit::Exit;
use insta::assert_snapshot;

use super::{Repository, run};

const UNTIDY: &str = "// why\n@id(\"a\") permit(principal,action,resource)\n  when{true};// end\n";

#[test]
fn the_shipped_files_are_formatted() {
    let repository = Repository::shipped();
    let ran = repository.run(&["fmt", "--check"]);
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Ok, "", ""));
}

#[test]
fn what_is_not_formatted_is_listed_and_then_formatted_once_for_all() {
    let repository = Repository::shipped();
    repository.write("policies/untidy.cedar", UNTIDY);
    repository.write("policies/invariants/untidy.cedar", UNTIDY);
    let ran = repository.run(&["fmt", "--check"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert_eq!(ran.out, "DIR/policies/untidy.cedar:2: not formatted\nDIR/policies/invariants/untidy.cedar:2: not formatted\n");
    assert_eq!(repository.read("policies/untidy.cedar"), UNTIDY, "--check changes nothing");

    let ran = repository.run(&["fmt"]);
    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(ran.out, "formatted DIR/policies/untidy.cedar\nformatted DIR/policies/invariants/untidy.cedar\n");
    assert_snapshot!(repository.read("policies/untidy.cedar"), @r#"
    // why
    @id("a")
    permit (principal, action, resource)
    when { true }; // end
    "#);
    let ran = repository.run(&["fmt"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, ""));
}

#[test]
fn a_link_stays_a_link_and_a_file_keeps_its_mode() {
    let repository = Repository::shipped();
    repository.write("shared.cedar", UNTIDY);
    let shared = repository.path().join("shared.cedar");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
    let link = repository.path().join("policies/link.cedar");
    symlink("../shared.cedar", &link).unwrap();
    assert_eq!(repository.run(&["fmt"]).exit, Exit::Ok);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(repository.read("shared.cedar"), UNTIDY);
    assert_eq!(fs::metadata(&shared).unwrap().permissions().mode() & 0o777, 0o640);
    let left: Vec<_> = fs::read_dir(repository.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no draft is left behind: {left:?}");
}

#[test]
fn a_file_that_does_not_parse_is_left_alone_and_the_others_are_formatted() {
    let repository = Repository::shipped();
    repository.write("policies/broken.cedar", "permit (principal, action, resource) whenever { true };\n");
    repository.write("policies/untidy.cedar", UNTIDY);
    let ran = repository.run(&["fmt"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(ran.out, "formatted DIR/policies/untidy.cedar\n");
    assert!(ran.err.contains("DIR/policies/broken.cedar:1:38"), "{ran}");
    assert_eq!(repository.run(&["fmt", "--check"]).exit, Exit::Negative);
}

#[test]
fn a_text_that_would_overflow_the_formatters_stack_is_refused() {
    let repository = Repository::shipped();
    let deep = format!("permit (principal, action, resource) when {{ {}true{} }};", "(".repeat(20_000), ")".repeat(20_000));
    repository.write("policies/deep.cedar", deep);
    let ran = repository.run(&["fmt"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("brackets are nested too deeply"), "{:.200}", ran.err);
}

#[test]
fn nothing_to_format_is_no_success() {
    let empty = Repository(tempfile::tempdir().unwrap());
    fs::create_dir(empty.path().join("policies")).unwrap();
    assert_eq!(empty.run(&["fmt", "--check"]).exit, Exit::Negative);
    assert_eq!(run(&["policy", "fmt", "--policies", "no/such/folder"]).exit, Exit::Usage);
}
