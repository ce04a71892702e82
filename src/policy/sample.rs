//! Types out of Cedar's JSON schema form: resolving names, and making a value of a type for the guards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::schema::{Attribute, entries};

/// The types that the schema declares, by full name.
#[derive(Debug, Default, Clone)]
pub(super) struct Types {
    common: BTreeMap<String, (String, Value)>,
    entities: BTreeMap<String, (String, Value)>,
    /// Some action, for values of type `Action`.
    action: BTreeMap<String, String>,
}

/// Which of the possible values a sample takes: guards try them all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// `true`, `1`, `"sample"` and filled sets, or `false`, `0`, `""` and empty ones.
    pub full: bool,
    /// With the optional attributes, or without.
    pub optional: bool,
}

impl Variant {
    pub(super) const ALL: [Self; 4] = [
        Self { full: true, optional: true },
        Self { full: true, optional: false },
        Self { full: false, optional: true },
        Self { full: false, optional: false },
    ];
}

/// The name of one of Cedar's own types. A schema that gives it to a type of its own gets a warning, so it never loads.
fn builtin(name: &str) -> Option<&str> {
    match name.strip_prefix("__cedar::").unwrap_or(name) {
        "Bool" | "Boolean" => Some("Bool"),
        own @ ("String" | "Long" | "ipaddr" | "decimal" | "datetime" | "duration") => Some(own),
        _ => None,
    }
}

fn full_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") }
}

/// Adds the attributes of the records in a definition.
pub(super) fn declare(owner: &str, definition: &Value, declared: &mut BTreeSet<(String, String)>) {
    match definition {
        Value::Object(fields) => {
            for (name, kind) in entries(definition, "attributes") {
                declared.insert((owner.to_owned(), name.clone()));
                declare(&format!("{owner}.{name}"), kind, declared);
            }
            fields.iter().filter(|(field, _)| *field != "attributes").for_each(|(_, value)| declare(owner, value, declared));
        }
        Value::Array(values) => values.iter().for_each(|value| declare(owner, value, declared)),
        _ => {}
    }
}

impl Types {
    pub(super) fn new(namespaces: &[(String, Value)]) -> Self {
        let mut types = Self::default();
        for (namespace, definition) in namespaces {
            let named = |(name, value): (&String, &Value)| (full_name(namespace, name), (namespace.clone(), value.clone()));
            types.common.extend(entries(definition, "commonTypes").map(named));
            types.entities.extend(entries(definition, "entityTypes").map(named));
            let actions = entries(definition, "actions").map(|(name, _)| (full_name(namespace, "Action"), name.clone()));
            types.action.extend(actions);
        }
        types
    }

    /// An entity type's full name as seen from a namespace.
    pub(super) fn entity(&self, namespace: &str, name: &str) -> String {
        let near = full_name(namespace, name);
        if self.entities.contains_key(&near) || self.action.contains_key(&near) { near } else { name.to_owned() }
    }

    /// The definition of an entity type.
    pub(super) fn definition(&self, entity: &str) -> Option<&Value> {
        self.entities.get(entity).map(|(_, definition)| definition)
    }

    /// The attributes of an entity type, by name.
    pub(super) fn shape(&self, entity: &str) -> BTreeMap<String, Attribute> {
        let shape = self.entities.get(entity).and_then(|(namespace, definition)| Some((namespace, definition.get("shape")?)));
        shape.map(|(namespace, shape)| self.attributes(namespace, shape)).unwrap_or_default()
    }

    /// Every attribute of every entity type and named type: whose it is, and its name.
    pub(super) fn declared(&self) -> BTreeSet<(String, String)> {
        let mut declared = BTreeSet::new();
        for (name, (_, definition)) in self.entities.iter().chain(&self.common) {
            declare(name, definition, &mut declared);
        }
        declared
    }

    /// The attributes of a record type, or of a name for one.
    pub(super) fn attributes(&self, namespace: &str, kind: &Value) -> BTreeMap<String, Attribute> {
        if let Some((namespace, kind)) = self.resolve_common(namespace, kind) {
            return self.attributes(&namespace, &kind);
        }
        let attribute = |(name, kind): (&String, &Value)| {
            let required = kind.get("required").and_then(Value::as_bool).unwrap_or(true);
            (name.clone(), Attribute { kind: kind.clone(), namespace: namespace.to_owned(), required })
        };
        entries(kind, "attributes").map(attribute).collect()
    }

