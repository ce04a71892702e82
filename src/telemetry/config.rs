//! The sections `log`, `trace` and `metrics` of the configuration.

mod metrics;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

pub use self::metrics::MetricsConfig;
use super::{TelemetryError, export, log::FileLimits, recent};
use crate::domain::clock::parse_duration;

/// Section `log`: what is written to stderr, as JSON lines, and what is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,claviger::store=debug`.
    pub level: String,
    /// Which decisions are lines: `off`, `denies` or `all`.
    pub decisions: LoggedDecisions,
    /// Where those lines go; without one, to stderr like everything else.
    pub file: Option<PathBuf>,
    /// The file is turned over before it is larger than so many bytes.
    pub file_bytes: u64,
    /// `[0-9]+[smhd]`: and with the first line that comes so long after its own first.
    pub file_age: String,
    /// So many files that were turned over are kept.
    pub files: usize,
    /// So many of the last decisions are kept in memory, for `GET /v1/decisions` and `explain`; 0 keeps none.
    pub recent: usize,
    /// And so many bytes of them.
    pub recent_bytes: usize,
}

/// Which decisions are lines of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoggedDecisions {
    Off,
    /// Whatever is no allow.
    Denies,
    #[default]
    All,
}

impl LoggedDecisions {
    /// `off`, `denies` or `all`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Denies => "denies",
            Self::All => "all",
        }
    }
}

impl<'de> serde::Deserialize<'de> for LoggedDecisions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl serde::de::Visitor<'_> for Word {
            type Value = LoggedDecisions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off`, `denies` or `all`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LoggedDecisions, E> {
                let all = [LoggedDecisions::Off, LoggedDecisions::Denies, LoggedDecisions::All];
                let found = all.into_iter().find(|known| known.as_str() == text);
                found.ok_or_else(|| E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }

            /// A switch means all or none.
            fn visit_bool<E>(self, on: bool) -> Result<LoggedDecisions, E> {
                Ok(if on { LoggedDecisions::All } else { LoggedDecisions::Off })
            }
        }

        deserializer.deserialize_any(Word)
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            decisions: LoggedDecisions::All,
            file: None,
            file_bytes: 100 * 1024 * 1024,
            file_age: "1d".to_owned(),
            files: 10,
            recent: 10_000,
            recent_bytes: 16 * 1024 * 1024,
        }
    }
}

impl LogConfig {
    /// Whether the section makes sense.
    ///
    /// # Errors
    /// When the level is none, the file has no name or no size, or the last decisions are too many or have no room.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.filter()?;
        self.file_limits()?;
        if self.file.as_ref().is_some_and(|file| file.file_name().is_none()) {
            return Err(TelemetryError::FileName);
        }
        let fits = self.recent <= recent::MOST && self.recent_bytes >= recent::LEAST_BYTES;
        fits.then_some(()).ok_or(TelemetryError::Recent)
    }

    /// When a file is turned over.
    pub(super) fn file_limits(&self) -> Result<FileLimits, TelemetryError> {
        let age = parse_duration(&self.file_age).ok().filter(|age| *age > Duration::ZERO).ok_or(TelemetryError::FileAge)?;
        let bytes = Some(self.file_bytes).filter(|bytes| *bytes >= LEAST_FILE_BYTES).ok_or(TelemetryError::FileBytes)?;
        Ok(FileLimits { bytes, age, files: self.files })
    }

    /// The filter that the level stands for.
    pub(super) fn filter(&self) -> Result<EnvFilter, TelemetryError> {
        let bad = || TelemetryError::Level(self.level.clone());
        // A mistyped level (`inof`) would silently be taken for the name of a target and turn everything else off.
        let is_directive = |part: &str| part.contains(['=', '[']) || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
        if !self.level.split(',').all(is_directive) {
            return Err(bad());
        }
        EnvFilter::builder().parse(&self.level).map_err(|_| bad())
    }
}

/// Section `trace`: where spans are sent.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Base URL of a collector: for OTLP over HTTP such as `http://localhost:4318`, to which `/v1/traces` is appended unless it
    /// ends so; over gRPC such as `http://localhost:4317`.
    /// Without one the standard `OTEL_EXPORTER_OTLP_*` variables are asked, and without those no span is made.
    pub endpoint: Option<String>,
    /// How spans are sent. Without it the standard `OTEL_EXPORTER_OTLP_*PROTOCOL` variables are asked.
    pub protocol: Option<OtlpProtocol>,
    /// Sent with every export; `OTEL_EXPORTER_OTLP_HEADERS` adds to them and wins.
    pub headers: BTreeMap<String, HeaderSecret>,
    /// So many spans may wait for the collector; those that come on top are dropped and counted. The default holds what two
    /// cores decide in four seconds.
    pub queue: usize,
    /// And so many bytes of memory.
    pub queue_bytes: usize,
    /// Which part of the allows become spans, 0 to 1. Denials and errors always do.
    pub allow_ratio: f64,
}

