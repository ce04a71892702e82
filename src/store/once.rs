//! A write that may be asked for twice: the second time it is answered as the first time, and nothing is written.

use std::time::Duration;

use serde_json::Value;

use super::{
    StoreError,
    moment::Moment,
    stored::{corrupt, expect_one},
    tx::Tx,
};
use crate::domain::{
    audit::{Actor, Author},
    clock::Timestamp,
};

/// How long an answer is given again.
const KEPT: Duration = Duration::from_hours(24);

/// What tells a write that is asked for again from a new one, and how it is answered then.
#[derive(Debug)]
pub struct Once<T> {
    /// Method and path: the same key for another route is another key.
    pub route: String,
    /// The caller's name for the write.
    pub key: String,
    /// SHA-256 of the request's body.
    pub request: [u8; 32],
    /// The answer as it is kept and given again: without any secret. It takes what was written, and the write's revision.
    pub answer: fn(&T, i64) -> Value,
}

/// A write as somebody asks for it: on whose behalf, and whether it must not be made twice.
#[derive(Debug)]
pub struct Attempt<T> {
    pub author: Author,
    pub once: Option<Once<T>>,
}

impl<T> From<&Author> for Attempt<T> {
    fn from(author: &Author) -> Self {
        Self { author: author.clone(), once: None }
    }
}

/// Whose keys they are: an admin, which is one token, shares them with nobody.
fn asker(actor: &Actor) -> String {
    match actor {
        Actor::Admin { id, .. } => id.to_string(),
        Actor::CommandLine | Actor::System => actor.kind().to_owned(),
    }
}

/// Answers from this moment or before it are over.
fn over(now: Timestamp) -> Moment {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    Moment(Timestamp::from_millis(now.as_millis().saturating_sub(kept)))
}

impl Tx {
    /// What the same request was answered, if it was made before under the same key.
    pub(super) async fn find_answer<T>(&mut self, author: &Author, once: &Once<T>) -> Result<Option<Value>, StoreError> {
        const FIND: &str =
            "SELECT request, answer FROM idempotency WHERE admin_id = $1 AND route = $2 AND key = $3 AND created_at > $4";
        let row: Option<(Vec<u8>, String)> = on!(Self, self, tx => {
            let query = sqlx::query_as(FIND).bind(asker(&author.actor)).bind(&once.route).bind(&once.key).bind(over(author.at));
            query.fetch_optional(&mut **tx).await
        })?;
        let Some((request, answer)) = row else { return Ok(None) };
        if request != once.request {
            return Err(StoreError::AnotherRequest);
        }
        let answer = serde_json::from_str(&answer).map_err(|error| corrupt("idempotency", &once.key, &error.into()))?;
        Ok(Some(answer))
    }

    /// Keeps the answer to this write, in place of one under the same key that is over.
    pub(super) async fn keep_answer<T>(
        &mut self,
        author: &Author,
        once: &Once<T>,
        value: &T,
        revision: i64,
    ) -> Result<(), StoreError> {
        const KEEP: &str = "INSERT INTO idempotency (admin_id, route, key, request, revision, answer, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (admin_id, route, key) DO UPDATE SET request = excluded.request, \
             revision = excluded.revision, answer = excluded.answer, created_at = excluded.created_at";
        let answer = (once.answer)(value, revision).to_string();
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(KEEP)
                .bind(asker(&author.actor))
                .bind(&once.route)
                .bind(&once.key)
                .bind(&once.request[..])
                .bind(revision)
                .bind(answer)
                .bind(Moment(author.at));
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "idempotency", &once.key)?;
        self.forget_answers(author.at).await
    }

    /// Each answer that is kept takes away some that are over: more than come, and never so many that a write is held up.
    async fn forget_answers(&mut self, now: Timestamp) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM idempotency WHERE (admin_id, route, key) IN \
             (SELECT admin_id, route, key FROM idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT 200)";
        on!(Self, self, tx => sqlx::query(FORGET).bind(over(now)).execute(&mut **tx).await.map(drop))?;
        Ok(())
    }
}
