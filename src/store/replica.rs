//! Replicas of a Postgres: who decides from this database, how far each has come, and the poll by which each follows.
//!
//! SQLite has one server and no rows here; its poll only reads.

use std::time::Duration;

use sqlx::{
    ConnectOptions, FromRow,
    postgres::{PgConnectOptions, PgConnection},
};

use super::{
    Engine, Head, Store, StoreError,
    migration::no_meta,
    moment::Moment,
    stored::{Problem, Stored},
    tx::Tx,
};
use crate::domain::{
    clock::Timestamp,
    id::ReplicaId,
    replica::{Presence, Replica},
};

/// What the database answered to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// The replica's row is gone: whoever waited for it has stopped waiting.
    Unregistered,
    Seen {
        revision: i64,
        epoch: String,
        /// The tag of the revision that the poll was sent with; another one, or none, belongs to another history.
        tag: Option<String>,
        /// The database's clock, where it is another machine's.
        clock: Option<Timestamp>,
    },
}

/// The registered replicas, and the history that their acknowledgements belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    pub revision: i64,
    pub epoch: String,
    pub replicas: Vec<Replica>,
}

/// A replica's own connection for its polls, so that no burst of other calls delays them.
#[derive(Debug)]
pub struct Poller {
    store: Store,
    presence: Presence,
    connection: Option<PgConnection>,
}

impl Poller {
    /// Sends one poll, which acknowledges `applied` and renews the lease. A poll that was given up midway takes its connection
    /// with it.
    pub async fn poll(&mut self, applied: &Head, policy_set: &str) -> Result<Poll, StoreError> {
        let options = match &self.store.engine {
            Engine::Sqlite(_) => return self.store.read_poll(applied).await,
            Engine::Postgres(pools) => pools.reader.connect_options(),
        };
        let id = self.presence.id;
        if let Some(mut connection) = self.connection.take()
            && let Ok(poll) = renew(&mut connection, id, applied, policy_set).await
        {
            self.connection = Some(connection);
            return Ok(poll);
        }
        // There was none, or it was cut: a new one may be had at once.
        let mut connection = PgConnectOptions::clone(&options).connect().await?;
        let poll = renew(&mut connection, id, applied, policy_set).await?;
        self.connection = Some(connection);
        Ok(poll)
    }
}

#[derive(FromRow)]
struct PollRow {
    revision: i64,
    epoch: String,
    tag: Option<String>,
    clock: Option<Moment>,
}

impl From<PollRow> for Poll {
    fn from(row: PollRow) -> Self {
        Self::Seen { revision: row.revision, epoch: row.epoch, tag: row.tag, clock: row.clock.map(|clock| clock.0) }
    }
}

/// One statement, so that what it reads and what it acknowledges are of one moment, and an answer means that it was committed.
/// The database itself refuses an acknowledgement of another history.
async fn renew(connection: &mut PgConnection, id: ReplicaId, applied: &Head, policy_set: &str) -> Result<Poll, StoreError> {
    const RENEW: &str = "UPDATE replica SET policy_set = $5, seen_at = clock_timestamp(), acked_revision = CASE \
             WHEN meta.epoch = $3 AND (SELECT tag FROM change WHERE revision = $2) IS NOT DISTINCT FROM $4 THEN $2 ELSE -1 END \
         FROM meta WHERE replica.id = $1 \
         RETURNING meta.revision, meta.epoch, (SELECT tag FROM change WHERE revision = $2) AS tag, clock_timestamp() AS clock";
    let query = sqlx::query_as(RENEW).bind(id.to_string()).bind(applied.revision).bind(&applied.epoch).bind(&applied.tag);
    let row: Option<PollRow> = query.bind(policy_set).fetch_optional(connection).await?;
    Ok(row.map_or(Poll::Unregistered, Poll::from))
}

#[derive(FromRow)]
struct ReplicaRow {
    id: String,
    address: String,
    version: String,
    policy_set: String,
    acked_revision: i64,
    max_staleness_ms: i64,
    started_at: Moment,
    seen_at: Moment,
}

