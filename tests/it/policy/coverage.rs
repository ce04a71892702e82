//! `claviger policy coverage`.

use std::fs;

use claviger::cli::exit::Exit;
use insta::assert_snapshot;
use serde_json::Value;

use super::Repository;

const CAST: &str = "name: least
orgs: { acme: , globex: , initech: { suspended: true } }
keys:
  all: { org: acme, permissions: all }
  none: { org: acme, permissions: [] }
  stopped: { org: initech, permissions: all }
admins: { owner: { role: owner }, operator: { role: operator }, auditor: { role: auditor } }
cases:
";

/// Cases that cover the shipped policies, each of them needed, and what is said when it is taken away.
const CASES: [(&str, &str); 8] = [
    (
        "{ name: a, key: all, action: jobs:read, decision: allow }",
        "policies/permissions.cedar:2:1: granted-permission-allowed: never the reason of an allow",
    ),
    (
        "{ name: b, key: none, action: jobs:read, org: globex, decision: deny }",
        "policies/permissions.cedar:8:8: granted-permission-allowed: `principal.org == resource` in its `when`: never seen false",
    ),
    (
        "{ name: c, key: stopped, action: jobs:read, decision: deny }",
        "policies/suspension.cedar:10:8: suspended-org-denied: `principal.org.suspended` in its `when`: never seen true",
    ),
    (
        "{ name: d, admin: owner, action: orgs:read, org: acme, decision: allow }",
        "policies/management.cedar:8:8: owner-allowed: `principal.role == \"owner\"` in its `when`: never seen true",
    ),
    (
        "{ name: e, admin: operator, action: admins:create, role: auditor, decision: allow }",
        "operator-appoints-auditors: `context.role == \"auditor\"` in its `when`: never seen true",
    ),
    (
        "{ name: f, admin: auditor, action: admins:create, role: owner, decision: deny }",
        "operator-appoints-auditors: `principal.role == \"operator\"` in its `when`: never seen false",
    ),
    (
        "{ name: g, admin: operator, action: keys:create, org: acme, decision: allow }",
        "operator-allowed: `principal.role == \"operator\"` in its `when`: never seen true",
    ),
    (
        "{ name: h, admin: auditor, action: orgs:read, org: acme, decision: allow }",
        "auditor-may-read: `principal.role == \"auditor\"` in its `when`: never seen true",
    ),
];

/// The shipped policies with one small suite, which covers them; without the cases whose numbers are given.
fn least(left_out: &[usize]) -> Repository {
    let repository = Repository::shipped();
    fs::remove_dir_all(repository.path().join("policies/tests")).unwrap();
    let cases = CASES.iter().enumerate().filter(|(number, _)| !left_out.contains(number));
    let cases: String = cases.map(|(_, (case, _))| format!("  - {case}\n")).collect::<Vec<_>>().concat();
    repository.write("policies/tests/least.yaml", format!("{CAST}{cases}"));
    repository
}

