//! The configuration section `database`: where the data lives.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use super::StoreError;

/// The section `database`. The scheme of the URL picks the engine.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `sqlite:<file>` or `postgres://user:password@host:port/name`; may hold a password, so it is never printed.
    pub url: String,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite:claviger.db".to_owned() }
    }
}

impl fmt::Display for DatabaseConfig {
    /// Scheme, host, port and database name, or the file: nothing that opens anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Place::parse(&self.url) {
            Ok(place) => place.fmt(f),
            Err(_) => f.write_str("***"),
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseConfig({self})")
    }
}

impl DatabaseConfig {
    /// Whether the URL names a database, without touching it.
    ///
    /// # Errors
    /// [`StoreError::Config`] with one sentence that never repeats the URL.
    pub fn check(&self) -> Result<(), StoreError> {
        Place::parse(&self.url).map(drop)
    }

    /// The file that the database is, when it is SQLite.
    ///
    /// # Errors
    /// As [`DatabaseConfig::check`].
    pub fn file(&self) -> Result<Option<PathBuf>, StoreError> {
        Ok(match Place::parse(&self.url)? {
            Place::Sqlite(options) => Some(options.get_filename().to_owned()),
            Place::Postgres(_) => None,
        })
    }
}

/// A URL that was understood.
pub(super) enum Place {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(options) => write!(f, "sqlite:{}", options.get_filename().display()),
            Self::Postgres(options) => {
                let name = options.get_database().unwrap_or_default();
                write!(f, "postgres://{}:{}/{name}", host(options), options.get_port())
            }
        }
    }
}

/// The host or the directory of the socket.
pub(super) fn host(options: &PgConnectOptions) -> String {
    options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string())
}

/// What the driver understands. It would log any other parameter with its value.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

fn wrong<T>(sentence: &str) -> Result<T, StoreError> {
    Err(StoreError::Config(format!("database.url {sentence}")))
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("sqlite", file)) => Self::parse_sqlite(url, file),
            Some(("postgres" | "postgresql", rest)) => Self::parse_postgres(url, rest),
            _ => wrong("starts with neither `sqlite:` nor `postgres://`"),
        }
    }

    fn parse_sqlite(url: &str, file: &str) -> Result<Self, StoreError> {
        if file.contains('?') {
            return wrong("names a SQLite file and takes no parameters after `?`");
        }
        if file.contains(":memory:") || file.trim_start_matches('/').is_empty() {
            return wrong("must name a file after `sqlite:`; a database in memory would be lost with its connections");
        }
        match SqliteConnectOptions::from_str(url) {
            Ok(options) => Ok(Self::Sqlite(options)),
            Err(_) => wrong("holds a `%` that starts no character; write `%25` for a `%` in the file's name"),
        }
    }

    fn parse_postgres(url: &str, rest: &str) -> Result<Self, StoreError> {
        let Some(rest) = rest.strip_prefix("//") else { return wrong("starts with `postgres:` but lacks the `//` after it") };
        // An unescaped `/`, `?` or `#` in a password ends the authority early: what then looks like the host, the port or the
        // name of the database is a piece of the password.
        let (_authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains(['@', '#']) {
            return wrong(
                "has an unescaped `/`, `?`, `#` or `@`; write them as %2F, %3F, %23 and %40 in user, password and name",
            );
        }
        let parameters = tail.split_once('?').map_or("", |(_path, query)| query).split('&').filter(|pair| !pair.is_empty());
        let known = |pair: &str| {
            let name = pair.split_once('=').map_or(pair, |(name, _value)| name);
            PARAMETERS.contains(&name) || name.starts_with("options[")
        };
        if !parameters.into_iter().all(known) {
            return wrong(&format!("has a parameter after `?` that is none of {}", PARAMETERS.join(", ")));
        }
        match PgConnectOptions::from_str(url) {
            Ok(options) => Ok(Self::Postgres(options)),
            // The driver's text may hold a piece of the URL.
            Err(_) => wrong("is not of the form postgres://user:password@host:port/name"),
        }
    }
}
