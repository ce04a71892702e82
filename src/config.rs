//! The settings: defaults, then a TOML file, then the environment (`CLAVIGER_SECTION__KEY`), then flags. One field per owner.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    error::Kind,
    providers::{Env, Format, Toml},
    value::{Dict, Map, Value},
};
use serde::Deserialize;

use crate::{
    domain::{
        clock::parse_duration,
        nearest::nearest,
        permission::Permission,
        secret::{Hashing, Peppers, SecretPrefix},
    },
    policy,
    snapshot::ConsistencyConfig,
    store::DatabaseConfig,
    telemetry::{HeaderSecret, LogConfig, MetricsConfig, OtlpProtocol, RecordConfig, TraceConfig},
};

/// Every setting of the server and the command line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub database: DatabaseConfig,
    pub http: HttpConfig,
    pub keys: KeysConfig,
    pub policies: PoliciesConfig,
    pub log: LogConfig,
    pub trace: TraceConfig,
    pub record: RecordConfig,
    pub metrics: MetricsConfig,
    pub consistency: ConsistencyConfig,
}

/// The section `http`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port; port 0 picks a free one.
    pub listen: String,
    /// `[0-9]+[smhd]`: how long requests are still taken after SIGTERM while `/readyz` sends proxies elsewhere. Left out: 5 s on
    /// a database that other replicas serve as well, nothing on SQLite.
    pub shutdown_delay: Option<String>,
}

impl HttpConfig {
    /// How long requests are still taken after SIGTERM, where it is set.
    ///
    /// # Errors
    /// When it is no duration, or so long that a stop would take over 30 s.
    pub fn shutdown_delay(&self) -> Result<Option<Duration>, ConfigError> {
        const MOST: Duration = Duration::from_secs(8);
        let wrong = |message: String| ConfigError::Section { key: "http.shutdown_delay", message };
        let Some(text) = &self.shutdown_delay else { return Ok(None) };
        let delay = parse_duration(text).map_err(|error| wrong(error.to_string()))?;
        if delay > MOST { Err(wrong(format!("must be {} s at most", MOST.as_secs()))) } else { Ok(Some(delay)) }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), shutdown_delay: None }
    }
}

/// The section `policies`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesConfig {
    pub dir: PathBuf,
    pub schema: PathBuf,
    /// Actions that a suspended organization's keys may still be allowed by a policy.
    pub suspended_may: Vec<String>,
    /// Whether a denial by `POST /v1/authorize` shows the policies that are about the request, clause by clause.
    pub explain_denials: bool,
}

impl Default for PoliciesConfig {
    fn default() -> Self {
        Self { dir: "policies".into(), schema: "schema".into(), suspended_may: Vec::new(), explain_denials: false }
    }
}

/// The section `keys`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// The first word of every secret.
    pub prefix: String,
    /// `id:secret`; hashes new secrets. Without one they are hashed with plain SHA-256.
    pub pepper: Option<String>,
    /// `id:secret`, or `plain` for secrets that were made before there was a pepper; still accepted.
    pub retired_pepper: Option<String>,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { prefix: SecretPrefix::default().as_str().to_owned(), pepper: None, retired_pepper: None }
    }
}

impl fmt::Debug for KeysConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeysConfig({})", self.prefix)
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the config file `{}` does not exist", .0.display())]
    NoFile(PathBuf),
    #[error("`{key}` is no setting{}: from {from}", suggestion(.nearest.as_deref()))]
    UnknownKey { key: String, nearest: Option<String>, from: String },
    #[error("{message}: from {from}")]
    Value { message: String, from: String },
    #[error("`{key}`: {message}")]
    Section { key: &'static str, message: String },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// A setting in force, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    /// Secrets are `***`.
    pub value: String,
    pub source: String,
}

/// Values from flags: section, key, value.
#[derive(Debug, Clone, Default)]
pub struct Flags(Vec<(&'static str, &'static str, String)>);

impl Flags {
    /// Adds a flag that was given.
    pub fn set(&mut self, section: &'static str, key: &'static str, value: Option<impl Into<String>>) {
        self.0.extend(value.map(|value| (section, key, value.into())));
    }
}

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("a flag")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections = Dict::new();
        for (section, key, value) in &self.0 {
            let section = sections.entry((*section).to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, keys) = section {
                keys.insert((*key).to_owned(), Value::from(value.clone()));
            }
        }
        Ok(Profile::Default.collect(sections))
    }
}

