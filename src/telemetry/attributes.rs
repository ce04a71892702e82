//! A record as attributes: the one place that names them, and masks what is to be masked, for spans and log lines alike.

use std::time::Duration;

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::{
    mask::Masks,
    names,
    record::{DecisionRecord, Judgement, KeyFacts, Outcome},
};

/// Of a line of the log.
pub(super) fn of_line(record: &DecisionRecord, judgement: &Judgement, masks: &Masks) -> Vec<KeyValue> {
    let mut all = of_judgement(judgement);
    all.extend(of_facts(record));
    all.extend(of_call(record));
    masks.apply(all)
}

/// Of the span of a call; a batch has its decisions in spans of their own.
pub(super) fn of_server(record: &DecisionRecord, judgement: Option<&Judgement>, masks: &Masks) -> Vec<KeyValue> {
    let mut all = of_call(record);
    all.extend(of_facts(record));
    all.extend(judgement.into_iter().flat_map(of_judgement));
    masks.apply(all)
}

/// Of the span of one request of a batch.
pub(super) fn of_item(record: &DecisionRecord, judgement: &Judgement, masks: &Masks) -> Vec<KeyValue> {
    let mut all = of_judgement(judgement);
    all.extend(of_facts(record));
    all.extend(of_origin(record));
    masks.apply(all)
}

/// The call: HTTP and its identity.
fn of_call(record: &DecisionRecord) -> Vec<KeyValue> {
    let route = record.entry_point.route();
    let mut all = vec![
        KeyValue::new(names::HTTP_REQUEST_METHOD, "POST"),
        KeyValue::new(names::HTTP_ROUTE, route),
        KeyValue::new(names::HTTP_RESPONSE_STATUS_CODE, i64::from(record.status)),
        KeyValue::new(names::URL_PATH, route),
        // TLS ends before this process: its listener speaks plain HTTP.
        KeyValue::new(names::URL_SCHEME, "http"),
    ];
    all.extend(of_origin(record));
    all
}

/// Where a decision came from.
fn of_origin(record: &DecisionRecord) -> [KeyValue; 2] {
    [
        KeyValue::new(names::ENTRY_POINT, record.entry_point.as_str()),
        KeyValue::new(names::REQUEST_ID, record.request_id.clean().into_owned()),
    ]
}

/// The facts that every decision of the call was made on.
fn of_facts(record: &DecisionRecord) -> Vec<KeyValue> {
    let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let mut all = vec![KeyValue::new(names::REVISION, record.revision)];
    all.extend(record.snapshot_age.map(|age| KeyValue::new(names::SNAPSHOT_AGE_MS, millis(age))));
    all.extend(record.policy_set.clone().map(|digest| KeyValue::new(names::POLICY_SET, digest)));
    all.extend(record.key.iter().flat_map(of_key));
    all
}

fn of_key(key: &KeyFacts) -> [KeyValue; 6] {
    [
        KeyValue::new(names::KEY_ID, key.key.to_string()),
        KeyValue::new(names::KEY_ENVIRONMENT, key.environment.as_str()),
        KeyValue::new(names::KEY_PERMISSIONS, texts(key.permissions.iter().map(|name| name.to_string().into()))),
        KeyValue::new(names::SECRET_ID, key.secret.to_string()),
        KeyValue::new(names::ORG_ID, key.org.to_string()),
        KeyValue::new(names::ORG_SUSPENDED, key.org_suspended),
    ]
}

/// The decision itself.
fn of_judgement(judgement: &Judgement) -> Vec<KeyValue> {
    let outcome = &judgement.outcome;
    let mut all = vec![
        KeyValue::new(names::DECISION, outcome.effect()),
        KeyValue::new(names::DECISION_ID, judgement.decision_id.to_string()),
        KeyValue::new(names::DECISION_REASON, outcome.reason()),
    ];
    all.extend(outcome.code().map(|code| KeyValue::new(names::DECISION_CODE, code.to_owned())));
    match outcome {
        Outcome::Decided(decision) => {
            let policies = decision.policies.iter().map(|id| id.clone().into());
            all.push(KeyValue::new(names::POLICY_IDS, texts(policies)));
        }
        Outcome::Refused(refusal) => all.push(KeyValue::new(names::KEY_REFUSAL, refusal.as_str())),
        Outcome::Rejected(_) => {}
    }
    all.extend(judgement.action.as_ref().map(|action| KeyValue::new(names::ACTION, action.clean().into_owned())));
    if let Some((kind, id)) = &judgement.resource {
        all.push(KeyValue::new(names::RESOURCE_TYPE, kind.clean().into_owned()));
        all.push(KeyValue::new(names::RESOURCE_ID, id.clean().into_owned()));
    }
    all.extend(judgement.context.iter().flat_map(|context| context.fields()));
    all
}

/// A count or a position.
pub(super) fn number(name: &'static str, number: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX))
}

fn texts(texts: impl Iterator<Item = StringValue>) -> Value {
    Value::Array(Array::String(texts.collect()))
}
