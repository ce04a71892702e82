//! What cases find out.

use super::*;
use crate::policy::PolicyFiles;

#[test]
fn a_matrix_names_its_pairs_and_denies_what_it_does_not_list() {
    let text = "matrix:\n  - keys: [reader]\n    actions: [jobs:read, scan:create]\n    allow: { reader: [scan:create] }\n  - keys: [reader]\n    actions: [read-only]\n    allow: { reader: all }\n";
    assert_eq!(
        differences(&suite(text)),
        [
            "matrix › reader × jobs:read: expected deny, got allow",
            "matrix › reader × scan:create: expected allow, got deny",
            "matrix 2 › reader × credits:read: ",
            "matrix 2 › reader × jobs:read: ",
            "matrix 2 › reader × results:read: ",
        ]
    );
    assert_eq!(run(&suite(text))[0].position, (11, 5));
    assert_eq!(run(&suite(text))[1].position, (13, 14));
}

#[test]
fn a_case_compares_everything_that_it_names() {
    let case = |fields: &str| {
        let text = format!("cases:\n  - name: a\n    action: jobs:read\n    {fields}\n");
        differences(&suite(&text)).pop().unwrap().split_off(3)
    };
    for (fields, difference) in [
        ("key: stopped\n    decision: deny\n    reason: [suspended-org-denied]\n    code: ORGANIZATION_SUSPENDED", ""),
        ("key: stopped\n    decision: deny\n    policies: suspended-org-denied\n    missing_permission: null", ""),
        ("key: stopped\n    decision: allow", "expected allow, got deny"),
        ("key: stopped\n    decision: deny\n    code: FORBIDDEN", "expected code `FORBIDDEN`, got `ORGANIZATION_SUSPENDED`"),
        (
            "key: stopped\n    decision: deny\n    reason: [granted-permission-allowed]",
            "not decided by `granted-permission-allowed`",
        ),
        (
            "key: stopped\n    decision: deny\n    reason: [suspended-org-denid]",
            "not decided by `suspended-org-denid`, which is no policy; did you mean `suspended-org-denied`?",
        ),
        ("key: stopped\n    decision: deny\n    policies: []", "decided by `suspended-org-denied`, too"),
        ("key: stopped\n    decision: deny\n    errors: 1", "expected 1 evaluation error, got 0"),
        (
            "key: stopped\n    decision: deny\n    missing_permission: jobs:read",
            "expected missing permission `jobs:read`, got none",
        ),
    ] {
        assert_eq!(case(fields), difference, "{fields}");
    }
}

/// The shipped set with another policy.
fn engine_with(policy: &str) -> Engine {
    let mut files: Vec<SourceFile> = shipped().iter().cloned().collect();
    for file in files.iter_mut().filter(|file| file.name == "permissions.cedar") {
        file.text.push_str(policy);
    }
    Engine::load_without_guards(&PolicyFiles::new(files), &Settings::default()).expect("the policy is valid")
}

#[test]
fn a_denial_by_an_error_is_no_denial_unless_it_is_asked_for() {
    let engine = engine_with(
        "@id(\"overflows\") forbid (principal is ApiKey, action == Action::\"jobs:read\", resource is Org) when { 9223372036854775807 + 1 == 0 };",
    );
    let outcomes = |expected: &str| {
        let text = format!("cases: [{{ name: a, key: reader, action: jobs:read, decision: deny{expected} }}]\n");
        Suite::parse(&suite(&text)).unwrap().run(&engine).unwrap().remove(0)
    };
    let result = outcomes("");
    assert!(!result.passed());
    assert!(result.differences[0].starts_with("no rule decided: "), "{:?}", result.differences);
    assert_eq!(result.got.errors, 1);
    assert!(outcomes(", errors: 1").passed());
    assert!(outcomes(", code: POLICY_ERROR, errors: 1").passed());
    assert!(!outcomes(", code: POLICY_ERROR").passed());
}

#[test]
fn a_denial_by_a_tripwire_is_no_denial_unless_it_is_asked_for() {
    let engine = engine_with("@id(\"open\") permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org);");
    let text = |code: &str| format!("matrix: [{{ keys: [reader], actions: [jobs:read], org: globex{code} }}]\n");
    let run = |code: &str| Suite::parse(&suite(&text(code))).unwrap().run(&engine).unwrap().remove(0);
    assert!(run("").differences[0].starts_with("no rule decided: "), "{:?}", run("").differences);
    assert!(run(", code: POLICY_ERROR").passed());
}