/// The headers of a section as they are sent.
///
/// # Errors
/// The first one that HTTP cannot carry.
pub(super) fn header_map(section: &'static str, headers: &BTreeMap<String, HeaderSecret>) -> Result<HeaderMap, TelemetryError> {
    let header = |(name, value): (&String, &HeaderSecret)| {
        let name_and_value = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value.0).ok());
        name_and_value.ok_or_else(|| TelemetryError::Header { section, name: name.clone() })
    };
    headers.iter().map(header).collect()
}

/// A form of OTLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum OtlpProtocol {
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "grpc")]
    Grpc,
}

impl OtlpProtocol {
    /// As the standard's variables name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::HttpProtobuf, Self::Grpc].into_iter().find(|protocol| protocol.as_str() == name)
    }
}

/// The smallest `file_bytes`: several of the largest lines.
pub(super) const LEAST_FILE_BYTES: u64 = 64 * 1024;
/// The smallest `queue_bytes`.
pub(super) const LEAST_BYTES: usize = 1024 * 1024;

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: None,
            headers: BTreeMap::new(),
            queue: 262_144,
            queue_bytes: 256 * 1024 * 1024,
            allow_ratio: 1.0,
        }
    }
}

impl TraceConfig {
    /// Whether the section makes sense.
    ///
    /// # Errors
    /// When the endpoint is no URL, a header none that HTTP can carry, or the queue smaller than an export.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.endpoint.as_deref().map(check_endpoint).transpose()?;
        header_map("trace", &self.headers)?;
        match self {
            _ if self.queue < export::PACE.most => Err(TelemetryError::Queue),
            _ if self.queue_bytes < LEAST_BYTES => Err(TelemetryError::QueueBytes),
            _ if !(0.0..=1.0).contains(&self.allow_ratio) => Err(TelemetryError::Ratio),
            _ => Ok(()),
        }
    }
}

/// Refuses what is no http or https URL with a host.
pub(super) fn check_endpoint(text: &str) -> Result<(), TelemetryError> {
    let fits = text.parse::<Uri>().is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    if fits { Ok(()) } else { Err(TelemetryError::Endpoint(text.to_owned())) }
}

/// The value of a header to the collector, which often is a credential: it never prints itself.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct HeaderSecret(pub(super) String);