/// The settings together with their sources.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    figment: Figment,
}

/// Reads the settings from the file of `--config`, without one from `claviger.toml` in the working directory, if there is one.
///
/// # Errors
/// As [`load`].
pub fn load_default(file: Option<&Path>, flags: Flags) -> Result<Loaded, ConfigError> {
    let usual = Path::new("claviger.toml");
    load(file.or_else(|| usual.is_file().then_some(usual)), flags)
}

/// Reads the settings from a file, if one is given, then from the environment, then from flags.
///
/// # Errors
/// A file that is not there or no TOML, an unknown key with the nearest name, a value of the wrong type or without sense.
pub fn load(file: Option<&Path>, flags: Flags) -> Result<Loaded, ConfigError> {
    if let Some(file) = file.filter(|file| !file.is_file()) {
        return Err(ConfigError::NoFile(file.to_owned()));
    }
    // CLAVIGER_SERVER and its like are for commands and no settings; a setting has a section.
    let environment = Env::prefixed("CLAVIGER_").filter(|name| name.as_str().contains("__")).split("__");
    let figment = match file {
        Some(file) => Figment::from(Toml::file_exact(file)),
        None => Figment::new(),
    };
    let figment = figment.merge(environment).merge(flags);
    let config: Config = figment.extract().map_err(explain)?;
    config.check()?;
    Ok(Loaded { config, figment })
}

/// Turns the first of figment's errors into a sentence; no value is repeated, because it may be a secret.
fn explain(error: figment::Error) -> ConfigError {
    let from = error.metadata.as_ref().map_or_else(|| "the settings".to_owned(), source);
    let path = error.path.join(".");
    match error.kind {
        Kind::UnknownField(name, known) => {
            let parent = error.path.iter().take_while(|part| **part != name).cloned().collect::<Vec<_>>();
            let full = |name: &str| parent.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
            let nearest = nearest(&name, known.iter().copied(), 2).map(full);
            ConfigError::UnknownKey { key: full(&name), nearest, from }
        }
        Kind::InvalidType(_, wanted) => ConfigError::Value { message: format!("`{path}` must be {wanted}"), from },
        Kind::MissingField(name) => ConfigError::Value { message: format!("`{path}` lacks `{name}`"), from },
        Kind::Message(message) if path.is_empty() => ConfigError::Value { message, from },
        Kind::Message(message) => ConfigError::Value { message: format!("`{path}`: {message}"), from },
        _ => ConfigError::Value { message: format!("`{path}` cannot be read"), from },
    }
}

/// Where the standard's variables have the last word.
const AS_STANDARD: &str = "as `OTEL_*` says";

fn endpoint(url: Option<&str>) -> String {
    url.map_or_else(|| "none".to_owned(), without_user)
}

fn protocol(protocol: Option<OtlpProtocol>) -> String {
    protocol.map_or(AS_STANDARD, OtlpProtocol::as_str).to_owned()
}

/// The names of headers, whose values are nobody's business.
fn names(headers: &BTreeMap<String, HeaderSecret>) -> String {
    headers.keys().map(|name| format!("{name}=***")).collect::<Vec<_>>().join(", ")
}

/// A URL without the user and the password that it may hold.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => url.to_owned(),
    }
}

fn source(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(Source::File(path)) => format!("the file `{}`", path.display()),
        _ if metadata.name.contains("environment") => "the environment".to_owned(),
        _ => metadata.name.to_string(),
    }
}

impl Config {
    fn check(&self) -> Result<(), ConfigError> {
        let section = |key, message: &dyn fmt::Display| ConfigError::Section { key, message: message.to_string() };
        self.database.check().map_err(|error| section("database.url", &error))?;
        self.log.check().map_err(|error| section("log", &error))?;
        self.trace.check().map_err(|error| section("trace", &error))?;
        self.record.check().map_err(|error| section("record", &error))?;
        self.metrics.check().map_err(|error| section("metrics", &error))?;
        self.keys.prefix()?;
        self.keys.peppers()?;
        self.policies.settings()?;
        self.http.shutdown_delay()?;
        self.consistency.max_staleness().map_err(|error| section("consistency.max_staleness", &error))?;
        Ok(())
    }
}

