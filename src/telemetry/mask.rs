//! Fields that do not leave the process as they are: left out, or told as a keyed hash.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::{TelemetryError, names};
use crate::domain::{hex::hex, nearest::nearest, secret::Hashing};

/// What may be masked: who asked, for what, and what was in force. Beside these, attributes of the context that are recorded.
const MASKABLE: [&str; 14] = [
    names::ACTION,
    names::KEY_ENVIRONMENT,
    names::KEY_ID,
    names::KEY_PERMISSIONS,
    names::KEY_REFUSAL,
    names::ORG_ID,
    names::ORG_SUSPENDED,
    names::POLICY_IDS,
    names::POLICY_SET,
    names::REQUEST_ID,
    names::RESOURCE_ID,
    names::RESOURCE_TYPE,
    names::REVISION,
    names::SECRET_ID,
];

/// What separates these hashes from those of secrets, and each field's from every other's.
const DOMAIN: &str = "claviger record mask";
/// Bytes of a hash that are told, in twice as many digits.
const TOLD: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mask {
    Erase,
    Hash,
}

impl Mask {
    const ALL: [(&'static str, Self); 2] = [("erase", Self::Erase), ("hash", Self::Hash)];
}

/// The masks in force, by field.
#[derive(Debug, Clone)]
pub(super) struct Masks {
    fields: Box<[(Arc<str>, Mask)]>,
    hashing: Hashing,
}

impl Default for Masks {
    fn default() -> Self {
        Self { fields: Box::default(), hashing: Hashing::Plain }
    }
}

impl Masks {
    /// Reads names and words; `context` are the fields of the context that are recorded.
    ///
    /// # Errors
    /// A field that is none or cannot be masked, or a word that is no mask, with the nearest that is.
    pub(super) fn read(
        masks: &BTreeMap<String, String>,
        context: &[Arc<str>],
        hashing: &Hashing,
    ) -> Result<Self, TelemetryError> {
        let field = |(field, word): (&String, &String)| {
            check_field(field, context)?;
            let mask = Mask::ALL.into_iter().find(|(known, _)| known == word).map(|(_, mask)| mask);
            let mask = mask.ok_or_else(|| TelemetryError::Mask {
                field: field.clone(),
                word: word.clone(),
                nearest: nearest(word, Mask::ALL.map(|(known, _)| known), 2).map(str::to_owned),
            })?;
            Ok((field.as_str().into(), mask))
        };
        let fields = masks.iter().map(field).collect::<Result<_, _>>()?;
        Ok(Self { fields, hashing: hashing.clone() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a field does not leave the process as it is.
    pub(super) fn hides(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| **field == *name)
    }

    /// Masks what is to be masked, and says of which fields that was done.
    pub(super) fn apply(&self, mut fields: Vec<KeyValue>) -> Vec<KeyValue> {
        if self.is_empty() {
            return fields;
        }
        let mut masked = Vec::new();
        fields.retain_mut(|field| {
            let Some((name, mask)) = self.fields.iter().find(|(name, _)| **name == *field.key.as_str()) else { return true };
            masked.push(StringValue::from(Arc::clone(name)));
            if *mask == Mask::Hash {
                field.value = self.hash(name, &field.value);
            }
            *mask == Mask::Hash
        });
        if !masked.is_empty() {
            fields.push(KeyValue::new(names::MASKED, Value::Array(Array::String(masked))));
        }
        fields
    }

    /// The hash of a value, or of each element of a list.
    fn hash(&self, field: &str, value: &Value) -> Value {
        let told = |text: &str| {
            let hash = self.hashing.blind(&format!("{DOMAIN}: {field}"), text);
            hex(hash.get(..TOLD).unwrap_or_default()).into()
        };
        match value {
            Value::Array(Array::String(texts)) => {
                Value::Array(Array::String(texts.iter().map(|text| told(text.as_str())).collect()))
            }
            other => Value::String(told(&other.as_str())),
        }
    }
}

fn check_field(field: &str, context: &[Arc<str>]) -> Result<(), TelemetryError> {
    let known = || MASKABLE.into_iter().chain(context.iter().map(|field| &**field));
    if known().any(|known| known == field) {
        return Ok(());
    }
    // What else there is says which record it is: without that it could be neither found nor read.
    if names_of_records().any(|known| known == field) {
        return Err(TelemetryError::Unmaskable(field.to_owned()));
    }
    let nearest = nearest(field, known(), 3).map(str::to_owned);
    Err(TelemetryError::MaskedField { field: field.to_owned(), nearest })
}

fn names_of_records() -> impl Iterator<Item = &'static str> {
    [names::OF_DECISIONS, names::OF_CALLS, names::OF_SPANS, names::OF_LINES].into_iter().flatten().map(|field| field.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(masks: &[(&str, &str)], hashing: &Hashing) -> Result<Masks, TelemetryError> {
        let masks = masks.iter().map(|(field, word)| ((*field).to_owned(), (*word).to_owned())).collect();
        Masks::read(&masks, &["claviger.context.ip".into()], hashing)
    }

    fn refused(field: &str, word: &str) -> String {
        read(&[(field, word)], &Hashing::Plain).unwrap_err().to_string()
    }

    fn peppered(letter: &str) -> Hashing {
        Hashing::Peppered(format!("1:{}", letter.repeat(32)).parse().unwrap())
    }

    fn masked(masks: &Masks, fields: &[(&'static str, Value)]) -> Vec<(String, String)> {
        let fields = fields.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect();
        masks.apply(fields).iter().map(|field| (field.key.to_string(), field.value.to_string())).collect()
    }

    #[test]
    fn an_unknown_field_or_word_is_refused_with_the_nearest_one() {
        assert_eq!(
            refused("claviger.resource.ids", "hash"),
            "`claviger.resource.ids` is no field that can be masked; did you mean `claviger.resource.id`?"
        );
        assert_eq!(refused("hostname", "hash"), "`hostname` is no field that can be masked");
        assert_eq!(
            refused("claviger.key.id", "hsah"),
            "`hsah` is no mask for `claviger.key.id`: use `erase` or `hash`; did you mean `hash`?"
        );
        assert_eq!(refused("claviger.key.id", "***"), "`***` is no mask for `claviger.key.id`: use `erase` or `hash`");
        assert_eq!(
            refused("claviger.context.io", "erase"),
            "`claviger.context.io` is no field that can be masked; did you mean `claviger.context.ip`?"
        );
        assert!(read(&[("claviger.context.ip", "erase"), ("claviger.key.id", "hash")], &Hashing::Plain).is_ok());
    }

    #[test]
    fn what_the_record_is_cannot_be_masked() {
        let fixed: Vec<_> = names_of_records().filter(|field| !MASKABLE.contains(field)).collect();
        assert!(
            ["timestamp", "event", "trace_id", "claviger.decision", "claviger.decision.id"]
                .iter()
                .all(|field| fixed.contains(field))
        );
        assert_eq!(fixed.len() + MASKABLE.len(), names_of_records().count());
        for field in fixed {
            assert_eq!(refused(field, "hash"), format!("`{field}` cannot be masked: it is what the record itself is"));
        }
    }

    #[test]
    fn equal_values_of_a_field_stay_equal_and_tell_nothing_about_other_fields() {
        let masks = |hashing| read(&[("claviger.org.id", "hash"), ("claviger.resource.id", "hash")], hashing).unwrap();
        let [a, again, b, plain] = [&peppered("a"), &peppered("a"), &peppered("b"), &Hashing::Plain].map(masks);
        let fields = [(names::ORG_ID, Value::from("acme")), (names::RESOURCE_ID, Value::from("acme"))];
        let told = masked(&a, &fields);
        assert_eq!(told, masked(&again, &fields));
        assert!(told.iter().take(2).all(|(_, hash)| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
        let mut hashes: Vec<_> = [&a, &b, &plain].into_iter().flat_map(|masks| masked(masks, &fields)).collect();
        hashes.retain(|(name, _)| name != names::MASKED);
        hashes.sort_by(|one, other| one.1.cmp(&other.1));
        hashes.dedup_by(|one, other| one.1 == other.1);
        assert_eq!(hashes.len(), 6, "{hashes:?}");
    }

    #[test]
    fn lists_are_hashed_element_by_element_and_what_is_erased_is_named() {
        let masks = [("claviger.key.permissions", "hash"), ("claviger.org.suspended", "hash"), ("claviger.key.id", "erase")];
        let masks = read(&masks, &peppered("a")).unwrap();
        let list = |names: &[&'static str]| Value::Array(Array::String(names.iter().map(|name| (*name).into()).collect()));
        let told = |permissions: &[&'static str]| {
            let suspended = (names::ORG_SUSPENDED, Value::Bool(true));
            masked(&masks, &[(names::KEY_ID, "key_1".into()), (names::KEY_PERMISSIONS, list(permissions)), suspended])
        };
        let (one, two) = (told(&["a"]), told(&["a", "b"]));
        assert_eq!(one.len(), 3);
        assert_eq!(
            one[2],
            (
                names::MASKED.to_owned(),
                "[\"claviger.key.id\",\"claviger.key.permissions\",\"claviger.org.suspended\"]".to_owned()
            )
        );
        assert!(two[0].1.starts_with(one[0].1.trim_end_matches(']')) && two[0].1.len() > one[0].1.len(), "{one:?} {two:?}");
        assert_eq!(masked(&masks, &[(names::DECISION, "allow".into())]), [(names::DECISION.to_owned(), "allow".to_owned())]);
    }
}
