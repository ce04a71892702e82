//! Test files of Cedar's own command line.

use super::*;

const REQUEST: &str =
    r#"{ "principal": "ApiKey::\"k\"", "action": "Action::\"jobs:read\"", "resource": "Org::\"acme\"", "context": {} }"#;
const ENTITIES: &str = r#"[
  { "uid": { "type": "Org", "id": "acme" }, "attrs": { "name": "Acme", "suspended": false }, "parents": [] },
  { "uid": { "type": "ApiKey", "id": "k" }, "parents": [], "attrs": {
      "org": { "type": "Org", "id": "acme" }, "permissions": [{ "type": "Action", "id": "jobs:read" }],
      "environment": "live", "created_at": "2026-11-24T12:00:00Z" } }
]"#;

fn file(path: &str, text: &str) -> SourceFile {
    let name = path.rsplit('/').next().unwrap().to_owned();
    SourceFile { kind: SourceKind::Tests, path: format!("policies/tests/{path}"), name, text: text.to_owned() }
}

/// One case on the entities of the file `entities.json`.
fn test_file(request: &str, rest: &str) -> SourceFile {
    file("a.json", &format!("[{{ \"request\": {request},\n  {rest} }}]"))
}

const ALLOWED: &str =
    r#""entities": "entities.json", "decision": "allow", "reason": ["granted-permission-allowed"], "num_errors": 0"#;

/// What the case says that is not so; or the first complaint, with its line and column.
fn outcome(request: &str, rest: &str) -> String {
    outcome_of(&[test_file(request, rest), file("entities.json", ENTITIES)])
}

