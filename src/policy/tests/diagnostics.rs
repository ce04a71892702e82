//! Whatever is wrong is told with its file, line and column, and with a way out where there is one.

use super::*;

/// Everything that is wrong with a rule that begins in the third column of the second line.
fn rule(rule: &str) -> String {
    refusal(&with(&[(EXTRA, &format!("\n  @id(\"x\") {rule}"))]))
}

fn schema(more: &str) -> String {
    refusal(&with(&[("schema/extra.cedarschema", &format!("\n  {more}"))]))
}

#[test]
fn a_misspelt_name_is_the_first_thing_told_and_the_nearest_one_is_suggested() {
    for (text, column, nearest) in [
        ("forbid (principal is ApiKey, action == Action::\"job:read\", resource);", 51, "`Action::\"jobs:read\"`"),
        ("forbid (principal is ApiKey, action in Action::\"read-onyl\", resource);", 51, "`Action::\"read-only\"`"),
        (
            "forbid (principal is ApiKey, action, resource) when { principal.permissions.contains(Action::\"jobs:raed\") };",
            97,
            "`Action::\"jobs:read\"`",
        ),
        ("forbid (principal is ApiKy, action, resource);", 33, "`ApiKey`"),
        ("forbid (principal is ApiKey, action, resource) when { principal.orgg.suspended };", 66, "`org`"),
    ] {
        let told = rule(text);
        assert!(told.starts_with(&format!("policies/extra.cedar:2:{column}: for policy `x`, ")), "{told}");
        assert!(told.contains(&format!("(did you mean {nearest}?)")), "{told}");
        assert_eq!(told.lines().count(), 1, "the consequences of a misspelling are not told: {told}");
    }
}

#[test]
fn whatever_is_wrong_with_a_policy_has_its_place() {
    for (text, place, why) in [
        (
            "forbid (principal is ApiKey, action, resource) when { principal.expires_at > datetime(\"2026-01-01\") };",
            "2:66",
            "optional attribute `expires_at`",
        ),
        ("forbid (principal is ApiKey, action, resource) when { 1 + true == 2 };", "2:70", "expected Long"),
        ("forbid (principal is ApiKey, action, resource) when { false };", "2:3", "policy is impossible"),
        (
            "forbid (principal is ApiKey, action, resource) when { principal.environment == \"li\u{43e}ve\" };",
            "2:91",
            "mixed scripts",
        ),
        (
            "forbid (principal is ApiKey, action, resource) when { datetime(\"x\") < datetime(\"2026-01-01\") };",
            "2:66",
            "failed to parse as a datetime",
        ),
        ("forbid (principal is ApiKey, action, resource) when { ", "2:65", "unexpected end of input"),
        ("forbid (principal is ApiKey, action, resource) unles { true };", "2:59", "condition must be either `when` or `unless`"),
        ("forbid (principal is ApiKey, action resource);", "2:48", "unexpected token `resource`"),
        ("permit (principal is ApiKey, action, resource) when { !!!!!true };", "2:66", "too many occurrences of `!`"),
        (&format!("permit (principal, action, resource) when {{ {}", "(".repeat(80)), "2:119", "brackets are nested too deeply"),
    ] {
        let told = rule(text);
        assert!(told.starts_with(&format!("policies/extra.cedar:{place}: ")) && told.contains(why), "{text}: {told}");
    }
}

#[test]
fn columns_are_counted_in_characters() {
    let told = rule("forbid (principal is ApiKey, action, resource) when { \"äöü🦀\" == 1 + true };");
    assert!(told.contains("policies/extra.cedar:2:80: for policy `x`, unexpected type: expected Long"), "{told}");
    let near = rule(
        "forbid (principal is ApiKey, action, resource) when { principal.org.name == \"äöü🦀\" && principal.orgg.suspended };",
    );
    assert!(near.starts_with("policies/extra.cedar:2:98: "), "{near}");
}

