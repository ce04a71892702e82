//! Where spans and metrics go and under whose name: endpoint, exporters, resource.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    MetricExporter, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::metadata::MetadataMap,
};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};

use super::{
    TelemetryError,
    config::{HeaderSecret, MetricsConfig, OtlpProtocol, TraceConfig, check_endpoint, header_map},
    exporter::{Carrier, Exporter},
    names,
    spans::scope,
    wire::Wire,
};
use crate::domain::random::Random;

/// What the two signals differ in.
#[derive(Debug)]
struct Signal {
    section: &'static str,
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
}

const TRACES: Signal = Signal {
    section: "trace",
    path: "/v1/traces",
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    protocol: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
};
const METRICS: Signal = Signal {
    section: "metrics",
    path: "/v1/metrics",
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    protocol: OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
};

/// Where something goes, and in which form.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// The full URL that is posted to; for gRPC, the server's.
    url: String,
    protocol: OtlpProtocol,
    headers: &'a BTreeMap<String, HeaderSecret>,
    signal: &'static Signal,
}

/// Where spans go; `None` when nobody asked for spans.
pub(super) fn span_target(
    config: &TraceConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Target<'_>>, TelemetryError> {
    target(&TRACES, (config.endpoint.as_deref(), config.protocol, &config.headers), variable)
}

/// Where metrics go; `None` when nobody asked for them to be sent.
pub(super) fn metric_target(
    config: &MetricsConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Target<'_>>, TelemetryError> {
    target(&METRICS, (config.endpoint.as_deref(), config.protocol, &config.headers), variable)
}

type Given<'a> = (Option<&'a str>, Option<OtlpProtocol>, &'a BTreeMap<String, HeaderSecret>);

fn target<'a>(
    signal: &'static Signal,
    (endpoint, protocol, headers): Given<'a>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Target<'a>>, TelemetryError> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable(signal.exporter).is_some_and(|value| value == "none");
    let whole = variable(signal.endpoint).filter(|_| endpoint.is_none());
    let base = endpoint.map(str::to_owned).or_else(|| variable(OTEL_EXPORTER_OTLP_ENDPOINT));
    if disabled || (whole.is_none() && base.is_none()) {
        return Ok(None);
    }
    let named = variable(signal.protocol).or_else(|| variable(OTEL_EXPORTER_OTLP_PROTOCOL));
    let protocol = match (protocol, named) {
        (Some(protocol), _) => protocol,
        (None, None) => OtlpProtocol::default(),
        (None, Some(name)) => OtlpProtocol::from_name(&name).ok_or(TelemetryError::Protocol(name))?,
    };
    let base = base.map(|base| if protocol == OtlpProtocol::Grpc { base } else { with_path(&base, signal.path) });
    let Some(url) = whole.or(base) else { return Ok(None) };
    check_endpoint(&url)?;
    Ok(Some(Target { url, protocol, headers, signal }))
}

fn with_path(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(path) { base.to_owned() } else { format!("{base}{path}") }
}

/// Builds an exporter: the builders of the signals share no trait that is public.
macro_rules! export {
    ($exporter:ident, $target:expr, $client:expr) => {{
        let target = $target;
        // As many attempts as its timeout (10 s) has room for: a collector that is away for seconds costs little.
        let patient = RetryPolicy::recommended().with_max_retries(32).with_max_delay(Duration::from_secs(1));
        let built = match target.protocol {
            OtlpProtocol::HttpProtobuf => {
                let headers = target.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
                let builder = $exporter::builder().with_http().with_endpoint(target.url).with_protocol(Protocol::HttpBinary);
                builder.with_headers(headers).with_retry_policy(patient).with_http_client($client).build()
            }
            OtlpProtocol::Grpc => {
                let headers = MetadataMap::from_headers(header_map(target.signal.section, target.headers)?);
                let builder = $exporter::builder().with_tonic().with_endpoint(target.url);
                builder.with_metadata(headers).with_retry_policy(patient).build()
            }
        };
        built.map_err(|error| TelemetryError::Exporter(error.to_string()))
    }};
}

/// The exporter of spans; headers and timeout of the `OTEL_EXPORTER_OTLP_*` variables apply. It belongs to the runtime that it is
/// made in.
pub(super) fn span_exporter(
    target: Target<'_>,
    resource: &Resource,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exporter, TelemetryError> {
    let protocol = target.protocol;
    let carrier = Carrier::new(http_client([OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT], variable)?);
    let mut exporter = export!(SpanExporter, target, carrier.clone())?;
    Ok(match protocol {
        OtlpProtocol::HttpProtobuf => Exporter::Http { exporter, carrier, wire: Wire::new(resource, &scope()) },
        OtlpProtocol::Grpc => {
            exporter.set_resource(resource);
            Exporter::Grpc(exporter)
        }
    })
}

/// A client that is as patient as the variables say, in milliseconds, of which the first one that is set counts.
fn http_client(timeouts: [&str; 2], variable: impl Fn(&str) -> Option<String>) -> Result<reqwest::Client, TelemetryError> {
    let timeout = timeouts.iter().find_map(|name| variable(name)?.parse().ok());
    let timeout = timeout.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis);
    reqwest::Client::builder().timeout(timeout).build().map_err(|error| TelemetryError::Exporter(error.to_string()))
}

/// The same of metrics, which bring their resource along.
pub(super) fn metric_exporter(
    target: Target<'_>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<MetricExporter, TelemetryError> {
    export!(MetricExporter, target, http_client([OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT], variable)?)
}

