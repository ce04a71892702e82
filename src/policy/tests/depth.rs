//! Deep and long texts: just inside the limits they load or fail cleanly, and what loads can be used and dropped where
//! requests are answered. A stack overflow would end the process, so it would end these tests.

use super::*;

/// Half of what a request thread has.
const SMALL: usize = 1024 * 1024;

fn on_small_stack<T: Send>(stage: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| std::thread::Builder::new().stack_size(SMALL).spawn_scoped(scope, stage).unwrap().join().unwrap())
}

fn rule(condition: &str) -> String {
    format!("@id(\"deep\") forbid (principal is ApiKey, action, resource) when {{ {condition} }};")
}

/// Whether it loads; if so, it is asked and dropped on a small stack. Not even a bad answer may be an allow.
fn survives(files: &PolicyFiles) -> Result<(), LoadError> {
    on_small_stack(|| {
        let engine = Engine::load_without_guards(files, &Settings::default())?;
        for name in ["jobs:read", "scan:create"] {
            let asked = decide_with(&engine, facts(&[name], true), name, None, Value::Null);
            assert!(asked.is_ok_and(|decision| !decision.is_allow()));
        }
        drop(engine);
        // With the guards on their own, smaller stack; what they refuse is dropped here.
        load(files).map(drop).or_else(|error| error.to_string().contains("guard: ").then_some(()).ok_or(error))
    })
}

/// Conditions of `n` operators of one kind, and how many operators the limits count for each.
fn chains(n: usize) -> Vec<(&'static str, String)> {
    let term = "principal.org.suspended";
    let repeat = |unit: &str, weight: usize| unit.repeat(n / weight);
    vec![
        ("&&", format!("{term}{}", repeat(&format!(" && {term}"), 4))),
        ("&& of literals", format!("{term}{}", repeat("&&true", 2))),
        ("||", format!("{term}{}", repeat(&format!(" || {term}"), 4))),
        ("+", format!("1{} == 1", repeat("+1", 1))),
        ("-", format!("1{} == 1", repeat("-1", 1))),
        ("*", format!("1{} == 1", repeat("*1", 1))),
        ("else if", format!("{}true", repeat(&format!("if {term} then true else "), 3))),
        ("then if", format!("{}true{}", repeat(&format!("if {term} then "), 3), repeat(" else false", 3))),
        ("if if", format!("{}{term}{}", repeat("if ", 1), repeat(" then true else false", 1))),
        (".contains()", format!("[true]{}", repeat(".contains(true)", 1))),
        (".attribute", format!("principal{}", repeat(".org", 1))),
        ("[attribute]", format!("principal{}", repeat("[\"org\"]", 1))),
        ("has a.b.c", format!("principal has org{}", repeat(".org", 1))),
        ("is in", format!("{term}{}", repeat(" && principal is ApiKey in ApiKey::\"x\"", 2))),
        ("like", format!("principal.environment like \"{}\"", repeat("*a", 1))),
        ("==", format!("1{}", repeat("==1", 1))),
        ("<", format!("1{}", repeat("<1", 1))),
        ("in", format!("principal{}", repeat(" in principal", 1))),
        ("has", format!("principal{}", repeat(" has org", 1))),
        ("a::b", format!("principal == {}\"x\"", repeat("A::", 1))),
        ("!", format!("{}true", repeat("!", 1))),
        ("negation", format!("{}1 == 1", repeat("-", 1))),
        ("members", format!("[{}true].contains({term})", repeat("true,", 1))),
        ("when", format!("{term} }} {} when {{ {term}", repeat(&format!("when {{ {term} }} "), 3))),
        ("unless", format!("{term} }} {} when {{ {term}", repeat("unless { action == Action::\"jobs:read\" } ", 1))),
    ]
}

