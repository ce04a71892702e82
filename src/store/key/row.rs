//! How a key and its secrets lie in their tables.

use serde_json::{Map, Value, json};
use sqlx::FromRow;

use super::{StoreError, Tx};
use crate::{
    domain::{
        key::{Key, KeySecret, Revocation},
        name::Reason,
        permission::{Permission, Permissions},
        secret::SealedSecret,
    },
    store::{
        moment::Moment,
        stored::{Problem, Stored, corrupt, expect_one, required, time},
    },
};

macro_rules! select_key {
    ($from:literal) => {
        concat!(
            "SELECT k.id, k.org_id, k.name, k.environment, k.permissions, k.created_at, k.updated_at, k.expires_at, \
             k.disabled_at, k.revoked_at, k.revocation_reason, s.id AS secret_id, s.hint AS secret_hint, \
             s.created_at AS secret_created_at, s.expires_at AS secret_expires_at, u.last_used_at AS secret_last_used_at \
             FROM ",
            $from,
            " LEFT JOIN secret s ON s.key_id = k.id LEFT JOIN secret_use u ON u.secret_id = s.id ORDER BY k.id, s.revision"
        )
    };
}

/// One key by id, with its secrets, in one statement and so of one moment.
pub(super) const FIND: &str = select_key!("(SELECT * FROM api_key WHERE id = $1) k");
/// One page of an org's keys.
pub(super) const LIST: &str = select_key!("(SELECT * FROM api_key WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3) k");

#[derive(FromRow)]
pub(super) struct KeyRow {
    id: String,
    org_id: String,
    name: String,
    environment: String,
    permissions: String,
    created_at: Moment,
    updated_at: Moment,
    expires_at: Option<Moment>,
    disabled_at: Option<Moment>,
    revoked_at: Option<Moment>,
    revocation_reason: Option<String>,
    secret_id: Option<String>,
    secret_hint: Option<String>,
    secret_created_at: Option<Moment>,
    secret_expires_at: Option<Moment>,
    secret_last_used_at: Option<Moment>,
}

impl TryFrom<KeyRow> for Key {
    type Error = Problem;

    fn try_from(row: KeyRow) -> Result<Self, Problem> {
        let revocation = match row.revoked_at {
            None => None,
            Some(Moment(at)) => Some(Revocation { at, reason: row.revocation_reason.map(|text| text.parse()).transpose()? }),
        };
        let secret = match row.secret_id {
            None => None,
            Some(id) => Some(KeySecret {
                id: id.parse()?,
                hint: required(row.secret_hint, "secret.hint")?,
                created_at: required(row.secret_created_at, "secret.created_at")?.0,
                expires_at: row.secret_expires_at.map(|at| at.0),
                last_used_at: row.secret_last_used_at.map(|at| at.0),
            }),
        };
        Ok(Self {
            id: row.id.parse()?,
            org: row.org_id.parse()?,
            name: row.name.parse()?,
            environment: row.environment.parse()?,
            permissions: parse_permissions(&row.permissions)?,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            expires_at: row.expires_at.map(|at| at.0),
            disabled_at: row.disabled_at.map(|at| at.0),
            revocation,
            secrets: secret.into_iter().collect(),
        })
    }
}

/// Joined rows, one for each secret, as keys; the rows of a key follow each other.
pub(super) fn fold(rows: Vec<Stored<KeyRow>>) -> Result<Vec<Key>, StoreError> {
    let mut keys: Vec<Key> = Vec::new();
    for row in rows {
        let mut key: Key = row.read("api_key")?;
        match keys.last_mut() {
            Some(last) if last.id == key.id => last.secrets.append(&mut key.secrets),
            _ => keys.push(key),
        }
    }
    Ok(keys)
}

/// A JSON array of permission names.
pub(in crate::store) fn parse_permissions(text: &str) -> Result<Permissions, Problem> {
    let names: Vec<String> = serde_json::from_str(text)?;
    names.iter().map(|name| Ok(name.parse::<Permission>()?)).collect()
}

