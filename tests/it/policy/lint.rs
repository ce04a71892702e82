//! What `claviger policy check` doubts in a set that the server would load.

use std::fmt::Write as _;

use claviger::cli::exit::Exit;
use insta::assert_snapshot;

use super::{Repository, run};
use crate::support::engines::on_both_engines;

const FORMATS: [&str; 4] = ["human", "plain", "json", "github"];

/// What `check` says in each format, without the digest; the set must load.
fn doubted(repository: &Repository) -> String {
    let mut said = String::new();
    for format in FORMATS {
        let ran = repository.run(&["check", "--format", format]);
        assert_eq!(ran.exit, Exit::Ok, "{format}: {ran}");
        let (before, digest) = ran.out.split_once("sha256:").unwrap();
        let ran = super::Ran { out: format!("{before}sha256:…{}", &digest[64..]), ..ran };
        writeln!(said, "=== {format}: {ran}").unwrap();
    }
    said
}

/// The messages of all warnings.
fn warnings(repository: &Repository) -> Vec<String> {
    let ran = repository.run(&["check", "--format", "plain"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    let warnings = ran.err.lines().filter_map(|line| line.split_once("warning: "));
    warnings.map(|(_, message)| message.to_owned()).collect()
}

const UNTIED: &str = "the permit does not tie the key to the organization it acts on";

/// A rule that lets test keys read jobs under this condition. Another rule keeps them off foreign organizations.
fn with_permit(condition: &str) -> Repository {
    let repository = Repository::shipped();
    repository.write(
        "policies/trial.cedar",
        format!(
            "@id(\"trial\")\npermit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org)\n{condition};\n\n\
             @id(\"own-org-only\")\nforbid (principal is ApiKey, action, resource is Org)\nunless {{ principal.org == resource }};\n\n\
             @id(\"needs-permission\")\nforbid (principal is ApiKey, action, resource)\nunless {{ principal.permissions.contains(action) }};\n"
        ),
    );
    repository
}

#[test]
fn a_permit_that_does_not_tie_the_key_to_its_organization_is_doubted() {
    assert_snapshot!(doubted(&with_permit("when { principal.environment == \"test\" }")));
}

#[test]
fn a_permit_is_tied_in_whatever_way_it_says_so() {
    for tied in [
        "when { principal.org == resource && principal.environment == \"test\" }",
        "when { principal.environment == \"test\" } when { resource == principal.org }",
        "when { principal.environment == \"test\" && (principal.environment != \"live\" && resource in principal.org) }",
        "unless { principal.org != resource }",
        "unless { principal.environment == \"live\" || resource != principal.org }",
        "unless { !(principal.org == resource) }",
        "when { !(principal.org != resource) }",
        "when { principal.org.name == resource.name && principal.org == resource }",
    ] {
        assert_eq!(warnings(&with_permit(tied)), [""; 0], "{tied}");
    }
    for loose in [
        "when { principal.org == resource || principal.environment == \"test\" }",
        "unless { principal.org != resource && principal.environment == \"live\" }",
        "when { principal.org != resource || principal.environment == \"test\" }",
        "when { !(principal.org == resource) || principal.environment == \"test\" }",
        "when { principal.org == principal.org }",
        "when { principal.org.name == resource.name }",
        "unless { principal.org == resource && principal.environment == \"live\" }",
    ] {
        assert_eq!(warnings(&with_permit(loose)), [UNTIED], "{loose}");
    }
}

#[test]
fn an_action_that_no_permit_can_reach_is_doubted() {
    let repository = Repository::shipped();
    repository.edit("policies/permissions.cedar", "action,", "action in [Action::\"read-only\", Action::\"scan:create\"],");
    repository.edit(
        "policies/permissions.cedar",
        "principal.permissions.contains(action)",
        "principal.permissions.contains(action)",
    );
    let found = warnings(&repository);
    let unreachable = |action| format!("no permit can reach the action `{action}`: it is always denied");
    assert_eq!(found, [unreachable("classify:create"), unreachable("webhooks:write")]);
}

#[test]
fn an_action_on_a_type_that_no_permit_covers_is_doubted() {
    let repository = Repository::shipped();
    let schema = repository.read("schema/authz.cedarschema");
    repository.write(
        "schema/authz.cedarschema",
        format!(
            "{schema}\nentity Report;\n\naction \"reports:read\"\n  appliesTo {{ principal: [ApiKey], resource: [Report] }};\n"
        ),
    );
    assert_eq!(warnings(&repository), ["no permit can reach the action `reports:read`: it is always denied"]);
}

#[test]
fn a_code_that_looks_unlike_the_others_is_doubted_with_the_right_one() {
    for (code, right) in [
        ("orgSuspended", "ORG_SUSPENDED"),
        ("org-suspended", "ORG_SUSPENDED"),
        ("Org Suspended!", "ORG_SUSPENDED"),
        ("ORG__SUSPENDED", "ORG_SUSPENDED"),
        ("_ORG", "ORG"),
        ("402_PAYMENT", "PAYMENT"),
        ("…", "SOME_RULE"),
    ] {
        let repository = Repository::shipped();
        repository.edit("policies/suspension.cedar", "ORGANIZATION_SUSPENDED", code);
        let ran = repository.run(&["check", "--format", "plain"]);
        assert!(ran.err.contains(&format!("warning: the code `{code}` is not in SCREAMING_SNAKE_CASE")), "{ran}");
        assert!(ran.err.contains(&format!("help: write `@code(\"{right}\")`")), "{ran}");
    }
    for good in ["A", "ORGANIZATION_SUSPENDED", "TLS13_NEEDED", "E2"] {
        let repository = Repository::shipped();
        repository.edit("policies/suspension.cedar", "ORGANIZATION_SUSPENDED", good);
        assert_eq!(warnings(&repository), [""; 0], "{good}");
    }
}

#[test]
fn what_is_doubtful_fails_where_that_is_asked_for() {
    let repository = Repository::shipped();
    assert_eq!(repository.run(&["check", "--deny-warnings"]).exit, Exit::Ok);
    repository.edit("policies/suspension.cedar", "ORGANIZATION_SUSPENDED", "suspended");
    assert_eq!(repository.run(&["check"]).exit, Exit::Ok);
    assert_eq!(repository.run(&["check", "--deny-warnings"]).exit, Exit::Negative);
}

#[tokio::test]
async fn keys_with_permissions_that_the_schema_no_longer_has_are_found_in_their_database() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let other = bed.key(bed.org("other").await.id).await;
        let url = bed.url.clone();
        tokio::task::spawn_blocking(move || {
            let repository = Repository::shipped();
            let ran = repository.run(&["check", "--format", "plain", "--database", &url]);
            assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""), "{ran}");
            repository.edit("schema/authz.cedarschema", "action \"scan:create\"", "action \"scan:start\"");
            for suite in ["permissions", "suspension", "management"] {
                std::fs::remove_file(repository.path().join(format!("policies/tests/{suite}.yaml"))).unwrap();
            }
            let ran = repository.run(&["check", "--format", "plain", "--database", &url]);
            let first = key.id.to_string().min(other.id.to_string());
            let warning = format!(
                "warning: the schema no longer has `scan:create`, which was granted to 2 keys (for example `{first}`): it allows nothing"
            );
            assert!(ran.exit == Exit::Ok && ran.err.starts_with(&warning), "{ran}");
        })
        .await
        .unwrap();
    })
    .await;
}

#[test]
fn a_database_that_cannot_be_read_is_no_good_news() {
    let repository = Repository::shipped();
    let missing = repository.path().join("none.db");
    let ran = repository.run(&["check", "--database", &format!("sqlite:{}", missing.display())]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Unreachable, ""), "{ran}");
    assert!(ran.err.contains("there is no such file") && !missing.exists(), "{ran}");
    let ran = run(&["policy", "check", "--database", "mysql://x"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran}");
}

#[test]
fn a_misspelt_annotation_is_doubted() {
    let repository = Repository::shipped();
    repository.edit("policies/suspension.cedar", "@code(", "@cdoe(");
    let ran = repository.run(&["check", "--deny-warnings"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.err.contains("the annotation `@cdoe` means nothing to the server"), "{ran}");
    assert!(ran.err.contains("did you mean `@code`?"), "{ran}");
    repository.edit("policies/suspension.cedar", "@cdoe(", "@owner(\"security\")\n@mode(\"strict\")\n@code(");
    let ran = repository.run(&["check", "--deny-warnings"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
}