    fn resolve_common(&self, namespace: &str, kind: &Value) -> Option<(String, Value)> {
        self.common(namespace, kind).map(|(_, (namespace, kind))| (namespace.to_owned(), kind.clone()))
    }

    /// The common type that a type names: its full name, its namespace and what it stands for.
    pub(super) fn common(&self, namespace: &str, kind: &Value) -> Option<(&str, (&str, &Value))> {
        let tag = kind.get("type")?.as_str()?;
        let name = if matches!(tag, "EntityOrCommon" | "CommonType") { kind.get("name")?.as_str()? } else { tag };
        let near = self.common.get_key_value(&full_name(namespace, name)).or_else(|| self.common.get_key_value(name));
        near.map(|(name, (namespace, kind))| (name.as_str(), (namespace.as_str(), kind)))
    }

    /// A type as the schema would spell it, names resolved: `Set<Action>`, `datetime`, `Org`.
    pub(super) fn spell(&self, namespace: &str, kind: &Value) -> String {
        if let Some((_, (namespace, kind))) = self.common(namespace, kind) {
            return self.spell(namespace, kind);
        }
        let tag = kind.get("type").and_then(Value::as_str).unwrap_or_default();
        let name = kind.get("name").and_then(Value::as_str).unwrap_or(tag);
        match tag {
            "Record" => "a record".to_owned(),
            "Set" => format!("Set<{}>", kind.get("element").map(|element| self.spell(namespace, element)).unwrap_or_default()),
            _ => builtin(name).map_or_else(|| self.entity(namespace, name), str::to_owned),
        }
    }

    /// A value of a type, in the JSON form that Cedar's context parser reads.
    pub(super) fn sample(&self, namespace: &str, kind: &Value, variant: Variant) -> Value {
        if let Some((namespace, kind)) = self.resolve_common(namespace, kind) {
            return self.sample(&namespace, &kind, variant);
        }
        let name = kind.get("name").and_then(Value::as_str).unwrap_or_default();
        let tag = kind.get("type").and_then(Value::as_str).unwrap_or_default();
        match tag {
            "Record" => self.sample_record(&self.attributes(namespace, kind), variant),
            "Set" => match kind.get("element") {
                Some(element) if variant.full => json!([self.sample(namespace, element, variant)]),
                _ => json!([]),
            },
            "EntityOrCommon" | "Entity" | "Extension" | "CommonType" => self.sample_named(namespace, name, variant),
            primitive => self.sample_named(namespace, primitive, variant),
        }
    }

    /// A record with a value for every attribute that the variant wants.
    pub(super) fn sample_record(&self, attributes: &BTreeMap<String, Attribute>, variant: Variant) -> Value {
        let wanted = attributes.iter().filter(|(_, attribute)| attribute.required || variant.optional);
        let fields = wanted.map(|(name, attribute)| (name.clone(), self.sample(&attribute.namespace, &attribute.kind, variant)));
        Value::Object(fields.collect::<Map<String, Value>>())
    }

    fn sample_named(&self, namespace: &str, name: &str, variant: Variant) -> Value {
        let extension = |function: &str, argument: &str| json!({"__extn": {"fn": function, "arg": argument}});
        match builtin(name).unwrap_or_default() {
            "String" => json!(if variant.full { "sample" } else { "" }),
            "Long" => json!(i64::from(variant.full)),
            "Bool" => json!(variant.full),
            "ipaddr" => extension("ip", if variant.full { "203.0.113.7" } else { "::1" }),
            "decimal" => extension("decimal", if variant.full { "1.0" } else { "0.0" }),
            "datetime" => extension("datetime", if variant.full { "2026-11-24" } else { "1970-01-01" }),
            "duration" => extension("duration", if variant.full { "1h" } else { "0ms" }),
            _ => {
                let kind = self.entity(namespace, name);
                let enumerated = self.definition(&kind).and_then(|definition| definition.get("enum")?.get(0)?.as_str());
                let id = self.action.get(&kind).map(String::as_str).or(enumerated).unwrap_or("sample");
                json!({"__entity": {"type": kind, "id": id}})
            }
        }
    }
}
