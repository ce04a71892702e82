//! Deciding a recorded request again: what a line of the decision log holds, and what a decision may need beyond that.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{decide::NOW, engine::Engine, slice::Slice};

/// Attributes that policies may ask for and a line does not hold: of the key, and of its org.
const UNRECORDED: [&str; 3] = ["created_at", "expires_at", "name"];

impl Engine {
    /// What a decision about a permission may depend on that a line of the decision log does not hold; `None` when a line,
    /// perhaps with the whole context, is enough.
    #[must_use]
    pub fn unrecorded(&self, permission: &str, has_context: bool) -> Option<String> {
        let slice = self.keys.get(permission)?;
        if !has_context && slice.context.keys().any(|name| name != NOW) {
            return Some("the context is not in the log".to_owned());
        }
        let name = UNRECORDED.into_iter().find(|name| reads(slice, name))?;
        Some(format!("a policy asks for `{name}`, which is not in the log"))
    }

    /// The attributes of all contexts that keys may send.
    #[must_use]
    pub fn context_names(&self) -> BTreeSet<&str> {
        self.keys.values().flat_map(|slice| slice.context.keys()).map(String::as_str).collect()
    }

    /// Whether an attribute of the context is a text, also where it looks like JSON.
    #[must_use]
    pub fn is_text(&self, permission: &str, attribute: &str) -> bool {
        let attribute = self.keys.get(permission).and_then(|slice| slice.context.get(attribute));
        attribute.is_some_and(|attribute| self.types.spell(&attribute.namespace, &attribute.kind) == "String")
    }

    /// Whether the moment of a request about a permission is part of its context.
    #[must_use]
    pub fn asks_for_now(&self, permission: &str) -> bool {
        self.keys.get(permission).is_some_and(|slice| slice.context.contains_key(NOW))
    }
}

/// Whether a policy of the slice asks for an attribute of that name, of whatever; where that cannot be told, it does.
fn reads(slice: &Slice, name: &str) -> bool {
    slice.policies.iter().any(|compiled| compiled.policy().to_json().map_or(true, |json| mentions(&json, name)))
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
