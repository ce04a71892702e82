//! The edits that make mutants of a policy.

use std::ops::Range;

use cedar_policy::{Policy, PrincipalConstraint, ResourceConstraint};

use super::{Change, literal::Literals};
use crate::policy::{
    clause::{Anatomy, Piece, PieceKind},
    engine::Effect,
};

/// One edit of a policy's text.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub change: Change,
    pub part: Part,
    /// In the policy's text.
    pub span: Range<usize>,
    pub now: String,
}

/// Which part of the policy it is in, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Effect,
    Scope(usize),
    Clause(usize),
}

impl Edit {
    /// The policy's text with the edit made.
    pub(super) fn apply(&self, anatomy: &Anatomy) -> String {
        replaced(&anatomy.text, self.span.clone(), &self.now)
    }

    /// The text of a piece with the edit made, which lies inside of it.
    pub(super) fn apply_to(&self, piece: &Piece) -> String {
        let shifted = |at: usize| at.saturating_sub(piece.span.start);
        replaced(&piece.text, shifted(self.span.start)..shifted(self.span.end), &self.now)
    }
}

fn replaced(text: &str, span: Range<usize>, now: &str) -> String {
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.end..).unwrap_or_default();
    format!("{before}{now}{after}")
}

/// Every edit of a policy, in the order of its text.
pub(super) fn edits(anatomy: &Anatomy, policy: &Policy, literals: &Literals) -> Vec<Edit> {
    let flipped = if anatomy.info.effect == Effect::Permit { "forbid" } else { "permit" };
    let flip = Edit { change: Change::EffectFlipped, part: Part::Effect, span: anatomy.effect.clone(), now: flipped.to_owned() };
    let mut edits = vec![flip];
    for (index, part) in anatomy.scope.iter().enumerate() {
        let wider = widened(part, policy).into_iter().map(|now| (Change::ScopeWidened, part.span.clone(), now));
        push(&mut edits, Part::Scope(index), part, wider, literals);
    }
    for (index, clause) in anatomy.clauses.iter().enumerate() {
        let edit = |change, now: String| (change, clause.span.clone(), now);
        // What is dropped from a conjunction leaves what `true` leaves; an `unless` with a clause that is false is never in the
        // way, as if it were not there.
        let beside = || anatomy.clauses.iter().filter(|other| other.condition == clause.condition);
        let (is_unless, is_alone) = (clause.kind == PieceKind::Unless, beside().count() == 1);
        let is_first = beside().next().is_some_and(|first| first.span == clause.span);
        let whole = (is_unless && is_first).then(|| edit(Change::UnlessDropped, "false".to_owned()));
        let dropped = (!is_unless || !is_alone).then(|| edit(Change::ClauseDropped, "true".to_owned()));
        let negated = edit(Change::ConditionNegated, format!("!({})", clause.text));
        push(&mut edits, Part::Clause(index), clause, whole.into_iter().chain(dropped).chain([negated]), literals);
    }
    edits
}

/// The edits of a whole piece, and those of its literals, without those that change nothing.
fn push(
    edits: &mut Vec<Edit>,
    part: Part,
    piece: &Piece,
    of_piece: impl IntoIterator<Item = (Change, Range<usize>, String)>,
    literals: &Literals,
) {
    let of_literals = literals.changes(&piece.text).into_iter().map(|(span, now)| {
        let start = piece.span.start;
        (Change::LiteralChanged, start + span.start..start + span.end, now)
    });
    let all = of_piece.into_iter().chain(of_literals).map(|(change, span, now)| Edit { change, part, span, now });
    edits.extend(all.filter(|edit| edit.apply_to(piece) != piece.text));
}

/// A part of a scope that lets more through: anything, or anything of its type.
fn widened(part: &Piece, policy: &Policy) -> Vec<String> {
    use crate::policy::clause::PieceKind::{Principal, Resource};
    let variable = part.kind.as_str();
    let of_type = match part.kind {
        Principal => match policy.principal_constraint() {
            PrincipalConstraint::IsIn(kind, _) => Some(kind),
            _ => None,
        },
        Resource => match policy.resource_constraint() {
            ResourceConstraint::IsIn(kind, _) => Some(kind),
            _ => None,
        },
        _ => None,
    };
    std::iter::once(variable.to_owned()).chain(of_type.map(|kind| format!("{variable} is {kind}"))).collect()
}
