//! The decision log: one JSON line per decision, written off the request's thread.

mod file;
mod lock;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use opentelemetry::{Array, KeyValue, Value};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use self::file::Report;
pub(super) use self::file::{DecisionFile, FileLimits};
use super::{
    attributes,
    complaint::Complaint,
    config::LoggedDecisions,
    lines::{Lines, clean},
    mask::Masks,
    names,
    queue::{Pace, Receiver},
    record::{Answer, Judgement},
    spans::{Recorded, later},
};
use crate::domain::clock::Timestamp;

/// A line is written within 100 ms, and many at once when there are many.
pub(super) const PACE: Pace = Pace { enough: 256, most: 256, patience: Duration::from_millis(100) };
/// So many lines may wait for a slow reader of the log.
pub(super) const CAPACITY: usize = 65_536;
/// And so much memory.
pub(super) const CAPACITY_BYTES: usize = 64 * 1024 * 1024;

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Output {
    /// To the other lines of the log.
    Log(Lines),
    /// To a file of their own.
    File(Box<DecisionFile>),
}

impl Output {
    fn write(&mut self, lines: &str) -> Report {
        match self {
            Self::File(file) => file.write(&clean(lines)),
            Self::Log(log) => match log.write_lines(lines) {
                Ok(()) => Report::default(),
                // The log cannot say that it cannot be written: the counter does.
                Err(error) => Report { lost: lines.lines().count(), trouble: Some(error.to_string()) },
            },
        }
    }
}

/// Writes lines until the queue ends; runs on its own thread, because writing may block.
pub(super) async fn write_decisions(
    queue: &Receiver<Arc<Recorded>>,
    output: &mut Output,
    logged: LoggedDecisions,
    masks: &Masks,
) {
    let (mut losses, mut disorder) = (Complaint::default(), Complaint::default());
    let mut times = 0;
    while let Some(batch) = queue.next_batch().await {
        let text: String = batch.iter().flat_map(|recorded| lines_of(recorded, logged, masks)).collect();
        let Report { lost, trouble } = output.write(&text);
        queue.lose(lost);
        if let Some(dropped) = losses.due(queue.dropped()) {
            let cause = trouble.unwrap_or_else(|| "more came than could be written".to_owned());
            tracing::warn!(dropped, cause, "decision log lines were dropped");
        } else if let Some(cause) = trouble.filter(|_| lost == 0) {
            times += 1;
            if disorder.due(times).is_some() {
                tracing::warn!(cause, "the decision log is written, but not kept in order");
            }
        }
    }
    if let Some(dropped) = losses.rest(queue.dropped()) {
        tracing::warn!(dropped, "decision log lines were dropped until the end");
    }
}

/// The lines of a record, each ending in a line feed.
pub(super) fn lines_of(recorded: &Recorded, logged: LoggedDecisions, masks: &Masks) -> Vec<String> {
    let record = &recorded.record;
    match &record.answer {
        Answer::One(judgement) if !judgement.is_logged(logged) => Vec::new(),
        Answer::One(judgement) => vec![line(recorded, None, record.elapsed, judgement, masks)],
        Answer::Batch(items) => items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.judgement.is_logged(logged))
            .map(|(index, item)| line(recorded, Some((index, item.after)), item.elapsed, &item.judgement, masks))
            .collect(),
    }
}

fn line(recorded: &Recorded, item: Option<(usize, Duration)>, elapsed: Duration, judgement: &Judgement, masks: &Masks) -> String {
    let record = &recorded.record;
    let start = later(record.start, item.map(|(_, after)| after).unwrap_or_default());
    let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
    let level = if judgement.outcome.is_policy_error() { "ERROR" } else { "INFO" };
    let mut fields = vec![
        KeyValue::new(names::TIMESTAMP, Timestamp::from(DateTime::<Utc>::from(start)).to_string()),
        KeyValue::new(names::LEVEL, level),
        KeyValue::new(names::EVENT, "decision"),
    ];
    fields.extend(recorded.trace_id().map(|id| KeyValue::new(names::TRACE_ID, id.to_string())));
    let span = recorded.span_id(item.map(|(index, _)| index));
    fields.extend(span.map(|id| KeyValue::new(names::SPAN_ID, id.to_string())));
    fields.extend(attributes::of_line(record, judgement, masks));
    fields.extend(item.map(|(index, _)| KeyValue::new(names::BATCH_INDEX, attributes::count(index))));
    fields.push(KeyValue::new(names::ELAPSED_US, elapsed));
    // Maps of texts and numbers always serialize.
    serde_json::to_string(&Line(&fields)).unwrap_or_default() + "\n"
}

/// A flat JSON object in the order of its fields.
struct Line<'a>(&'a [KeyValue]);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for field in self.0 {
            map.serialize_entry(field.key.as_str(), &Field(&field.value))?;
        }
        map.end()
    }
}

struct Field<'a>(&'a Value);

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::I64(number) => serializer.serialize_i64(*number),
            Value::Array(Array::String(texts)) => {
                let mut list = serializer.serialize_seq(Some(texts.len()))?;
                texts.iter().try_for_each(|text| list.serialize_element(text.as_str()))?;
                list.end()
            }
            other => serializer.serialize_str(&other.as_str()),
        }
    }
}
