//! A record as fields: the one place that names them, and masks what is to be masked, for spans and log lines alike.

use std::time::Duration;

use opentelemetry::{Array, Key, KeyValue, StringValue, Value};

use super::{
    mask::Masks,
    names,
    record::{DecisionRecord, Judgement, KnownKey, Outcome},
};
use crate::domain::permission::Permission;

/// Room for what a decision has, so that a list need not grow.
const USUAL: usize = 32;

/// Takes the fields of a record, one after the other.
pub(super) trait Fields {
    fn text(&mut self, name: impl Into<Key> + AsRef<str>, text: &str);
    fn texts<'a>(&mut self, name: &'static str, texts: impl Iterator<Item = &'a str> + Clone);
    fn number(&mut self, name: impl Into<Key> + AsRef<str>, number: i64);
    fn flag(&mut self, name: impl Into<Key> + AsRef<str>, flag: bool);
    /// One that was masked.
    fn field(&mut self, field: KeyValue);
}

impl Fields for Vec<KeyValue> {
    fn text(&mut self, name: impl Into<Key> + AsRef<str>, text: &str) {
        self.push(KeyValue::new(name, text.to_owned()));
    }

    fn texts<'a>(&mut self, name: &'static str, texts: impl Iterator<Item = &'a str> + Clone) {
        let texts = texts.map(|text| StringValue::from(text.to_owned())).collect();
        self.push(KeyValue::new(name, Value::Array(Array::String(texts))));
    }

    fn number(&mut self, name: impl Into<Key> + AsRef<str>, number: i64) {
        self.push(KeyValue::new(name, number));
    }

    fn flag(&mut self, name: impl Into<Key> + AsRef<str>, flag: bool) {
        self.push(KeyValue::new(name, flag));
    }

    fn field(&mut self, field: KeyValue) {
        self.push(field);
    }
}

/// The attributes of a span that are not written yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) record: &'a DecisionRecord,
    pub(super) part: Part<'a>,
}

/// Of what a span tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Of a call and its decision.
    Whole(&'a Judgement),
    /// Of a call whose decisions have spans of their own, so many.
    Batch(usize),
    /// Of one of those, by its position.
    Item(usize, &'a Judgement),
}

impl Attributes<'_> {
    /// The code of what is no answer but an error: a policy that failed, or an answer of 500 and above.
    pub(super) fn error(&self) -> Option<&str> {
        let (Part::Whole(judgement) | Part::Item(_, judgement)) = self.part else { return None };
        judgement.outcome.code().filter(|_| judgement.outcome.is_policy_error() || self.record.status >= 500)
    }

    /// Tells them as they may leave the process.
    pub(super) fn tell(&self, to: &mut impl Fields, masks: &Masks) {
        if masks.is_empty() {
            return self.tell_unmasked(to, masks);
        }
        for field in masked(masks, |all| self.tell_unmasked(all, masks)) {
            to.field(field);
        }
    }

    fn tell_unmasked(&self, to: &mut impl Fields, masks: &Masks) {
        let record = self.record;
        match self.part {
            Part::Whole(judgement) => {
                tell_call(to, record);
                tell_facts(to, record);
                tell_judgement(to, record, judgement, masks);
            }
            Part::Batch(size) => {
                tell_call(to, record);
                tell_facts(to, record);
                to.number(names::BATCH_SIZE, count(size));
            }
            Part::Item(index, judgement) => {
                tell_judgement(to, record, judgement, masks);
                tell_facts(to, record);
                tell_origin(to, record);
                to.number(names::BATCH_INDEX, count(index));
            }
        }
        if let Some(code) = self.error() {
            to.text(names::ERROR_TYPE, code);
        }
    }
}

/// Of a line of the log.
pub(super) fn of_line(record: &DecisionRecord, judgement: &Judgement, masks: &Masks) -> Vec<KeyValue> {
    masked(masks, |all| {
        tell_judgement(all, record, judgement, masks);
        tell_facts(all, record);
        tell_call(all, record);
    })
}

fn masked(masks: &Masks, tell: impl FnOnce(&mut Vec<KeyValue>)) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(USUAL);
    tell(&mut all);
    masks.apply(all)
}

/// The call: HTTP and its identity.
fn tell_call(to: &mut impl Fields, record: &DecisionRecord) {
    let route = record.entry_point.route();
    to.text(names::HTTP_REQUEST_METHOD, "POST");
    to.text(names::HTTP_ROUTE, route);
    to.number(names::HTTP_RESPONSE_STATUS_CODE, record.status.into());
    to.text(names::URL_PATH, route);
    // TLS ends before this process: its listener speaks plain HTTP.
    to.text(names::URL_SCHEME, "http");
    tell_origin(to, record);
}

/// Where a decision came from.
fn tell_origin(to: &mut impl Fields, record: &DecisionRecord) {
    to.text(names::ENTRY_POINT, record.entry_point.as_str());
    to.text(names::REQUEST_ID, &record.request_id.clean());
}

/// The facts that every decision of the call was made on.
fn tell_facts(to: &mut impl Fields, record: &DecisionRecord) {
    let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    to.number(names::REVISION, record.revision);
    if let Some(age) = record.snapshot_age {
        to.number(names::SNAPSHOT_AGE_MS, millis(age));
    }
    if let Some(digest) = &record.policy_set {
        to.text(names::POLICY_SET, digest);
    }
    if let Some(KnownKey { secret, facts }) = &record.key {
        to.text(names::KEY_ID, &facts.key.text());
        to.text(names::KEY_ENVIRONMENT, facts.environment.as_str());
        to.texts(names::KEY_PERMISSIONS, facts.permissions.iter().map(Permission::as_str));
        to.text(names::SECRET_ID, &secret.text());
        to.text(names::ORG_ID, &facts.org.text());
        to.flag(names::ORG_SUSPENDED, facts.org_suspended);
    }
}

/// The decision itself.
fn tell_judgement(to: &mut impl Fields, record: &DecisionRecord, judgement: &Judgement, masks: &Masks) {
    let outcome = &judgement.outcome;
    to.text(names::DECISION, outcome.effect());
    to.text(names::DECISION_ID, &judgement.decision_id.text());
    to.text(names::DECISION_REASON, &outcome.reason());
    if let Some(code) = outcome.code() {
        to.text(names::DECISION_CODE, code);
    }
    match outcome {
        Outcome::Decided(decision) => to.texts(names::POLICY_IDS, decision.policies.iter().map(|id| &**id)),
        Outcome::Refused(refusal) => to.text(names::KEY_REFUSAL, refusal.as_str()),
        Outcome::Rejected(_) => {}
    }
    if let Some(action) = &judgement.action {
        to.text(names::ACTION, &action.clean());
    }
    match (&judgement.resource, &judgement.action, &record.key) {
        (Some((kind, id)), ..) => {
            to.text(names::RESOURCE_TYPE, &kind.clean());
            to.text(names::RESOURCE_ID, &id.clean());
        }
        // Where the organization is not to be told, its second name is not told either.
        (None, Some(_), Some(key)) if !masks.hides(names::ORG_ID) => {
            to.text(names::RESOURCE_TYPE, "Org");
            to.text(names::RESOURCE_ID, &key.facts.org.text());
        }
        (None, ..) => {}
    }
    if let Some(context) = &judgement.context {
        context.tell(to);
    }
}

/// A count or a position.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
