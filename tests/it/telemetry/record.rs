//! What may leave the process about a decision: masks and the context's allowed attributes, in spans and lines alike.

use std::collections::BTreeSet;

use claviger::{
    domain::{key::Refusal, secret::Hashing},
    telemetry::{
        DecisionRecord, LogConfig, RecordConfig, Recorder, Rules,
        names::{Field, OF_CALLS, OF_DECISIONS, OF_LINES, OF_SPANS},
    },
};
use serde_json::{Map, Value, json};

use super::{
    Answer, Outcome, allowed, batch, failed, forbidden, one, open_by,
    spans::{collector, seen},
    to,
};

fn rules(mask: &[(&str, &str)], context: &[&str]) -> Rules {
    let mask = mask.iter().map(|(field, word)| ((*field).to_owned(), (*word).to_owned())).collect();
    let context = context.iter().map(|name| (*name).to_owned()).collect();
    let pepper = format!("1:{}", "p".repeat(32)).parse().unwrap();
    RecordConfig { mask, context }.rules(&Hashing::Peppered(pepper)).unwrap()
}

/// What leaves as lines and as attributes of spans.
struct Left {
    text: String,
    lines: Vec<Value>,
    spans: Vec<Value>,
    counts: claviger::telemetry::Counts,
}

async fn leave(rules: Rules, records: impl FnOnce(&Recorder) -> Vec<DecisionRecord>) -> Left {
    let (server, endpoint) = collector().await;
    let (telemetry, written) = open_by(rules, &LogConfig::default(), &to(endpoint)).unwrap();
    let recorder = telemetry.recorder();
    for record in records(&recorder) {
        recorder.record(record);
    }
    let spans = seen(telemetry, server).await;
    let status = |span: &super::spans::Seen| span.status.1.clone();
    let text = written.text() + &spans.iter().map(status).collect::<String>();
    let spans = spans.into_iter().map(|span| span.attributes.into_iter().collect::<Map<_, _>>().into()).collect();
    Left { text, lines: written.lines(), spans, counts: recorder.counts() }
}

impl Left {
    /// Everything that left.
    fn all(&self) -> String {
        format!("{}{:?}", self.text, self.spans)
    }
}

/// One request whose context was recorded.
fn with_context(recorder: &Recorder, context: &Value) -> DecisionRecord {
    let mut record = one(allowed());
    let Answer::One(judgement) = &mut record.answer else { unreachable!() };
    judgement.had_context = true;
    judgement.context = recorder.keep_context(context.as_object().unwrap());
    record
}

/// Every field that may be masked, and what it says of these records.
fn values() -> Vec<(&'static str, String)> {
    let record = one(forbidden());
    let key = record.key.unwrap();
    vec![
        ("claviger.action", "classify:create".to_owned()),
        ("claviger.key.id", key.facts.key.to_string()),
        ("claviger.key.permissions", "scan:read".to_owned()),
        ("claviger.secret.id", key.secret.to_string()),
        ("claviger.org.id", key.facts.org.to_string()),
        ("claviger.resource.id", "org_elsewhere".to_owned()),
        ("claviger.request.id", "req-of-the-caller".to_owned()),
        ("claviger.policy.ids", "suspended-org-denied".to_owned()),
        ("claviger.policy.set", "sha256:0123".to_owned()),
        ("claviger.context.ip", "203.0.113.7".to_owned()),
    ]
}

