//! Which permissions of a key a policy's answer can change with: the others need not be asked again to learn which
//! permission a denied key lacks.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::permission::Permission;

/// What a policy asks about `principal.permissions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reliance {
    /// Whether the request's own action, or one of those that the policy names, is among them.
    On { own: bool, named: BTreeSet<Permission> },
    /// Something that cannot be told before a request comes.
    OnAny,
}

impl Reliance {
    /// Reads an expression, or several, in Cedar's JSON form.
    pub(super) fn read(expression: &Value) -> Self {
        let mut on = Self::On { own: false, named: BTreeSet::new() };
        on.look(expression);
        on
    }

    /// Whether it can matter, for requests about an action, that a key has the permission.
    pub(super) fn is_on(&self, permission: &Permission, action: &str) -> bool {
        match self {
            Self::On { own, named } => *own && permission.as_str() == action || named.contains(permission),
            Self::OnAny => true,
        }
    }

    fn look(&mut self, expression: &Value) {
        match expression {
            // `principal.permissions.contains(…)` is {"contains": {"left": {".": {"left": {"Var": "principal"}, "attr": "permissions"}}, "right": …}}.
            Value::Object(map) => map.iter().for_each(|(operator, operands)| match operands.get("left") {
                Some(left) if matches!(operator.as_str(), "contains" | "containsAll" | "containsAny") && is_permissions(left) => {
                    self.look_among(operands.get("right"));
                }
                _ if operator == "." && operands.get("attr").is_some_and(|name| name == "permissions") => *self = Self::OnAny,
                _ => self.look(operands),
            }),
            Value::Array(values) => values.iter().for_each(|value| self.look(value)),
            _ => {}
        }
    }

    /// What is looked for among the permissions.
    fn look_among(&mut self, wanted: Option<&Value>) {
        let Some(wanted) = wanted else { return *self = Self::OnAny };
        if let Some(members) = wanted.get("Set").and_then(Value::as_array) {
            return members.iter().for_each(|member| self.look_among(Some(member)));
        }
        let is_action = wanted.get("Var").is_some_and(|variable| variable == "action");
        let literal = wanted.pointer("/Value/__entity").filter(|entity| entity.get("type").is_some_and(|kind| kind == "Action"));
        match (&mut *self, literal.and_then(|entity| entity.get("id")).and_then(Value::as_str)) {
            (Self::On { own, .. }, _) if is_action => *own = true,
            // A text that no permission can have names a group, which no key holds.
            (Self::On { named, .. }, Some(name)) => named.extend(name.parse::<Permission>()),
            _ => *self = Self::OnAny,
        }
    }
}

fn is_permissions(expression: &Value) -> bool {
    let variable = expression.pointer("/./left/Var");
    variable.is_some_and(|variable| variable == "principal")
        && expression.pointer("/./attr").is_some_and(|name| name == "permissions")
}
