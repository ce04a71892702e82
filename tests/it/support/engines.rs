//! Both databases, fresh and migrated: every claim about the store is made on each.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use claviger::{
    domain::{
        admin::{Admin, NewAdmin, Role},
        audit::Author,
        clock::{Clock, Timestamp},
        id::OrgId,
        key::{Environment, Key, NewKey},
        name::{Name, Reason},
        org::{NewOrg, Org},
        permission::Permissions,
        random::Random,
        secret::{Hashing, Plane, SealedSecret, Secret, SecretPrefix},
    },
    store::{DatabaseConfig, Store, Written},
};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, PgPool, Row, SqliteConnection, SqlitePool, TypeInfo};
use tempfile::TempDir;

use super::postgres::{drop_database, postgres_url};

/// One engine with a store on a fresh, migrated database.
pub(crate) struct Bed {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) random: Random,
    /// Where the SQLite file lies.
    pub(crate) directory: Option<Arc<TempDir>>,
}

/// Both engines.
pub(crate) async fn engines() -> [Bed; 2] {
    let directory = Arc::new(TempDir::new().unwrap());
    let sqlite = format!("sqlite:{}", directory.path().join("claviger.db").display());
    [Bed::new("sqlite", sqlite, Some(directory)).await, Bed::new("postgres", postgres_url().await, None).await]
}

/// Makes a claim on both engines; the name of the one where it fails is printed before the failure.
pub(crate) async fn on_both_engines<F: Future<Output = ()>>(claim: impl Fn(Bed) -> F) {
    for bed in engines().await {
        eprintln!("on {}", bed.name);
        let (name, url, store) = (bed.name, bed.url.clone(), bed.store.clone());
        // A claim takes of the bed what it names; the directory must stay all the same.
        let directory = bed.directory.clone();
        claim(bed).await;
        store.close().await;
        drop(directory);
        if name == "postgres" {
            drop_database(&url).await;
        }
    }
}

/// Runs SQL on the database of this URL, past the store.
pub(crate) async fn execute(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    if url.starts_with("postgres") {
        let pool = PgPool::connect(url).await?;
        let result = pool.execute(AssertSqlSafe(sql)).await.map(drop);
        pool.close().await;
        result
    } else {
        let pool = SqlitePool::connect(url).await?;
        let result = pool.execute(AssertSqlSafe(sql)).await.map(drop);
        pool.close().await;
        result
    }
}

/// The one number that a query gives, past the store.
pub(crate) async fn number(url: &str, sql: &str) -> i64 {
    let query = AssertSqlSafe(sql);
    if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let number = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    } else {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let number = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    }
}

/// The rows of a query on the database of this URL, every column as text.
pub(crate) async fn rows(url: &str, sql: &str) -> Vec<Vec<String>> {
    if url.starts_with("postgres") {
        let pool = PgPool::connect(url).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.iter().map(|row| row.columns().iter().map(|column| postgres_text(row, column)).collect()).collect()
    } else {
        let pool = SqlitePool::connect(url).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.iter().map(|row| row.columns().iter().map(|column| sqlite_text(row, column)).collect()).collect()
    }
}

async fn tables(url: &str) -> Vec<String> {
    let sql = if url.starts_with("postgres") {
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    };
    rows(url, sql).await.concat()
}

/// Every row of every table of the database of this URL, as text.
pub(crate) async fn dump(url: &str) -> String {
    let mut lines = Vec::new();
    for table in tables(url).await {
        let rows = rows(url, &format!("SELECT * FROM {table}")).await;
        lines.extend(rows.iter().map(|row| format!("{table}: {}", row.join(" | "))));
    }
    lines.join("\n")
}

pub(crate) fn config(url: &str) -> DatabaseConfig {
    DatabaseConfig { url: url.to_owned() }
}

/// Milliseconds on a day in 2026.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + ms)
}

