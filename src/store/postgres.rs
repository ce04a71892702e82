//! Connecting to Postgres.

use std::time::Duration;

use sqlx::{
    ConnectOptions, Connection, Executor, Postgres,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgConnection, PgDatabaseError},
};
use tokio::time::timeout;

use super::{
    Pools, StoreError,
    config::{Place, host},
};

/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a connection that lay idle may take to show that it still leads somewhere.
const ALIVE: Duration = Duration::from_millis(300);
/// Writers wait for each other's row lock anyway: more connections would only wait in the database instead of here.
const WRITERS: u32 = 4;
const READERS: u32 = 8;

/// A writer that was stopped in mid-transaction must not hold up the others for ever, and a 2xx must survive a crash of the
/// database even where somebody set `synchronous_commit` to `off` (stronger settings are left alone).
const WRITER: &str = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '15s'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

pub(super) async fn open(options: PgConnectOptions) -> Result<Pools<Postgres>, StoreError> {
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("claviger") };
    // A pool answers a refused connection with a plain timeout; one connection of its own says what is wrong.
    match timeout(ACQUIRE, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await?,
        Ok(Err(error)) => return Err(explain(&options, &error)),
        Err(_) => return Err(refused(&options, "does not answer within 2 s; start it or correct database.url")),
    }
    let pool = |connections| {
        let pool = PoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
        // The driver's own test waits for ever for a connection that went silent.
        pool.test_before_acquire(false).before_acquire(|connection: &mut PgConnection, _| {
            Box::pin(async move { Ok(matches!(timeout(ALIVE, connection.ping()).await, Ok(Ok(())))) })
        })
    };
    let writer = pool(WRITERS)
        .after_connect(|connection: &mut PgConnection, _| Box::pin(async move { connection.execute(WRITER).await.map(drop) }));
    Ok(Pools { writer: writer.connect_lazy_with(options.clone()), reader: pool(READERS).connect_lazy_with(options) })
}

fn explain(options: &PgConnectOptions, error: &sqlx::Error) -> StoreError {
    let why = match error {
        sqlx::Error::Io(error) => format!("does not answer: {error}; start it or correct database.url"),
        sqlx::Error::Tls(error) => format!("does not speak TLS as `sslmode` in database.url asks: {error}"),
        sqlx::Error::Database(error) => {
            let error = error.try_downcast_ref::<PgDatabaseError>();
            let (code, message) = error.map_or(("", "it gives no reason"), |error| (error.code(), error.message()));
            match code {
                "28P01" | "28000" => "refuses the user or the password in database.url; correct them".to_owned(),
                "3D000" => {
                    let name = options.get_database().unwrap_or_default();
                    format!("has no database `{name}`; create it with `createdb {name}` or correct database.url")
                }
                _ => format!("refuses the connection: {message}"),
            }
        }
        // Any other text may hold a piece of the URL.
        _ => "cannot be used; check host, port and the parameters in database.url".to_owned(),
    };
    refused(options, &why)
}

fn refused(options: &PgConnectOptions, why: &str) -> StoreError {
    let place = Place::Postgres(options.clone());
    tracing::debug!(host = host(options), port = options.get_port(), "no connection");
    StoreError::Open(format!("the database at `{place}` {why}"))
}
