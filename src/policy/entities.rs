//! From facts to Cedar entities: the key, its org, and the stand-in for every other org.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression};

use super::{
    diagnostic::{Diagnostic, LoadError},
    engine::Engine,
    schema::{ADMIN, KEY, ORG, SYSTEM, Vocabulary, type_name, uid},
};
use crate::domain::{
    clock::Timestamp,
    id::{KeyId, OrgId},
    key::Environment,
    permission::Permission,
};

/// What the server knows about a key and its org, at one moment.
#[derive(Debug, Clone)]
pub struct Facts {
    pub key: KeyId,
    pub org: OrgId,
    pub org_name: Arc<str>,
    pub org_suspended: bool,
    pub environment: Environment,
    /// Shared by the keys that hold the same ones.
    pub permissions: Arc<[Permission]>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// Which of the attributes that the server supplies the schema declares, and the type names, parsed once.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub key_type: EntityTypeName,
    pub org_type: EntityTypeName,
    pub admin_type: EntityTypeName,
    pub system_type: EntityTypeName,
    action_type: EntityTypeName,
    key_attributes: HashSet<String>,
    org_attributes: HashSet<String>,
}

impl Shape {
    /// Checks that the server can supply what the schema wants of `ApiKey`, `Org` and every resource type of a permission.
    pub(super) fn read(vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let supplied =
            [(KEY, &["org", "permissions", "environment", "created_at", "expires_at"][..]), (ORG, &["name", "suspended"])];
        for (kind, attributes) in supplied {
            check_type(vocabulary, kind, attributes, &mut problems);
        }
        let resources = vocabulary.actions.iter().filter(|action| action.for_keys).flat_map(|action| &action.resources);
        let bare: BTreeSet<&String> = resources.map(|(kind, _)| kind).filter(|kind| *kind != ORG).collect();
        for kind in bare {
            check_type(vocabulary, kind, &[], &mut problems);
        }
        LoadError::check(problems)?;
        Ok(Self {
            key_type: type_name(KEY)?,
            org_type: type_name(ORG)?,
            admin_type: type_name(ADMIN)?,
            system_type: type_name(SYSTEM)?,
            action_type: type_name("Action")?,
            key_attributes: vocabulary.types.shape(KEY).into_keys().collect(),
            org_attributes: vocabulary.types.shape(ORG).into_keys().collect(),
        })
    }

    /// `Org::"id"`: any text is an id.
    pub(super) fn org_uid(&self, id: &str) -> EntityUid {
        uid(&self.org_type, id)
    }

    fn key_entity(&self, uid: EntityUid, org: EntityUid, facts: &Facts, permissions: &[&Permission]) -> Result<Entity, String> {
        let action =
            |name: &&Permission| RestrictedExpression::new_entity_uid(super::schema::uid(&self.action_type, name.as_str()));
        let datetime = |at: Timestamp| RestrictedExpression::new_datetime(at.to_string());
        let mut attributes = HashMap::from([
            ("org".to_owned(), RestrictedExpression::new_entity_uid(org)),
            ("permissions".to_owned(), RestrictedExpression::new_set(permissions.iter().map(action))),
            ("environment".to_owned(), RestrictedExpression::new_string(facts.environment.as_str().to_owned())),
            ("created_at".to_owned(), datetime(facts.created_at)),
        ]);
        attributes.extend(facts.expires_at.map(|at| ("expires_at".to_owned(), datetime(at))));
        attributes.retain(|name, _| self.key_attributes.contains(name));
        Entity::new(uid, attributes, HashSet::new()).map_err(|error| error.to_string())
    }

    pub(super) fn org_entity(&self, uid: EntityUid, name: &str, suspended: bool) -> Result<Entity, String> {
        let mut attributes = HashMap::from([
            ("name".to_owned(), RestrictedExpression::new_string(name.to_owned())),
            ("suspended".to_owned(), RestrictedExpression::new_bool(suspended)),
        ]);
        attributes.retain(|name, _| self.org_attributes.contains(name));
        Entity::new(uid, attributes, HashSet::new()).map_err(|error| error.to_string())
    }

    /// What any org but the key's own looks like: nothing about it can be learned, and nothing can err.
    pub(super) fn foreign_org(&self, uid: EntityUid) -> Result<Entity, String> {
        self.org_entity(uid, "", false)
    }
}

/// A type that a request's entities are built of: only attributes that the server supplies may be required.
fn check_type(vocabulary: &Vocabulary, kind: &str, supplied: &[&str], problems: &mut Vec<Diagnostic>) {
    let Some(definition) = vocabulary.types.definition(kind) else {
        problems.push(Diagnostic::general(format!("the schema does not declare the entity type `{kind}`")));
        return;
    };
    let mut problem = |message: String, help: String| problems.push(Diagnostic::general(message).help(help));
    let parents = definition.get("memberOfTypes").and_then(serde_json::Value::as_array).is_some_and(|all| !all.is_empty());
    if parents || definition.get("tags").is_some() {
        let what = if parents { "a parent type (`in […]`)" } else { "`tags`" };
        let message = format!("`{kind}` has {what}, which the server never supplies");
        problem(message, "remove it: a rule that relied on it would never hold".to_owned());
    }
    for (name, attribute) in vocabulary.types.shape(kind) {
        let is_supplied = supplied.contains(&name.as_str());
        if attribute.required && (!is_supplied || name == "expires_at") {
            let message = format!("`{kind}` requires the attribute `{name}`, which the server does not always supply");
            problem(message, format!("declare it as optional: `{name}?: …`"));
        }
    }
}

/// A key as Cedar sees it, built once and used for any number of decisions of one engine.
#[derive(Debug)]
pub struct Principal {
    pub(super) facts: Facts,
    pub(super) uid: EntityUid,
    pub(super) org_uid: EntityUid,
    /// The key and its org; an error denies every request.
    pub(super) entities: Result<Entities, String>,
}

impl Principal {
    pub(super) fn new(engine: &Engine, facts: Facts) -> Self {
        let shape = &engine.shape;
        let uid = uid(&shape.key_type, &facts.key.to_string());
        let org_uid = shape.org_uid(&facts.org.to_string());
        let mut principal = Self { facts, uid, org_uid, entities: Err(String::new()) };
        principal.entities = principal.entities_with(engine, None, []);
        principal
    }

    /// The id of the key's own org, as text.
    #[must_use]
    pub fn org_id(&self) -> &str {
        self.org_uid.id().unescaped()
    }

    /// What the principal was built from.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The key's own org and the key itself, as if it had one more permission, and whatever else a request is about.
    pub(super) fn entities_with(
        &self,
        engine: &Engine,
        granted: Option<&Permission>,
        others: impl IntoIterator<Item = Entity>,
    ) -> Result<Entities, String> {
        let facts = &self.facts;
        // A permission that the schema no longer has stays with the key in the store, and out of its entity.
        let known = facts.permissions.iter().chain(granted).filter(|name| engine.keys.contains_key(name.as_str()));
        let permissions: Vec<&Permission> = known.collect();
        let key = engine.shape.key_entity(self.uid.clone(), self.org_uid.clone(), facts, &permissions)?;
        let org = engine.shape.org_entity(self.org_uid.clone(), &facts.org_name, facts.org_suspended)?;
        Entities::from_entities([key, org].into_iter().chain(others), None).map_err(|error| error.to_string())
    }
}
