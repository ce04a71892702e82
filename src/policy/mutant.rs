//! Mutants: small mistakes in a policy, each of which a good test suite notices.
//!
//! A mutant is an edit of a policy's text that somebody could make by mistake. It is *killed* when a test case fails with it.
//! Two kinds are counted and are no survivors: those that strict validation refuses, as the server would, and those that the
//! schema shows to be equivalent: in every environment that the server asks about (type of principal, action, type of
//! resource) Cedar's validator finds that the edit can make no difference. Equivalence that would need a proof about values
//! is not looked for.

mod edit;
mod equivalence;
mod hunt;
mod literal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::hunt::Hunt;
use super::{clause::Anatomy, diagnostic::advance};

/// A policy with one mistake in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The policy's `@id`.
    pub policy: Arc<str>,
    pub file: String,
    /// Line and column of what was changed, counted from 1.
    pub position: (usize, usize),
    pub change: Change,
    /// What stands there.
    pub was: String,
    /// What the mutant has in its place.
    pub now: String,
}

/// Which mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    ClauseDropped,
    /// All of it; [`Mutant::was`] is its first clause.
    UnlessDropped,
    EffectFlipped,
    ScopeWidened,
    ConditionNegated,
    LiteralChanged,
}

impl Change {
    /// As reports name it: `clause dropped`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClauseDropped => "clause dropped",
            Self::UnlessDropped => "unless dropped",
            Self::EffectFlipped => "effect flipped",
            Self::ScopeWidened => "scope widened",
            Self::ConditionNegated => "condition negated",
            Self::LiteralChanged => "literal changed",
        }
    }
}

impl Mutant {
    fn new(anatomy: &Anatomy, edit: &edit::Edit) -> Self {
        let info = &anatomy.info;
        let before = anatomy.text.get(..edit.span.start).unwrap_or_default();
        Self {
            policy: info.id.clone(),
            file: info.file.clone(),
            position: advance((info.line, info.column), before),
            change: edit.change,
            was: anatomy.text.get(edit.span.clone()).unwrap_or_default().to_owned(),
            now: edit.now.clone(),
        }
    }
}
