//! Spans in OTLP's protobuf, written at one go.
//!
//! The OTLP exporter makes a message of every attribute and measures each one again on every level above it. With some twenty
//! attributes that was dearer than all else that a decision's record costs, so spans are written here, straight from the record,
//! and only carried by it.
//! Field numbers: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`. A test reads everything back and holds
//! it against what the exporter itself would have sent.

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, Key, KeyValue, StringValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_http::Bytes;
use opentelemetry_sdk::{Resource, trace::SpanData};

use super::attributes::Fields;

/// How a field is laid out.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// `Span.attributes`
const ATTRIBUTES: u64 = 9;

/// `SpanFlags`: it is known whether the parent is remote; it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Two heads are at most so long.
const HEADS: usize = 2 * 11;

/// What all spans of this process have in common.
#[derive(Debug)]
pub(super) struct Wire {
    /// `ResourceSpans` without its spans.
    resource: Vec<u8>,
    /// `ScopeSpans` without its spans.
    scope: Vec<u8>,
}

impl Wire {
    pub(super) fn new(resource: &Resource, scope: &InstrumentationScope) -> Self {
        let attributes: Vec<KeyValue> = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let told = message(|out| write_attributes(out, 1, &attributes));
        let resource = message(|out| {
            write_bytes(out, 1, &told);
            write_text(out, 3, resource.schema_url().unwrap_or_default());
        });
        let told = message(|out| {
            write_text(out, 1, scope.name());
            write_text(out, 2, scope.version().unwrap_or_default());
            let attributes: Vec<KeyValue> = scope.attributes().cloned().collect();
            write_attributes(out, 3, &attributes);
        });
        let scope = message(|out| {
            write_bytes(out, 1, &told);
            write_text(out, 3, scope.schema_url().unwrap_or_default());
        });
        Self { resource, scope }
    }

    /// Begins an `ExportTraceServiceRequest`, in memory that is empty.
    pub(super) fn begin(&self, mut out: Vec<u8>) -> Writing<'_> {
        let room = self.resource.len() + self.scope.len() + HEADS;
        out.resize(room, 0);
        Writing { wire: self, room, out, span: Vec::new() }
    }
}

/// A request that spans are added to, all of the one scope.
#[derive(Debug)]
pub(super) struct Writing<'w> {
    wire: &'w Wire,
    /// Before the first span: how long what encloses it is, is known at the end.
    room: usize,
    out: Vec<u8>,
    /// The last span: how long it is, is known when it is written.
    span: Vec<u8>,
}

impl Writing<'_> {
    /// Adds a span, and the attributes that it does not have yet.
    pub(super) fn push(&mut self, span: &SpanData, tell: impl FnOnce(&mut Told<'_>)) {
        self.span.clear();
        write_span(&mut self.span, span, tell);
        write_bytes(&mut self.out, 2, &self.span);
    }

    /// The whole request.
    pub(super) fn finish(mut self) -> Bytes {
        let Wire { resource, scope } = self.wire;
        let of_scope = scope.len() + self.out.len() - self.room;
        let of_resource = resource.len() + framed(2, of_scope);
        let heads = message(|out| {
            write_head(out, 1, of_resource);
            out.extend_from_slice(resource);
            write_head(out, 2, of_scope);
            out.extend_from_slice(scope);
        });
        let start = self.room - heads.len();
        self.out.splice(start..self.room, heads);
        Bytes::from(self.out).slice(start..)
    }
}

/// The attributes of a span, written as they are told.
#[derive(Debug)]
pub(super) struct Told<'o>(&'o mut Vec<u8>);

impl Told<'_> {
    fn begin(&mut self, name: &str, value: usize) {
        write_head(self.0, ATTRIBUTES, text_length(1, name) + framed(2, value));
        write_text(self.0, 1, name);
        write_head(self.0, 2, value);
    }
}