#[tokio::test]
async fn what_is_masked_is_in_no_span_and_no_line() {
    for word in ["erase", "hash"] {
        let values = values();
        let mask: Vec<_> = values.iter().map(|(field, _)| (*field, word)).collect();
        let left = leave(rules(&mask, &["ip"]), |recorder| {
            // Actions are permissions, too.
            let mut records = vec![one(forbidden()), one(failed()), batch([allowed(), forbidden()])];
            records.push(with_context(recorder, &json!({ "ip": "203.0.113.7" })));
            records
        })
        .await;
        assert_eq!((left.lines.len(), left.spans.len()), (5, 6));
        let all = left.all();
        for (field, value) in &values {
            assert!(!all.contains(value), "{word} {field}: {all}");
        }
        for record in left.lines.iter().chain(&left.spans) {
            let masked: Vec<_> =
                record["claviger.masked"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
            assert!(masked.contains(&"claviger.key.id") && masked.contains(&"claviger.request.id"), "{masked:?}");
            assert!(masked.iter().all(|field| record.get(field).is_some() == (word == "hash")), "{record}");
        }
        assert!(left.lines.iter().all(|line| line["claviger.decision.id"].is_string() && line["timestamp"].is_string()));
    }
}

#[tokio::test]
async fn a_hash_is_the_same_in_spans_and_lines_and_one_for_each_permission() {
    let mask = [("claviger.key.permissions", "hash"), ("claviger.org.id", "hash")];
    let left = leave(rules(&mask, &[]), |_| vec![one(allowed()), one(forbidden())]).await;
    for field in ["claviger.key.permissions", "claviger.org.id", "claviger.masked"] {
        let told: Vec<_> = left.lines.iter().chain(&left.spans).map(|record| &record[field]).collect();
        assert!(told.len() == 4 && told.iter().all(|value| *value == told[0]), "{told:?}");
    }
    let permissions = left.lines[0]["claviger.key.permissions"].as_array().unwrap();
    assert!(permissions.len() == 2 && permissions[0] != permissions[1]);
    assert_eq!(permissions[0].as_str().unwrap().len(), 32);
    // Whatever else there is stays as it is.
    assert_eq!(left.lines[0]["claviger.resource.id"], "org_elsewhere");
}

#[tokio::test]
async fn only_allowed_attributes_of_a_context_leave_and_they_leave_everywhere() {
    let context = json!({ "ip": "203.0.113.7", "count": 7, "tls": false, "tags": ["a", "b"], "note": "not-to-be-told" });
    let left = leave(rules(&[], &["ip", "count", "tls", "tags", "purpose"]), |recorder| {
        vec![with_context(recorder, &context), with_context(recorder, &json!({ "purpose": "audit" }))]
    })
    .await;
    assert!(!left.all().contains("not-to-be-told"), "{}", left.all());
    for records in [&left.lines, &left.spans] {
        let told = |name: &str| records[0][format!("claviger.context.{name}")].clone();
        assert_eq!([told("ip"), told("count"), told("tls")], [json!("203.0.113.7"), json!(7), json!(false)]);
        assert_eq!((told("tags"), &records[0]["claviger.context_whole"]), (json!(r#"["a","b"]"#), &json!(false)));
        let told = (&records[1]["claviger.context.purpose"], &records[1]["claviger.context_whole"]);
        assert_eq!(told, (&json!("audit"), &json!(true)));
        assert!(records[1].get("claviger.context.ip").is_none());
    }
    // Nothing is asked for: nothing is told, not even whether there was one.
    let left = leave(Rules::default(), |recorder| vec![with_context(recorder, &context)]).await;
    assert!(!left.all().contains("claviger.context") && !left.all().contains("203.0.113.7"));
}

#[tokio::test]
async fn whatever_stands_in_an_allowed_attribute_a_decision_stays_one_line() {
    let hostile = [
        "a\r\n{\"event\":\"decision\",\"claviger.decision\":\"allow\"}",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "gnp.\u{202e}exe",
        "\u{2028}\u{2029}\u{85}\0",
        "op_live_0123456789abcdefghijklmnop",
        &"\u{e0041}".repeat(65_536),
    ];
    let names = ["a", "b\r\n\u{1b}\u{202e}", "c"];
    let contexts = hostile.map(|text| json!({ "a": text, "b\r\n\u{1b}\u{202e}": text, "c": { text: [text, { "d": text }] } }));
    let left =
        leave(rules(&[], &names), |recorder| contexts.iter().map(|context| with_context(recorder, context)).collect()).await;
    let text: String = left.lines.iter().map(|line| line.to_string() + "\n").collect();
    assert_eq!((left.lines.len(), left.counts.lines_dropped), (hostile.len(), 0));
    assert_eq!(left.text.lines().count(), hostile.len());
    let steers = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c) || c == '\u{e0041}';
    assert!(!left.text.contains(steers), "{}", left.text);
    assert!(left.text.lines().all(|line| line.len() < 64 * 1024), "a line has room in the smallest file");
    for (line, sent) in left.lines.iter().zip(hostile) {
        assert_eq!(line["claviger.decision"], "allow");
        let kept = sent.replace("op_live_0123456789abcdefghijklmnop", "op_live_…").chars().take(256).collect::<String>();
        assert_eq!((&line["claviger.context.a"], &line["claviger.context.b\r\n\u{1b}\u{202e}"]), (&json!(kept), &json!(kept)));
        assert!(line["claviger.context.c"].as_str().unwrap().chars().count() <= 1_024);
    }
    assert!(!(text + &left.all()).contains("0123456789ab"));
}

fn names(lists: &[&[Field]]) -> BTreeSet<String> {
    lists.iter().flat_map(|fields| fields.iter()).map(|field| field.name.to_owned()).collect()
}

#[tokio::test]
async fn spans_and_lines_have_the_listed_names_and_no_others() {
    let refused = || one(Outcome::Refused(Refusal::KeyRevoked));
    let left = leave(rules(&[("claviger.key.id", "hash")], &["ip"]), |recorder| {
        let decided = [with_context(recorder, &json!({ "ip": "203.0.113.7" })), one(forbidden()), one(failed())];
        decided.into_iter().chain([refused(), batch([allowed(), forbidden()])]).collect()
    });
    let left = left.await;
    let seen = |records: &[Value]| -> BTreeSet<String> {
        let names = records.iter().flat_map(|record| record.as_object().unwrap().keys().cloned());
        names.filter(|name| name != "claviger.context.ip").collect()
    };
    // Calls of the management API and changes in memory have spans as well: these two are theirs.
    let others = ["claviger.admin.id", "claviger.changes"].map(str::to_owned).into();
    assert_eq!(seen(&left.spans), &names(&[OF_DECISIONS, OF_CALLS, OF_SPANS]) - &others);
    assert_eq!(seen(&left.lines), names(&[OF_DECISIONS, OF_CALLS, OF_LINES]));
}

#[tokio::test]
async fn a_decision_on_the_keys_own_organization_names_it_unless_that_is_hidden() {
    for (mask, is_shown) in [(vec![], true), (vec![("claviger.org.id", "hash")], false)] {
        let mut record = one(allowed());
        let org = record.key.as_ref().unwrap().facts.org.to_string();
        let Answer::One(judgement) = &mut record.answer else { unreachable!() };
        judgement.resource = None;
        let left = leave(rules(&mask, &[]), |_| vec![record]).await;
        for told in [&left.spans[0], &left.lines[0]] {
            assert_eq!(told["claviger.resource.id"].as_str(), is_shown.then_some(&*org), "{told}");
        }
        assert_eq!(left.all().contains(&org), is_shown);
    }
}
