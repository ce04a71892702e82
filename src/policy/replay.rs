//! Deciding a recorded request again: what a line of the decision log holds, and what a decision may need beyond that.

use serde_json::Value;

use super::{decide::NOW, engine::Engine, slice::Slice};

/// Attributes that policies may ask for and a line does not hold: of the key, and of its org.
const UNRECORDED: [&str; 3] = ["created_at", "expires_at", "name"];

impl Engine {
    /// What a decision about a permission may depend on that a line of the decision log does not hold; `None` when a line
    /// is enough.
    #[must_use]
    pub fn unrecorded(&self, permission: &str) -> Option<String> {
        let slice = self.keys.get(permission)?;
        if slice.context.keys().any(|name| name != NOW) {
            return Some("the context is not in the log".to_owned());
        }
        let name = UNRECORDED.into_iter().find(|name| reads(slice, name))?;
        Some(format!("a policy asks for `{name}`, which is not in the log"))
    }

    /// Whether the moment of a request about a permission is part of its context.
    #[must_use]
    pub fn asks_for_now(&self, permission: &str) -> bool {
        self.keys.get(permission).is_some_and(|slice| slice.context.contains_key(NOW))
    }
}

/// Whether a policy of the slice asks for an attribute of that name, of whatever; where that cannot be told, it does.
fn reads(slice: &Slice, name: &str) -> bool {
    slice.policies.policies().any(|policy| policy.to_json().map_or(true, |json| mentions(&json, name)))
}

/// Cedar writes `a.b` and `a has b` as `{"left": a, "attr": "b"}`.
fn mentions(expression: &Value, name: &str) -> bool {
    match expression {
        Value::Object(map) => {
            map.get("attr").is_some_and(|attribute| attribute == name) || map.values().any(|value| mentions(value, name))
        }
        Value::Array(values) => values.iter().any(|value| mentions(value, name)),
        _ => false,
    }
}
