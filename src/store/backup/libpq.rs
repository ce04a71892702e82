//! How Postgres' own programs find the database of the settings.

use std::fmt;

use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use crate::store::{
    DatabaseConfig, StoreError,
    config::{Place, host},
};

/// Environment variables for `pg_dump`. They hold the password: the environment of a process is for its user's eyes only, its
/// arguments are for everybody's.
pub struct Libpq(Vec<(&'static str, String)>);

impl fmt::Debug for Libpq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Libpq(***)")
    }
}

impl Libpq {
    /// Names and values; for a child's environment and nothing else.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl DatabaseConfig {
    /// The variables of a Postgres database; `None` for SQLite.
    ///
    /// # Errors
    /// As [`DatabaseConfig::check`].
    pub fn libpq(&self) -> Result<Option<Libpq>, StoreError> {
        Ok(match Place::parse(&self.url)? {
            Place::Sqlite(_) => None,
            Place::Postgres(options) => Some(Libpq(variables(&options))),
        })
    }
}

fn variables(options: &PgConnectOptions) -> Vec<(&'static str, String)> {
    let host = host(options);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut variables = vec![
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", options.get_username().to_owned()),
        ("PGDATABASE", options.get_database().unwrap_or_else(|| options.get_username()).to_owned()),
        ("PGAPPNAME", "claviger backup".to_owned()),
        // Times are written with an offset that does not depend on the machine.
        ("PGTZ", "UTC".to_owned()),
    ];
    variables.extend(options.get_options().map(|options| ("PGOPTIONS", options.to_owned())));
    // The driver shows the password and the certificates only in a URL, and does not escape user and host in it.
    let url = options.clone().username("user").host("localhost").database("database").to_url_lossy();
    variables.extend(url.password().map(|password| ("PGPASSWORD", decode(password))));
    for (name, value) in url.query_pairs() {
        let variable = match &*name {
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        // The driver marks what is a file so; libpq takes no certificate that is in the URL itself, and will say what it lacks.
        let value = if variable == "PGSSLMODE" { Some(&*value) } else { value.strip_prefix("file: ") };
        variables.extend(value.map(|value| (variable, value.to_owned())));
    }
    variables
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let coded = rest.get(1..3).filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(first));
        // What follows is ASCII: the driver encodes everything else.
        rest = rest.get(if coded.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_variables_and_its_password_stays_hidden() {
        let url =
            "postgres://ad%40a:p%40%20s%25%C3%BC@[::1]:5433/data?sslmode=verify-full&sslrootcert=/etc/ca.pem&options=-cx%3Dy";
        let libpq = DatabaseConfig { url: url.to_owned() }.libpq().unwrap().unwrap();
        let value = |name| libpq.variables().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
        for (name, expected) in [
            ("PGHOST", "::1"),
            ("PGPORT", "5433"),
            ("PGUSER", "ad@a"),
            ("PGPASSWORD", "p@ s%ü"),
            ("PGDATABASE", "data"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/etc/ca.pem"),
            ("PGOPTIONS", "-cx=y"),
        ] {
            assert_eq!(value(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(format!("{libpq:?}"), "Libpq(***)");
        let socket = DatabaseConfig { url: "postgres:///x?host=/run/postgresql&user=ada".to_owned() }.libpq().unwrap().unwrap();
        assert!(socket.variables().any(|pair| pair == ("PGHOST", "/run/postgresql")));
        assert!(DatabaseConfig::default().libpq().unwrap().is_none());
    }
}
