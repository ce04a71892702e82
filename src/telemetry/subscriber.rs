//! The `tracing` subscriber: events become JSON lines, spans of this crate go to the collector.

use std::fmt;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Dispatch;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, LevelFilter, Targets},
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt,
};

use super::{lines::Lines, spans};
use crate::domain::clock::Clock;

/// The target of everything that this crate says.
const OWN: &str = "claviger";

/// Builds the subscriber; without a provider spans only give their fields to the events inside them.
pub(super) fn subscriber(level: EnvFilter, lines: Lines, clock: Clock, provider: Option<&SdkTracerProvider>) -> Dispatch {
    let log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_timer(Time(clock))
        .with_writer(lines)
        .with_filter(level.and(speakers()));
    let spans = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer_with_scope(spans::scope()))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            // Nothing but our own: the exporter's HTTP client would otherwise trace its exports, and export those traces.
            .with_filter(Targets::new().with_target(OWN, LevelFilter::INFO))
    });
    Dispatch::new(Registry::default().with(log).with(spans))
}

/// Who may speak, whatever level is set. Below `warn` other crates tell what goes through them: header names and values, bodies
/// that could not be read, statements; so they are heard from `warn` on only.
fn speakers() -> Targets {
    Targets::new()
        .with_target(OWN, LevelFilter::TRACE)
        .with_default(LevelFilter::WARN)
        // Says each failed export; `export` says it once a minute.
        .with_target("opentelemetry", LevelFilter::OFF)
        // Prints the value of any parameter of the database URL that it does not know, also of a mistyped `password`.
        .with_target("sqlx_postgres::options::parse", LevelFilter::OFF)
}

/// Prints times as the rest of the product does.
struct Time(Clock);

impl FormatTime for Time {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{}", self.0.now())
    }
}
