//! Where the pieces of a policy begin and end, by the syntax tree of Cedar's own parser.

use std::ops::Range;

use cedar_policy_core::parser::{Node as Located, cst, text_to_cst::parse_policy};

use super::PieceKind;

type Node<T> = Located<Option<T>>;

/// Spans in bytes of a policy's text.
pub(super) struct Cuts {
    pub effect: Range<usize>,
    pub scope: Vec<Range<usize>>,
    /// Each `when` and `unless` with its clauses.
    pub conditions: Vec<(PieceKind, Vec<Range<usize>>)>,
}

/// Cuts the text of one policy that Cedar accepts.
pub(super) fn cut(text: &str) -> Result<Cuts, String> {
    let parsed = parse_policy(text).map_err(|error| error.to_string())?;
    read(&parsed).ok_or_else(|| "its syntax tree has a hole".to_owned())
}

fn read(policy: &Node<cst::Policy>) -> Option<Cuts> {
    let cst::Policy::Policy(policy) = policy.node.as_ref()?;
    let scope = policy.variables.iter().map(span).collect::<Option<_>>()?;
    let mut conditions = Vec::new();
    for condition in &policy.conds {
        let condition = condition.node.as_ref()?;
        let is_unless = matches!(condition.cond.node.as_ref()?, cst::Ident::Unless);
        let mut clauses = Vec::new();
        collect_conjuncts(condition.expr.as_ref()?, &mut clauses)?;
        conditions.push((if is_unless { PieceKind::Unless } else { PieceKind::When }, clauses));
    }
    Some(Cuts { effect: span(&policy.effect)?, scope, conditions })
}

fn span<T>(node: &Node<T>) -> Option<Range<usize>> {
    node.loc.as_ref().map(|loc| loc.start()..loc.end())
}

fn collect_conjuncts(expression: &Node<cst::Expr>, found: &mut Vec<Range<usize>>) -> Option<()> {
    let Some(and) = conjunction(expression) else {
        found.push(span(expression)?);
        return Some(());
    };
    for conjunct in std::iter::once(&and.initial).chain(&and.extended) {
        let mut inside = Vec::new();
        if let Some(inner) = opened(conjunct) {
            collect_conjuncts(inner, &mut inside)?;
        }
        // Parentheses around several clauses are opened; those around one belong to it.
        if inside.len() > 1 { found.append(&mut inside) } else { found.push(span(conjunct)?) }
    }
    Some(())
}

/// The conjunction that an expression is, of one conjunct at least; an `||` and an `if` are none.
fn conjunction(expression: &Node<cst::Expr>) -> Option<&cst::And> {
    let cst::Expr::Expr(expression) = expression.node.as_ref()?;
    let cst::ExprData::Or(or) = expression.expr.as_ref() else { return None };
    let or = or.node.as_ref()?;
    if or.extended.is_empty() { or.initial.node.as_ref() } else { None }
}

/// What stands in the parentheses, when a conjunct is nothing but them.
fn opened(conjunct: &Node<cst::Relation>) -> Option<&Node<cst::Expr>> {
    let cst::Relation::Common { initial, extended } = conjunct.node.as_ref()? else { return None };
    let add = initial.node.as_ref()?;
    let mult = add.initial.node.as_ref()?;
    let unary = mult.initial.node.as_ref()?;
    let member = unary.item.node.as_ref()?;
    let alone = extended.is_empty()
        && add.extended.is_empty()
        && mult.extended.is_empty()
        && unary.op.is_none()
        && member.access.is_empty();
    match member.item.node.as_ref()? {
        cst::Primary::Expr(inner) if alone => Some(inner),
        _ => None,
    }
}
