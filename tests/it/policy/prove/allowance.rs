//! `--allow-wider`: what is meant to allow more is reported, and no failure.

use std::fs;

use serde_json::{Value, json};

use super::{Proved, Repository, changed};

/// The shipped set with one permission more and, perhaps, a widened rule.
fn extended() -> Repository {
    let repository = Repository::shipped().without_invariants();
    let schema = repository.read("schema/authz.cedarschema");
    let action = "action \"exports:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };\n";
    repository.write("schema/authz.cedarschema", format!("{schema}\n{action}"));
    repository
}

/// The proof of a set against the shipped one.
fn against_shipped(repository: &Repository, arguments: &[&str]) -> Proved {
    let shipped = Repository::shipped();
    repository.prove(&[&["--against", shipped.path().to_str().unwrap()], arguments].concat())
}

#[test]
fn a_new_permission_is_wider_and_passes_where_it_is_allowed_to_be() {
    let new = extended();
    assert_eq!(against_shipped(&new, &[]).code, 3);
    for name in ["exports:create", "Action::\"exports:create\""] {
        let proved = against_shipped(&new, &["--allow-wider", name]);
        assert_eq!((proved.code, &*proved.err), (0, ""), "{proved:?}");
        for words in [
            "  WIDER      Action::\"exports:create\"\n    allowed by `--allow-wider`\n    at policies/permissions.cedar:2\n",
            "\nok: 6 policies proved, 29 actions same, 1 action WIDER (allowed)\n",
        ] {
            assert!(proved.out.contains(words), "{words}\n{}", proved.out);
        }
    }
}

#[test]
fn an_allowance_is_for_the_action_that_it_names_and_no_other() {
    let new = extended();
    new.edit("policies/permissions.cedar", "principal.org == resource && ", "");
    let proved = against_shipped(&new, &["--allow-wider", "exports:create", "--write-tests", "found", "--format", "json"]);
    assert_eq!(proved.code, 3, "{proved:?}");
    let document: Value = serde_json::from_str(&proved.out).unwrap();
    assert_eq!(changed(&document).len(), 7);
    let rows = document["against"].as_array().unwrap();
    let allowed = |name: &str| rows.iter().find(|row| row["action"] == format!("Action::\"{name}\"")).unwrap()["allowed"].clone();
    assert_eq!((allowed("exports:create"), allowed("scan:create")), (json!(true), json!(false)));
    assert!(rows.iter().filter(|row| row["verdict"] == "same").all(|row| row.get("allowed").is_none()), "{document}");
    // What is meant is not kept as a test that fails.
    let mut written: Vec<_> = fs::read_dir(new.path().join("found")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    written.sort();
    assert!(written.len() == 6 && written.iter().all(|name| name != "action-Action-exports-create.json"), "{written:?}");
}

#[test]
fn sarif_has_a_note_of_what_is_allowed_to_be_wider() {
    let new = extended();
    let levels = |arguments: &[&str]| -> Vec<(String, String)> {
        let document: Value =
            serde_json::from_str(&against_shipped(&new, &[&["--format", "sarif"], arguments].concat()).out).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let results = document["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| (text(&result["ruleId"]), text(&result["level"]))).collect()
    };
    assert_eq!(levels(&[]), [("action-wider".to_owned(), "error".to_owned())]);
    assert_eq!(levels(&["--allow-wider", "exports:create"]), [("action-wider".to_owned(), "note".to_owned())]);
}

#[test]
fn an_allowance_that_nothing_needs_any_more_is_named() {
    let proved = against_shipped(&extended(), &["--allow-wider", "exports:create", "--allow-wider", "scan:create"]);
    assert_eq!(proved.code, 0, "{proved:?}");
    assert!(proved.err.starts_with("note: Action::\"scan:create\" allows no more than in "), "{proved:?}");
    assert!(proved.err.ends_with(": `--allow-wider` is no longer needed for it\n"), "{proved:?}");
}

#[test]
fn an_allowance_for_something_that_is_no_action_is_a_wrong_flag() {
    let new = extended();
    for (name, words) in [
        ("export:create", "the schema has no action `export:create` (did you mean `exports:create`?)"),
        ("Action::\"scan:creat\"", "the schema has no action `Action::\"scan:creat\"` (did you mean `Action::\"scan:create\"`?)"),
        ("read-only", "the schema has no action `read-only`"),
        ("nonsense-of-a-name", "the schema has no action `nonsense-of-a-name`\n"),
    ] {
        let proved = against_shipped(&new, &["--allow-wider", name]);
        let said = proved.err.replace("\n  │ ", " ");
        assert!(proved.code == 2 && said.contains(words), "{words}: {proved:?}");
    }
    let alone = new.prove(&["--allow-wider", "exports:create"]);
    assert!(alone.code == 2 && alone.err.contains("--against"), "{alone:?}");
    new.write(
        "schema/more.cedarschema",
        "namespace Other { action \"orgs:suspend\" appliesTo { principal: [Claviger::Admin], resource: [Claviger::System] }; }\n",
    );
    let both = against_shipped(&new, &["--allow-wider", "orgs:suspend"]);
    assert!(both.code == 2 && both.err.contains("is the name of several actions"), "{both:?}");
}
