//! The section `record` of the configuration: what of a decision may leave the process.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{TelemetryError, context::RecordedContext, mask::Masks, names};
use crate::domain::secret::Hashing;

/// So many attributes of a context are recorded at most: with what is kept of each, 16 KiB of characters for a decision.
pub(super) const MOST_CONTEXT: usize = 16;

/// Section `record`. The last decisions in memory, which only admins see, are whole whatever is masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// Fields of log lines and spans, by name, that are left out (`erase`) or told as a hash of 32 hexadecimal digits (`hash`):
    /// HMAC-SHA-256 under `keys.pepper`, so that equal values stay equal, also among replicas. Without a pepper it is SHA-256,
    /// which whoever can guess a value can check.
    #[serde(deserialize_with = "flatten")]
    pub mask: BTreeMap<String, String>,
    /// Attributes of contexts that may be recorded, by name: 256 characters of a text, 1,024 of the JSON of anything that is not
    /// plain.
    pub context: Vec<String>,
}

/// A quoted name of a field, or the tables that TOML makes of its dots.
#[derive(Deserialize)]
#[serde(untagged, expecting = "the mask of a field is `erase` or `hash`")]
enum Node {
    Word(String),
    Table(BTreeMap<String, Node>),
}

fn flatten<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let (mut flat, mut pending) = (BTreeMap::new(), vec![(String::new(), Node::deserialize(deserializer)?)]);
    while let Some((name, node)) = pending.pop() {
        match node {
            Node::Word(word) => drop(flat.insert(name, word)),
            Node::Table(table) => pending.extend(table.into_iter().map(|(part, node)| {
                let name = if name.is_empty() { part } else { format!("{name}.{part}") };
                (name, node)
            })),
        }
    }
    Ok(flat)
}

/// What the section comes to, ready for any number of decisions.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub(super) masks: Masks,
    /// The fields of the attributes that are recorded.
    context: Box<[Arc<str>]>,
}

impl RecordConfig {
    /// What the section comes to, with hashes made by `hashing`.
    ///
    /// # Errors
    /// A field or a mask that is none, or attributes that are too many, without a name or named twice.
    pub fn rules(&self, hashing: &Hashing) -> Result<Rules, TelemetryError> {
        if self.context.len() > MOST_CONTEXT {
            return Err(TelemetryError::Context("too many attributes"));
        }
        let mut sorted: Vec<_> = self.context.iter().collect();
        sorted.sort();
        sorted.dedup();
        if sorted.len() < self.context.len() || sorted.first().is_some_and(|name| name.is_empty()) {
            return Err(TelemetryError::Context("an attribute without a name, or one twice"));
        }
        let context: Box<[Arc<str>]> = self.context.iter().map(|name| format!("{}{name}", names::CONTEXT).into()).collect();
        Ok(Rules { masks: Masks::read(&self.mask, &context, hashing)?, context })
    }

    /// Whether the section makes sense.
    ///
    /// # Errors
    /// As [`RecordConfig::rules`].
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.rules(&Hashing::Plain).map(drop)
    }
}

impl Rules {
    /// What of a context is recorded; `None` where nothing ever is.
    pub(super) fn keep(&self, context: &Map<String, Value>) -> Option<Box<RecordedContext>> {
        (!self.context.is_empty()).then(|| Box::new(RecordedContext::copy(&self.context, context)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(names: &[&str]) -> Result<(), TelemetryError> {
        let context = names.iter().map(|name| (*name).to_owned()).collect();
        RecordConfig { context, ..RecordConfig::default() }.check()
    }

    #[test]
    fn a_field_is_named_with_quotes_or_without() {
        let quoted = json!({ "mask": { "claviger.key.id": "hash", "claviger.org.id": "erase" } });
        let tables = json!({ "mask": { "claviger": { "key": { "id": "hash" }, "org.id": "erase" } } });
        let [quoted, tables] = [quoted, tables].map(|value| serde_json::from_value::<RecordConfig>(value).unwrap());
        assert_eq!(quoted, tables);
        assert!(quoted.check().is_ok());
        let wrong = serde_json::from_value::<RecordConfig>(json!({ "mask": { "claviger.key.id": true } })).unwrap_err();
        assert!(wrong.to_string().starts_with("the mask of a field is `erase` or `hash`"), "{wrong}");
    }

    #[test]
    fn attributes_of_contexts_are_few_and_each_is_named_once() {
        let many: Vec<String> = (0..=MOST_CONTEXT).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(context(&many[..MOST_CONTEXT]).is_ok() && context(&[]).is_ok());
        for names in [&many[..], &["a", "a"], &["a", ""]] {
            assert!(matches!(context(names), Err(TelemetryError::Context(_))), "{names:?}");
        }
    }

    #[test]
    fn where_no_attribute_is_named_nothing_is_kept() {
        let sent = json!({ "ip": "10.0.0.1" });
        assert!(Rules::default().keep(sent.as_object().unwrap()).is_none());
    }
}
