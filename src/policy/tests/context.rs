//! The context of a request: what the action's type declares, and nothing else.

use serde_json::json;

use super::*;

/// `scan:create` with a context of every kind of attribute.
fn rich() -> Engine {
    let kind = "{ now: datetime, size: Long, label?: String, ready?: Bool, tags?: Set<String>, target?: Org,
        from?: ipaddr, price?: decimal, at?: datetime, wait?: duration, deep?: { a: { b?: Long }, list: Set<{ n: Long }> } }";
    of_kind(kind)
}

fn of_kind(kind: &str) -> Engine {
    let shipped = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";
    let action = format!("action \"scan:create\" appliesTo {{ principal: [ApiKey], resource: [Org], context: {kind} }};");
    load(&replaced(AUTHZ, shipped, &action)).unwrap_or_else(|error| panic!("{error}"))
}

fn ask(engine: &Engine, context: Value) -> Result<Decision, BadRequest> {
    decide_with(engine, facts(&["scan:create"], false), "scan:create", None, context)
}

#[expect(clippy::needless_pass_by_value, reason = "a claim is easier to read with the context written in its place")]
fn refused(engine: &Engine, context: Value) -> String {
    match ask(engine, context.clone()) {
        Err(BadRequest::InvalidContext(why)) => why,
        other => panic!("{context}: {other:?}"),
    }
}

#[test]
fn every_declared_type_is_read_from_plain_json() {
    let engine = rich();
    for good in [
        json!({"size": 0}),
        json!({"size": i64::MAX}),
        json!({"size": i64::MIN}),
        json!({"size": 1, "label": "\"); permit(principal,action,resource); //\u{0}"}),
        json!({"size": 1, "ready": true, "tags": []}),
        json!({"size": 1, "tags": ["a", "b", "a"]}),
        json!({"size": 1, "target": {"type": "Org", "id": "any \" id"}}),
        json!({"size": 1, "from": "203.0.113.7", "price": "1.25", "at": "2026-11-24T12:00:00Z", "wait": "1h30m"}),
        json!({"size": 1, "from": "2001:db8::/32", "at": "2026-11-24"}),
        json!({"size": 1, "deep": {"a": {}, "list": [{"n": 1}, {"n": 2}]}}),
        json!({"size": 1, "deep": {"a": {"b": 7}, "list": []}}),
    ] {
        assert!(ask(&engine, good.clone()).is_ok_and(|decision| decision.is_allow()), "{good}");
    }
}

#[test]
fn what_is_not_declared_or_of_another_type_is_refused() {
    let engine = rich();
    for bad in [
        json!({}),
        json!({"label": "no size"}),
        json!({"size": null}),
        json!({"size": "1"}),
        json!({"size": true}),
        json!({"size": [1]}),
        json!({"size": 1.5}),
        json!({"size": 1.0}),
        json!({"size": 1e3}),
        json!({"size": 9_223_372_036_854_775_808_u64}),
        json!({"size": -9_223_372_036_854_775_809_f64}),
        json!({"size": 1, "other": 1}),
        json!({"size": 1, "Size": 1}),
        json!({"size": 1, "": 1}),
        json!({"size": 1, "tags": "a"}),
        json!({"size": 1, "tags": ["a", 1]}),
        json!({"size": 1, "target": "Org::\"x\""}),
        json!({"size": 1, "target": {"type": "ApiKey", "id": "x"}}),
        json!({"size": 1, "target": {"type": "Org"}}),
        json!({"size": 1, "target": {"type": "Org::\"x\", Org", "id": "x"}}),
        json!({"size": 1, "from": "localhost"}),
        json!({"size": 1, "from": "999.0.0.1"}),
        json!({"size": 1, "price": 1.25}),
        json!({"size": 1, "price": "1.23456"}),
        json!({"size": 1, "at": "tomorrow"}),
        json!({"size": 1, "at": "2026-13-01"}),
        json!({"size": 1, "at": 1_795_521_600}),
        json!({"size": 1, "wait": "1 hour"}),
        json!({"size": 1, "from": {"fn": "decimal", "arg": "1.0"}}),
        json!({"size": 1, "deep": {"a": {}}}),
        json!({"size": 1, "deep": {"a": {"c": 1}, "list": []}}),
        json!({"size": 1, "deep": {"a": {}, "list": [{"n": 1, "m": 2}]}}),
        json!({"size": 1, "deep": {"a": {}, "list": [1]}}),
    ] {
        assert!(!refused(&engine, bad).is_empty());
    }
    assert!(refused(&engine, json!({"size": 1, "colour": 1})).contains("it has no attribute `colour`"));
    assert!(refused(&engine, json!({})).contains("`size`"));
}

#[test]
fn what_an_action_does_not_declare_is_refused_even_if_another_action_does() {
    let engine = rich();
    let bad = decide_with(&engine, facts(&["jobs:read"], false), "jobs:read", None, json!({"size": 1}));
    assert!(matches!(bad, Err(BadRequest::InvalidContext(why)) if why.contains("`size`")));
    let bad = decide_with(&engine, facts(&["jobs:read"], false), "jobs:read", None, json!({"now": "2026-11-24"}));
    assert!(matches!(bad, Err(BadRequest::InvalidContext(why)) if why.contains("`now`")));
}

