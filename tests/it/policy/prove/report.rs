//! How proofs are told.

use std::fs;

use serde_json::Value;

use super::Repository;

fn broken() -> Repository {
    let repository = Repository::shipped();
    fs::remove_file(repository.path().join("policies/suspension.cedar")).unwrap();
    repository
}

#[test]
fn a_refuted_invariant_is_told_with_a_request_that_people_can_read() {
    let proved = broken().prove(&[]);
    assert_eq!((proved.code, &*proved.err), (3, ""), "{proved:?}");
    for words in [
        "solver: cvc5 1.",
        "  REFUTED    suspended-org-is-denied: a key of a suspended organization may do nothing\n    at policies/invariants/keys.cedar:3\n      principal  ApiKey::\"apikey-1\"\n      action     Action::\"classify:create\"\n      resource   Org::\"org-1\"\n      context    {}\n      entity     ApiKey::\"apikey-1\" {",
        "suspended: true }\n      decided    allow by granted-permission-allowed\n    also on Action::\"credits:read\", Action::\"jobs:read\"",
        "  proved     key-stays-in-its-org: a key never acts on an organization that is not its own\n",
        "\nFAILED: 5 policies proved, 1 invariant REFUTED, 3 invariants proved\n",
    ] {
        assert!(proved.out.contains(words), "{words}\n{}", proved.out);
    }
}

#[test]
fn a_document_is_alone_on_the_stream_for_data() {
    for format in ["json", "sarif"] {
        let proved = broken().prove(&["--format", format, "--write-tests", "found"]);
        assert_eq!(proved.code, 3);
        serde_json::from_str::<Value>(&proved.out).unwrap_or_else(|error| panic!("{error}: {}", proved.out));
        assert!(proved.err.contains("wrote found/invariant-suspended-org-is-denied.json"), "{}", proved.err);
    }
}

/// What the schema of SARIF 2.1.0 requires of the parts that are used, and what code scanning services add.
#[track_caller]
fn check_sarif(text: &str, rule: &str) -> Value {
    let log: Value = serde_json::from_str(text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "claviger");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(result["level"], "error");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%:".contains(&byte)), "{uri}");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
    assert_eq!(run["results"][0]["ruleId"], rule);
    run["results"].clone()
}

#[test]
fn sarif_names_rule_and_place_of_everything_that_is_not_good() {
    let proved = broken().prove(&["--format", "sarif"]);
    let results = check_sarif(&proved.out, "invariant-refuted");
    assert_eq!(results.as_array().unwrap().len(), 1);
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "policies/invariants/keys.cedar");
    let good = Repository::shipped().prove(&["--format", "sarif"]);
    assert_eq!(good.code, 0);
    assert_eq!(serde_json::from_str::<Value>(&good.out).unwrap()["runs"][0]["results"], serde_json::json!([]));

    let shipped = Repository::shipped();
    let wider = broken().prove(&["--format", "sarif", "--against", shipped.path().to_str().unwrap()]);
    assert_eq!(check_sarif(&wider.out, "invariant-refuted").as_array().unwrap().len(), 7);

    let invalid = Repository::shipped();
    invalid.edit("policies/suspension.cedar", "suspended }", "suspnded }");
    let refused = invalid.prove(&["--format", "sarif"]);
    assert_eq!(refused.code, 3);
    check_sarif(&refused.out, "invalid");
}

#[test]
fn scripts_of_what_was_asked_can_be_kept() {
    let repository = Repository::shipped();
    assert_eq!(repository.prove(&["--dump-smt", "scripts"]).code, 0);
    let script = repository.read("scripts/suspended-org-is-denied-holds-ApiKey-Action-jobs-read-Org.smt2");
    assert!(script.starts_with("(reset)") && script.contains("(check-sat)"), "{script}");
}