impl From<&str> for HeaderSecret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for HeaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn level(level: &str) -> Result<(), TelemetryError> {
        LogConfig { level: level.to_owned(), ..LogConfig::default() }.check()
    }

    #[test]
    fn a_mistyped_level_is_refused() {
        for text in ["off", "info", "WARN", "info,claviger::store=debug", "warn,claviger=trace", "claviger[{id}]=debug"] {
            assert!(level(text).is_ok(), "{text}");
        }
        for text in ["", "inof", "info,", "claviger", "info,claviger=loud", "claviger[=debug"] {
            assert!(matches!(level(text), Err(TelemetryError::Level(_))), "{text}");
        }
    }

    #[test]
    fn a_file_has_a_name_a_size_and_an_age() {
        let check = |file: &str, file_bytes, file_age: &str| {
            let file_age = file_age.to_owned();
            LogConfig { file: Some(file.into()), file_bytes, file_age, ..LogConfig::default() }.check()
        };
        assert!(check("decisions.jsonl", LEAST_FILE_BYTES, "1s").is_ok());
        for name in ["", "/", "logs/.."] {
            assert!(matches!(check(name, LEAST_FILE_BYTES, "1s"), Err(TelemetryError::FileName)), "{name}");
        }
        assert!(matches!(check("a", LEAST_FILE_BYTES - 1, "1s"), Err(TelemetryError::FileBytes)));
        for age in ["0d", "daily", "1"] {
            assert!(matches!(check("a", LEAST_FILE_BYTES, age), Err(TelemetryError::FileAge)), "{age}");
        }
    }

    #[test]
    fn the_last_decisions_are_not_without_number() {
        let check = |recent, recent_bytes| LogConfig { recent, recent_bytes, ..LogConfig::default() }.check();
        assert!(check(0, recent::LEAST_BYTES).is_ok() && check(recent::MOST, usize::MAX).is_ok());
        for (count, bytes) in [(recent::MOST + 1, recent::LEAST_BYTES), (1, recent::LEAST_BYTES - 1)] {
            assert!(matches!(check(count, bytes), Err(TelemetryError::Recent)), "{count} {bytes}");
        }
    }

    #[test]
    fn an_endpoint_is_an_http_url() {
        let check = |endpoint: &str| TraceConfig { endpoint: Some(endpoint.to_owned()), ..TraceConfig::default() }.check();
        for text in ["http://localhost:4318", "https://collector.example/otlp", "http://[::1]:4318/"] {
            assert!(check(text).is_ok(), "{text}");
        }
        for text in ["", "localhost:4318", "grpc://localhost:4317", "http://", "/v1/traces", "http://a b"] {
            assert!(matches!(check(text), Err(TelemetryError::Endpoint(_))), "{text}");
        }
    }

    #[test]
    fn headers_are_carried_and_never_shown() {
        let config: TraceConfig = serde_json::from_value(json!({ "headers": { "x-token": "hunter22" } })).unwrap();
        assert!(config.check().is_ok());
        assert!(!format!("{config:?}").contains("hunter22"));
        for (name, value) in [("a b", "x"), ("x", "a\nb")] {
            let config = TraceConfig { headers: [(name.to_owned(), value.into())].into(), ..TraceConfig::default() };
            assert!(matches!(config.check(), Err(TelemetryError::Header { .. })), "{name}");
        }
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        assert!(serde_json::from_value::<TraceConfig>(json!({ "endpont": "http://localhost" })).is_err());
        assert!(serde_json::from_value::<LogConfig>(json!({ "levle": "info" })).is_err());
        assert_eq!(serde_json::from_value::<TraceConfig>(json!({})).unwrap(), TraceConfig::default());
    }

    #[test]
    fn a_queue_smaller_than_an_export_is_refused() {
        assert!(matches!(TraceConfig { queue: 511, ..TraceConfig::default() }.check(), Err(TelemetryError::Queue)));
        assert!(matches!(TraceConfig { queue_bytes: 9, ..TraceConfig::default() }.check(), Err(TelemetryError::QueueBytes)));
    }

    #[test]
    fn a_ratio_is_a_part_of_the_whole() {
        for (allow_ratio, fits) in [(0.0, true), (1.0, true), (0.01, true), (-0.1, false), (1.1, false), (f64::NAN, false)] {
            assert_eq!(TraceConfig { allow_ratio, ..TraceConfig::default() }.check().is_ok(), fits, "{allow_ratio}");
        }
    }
}
