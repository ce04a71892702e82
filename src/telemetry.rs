//! Decision records, spans, logs and metrics.
//!
//! A request builds a [`DecisionRecord`] after deciding and gives it to the [`Recorder`], which never waits. Two threads make of
//! it what people read: `claviger-log` a JSON line on stderr or in a file, `claviger-spans` a span for the OTLP collector. Everything
//! else is told with `tracing`: events are lines on stderr, spans of this crate go to the same collector. What is counted and timed
//! lies in `metrics`, to be read by whoever asks, and is sent by a third thread, `claviger-metrics`.

mod attributes;
mod complaint;
mod config;
mod context;
mod export;
mod exporter;
mod lines;
mod log;
mod mask;
mod metrics;
pub mod names;
mod otlp;
mod parent;
mod queue;
mod recent;
mod record;
mod recorder;
mod rules;
mod sampling;
mod spans;
mod subscriber;
mod wire;

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    metrics::{Temporality, exporter::PushMetricExporter as _},
    trace::{Sampler, SdkTracerProvider},
};
use tokio::{
    runtime::{self, Runtime},
    sync::{oneshot, watch},
    time::{Instant, timeout},
};
use tracing::Dispatch;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::{
    config::{HeaderSecret, LogConfig, LoggedDecisions, MetricsConfig, OtlpProtocol, TraceConfig},
    context::RecordedContext,
    metrics::page::{MetricsPage, TextForm},
    parent::TraceParent,
    recent::{Follower, Kept, Recent, RecentFilter, Step},
    record::{Answer, CallerText, DecisionRecord, EntryPoint, Item, Judgement, KnownKey, Outcome},
    recorder::{Counts, Recorder, Timing},
    rules::{RecordConfig, Rules},
};
use self::{
    export::{Forward, Tally},
    lines::Lines,
    log::{DecisionFile, Output},
    metrics::{Metrics, Reader, push::push_metrics},
    queue::{Load, bounded},
    recorder::Channels,
    sampling::Sampling,
};
use crate::domain::{clock::Clock, random::Random, replica::Readings};

