//! What the server supplies, against what the schema declares: a rule on what is never supplied would never hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    decide::NOW,
    declaration,
    diagnostic::{Diagnostic, LoadError},
    files::PolicyFiles,
    management::Action,
    schema::{ADMIN, ActionShape, Attribute, KEY, ORG, SYSTEM, Vocabulary},
};

/// Attributes that the server supplies, each with its type.
type Supplied = &'static [(&'static str, &'static str)];

const OF_KEY: Supplied = &[
    ("org", ORG),
    ("permissions", "Set<Action>"),
    ("environment", "String"),
    ("created_at", "datetime"),
    ("expires_at", "datetime"),
];
const OF_ORG: Supplied = &[("name", "String"), ("suspended", "Bool")];
const OF_ADMIN: Supplied = &[("role", "String")];
/// Supplied for some and not for others.
const SOMETIMES: [&str; 1] = ["expires_at"];

/// Checks that every request and every entity that the server will make fits the schema.
pub(super) fn check(files: &PolicyFiles, vocabulary: &Vocabulary) -> Result<(), LoadError> {
    let mut check = Check { files, vocabulary, problems: Vec::new() };
    for (kind, supplied) in [(KEY, OF_KEY), (ORG, OF_ORG), (ADMIN, OF_ADMIN), (SYSTEM, &[])] {
        check.entity(kind, supplied);
    }
    let resources = vocabulary.actions.iter().filter(|action| action.for_keys).flat_map(|action| &action.resources);
    let bare: BTreeSet<&str> = resources.map(|(kind, _)| kind.as_str()).filter(|kind| ![ORG, SYSTEM].contains(kind)).collect();
    for kind in bare {
        if [KEY, ADMIN].contains(&kind) {
            check.problem(
                kind,
                None,
                format!("`{kind}` cannot be the resource of a permission"),
                "the server knows no such resource",
            );
        } else {
            check.entity(kind, &[]);
        }
    }
    for action in vocabulary.actions.iter().filter(|action| action.for_keys) {
        if let Some(now) = action.context.get(NOW) {
            let owner = format!("the context of `{}`", action.name);
            check.attribute_type(&action.name, &owner, NOW, now, "datetime");
        }
    }
    for action in Action::ALL {
        if let Some(shape) = vocabulary.actions.iter().find(|shape| shape.for_admins && shape.name == action.as_str()) {
            check.management(action, shape);
        }
    }
    LoadError::check(check.problems)
}

struct Check<'a> {
    files: &'a PolicyFiles,
    vocabulary: &'a Vocabulary,
    problems: Vec<Diagnostic>,
}

impl Check<'_> {
    fn problem(&mut self, name: &str, attribute: Option<&str>, message: String, help: &str) {
        self.problems.push(declaration::diagnostic(self.files, name, attribute, message).help(help));
    }

    /// An entity type that the server makes entities of.
    fn entity(&mut self, kind: &str, supplied: Supplied) {
        let Some(definition) = self.vocabulary.types.definition(kind) else {
            let file = if kind.contains("::") { "management" } else { "authz" };
            let help = format!("`claviger init` writes a complete schema/{file}.cedarschema");
            self.problem(kind, None, format!("the schema does not declare the entity type `{kind}`"), &help);
            return;
        };
        let has_parents = definition.get("memberOfTypes").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let never = [
            (has_parents, "a parent type (`in […]`)"),
            (definition.get("tags").is_some(), "`tags`"),
            (definition.get("enum").is_some(), "a list of its ids (`enum`)"),
        ];
        for (_, what) in never.into_iter().filter(|(has, _)| *has) {
            let message = format!("`{kind}` has {what}, which the server never supplies");
            self.problem(kind, None, message, "remove it: a rule that relied on it would never hold");
        }
        let attributes = self.vocabulary.types.shape(kind);
        self.attributes(kind, &format!("`{kind}`"), &attributes, supplied);
    }

    /// Only what the server supplies may be required, and nothing of it may have another type.
    fn attributes(&mut self, declared: &str, owner: &str, attributes: &BTreeMap<String, Attribute>, supplied: Supplied) {
        for (name, attribute) in attributes {
            let known = supplied.iter().find(|(known, _)| known == name);
            if attribute.required && (known.is_none() || SOMETIMES.contains(&name.as_str())) {
                let message = format!("{owner} requires the attribute `{name}`, which the server does not always supply");
                self.problem(declared, Some(name), message, &format!("declare it as optional: `{name}?: …`"));
            }
            if let Some((_, kind)) = known {
                self.attribute_type(declared, owner, name, attribute, kind);
            }
        }
    }

    fn attribute_type(&mut self, declared: &str, owner: &str, name: &str, attribute: &Attribute, supplied: &str) {
        let spelt = self.vocabulary.types.spell(&attribute.namespace, &attribute.kind);
        if spelt != supplied {
            let message = format!("{owner} declares `{name}` as `{spelt}`; the server supplies `{supplied}`");
            self.problem(declared, Some(name), message, &format!("declare `{name}: {supplied}`, or use another name"));
        }
    }

    /// The server asks each management operation about one type of resource, with one context.
    fn management(&mut self, action: Action, shape: &ActionShape) {
        let (resource, context): (&str, Supplied) = if action.is_about_org() {
            (ORG, &[])
        } else if action.is_about_admin() {
            (SYSTEM, OF_ADMIN)
        } else {
            (SYSTEM, &[])
        };
        if !shape.resources.iter().any(|(kind, _)| kind == resource) {
            let message = format!("`{}` does not apply to `{resource}`, which the server asks about", action.as_str());
            self.problem(&shape.name, None, message, &format!("write `resource: [{resource}]`"));
        }
        self.attributes(&shape.name, &format!("the context of `{}`", action.as_str()), &shape.context, context);
    }
}
