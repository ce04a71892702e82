use std::str::FromStr as _;

use super::*;
use crate::policy::{Effect, PolicyFiles, Settings, SourceFile, SourceKind, shipped};

/// The shipped set with a file of its own.
fn engine(text: &str) -> Engine {
    let file =
        SourceFile { kind: SourceKind::Policies, path: "policies/zz.cedar".into(), name: "zz.cedar".into(), text: text.into() };
    let files = PolicyFiles::new(shipped().iter().cloned().chain([file]).collect());
    Engine::load_without_guards(&files, &Settings::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn anatomy(id: &str, text: &str) -> Anatomy {
    engine(text).dissect().unwrap().into_iter().find(|anatomy| &*anatomy.info.id == id).expect("the policy is there")
}

/// `kind line:column text`, piece by piece.
fn told(pieces: &[Piece]) -> Vec<String> {
    let line = |piece: &Piece| format!("{} {}:{} {}", piece.kind.as_str(), piece.position.0, piece.position.1, piece.text);
    pieces.iter().map(line).collect()
}

#[test]
fn every_conjunct_of_every_when_and_unless_is_a_clause_with_its_place() {
    let anatomy = anatomy(
        "a",
        "// one\n@id(\"a\") // principal.org && \"\nforbid(principal is ApiKey,action in [Action::\"jobs:read\", Action::\"scan:create\"],resource is Org)\nwhen { principal.org == resource&&(principal.environment == \"a && b\" && // why && not\n  (principal has expires_at)) }\nunless { principal.org.suspended || true && !principal.org.suspended } when { if principal.org.suspended then true else principal.org == resource && true };",
    );
    assert_eq!(
        told(&anatomy.scope),
        [
            "principal 3:8 principal is ApiKey",
            "action 3:28 action in [Action::\"jobs:read\", Action::\"scan:create\"]",
            "resource 3:83 resource is Org",
        ]
    );
    assert_eq!(
        told(&anatomy.clauses),
        [
            "when 4:8 principal.org == resource",
            "when 4:36 principal.environment == \"a && b\"",
            "when 5:3 (principal has expires_at)",
            "unless 6:10 principal.org.suspended || true && !principal.org.suspended",
            "when 6:79 if principal.org.suspended then true else principal.org == resource && true",
        ]
    );
    assert_eq!(anatomy.clauses.iter().map(|clause| clause.condition).collect::<Vec<_>>(), [0, 0, 0, 1, 2]);
    assert_eq!(anatomy.text.get(anatomy.effect.clone()), Some("forbid"));
    assert_eq!((anatomy.info.line, anatomy.info.column, anatomy.info.effect), (2, 1, Effect::Forbid));
}

#[test]
fn two_policies_on_one_line_have_their_own_columns() {
    let text = "@id(\"a\")permit(principal is ApiKey,action,resource is Org)when{principal.org.suspended}; @id(\"b\") forbid(principal is ApiKey,action,resource) unless { principal.environment == \"é\" };";
    let anatomy = anatomy("b", text);
    assert_eq!((anatomy.info.line, anatomy.info.column), (1, 90));
    assert_eq!(told(&anatomy.clauses), ["unless 1:152 principal.environment == \"é\""]);
}

/// The conjuncts that Cedar's JSON form of a policy has, flattened.
fn conjuncts(expression: &serde_json::Value) -> usize {
    expression.get("&&").map_or(1, |and| conjuncts(&and["left"]) + conjuncts(&and["right"]))
}

#[test]
fn there_are_as_many_clauses_as_cedars_json_form_has_conjuncts() {
    for body in [
        "true",
        "(true)",
        "true && false",
        "(true && false) && true",
        "true && ((false && (true)))",
        "!(true && false) && true",
        "(true || false) && true",
        "true || false && true",
        "if true && true then true else true && true",
        "true && (if true then true else false && true)",
        "[true && true] == [true] && true",
        "{ \"a\": true && true } has a && true",
        "(true && true) == true",
        "-(1) == 1 && 1 < 2 && \"&&\" like \"*&&*\"",
    ] {
        let text = format!("permit (principal, action, resource) when {{ {body} }} unless {{ {body} }};");
        let json = Policy::from_str(&text).unwrap().to_json().unwrap();
        let expected: Vec<usize> =
            json["conditions"].as_array().unwrap().iter().map(|condition| conjuncts(&condition["body"])).collect();
        let cuts = cut(&text).unwrap();
        assert_eq!(cuts.conditions.iter().map(|(_, clauses)| clauses.len()).collect::<Vec<_>>(), expected, "{body}");
        for span in cuts.conditions.iter().flat_map(|(_, clauses)| clauses) {
            let piece = format!("permit (principal, action, resource) when {{ {} }};", &text[span.clone()]);
            let alone = Policy::from_str(&piece).unwrap().to_json().unwrap();
            assert_eq!(conjuncts(&alone["conditions"][0]["body"]), 1, "{body}: {piece}");
        }
    }
}

#[test]
fn a_piece_is_worth_what_it_says_whatever_the_policy_makes_of_it() {
    let anatomy = anatomy(
        "a",
        "@id(\"a\") forbid (principal is ApiKey, action == Action::\"jobs:read\", resource) unless { 1 == 1 && 1 == 2 && 1 + 9223372036854775807 == 1 // last\n };",
    );
    let uid = |text: &str| text.parse().unwrap();
    let request = |action: &str| {
        Request::new(uid("ApiKey::\"a\""), uid(action), uid("Org::\"b\""), cedar_policy::Context::empty(), None).unwrap()
    };
    let (authorizer, read, entities) = (Authorizer::new(), request("Action::\"jobs:read\""), Entities::empty());
    let clauses: Vec<Truth> = anatomy.clauses.iter().map(|clause| clause.ask(&authorizer, &read, &entities)).collect();
    assert_eq!(clauses[..2], [Truth::True, Truth::False]);
    assert!(matches!(&clauses[2], Truth::Error(text) if text.contains("overflow") && !text.contains("policy0")), "{clauses:?}");
    let other = request("Action::\"scan:create\"");
    let scope: Vec<Truth> = anatomy.scope.iter().map(|part| part.ask(&authorizer, &other, &entities)).collect();
    assert_eq!(scope, [Truth::True, Truth::False, Truth::True]);
    assert!(anatomy.scope_matches(&authorizer, &read, &entities) && !anatomy.scope_matches(&authorizer, &other, &entities));
}
