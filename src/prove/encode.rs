//! Policies as the questions need them: turned around, under assumptions, for one action. All through Cedar's JSON form.

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, RequestEnv, ResourceConstraint,
};
use serde_json::{Value, json};

/// Why a policy has no such form; Cedar's own sentence.
pub(super) type Refused = String;

/// The same conditions with the effect `permit`: what it matches is then what a set of it alone allows.
pub(super) fn as_permit(policy: &Policy) -> Result<Policy, Refused> {
    if policy.effect() == Effect::Permit {
        return Ok(policy.clone());
    }
    let mut json = to_json(policy)?;
    insert(&mut json, "effect", json!("permit"));
    from_json(policy.id(), json)
}

/// The policy with further conditions before its own.
pub(super) fn guarded(policy: &Policy, when: &[Value], unless: &[Value]) -> Result<Policy, Refused> {
    if when.is_empty() && unless.is_empty() {
        return Ok(policy.clone());
    }
    let mut json = to_json(policy)?;
    let own = json.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let clause = |kind: &str, body: &Value| json!({"kind": kind, "body": body});
    let before = when.iter().map(|body| clause("when", body)).chain(unless.iter().map(|body| clause("unless", body)));
    insert(&mut json, "conditions", Value::Array(before.chain(own).collect()));
    from_json(policy.id(), json)
}

/// The policy without conditions and scope: it matches everything.
pub(super) fn unconditional(policy: &Policy) -> Result<Policy, Refused> {
    let mut json = to_json(policy)?;
    for part in ["principal", "action", "resource"] {
        insert(&mut json, part, json!({"op": "All"}));
    }
    insert(&mut json, "conditions", json!([]));
    from_json(policy.id(), json)
}

/// An expression that is true for what the policy matches: its scope and its conditions.
pub(super) fn expression(policy: &Policy) -> Result<Value, Refused> {
    let json = to_json(policy)?;
    let mut terms = Vec::new();
    for part in ["principal", "action", "resource"] {
        terms.extend(json.get(part).and_then(|scope| scope_expression(part, scope)));
    }
    for clause in json.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let body = clause.get("body").cloned().unwrap_or_default();
        let negated = clause.get("kind").and_then(Value::as_str) == Some("unless");
        terms.push(if negated { json!({"!": {"arg": body}}) } else { body });
    }
    let both = |left: Value, right: Value| json!({"&&": {"left": left, "right": right}});
    Ok(terms.into_iter().reduce(both).unwrap_or_else(|| json!({"Value": true})))
}

/// `principal == …`, `is …`, `in …`; nothing for a scope that takes everything.
fn scope_expression(part: &str, scope: &Value) -> Option<Value> {
    let variable = json!({"Var": part});
    let entity = |uid: &Value| json!({"Value": {"__entity": uid}});
    let field = |name: &str| scope.get(name).cloned().unwrap_or_default();
    match scope.get("op").and_then(Value::as_str)? {
        "==" => Some(json!({"==": {"left": variable, "right": entity(&field("entity"))}})),
        "is" => {
            let mut is = json!({"left": variable, "entity_type": field("entity_type")});
            if let Some(inside) = scope.get("in").and_then(|inside| inside.get("entity")) {
                insert(&mut is, "in", entity(inside));
            }
            Some(json!({"is": is}))
        }
        "in" => {
            let right = match scope.get("entities").and_then(Value::as_array) {
                Some(uids) => json!({"Set": uids.iter().map(entity).collect::<Vec<_>>()}),
                None => entity(&field("entity")),
            };
            Some(json!({"in": {"left": variable, "right": right}}))
        }
        _ => None,
    }
}

/// Whether the scope can match a request of these types. What cannot match decides nothing and fails nowhere.
pub(super) fn can_match(policy: &Policy, env: &RequestEnv, groups: &[EntityUid]) -> bool {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
        PrincipalConstraint::Eq(uid) => uid.type_name() == env.principal(),
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => kind == *env.principal(),
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::In(_) => true,
        ResourceConstraint::Eq(uid) => uid.type_name() == env.resource(),
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => kind == *env.resource(),
    };
    principal && resource && names_action(policy, env.action(), groups)
}

fn names_action(policy: &Policy, action: &EntityUid, groups: &[EntityUid]) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(uids) => uids.iter().any(|uid| uid == action || groups.contains(uid)),
    }
}

/// The policy as it means it under another schema's groups of actions, written so that it needs none: for one action, whose
/// groups there are given, `action in …` is true or false. `None` when it cannot match the action.
///
/// # Errors
/// When it asks for the action's groups by a value that only a request brings.
pub(super) fn for_action(policy: &Policy, action: &EntityUid, groups: &[EntityUid]) -> Result<Option<Policy>, Refused> {
    if !names_action(policy, action, groups) {
        return Ok(None);
    }
    let mut json = to_json(policy)?;
    insert(&mut json, "action", json!({"op": "All"}));
    if let Some(conditions) = json.get_mut("conditions") {
        resolve(conditions, action, groups)?;
    }
    from_json(policy.id(), json).map(Some)
}

