//! A decision for people: as a row, and as a card.

use serde_json::{Map, Value, json};

use crate::cli::output::{cell, printable};

/// The columns of the table.
pub(super) const COLUMNS: [&str; 7] = ["time", "decision", "action", "key", "org", "why", "id"];

fn text(view: &Value, pointer: &str) -> Value {
    match view.pointer(pointer) {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Object(fields)) if fields.is_empty() => Value::Null,
        Some(object @ Value::Object(_)) => json!(printable(&object.to_string())),
        found => json!(printable(&cell(found))),
    }
}

/// The values of [`COLUMNS`].
pub(super) fn row(view: &Value) -> Map<String, Value> {
    let values = [
        text(view, "/time"),
        text(view, "/decision"),
        text(view, "/action"),
        text(view, "/key/id"),
        text(view, "/org/id"),
        why(view),
        text(view, "/id"),
    ];
    COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

/// The code of a denial, the policies of an allow.
fn why(view: &Value) -> Value {
    let code = text(view, "/code");
    if code.is_null() { text(view, "/policies") } else { code }
}

/// Everything that is known of it, one to a line.
pub(super) fn card(view: &Value) -> Value {
    let mut lines = Map::new();
    for (name, pointer) in [
        ("id", "/id"),
        ("time", "/time"),
        ("decision", "/decision"),
        ("code", "/code"),
        ("reason", "/reason"),
        ("refusal", "/refusal"),
        ("status", "/status"),
        ("action", "/action"),
        ("resource_type", "/resource/type"),
        ("resource_id", "/resource/id"),
        ("had_context", "/had_context"),
        ("context", "/context"),
        ("policies", "/policies"),
        ("policy_set", "/policy_set"),
        ("revision", "/revision"),
        ("key", "/key/id"),
        ("secret", "/key/secret_id"),
        ("environment", "/key/environment"),
        ("permissions", "/key/permissions"),
        ("created_at", "/key/created_at"),
        ("expires_at", "/key/expires_at"),
        ("org", "/org/id"),
        ("org_name", "/org/name"),
        ("org_suspended", "/org/suspended"),
        ("entry_point", "/entry_point"),
        ("request_id", "/request_id"),
        ("trace_id", "/trace_id"),
        ("elapsed_us", "/elapsed_us"),
    ] {
        lines.insert(name.to_owned(), text(view, pointer));
    }
    lines.into()
}
