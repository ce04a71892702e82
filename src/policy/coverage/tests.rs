use super::*;
use crate::policy::{PolicyFiles, Settings, SourceFile, SourceKind, Suite, shipped};

/// What a suite shows of one policy, which stands beside the shipped ones.
fn shown(policy: &str, cases: &str) -> (Coverage, Vec<String>) {
    let file = |kind, path: &str, text: String| SourceFile {
        kind,
        path: path.to_owned(),
        name: path.rsplit_once('/').unwrap().1.to_owned(),
        text,
    };
    let own = file(SourceKind::Policies, "policies/zz.cedar", format!("@id(\"own\") {policy}"));
    let files = PolicyFiles::new(shipped().iter().cloned().chain([own]).collect());
    let engine = Engine::load_without_guards(&files, &Settings::default()).unwrap_or_else(|error| panic!("{error}"));
    let suite = format!(
        "name: a\norgs: {{ acme: , globex: , stopped: {{ suspended: true }} }}\nkeys:\n  live: {{ org: acme, permissions: all }}\n  test: {{ org: acme, permissions: all, environment: test }}\n  ending: {{ org: acme, permissions: all, expires_at: 2026-12-24T12:00:00Z }}\n  stopped: {{ org: stopped, permissions: all }}\ncases:\n{cases}"
    );
    let suite = Suite::parse(&file(SourceKind::Tests, "policies/tests/a.yaml", suite)).unwrap();
    let coverage = Coverage::measure(&engine, &suite.cases(&engine).unwrap(), |_| {}).unwrap();
    let gaps = coverage.gaps().filter(|gap| &*gap.policy.info.id == "own");
    let gaps = gaps.map(|gap| format!("{}: {}", gap.clause.map_or("policy", |clause| &clause.text), gap.what)).collect();
    (coverage, gaps)
}

fn gaps(policy: &str, cases: &str) -> Vec<String> {
    shown(policy, cases).1
}

const LIVE: &str = "  - { name: a, key: live, action: jobs:read, decision: deny, code: FORBIDDEN }\n";
const TEST: &str = "  - { name: b, key: test, action: jobs:read, decision: allow }\n";

#[test]
fn a_clause_is_seen_only_where_the_scope_of_its_policy_matches() {
    let policy = |scope: &str| format!("forbid ({scope}) when {{ principal.environment == \"live\" }};");
    assert_eq!(
        gaps(&policy("principal is ApiKey, action == Action::\"jobs:read\", resource"), &format!("{LIVE}{TEST}")),
        [""; 0]
    );
    let allowed = LIVE.replace("deny, code: FORBIDDEN", "allow");
    let none = ["policy: never the reason of a denial", "principal.environment == \"live\": never seen true or false"];
    for scope in [
        "principal is ApiKey, action == Action::\"scan:create\", resource",
        "principal is ApiKey, action, resource == Org::\"another\"",
        "principal == ApiKey::\"another\", action, resource",
    ] {
        assert_eq!(gaps(&policy(scope), &format!("{allowed}{TEST}")), none, "{scope}");
    }
    // A group is matched as well as its members.
    let group = "principal is ApiKey, action in Action::\"read-only\", resource";
    assert!(gaps(&policy(group), &format!("{LIVE}{TEST}")).is_empty());
    assert_eq!(gaps(&policy(group), &format!("{allowed}{TEST}").replace("jobs:read", "scan:create")), none);
}

#[test]
fn a_clause_of_an_unless_is_true_where_its_own_words_are() {
    let policy = "forbid (principal is ApiKey, action, resource) unless { principal.environment == \"test\" && principal.org == resource };";
    assert_eq!(
        gaps(policy, LIVE),
        ["principal.environment == \"test\": never seen true", "principal.org == resource: never seen false"]
    );
    assert_eq!(
        gaps(policy, TEST),
        [
            "policy: never the reason of a denial",
            "principal.environment == \"test\": never seen false",
            "principal.org == resource: never seen false"
        ]
    );
}

#[test]
fn a_clause_that_cannot_be_evaluated_is_neither_true_nor_false() {
    let policy = "forbid (principal is ApiKey, action, resource) when { principal has expires_at && principal.expires_at < datetime(\"2027-01-01\") };";
    let cases = "  - { name: a, key: live, action: jobs:read, decision: allow }\n  - { name: b, key: ending, action: jobs:read, decision: deny, code: FORBIDDEN }\n";
    assert_eq!(gaps(policy, cases), ["principal.expires_at < datetime(\"2027-01-01\"): never seen false"]);
}

#[test]
fn a_case_that_fails_or_never_reaches_the_policies_shows_nothing() {
    let policy = "forbid (principal is ApiKey, action, resource) when { principal.environment == \"live\" };";
    let failing = LIVE.replace("FORBIDDEN", "ORGANIZATION_SUSPENDED");
    let (coverage, missing) = shown(policy, &format!("{failing}{TEST}"));
    assert_eq!((coverage.cases, coverage.failed), (2, 1));
    assert_eq!(missing, ["policy: never the reason of a denial", "principal.environment == \"live\": never seen true"]);
    let unasked = "  - { name: a, key: live, action: jobs:read, resource: { type: ApiKey, id: a }, decision: deny, code: UNKNOWN_RESOURCE_TYPE }\n";
    let (coverage, missing) = shown(policy, unasked);
    assert_eq!((coverage.failed, missing.len()), (0, 2));
}

#[test]
fn a_permit_that_a_forbid_overrules_decided_nothing() {
    let policy = "permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org);";
    let stopped = "  - { name: a, key: stopped, action: jobs:read, decision: deny }\n";
    assert_eq!(gaps(policy, stopped), ["policy: never the reason of an allow"]);
    assert!(gaps(policy, TEST).is_empty());
    // What a tripwire refuses was decided by no rule.
    let foreign = "  - { name: a, key: live, action: jobs:read, org: globex, decision: deny, code: POLICY_ERROR }\n";
    assert_eq!(gaps(policy, foreign), ["policy: never the reason of an allow"]);
}

#[test]
fn nothing_is_rounded_up() {
    let share = |part, whole| Share { part, whole };
    let percent = |text: &str| text.parse::<Percent>().unwrap();
    for (part, whole, told) in [
        (9_999, 10_000, "99.99 %"),
        (99_999, 100_000, "99.99 %"),
        (1, 1, "100 %"),
        (2, 3, "66.66 %"),
        (0, 5, "0 %"),
        (19, 20, "95 %"),
    ] {
        assert_eq!(share(part, whole).to_string(), told);
    }
    assert!(!share(999_999_999, 1_000_000_000).reaches(percent("100")));
    assert!(share(1_000_000_000, 1_000_000_000).reaches(percent("100")));
    assert!(share(9_999, 10_000).reaches(percent("99.99")) && !share(9_998, 10_000).reaches(percent("99.99")));
    assert!(!share(2, 3).reaches(percent("66.6667")) && share(2, 3).reaches(percent("66.6666")));
}

#[test]
fn a_percentage_is_a_number_from_0_to_100() {
    for (text, shown) in
        [("100", "100 %"), ("99.99", "99.99 %"), ("0", "0 %"), ("100.0000", "100 %"), ("007", "7 %"), ("5.5", "5.5 %")]
    {
        assert_eq!(text.parse::<Percent>().unwrap().to_string(), shown);
    }
    for text in ["", "101", "100.0001", "-1", "1e2", "99,9", "99.99999", "NaN", ".5", "5.", "1 "] {
        assert!(text.parse::<Percent>().is_err(), "{text}");
    }
}
