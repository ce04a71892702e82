//! Fills a database with rows as the product writes them, much faster than the product would.

use chrono::{DateTime, Utc};
use claviger::{
    domain::{
        clock::Timestamp,
        id::{KeyId, OrgId, SecretId},
        random::Random,
        secret::{Hashing, Plane, Secret, SecretPrefix},
    },
    policy::{Engine, Settings, shipped},
    store::{DatabaseConfig, Store},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

/// Rows to a statement.
const BATCH: usize = 10_000;
/// When the first org was made; whatever follows is a second apart.
const FIRST_MS: i64 = 1_700_000_000_000;
const KEYS_OF_AN_ORG: usize = 10;
const WORDS: [&str; 8] = ["Deploy", "Nightly", "Billing", "Reporting", "Mobile app", "Import", "Backoffice", "Partner"];

/// Makes the schema and the rows, and answers the plain secrets of the first few keys, which are all good.
pub(crate) async fn fill(url: &str, keys: usize) -> Vec<String> {
    let store = Store::open(&DatabaseConfig { url: url.to_owned() }, Random::System).await.expect("the store opens");
    store.migrate().await.expect("the schema is made");
    store.close().await;
    let (mut target, mut source) = (Target::connect(url).await, Source::new());
    target.execute("BEGIN").await;
    let mut orgs = Vec::new();
    for batch in batches(keys.div_ceil(KEYS_OF_AN_ORG)) {
        let rows: Vec<Value> = batch.map(|index| source.org(index)).collect();
        orgs.extend(rows.iter().map(|row| row["id"].clone()));
        target.insert("org", &rows).await;
    }
    for batch in batches(keys) {
        let (mut rows, mut secrets) = (Vec::new(), Vec::new());
        for index in batch {
            let key = source.key(index, &orgs[index / KEYS_OF_AN_ORG]);
            // One in twenty was rotated.
            for number in 0..=usize::from(index % 20 == 19) {
                secrets.push(source.secret(index, &key, number));
            }
            rows.push(key);
        }
        target.insert("api_key", &rows).await;
        target.insert("secret", &secrets).await;
    }
    target.execute(&format!("UPDATE meta SET revision = {}; COMMIT", source.revision)).await;
    source.plain
}

fn batches(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..rows).step_by(BATCH).map(move |first| first..rows.min(first + BATCH))
}

/// As the driver for SQLite writes it.
fn text(at: Timestamp) -> String {
    DateTime::<Utc>::from(at).to_rfc3339()
}

enum Target {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Target {
    async fn connect(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let mut target = Self::Sqlite(SqliteConnection::connect(url).await.expect("a connection"));
            target.execute("PRAGMA cache_size = -500000").await;
            target
        } else {
            Self::Postgres(PgConnection::connect(url).await.expect("a connection"))
        }
    }

    async fn execute(&mut self, sql: &str) {
        match self {
            Self::Sqlite(connection) => drop(connection.execute(AssertSqlSafe(sql)).await.expect("a statement")),
            Self::Postgres(connection) => drop(connection.execute(AssertSqlSafe(sql)).await.expect("a statement")),
        }
    }

    /// Writes rows that are JSON objects of columns, which both engines can take apart.
    async fn insert(&mut self, table: &str, rows: &[Value]) {
        let batch = Value::from(rows).to_string();
        match self {
            Self::Sqlite(connection) => {
                let columns: Vec<&str> = rows[0].as_object().expect("an object").keys().map(String::as_str).collect();
                let value = |column: &&str| match *column {
                    "hash" => "unhex(substr(value ->> 'hash', 3))".to_owned(),
                    column => format!("value ->> '{column}'"),
                };
                let values: Vec<String> = columns.iter().map(value).collect();
                let sql = format!("INSERT INTO {table} ({}) SELECT {} FROM json_each($1)", columns.join(", "), values.join(", "));
                sqlx::query(AssertSqlSafe(sql)).bind(batch).execute(connection).await.expect("rows are written");
            }
            Self::Postgres(connection) => {
                let sql = format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1::text::json)");
                sqlx::query(AssertSqlSafe(sql)).bind(batch).execute(connection).await.expect("rows are written");
            }
        }
    }
}

/// Makes the rows, the same ones in every run.
struct Source {
    random: Random,
    /// JSON arrays; each key has one of them.
    permissions: Vec<String>,
    revision: i64,
    plain: Vec<String>,
}

impl Source {
    fn new() -> Self {
        let engine = Engine::load(&shipped(), &Settings::default()).expect("the policies load");
        let names: Vec<&str> = engine.permissions().iter().map(|info| info.name.as_str()).collect();
        let list = |count: usize| json!(names.iter().take(count).collect::<Vec<_>>()).to_string();
        Self { random: Random::seeded(1), permissions: (3..=10).map(list).collect(), revision: 0, plain: Vec::new() }
    }

    /// The next revision, and its time.
    fn write(&mut self) -> (i64, Timestamp) {
        self.revision += 1;
        (self.revision, Timestamp::from_millis(FIRST_MS + self.revision * 1_001))
    }

    fn org(&mut self, index: usize) -> Value {
        let (revision, at) = self.write();
        let id = OrgId::new(at, &self.random).to_string();
        let (name, slug) = (format!("Customer {index:06}"), format!("customer-{index:06}"));
        let at = text(at);
        json!({"id": id, "name": name, "slug": slug, "created_at": at, "updated_at": at, "revision": revision})
    }

    fn key(&mut self, index: usize, org: &Value) -> Value {
        let (revision, at) = self.write();
        let good = index < BATCH;
        let later = |given: bool, at: Timestamp| given.then(|| text(at));
        let expires = Timestamp::from_millis(FIRST_MS + 1_000_000_000_000);
        json!({
            "id": KeyId::new(at, &self.random).to_string(),
            "org_id": org,
            "name": format!("{} {index:07}", WORDS[index % WORDS.len()]),
            "environment": if index % 3 == 2 && !good { "test" } else { "live" },
            "permissions": self.permissions[index / 7 % self.permissions.len()],
            "created_at": text(at),
            "updated_at": text(at),
            "expires_at": later(index % 4 == 1, expires),
            "disabled_at": later(index % 50 == 7 && !good, at),
            "revoked_at": later(index % 20 == 3 && !good, at),
            "revision": revision,
        })
    }

    fn secret(&mut self, index: usize, key: &Value, number: usize) -> Value {
        let (_, at) = self.write();
        let mut hash = [0; 32];
        if index < 100 {
            let secret = Secret::mint(&SecretPrefix::default(), Plane::Live, &self.random).expect("randomness");
            hash = Hashing::Plain.hash(&secret).0;
            self.plain.push(secret.expose().to_owned());
        } else {
            self.random.fill(&mut hash);
        }
        json!({
            "id": SecretId::new(at, &self.random).to_string(),
            "key_id": key["id"],
            "hash": hash.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
            "hash_alg": "sha256",
            "hint": "op_live_…0000",
            "created_at": text(at),
            "expires_at": (number > 0).then_some("2050-01-01T00:00:00+00:00"),
            "revision": key["revision"].as_i64().unwrap_or_default() + i64::try_from(number).unwrap_or_default(),
        })
    }
}
