//! What only `claviger doctor` asks: reads over whole tables that no decision and no write needs.

use sqlx::FromRow;

use super::{
    DatabaseConfig, Engine, Pools, Store, StoreError, config::Place, key::parse_permissions, moment::Moment, postgres, sqlite,
};
use crate::domain::{clock::Timestamp, permission::Permissions, random::Random};

/// Living secrets of keys, or admin tokens, that are hashed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct HashedAlike {
    /// As `domain::secret::Hashing` names it.
    pub algorithm: String,
    pub pepper_id: Option<String>,
    pub count: i64,
    /// The id of one of these keys or admins.
    pub example: String,
}

/// Living secrets by the way they are hashed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashedSecrets {
    pub of_keys: Vec<HashedAlike>,
    pub of_admins: Vec<HashedAlike>,
}

/// Living keys that hold exactly the same permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedAlike {
    /// `None` when they cannot be read.
    pub permissions: Option<Permissions>,
    pub keys: i64,
    /// The id of one of these keys.
    pub example: String,
}

#[derive(FromRow)]
struct GrantRow {
    permissions: String,
    keys: i64,
    example: String,
}

impl From<GrantRow> for GrantedAlike {
    fn from(row: GrantRow) -> Self {
        Self { permissions: parse_permissions(&row.permissions).ok(), keys: row.keys, example: row.example }
    }
}

impl Store {
    /// Connects to a database that is there, to read and nothing else: no file is made, and a write-ahead log that another
    /// process left behind stays as it is.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_to_read(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let engine = match Place::parse(&config.url)? {
            Place::Sqlite(options) => Engine::Sqlite(sqlite::open_to_read(options).await?),
            Place::Postgres(options) => Engine::Postgres(postgres::open(options).await?),
        };
        Ok(Self { engine, random: Random::System })
    }

    /// The shortest question there is. Answers the database's clock where that is another machine's.
    pub async fn read_clock(&self) -> Result<Option<Timestamp>, StoreError> {
        match &self.engine {
            Engine::Sqlite(Pools { reader, .. }) => {
                sqlx::query("SELECT 1").execute(reader).await?;
                Ok(None)
            }
            Engine::Postgres(Pools { reader, .. }) => {
                let clock: Moment = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(reader).await?;
                Ok(Some(clock.0))
            }
        }
    }

    /// How the secrets are hashed that could authenticate at `now`.
    pub async fn count_hashed(&self, now: Timestamp) -> Result<HashedSecrets, StoreError> {
        const OF_KEYS: &str = "SELECT s.hash_alg AS algorithm, s.pepper_id, COUNT(*) AS count, MIN(k.id) AS example \
             FROM secret s JOIN api_key k ON k.id = s.key_id JOIN org o ON o.id = k.org_id \
             WHERE k.revoked_at IS NULL AND o.deleted_at IS NULL \
             AND (k.expires_at IS NULL OR k.expires_at > $1) AND (s.expires_at IS NULL OR s.expires_at > $1) \
             GROUP BY s.hash_alg, s.pepper_id ORDER BY MIN(k.id)";
        const OF_ADMINS: &str = "SELECT hash_alg AS algorithm, pepper_id, COUNT(*) AS count, MIN(id) AS example \
             FROM admin WHERE revoked_at IS NULL GROUP BY hash_alg, pepper_id ORDER BY MIN(id)";
        Ok(on!(Engine, &self.engine, pools => HashedSecrets {
            of_keys: sqlx::query_as(OF_KEYS).bind(Moment(now)).fetch_all(&pools.reader).await?,
            of_admins: sqlx::query_as(OF_ADMINS).fetch_all(&pools.reader).await?,
        }))
    }

    /// What the keys may do that could authenticate at `now`.
    pub async fn count_grants(&self, now: Timestamp) -> Result<Vec<GrantedAlike>, StoreError> {
        const GRANTS: &str = "SELECT k.permissions, COUNT(*) AS keys, MIN(k.id) AS example \
             FROM api_key k JOIN org o ON o.id = k.org_id \
             WHERE k.revoked_at IS NULL AND o.deleted_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $1) \
             GROUP BY k.permissions ORDER BY MIN(k.id)";
        let rows: Vec<GrantRow> =
            on!(Engine, &self.engine, pools => sqlx::query_as(GRANTS).bind(Moment(now)).fetch_all(&pools.reader).await)?;
        Ok(rows.into_iter().map(GrantedAlike::from).collect())
    }
}
