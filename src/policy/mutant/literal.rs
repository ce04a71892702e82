//! Literals, and what each is changed to.

use std::{ops::Range, str::FromStr as _};

use cedar_policy::{Context, Entities, EntityUid, EvalResult, Expression, Request, Schema, eval_expression};
use cedar_policy_core::{
    ast::{Expr, ExprKind, Literal},
    parser::Loc,
};

/// What values of Cedar's extension types are changed to: the first that is another value.
const EXTENSIONS: [(&str, [&str; 2]); 4] = [
    ("ip", ["\"192.0.2.1\"", "\"198.51.100.0/24\""]),
    ("decimal", ["\"0.0\"", "\"1.0\""]),
    ("datetime", ["\"2000-01-01\"", "\"2100-01-01\""]),
    ("duration", ["\"0ms\"", "\"1h\""]),
];

/// The actions and groups of a schema: an action is changed to another one.
pub(super) struct Literals {
    actions: Vec<String>,
    groups: Vec<String>,
}

impl Literals {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut groups: Vec<String> = schema.action_groups().map(ToString::to_string).collect();
        let mut actions: Vec<String> = schema.actions().map(ToString::to_string).collect();
        groups.sort();
        actions.sort();
        actions.retain(|action| groups.binary_search(action).is_err());
        Self { actions, groups }
    }

    /// The changes of the literals in an expression or a part of a scope, by their places in its text.
    pub(super) fn changes(&self, text: &str) -> Vec<(Range<usize>, String)> {
        let Ok(expression) = Expr::from_str(text) else { return Vec::new() };
        let mut changes = Vec::new();
        // The texts inside of `ip("…")` and the like, which are no texts of their own.
        let mut arguments: Vec<Range<usize>> = Vec::new();
        for part in expression.subexpressions() {
            if let ExprKind::ExtensionFunctionApp { fn_name, args } = part.expr_kind()
                && let Some((_, others)) = EXTENSIONS.iter().find(|(name, _)| *name == fn_name.to_string())
                && let Some(span) = args.first().and_then(|argument| span(argument.source_loc()))
            {
                let call = |argument: &str| format!("{fn_name}({argument})");
                let old = text.get(span.clone());
                let other = old.and_then(|old| others.iter().find(|other| !are_equal(&call(old), &call(other))));
                changes.extend(other.map(|other| (span.clone(), (*other).to_owned())));
                arguments.push(span);
            }
        }
        for part in expression.subexpressions() {
            let Some(span) = span(part.source_loc()).filter(|span| !arguments.contains(span)) else { continue };
            let change = match part.expr_kind() {
                ExprKind::Lit(literal) => self.change(literal, text, span),
                ExprKind::Like { expr, .. } => longer_pattern(expr.source_loc(), text, span),
                _ => None,
            };
            changes.extend(change);
        }
        changes.sort_by_key(|(span, _)| (span.start, span.end));
        changes.dedup();
        changes
    }

    fn change(&self, literal: &Literal, text: &str, span: Range<usize>) -> Option<(Range<usize>, String)> {
        let old = text.get(span.clone())?;
        let now = match literal {
            Literal::Bool(value) => (!value).to_string(),
            // One more is what an off-by-one mistake does. The digits stand without their sign.
            Literal::Long(value) => {
                let digits: u64 = old.parse().ok()?;
                let closer = *value < 0 || *value == i64::MAX;
                (if closer { digits.checked_sub(1) } else { digits.checked_add(1) })?.to_string()
            }
            Literal::String(_) => longer(old)?,
            Literal::EntityUID(_) => match EntityUid::from_str(old) {
                Ok(uid) => self.other_action(&uid.to_string(), text).or_else(|| longer(old))?,
                Err(_) => longer(old)?,
            },
        };
        Some((span, now))
    }

    /// Another action for an action, another group for a group: one of those that the text names besides, which is known to
    /// fit there, or else the next of the same namespace.
    fn other_action(&self, action: &str, text: &str) -> Option<String> {
        let all = [&self.actions, &self.groups].into_iter().find(|all| all.iter().any(|known| known == action))?;
        let at = all.iter().position(|known| known == action)?;
        let kind = |uid: &str| uid.split_once('"').map(|(kind, _)| kind.to_owned());
        let others = all.iter().cycle().skip(at + 1).take(all.len().saturating_sub(1));
        let others: Vec<&String> = others.filter(|other| kind(other) == kind(action)).collect();
        let named = others.iter().find(|other| text.contains(other.as_str()));
        named.or(others.first()).map(|other| (*other).clone())
    }
}

/// Whether two expressions that name nothing have the same value, however it is written.
fn are_equal(one: &str, other: &str) -> bool {
    let nobody = EntityUid::from_str("Action::\"\"").ok();
    let request = nobody.and_then(|uid| Request::new(uid.clone(), uid.clone(), uid, Context::empty(), None).ok());
    let comparison = Expression::from_str(&format!("{one} == {other}")).ok();
    let Some((request, comparison)) = request.zip(comparison) else { return false };
    matches!(eval_expression(&request, &Entities::empty(), &comparison), Ok(EvalResult::Bool(true)))
}

fn span(loc: Option<&Loc>) -> Option<Range<usize>> {
    loc.map(|loc| loc.start()..loc.end())
}

/// A quoted text, or an entity whose id is one, with one character more at its end.
fn longer(quoted: &str) -> Option<String> {
    quoted.strip_suffix('"').map(|open| format!("{open}0\""))
}

/// A `like` whose pattern asks for one character more at its beginning.
fn longer_pattern(operand: Option<&Loc>, text: &str, like: Range<usize>) -> Option<(Range<usize>, String)> {
    let after = operand?.end();
    let quote = after + text.get(after..like.end)?.find('"')?;
    let pattern = text.get(quote..like.end)?.trim_end();
    Some((quote..quote + pattern.len(), format!("\"0{}", pattern.get(1..)?)))
}