impl Fields for Told<'_> {
    fn text(&mut self, name: impl Into<Key> + AsRef<str>, text: &str) {
        self.begin(name.as_ref(), framed(1, text.len()));
        write_bytes(self.0, 1, text.as_bytes());
    }

    fn texts<'a>(&mut self, name: &'static str, texts: impl Iterator<Item = &'a str> + Clone) {
        let list = texts_length(texts.clone());
        self.begin(name, framed(5, list));
        write_head(self.0, 5, list);
        write_texts(self.0, texts);
    }

    fn number(&mut self, name: impl Into<Key> + AsRef<str>, number: i64) {
        let value = Value::I64(number);
        self.begin(name.as_ref(), value_length(&value));
        write_value(self.0, &value);
    }

    fn flag(&mut self, name: impl Into<Key> + AsRef<str>, flag: bool) {
        let value = Value::Bool(flag);
        self.begin(name.as_ref(), value_length(&value));
        write_value(self.0, &value);
    }

    fn field(&mut self, field: KeyValue) {
        write_attributes(self.0, ATTRIBUTES, &[field]);
    }
}

/// `Span`
fn write_span(out: &mut Vec<u8>, span: &SpanData, tell: impl FnOnce(&mut Told<'_>)) {
    let context = &span.span_context;
    write_context(out, context);
    if span.parent_span_id != SpanId::INVALID {
        write_bytes(out, 4, &span.parent_span_id.to_bytes());
    }
    write_text(out, 5, &span.name);
    write_number(out, 6, kind(&span.span_kind));
    write_fixed_64(out, 7, nanos(span.start_time));
    write_fixed_64(out, 8, nanos(span.end_time));
    write_attributes(out, ATTRIBUTES, &span.attributes);
    tell(&mut Told(out));
    write_number(out, 10, span.dropped_attributes_count.into());
    for event in &span.events.events {
        write_bytes(out, 11, &event_message(event));
    }
    write_number(out, 12, span.events.dropped_count.into());
    for link in &span.links.links {
        write_bytes(out, 13, &link_message(link));
    }
    write_number(out, 14, span.links.dropped_count.into());
    write_bytes(out, 15, &status_message(&span.status));
    write_fixed_32(out, 16, flags(context, span.parent_span_is_remote));
}

/// The first three fields of a `Span`, and of a `Link`.
fn write_context(out: &mut Vec<u8>, context: &SpanContext) {
    write_bytes(out, 1, &context.trace_id().to_bytes());
    write_bytes(out, 2, &context.span_id().to_bytes());
    write_text(out, 3, &context.trace_state().header());
}

fn event_message(event: &Event) -> Vec<u8> {
    message(|out| {
        write_fixed_64(out, 1, nanos(event.timestamp));
        write_text(out, 2, &event.name);
        write_attributes(out, 3, &event.attributes);
        write_number(out, 4, event.dropped_attributes_count.into());
    })
}

fn link_message(link: &Link) -> Vec<u8> {
    message(|out| {
        write_context(out, &link.span_context);
        write_attributes(out, 4, &link.attributes);
        write_number(out, 5, link.dropped_attributes_count.into());
        write_fixed_32(out, 6, flags(&link.span_context, link.span_context.is_remote()));
    })
}

fn status_message(status: &Status) -> Vec<u8> {
    match status {
        Status::Unset => Vec::new(),
        Status::Ok => message(|out| write_number(out, 3, 1)),
        Status::Error { description } => message(|out| {
            write_text(out, 2, description);
            write_number(out, 3, 2);
        }),
    }
}

const fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(context: &SpanContext, is_remote: bool) -> u32 {
    u32::from(context.trace_flags().to_u8()) | HAS_IS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// `repeated KeyValue`
fn write_attributes(out: &mut Vec<u8>, field: u64, attributes: &[KeyValue]) {
    for attribute in attributes {
        write_head(out, field, attribute_length(attribute));
        write_text(out, 1, attribute.key.as_str());
        write_head(out, 2, value_length(&attribute.value));
        write_value(out, &attribute.value);
    }
}

fn attribute_length(attribute: &KeyValue) -> usize {
    text_length(1, attribute.key.as_str()) + framed(2, value_length(&attribute.value))
}

/// `AnyValue`: one field, which is written also when it is false, zero or empty.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_bytes(out, 1, text.as_str().as_bytes()),
        Value::Bool(truth) => write_varint_field(out, 2, (*truth).into()),
        Value::I64(number) => write_varint_field(out, 3, number.cast_unsigned()),
        Value::F64(number) => write_fixed_64(out, 4, number.to_bits()),
        Value::Array(array) => {
            write_head(out, 5, array_length(array));
            match array {
                Array::String(elements) => write_texts(out, elements.iter().map(StringValue::as_str)),
                other => each(other, |element| {
                    write_head(out, 1, value_length(element));
                    write_value(out, element);
                }),
            }
        }
        // A kind that the library adds one day.
        other => write_bytes(out, 1, other.as_str().as_bytes()),
    }
}

