use std::collections::BTreeSet;

use super::{edit::edits, literal::Literals, *};
use crate::policy::{Case, Engine, PolicyFiles, Settings, SourceFile, SourceKind, Suite, shipped};

fn file(path: &str, text: &str) -> SourceFile {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let kind = match folder {
        "policies" => SourceKind::Policies,
        "schema" => SourceKind::Schema,
        _ => SourceKind::Tests,
    };
    SourceFile { kind, path: path.to_owned(), name: name.to_owned(), text: text.to_owned() }
}

/// The shipped files, some of them replaced and others added.
fn with(edits: &[(&str, &str)]) -> PolicyFiles {
    let kept = shipped().iter().filter(|file| edits.iter().all(|(path, _)| *path != file.path)).cloned().collect::<Vec<_>>();
    PolicyFiles::new(kept.into_iter().chain(edits.iter().map(|(path, text)| file(path, text))).collect())
}

fn load(files: &PolicyFiles) -> Engine {
    Engine::load_without_guards(files, &Settings::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn cases(engine: &Engine, suite: &str) -> Vec<Case> {
    Suite::parse(&file("policies/tests/a.yaml", suite))
        .and_then(|suite| suite.cases(engine))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn hunt(files: &PolicyFiles, suite: &str) -> Hunt {
    let engine = load(files);
    let cases = cases(&engine, suite);
    assert!(cases.iter().all(|case| case.run(&engine).passed()));
    Hunt::run(&engine, &cases.iter().collect::<Vec<_>>(), |_, _| {}).unwrap()
}

/// `change: was → now` of every edit of a policy.
fn told(text: &str) -> Vec<String> {
    let engine = load(&with(&[("policies/zz.cedar", &format!("@id(\"own\")\n{text}"))]));
    let anatomy = engine.dissect().unwrap().into_iter().find(|anatomy| &*anatomy.info.id == "own").unwrap();
    let policy = engine.originals.policy(&cedar_policy::PolicyId::new("own")).unwrap();
    let edits = edits(&anatomy, policy, &Literals::new(&engine.schema));
    edits
        .iter()
        .map(|edit| Mutant::new(&anatomy, edit))
        .map(|mutant| {
            let (line, column) = mutant.position;
            format!("{line}:{column} {}: {} → {}", mutant.change.as_str(), mutant.was, mutant.now)
        })
        .collect()
}

#[test]
fn each_clause_scope_effect_and_literal_has_its_mutants() {
    assert_eq!(
        told(
            "forbid (principal is ApiKey, action in [Action::\"jobs:read\", Action::\"scan:create\"], resource)\nwhen { principal.environment == \"live\" && true }\nunless { principal.permissions.contains(Action::\"scan:create\") };"
        ),
        [
            "2:1 effect flipped: forbid → permit",
            "2:9 scope widened: principal is ApiKey → principal",
            "2:30 scope widened: action in [Action::\"jobs:read\", Action::\"scan:create\"] → action",
            "2:41 literal changed: Action::\"jobs:read\" → Action::\"scan:create\"",
            "2:62 literal changed: Action::\"scan:create\" → Action::\"jobs:read\"",
            "3:8 clause dropped: principal.environment == \"live\" → true",
            "3:8 condition negated: principal.environment == \"live\" → !(principal.environment == \"live\")",
            "3:33 literal changed: \"live\" → \"live0\"",
            "3:43 condition negated: true → !(true)",
            "3:43 literal changed: true → false",
            "4:10 unless dropped: principal.permissions.contains(Action::\"scan:create\") → false",
            "4:10 condition negated: principal.permissions.contains(Action::\"scan:create\") → !(principal.permissions.contains(Action::\"scan:create\"))",
            "4:41 literal changed: Action::\"scan:create\" → Action::\"webhooks:write\"",
        ]
    );
}

#[test]
fn literals_of_every_kind_are_changed_where_they_stand() {
    let changes = |text: &str| -> Vec<String> {
        let all = Literals::new(&load(&shipped()).schema).changes(text);
        all.into_iter().map(|(span, now)| format!("{}→{now}", &text[span])).collect()
    };
    for (text, expected) in [
        ("context.size <= 100", &["100→101"][..]),
        ("context.size > -5", &["5→4"]),
        ("context.size == 9223372036854775807", &["9223372036854775807→9223372036854775806"]),
        ("context.a == \"x\\\"\" || \"\" == context.b", &["\"x\\\"\"→\"x\\\"0\"", "\"\"→\"0\""]),
        ("[1, 2].contains(context.n)", &["1→2", "2→3"]),
        ("context.host like \"*.example.com\" && true", &["\"*.example.com\"→\"0*.example.com\"", "true→false"]),
        ("context.ip.isInRange(ip(\"10.0.0.0/8\"))", &["\"10.0.0.0/8\"→\"192.0.2.1\""]),
        ("context.now < datetime(\"2027-01-01\")", &["\"2027-01-01\"→\"2000-01-01\""]),
        ("context.now < datetime(\"2000-01-01\").offset(duration(\"1d\"))", &["\"2000-01-01\"→\"2100-01-01\"", "\"1d\"→\"0ms\""]),
        ("context.price < decimal(\"0.0\")", &["\"0.0\"→\"1.0\""]),
        // However it is written, zero is no other value than zero.
        ("context.price < decimal(\"0.00\")", &["\"0.00\"→\"1.0\""]),
        ("context.now < datetime(\"2000-01-01T00:00:00Z\")", &["\"2000-01-01T00:00:00Z\"→\"2100-01-01\""]),
        ("context.for <= duration(\"0s\")", &["\"0s\"→\"1h\""]),
        ("context.ip == ip(\"192.0.2.1/32\")", &["\"192.0.2.1/32\"→\"198.51.100.0/24\""]),
        ("resource == Org::\"a\"", &["Org::\"a\"→Org::\"a0\""]),
        ("action in Claviger::Action::\"read\"", &["Claviger::Action::\"read\"→Claviger::Action::\"operate\""]),
        ("principal has expires_at && { \"a\": context.b } has a", &[]),
    ] {
        assert_eq!(changes(text), expected, "{text}");
    }
}

const SUITE: &str = "name: a
orgs: { acme: , globex: , initech: { suspended: true } }
keys:
  all: { org: acme, permissions: all }
  ending: { org: acme, permissions: all, expires_at: 2026-12-24T12:00:00Z }
  none: { org: acme, permissions: [] }
  reader: { org: acme, permissions: [jobs:read] }
  stopped: { org: initech, permissions: all }
admins: { owner: { role: owner }, operator: { role: operator }, auditor: { role: auditor } }
matrix:
  - { keys: [all, none, reader, stopped], actions: all, allow: { all: all, reader: [jobs:read] } }
  - { admins: [owner, operator, auditor], actions: all, org: acme, allow: { owner: all, operator: all, auditor: [orgs:read, keys:list, keys:read] } }
cases:
  - { name: a, key: none, action: jobs:read, org: globex, decision: deny, missing_permission: null }
  - { name: b, key: none, action: scan:create, decision: deny, missing_permission: scan:create }
  - { name: c, admin: operator, action: admins:create, role: auditor, decision: allow, policies: [operator-appoints-auditors] }
  - { name: d, key: ending, action: scan:create, decision: allow }
";

/// Policies that ask for groups of actions and for an attribute that some keys have.
const MORE: &str = "@id(\"more\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { action in Action::\"read-only\" || principal has expires_at && principal.expires_at < datetime(\"2026-12-01\") };
@id(\"reads\") permit (principal is ApiKey, action in Action::\"read-only\", resource is Org) when { principal.org == resource && principal.permissions.contains(Action::\"jobs:read\") && action == Action::\"jobs:read\" };
@id(\"groups\") forbid (principal is ApiKey, action == Action::\"jobs:read\", resource) unless { action in Action::\"read-only\" && principal.org == principal.org };
";

/// What a hunt must come to, told by loading each mutant as a whole set of its own.
#[test]
fn a_hunt_says_of_each_mutant_what_a_load_and_a_test_run_say() {
    let files = with(&[("policies/zz.cedar", MORE)]);
    let engine = load(&files);
    let literals = Literals::new(&engine.schema);
    let (mut invalid, mut killed, mut alive) = (0, 0, BTreeSet::new());
    let line = |mutant: &Mutant| format!("{} {:?} {} → {}", mutant.policy, mutant.position, mutant.was, mutant.now);
    for anatomy in engine.dissect().unwrap() {
        let policy = engine.originals.policy(&cedar_policy::PolicyId::new(&anatomy.info.id)).unwrap();
        for edit in edits(&anatomy, policy, &literals) {
            let mutated = files.iter().cloned().map(|mut file| {
                if file.path == anatomy.info.file {
                    file.text = file.text.replacen(&anatomy.text, &edit.apply(&anatomy), 1);
                }
                file
            });
            match Engine::load_without_guards(&PolicyFiles::new(mutated.collect()), &Settings::default()) {
                Err(_) => invalid += 1,
                Ok(mutant) if cases(&engine, SUITE).iter().all(|case| case.run(&mutant).passed()) => {
                    alive.insert(line(&Mutant::new(&anatomy, &edit)));
                }
                Ok(_) => killed += 1,
            }
        }
    }
    let hunt = hunt(&files, SUITE);
    let survivors: BTreeSet<String> = hunt.survivors.iter().map(line).collect();
    assert_eq!((hunt.invalid, hunt.killed, hunt.equivalent), (invalid, killed, alive.len() - survivors.len()));
    assert!(survivors.is_subset(&alive) && !survivors.is_empty() && hunt.equivalent > 0 && invalid > 0, "{hunt:?}");
}

#[test]
fn what_the_schema_shows_to_change_nothing_is_counted_and_not_listed() {
    // A second kind of principal that the server never asks about, and a resource that no permission applies to.
    let schema = shipped().iter().find(|file| file.path == "schema/authz.cedarschema").unwrap().text.clone();
    let schema = format!("{schema}\nentity Robot;\naction \"robots:run\" appliesTo {{ principal: [Robot], resource: [Org] }};\n");
    let policies = [
        // The only resource of these actions is an `Org`.
        (
            "permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org) when { principal.org == resource };",
            "resource is Org → resource",
        ),
        // The scope says it already.
        (
            "permit (principal is ApiKey, action == Action::\"jobs:read\", resource) when { action == Action::\"jobs:read\" && principal.org == resource };",
            "action == Action::\"jobs:read\" → true",
        ),
        (
            "permit (principal is ApiKey, action == Action::\"jobs:read\", resource) when { resource is Org } when { principal.org == resource };",
            "resource is Org → true",
        ),
        // Robots are never asked about.
        ("forbid (principal is Robot, action, resource);", "forbid → permit"),
    ];
    for (policy, change) in policies {
        let own = format!("@id(\"own\") {policy}");
        let hunt = hunt(&with(&[("schema/authz.cedarschema", &schema), ("policies/zz.cedar", &own)]), SILENT);
        let alive: Vec<String> = hunt
            .survivors
            .iter()
            .filter(|mutant| &*mutant.policy == "own")
            .map(|mutant| format!("{} → {}", mutant.was, mutant.now))
            .collect();
        assert!(hunt.equivalent > 0 && !alive.contains(&change.to_owned()), "{policy}: {alive:?}");
    }
    // Where the schema has another type, a wider scope is a mistake that tests must notice.
    let wider = schema
        .replace("resource: [Org] };\n\n@doc(\"Read completed", "resource: [Org, Job] };\nentity Job;\n\n@doc(\"Read completed");
    assert_ne!(wider, schema);
    let own = "@id(\"own\") permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org);";
    let hunt = hunt(&with(&[("schema/authz.cedarschema", &wider), ("policies/zz.cedar", own)]), SILENT);
    assert!(hunt.survivors.iter().any(|mutant| mutant.was == "resource is Org" && &*mutant.policy == "own"), "{hunt:?}");
}

/// A suite that notices next to nothing.
const SILENT: &str = "name: a\norgs: { acme: }\nkeys: { all: { org: acme, permissions: all } }\ncases:\n  - { name: a, key: all, action: webhooks:write, decision: allow }\n";