impl KeysConfig {
    /// The prefix of secrets.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn prefix(&self) -> Result<SecretPrefix, ConfigError> {
        self.prefix.parse().map_err(|error: crate::domain::secret::ParseSecretError| ConfigError::Section {
            key: "keys.prefix",
            message: error.to_string(),
        })
    }

    /// How secrets are hashed.
    ///
    /// # Errors
    /// When a pepper is not `id:secret`.
    pub fn peppers(&self) -> Result<Peppers, ConfigError> {
        let pepper = |key, text: &str| {
            let pepper = text.parse().map_err(|error: crate::domain::secret::ParsePepperError| ConfigError::Section {
                key,
                message: error.to_string(),
            });
            pepper.map(Hashing::Peppered)
        };
        let current = self.pepper.as_deref().map(|text| pepper("keys.pepper", text)).transpose()?;
        let retired = match self.retired_pepper.as_deref() {
            Some("plain") => Some(Hashing::Plain),
            Some(text) => Some(pepper("keys.retired_pepper", text)?),
            None => None,
        };
        Ok(Peppers { current: current.unwrap_or(Hashing::Plain), retired })
    }
}

impl PoliciesConfig {
    /// What a policy set cannot say about itself.
    ///
    /// # Errors
    /// When `suspended_may` names what cannot be a permission.
    pub fn settings(&self) -> Result<policy::Settings, ConfigError> {
        let names = self.suspended_may.iter().map(|name| Permission::from_str(name));
        let suspended_may = names.collect::<Result<BTreeSet<_>, _>>();
        let suspended_may =
            suspended_may.map_err(|error| ConfigError::Section { key: "policies.suspended_may", message: error.to_string() })?;
        Ok(policy::Settings { suspended_may })
    }
}

impl Loaded {
    /// Whether somebody set this, or it is the default.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.figment.find_metadata(key).is_some()
    }

    /// Every setting in force, and where it came from.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let config = &self.config;
        let secret = |value: &Option<String>| value.as_ref().map_or("none", |_| "***").to_owned();
        let values = [
            ("database.url", config.database.to_string()),
            ("http.listen", config.http.listen.clone()),
            ("http.shutdown_delay", config.http.shutdown_delay.clone().unwrap_or_else(|| "as the database needs".to_owned())),
            ("keys.prefix", config.keys.prefix.clone()),
            ("keys.pepper", secret(&config.keys.pepper)),
            ("keys.retired_pepper", secret(&config.keys.retired_pepper)),
            ("policies.dir", config.policies.dir.display().to_string()),
            ("policies.schema", config.policies.schema.display().to_string()),
            ("policies.suspended_may", config.policies.suspended_may.join(", ")),
            ("policies.explain_denials", config.policies.explain_denials.to_string()),
            ("log.level", config.log.level.clone()),
            ("log.decisions", config.log.decisions.as_str().to_owned()),
            ("log.file", config.log.file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string())),
            ("log.file_bytes", config.log.file_bytes.to_string()),
            ("log.file_age", config.log.file_age.clone()),
            ("log.files", config.log.files.to_string()),
            ("log.recent", config.log.recent.to_string()),
            ("log.recent_bytes", config.log.recent_bytes.to_string()),
            ("trace.endpoint", endpoint(config.trace.endpoint.as_deref())),
            ("trace.protocol", protocol(config.trace.protocol)),
            ("trace.headers", names(&config.trace.headers)),
            ("trace.queue", config.trace.queue.to_string()),
            ("trace.queue_bytes", config.trace.queue_bytes.to_string()),
            ("trace.allow_ratio", config.trace.allow_ratio.to_string()),
            (
                "record.mask",
                config.record.mask.iter().map(|(field, mask)| format!("{field}={mask}")).collect::<Vec<_>>().join(", "),
            ),
            ("record.context", config.record.context.join(", ")),
            ("metrics.listen", config.metrics.listen.clone().unwrap_or_else(|| "none".to_owned())),
            ("metrics.endpoint", endpoint(config.metrics.endpoint.as_deref())),
            ("metrics.protocol", protocol(config.metrics.protocol)),
            ("metrics.headers", names(&config.metrics.headers)),
            ("metrics.interval", config.metrics.interval.clone().unwrap_or_else(|| AS_STANDARD.to_owned())),
            ("consistency.profile", config.consistency.profile.as_str().to_owned()),
            ("consistency.max_staleness", config.consistency.shown()),
        ];
        let from = |key| self.figment.find_metadata(key).map_or_else(|| "default".to_owned(), source);
        values.into_iter().map(|(key, value)| Setting { key, value, source: from(key) }).collect()
    }
}