/// Replaces each `action in …` by what it comes to.
fn resolve(expression: &mut Value, action: &EntityUid, groups: &[EntityUid]) -> Result<(), Refused> {
    // `a in b` is {"in": {"left": a, "right": b}}, `a is T in b` is {"is": {"left": a, "entity_type": T, "in": b}}.
    let plain = expression.get("in").and_then(|operands| Some((operands.get("left")?, operands.get("right")?)));
    let typed = expression.get("is").and_then(|operands| Some((operands.get("left")?, operands.get("in")?)));
    if let Some((left, right)) = plain.or(typed) {
        let named = literals(right);
        if left.get("Var").and_then(Value::as_str) == Some("action") {
            let named = named.ok_or("it asks for the groups of its action by a value that only a request brings")?;
            let kind = expression.get("is").and_then(|operands| operands.get("entity_type")).and_then(Value::as_str);
            let fits = kind.is_none_or(|kind| kind == action.type_name().to_string());
            *expression = json!({"Value": fits && named.iter().any(|uid| uid == action || groups.contains(uid))});
            return Ok(());
        }
        let of_actions = |uids: Option<Vec<EntityUid>>| uids.unwrap_or_default().iter().any(is_action);
        if of_actions(named) || of_actions(literals(left)) {
            return Err("it asks for the groups of an action that is not the request's".to_owned());
        }
    }
    match expression {
        Value::Object(fields) => fields.values_mut().try_for_each(|value| resolve(value, action, groups)),
        Value::Array(values) => values.iter_mut().try_for_each(|value| resolve(value, action, groups)),
        _ => Ok(()),
    }
}

pub(super) fn is_action(uid: &EntityUid) -> bool {
    uid.type_name().basename() == "Action"
}

/// The entity or the set of entities that an expression writes out.
fn literals(expression: &Value) -> Option<Vec<EntityUid>> {
    if let Some(values) = expression.get("Set").and_then(Value::as_array) {
        return values.iter().map(|value| literals(value)?.pop()).collect();
    }
    let uid = expression.get("Value")?.get("__entity")?;
    EntityUid::from_json(uid.clone()).ok().map(|uid| vec![uid])
}

/// A set of policies under ids of their own: those of assumptions may be those of policies.
pub(super) fn set<'a>(policies: impl IntoIterator<Item = &'a Policy>, assumptions: &[Policy]) -> Result<PolicySet, Refused> {
    let assumed = assumptions.iter().map(|policy| policy.new_id(PolicyId::new(format!("@assume {}", policy.id()))));
    PolicySet::from_policies(policies.into_iter().cloned().chain(assumed)).map_err(|error| error.to_string())
}

fn to_json(policy: &Policy) -> Result<Value, Refused> {
    policy.to_json().map_err(|error| error.to_string())
}

fn from_json(id: &PolicyId, json: Value) -> Result<Policy, Refused> {
    Policy::from_json(Some(id.clone()), json).map_err(|error| error.to_string())
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse(Some(PolicyId::new("p")), text).unwrap()
    }

    /// The text of the one condition of a policy that holds where the expression of `text` does.
    fn expressed(text: &str) -> String {
        let all = policy("permit (principal, action, resource);");
        guarded(&all, &[expression(&policy(text)).unwrap()], &[]).unwrap().to_cedar().unwrap().replace(['\n', ' '], "")
    }

    #[test]
    fn an_expression_says_what_scope_and_conditions_say() {
        let cases = [
            ("permit (principal, action, resource);", "true"),
            ("forbid (principal == A::\"a\", action, resource is B);", "(principal==A::\"a\")&&(resourceisB)"),
            (
                "forbid (principal is A in B::\"b\", action, resource in C::\"c\");",
                "(principalisA)&&(principalinB::\"b\")&&(resourceinC::\"c\")",
            ),
            (
                "forbid (principal, action in [Action::\"a\", Action::\"b\"], resource) when { context.x } unless { context.y };",
                "(actionin[Action::\"a\",Action::\"b\"])&&context.x&&(!context.y)",
            ),
        ];
        for (text, expected) in cases {
            let expressed = expressed(text);
            assert!(expressed.ends_with(&format!("when{{{expected}}};")), "{text}\n{expressed}\n{expected}");
        }
    }

    #[test]
    fn groups_of_another_schema_are_written_out() {
        let (action, group): (EntityUid, EntityUid) = ("Action::\"a\"".parse().unwrap(), "Action::\"g\"".parse().unwrap());
        let text = "permit (principal, action in Action::\"g\", resource) when { action in [Action::\"g\", Action::\"h\"] || context.x };";
        let groups = std::slice::from_ref(&group);
        let resolved = for_action(&policy(text), &action, groups).unwrap().unwrap().to_cedar().unwrap();
        assert!(resolved.contains("action,") && resolved.contains("true ||"), "{resolved}");
        assert!(for_action(&policy(text), &action, &[]).unwrap().is_none());
        let text = "permit (principal, action, resource) when { action in Action::\"g\" };";
        let resolved = for_action(&policy(text), &action, &[]).unwrap().unwrap().to_cedar().unwrap();
        assert!(resolved.contains("false"), "{resolved}");
        for unknown in ["action in context.x", "context.x in Action::\"g\"", "Action::\"b\" in Action::\"g\""] {
            let text = format!("permit (principal, action, resource) when {{ {unknown} }};");
            assert!(for_action(&policy(&text), &action, groups).is_err(), "{unknown}");
        }
    }
}
