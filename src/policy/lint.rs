//! Policies that load and still may not do what their author meant: a warning each.

use cedar_policy::{EntityTypeName, Policy, ResourceConstraint};
use serde_json::Value;

use super::{
    declaration,
    diagnostic::{Diagnostic, LoadError},
    files::PolicyFiles,
    load::{Parsed, STACK, on_stack, parse},
    schema::{ADMIN, ActionShape, KEY, ORG, Vocabulary, type_name},
    slice::can_match,
};

/// Annotations that the server reads, and that a policy need not have.
const ANNOTATIONS: [&str; 2] = ["code", "message"];

/// What in a set is worth a second look. The set itself must load.
///
/// # Errors
/// As [`super::Engine::load`], as far as texts and schema go.
pub fn lint(files: &PolicyFiles) -> Result<Vec<Diagnostic>, LoadError> {
    on_stack(STACK, || find(files))?
}

fn find(files: &PolicyFiles) -> Result<Vec<Diagnostic>, LoadError> {
    let parsed = parse(files)?;
    let vocabulary = Vocabulary::read(files)?;
    let mut found = Vec::new();
    let (key, org) = (type_name(KEY)?, type_name(ORG)?);
    let about_orgs = |policy: &Policy| {
        let asked = |action: &&ActionShape| action.for_keys && action.resources.iter().any(|(kind, _)| kind == ORG);
        is_for(policy, &org)
            && vocabulary.actions.iter().filter(asked).any(|action| can_match(policy, &action.uid, &action.groups, &key))
    };
    for policy in parsed.policies() {
        if is_permit(policy) && about_orgs(policy) && !ties_key_to_resource(policy) {
            let message = "the permit does not tie the key to the organization it acts on";
            let help =
                "add `principal.org == resource` to its `when`; without it, only other rules keep keys off foreign organizations";
            found.push(parsed.place(policy, message).help(help));
        }
        for (name, _) in policy.annotations() {
            if let Some(known) = ANNOTATIONS.iter().find(|known| is_slip(name, known)) {
                let message = format!("the annotation `@{name}` means nothing to the server");
                found.push(parsed.place(policy, message).help(format!("did you mean `@{known}`?")));
            }
        }
        if let Some(code) = policy.annotation("code").filter(|code| !is_screaming_snake(code)) {
            let message = format!("the code `{code}` is not in SCREAMING_SNAKE_CASE, as all other codes of the API are");
            found.push(parsed.place(policy, message).help(format!("write `@code(\"{}\")`", screaming_snake(code))));
        }
    }
    for action in &vocabulary.actions {
        if !is_reachable(action, &parsed)? {
            let message = format!("no permit can reach the action `{}`: it is always denied", action.name);
            let help = "add a permit whose scope covers it, or remove the action";
            found.push(declaration::diagnostic(files, &action.name, None, message).help(help));
        }
    }
    let mut found: Vec<_> = found.into_iter().map(Diagnostic::warning).collect();
    found.sort_by_key(|found| (found.file().map(str::to_owned), found.position()));
    Ok(found)
}

/// Whether one letter was missed, doubled, swapped or mistyped, other than the first.
fn is_slip(typed: &str, meant: &str) -> bool {
    typed.chars().next() == meant.chars().next() && strsim::osa_distance(typed, meant) == 1
}

fn is_permit(policy: &Policy) -> bool {
    policy.effect() == cedar_policy::Effect::Permit
}

/// Whether the scope lets resources of this type through.
fn is_for(policy: &Policy, kind: &EntityTypeName) -> bool {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::In(_) => true,
        ResourceConstraint::Eq(uid) => uid.type_name() == kind,
        ResourceConstraint::Is(only) | ResourceConstraint::IsIn(only, _) => only == *kind,
    }
}

fn is_reachable(action: &ActionShape, parsed: &Parsed<'_>) -> Result<bool, Diagnostic> {
    let asked = [(action.for_keys, KEY), (action.for_admins, ADMIN)];
    // What neither keys nor admins may ask for, the server never asks.
    let principals: Vec<EntityTypeName> =
        asked.into_iter().filter(|(asks, _)| *asks).map(|(_, kind)| type_name(kind)).collect::<Result<_, _>>()?;
    let reaches = |policy: &Policy| {
        let resource = action.resources.iter().any(|(_, kind)| is_for(policy, kind));
        is_permit(policy)
            && resource
            && principals.iter().any(|principal| can_match(policy, &action.uid, &action.groups, principal))
    };
    Ok(principals.is_empty() || parsed.policies().any(reaches))
}

/// Whether one of the conditions that must hold compares the key's org with the resource, or with what the resource says.
fn ties_key_to_resource(policy: &Policy) -> bool {
    let Ok(json) = policy.to_json() else { return false };
    let conditions = json.get("conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.into_iter().any(|condition| {
        let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
        condition.get("body").is_some_and(|body| ties(body, unless))
    })
}

/// `unless { a || b }` says the same as `when { !a && !b }`.
fn ties(expression: &Value, unless: bool) -> bool {
    let sides = |operator: &str| {
        let operands = expression.get(operator)?;
        Some((operands.get("left")?, operands.get("right")?))
    };
    if let Some((left, right)) = sides(if unless { "||" } else { "&&" }) {
        return ties(left, unless) || ties(right, unless);
    }
    if let Some(inner) = expression.get("!").and_then(|operand| operand.get("arg")) {
        return ties(inner, !unless);
    }
    let operators: &[&str] = if unless { &["!="] } else { &["==", "in"] };
    operators
        .iter()
        .filter_map(|operator| sides(operator))
        .any(|(left, right)| (is_key_org(left) && is_of_resource(right)) || (is_key_org(right) && is_of_resource(left)))
}

fn is_variable(expression: &Value, name: &str) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some(name)
}

/// An attribute's name, and what it is read from.
fn attribute(expression: &Value) -> Option<(&str, &Value)> {
    let access = expression.get(".")?;
    Some((access.get("attr")?.as_str()?, access.get("left")?))
}

fn is_key_org(expression: &Value) -> bool {
    attribute(expression).is_some_and(|(name, of)| name == "org" && is_variable(of, "principal"))
}

fn is_of_resource(expression: &Value) -> bool {
    is_variable(expression, "resource") || attribute(expression).is_some_and(|(_, of)| is_of_resource(of))
}

/// Words of capital letters and digits with single `_` between them, beginning with a letter.
fn is_screaming_snake(code: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    code.split('_').all(word) && code.starts_with(|c: char| c.is_ascii_uppercase())
}

fn screaming_snake(code: &str) -> String {
    let mut text = String::new();
    let mut after_small = false;
    for c in code.chars() {
        if (!c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && after_small)) && !text.is_empty() && !text.ends_with('_') {
            text.push('_');
        }
        text.extend(c.is_ascii_alphanumeric().then(|| c.to_ascii_uppercase()));
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    let text = text.trim_end_matches('_').trim_start_matches(|c: char| !c.is_ascii_uppercase());
    if text.is_empty() { "SOME_RULE".to_owned() } else { text.to_owned() }
}
