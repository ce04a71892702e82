//! What the format reads, and what it refuses where.

use super::*;

#[test]
fn places_are_right_with_other_alphabets_line_ends_and_byte_order_marks() {
    for text in [
        "# größer 世界\nname: ä\nnonsense: 1\n",
        "# x\r\nname: a\r\nnonsense: 1\r\n",
        "\u{feff}# x\nname: a\nnonsense: 1\n",
        "name: |\n  größer\nnonsense: 1\n",
    ] {
        let error = Suite::parse(&suite_file(text)).unwrap_err();
        assert_eq!(error.first().position(), Some((3, 1)), "{text:?}");
    }
    let error = Suite::parse(&suite_file("name: { a: 世界, b: 1, a: 2 }")).unwrap_err();
    assert_eq!(error.first().position(), Some((1, 22)));
}

#[test]
fn values_are_read_by_the_core_schema_so_that_no_country_becomes_a_truth_value() {
    let text = "a: [1, '1', yes, no, 1.5, nan, true, -3, 0x10, '', ~]\nb: { c: x y, d: }\n";
    let json = Node::parse(&suite_file(text)).unwrap().to_json();
    assert_eq!(
        json,
        serde_json::json!({"a": [1, "1", "yes", "no", 1.5, "nan", true, -3, "0x10", "", null], "b": {"c": "x y", "d": null}})
    );
}

#[test]
fn what_is_no_suite_is_refused_with_its_place() {
    let deep = format!("name: {}1{}", "[".repeat(40), "]".repeat(40));
    for (text, place, message) in [
        ("", "1:1", "the file is empty"),
        ("# only this\n", "1:1", "the file is empty"),
        ("[]", "1:1", "a suite is a mapping"),
        ("{}", "1:1", "a suite has no `name`"),
        ("name: a", "1:1", "the suite has no case"),
        ("name: a\ncases:\n", "2:6", "`cases` is a list with at least one item"),
        ("name: a\nmatrix: []\n", "2:9", "`matrix` is a list with at least one item"),
        ("name: \"a\\nb\"\ncases: [{}]", "1:7", "a name is one line of visible characters"),
        ("name: a\nname: b", "2:1", "`name` is there twice"),
        ("name: &x a", "1:7", "anchors are not supported"),
        ("name: !!str a", "1:7", "tags are not supported"),
        ("name: a\n---\nname: b\n", "3:1", "a suite is one YAML document"),
        ("name: a: b", "1:8", "this is no YAML"),
        ("name: [a", "1:9", "this is no YAML"),
        ("? [a]\n: b", "1:3", "a key must be a text"),
        (&deep, "1:39", "lists and mappings are nested too deeply"),
        (&"[".repeat(100_000), "1:256", "this is no YAML"),
    ] {
        let (said, _) = complaint(&suite_file(text));
        assert!(said.starts_with(&format!("{place}: {message}")), "{text:.40}: {said}");
    }
}

/// The tail of a suite, and the complaint about it.
fn assert_refused(rest: &str, place: &str, message: &str, help: &str) {
    let (said, count) = complaint(&suite(rest));
    assert_eq!(said, format!("{place}: {message}: {help}"), "{rest}");
    assert_eq!(count, 1, "{rest}: one mistake is one complaint");
}

#[test]
fn a_misspelt_word_is_refused_with_the_nearest_one() {
    let case = |fields: &str| format!("cases:\n  - {{ name: a, {fields} }}\n");
    let good = "key: reader, action: jobs:read, decision: allow";
    assert_eq!(differences(&suite(&case(good))), ["a: "]);
    for (rest, place, message, help) in [
        (case(&format!("{good}, kee: 1")), "11:65", "a case has no field `kee`", "did you mean `key`?"),
        (
            case("key: raeder, action: jobs:read, decision: allow"),
            "11:21",
            "`raeder` is no key of this suite",
            "did you mean `reader`?",
        ),
        (
            case("admin: adda, action: orgs:list, decision: allow"),
            "11:23",
            "`adda` is no admin of this suite",
            "did you mean `ada`?",
        ),
        (case(&format!("{good}, org: acne")), "11:70", "`acne` is no org of this suite", "did you mean `acme`?"),
        (case(&format!("{good}, context: x")), "11:74", "`x` is no context of this suite", "there is no context of this suite"),
        (
            case("key: reader, action: jobs:reed, decision: allow"),
            "11:37",
            "`jobs:reed` is no permission of the schema",
            "did you mean `jobs:read`?",
        ),
        (
            case("admin: ada, action: orgs:supend, org: acme, decision: deny"),
            "11:36",
            "`orgs:supend` is no management action",
            "did you mean `orgs:suspend`?",
        ),
        (
            case(&format!("{}, missing_permission: scan:craete", good.replace("allow", "deny"))),
            "11:84",
            "`scan:craete` is no permission of the schema",
            "did you mean `scan:create`?",
        ),
        (case(&good.replace("allow", "alow")), "11:58", "`alow` is no decision", "a decision is `allow` or `deny`"),
    ] {
        assert_refused(&rest, place, message, help);
    }
}