#[test]
fn the_shipped_policies_are_covered_completely() {
    let ran = Repository::shipped().run(&["coverage", "--min", "100"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.ends_with("  100 %\n") && ran.err.is_empty(), "{ran}");
    assert_snapshot!(least(&[]).run(&["coverage", "--min", "100"]));
}

#[test]
fn without_any_one_of_the_cases_that_carry_coverage_it_fails_and_names_the_clause() {
    for (number, (case, named)) in CASES.iter().enumerate() {
        let ran = least(&[number]).run(&["coverage", "--min", "100"]);
        assert_eq!(ran.exit, Exit::Negative, "{case}: {ran}");
        assert!(ran.out.contains(named), "{case}: {ran}");
    }
}

#[test]
fn what_was_never_shown_is_listed_with_its_place() {
    let repository = least(&[1, 3]);
    assert_snapshot!(repository.run(&["coverage", "--min", "99.5"]));
    // Without a bar it is told, and nothing more.
    assert_eq!(repository.run(&["coverage"]).exit, Exit::Ok);
    assert_eq!(repository.run(&["coverage", "--min", "50"]).exit, Exit::Ok);
}

#[test]
fn the_json_report_has_every_clause() {
    let ran = least(&[1]).run(&["coverage", "--min", "100", "--format", "json"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["ok"], &report["cases"], &report["failed"]), (&false.into(), &7.into(), &0.into()));
    assert_eq!((&report["covered"], &report["total"]), (&20.into(), &22.into()));
    assert_eq!(report["percent"], 90.9);
    assert_eq!(report["missing"].as_array().unwrap().len(), 2);
    let missing = serde_json::json!({
        "policy": "granted-permission-allowed", "clause": "principal.org == resource", "what": "never seen false",
        "file": "DIR/policies/permissions.cedar", "line": 8, "column": 8
    });
    assert_eq!(report["missing"][0], missing);
    let policies = report["policies"].as_array().unwrap();
    let granted = policies.iter().find(|policy| policy["id"] == "granted-permission-allowed").unwrap();
    assert_eq!((&granted["decided"], granted["clauses"].as_array().unwrap().len()), (&true.into(), 2));
    assert_eq!((&granted["clauses"][0]["seen_true"], &granted["clauses"][0]["seen_false"]), (&true.into(), &false.into()));
}

#[test]
fn a_case_that_fails_shows_nothing() {
    let repository = least(&[]);
    repository.edit(
        "policies/tests/least.yaml",
        "key: stopped, action: jobs:read, decision: deny",
        "key: stopped, action: jobs:read, decision: allow",
    );
    let ran = repository.run(&["coverage"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.out.contains("`principal.org.suspended` in its `when`: never seen true"), "{ran}");
    assert!(ran.err.contains("error: 1 case fails, and a failing case shows nothing"), "{ran}");
}

#[test]
fn no_test_at_all_and_a_suite_that_cannot_be_read_are_failures() {
    let repository = least(&[]);
    repository.write("policies/tests/broken.yaml", "nam: x\n");
    let ran = repository.run(&["coverage", "--min", "100"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.err.contains("broken.yaml"), "{ran}");
    fs::remove_dir_all(repository.path().join("policies/tests")).unwrap();
    for format in ["human", "json"] {
        assert_eq!(repository.run(&["coverage", "--format", format]).exit, Exit::Negative);
    }
    repository.edit("policies/suspension.cedar", "principal.org.suspended", "principal.org.suspendd");
    let ran = repository.run(&["coverage"]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("suspension.cedar:10:"), "{ran}");
}

#[test]
fn the_page_is_one_file_that_reads_without_color_and_escapes_what_policies_say() {
    let repository = least(&[1]);
    repository.write(
        "policies/zz.cedar",
        "// <script>alert(1)</script> & more\n@id(\"odd\")\nforbid (principal is ApiKey, action, resource)\nwhen { principal.environment == \"<script src='http://x'>\" };\n",
    );
    let path = repository.path().join("coverage.html");
    let ran = repository.run(&["coverage", "--html", path.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    let page = repository.read("coverage.html");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    for foreign in ["<script", "<link", "@import", "url(", "<img", "<iframe"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("// &lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
    assert!(
        page.contains("<mark class=\"missing\">principal.org == resource</mark> <span class=\"note\">[never seen false]</span>")
    );
    assert!(page.contains("<mark class=\"missing\">forbid</mark> <span class=\"note\">[never the reason of a denial]</span>"));
    assert!(page.contains("<mark class=\"shown\">principal.org.suspended</mark>"));
    // Every policy file is there as it stands, marks and escapes taken away.
    let text = page.replace("</mark>", "").replace("<mark class=\"shown\">", "").replace("&quot;", "\"");
    assert!(text.contains(&repository.read("policies/suspension.cedar")), "{text}");
    let ran = repository.run(&["coverage", "--html", "/no/such/folder/coverage.html"]);
    assert!(ran.exit == Exit::Failed && ran.err.contains("cannot be written"), "{ran}");
}
