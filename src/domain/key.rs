//! API keys: what they are, and the one question whether a secret of theirs opens anything now.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    clock::Timestamp,
    id::{KeyId, OrgId, SecretId},
    name::{Name, Reason},
    permission::Permissions,
    secret::Plane,
};

/// How long the secret before a rotation may live on, at most.
pub const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// Which world a key works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    /// `live` or `test`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.plane().as_str()
    }

    /// The plane of this environment's secrets.
    #[must_use]
    pub const fn plane(self) -> Plane {
        match self {
            Self::Live => Plane::Live,
            Self::Test => Plane::Test,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an environment is `live` or `test`")]
pub struct ParseEnvironmentError;

impl FromStr for Environment {
    type Err = ParseEnvironmentError;

    fn from_str(text: &str) -> Result<Self, ParseEnvironmentError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(ParseEnvironmentError),
        }
    }
}

/// A key as people see it: everything but its secrets' hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub org: OrgId,
    pub name: Name,
    pub environment: Environment,
    pub permissions: Permissions,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub revocation: Option<Revocation>,
    /// Oldest first; at most two of them live.
    pub secrets: Vec<KeySecret>,
}

/// When and why a key was revoked; there is no way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub at: Timestamp,
    pub reason: Option<Reason>,
}

/// One secret of a key, without its hash. During a rotation a key has two that live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySecret {
    pub id: SecretId,
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// To within a minute.
    pub last_used_at: Option<Timestamp>,
}

/// What a new key starts with; presets are already expanded.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: Name,
    pub environment: Environment,
    pub permissions: Permissions,
    pub expires_at: Option<Timestamp>,
}

/// What may change about a key; `None` leaves it, `Some(None)` takes the expiry away.
#[derive(Debug, Clone, Default)]
pub struct KeyPatch {
    pub name: Option<Name>,
    pub permissions: Option<Permissions>,
    pub expires_at: Option<Option<Timestamp>>,
}

/// The facts that decide whether a secret opens anything. Any "no" wins, so nothing masks a revocation.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub org_deleted: bool,
    pub key_revoked: bool,
    pub key_disabled: bool,
    pub key_expires_at: Option<Timestamp>,
    pub secret_expires_at: Option<Timestamp>,
}

/// Why a credential is refused. Told to telemetry only: every caller gets the same 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Missing,
    Malformed,
    Unknown,
    OrgDeleted,
    KeyRevoked,
    KeyDisabled,
    KeyExpired,
    SecretExpired,
}

impl Refusal {
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Malformed,
        Self::Unknown,
        Self::OrgDeleted,
        Self::KeyRevoked,
        Self::KeyDisabled,
        Self::KeyExpired,
        Self::SecretExpired,
    ];

    /// The word for telemetry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::OrgDeleted => "org_deleted",
            Self::KeyRevoked => "key_revoked",
            Self::KeyDisabled => "key_disabled",
            Self::KeyExpired => "key_expired",
            Self::SecretExpired => "secret_expired",
        }
    }

    /// Why such a credential never reaches the policies, for those who may know.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "no key is sent",
            Self::Malformed => "what is sent is no key",
            Self::Unknown => "there is no such key",
            Self::OrgDeleted => "the key's organization is deleted",
            Self::KeyRevoked => "the key is revoked",
            Self::KeyDisabled => "the key is disabled",
            Self::KeyExpired => "the key has expired",
            Self::SecretExpired => "the secret has expired",
        }
    }
}

impl Standing {
    /// `None` when the secret is good at `now`: valid iff `now < expires_at`. (Suspension is a policy, not a standing.)
    #[must_use]
    pub fn refusal(self, now: Timestamp) -> Option<Refusal> {
        let past = |end: Option<Timestamp>| end.is_some_and(|end| now >= end);
        [
            (self.org_deleted, Refusal::OrgDeleted),
            (self.key_revoked, Refusal::KeyRevoked),
            (self.key_disabled, Refusal::KeyDisabled),
            (past(self.key_expires_at), Refusal::KeyExpired),
            (past(self.secret_expires_at), Refusal::SecretExpired),
        ]
        .into_iter()
        .find_map(|(no, refusal)| no.then_some(refusal))
    }
}

impl Key {
    /// The state that people see, the strongest "no" first: `revoked`, `expired`, `disabled`, `active`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.revocation.is_some() {
            "revoked"
        } else if self.expires_at.is_some_and(|end| now >= end) {
            "expired"
        } else if self.disabled_at.is_some() {
            "disabled"
        } else {
            "active"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_no_wins_in_all_combinations() {
        let now = Timestamp::from_millis(1_000);
        let end = |over: bool| Some(Timestamp::from_millis(if over { 1_000 } else { 1_001 }));
        for bits in 0..32u8 {
            let no = |bit: u8| bits & (1 << bit) != 0;
            let standing = Standing {
                org_deleted: no(0),
                key_revoked: no(1),
                key_disabled: no(2),
                key_expires_at: end(no(3)),
                secret_expires_at: end(no(4)),
            };
            assert_eq!(standing.refusal(now).is_none(), bits == 0, "{standing:?}");
        }
    }
}
