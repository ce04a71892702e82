//! Who changes what: the author that every write names, and the hash chain over the audit rows.

use sha2::{Digest, Sha256};

use super::{
    admin::Role,
    clock::Timestamp,
    id::{AdminId, EventId, RequestId},
};

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

/// One audit row, as hashed and as stored: the stored text is the hashed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub revision: i64,
    pub id: EventId,
    pub at: Timestamp,
    pub actor_kind: String,
    pub actor_id: Option<String>,
    /// `org.suspend`, `key.rotate`, …
    pub action: String,
    pub target: String,
    pub reason: Option<String>,
    /// JSON of what changed, before; `None` for a creation. Never a secret, a hash or a pepper id.
    pub before: Option<String>,
    pub after: Option<String>,
    pub request_id: Option<String>,
    pub address: Option<String>,
}

impl AuditRecord {
    /// SHA-256 over the previous hash and every field, each with its length before it, `None` apart from empty.
    #[must_use]
    pub fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let (revision, id, at) = (self.revision.to_string(), self.id.to_string(), self.at.to_string());
        let fields = [
            Some(revision.as_str()),
            Some(&id),
            Some(&at),
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