#[test]
fn whatever_is_wrong_with_a_schema_has_its_place_whichever_file_it_is_in() {
    for (text, place, why) in [
        ("entity A = { b: Unheard };", "2:19", "failed to resolve type: Unheard"),
        ("entity A in [Unheard];", "2:16", "failed to resolve type: Unheard"),
        ("action \"x:y\" appliesTo { principal: [Unheard], resource: [Org] };", "2:40", "failed to resolve type: Unheard"),
        ("action \"x:y\" in [\"unheard\"] appliesTo { principal: [ApiKey], resource: [Org] };", "2:20", "undeclared action"),
        (
            "action \"jobs:read\" appliesTo { principal: [ApiKey], resource: [Org] };",
            "2:10",
            "duplicate action `Action::\"jobs:read\"`",
        ),
        ("type A = { b: B }; type B = A;", "2:", "cycle in common type references"),
        ("action \"a\" in [\"b\"]; action \"b\" in [\"a\"];", "2:", "cycle in action hierarchy"),
        ("entity A = { b: };", "2:19", "error parsing schema"),
        ("namespace Zoo { entity Org; }", "2:19", "illegally shadows"),
        ("entity Bool;", "2:10", "shadows a builtin Cedar name"),
    ] {
        let told = schema(text);
        assert!(told.starts_with(&format!("schema/extra.cedarschema:{place}")) && told.contains(why), "{text}: {told}");
    }
    let twice = schema("entity Org;");
    assert!(twice.starts_with("schema/") && twice.contains("duplicate entity type `Org`"), "{twice}");
}

#[test]
fn one_line_tells_the_place_the_reason_the_way_out_and_how_much_more_there_is() {
    let rules = "@id(\"x\") forbid (principal is ApiKey, action == Action::\"job:read\", resource);
        @id(\"y\") forbid (principal is ApiKey, action == Action::\"job:read\", resource);";
    let error = load(&with(&[(EXTRA, rules)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "policies/extra.cedar:1:49: for policy `x`, unrecognized action `Action::\"job:read\"`: did you mean `Action::\"jobs:read\"`? (and 1 more)"
    );
    assert_eq!(error.first().policy.as_deref(), Some("x"));
    assert_eq!(error.diagnostics().count(), 2);
}

#[test]
fn a_snippet_shows_the_lines_around_and_the_files_own_line_numbers() {
    let filler = "// a comment\n".repeat(2_000);
    let bad = "@id(\"x\")\nforbid (principal is ApiKey, action == Action::\"job:read\", resource);\n";
    let error = load(&with(&[(EXTRA, &format!("{filler}{bad}{filler}"))])).unwrap_err();
    let mut shown = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut shown, error.first()).unwrap();
    assert!(shown.contains("policies/extra.cedar:2002"), "{shown}");
    assert!(shown.contains(" 2002 │ forbid (principal is ApiKey, action == Action::\"job:read\", resource);"), "{shown}");
    assert!(shown.contains("did you mean `Action::\"jobs:read\"`?"), "{shown}");
    assert!(shown.len() < 2_000, "{shown}");
}

#[test]
fn a_snippet_survives_long_lines_and_the_ends_of_files() {
    let long = "ä".repeat(10_000);
    for text in [
        format!("@id(\"x\") forbid (principal is ApiKey, action == Action::\"{long}\", resource);"),
        format!("/* {long} */"),
        format!("// {long}\n@id(\"x\") permit (principal"),
        format!("@id(\"x\") permit (principal, action, resource) when {{ \"{long}"),
        "@".to_owned(),
    ] {
        let error = load(&with(&[(EXTRA, &text)])).unwrap_err();
        let mut shown = String::new();
        miette::GraphicalReportHandler::new().render_report(&mut shown, error.first()).unwrap();
        assert!(shown.contains("policies/extra.cedar"), "{shown}");
    }
}

#[test]
fn a_broken_guard_names_the_policy_that_breaks_it() {
    let error = load(&with(&[(EXTRA, "@id(\"open\") permit (principal is ApiKey, action, resource);")])).unwrap_err();
    assert_eq!(error.first().policy.as_deref(), Some("open"));
}
