//! What `authorize` reads: every key and org and the policies, in memory, at one revision.
//!
//! A [`Snapshot`] is one moment and never changes. The [`Keeper`] holds the current one and makes the next: its maps share
//! structure, so a write copies no map, and a request that took a snapshot never sees half a write.

mod config;
pub mod files;
mod keeper;
mod pool;
mod protocol;
mod reaper;
pub mod reload;
mod rows;
mod uses;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

pub use config::ConsistencyConfig;
pub use keeper::{Committed, Keeper, PolicyFailure};
pub use pool::Caller;
pub use protocol::{Admission, Fence};
pub use rows::{KeyRow, OrgRow, SecretRow};

use crate::{
    domain::{
        clock::{Timestamp, Uptime},
        id::{KeyId, OrgId},
        key::Refusal,
        secret::SecretHash,
    },
    policy::Engine,
    store::Head,
};
use rows::Rows;

/// A loaded policy set, and since when it is in force.
#[derive(Debug)]
pub struct Policies {
    pub engine: Engine,
    pub loaded_at: Timestamp,
}

/// Every key and org at one revision, and the policies of that moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    rows: Rows,
    head: Head,
    policies: Arc<Policies>,
    confirmed: Arc<Confirmed>,
}

/// As of when a snapshot's rows are known to have been everything; later polls that find nothing new move it.
#[derive(Debug)]
struct Confirmed(AtomicI64);

impl Confirmed {
    const NEVER: i64 = i64::MIN;

    fn new(at: Option<Uptime>) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(at.map_or(Self::NEVER, Uptime::as_nanos))))
    }

    fn set(&self, at: Option<Uptime>) {
        self.0.store(at.map_or(Self::NEVER, Uptime::as_nanos), Ordering::Release);
    }

    fn at(&self) -> Option<Uptime> {
        Some(self.0.load(Ordering::Acquire)).filter(|nanos| *nanos != Self::NEVER).map(Uptime::from_nanos)
    }
}

/// A key that was found by its secret, with its org: what one request is decided on.
#[derive(Debug, Clone)]
pub struct Found {
    pub key: Arc<KeyRow>,
    pub org: Arc<OrgRow>,
    pub secret: SecretRow,
}

impl Snapshot {
    /// The highest N with every change up to N applied.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.head.revision
    }

    /// The history that the revision belongs to.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.head.epoch
    }

    /// As of when the rows are known to have been everything; `None`: they may not be decided on.
    fn confirmed(&self) -> Option<Uptime> {
        self.confirmed.at()
    }

    /// The policies in force.
    #[must_use]
    pub const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// The org by its id, deleted ones included.
    #[must_use]
    pub fn org(&self, id: OrgId) -> Option<&Arc<OrgRow>> {
        self.rows.org(id)
    }

    /// The key by its id, revoked ones included.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Arc<KeyRow>> {
        self.rows.key(id)
    }

    /// How many keys and orgs there are, tombstones included.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.rows.counts()
    }

    /// Finds the key that one of the hashes belongs to, and refuses it where any "no" holds at `now`.
    ///
    /// # Errors
    /// The reason, for telemetry; with what was found, when the secret was known.
    pub fn authenticate(
        &self,
        hashes: impl IntoIterator<Item = SecretHash>,
        now: Timestamp,
    ) -> Result<Found, (Refusal, Option<Found>)> {
        let unknown = (Refusal::Unknown, None);
        let Some(found) = hashes.into_iter().find_map(|hash| self.rows.find(&hash)) else { return Err(unknown) };
        match found.key.standing(&found.org, found.secret.expires_at).refusal(now) {
            None => Ok(found),
            Some(refusal) => Err((refusal, Some(found))),
        }
    }
}
