//! Where spans go and under whose name: endpoint, exporter, resource.

use std::time::Duration;

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};

use super::{
    TelemetryError,
    config::{TraceConfig, check_endpoint},
    names,
};
use crate::domain::random::Random;

const TRACES_PATH: &str = "/v1/traces";

/// The full URL that spans are posted to; `None` when nobody asked for spans.
pub(super) fn endpoint(
    config: &TraceConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, TelemetryError> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let given = config.endpoint.clone().or_else(|| variable(OTEL_EXPORTER_OTLP_ENDPOINT));
    let url = match (config.endpoint.is_none(), variable(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)) {
        (true, Some(whole)) => Some(whole),
        _ => given.map(|base| with_traces_path(&base)),
    };
    let Some(url) = url.filter(|_| !disabled) else { return Ok(None) };
    check_endpoint(&url)?;
    let protocol = variable(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL).or_else(|| variable(OTEL_EXPORTER_OTLP_PROTOCOL));
    match protocol {
        Some(other) if other != "http/protobuf" => Err(TelemetryError::Protocol(other)),
        _ => Ok(Some(url)),
    }
}

fn with_traces_path(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(TRACES_PATH) { base.to_owned() } else { format!("{base}{TRACES_PATH}") }
}

/// The exporter; headers and timeout of the `OTEL_EXPORTER_OTLP_*` variables apply.
pub(super) fn exporter(url: String, config: &TraceConfig, resource: &Resource) -> Result<SpanExporter, TelemetryError> {
    // As many attempts as its timeout (10 s) has room for: a collector that is away for seconds costs only what the queue cannot hold.
    let patient = RetryPolicy::recommended().with_max_retries(32).with_max_delay(Duration::from_secs(1));
    let headers = config.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_headers(headers)
        .with_retry_policy(patient)
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// Who sends the spans: this process, this version, and what the `OTEL_*` variables say.
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
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        endpoint(&config, find)
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
        let config = Some("http://a:1");
        assert!(resolve(config, &[(OTEL_EXPORTER_OTLP_PROTOCOL, "http/protobuf")]).unwrap().is_some());
        let refused = resolve(config, &[(OTEL_EXPORTER_OTLP_PROTOCOL, "grpc")]);
        assert!(matches!(refused, Err(TelemetryError::Protocol(name)) if name == "grpc"));
        assert_eq!(resolve(None, &[(OTEL_EXPORTER_OTLP_PROTOCOL, "grpc")]).unwrap(), None);
    }

    #[test]
    fn a_url_that_leads_nowhere_is_an_error() {
        assert!(matches!(resolve(None, &[(OTEL_EXPORTER_OTLP_ENDPOINT, "collector:4318")]), Err(TelemetryError::Endpoint(_))));
    }
}