/// The key as the audit log shows it, with those of its secrets that `known` does not have in the same state.
pub(super) fn view(key: &Key, known: &[KeySecret]) -> Map<String, Value> {
    let secrets = key.secrets.iter().filter(|secret| !known.contains(secret));
    let secrets: Vec<Value> =
        secrets.map(|secret| json!({ "id": secret.id, "hint": secret.hint, "expires_at": time(secret.expires_at) })).collect();
    let revocation = key.revocation.as_ref();
    [
        ("org", json!(key.org)),
        ("name", json!(key.name)),
        ("environment", json!(key.environment)),
        ("permissions", json!(key.permissions)),
        ("expires_at", time(key.expires_at)),
        ("disabled_at", time(key.disabled_at)),
        ("revoked_at", time(revocation.map(|revocation| revocation.at))),
        ("revocation_reason", json!(revocation.and_then(|revocation| revocation.reason.as_ref()))),
        ("secrets", Value::Array(secrets)),
    ]
    .into_iter()
    .map(|(member, value)| (member.to_owned(), value))
    .collect()
}

impl Tx {
    pub(super) async fn insert_key(&mut self, key: &Key, revision: i64) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO api_key (id, org_id, name, environment, permissions, created_at, updated_at, \
             expires_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT)
                .bind(key.id.to_string())
                .bind(key.org.to_string())
                .bind(key.name.as_str())
                .bind(key.environment.as_str())
                .bind(json!(key.permissions).to_string())
                .bind(Moment(key.created_at))
                .bind(Moment(key.updated_at))
                .bind(Moment::of(key.expires_at))
                .bind(revision);
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "api_key", &key.id.to_string())
    }

    pub(super) async fn update_key(&mut self, key: &Key, revision: i64) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE api_key SET name = $2, permissions = $3, updated_at = $4, expires_at = $5, \
             disabled_at = $6, revoked_at = $7, revocation_reason = $8, revision = $9 WHERE id = $1";
        let revocation = key.revocation.as_ref();
        let reason = revocation.and_then(|revocation| revocation.reason.as_ref());
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(UPDATE)
                .bind(key.id.to_string())
                .bind(key.name.as_str())
                .bind(json!(key.permissions).to_string())
                .bind(Moment(key.updated_at))
                .bind(Moment::of(key.expires_at))
                .bind(Moment::of(key.disabled_at))
                .bind(Moment::of(revocation.map(|revocation| revocation.at)))
                .bind(reason.map(Reason::as_str))
                .bind(revision);
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "api_key", &key.id.to_string())
    }

    /// Writes the secrets that differ from `before`; one that is new there is the one that `sealed` seals.
    pub(super) async fn write_secrets(
        &mut self,
        key: &Key,
        before: &[KeySecret],
        sealed: Option<&SealedSecret>,
        revision: i64,
    ) -> Result<(), StoreError> {
        for secret in &key.secrets {
            match before.iter().find(|known| known.id == secret.id) {
                Some(known) if known == secret => {}
                Some(_) => self.update_secret(secret).await?,
                None => {
                    let sealed =
                        required(sealed, "hash").map_err(|problem| corrupt("secret", &secret.id.to_string(), &problem))?;
                    self.insert_secret(key, secret, sealed, revision).await?;
                }
            }
        }
        Ok(())
    }

    async fn insert_secret(
        &mut self,
        key: &Key,
        secret: &KeySecret,
        sealed: &SealedSecret,
        revision: i64,
    ) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO secret (id, key_id, hash, hash_alg, pepper_id, hint, created_at, expires_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT)
                .bind(secret.id.to_string())
                .bind(key.id.to_string())
                .bind(&sealed.hash.0[..])
                .bind(sealed.algorithm)
                .bind(&sealed.pepper_id)
                .bind(&secret.hint)
                .bind(Moment(secret.created_at))
                .bind(Moment::of(secret.expires_at))
                .bind(revision);
            query.execute(&mut **tx).await.map(|done| done.rows_affected())
        });
        let rows = rows.map_err(|error| StoreError::of_insert(error, || "the secret is in use already".to_owned()))?;
        expect_one(rows, "secret", &secret.id.to_string())
    }

    async fn update_secret(&mut self, secret: &KeySecret) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE secret SET expires_at = $2 WHERE id = $1";
        let id = secret.id.to_string();
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(UPDATE).bind(&id).bind(Moment::of(secret.expires_at));
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "secret", &id)
    }
}
