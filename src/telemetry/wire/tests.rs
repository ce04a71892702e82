use std::time::Duration;

use opentelemetry::trace::{TraceFlags, TraceId, TraceState};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message as _;

use super::*;

/// What the exporter itself would send.
fn library(spans: Vec<SpanData>, resource: &Resource) -> ExportTraceServiceRequest {
    let resource = ResourceAttributesWithSchema::from(resource);
    ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, &resource) }
}

fn scope() -> InstrumentationScope {
    let attributes = [KeyValue::new("kind", "test")];
    InstrumentationScope::builder("claviger")
        .with_version("1.2.3")
        .with_schema_url("https://s")
        .with_attributes(attributes)
        .build()
}

fn resource() -> impl Strategy<Value = Resource> {
    let schema = select(&[None, Some("https://opentelemetry.io/schemas/1.40.0")][..]);
    (vec(attribute(), 0..4), schema).prop_map(|(attributes, schema)| match schema {
        Some(url) => Resource::builder_empty().with_schema_url(attributes, url).build(),
        None => Resource::builder_empty().with_attributes(attributes).build(),
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["", "[a-z.]{1,40}", ".{0,300}"]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        vec(any::<bool>(), 0..3).prop_map(|list| Value::Array(Array::Bool(list))),
        vec(any::<i64>(), 0..3).prop_map(|list| Value::Array(Array::I64(list))),
        vec(any::<f64>(), 0..3).prop_map(|list| Value::Array(Array::F64(list))),
        vec(text().prop_map(StringValue::from), 0..9).prop_map(|list| Value::Array(Array::String(list))),
    ]
}

fn attribute() -> impl Strategy<Value = KeyValue> {
    ("[a-z.]{1,30}", value()).prop_map(|(key, value)| KeyValue::new(key, value))
}

fn context() -> impl Strategy<Value = SpanContext> {
    let state = select(&["", "a=1", "a=1,b=2"][..]).prop_map(|state| state.parse::<TraceState>().unwrap());
    (any::<u128>(), any::<u64>(), any::<u8>(), any::<bool>(), state).prop_map(|(trace, span, flags, is_remote, state)| {
        SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags), is_remote, state)
    })
}

fn moment() -> impl Strategy<Value = SystemTime> {
    let after =
        (0u64..4_000_000_000, 0u32..1_000_000_000).prop_map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos));
    prop_oneof![9 => after, 1 => Just(UNIX_EPOCH - Duration::from_secs(1))]
}

fn event() -> impl Strategy<Value = Event> {
    (text(), moment(), vec(attribute(), 0..3), any::<u32>())
        .prop_map(|(name, at, attributes, dropped)| Event::new(name, at, attributes, dropped))
}

fn link() -> impl Strategy<Value = Link> {
    (context(), vec(attribute(), 0..3), any::<u32>())
        .prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped))
}

fn span() -> impl Strategy<Value = SpanData> {
    use SpanKind::{Client, Consumer, Internal, Producer, Server};
    let kind = select(vec![Client, Consumer, Internal, Producer, Server]);
    let status = prop_oneof![Just(Status::Unset), Just(Status::Ok), text().prop_map(Status::error)];
    let parent = (prop_oneof![Just(0), any::<u64>()], any::<bool>());
    let more = (vec(event(), 0..3), vec(link(), 0..3), select(&[0, 1, u32::MAX][..]));
    (context(), parent, kind, text(), (moment(), moment()), vec(attribute(), 0..30), status, more).prop_map(
        |(span_context, parent, span_kind, name, (start_time, end_time), attributes, status, (events, links, dropped))| {
            let mut all_events = SpanEvents::default();
            (all_events.events, all_events.dropped_count) = (events, dropped);
            let mut all_links = SpanLinks::default();
            (all_links.links, all_links.dropped_count) = (links, dropped);
            SpanData {
                span_context,
                parent_span_id: SpanId::from(parent.0),
                parent_span_is_remote: parent.1,
                span_kind,
                name: name.into(),
                start_time,
                end_time,
                attributes,
                dropped_attributes_count: dropped,
                events: all_events,
                links: all_links,
                status,
                instrumentation_scope: scope(),
            }
        },
    )
}

/// Tells an attribute as a record does.
fn tell(to: &mut Told<'_>, KeyValue { key, value, .. }: &KeyValue) {
    let name = key.as_str().to_owned();
    match value {
        Value::String(text) => to.text(name, text.as_str()),
        Value::Bool(flag) => to.flag(name, *flag),
        Value::I64(number) => to.number(name, *number),
        Value::Array(Array::String(list)) => to.texts(name.leak(), list.iter().map(StringValue::as_str)),
        other => to.field(KeyValue::new(name, other.clone())),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_exporter_would_send(spans in vec(span(), 1..6), resource in resource()) {
        let wire = Wire::new(&resource, &scope());
        let mut request = wire.begin(Vec::new());
        for span in &spans {
            // However they come: with the span, or told beside it.
            let told = span.attributes.len() / 2;
            let (before, after) = span.attributes.split_at(told);
            let bare = SpanData { attributes: before.to_vec(), ..span.clone() };
            request.push(&bare, |to| after.iter().for_each(|attribute| tell(to, attribute)));
        }
        let written = request.finish();
        prop_assert_eq!(ExportTraceServiceRequest::decode(&*written).unwrap(), library(spans, &resource));
    }
}

#[test]
fn numbers_are_measured_as_they_are_written() {
    for number in (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits]).chain([u64::MAX]) {
        let written = message(|out| write_varint(out, number));
        assert_eq!(written.len(), varint_length(number), "{number}");
    }
}