impl TryFrom<ReplicaRow> for Replica {
    type Error = Problem;

    fn try_from(row: ReplicaRow) -> Result<Self, Problem> {
        let max_staleness = Duration::from_millis(row.max_staleness_ms.try_into()?);
        Ok(Self {
            presence: Presence { id: row.id.parse()?, address: row.address, version: row.version, max_staleness },
            policy_set: row.policy_set,
            acked_revision: Some(row.acked_revision).filter(|revision| *revision >= 0),
            started_at: row.started_at.0,
            seen_at: row.seen_at.0,
        })
    }
}

impl Store {
    /// Whether several servers may share this database.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// The polls of one replica; it connects with the first.
    #[must_use]
    pub fn poller(&self, presence: Presence) -> Poller {
        Poller { store: self.clone(), presence, connection: None }
    }

    async fn read_poll(&self, applied: &Head) -> Result<Poll, StoreError> {
        const READ: &str = "SELECT revision, epoch, (SELECT tag FROM change WHERE revision = $1) AS tag, NULL AS clock FROM meta";
        let row: Option<PollRow> = match &self.engine {
            Engine::Sqlite(pools) => sqlx::query_as(READ).bind(applied.revision).fetch_optional(&pools.reader).await?,
            Engine::Postgres(_) => None,
        };
        row.map(Poll::from).ok_or_else(no_meta)
    }

    /// Makes the replica known before it reads anything: from here on, whoever waits for all replicas waits for it. Nothing on
    /// SQLite.
    pub async fn register_replica(&self, presence: &Presence) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO replica \
                 (id, address, version, policy_set, acked_revision, max_staleness_ms, started_at, seen_at) \
             VALUES ($1, $2, $3, '', -1, $4, clock_timestamp(), clock_timestamp()) \
             ON CONFLICT (id) DO UPDATE SET acked_revision = -1, seen_at = clock_timestamp()";
        if let Engine::Postgres(pools) = &self.engine {
            let query = sqlx::query(INSERT).bind(presence.id.to_string()).bind(&presence.address).bind(&presence.version);
            query.bind(millis(presence.max_staleness)).execute(&pools.writer).await?;
        }
        Ok(())
    }

    /// Takes the replica off the list, after its last answer.
    pub async fn withdraw_replica(&self, id: ReplicaId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM replica WHERE id = $1";
        if let Engine::Postgres(pools) = &self.engine {
            sqlx::query(DELETE).bind(id.to_string()).execute(&pools.writer).await?;
        }
        Ok(())
    }

    /// Takes a replica off the list that has not renewed its lease since `seen_at`.
    pub async fn reap_replica(&self, id: ReplicaId, seen_at: Timestamp) -> Result<(), StoreError> {
        // The column is finer than a timestamp of ours.
        const DELETE: &str = "DELETE FROM replica WHERE id = $1 AND date_trunc('milliseconds', seen_at) = $2";
        if let Engine::Postgres(pools) = &self.engine {
            sqlx::query(DELETE).bind(id.to_string()).bind(Moment(seen_at)).execute(&pools.writer).await?;
        }
        Ok(())
    }

    /// The registered replicas, oldest first; none on SQLite. A row that cannot be read fails the call: who waits for all must
    /// not overlook one.
    pub async fn list_replicas(&self) -> Result<Replicas, StoreError> {
        const LIST: &str = "SELECT id, address, version, policy_set, acked_revision, max_staleness_ms, started_at, seen_at \
             FROM replica ORDER BY id";
        let mut tx = self.begin_read().await?;
        let Head { revision, epoch, .. } = tx.head().await?;
        let rows: Vec<Stored<ReplicaRow>> = on!(Tx, &mut tx, tx => sqlx::query_as(LIST).fetch_all(&mut **tx).await)?;
        tx.rollback().await?;
        let replicas = rows.into_iter().map(|row| row.read("replica")).collect::<Result<_, _>>()?;
        Ok(Replicas { revision, epoch, replicas })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
