//! Who changes what: the author that every write names, and the audit rows with their hashes.

mod chain;
mod filter;
mod head;

use sha2::{Digest, Sha256};

pub use self::{
    chain::{AuditCheck, Break, Chain, Fault, Unreadable},
    filter::{ActionName, ActorName, AuditFilter, TargetName},
    head::{AuditHead, from_hex, hex},
};
use super::{
    admin::Role,
    clock::Timestamp,
    id::{AdminId, RequestId},
};

/// The chain's state before the first row.
pub const START: [u8; 32] = [0; 32];

/// On whose behalf a write happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Over HTTP. The write's transaction checks that this admin still exists, unrevoked, in this role.
    Admin { id: AdminId, role: Role },
    /// At the command line of a machine that holds the configuration.
    CommandLine,
    /// The server itself, for example `claviger dev` making its demo keys.
    System,
}

impl Actor {
    /// The word in the audit row.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Admin { .. } => "admin",
            Self::CommandLine => "command_line",
            Self::System => "system",
        }
    }
}

/// Everything that a write records besides the change itself.
#[derive(Debug, Clone)]
pub struct Author {
    pub actor: Actor,
    pub at: Timestamp,
    /// The caller's `X-Request-Id` or ours, redacted.
    pub request_id: Option<String>,
    /// The peer's address without the port.
    pub address: Option<String>,
}

impl Author {
    /// The command line, now.
    #[must_use]
    pub fn command_line(at: Timestamp) -> Self {
        Self { actor: Actor::CommandLine, at, request_id: None, address: None }
    }

    /// The server itself, now.
    #[must_use]
    pub fn system(at: Timestamp) -> Self {
        Self { actor: Actor::System, at, request_id: None, address: None }
    }

    /// A request id of the product's own for callers that sent none.
    #[must_use]
    pub fn with_request(mut self, id: RequestId) -> Self {
        self.request_id = Some(id.to_string());
        self
    }
}

/// What one audit row says, as hashed and as stored: the stored text is the hashed text, also of ids and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub revision: i64,
    /// `evt_…`
    pub id: String,
    /// RFC 3339, UTC, milliseconds.
    pub at: String,
    /// As [`Actor::kind`].
    pub actor_kind: String,
    /// `adm_…`, of an admin.
    pub actor_id: Option<String>,
    /// `org.suspend`, `key.rotate`, …
    pub action: String,
    /// The id of the org, the key or the admin.
    pub target: String,
    pub reason: Option<String>,
    /// JSON of what changed, before; `None` for a creation. Never a secret, a hash or a pepper id.
    pub before: Option<String>,
    pub after: Option<String>,
    pub request_id: Option<String>,
    /// Of the caller, without the port.
    pub address: Option<String>,
}

/// One audit row with its two hashes; what somebody wrote past the product may be of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub record: AuditRecord,
    /// The hash of the row before it.
    pub previous: Vec<u8>,
    pub hash: Vec<u8>,
}

impl AuditRecord {
    /// SHA-256 over the previous hash and every field, each with its length before it, `None` apart from empty: no two
    /// different rows have the same bytes to hash (`docs/audit.md`).
    #[must_use]
    pub fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        self.hash_as(self.revision, previous)
    }

    /// The hash that the row would have at another revision.
    fn hash_as(&self, revision: i64, previous: &[u8; 32]) -> [u8; 32] {
        let revision = revision.to_string();
        let fields = [
            Some(revision.as_str()),
            Some(&self.id),
            Some(&self.at),
            Some(&self.actor_kind),
            self.actor_id.as_deref(),
            Some(&self.action),
            Some(&self.target),
            self.reason.as_deref(),
            self.before.as_deref(),
            self.after.as_deref(),
            self.request_id.as_deref(),
            self.address.as_deref(),
        ];
        let mut sha = Sha256::new();
        sha.update(previous);
        for field in fields {
            match field {
                None => sha.update([0]),
                Some(text) => {
                    sha.update([1]);
                    sha.update((text.len() as u64).to_be_bytes());
                    sha.update(text);
                }
            }
        }
        sha.finalize().into()
    }
}
