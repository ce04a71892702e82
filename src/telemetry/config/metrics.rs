//! The section `metrics` of the configuration.

use std::{collections::BTreeMap, time::Duration};

use super::{HeaderSecret, OtlpProtocol, check_endpoint, header_map};
use crate::{domain::clock::parse_duration, telemetry::TelemetryError};

/// Section `metrics`: where they can be read, and where they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port of `GET /metrics`; port 0 picks a free one. Without it nobody can ask.
    pub listen: Option<String>,
    /// Base URL of a collector, as of `trace.endpoint`; `/v1/metrics` is appended.
    /// Without one the standard `OTEL_EXPORTER_OTLP_*` variables are asked, and without those nothing is sent.
    pub endpoint: Option<String>,
    /// How metrics are sent. Without it the standard `OTEL_EXPORTER_OTLP_*PROTOCOL` variables are asked.
    pub protocol: Option<OtlpProtocol>,
    /// Sent with every export; `OTEL_EXPORTER_OTLP_HEADERS` adds to them and wins.
    pub headers: BTreeMap<String, HeaderSecret>,
    /// `[0-9]+[smhd]`: the time from one export to the next. Without it `OTEL_METRIC_EXPORT_INTERVAL` is asked; else a minute.
    pub interval: Option<String>,
}

const INTERVAL: Duration = Duration::from_mins(1);
const VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";

impl MetricsConfig {
    /// Whether the section makes sense.
    ///
    /// # Errors
    /// When the endpoint is no URL, a header none that HTTP can carry, or the interval none.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.endpoint.as_deref().map(check_endpoint).transpose()?;
        header_map("metrics", &self.headers)?;
        self.interval(|_| None).map(drop)
    }

    /// The time from one export to the next.
    pub(in crate::telemetry) fn interval(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Duration, TelemetryError> {
        let given = match &self.interval {
            Some(text) => Some((text.clone(), parse_duration(text).ok())),
            None => variable(VARIABLE).filter(|text| !text.is_empty()).map(|text| {
                let interval = text.parse().ok().map(Duration::from_millis);
                (text, interval)
            }),
        };
        match given {
            None => Ok(INTERVAL),
            Some((_, Some(interval))) if interval > Duration::ZERO => Ok(interval),
            Some((text, _)) => Err(TelemetryError::Interval(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_says_how_often_then_the_variable() {
        let interval = |config: Option<&str>, variable: Option<&str>| {
            let config = MetricsConfig { interval: config.map(str::to_owned), ..MetricsConfig::default() };
            config.interval(|name| variable.filter(|_| name == VARIABLE).map(str::to_owned)).ok()
        };
        assert_eq!(interval(None, None), Some(Duration::from_mins(1)));
        assert_eq!(interval(None, Some("250")), Some(Duration::from_millis(250)));
        assert_eq!(interval(Some("15s"), Some("250")), Some(Duration::from_secs(15)));
        for (config, variable) in [(Some("0s"), None), (Some("15"), None), (None, Some("0")), (None, Some("15s"))] {
            assert_eq!(interval(config, variable), None, "{config:?} {variable:?}");
        }
    }
}
