//! Policies taken apart: each part of a scope and each clause, with its place, and what it is worth alone.
//!
//! A *clause* is a conjunct of a `when` or `unless`: what stands between its `&&`s, parentheses around several of them opened.
//! Where one begins and ends is what Cedar's own parser says. What one is worth is what Cedar's authorizer says about a policy
//! that holds nothing else; the effect of the policy, and whether the clause stands in a `when` or an `unless`, do not matter
//! for that: `suspended` in `unless { suspended }` is true for who is suspended.

mod cut;
#[cfg(test)]
mod tests;

use std::ops::Range;

use cedar_policy::{AuthorizationError, Authorizer, Decision, Entities, Policy, PolicyId, PolicySet, Request};

use self::cut::cut;
use super::{
    diagnostic::{Diagnostic, LoadError, advance},
    engine::{Engine, PolicyInfo},
    load::{STACK, on_stack},
};

/// A policy taken apart.
#[derive(Debug, Clone)]
pub struct Anatomy {
    /// Whose it is, and where the policy begins.
    pub info: PolicyInfo,
    /// The policy as it stands in its file, annotations included.
    pub text: String,
    /// `permit` or `forbid` in [`Anatomy::text`].
    pub effect: Range<usize>,
    /// Principal, action, resource, in this order.
    pub scope: [Piece; 3],
    /// In the order of the text.
    pub clauses: Vec<Piece>,
    whole_scope: Probe,
}

/// A part of a scope, or a clause.
#[derive(Debug, Clone)]
pub struct Piece {
    pub kind: PieceKind,
    /// As it stands in the file: `principal is ApiKey`, `principal.org == resource`.
    pub text: String,
    /// In the text of the policy, in bytes.
    pub span: Range<usize>,
    /// Line and column in the file, counted from 1, columns in characters.
    pub position: (usize, usize),
    /// Which of the policy's `when`s and `unless`es it stands in, counted from 0.
    pub(super) condition: usize,
    probe: Probe,
}

/// What a piece is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    Principal,
    Action,
    Resource,
    When,
    Unless,
}

impl PieceKind {
    /// The word that it has in Cedar.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::When => "when",
            Self::Unless => "unless",
        }
    }
}

/// What a piece is worth for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    /// It cannot be evaluated alone. Beside the others it may be fine: Cedar stops at the first clause that is false.
    Error(String),
}

impl Engine {
    /// Takes every policy apart, in the order of [`Engine::policies`].
    ///
    /// # Errors
    /// None for a set that was loaded, unless there is no memory for a thread.
    pub fn dissect(&self) -> Result<Vec<Anatomy>, LoadError> {
        let all = || self.policies().iter().map(|info| self.dissect_policy(info)).collect::<Result<_, _>>();
        on_stack(STACK, all)?.map_err(LoadError::from)
    }

    fn dissect_policy(&self, info: &PolicyInfo) -> Result<Anatomy, Diagnostic> {
        let failed = |what: &str| Diagnostic::general(format!("the policy cannot be taken apart: {what}")).policy(&*info.id);
        let policy = self.originals.policy(&PolicyId::new(&info.id)).ok_or_else(|| failed("it is not in the set"))?;
        Anatomy::read(info.clone(), policy.to_string()).map_err(|error| failed(&error))
    }
}

impl Anatomy {
    fn read(info: PolicyInfo, text: String) -> Result<Self, String> {
        let cuts = cut(&text)?;
        let start = (info.line, info.column);
        let part = |index: usize, kind| {
            let span = cuts.scope.get(index).cloned().ok_or("a part of the scope is missing")?;
            let mut scope = ["principal", "action", "resource"];
            let part = slice(&text, &span)?;
            if let Some(variable) = scope.get_mut(index) {
                *variable = part;
            }
            let probe = Probe::parse(&format!("permit ({});", scope.join(", ")))?;
            Piece::new(kind, &text, span, start, 0, probe)
        };
        let scope = [part(0, PieceKind::Principal)?, part(1, PieceKind::Action)?, part(2, PieceKind::Resource)?];
        let parts: Vec<&str> = scope.iter().map(|part| part.text.as_str()).collect();
        let whole_scope = Probe::parse(&format!("permit ({});", parts.join(", ")))?;
        let mut clauses = Vec::new();
        for (condition, (kind, spans)) in cuts.conditions.into_iter().enumerate() {
            for span in spans {
                let probe = Probe::parse(&format!("permit (principal, action, resource) when {{ {}\n}};", slice(&text, &span)?))?;
                clauses.push(Piece::new(kind, &text, span, start, condition, probe)?);
            }
        }
        Ok(Self { info, effect: cuts.effect, scope, clauses, whole_scope, text })
    }

    /// Whether the policy is about such a request at all.
    pub(super) fn scope_matches(&self, authorizer: &Authorizer, request: &Request, entities: &Entities) -> bool {
        self.whole_scope.ask(authorizer, request, entities) == Truth::True
    }
}

fn slice<'a>(text: &'a str, span: &Range<usize>) -> Result<&'a str, String> {
    text.get(span.clone()).ok_or_else(|| "a piece lies outside of its text".to_owned())
}

impl Piece {
    fn new(
        kind: PieceKind,
        policy: &str,
        span: Range<usize>,
        start: (usize, usize),
        condition: usize,
        probe: Probe,
    ) -> Result<Self, String> {
        let position = advance(start, slice(policy, &(0..span.start))?);
        Ok(Self { kind, text: slice(policy, &span)?.to_owned(), span, position, condition, probe })
    }

    /// What it is worth alone. The entities must hold the request's action with its groups: a missing one is silently in none.
    pub(super) fn ask(&self, authorizer: &Authorizer, request: &Request, entities: &Entities) -> Truth {
        self.probe.ask(authorizer, request, entities)
    }
}

/// One policy, which permits exactly where something is true.
#[derive(Debug, Clone)]
struct Probe(PolicySet);

impl Probe {
    fn parse(text: &str) -> Result<Self, String> {
        let policy = Policy::parse(None, text).map_err(|error| error.to_string())?;
        let mut set = PolicySet::new();
        set.add(policy).map_err(|error| error.to_string())?;
        Ok(Self(set))
    }

    fn ask(&self, authorizer: &Authorizer, request: &Request, entities: &Entities) -> Truth {
        let response = authorizer.is_authorized(request, &self.0, entities);
        if let Some(AuthorizationError::PolicyEvaluationError(error)) = response.diagnostics().errors().next() {
            return Truth::Error(error.inner().to_string());
        }
        if response.decision() == Decision::Allow { Truth::True } else { Truth::False }
    }
}