#[test]
fn a_permission_that_the_schema_lacks_is_refused_in_keys_that_no_case_uses_too() {
    let text = "name: a\norgs: { acme: }\nkeys:\n  used: { org: acme, permissions: [] }\n  unused: { org: acme, permissions: [read-onyl] }\nmatrix: [{ keys: [used], actions: all }]\n";
    let (said, _) = complaint(&suite_file(text));
    assert_eq!(said, "5:38: `read-onyl` is no permission or preset of the schema: did you mean `read-only`?");
}

#[test]
fn an_expectation_outside_of_the_matrix_is_refused() {
    let matrix = |allow: &str| format!("matrix:\n  - keys: [reader]\n    actions: [jobs:read]\n    allow: {allow}\n");
    assert!(run(&suite(&matrix("{ reader: [jobs:read] }"))).iter().all(CaseResult::passed));
    let help = "add the action to `actions`, or remove the expectation";
    assert_refused(&matrix("{ reader: [scan:create] }"), "13:14", "`reader × scan:create` is outside of the matrix", help);
    let help = "an expectation is about a key of this matrix; add it there, or remove this";
    assert_refused(&matrix("{ stopped: [jobs:read] }"), "13:14", "`stopped` is outside of the matrix", help);
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let case = |fields: &str| format!("cases:\n  - name: a\n    decision: deny\n    {fields}\n");
    for (fields, message) in [
        ("action: jobs:read", "a case has no `key`"),
        ("key: reader", "a case has no `action`"),
        ("{key: reader", "this is no YAML"),
        ("key: reader\n    admin: ada\n    action: orgs:list", "a case has both `key` and `admin`"),
        (
            "key: reader\n    action: jobs:read\n    org: acme\n    resource: { type: Org, id: x }",
            "a case has both `org` and `resource`",
        ),
        ("key: reader\n    action: jobs:read\n    resource: { type: Org }", "a resource has no `id`"),
        ("key: reader\n    action: jobs:read\n    role: owner", "`role` has no meaning for a key"),
        ("key: reader\n    action: read-only", "`read-only` is no permission of the schema"),
        ("key: reader\n    action: jobs:read\n    errors: -1", "this is a number, 0 or more"),
        ("key: reader\n    action: jobs:read\n    now: 2026-11-24", "`2026-11-24` does not fit here"),
        ("key: reader\n    action: jobs:read\n    context: [x]", "a context is a mapping"),
        ("admin: ada\n    action: orgs:suspend", "`orgs:suspend` is about an organization"),
        ("admin: ada\n    action: orgs:list\n    org: acme", "`orgs:list` is about the installation"),
        ("admin: ada\n    action: admins:create", "`admins:create` is about an admin of some role"),
        ("admin: ada\n    action: orgs:list\n    role: owner", "`orgs:list` has no role in its context"),
        ("admin: ada\n    action: admins:create\n    role: king", "`king` does not fit here"),
        ("admin: ada\n    action: orgs:list\n    context: {}", "`context` has no meaning for an admin"),
    ] {
        let (said, _) = complaint(&suite(&case(fields)));
        assert!(said.split_once(": ").is_some_and(|(_, said)| said.starts_with(message)), "{fields}: {said}");
    }
    let (said, _) =
        complaint(&suite("cases:\n  - { name: a, key: reader, action: jobs:read, decision: allow, code: FORBIDDEN }\n"));
    assert!(said.contains("`code` is about denials"), "{said}");
    let twice = "cases:\n  - { name: a, key: reader, action: jobs:read, decision: allow }\n  - { name: a, key: reader, action: jobs:read, decision: allow }\n";
    assert!(complaint(&suite(twice)).0.starts_with("12:13: two cases are named `a`"));
}

#[test]
fn every_mistake_of_a_suite_is_reported_and_a_flood_of_them_ends() {
    let (_, count) = complaint(&suite("cases:\n  - { name: a, kye: reader, actoin: jobs:read, decision: allow }\n"));
    assert_eq!(count, 4, "two unknown fields, two missing ones");
    let (_, count) = complaint(&suite(&format!("cases:\n{}", "  - { name: a }\n".repeat(500))));
    assert_eq!(count, 20);
}

#[test]
fn a_suite_that_was_cut_off_anywhere_is_read_or_refused_and_never_panics() {
    let (_, text) = SHIPPED.iter().find(|(path, _)| path.ends_with("tests/permissions.yaml")).unwrap();
    for (end, _) in text.char_indices().step_by(7) {
        if let Err(error) = Suite::parse(&suite_file(&text[..end])) {
            assert!(error.first().position().is_some(), "cut at {end}: {error}");
        }
    }
}