fn outcome_of(files: &[SourceFile]) -> String {
    match Suite::parse_all(files).remove(0).1.and_then(|suite| suite.run(engine())) {
        Ok(results) => results.iter().map(|result| result.differences.join("; ")).collect::<Vec<_>>().join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_case_is_decided_by_the_policies_over_the_entities_that_it_lists() {
    assert_eq!(outcome(REQUEST, ALLOWED), "");
    assert_eq!(outcome(REQUEST, &ALLOWED.replace("\"entities.json\"", ENTITIES)), "");
    let denied = ALLOWED.replace("\"allow\"", "\"deny\"").replace("[\"granted-permission-allowed\"]", "[]");
    assert_eq!(outcome(&REQUEST.replace("jobs:read", "scan:create"), &denied), "");
}

#[test]
fn a_case_that_does_not_hold_says_what_came() {
    for (old, new, said) in [
        ("\"allow\"", "\"deny\"", "expected deny, got allow"),
        ("granted-permission-allowed", "suspended-org-denied", "not decided by `suspended-org-denied`"),
        (
            "granted-permission-allowed",
            "granted-permission-alowed",
            "not decided by `granted-permission-alowed`, which is no policy; did you mean `granted-permission-allowed`?",
        ),
        ("\"num_errors\": 0", "\"num_errors\": 2", "expected 2 evaluation errors, got 0"),
    ] {
        assert_eq!(outcome(REQUEST, &ALLOWED.replace(old, new)), said);
    }
    // Without entities, what a policy looks at is missing: that is an error, and must be counted.
    let said = outcome(REQUEST, &ALLOWED.replace("\"entities.json\"", "[]"));
    assert!(said.starts_with("expected allow, got deny; no rule decided: "), "{said}");
    assert!(said.ends_with("expected 0 evaluation errors, got 2"), "{said}");
}

/// What is said first about the file `a.json`, where the text says `at`.
fn complaint_at(files: &[SourceFile], at: &str) -> String {
    let error = Suite::parse_all(files).remove(0).1.and_then(|suite| suite.cases(engine())).expect_err(at);
    let text = &files[0].text;
    let first = error.first();
    assert_eq!(first.file(), Some("policies/tests/a.json"), "{first}");
    let place = crate::policy::diagnostic::position(text, text.find(at).expect(at));
    assert_eq!(first.position(), Some(place), "{first}");
    format!("{first}: {}", first.help.clone().unwrap_or_default())
}

#[test]
fn a_request_that_does_not_fit_the_schema_is_refused_where_it_stands() {
    for (old, new, at, said) in [
        (
            "jobs:read",
            "job:read",
            r#""Action::\"job:read\"""#,
            r#"`Action::"job:read"` is no action of the schema: did you mean `Action::"jobs:read"`?"#,
        ),
        (r#"Org::\"acme\""#, "Org", r#""Org""#, r#"`Org` is no entity: write `Type::"id"`"#),
        (
            "Org::",
            "ApiKey::",
            r#""ApiKey::\"acme\"""#,
            r#"`Action::"jobs:read"` does not apply to a resource of the type `ApiKey`: it is asked with a resource of the type `Org`"#,
        ),
        (
            "ApiKey::",
            "User::",
            r#""User::\"k\"""#,
            r#"`Action::"jobs:read"` does not apply to a principal of the type `User`: it is asked with a principal of the type `ApiKey`"#,
        ),
        ("\"action\"", "\"actoin\"", "actoin", "a request has no field `actoin`: did you mean `action`?"),
        (", \"context\": {}", "", "principal", "a request has no `context`: add `context: …`"),
    ] {
        let files = [test_file(&REQUEST.replace(old, new), ALLOWED), file("entities.json", ENTITIES)];
        assert_eq!(complaint_at(&files, at), said);
    }
    let files = [test_file(&REQUEST.replace("{} }", "{ \"ip\": 1 } }"), ALLOWED), file("entities.json", ENTITIES)];
    let said = complaint_at(&files, "{ \"ip\"");
    assert!(said.starts_with("the context does not fit the action: "), "{said}");
}

#[test]
fn a_field_that_is_unknown_missing_or_of_another_form_is_named() {
    for (old, new, at, said) in [
        ("num_errors", "num_error", "num_error", "a case has no field `num_error`: did you mean `num_errors`?"),
        (", \"num_errors\": 0", "", "request", "a case has no `num_errors`: add `num_errors: …`"),
        ("\"allow\"", "\"Allow\"", "\"Allow\"", "`Allow` is no decision: a decision is `allow` or `deny`"),
        ("\"num_errors\": 0", "\"num_errors\": -1", "-1", "this is a number, 0 or more: write it in digits"),
        (
            "\"entities.json\"",
            "\"entity.json\"",
            "\"entity.json\"",
            "`entity.json` is no JSON file below the folder of this file: did you mean `entities.json`?",
        ),
        (
            "\"entities.json\"",
            "\"../tests/entities.json\"",
            "\"../tests",
            "`../tests/entities.json` lies outside of the folder of this file: name a JSON file in the folder of this file, or in one below it",
        ),
        (
            "\"decision\": \"allow\"",
            "\"decision\": \"allow\", \"decision\": \"deny\"",
            "decision\": \"deny",
            "`decision` is there twice: keep one of the two",
        ),
    ] {
        let files = [test_file(REQUEST, &ALLOWED.replace(old, new)), file("entities.json", ENTITIES)];
        assert_eq!(complaint_at(&files, at), said);
    }
}

#[test]
fn entities_that_do_not_fit_the_schema_are_refused_in_their_own_file() {
    let wrong = ENTITIES.replace("\"suspended\": false", "\"suspended\": \"no\"");
    let said = outcome_of(&[test_file(REQUEST, ALLOWED), file("entities.json", &wrong)]);
    assert!(said.starts_with("policies/tests/entities.json:1:1: the entities do not fit the schema: "), "{said}");
    assert!(said.contains("suspended"), "{said}");
    let files = [test_file(REQUEST, &ALLOWED.replace("\"entities.json\"", &wrong))];
    assert!(complaint_at(&files, "[\n  { \"uid\"").starts_with("the entities do not fit the schema: "));
}

#[test]
fn what_is_no_test_file_is_refused() {
    for (text, said) in [
        ("", "1:1: this is no JSON: EOF while parsing a value"),
        ("[{]", "1:3: this is no JSON: key must be a string"),
        ("[\n  1,,\n]", "2:5: this is no JSON: expected value"),
        ("{\"wrong-format\":true}", "1:1: a test file is a list with at least one case: "),
        ("[]", "1:1: a test file is a list with at least one case: "),
    ] {
        let error = Suite::parse(&file("a.json", text)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("policies/tests/a.json:{said}")), "{error}");
    }
    // A file of entities that no case names is not passed over.
    assert_eq!(Suite::parse_all(&[file("entities.json", ENTITIES)])[0].1.as_ref().unwrap_err().first().position(), Some((2, 6)));
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    assert!(Suite::parse(&file("a.json", &deep)).unwrap_err().to_string().contains("nested too deeply"));
}

#[test]
fn cases_of_one_name_are_told_apart() {
    let one = test_file(REQUEST, ALLOWED).text;
    let case = one.trim_start_matches('[').trim_end_matches(']').replacen('{', "{ \"name\": \"reads\", ", 1);
    let files = [file("a.json", &format!("[{case}, {case}, {}]", one.trim_matches(['[', ']']))), file("entities.json", ENTITIES)];
    let suites = Suite::parse_all(&files);
    let results = suites[0].1.as_ref().unwrap().run(engine()).unwrap();
    let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
    assert_eq!(names, ["reads", "reads (case 2)", "case 3"]);
    assert!(results.iter().all(CaseResult::passed));
}
