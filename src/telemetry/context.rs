//! What of a request's context is recorded: the attributes that `record.context` names, cut to a size, and nothing else.

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{attributes::Fields, names, record::CallerText};

/// Characters of a set, a record or an entity that are kept, of its JSON text.
pub(super) const LONGEST_JSON: usize = 1_024;

/// The recorded part of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedContext {
    /// By field, in the order of the setting.
    attributes: Box<[(Arc<str>, Kept)]>,
    has_all: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    Flag(bool),
    Number(i64),
    Text(CallerText),
    /// Everything else, as compact JSON.
    Json(CallerText),
}

impl RecordedContext {
    /// Copies the attributes of these fields, and no other.
    pub(super) fn copy(fields: &[Arc<str>], context: &Map<String, Value>) -> Self {
        let kept = |field: &Arc<str>| Some((Arc::clone(field), Kept::from(context.get(name(field))?)));
        let attributes: Box<[_]> = if context.is_empty() { Box::default() } else { fields.iter().filter_map(kept).collect() };
        Self { has_all: attributes.len() == context.len(), attributes }
    }

    /// Whether this is the whole context, as the caller sent it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.has_all && self.attributes.iter().all(|(_, value)| value.is_whole())
    }

    /// The attributes that are here as they were sent.
    #[must_use]
    pub fn asked(&self) -> Map<String, Value> {
        let whole = self.attributes.iter().filter(|(_, value)| value.is_whole());
        whole.map(|(field, value)| (name(field).to_owned(), value.shown())).collect()
    }

    /// Every attribute without anything shaped like a secret: what was cut, or had something taken out, as a text.
    #[must_use]
    pub fn shown(&self) -> Map<String, Value> {
        self.attributes.iter().map(|(field, value)| (name(field).to_owned(), value.shown())).collect()
    }

    /// The attributes of a span and a line.
    pub(super) fn tell(&self, to: &mut impl Fields) {
        for (field, value) in &self.attributes {
            let field = Arc::clone(field);
            match value {
                Kept::Flag(flag) => to.flag(field, *flag),
                Kept::Number(number) => to.number(field, *number),
                Kept::Text(text) | Kept::Json(text) => to.text(field, &text.clean()),
            }
        }
        to.flag(names::CONTEXT_WHOLE, self.is_whole());
    }

    /// The memory that it refers to, about.
    pub(super) fn bytes(&self) -> usize {
        let text = |value: &Kept| match value {
            Kept::Text(text) | Kept::Json(text) => text.len(),
            Kept::Flag(_) | Kept::Number(_) => 0,
        };
        size_of::<Self>() + size_of_val(&*self.attributes) + self.attributes.iter().map(|(_, value)| text(value)).sum::<usize>()
    }
}

fn name(field: &str) -> &str {
    field.strip_prefix(names::CONTEXT).unwrap_or(field)
}

impl From<&Value> for Kept {
    fn from(value: &Value) -> Self {
        match value {
            Value::Bool(flag) => Self::Flag(*flag),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Number(number) if number.is_i64() => Self::Number(number.as_i64().unwrap_or_default()),
            other => Self::Json(json(other)),
        }
    }
}

impl Kept {
    fn is_whole(&self) -> bool {
        match self {
            Self::Flag(_) | Self::Number(_) => true,
            Self::Text(text) | Self::Json(text) => text.is_whole(),
        }
    }

    fn shown(&self) -> Value {
        match self {
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::String(text.clean().into_owned()),
            Self::Json(text) => {
                let parsed = if text.is_whole() { serde_json::from_str(&text.clean()).ok() } else { None };
                parsed.unwrap_or_else(|| Value::String(text.clean().into_owned()))
            }
        }
    }
}

/// Writes no more of a value than is kept, however large it is.
fn json(value: &Value) -> CallerText {
    let mut text = Start(Vec::new());
    // What does not fit ends the writing, which is all that can go wrong.
    let _ = serde_json::to_writer(&mut text, value);
    let whole = text.0.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    CallerText::cut(whole, LONGEST_JSON)
}

struct Start(Vec<u8>);

impl Write for Start {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One character more than is kept, at four bytes each: so that the text knows that it was cut.
        let room = (4 * (LONGEST_JSON + 1)).saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend(bytes.iter().take(room));
        if room < bytes.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(room) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn copy(names: &[&str], context: &Value) -> RecordedContext {
        let fields: Vec<Arc<str>> = names.iter().map(|name| format!("{}{name}", names::CONTEXT).into()).collect();
        RecordedContext::copy(&fields, context.as_object().unwrap())
    }

    #[test]
    fn only_what_is_named_is_copied() {
        let context = json!({ "ip": "10.0.0.1", "count": 7, "tls": true, "secret": "hunter22" });
        let kept = copy(&["tls", "ip", "count", "other"], &context);
        assert_eq!(Value::from(kept.shown()), json!({ "ip": "10.0.0.1", "count": 7, "tls": true }));
        assert!(!kept.is_whole() && !format!("{kept:?}").contains("hunter22"));
        assert_eq!(kept.asked(), kept.shown());
        assert!(copy(&["a", "b"], &json!({ "a": 1 })).is_whole() && copy(&["a"], &json!({})).is_whole());
    }

    #[test]
    fn sets_records_and_entities_are_compact_json_and_come_back() {
        let context = json!({ "who": { "type": "User", "id": "ada" }, "tags": ["a", "b"], "half": 0.5, "none": null });
        let kept = copy(&["who", "tags", "half", "none"], &context);
        let mut fields = Vec::new();
        kept.tell(&mut fields);
        let fields: Vec<_> = fields.iter().map(|field| format!("{}={}", field.key, field.value)).collect();
        assert_eq!(
            fields,
            [
                r#"claviger.context.who={"type":"User","id":"ada"}"#,
                r#"claviger.context.tags=["a","b"]"#,
                "claviger.context.half=0.5",
                "claviger.context.none=null",
                "claviger.context_whole=true",
            ]
        );
        assert_eq!(Value::from(kept.asked()), context);
    }

    #[test]
    fn whatever_is_sent_the_size_is_bounded_and_a_cut_is_known() {
        for value in [
            json!("é".repeat(70_000)),
            json!(["𝄞".repeat(70_000)]),
            json!(vec!["\u{1}"; 20_000]),
            json!(["x".repeat(999), "x".repeat(99)]),
        ] {
            let kept = copy(&["a"], &json!({ "a": value }));
            assert!(!kept.is_whole() && kept.asked().is_empty() && kept.bytes() < 5_000, "{}", kept.bytes());
            assert!(kept.shown()["a"].is_string());
        }
        let fitting = json!({ "a": ["𝄞".repeat(LONGEST_JSON - 4)] });
        assert_eq!(Value::from(copy(&["a"], &fitting).asked()), fitting);
        assert!(!copy(&["a"], &json!({ "a": ["𝄞".repeat(LONGEST_JSON - 3)] })).is_whole());
    }

    #[test]
    fn what_is_shaped_like_a_secret_is_taken_out_and_never_asked_again() {
        let kept = copy(&["a", "b"], &json!({ "a": "op_live_0123456789abcdef", "b": { "c": ["op_live_0123456789abcdef"] } }));
        assert!(!kept.is_whole() && kept.asked().is_empty());
        assert_eq!(Value::from(kept.shown()), json!({ "a": "op_live_…", "b": r#"{"c":["op_live_…"]}"# }));
        assert!(!format!("{kept:?}").contains("0123456789ab"));
    }
}