#[test]
fn chains_just_inside_the_limit_are_survived() {
    let mut loaded = Vec::new();
    for (kind, condition) in chains(1_960) {
        match survives(&with(&[(EXTRA, &rule(&condition))])) {
            Ok(()) => loaded.push(kind),
            Err(error) => {
                let cedar = error.first().file() == Some(EXTRA) && !error.to_string().contains("too many operators");
                assert!(cedar, "{kind}: {error}");
            }
        }
    }
    for kind in
        ["&&", "&& of literals", "||", "+", "-", "*", "else if", "then if", "if if", "is in", "like", "members", "when", "unless"]
    {
        assert!(loaded.contains(&kind), "{kind} does not load: {loaded:?}");
    }
}

#[test]
fn chains_past_the_limit_are_refused_before_cedar_reads_them() {
    for (kind, condition) in chains(400_000) {
        let flat = ["like", "==", "<", "in", "has", "a::b", "members"].contains(&kind);
        if !flat && kind != "[attribute]" {
            let refused = refusal(&with(&[(EXTRA, &rule(&condition))]));
            assert!(refused.contains("the statement has too many operators"), "{kind}: {refused}");
        }
    }
}

/// Nested `n` times between brackets of one kind, with whatever may stand before each.
fn nests(n: usize) -> Vec<(&'static str, String)> {
    let nest = |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(n), close.repeat(n));
    let term = "principal.org.suspended";
    vec![
        ("(", nest("(", term, ")")),
        ("!(", nest("!(", term, ")")),
        ("!!!!(", nest("!!!!(", term, ")")),
        ("-(", format!("{} == 1", nest("-(", "1", ")"))),
        ("[", format!("{0} == {0}", nest("[", term, "]"))),
        ("{", format!("{0} == {0}", nest("{a:", term, "}"))),
        ("{ and .a", format!("{}{}", nest("{a:", term, "}"), ".a".repeat(n))),
        ("(if", nest("(if true then ", term, " else false)")),
        ("((&&", nest("(true&&true&&", term, "&&true&&true)")),
        ("((if if", nest("(if true then if true then ", term, " else false else false)")),
        ("contains(", format!("[true]{}true{}", ".contains([true]".repeat(n), ")".repeat(n))),
    ]
}

#[test]
fn brackets_just_inside_the_limit_are_survived() {
    for (kind, condition) in nests(62) {
        if let Err(error) = survives(&with(&[(EXTRA, &rule(&condition))])) {
            assert!(error.first().file() == Some(EXTRA) && !error.to_string().contains("too deeply"), "{kind}: {error}");
        }
    }
}

