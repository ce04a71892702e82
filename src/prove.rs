//! The prover: what holds for every possible request. It compiles policies into formulas and asks a solver about them.
//!
//! ```text
//! policies, invariants → encode → symbolic compiler → solver → witness → the real authorizer → Proof
//! ```
//!
//! What a solver says against a policy set counts only when the authorizer gives the same answer to the same request; what
//! it does not answer is undecided, and that is no success.

mod ask;
mod change;
mod checks;
mod encode;
mod policies;
mod process;
mod solver;
mod statements;
mod witness;

use std::{io, path::PathBuf, time::Duration};

use cedar_policy::{EntityUid, Schema};
use serde_json::Value;

pub use solver::{FETCH, NoSolver, STAND_IN, Solver, stand_in};

use crate::policy::{Engine, Invariants};

/// What is proved about what.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub engine: &'a Engine,
    pub invariants: &'a Invariants,
    /// What the set is compared with.
    pub baseline: Option<&'a Engine>,
}

/// An action that is no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// As the schema declares it: `jobs:read`.
    pub name: String,
    /// As answers name it: `Action::"jobs:read"`.
    pub uid: String,
}

/// The actions that a comparison has an answer for, as far as this schema has them.
#[must_use]
pub fn actions(schema: &Schema) -> Vec<Action> {
    let action = |uid: EntityUid| Action { name: uid.id().unescaped().to_owned(), uid: uid.to_string() };
    change::plain_actions(schema).into_iter().map(action).collect()
}

/// Who is asked, and how long it may think.
#[derive(Debug, Clone)]
pub struct Options {
    pub solver: Solver,
    /// This very program, which stands in for the solver's where only its libraries are there.
    pub program: PathBuf,
    /// For each question.
    pub limit: Duration,
}

/// What happens while it works.
#[derive(Debug)]
pub enum Event<'a> {
    /// The solver's name and version, or what is wrong with it.
    Solver(Result<&'a str, &'a str>),
    /// A question about a policy, an invariant or a change, and about one action.
    Asking { topic: &'a str, action: &'a str },
    /// The SMT-LIB script of a question that the solver was needed for.
    Script { name: &'a str, text: &'a [u8] },
    /// One more answer.
    Proof(&'a Proof),
}

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A policy never errs, and is not dead.
    Policy,
    Assumption,
    Invariant,
    /// What an action allows, now and before.
    Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Proved,
    /// An assumption that can be evaluated for every request. That it holds is up to the server.
    Assumed,
    Refuted,
    /// It errs for some request.
    Errs,
    /// An invariant that matches no request: it says nothing.
    Vacuous,
    /// A policy that matches no request.
    Dead,
    Same,
    Narrower,
    Wider,
    Undecided,
}

impl Verdict {
    /// As reports write it: what needs somebody's eye is in capitals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Assumed => "assumed",
            Self::Refuted => "REFUTED",
            Self::Errs => "ERRS",
            Self::Vacuous => "VACUOUS",
            Self::Dead => "DEAD",
            Self::Same => "same",
            Self::Narrower => "narrower",
            Self::Wider => "WIDER",
            Self::Undecided => "undecided",
        }
    }

    /// Whether it is nothing to worry about.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Proved | Self::Assumed | Self::Same | Self::Narrower)
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Proof {
    pub kind: Kind,
    /// The `@id` of a policy or an invariant; the uid of an action.
    pub name: String,
    /// What an invariant or an assumption says; empty elsewhere.
    pub sentence: String,
    pub verdict: Verdict,
    /// Why it is undecided, or what else there is to say about the verdict.
    pub notes: Vec<String>,
    /// One for each action that it fails on.
    pub counterexamples: Vec<Counterexample>,
}

/// A request, and the entities that it reaches, for which the authorizer does what it must not.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// The uid.
    pub action: String,
    pub principal: String,
    pub resource: String,
    /// In Cedar's syntax.
    pub context: String,
    /// The entities in Cedar's syntax, without actions.
    pub shown: Vec<String>,
    /// `{"principal", "action", "resource", "context"}`, as `cedar run-tests` reads it.
    pub request: Value,
    /// The same entities in Cedar's JSON form.
    pub entities: Value,
    pub decided: Decided,
    /// What the baseline decides.
    pub before: Option<Decided>,
    /// What would be right; `None` when that depends on how a policy that errs is repaired.
    pub expected: Option<bool>,
}

/// What the authorizer says to a counterexample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub allowed: bool,
    /// The determining policies, sorted.
    pub policies: Vec<String>,
    pub errors: Vec<String>,
}

/// Proves the policies free of errors and of dead rules, the invariants, and what changed since the baseline.
///
/// # Errors
/// What `tell` returns when it is told something.
pub async fn prove(
    subject: Subject<'_>,
    options: Options,
    tell: &mut dyn FnMut(Event<'_>) -> io::Result<()>,
) -> io::Result<Vec<Proof>> {
    checks::run(subject, options, tell).await
}