/// So long the threads may flush, a little less than [`Telemetry::shutdown`] takes at most.
const FLUSH: Duration = Duration::from_millis(4_500);
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "`{0}` is no log level: use off, error, warn, info, debug, trace, or directives such as `info,claviger::store=debug`"
    )]
    Level(String),
    #[error("`{0}` is no URL of a collector, such as `http://localhost:4318`")]
    Endpoint(String),
    #[error("the header `{name}` of `{section}.headers` is none that HTTP can carry")]
    Header { section: &'static str, name: String },
    #[error(
        "`{0}` is no interval of exports: use a number of seconds, such as `15s`, in `OTEL_METRIC_EXPORT_INTERVAL` of milliseconds"
    )]
    Interval(String),
    #[error("`trace.queue` must be at least {}", export::PACE.most)]
    Queue,
    #[error("`log.recent` is 0 to {}, and `log.recent_bytes` at least {}", recent::MOST, recent::LEAST_BYTES)]
    Recent,
    #[error("`{field}` is no field that can be masked{}", suggest(.nearest.as_ref()))]
    MaskedField { field: String, nearest: Option<String> },
    #[error("`{0}` cannot be masked: it is what the record itself is")]
    Unmaskable(String),
    #[error("`{word}` is no mask for `{field}`: use `erase` or `hash`{}", suggest(.nearest.as_ref()))]
    Mask { field: String, word: String, nearest: Option<String> },
    #[error("`record.context` has {0}; it is a list of at most {most} names of attributes", most = rules::MOST_CONTEXT)]
    Context(&'static str),
    #[error("`log.file` names no file")]
    FileName,
    #[error("`log.file_bytes` must be at least {}", config::LEAST_FILE_BYTES)]
    FileBytes,
    #[error("`log.file_age` is a number above 0 and one of s, m, h, d, for example `1d`")]
    FileAge,
    #[error("the decision log `{}` cannot be written: {reason}", .path.display())]
    File { path: PathBuf, reason: String },
    #[error("`trace.queue_bytes` must be at least {}: an export has room in it", config::LEAST_BYTES)]
    QueueBytes,
    #[error("`trace.allow_ratio` is a part of all allows: 0 to 1")]
    Ratio,
    #[error("the OTLP protocol `{0}` is not supported: use `http/protobuf` or `grpc`")]
    Protocol(String),
    #[error("the exporter to the collector cannot be built: {0}")]
    Exporter(String),
    #[error("a thread of telemetry cannot start")]
    Thread(#[source] io::Error),
    #[error("telemetry is already started in this process")]
    AlreadyStarted,
}

fn suggest(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Keeps telemetry going; flushed by [`Telemetry::shutdown`].
#[derive(Debug)]
pub struct Telemetry {
    recorder: Recorder,
    dispatch: Dispatch,
    metrics: Option<Arc<Metrics>>,
    page: Option<MetricsPage>,
    /// Tells the sender of metrics until when it may last.
    closing: watch::Sender<Option<Instant>>,
    /// Each ends with its thread.
    threads: Vec<oneshot::Receiver<()>>,
}

/// Starts telemetry for the whole process: logs go to stderr, and `tracing` is subscribed to.
///
/// # Errors
/// When a setting makes no sense, the decision log cannot be written, a thread cannot start, or this was called before.
pub fn start(
    log: &LogConfig,
    trace: &TraceConfig,
    metrics: &MetricsConfig,
    rules: Rules,
    clock: &Clock,
    random: &Random,
) -> Result<Telemetry, TelemetryError> {
    let telemetry = open(log, trace, metrics, rules, clock, random, Box::new(io::stderr()))?;
    telemetry.dispatch.clone().try_init().map_err(|_| TelemetryError::AlreadyStarted)?;
    Ok(telemetry)
}

/// Starts the log alone, on stderr, for a command that soon ends: nothing is recorded and no span leaves.
///
/// # Errors
/// When the level is none, or telemetry was started before.
pub fn start_log(log: &LogConfig, clock: &Clock) -> Result<(), TelemetryError> {
    let lines = Lines::new(Box::new(io::stderr()));
    subscriber::subscriber(log.filter()?, lines, clock.clone(), None).try_init().map_err(|_| TelemetryError::AlreadyStarted)
}

/// Starts telemetry that writes its log to `output` and subscribes to nothing by itself.
///
/// # Errors
/// When a setting makes no sense, the decision log cannot be written, or a thread cannot start.
pub fn open(
    log: &LogConfig,
    trace: &TraceConfig,
    metrics: &MetricsConfig,
    rules: Rules,
    clock: &Clock,
    random: &Random,
    output: Box<dyn Write + Send>,
) -> Result<Telemetry, TelemetryError> {
    log.check()?;
    let level = log.filter()?;
    trace.check()?;
    metrics.check()?;
    let lines = Lines::new(output);
    let (tally, rules) = (Arc::new(Tally::default()), Arc::new(rules));
    let mut threads = Vec::new();
    let resource = otlp::resource(random);

    let mut spans = None;
    let mut provider = None;
    if let Some(target) = otlp::span_target(trace, variable)? {
        let resource = resource.clone();
        let runtime = own_runtime()?;
        let exporter = {
            let _inside = runtime.enter();
            otlp::span_exporter(target, &resource, variable)?
        };
        let (sender, receiver) = bounded(Load { count: trace.queue, bytes: trace.queue_bytes }, export::PACE);
        let (tally, rules) = (Arc::clone(&tally), Arc::clone(&rules));
        let export = async move || export::export_spans(&receiver, &exporter, &tally, &rules.masks).await;
        threads.push(spawn("claviger-spans", runtime, export)?);
        let forward = Forward(sender.clone());
        let builder = SdkTracerProvider::builder().with_span_processor(forward).with_sampler(Sampler::AlwaysOn);
        provider = Some(builder.with_resource(resource).build());
        spans = Some(sender);
    }
    let (logged, mut log_lines) = (log.decisions, None);
    if log.decisions != LoggedDecisions::Off {
        let (sender, receiver) = bounded(Load { count: log::CAPACITY, bytes: log::CAPACITY_BYTES }, log::PACE);
        let mut output = decisions_output(log, &lines, clock)?;
        let rules = Arc::clone(&rules);
        let write = async move || log::write_decisions(&receiver, &mut output, logged, &rules.masks).await;
        threads.push(spawn("claviger-log", own_runtime()?, write)?);
        log_lines = Some(sender);
    }
    let (closing, told) = watch::channel(None);
    let (metrics, page) = open_metrics(metrics, resource, told, &mut threads)?;

    let dispatch = subscriber::subscriber(level, lines, clock.clone(), provider.as_ref());
    let recent = (log.recent > 0).then(|| Recent::new(log.recent, log.recent_bytes));
    let recorder = Recorder::new(Channels {
        spans,
        lines: log_lines,
        logged,
        recent,
        rules,
        metrics: metrics.clone(),
        tally,
        random: random.clone(),
        sampling: Sampling::new(trace.allow_ratio),
    });
    Ok(Telemetry { recorder, dispatch, metrics, page, closing, threads })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The metrics, where they are asked for or sent, and the page, where they are asked for.
fn open_metrics(
    config: &MetricsConfig,
    resource: Resource,
    closing: watch::Receiver<Option<Instant>>,
    threads: &mut Vec<oneshot::Receiver<()>>,
) -> Result<(Option<Arc<Metrics>>, Option<MetricsPage>), TelemetryError> {
    let page = config.listen.as_ref().map(|_| Reader::new(Temporality::Cumulative));
    let mut readers = Vec::from_iter(page.clone());
    if let Some(target) = otlp::metric_target(config, variable)? {
        let interval = config.interval(variable)?;
        let runtime = own_runtime()?;
        let exporter = {
            let _inside = runtime.enter();
            otlp::metric_exporter(target, variable)?
        };
        let reader = Reader::new(exporter.temporality());
        readers.push(reader.clone());
        let work = async move || push_metrics(&reader, &exporter, interval, closing).await;
        threads.push(spawn("claviger-metrics", runtime, work)?);
    }
    if readers.is_empty() {
        return Ok((None, None));
    }
    let metrics = Arc::new(Metrics::new(resource, readers));
    let page = page.map(|reader| MetricsPage { metrics: Arc::clone(&metrics), reader });
    Ok((Some(metrics), page))
}

/// Where the lines of decisions go.
fn decisions_output(log: &LogConfig, lines: &Lines, clock: &Clock) -> Result<Output, TelemetryError> {
    let Some(path) = &log.file else { return Ok(Output::Log(lines.clone())) };
    let file = DecisionFile::open(path, log.file_limits()?, clock.clone());
    let file = file.map_err(|error| TelemetryError::File { path: path.clone(), reason: error.to_string() })?;
    Ok(Output::File(Box::new(file)))
}

fn own_runtime() -> Result<Runtime, TelemetryError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(TelemetryError::Thread)
}

/// Runs `work` on a thread and a runtime of its own, so that no request shares either with it.
fn spawn(
    name: &str,
    runtime: Runtime,
    work: impl AsyncFnOnce() + Send + 'static,
) -> Result<oneshot::Receiver<()>, TelemetryError> {
    let (running, ended) = oneshot::channel();
    let body = move || {
        runtime.block_on(work());
        drop(running);
        // A name that does not resolve must not hold the thread.
        runtime.shutdown_background();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(TelemetryError::Thread)?;
    Ok(ended)
}

impl Telemetry {
    /// The handle that requests record with.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Shows what a server tells of itself among the metrics; `None` once it tells no more.
    pub fn watch(&self, read: impl Fn() -> Option<Readings> + Clone + Send + Sync + 'static) {
        self.metrics.iter().for_each(|metrics| metrics.watch_readings(read.clone()));
    }

    /// What `GET /metrics` answers, where that is wanted.
    #[must_use]
    pub fn page(&self) -> Option<MetricsPage> {
        self.page.clone()
    }

    /// The subscriber for `tracing`, for those who did not [`start`] it for the whole process.
    #[must_use]
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Writes and exports what waits; returns within 5 s, whatever the collector or the reader of the log does.
    pub async fn shutdown(mut self) {
        self.close();
        let threads = std::mem::take(&mut self.threads);
        let all = async {
            for thread in threads {
                // The sender is dropped when the thread ends, which is what we wait for.
                let _ = thread.await;
            }
        };
        let _ = timeout(SHUTDOWN, all).await;
    }
}

impl Telemetry {
    fn close(&self) {
        let deadline = Instant::now() + FLUSH;
        self.recorder.close(deadline);
        self.closing.send_if_modified(|at| {
            let first = at.is_none();
            *at = at.or(Some(deadline));
            first
        });
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.close();
    }
}