/// Who sends them: this process, this version, and what the `OTEL_*` variables say.
pub(super) fn resource(random: &Random) -> Resource {
    let mut instance = [0; 16];
    random.fill(&mut instance);
    let standard = Resource::builder().build();
    let name = standard.get(&Key::from_static_str(names::SERVICE_NAME)).map(|name| name.to_string());
    let name = name.filter(|name| !name.starts_with("unknown_service")).unwrap_or_else(|| "claviger".to_owned());
    let own = [
        KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        KeyValue::new(names::SERVICE_INSTANCE_ID, uuid::Builder::from_random_bytes(instance).into_uuid().to_string()),
    ];
    let given = standard.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(own).with_attributes(given).with_service_name(name).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, TelemetryError> {
        let config = TraceConfig { endpoint: config.map(str::to_owned), ..TraceConfig::default() };
        Ok(find(&config, variables)?.map(|target| target.url))
    }

    fn find<'a>(config: &'a TraceConfig, variables: &[(&str, &str)]) -> Result<Option<Target<'a>>, TelemetryError> {
        span_target(config, |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nobody_is_sent_spans_unasked() {
        assert_eq!(resolve(None, &[]).unwrap(), None);
        assert_eq!(resolve(None, &[(OTEL_EXPORTER_OTLP_ENDPOINT, "")]).unwrap(), None);
        let config = Some("http://a:1");
        assert_eq!(resolve(config, &[("OTEL_SDK_DISABLED", "true")]).unwrap(), None);
        assert_eq!(resolve(config, &[("OTEL_TRACES_EXPORTER", "none")]).unwrap(), None);
    }

    #[test]
    fn the_config_wins_and_a_base_url_gets_the_path() {
        let traces = (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "http://b:1/as-is");
        let all = (OTEL_EXPORTER_OTLP_ENDPOINT, "http://c:1/otlp/");
        for (config, variables, url) in [
            (Some("http://a:1"), vec![traces, all], "http://a:1/v1/traces"),
            (Some("http://a:1/v1/traces"), vec![], "http://a:1/v1/traces"),
            (None, vec![traces, all], "http://b:1/as-is"),
            (None, vec![all], "http://c:1/otlp/v1/traces"),
        ] {
            assert_eq!(resolve(config, &variables).unwrap().as_deref(), Some(url));
        }
    }

    #[test]
    fn a_protocol_that_is_not_spoken_is_an_error_and_no_silence() {
        let refused = resolve(Some("http://a:1"), &[(OTEL_EXPORTER_OTLP_PROTOCOL, "http/json")]);
        assert!(matches!(refused, Err(TelemetryError::Protocol(name)) if name == "http/json"));
        assert_eq!(resolve(None, &[(OTEL_EXPORTER_OTLP_PROTOCOL, "http/json")]).unwrap(), None);
    }

    #[test]
    fn the_config_chooses_the_protocol_then_the_variable_for_traces_then_that_for_all() {
        let (all, traces) = (OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL);
        for (protocol, variables, url) in [
            (None, vec![], "http://a:1/v1/traces"),
            (None, vec![(all, "grpc")], "http://a:1"),
            (None, vec![(all, "grpc"), (traces, "http/protobuf")], "http://a:1/v1/traces"),
            (None, vec![(all, "http/protobuf"), (traces, "grpc")], "http://a:1"),
            (Some(OtlpProtocol::HttpProtobuf), vec![(traces, "grpc")], "http://a:1/v1/traces"),
            (Some(OtlpProtocol::Grpc), vec![(traces, "http/json")], "http://a:1"),
        ] {
            let config = TraceConfig { endpoint: Some("http://a:1".to_owned()), protocol, ..TraceConfig::default() };
            assert_eq!(find(&config, &variables).unwrap().unwrap().url, url, "{protocol:?} {variables:?}");
        }
    }

    #[test]
    fn metrics_go_their_own_way_where_that_is_told() {
        let find = |config: &MetricsConfig, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            metric_target(config, variable).unwrap().map(|target| (target.url, target.protocol.as_str()))
        };
        let all = (OTEL_EXPORTER_OTLP_ENDPOINT, "http://c:1");
        let config = MetricsConfig { endpoint: Some("http://a:1".to_owned()), ..MetricsConfig::default() };
        let told = |url: &str, protocol| Some((url.to_owned(), protocol));
        assert_eq!(find(&MetricsConfig::default(), &[]), None);
        assert_eq!(find(&MetricsConfig::default(), &[(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "http://b:1")]), None);
        assert_eq!(find(&MetricsConfig::default(), &[all]), told("http://c:1/v1/metrics", "http/protobuf"));
        let own = [all, (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, "http://d:1"), (OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, "grpc")];
        assert_eq!(find(&MetricsConfig::default(), &own), told("http://d:1", "grpc"));
        assert_eq!(find(&config, &[all]), told("http://a:1/v1/metrics", "http/protobuf"));
        assert_eq!(find(&config, &[("OTEL_METRICS_EXPORTER", "none")]), None);
        assert_eq!(find(&config, &[("OTEL_TRACES_EXPORTER", "none")]), told("http://a:1/v1/metrics", "http/protobuf"));
    }

    #[test]
    fn a_url_that_leads_nowhere_is_an_error() {
        assert!(matches!(resolve(None, &[(OTEL_EXPORTER_OTLP_ENDPOINT, "collector:4318")]), Err(TelemetryError::Endpoint(_))));
    }
}
