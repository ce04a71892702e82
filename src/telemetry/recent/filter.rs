//! Which of the last decisions are wanted.

use super::Kept;
use crate::{
    domain::id::{KeyId, OrgId},
    telemetry::Outcome,
};

/// What a decision must be to be shown; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentFilter {
    /// The key's org.
    pub org: Option<OrgId>,
    pub key: Option<KeyId>,
    /// Whether it is an allow.
    pub allows: Option<bool>,
    /// As the caller wrote it.
    pub action: Option<String>,
    /// One of the determining policies, by id.
    pub policy: Option<String>,
    /// The error code of the denial.
    pub code: Option<String>,
}

impl RecentFilter {
    /// Whether a decision is wanted.
    #[must_use]
    pub fn fits(&self, kept: &Kept) -> bool {
        let (key, judgement) = (kept.record().key.as_ref(), kept.judgement());
        let outcome = &judgement.outcome;
        let is_of = |policy: &String| match outcome {
            Outcome::Decided(decision) => decision.policies.iter().any(|id| **id == **policy),
            Outcome::Refused(_) | Outcome::Rejected(_) => false,
        };
        let asks = |name: &String| judgement.action.as_ref().is_some_and(|action| action.clean() == **name);
        self.org.is_none_or(|org| key.is_some_and(|key| key.facts.org == org))
            && self.key.is_none_or(|id| key.is_some_and(|key| key.facts.key == id))
            && self.allows.is_none_or(|allows| (outcome.effect() == "allow") == allows)
            && self.code.as_ref().is_none_or(|code| outcome.code() == Some(code))
            && self.policy.as_ref().is_none_or(is_of)
            && self.action.as_ref().is_none_or(asks)
    }
}
