//! When secrets were last used: noted in batches, never by a request.

use std::collections::BTreeMap;

use super::{Engine, Store, StoreError};
use crate::domain::{clock::Timestamp, id::SecretId};

impl Store {
    /// Notes uses, forward only, in one statement. Moves neither the revision nor the audit log.
    pub async fn note_uses(&self, uses: &BTreeMap<SecretId, Timestamp>) -> Result<(), StoreError> {
        // In the order of the ids, so that two replicas that note the same secrets wait for each other and do not deadlock.
        // SQLite needs the WHERE to tell the ON of a conflict from the one of a join.
        const POSTGRES: &str = "INSERT INTO secret_use (secret_id, last_used_at) \
             SELECT key, value::timestamptz FROM jsonb_each_text($1::jsonb) ORDER BY key COLLATE \"C\" \
             ON CONFLICT (secret_id) DO UPDATE SET last_used_at = excluded.last_used_at \
             WHERE secret_use.last_used_at < excluded.last_used_at";
        const SQLITE: &str = "INSERT INTO secret_use (secret_id, last_used_at) \
             SELECT key, value FROM json_each($1) WHERE true ORDER BY key \
             ON CONFLICT (secret_id) DO UPDATE SET last_used_at = excluded.last_used_at \
             WHERE secret_use.last_used_at < excluded.last_used_at";
        if uses.is_empty() {
            return Ok(());
        }
        let times: serde_json::Map<String, serde_json::Value> =
            uses.iter().map(|(id, at)| (id.to_string(), at.to_string().into())).collect();
        let times = serde_json::Value::Object(times).to_string();
        match &self.engine {
            Engine::Sqlite(pools) => sqlx::query(SQLITE).bind(times).execute(&pools.writer).await.map(drop)?,
            Engine::Postgres(pools) => sqlx::query(POSTGRES).bind(times).execute(&pools.writer).await.map(drop)?,
        }
        Ok(())
    }
}
