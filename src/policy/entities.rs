//! From facts to Cedar entities: the key, its org, and the stand-in for every other org.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression};

use super::{
    diagnostic::LoadError,
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
    pub(super) fn read(vocabulary: &Vocabulary) -> Result<Self, LoadError> {
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
