//! What is kept: organizations, keys, admins, audit, in SQLite or Postgres.
//!
//! One text of SQL serves both engines; where they truly differ, a `match` is written out. Every write is one method and one
//! transaction: the rows, the audit row, the change row and the revision (`docs/ARCHITECTURE.md`, "A write").

/// Runs one body on whichever engine `$value` holds; the body is checked once per engine, with concrete types.
macro_rules! on {
    ($kind:ident, $value:expr, $inner:ident => $body:expr) => {
        match $value {
            $kind::Sqlite($inner) => $body,
            $kind::Postgres($inner) => $body,
        }
    };
}

mod admin;
mod audit;
mod backup;
mod change;
mod config;
mod error;
mod fact;
mod head;
mod hint;
mod key;
mod last_use;
mod load;
mod lock;
mod migration;
mod moment;
mod once;
mod org;
mod page;
mod postgres;
mod replica;
mod rotation;
mod sqlite;
mod stored;
mod survey;
mod tx;
mod write;

use std::fmt;

use sqlx::{Database, Pool, Postgres, Sqlite};

use self::config::Place;
pub use self::{
    backup::{BackupError, Ending, Libpq, Summary, Undoing, Undone},
    change::Changes,
    config::DatabaseConfig,
    error::StoreError,
    fact::{Fact, KeyFacts, OrgFacts, SecretFacts},
    head::Head,
    hint::Hints,
    lock::ServerLock,
    once::{Attempt, Once},
    page::{Listing, Page},
    replica::{Poll, Poller, Replicas},
    survey::{GrantedAlike, HashedAlike, HashedSecrets},
    write::Written,
};
pub use crate::domain::audit::AuditCheck;
use crate::domain::random::Random;

/// Who warns in the log of statements that take long.
pub const STATEMENTS: &str = "sqlx::query";

/// The database, behind one set of methods for both engines. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    /// For ids, change tags and the epoch.
    random: Random,
}

#[derive(Clone)]
enum Engine {
    Sqlite(Pools<Sqlite>),
    Postgres(Pools<Postgres>),
}

/// Writers queue on their own few connections, so that a burst of writes leaves the reads theirs.
struct Pools<DB: Database> {
    writer: Pool<DB>,
    reader: Pool<DB>,
}

impl<DB: Database> Clone for Pools<DB> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), reader: self.reader.clone() }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.engine {
            Engine::Sqlite(_) => "Store(sqlite)",
            Engine::Postgres(_) => "Store(postgres)",
        })
    }
}

impl Store {
    /// Connects once, so that a wrong configuration is told now. A new SQLite file is made with mode 0600; the schema is
    /// [`Store::migrate`]'s work.
    ///
    /// # Errors
    /// One sentence that says what to do, never with a password.
    pub async fn open(config: &DatabaseConfig, random: Random) -> Result<Self, StoreError> {
        let engine = match Place::parse(&config.url)? {
            Place::Sqlite(options) => Engine::Sqlite(sqlite::open(options).await?),
            Place::Postgres(options) => Engine::Postgres(postgres::open(options).await?),
        };
        Ok(Self { engine, random })
    }

    /// Ends the connections after the calls in flight; later calls are [`StoreError::Unavailable`].
    pub async fn close(&self) {
        on!(Engine, &self.engine, pools => {
            pools.reader.close().await;
            pools.writer.close().await;
        });
    }
}
