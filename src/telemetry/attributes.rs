//! A record as attributes: the one place that names them, and masks what is to be masked, for spans and log lines alike.

use std::time::Duration;

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::{
    mask::Masks,
    names,
    record::{DecisionRecord, Judgement, KnownKey, Outcome},
};

/// Room for what a decision has, so that a list need not grow.
const USUAL: usize = 32;

/// Of a line of the log.
pub(super) fn of_line(record: &DecisionRecord, judgement: &Judgement, masks: &Masks) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(USUAL);
    push_judgement(&mut all, record, judgement, masks);
    push_facts(&mut all, record);
    push_call(&mut all, record);
    masks.apply(all)
}

/// Of the span of a call; a batch has its decisions in spans of their own.
pub(super) fn of_server(record: &DecisionRecord, judgement: Option<&Judgement>, masks: &Masks) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(USUAL);
    push_call(&mut all, record);
    push_facts(&mut all, record);
    if let Some(judgement) = judgement {
        push_judgement(&mut all, record, judgement, masks);
    }
    masks.apply(all)
}

/// Of the span of one request of a batch.
pub(super) fn of_item(record: &DecisionRecord, judgement: &Judgement, masks: &Masks) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(USUAL);
    push_judgement(&mut all, record, judgement, masks);
    push_facts(&mut all, record);
    push_origin(&mut all, record);
    masks.apply(all)
}

/// The call: HTTP and its identity.
fn push_call(all: &mut Vec<KeyValue>, record: &DecisionRecord) {
    let route = record.entry_point.route();
    all.extend([
        KeyValue::new(names::HTTP_REQUEST_METHOD, "POST"),
        KeyValue::new(names::HTTP_ROUTE, route),
        KeyValue::new(names::HTTP_RESPONSE_STATUS_CODE, i64::from(record.status)),
        KeyValue::new(names::URL_PATH, route),
        // TLS ends before this process: its listener speaks plain HTTP.
        KeyValue::new(names::URL_SCHEME, "http"),
    ]);
    push_origin(all, record);
}

/// Where a decision came from.
fn push_origin(all: &mut Vec<KeyValue>, record: &DecisionRecord) {
    all.push(KeyValue::new(names::ENTRY_POINT, record.entry_point.as_str()));
    all.push(KeyValue::new(names::REQUEST_ID, record.request_id.shared()));
}

/// The facts that every decision of the call was made on.
fn push_facts(all: &mut Vec<KeyValue>, record: &DecisionRecord) {
    let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    all.push(KeyValue::new(names::REVISION, record.revision));
    all.extend(record.snapshot_age.map(|age| KeyValue::new(names::SNAPSHOT_AGE_MS, millis(age))));
    all.extend(record.policy_set.clone().map(|digest| KeyValue::new(names::POLICY_SET, digest)));
    if let Some(KnownKey { secret, facts }) = &record.key {
        all.extend([
            KeyValue::new(names::KEY_ID, facts.key.to_string()),
            KeyValue::new(names::KEY_ENVIRONMENT, facts.environment.as_str()),
            KeyValue::new(names::KEY_PERMISSIONS, texts(facts.permissions.iter().map(|name| name.shared().into()))),
            KeyValue::new(names::SECRET_ID, secret.to_string()),
            KeyValue::new(names::ORG_ID, facts.org.to_string()),
            KeyValue::new(names::ORG_SUSPENDED, facts.org_suspended),
        ]);
    }
}

/// The decision itself.
fn push_judgement(all: &mut Vec<KeyValue>, record: &DecisionRecord, judgement: &Judgement, masks: &Masks) {
    let outcome = &judgement.outcome;
    all.extend([
        KeyValue::new(names::DECISION, outcome.effect()),
        KeyValue::new(names::DECISION_ID, judgement.decision_id.to_string()),
        KeyValue::new(names::DECISION_REASON, outcome.reason()),
    ]);
    all.extend(outcome.code().map(|code| KeyValue::new(names::DECISION_CODE, code.to_owned())));
    match outcome {
        Outcome::Decided(decision) => {
            let policies = decision.policies.iter().map(|id| id.clone().into());
            all.push(KeyValue::new(names::POLICY_IDS, texts(policies)));
        }
        Outcome::Refused(refusal) => all.push(KeyValue::new(names::KEY_REFUSAL, refusal.as_str())),
        Outcome::Rejected(_) => {}
    }
    all.extend(judgement.action.as_ref().map(|action| KeyValue::new(names::ACTION, action.shared())));
    match (&judgement.resource, &judgement.action, &record.key) {
        (Some((kind, id)), ..) => {
            all.push(KeyValue::new(names::RESOURCE_TYPE, kind.shared()));
            all.push(KeyValue::new(names::RESOURCE_ID, id.shared()));
        }
        // Where the organization is not to be told, its second name is not told either.
        (None, Some(_), Some(key)) if !masks.hides(names::ORG_ID) => {
            all.push(KeyValue::new(names::RESOURCE_TYPE, "Org"));
            all.push(KeyValue::new(names::RESOURCE_ID, key.facts.org.to_string()));
        }
        (None, ..) => {}
    }
    all.extend(judgement.context.iter().flat_map(|context| context.fields()));
}

/// A count or a position.
pub(super) fn number(name: &'static str, number: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX))
}

fn texts(texts: impl Iterator<Item = StringValue>) -> Value {
    Value::Array(Array::String(texts.collect()))
}