#[test]
fn nobody_but_the_server_sets_now() {
    let engine = rich();
    for now in [json!("2000-01-01"), json!(null), json!({"__extn": {"fn": "datetime", "arg": "2000-01-01"}})] {
        assert_eq!(refused(&engine, json!({"size": 1, "now": now})), "`now` is set by the server");
    }
    for kind in ["{ now: datetime }", "{ now?: datetime }"] {
        let shipped = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";
        let action = format!("action \"scan:create\" appliesTo {{ principal: [ApiKey], resource: [Org], context: {kind} }};");
        let schema = text(AUTHZ).replace(shipped, &action);
        let rule = "@id(\"until-noon\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource)
            unless { context has now && context.now == datetime(\"2026-11-24T12:00:00Z\") };";
        let engine = load(&with(&[(AUTHZ, &schema), (EXTRA, rule)])).unwrap();
        assert!(ask(&engine, json!({})).unwrap().is_allow(), "{kind}");
        let principal = engine.principal(facts(&["scan:create"], false));
        let request = Request { action: "scan:create".into(), resource: None, context: Map::new() };
        let later = engine.read(&request, &principal, Timestamp::from_millis(now_millis() + 1)).unwrap();
        assert_eq!(engine.decide(&principal, &later).policies, ["until-noon".into()], "{kind}");
        assert!(!refused(&engine, json!({"now": "2026-11-24T12:00:00Z"})).is_empty());
    }
}

fn now_millis() -> i64 {
    now().as_millis()
}

#[test]
fn a_required_attribute_is_missed_also_where_now_is_optional() {
    // With one required attribute and an optional `now`, the number of required ones says nothing.
    let shipped = "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };";
    let action =
        "action \"scan:create\" appliesTo { principal: [ApiKey], resource: [Org], context: { now?: datetime, size: Long } };";
    let schema = text(AUTHZ).replace(shipped, action);
    let rule = "@id(\"large-denied\") forbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { context.size > 5 };";
    let engine = load(&with(&[(AUTHZ, &schema), (EXTRA, rule)])).unwrap();
    assert!(refused(&engine, json!({})).contains("`size`"));
    assert!(ask(&engine, json!({"size": 5})).unwrap().is_allow());
    assert_eq!(ask(&engine, json!({"size": 6})).unwrap().policies, ["large-denied".into()]);
}

#[test]
fn cedars_escapes_are_refused_at_every_depth_and_in_every_spelling() {
    let engine = rich();
    let values = [
        r#"{"__entity": {"type": "Org", "id": "x"}}"#,
        r#"{"__extn": {"fn": "ip", "arg": "1.2.3.4"}}"#,
        r#"{"__extn": {"fn": "unknown", "arg": "x"}}"#,
        r#"{"__expr": "principal.org"}"#,
        r#"{"\u005f_entity": {"type": "Org", "id": "x"}}"#,
        r#"{"_\u005fextn": {"fn": "ip", "arg": "1.2.3.4"}}"#,
        r#"{"__ex\u0070r": "true"}"#,
    ];
    for value in values {
        for around in [
            r#"{"size": 1, "target": VALUE}"#,
            r#"{"size": 1, "from": VALUE}"#,
            r#"{"size": VALUE}"#,
            r#"{"size": 1, "label": VALUE}"#,
            r#"{"size": 1, "tags": ["a", VALUE]}"#,
            r#"{"size": 1, "deep": {"a": {"b": VALUE}, "list": []}}"#,
            r#"{"size": 1, "deep": {"a": {}, "list": [{"n": 1}, {"n": VALUE}]}}"#,
            r#"{"size": 1, "from": {"fn": "ip", "arg": VALUE}}"#,
        ] {
            let context: Value = serde_json::from_str(&around.replace("VALUE", value)).unwrap();
            assert!(refused(&engine, context).contains("is not accepted"), "{around} {value}");
        }
        let context: Value = serde_json::from_str(value).unwrap();
        assert!(refused(&engine, context).contains("it has no attribute `__"), "{value}");
    }
}

#[test]
fn a_deep_context_is_refused_before_cedar_reads_it() {
    let engine = rich();
    let nested = |open: &str, close: &str, levels: usize| -> Value {
        serde_json::from_str(&format!("{{\"size\": 1, \"label\": {}1{}}}", open.repeat(levels), close.repeat(levels))).unwrap()
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        // On a fifth of the stack that a request thread has.
        let deep = nested(open, close, 120);
        std::thread::scope(|scope| {
            let ask = || assert!(refused(&engine, deep).contains("nested more than 20 levels deep"));
            std::thread::Builder::new().stack_size(400 * 1024).spawn_scoped(scope, ask).unwrap().join().unwrap();
        });
        assert!(!refused(&engine, nested(open, close, 18)).contains("nested more"));
    }
}

#[test]
fn a_refusal_never_repeats_a_whole_context() {
    let engine = rich();
    let long = "x".repeat(50_000);
    for context in
        [json!({"size": long}), json!({"size": 1, "deep": {"a": {"b": long}, "list": []}}), json!({"size": 1, long.as_str(): 1})]
    {
        assert!(refused(&engine, context).chars().count() <= 500);
    }
}