/// The command line at a moment.
pub(crate) fn author(ms: i64) -> Author {
    Author::command_line(at(ms))
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn reason(text: &str) -> Reason {
    text.parse().unwrap()
}

pub(crate) fn permissions(names: &[&str]) -> Permissions {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn new_org(slug: &str) -> NewOrg {
    NewOrg { name: name(&format!("The {slug} org")), slug: slug.parse().unwrap() }
}

pub(crate) fn new_key(text: &str) -> NewKey {
    let permissions = permissions(&["classify:create", "scan:create"]);
    NewKey { name: name(text), environment: Environment::Live, permissions, expires_at: None }
}

impl Bed {
    async fn new(name: &'static str, url: String, directory: Option<Arc<TempDir>>) -> Self {
        let random = Random::default();
        let store = Store::open(&config(&url), random.clone()).await.unwrap();
        store.migrate().await.unwrap();
        Self { name, url, store, random, directory }
    }

    /// Another store on the same database, as another process would have it.
    pub(crate) async fn second_store(&self) -> Store {
        Store::open(&config(&self.url), self.random.clone()).await.unwrap()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.name == "postgres"
    }

    pub(crate) fn secret(&self, plane: Plane) -> (Secret, SealedSecret) {
        let secret = Secret::mint(&SecretPrefix::default(), plane, &self.random).unwrap();
        let sealed = Hashing::Plain.seal(&secret);
        (secret, sealed)
    }

    pub(crate) fn sealed(&self) -> SealedSecret {
        self.secret(Plane::Live).1
    }

    pub(crate) async fn org(&self, slug: &str) -> Org {
        self.store.create_org(&author(0), new_org(slug)).await.unwrap().value
    }

    pub(crate) async fn key(&self, org: OrgId) -> Key {
        self.store.create_key(&author(0), org, new_key("CI"), &self.sealed()).await.unwrap().value
    }

    pub(crate) async fn admin(&self, role: Role) -> (Admin, SealedSecret) {
        let sealed = self.secret(Plane::Admin).1;
        let new = NewAdmin { name: name("Ada"), role };
        (self.store.create_admin(&author(0), new, &sealed).await.unwrap().value, sealed)
    }

    /// Rotates at a moment and returns the key as it is then.
    pub(crate) async fn rotate(&self, key: &Key, ms: i64, overlap_ms: u64) -> Key {
        let overlap = Duration::from_millis(overlap_ms);
        self.store.rotate_key(&author(ms), key.id, overlap, &self.sealed()).await.unwrap().value
    }

    /// Runs SQL as an operator or an intruder would, past the store.
    pub(crate) async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        execute(&self.url, sql).await
    }

    /// The rows of a query, every column as text.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        rows(&self.url, sql).await
    }

    /// Every row of every table, as text.
    pub(crate) async fn dump(&self) -> String {
        dump(&self.url).await
    }
}

fn postgres_text(row: &sqlx::postgres::PgRow, column: &sqlx::postgres::PgColumn) -> String {
    let at = column.ordinal();
    match column.type_info().name() {
        "BYTEA" => bytes_text(row.get(at)),
        "INT8" => text(row.get::<Option<i64>, _>(at)),
        "BOOL" => text(row.get::<Option<bool>, _>(at)),
        "TIMESTAMPTZ" => text(row.get::<Option<chrono::DateTime<chrono::Utc>>, _>(at)),
        _ => row.get_unchecked::<Option<String>, _>(at).unwrap_or_default(),
    }
}

fn sqlite_text(row: &sqlx::sqlite::SqliteRow, column: &sqlx::sqlite::SqliteColumn) -> String {
    bytes_text(row.get_unchecked(column.ordinal()))
}

fn text(value: Option<impl Debug>) -> String {
    value.map(|value| format!("{value:?}")).unwrap_or_default()
}

/// Text as it is, other bytes in hexadecimal.
fn bytes_text(value: Option<Vec<u8>>) -> String {
    let value = value.unwrap_or_default();
    match std::str::from_utf8(&value) {
        Ok(text) => text.to_owned(),
        Err(_) => hex(&value),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// An owner, made past any server; their token.
pub(crate) async fn new_owner(store: &Store) -> String {
    let secret = Secret::mint(&SecretPrefix::default(), Plane::Admin, &Random::System).unwrap();
    let new = NewAdmin { name: name("Ada"), role: Role::Owner };
    let author = Author::command_line(Clock::System.now());
    store.create_admin(&author, new, &Hashing::Plain.seal(&secret)).await.unwrap();
    secret.expose().to_owned()
}

/// The value of a write that must have changed something.
pub(crate) fn changed<T>(written: Written<T>) -> T {
    assert!(written.changed);
    written.value
}