fn value_length(value: &Value) -> usize {
    match value {
        Value::String(text) => framed(1, text.as_str().len()),
        Value::Bool(_) => 2,
        Value::I64(number) => 1 + varint_length(number.cast_unsigned()),
        Value::F64(_) => 1 + size_of::<u64>(),
        Value::Array(array) => framed(5, array_length(array)),
        other => framed(1, other.as_str().len()),
    }
}

fn array_length(array: &Array) -> usize {
    if let Array::String(elements) = array {
        return texts_length(elements.iter().map(StringValue::as_str));
    }
    let mut length = 0;
    each(array, |element| length += framed(1, value_length(element)));
    length
}

/// The elements of a list of texts.
fn write_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    for text in texts {
        write_head(out, 1, framed(1, text.len()));
        write_bytes(out, 1, text.as_bytes());
    }
}

fn texts_length<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| framed(1, framed(1, text.len()))).sum()
}

/// The elements of a list that is none of texts, as values.
fn each(array: &Array, mut with: impl FnMut(&Value)) {
    match array {
        Array::Bool(elements) => elements.iter().for_each(|element| with(&(*element).into())),
        Array::I64(elements) => elements.iter().for_each(|element| with(&(*element).into())),
        Array::F64(elements) => elements.iter().for_each(|element| with(&(*element).into())),
        // A kind that the library adds one day is an empty list until then.
        _ => {}
    }
}

fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// The length of a field that holds so many bytes, with its head.
const fn framed(field: u64, length: usize) -> usize {
    head_length(field) + varint_length(length as u64) + length
}

fn write_head(out: &mut Vec<u8>, field: u64, length: usize) {
    // Nearly all are so short: both bytes at once.
    if let (Ok(head @ ..0x80), Ok(length @ ..0x80)) = (u8::try_from(field << 3 | LENGTH), u8::try_from(length)) {
        out.extend_from_slice(&[head, length]);
    } else {
        write_varint(out, field << 3 | LENGTH);
        write_varint(out, length as u64);
    }
}

fn write_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    write_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A text; an empty one is left out, as all fields of their default value are.
fn write_text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        write_bytes(out, field, text.as_bytes());
    }
}

const fn text_length(field: u64, text: &str) -> usize {
    if text.is_empty() { 0 } else { framed(field, text.len()) }
}

fn write_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        write_varint_field(out, field, number);
    }
}

fn write_varint_field(out: &mut Vec<u8>, field: u64, number: u64) {
    write_varint(out, field << 3 | VARINT);
    write_varint(out, number);
}

fn write_fixed_64(out: &mut Vec<u8>, field: u64, number: u64) {
    write_varint(out, field << 3 | FIXED_64);
    out.extend_from_slice(&number.to_le_bytes());
}

fn write_fixed_32(out: &mut Vec<u8>, field: u64, number: u32) {
    write_varint(out, field << 3 | FIXED_32);
    out.extend_from_slice(&number.to_le_bytes());
}

const fn head_length(field: u64) -> usize {
    varint_length(field << 3)
}

const fn varint_length(number: u64) -> usize {
    ((u64::BITS - (number | 1).leading_zeros()).div_ceil(7)) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits of it, with the mark that more follow")]
fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