#[test]
fn a_request_that_does_not_fit_the_schema_fails_unless_its_code_is_asked_for() {
    let run = |rest: &str| {
        run(&suite(&format!("cases: [{{ name: a, key: reader, action: jobs:read, decision: deny, {rest} }}]\n"))).remove(0)
    };
    assert!(!run("resource: { type: Ogr, id: x }").passed());
    assert!(run("resource: { type: Ogr, id: x }, code: UNKNOWN_RESOURCE_TYPE").passed());
    assert!(!run("context: { ip: 10.0.0.1 }").passed());
    assert!(run("context: { ip: 10.0.0.1 }, code: INVALID_CONTEXT").passed());
}

#[test]
fn times_ids_and_contexts_reach_the_policies() {
    let mut files: Vec<SourceFile> = shipped().iter().cloned().collect();
    for file in &mut files {
        match file.name.as_str() {
            "authz.cedarschema" => {
                file.text = file.text.replacen(
                    "action \"classify:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] }",
                    "action \"classify:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime, ip?: String } }",
                    1,
                );
            }
            "permissions.cedar" => file.text.push_str(
                "@id(\"closed\") forbid (principal is ApiKey, action == Action::\"classify:create\", resource is Org) when { context.now >= datetime(\"2027-01-01\") };\n@id(\"outside\") forbid (principal is ApiKey, action == Action::\"classify:create\", resource is Org) when { context has ip && context.ip == \"office\" && principal.org == Org::\"org_01kaw9zzzzzzzzzzzzzzzzzzzz\" && principal.environment == \"test\" && principal has expires_at };",
            ),
            _ => {}
        }
    }
    let engine = Engine::load_without_guards(&PolicyFiles::new(files), &Settings::default()).expect("the set is valid");
    let text = "name: t\nnow: 2026-12-31T23:59:59Z\norgs: { acme: { id: org_01kaw9zzzzzzzzzzzzzzzzzzzz } }\nkeys: { k: { org: acme, permissions: all, environment: test, created_at: 2026-01-01T00:00:00Z, expires_at: 2028-01-01T00:00:00Z } }\ncontexts: { office: { ip: office } }\ncases:\n  - { name: before, key: k, action: classify:create, decision: allow }\n  - { name: after, key: k, action: classify:create, now: 2027-01-01T00:00:00Z, decision: deny, policies: [closed] }\n  - { name: office, key: k, action: classify:create, context: office, decision: deny, policies: [outside] }\n  - { name: inline, key: k, action: classify:create, context: { ip: home }, decision: allow }\n";
    let results = Suite::parse(&suite_file(text)).unwrap().run(&engine).unwrap();
    let failed: Vec<_> = results.iter().filter(|result| !result.passed()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// The shipped set with `policies/guards.yaml`.
fn load_guarded(text: &str) -> Result<Engine, LoadError> {
    let (path, name) = ("policies/guards.yaml".to_owned(), "guards.yaml".to_owned());
    let guards = SourceFile { kind: SourceKind::Guards, path, name, text: text.to_owned() };
    let files = shipped().iter().cloned().chain([guards]).collect();
    Engine::load(&PolicyFiles::new(files), &Settings::default())
}

#[test]
fn a_teams_own_guards_are_part_of_every_load() {
    let guards = |decision: &str| {
        format!(
            "name: ours\norgs: {{ acme: }}\nkeys: {{ k: {{ org: acme, permissions: [read-only] }} }}\ncases:\n  - name: readers never scan\n    key: k\n    action: scan:create\n    decision: {decision}\n"
        )
    };
    let engine = load_guarded(&guards("deny")).expect("the guard holds");
    assert_ne!(engine.digest(), self::engine().digest(), "guards are part of the set that the digest names");
    let error = load_guarded(&guards("allow")).unwrap_err();
    let text = error.to_string();
    let claim = "policies/guards.yaml:5:11: guard: `readers never scan` does not hold: expected allow, got deny";
    assert!(text.starts_with(claim), "{text}");
    assert!(load_guarded("").unwrap_err().to_string().starts_with("policies/guards.yaml:1:1: the file is empty"));
    let misspelt = guards("deny").replace("scan:create", "scan:craete");
    assert!(load_guarded(&misspelt).unwrap_err().to_string().contains("did you mean `scan:create`?"));
}

#[test]
fn the_suite_in_the_documentation_holds() {
    let lines = include_str!("../../cases.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let example = lines.skip_while(|line| !line.contains("```yaml")).skip(1).take_while(|line| !line.contains("```"));
    let example: Vec<&str> = example.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let results = run(&suite_file(&example.join("\n")));
    assert_eq!(results.len(), 13);
    assert!(results.iter().all(CaseResult::passed), "{results:?}");
}
