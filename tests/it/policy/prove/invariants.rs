//! Invariants and assumptions that are wrong themselves, and policies that are.

use super::{Repository, rows, unproved};

/// The shipped set with other invariants.
fn with_invariants(text: &str) -> Repository {
    let repository = Repository::shipped().without_invariants();
    repository.write("policies/invariants/more.cedar", text);
    repository
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let proved = with_invariants(text).prove(&[]);
    assert_eq!(proved.code, 3, "{proved:?}");
    for word in words {
        assert!(proved.err.contains(word), "{word}: {proved:?}");
    }
}

#[test]
fn an_invariant_that_cannot_be_read_is_refused_with_its_place() {
    refused("@id(\"a\")\nforbid (principal, action, resource)\nwhere { true };", &["more.cedar:3:1"]);
    refused("\nforbid (principal, action, resource);", &["more.cedar:2:1", "no `@id`"]);
    refused(
        "@id(\"a\")\nforbid (principal, action, resource) when { true };\n@id(\"a\") permit (principal, action, resource);",
        &["used twice"],
    );
    refused(
        "@id(\"a\")\nforbid (principal is ApiKey, action == Action::\"job:read\", resource);",
        &["more.cedar:2", "jobs:read"],
    );
    refused(
        "@id(\"a\")\nforbid (principal is ApiKey, action, resource) when { principal.expires_at < principal.created_at };",
        &["expires_at"],
    );
    refused(
        "@id(\"a\")\n@assume(\"a\")\npermit (principal, action, resource);",
        &["an assumption says which requests do not occur", "more.cedar:1"],
    );
}

#[test]
fn an_invariant_that_errs_or_says_nothing_is_no_proof() {
    let contexts = |repository: &Repository| {
        repository.edit(
            "schema/authz.cedarschema",
            "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org]",
            "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { cost: Long }",
        );
    };
    let errs = with_invariants(
        "@id(\"no-negative-costs\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { context.cost * 2 < -9000000000000000000 && principal.org != resource };",
    );
    contexts(&errs);
    let proved = errs.prove(&[]);
    assert_eq!(proved.code, 3, "{proved:?}");
    assert!(proved.out.contains("ERRS       no-negative-costs") && proved.err.contains("more.cedar:1:1"), "{proved:?}");
    assert_eq!(unproved(&errs.proof(3, &[])), ["no-negative-costs ERRS"]);

    let vacuous = with_invariants(
        "@id(\"nothing\")\nforbid (principal is ApiKey, action, resource) when { principal.environment == \"a\" && principal.environment == \"b\" };",
    );
    assert_eq!(unproved(&vacuous.proof(3, &[])), ["nothing VACUOUS"]);
    assert!(vacuous.prove(&[]).err.contains("no request matches the invariant"));

    let contradiction = with_invariants(
        "@id(\"no-keys\")\n@assume(\"nobody asks\")\nforbid (principal is ApiKey, action, resource);\n\
         @id(\"suspended\")\nforbid (principal is ApiKey, action, resource) when { principal.org.suspended };",
    );
    let document = contradiction.proof(3, &[]);
    assert_eq!(unproved(&document), ["suspended VACUOUS"]);
    assert!(rows(&document, "policies", "id").contains(&"suspended-org-denied DEAD".to_owned()), "{document}");
}

#[test]
fn a_policy_that_no_request_matches_is_dead() {
    let repository = Repository::shipped();
    repository.write(
        "policies/dead.cedar",
        "@id(\"dead\")\nforbid (principal is ApiKey, action, resource)\nwhen { principal.environment == \"live\" && principal.environment == \"test\" };\n",
    );
    let proved = repository.prove(&[]);
    assert_eq!(proved.code, 3, "{proved:?}");
    assert!(proved.out.contains("DEAD       dead\n    no request matches it"), "{proved:?}");
}

#[test]
fn what_the_solver_cannot_answer_in_time_is_undecided() {
    let repository = Repository::shipped();
    repository.edit(
        "schema/authz.cedarschema",
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org]",
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { a: Long, b: Long }",
    );
    // The product of two primes of 31 bits, and no way around finding them.
    repository.write(
        "policies/invariants/more.cedar",
        "@id(\"no-factors\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\n\
         when { context.a > 1 && context.b > 1 && context.a < 3000000000 && context.b < 3000000000 && context.a * context.b == 4611685975477714963 };",
    );
    let document = repository.proof(3, &["--timeout-ms", "100"]);
    assert_eq!(unproved(&document), ["no-factors undecided"]);
    assert!(document["invariants"].to_string().contains("finds no answer within 100 ms"), "{document}");
}

#[test]
fn no_invariant_is_no_success() {
    let repository = Repository::shipped().without_invariants();
    let proved = repository.prove(&[]);
    assert_eq!(proved.code, 3, "{proved:?}");
    assert!(proved.err.contains("no invariant was found in `policies/invariants`"), "{proved:?}");
    let proved = repository.prove(&["--invariants", "no/such/folder"]);
    assert_eq!(proved.code, 2, "{proved:?}");
}

#[test]
fn the_deepest_policy_that_loads_can_be_proved() {
    let repository = Repository::shipped();
    let chain = "principal.environment != \"a\" || ".repeat(480);
    let deep = format!(
        "@id(\"deep\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\nunless {{ {chain}{}true{} }};\n",
        "(".repeat(60),
        ")".repeat(60)
    );
    repository.write("policies/deep.cedar", deep.replace("true", "principal.org.suspended"));
    let document = repository.proof(3, &[]);
    let policies = rows(&document, "policies", "id");
    assert!(policies.contains(&"deep proved".to_owned()), "{policies:?}");
}

#[test]
fn an_invariant_in_a_folder_below_is_proved_too() {
    let repository = Repository::shipped();
    let claim = "@id(\"nobody-reads\")\nforbid (principal is ApiKey, action == Action::\"jobs:read\", resource);\n";
    repository.write("policies/invariants/teams/reading.cedar", claim);
    assert_eq!(unproved(&repository.proof(3, &[])), ["nobody-reads REFUTED"]);
}