#[test]
fn brackets_past_the_limit_are_refused_before_cedar_reads_them() {
    for (kind, condition) in nests(50_000) {
        let refused = refusal(&with(&[(EXTRA, &rule(&condition))]));
        assert!(refused.contains("too deeply") || refused.contains("too many operators"), "{kind}: {refused}");
    }
    let hidden = format!("// a comment that ends with a bare return\r{}true{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(refusal(&with(&[(EXTRA, &rule(&hidden))])).contains("too deeply"));
}

#[test]
fn annotations_and_scopes_are_bounded_too() {
    let annotations = |n: usize| (0..n).map(|n| format!("@a{n}(\"x\")\n")).collect::<Vec<_>>().concat();
    assert!(survives(&with(&[(EXTRA, &format!("{}{}", annotations(300), rule("false || principal.org.suspended")))])).is_ok());
    assert!(refusal(&with(&[(EXTRA, &format!("{}{}", annotations(2_001), rule("true")))])).contains("too many operators"));
    let scope = format!("action in [{}]", "Action::\"jobs:read\",".repeat(5_000));
    let wide = format!("@id(\"wide\") forbid (principal is ApiKey, {scope}, resource) when {{ principal.org.suspended }};");
    assert!(survives(&with(&[(EXTRA, &wide.replace(",]", "]"))])).is_ok());
}

/// `scan:create` with a context that holds this type.
fn in_context(kind: &str, more: &str) -> PolicyFiles {
    let shipped = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";
    let action = format!(
        "action \"scan:create\"\n  appliesTo {{ principal: [ApiKey], resource: [Org], context: {{ x?: {kind} }} }};\n{more}"
    );
    replaced(AUTHZ, shipped, &action)
}

/// A chain of `n` declarations, each made of the one before it.
fn declarations(n: usize, first: &str, next: &dyn Fn(usize) -> String) -> String {
    let more = (1..=n).map(|level| format!("type T{level} = {};\n", next(level - 1)));
    format!("type T0 = {first};\n{}", more.collect::<Vec<_>>().concat())
}

#[test]
fn types_just_inside_the_limit_are_survived() {
    let sets = |n: usize| format!("{}Long{}", "Set<".repeat(n), ">".repeat(n));
    let records = |n: usize| format!("{}Long{}", "{a:".repeat(n), "}".repeat(n));
    for files in [
        in_context(&sets(13), ""),
        in_context(&records(13), ""),
        in_context("T6", &declarations(6, "Long", &|level| format!("Set<T{level}>"))),
        in_context("T6", &declarations(6, "Long", &|level| format!("{{ a: T{level} }}"))),
        in_context("T12", &declarations(12, "Long", &|level| format!("T{level}"))),
        in_context("T4", &declarations(4, "Long", &|level| format!("{{ a: T{level}, b: T{level}, c?: T{level} }}"))),
    ] {
        assert!(survives(&files).is_ok(), "{}", survives(&files).unwrap_err());
    }
}

#[test]
fn deep_types_are_refused_however_they_are_written() {
    for n in [20, 60, 1_500] {
        for files in [
            in_context(&format!("{}Long{}", "Set<".repeat(n), ">".repeat(n)), ""),
            in_context(&format!("{}Long{}", "{a:".repeat(n), "}".repeat(n)), ""),
            in_context("Long", &declarations(n, "Long", &|level| format!("Set<T{level}>"))),
            in_context("Long", &declarations(n, "Long", &|level| format!("{{ a: T{level} }}"))),
            in_context("Long", &declarations(n, "Long", &|level| format!("T{level}"))),
            in_context(&format!("T{n}"), &declarations(n, "Long", &|level| format!("T{level}"))),
        ] {
            let refused = refusal(&files);
            assert!(refused.starts_with(AUTHZ) && refused.contains("nested too deeply"), "{n}: {refused}");
        }
    }
}

#[test]
fn types_that_double_with_every_line_are_refused() {
    let doubling = |level: usize| format!("{{ a: T{level}, b: T{level}, c: T{level}, d: T{level} }}");
    let refused = refusal(&in_context("Long", &declarations(15, "Long", &doubling).replace("Long;", "{ a: Long };")));
    assert!(refused.contains("too large") || refused.contains("too deeply"), "{refused}");
    let refused = refusal(&in_context("T7", &declarations(7, "{ a: Long, b: Long, c: Long, d: Long }", &doubling)));
    assert!(refused.contains("makes the schema too large (at most 100000 attributes"), "{refused}");
}

#[test]
fn cycles_of_types_are_refused() {
    for more in ["type A = A;", "type A = B; type B = A;", "type A = Set<B>; type B = { a: A };"] {
        let refused = refusal(&in_context("A", more));
        assert!(refused.starts_with(AUTHZ) && refused.contains("cycle in common type references"), "{refused}");
    }
}

#[test]
fn the_formatter_survives_what_the_limits_let_through() {
    for (kind, condition) in chains(1_000).into_iter().chain(nests(63)) {
        let formatted = on_small_stack(|| format(&file(EXTRA, rule(&condition))));
        if let Ok(text) = formatted {
            assert!(text.contains("@id(\"deep\")"), "{kind}");
        }
    }
    for (kind, condition) in chains(400_000).into_iter().filter(|(kind, _)| ["+", "if if", "!", "when"].contains(kind)) {
        let refused = on_small_stack(|| format(&file(EXTRA, rule(&condition))));
        assert!(refused.is_err_and(|error| error.to_string().contains("too many operators")), "{kind}");
    }
}
