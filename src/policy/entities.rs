//! From facts to Cedar entities: the key, its org, and the stand-in for every other org.

mod shared;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression};
use cedar_policy_core::{
    ast::{self, EntityUID, Literal, PartialValue, Value},
    entities as core,
    extensions::Extensions,
};

use self::shared::Shared;
use super::{
    diagnostic::LoadError,
    engine::Engine,
    schema::{ADMIN, KEY, ORG, SYSTEM, Vocabulary, shared, type_name, uid},
};
use crate::domain::{clock::Timestamp, facts::Facts, permission::Permission};

/// Which of the attributes that the server supplies the schema declares, and the type names, parsed once.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub key_type: EntityTypeName,
    pub org_type: EntityTypeName,
    pub admin_type: EntityTypeName,
    pub system_type: EntityTypeName,
    key_attributes: HashSet<String>,
    org_attributes: HashSet<String>,
    shared: Arc<Shared>,
}

impl Shape {
    pub(super) fn read(vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        Ok(Self {
            key_type: type_name(KEY)?,
            org_type: type_name(ORG)?,
            admin_type: type_name(ADMIN)?,
            system_type: type_name(SYSTEM)?,
            key_attributes: vocabulary.types.shape(KEY).into_keys().collect(),
            org_attributes: vocabulary.types.shape(ORG).into_keys().collect(),
            shared: Arc::default(),
        })
    }

    /// `Org::"id"`: any text is an id.
    pub(super) fn org_uid(&self, id: &str) -> EntityUid {
        uid(&self.org_type, id)
    }

    /// A key whose permissions are there already as Cedar sees them.
    fn key_entity(&self, principal: &Principal, permissions: PartialValue) -> Result<ast::Entity, String> {
        let Principal { facts, uid, org_uid, .. } = principal;
        let datetime = |at: Timestamp| RestrictedExpression::new_datetime(at.to_string());
        let mut attributes = HashMap::from([
            ("environment".to_owned(), RestrictedExpression::new_string(facts.environment.as_str().to_owned())),
            ("created_at".to_owned(), datetime(facts.created_at)),
        ]);
        attributes.extend(facts.expires_at.map(|at| ("expires_at".to_owned(), datetime(at))));
        attributes.retain(|name, _| self.key_attributes.contains(name));
        let plain = Entity::new(EntityUID::clone(uid).into(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        let plain: &ast::Entity = plain.as_ref();
        let org = Value::new(Arc::clone(org_uid), None).into();
        let mut shared = vec![("org", org), ("permissions", permissions)];
        shared.retain(|(name, _)| self.key_attributes.contains(*name));
        let shared = shared.into_iter().map(|(name, value)| (name.into(), value));
        let all = plain.attrs().map(|(name, value)| (name.clone(), value.clone())).chain(shared);
        Ok(ast::Entity::new_with_attr_partial_value(EntityUID::clone(uid), all, HashSet::new(), HashSet::new(), []))
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
    pub(super) facts: Arc<Facts>,
    pub(super) uid: Arc<EntityUID>,
    pub(super) org_uid: Arc<EntityUID>,
    /// The key and its org; an error denies every request.
    pub(super) entities: Result<Entities, String>,
}

impl Principal {
    pub(super) fn new(engine: &Engine, facts: Arc<Facts>) -> Self {
        let shape = &engine.shape;
        let uid = shared(uid(&shape.key_type, &facts.key.to_string()));
        let org_uid = shape.shared.org_uid(facts.org, || shared(shape.org_uid(&facts.org.to_string())));
        let mut principal = Self { facts, uid, org_uid, entities: Err(String::new()) };
        principal.entities = principal.entities_with(engine, None, []);
        principal
    }

    /// The id of the key's own org, as text.
    #[must_use]
    pub fn org_id(&self) -> &str {
        self.org_uid.eid().as_ref()
    }

    /// What the principal was built from.
    #[must_use]
    pub const fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The key's own org and the key itself, as if it had one more permission, and whatever else a request is about.
    pub(super) fn entities_with(
        &self,
        engine: &Engine,
        granted: Option<&Permission>,
        others: impl IntoIterator<Item = Entity>,
    ) -> Result<Entities, String> {
        let (facts, shape) = (&self.facts, &engine.shape);
        // A permission that the schema no longer has stays with the key in the store, and out of its entity.
        let known = |name: &Permission| Some(Literal::EntityUID(Arc::clone(&engine.keys.get(name.as_str())?.shared)));
        let permissions = || Value::set_of_lits(facts.permissions.iter().chain(granted).filter_map(known), None);
        let permissions =
            if granted.is_some() { permissions().into() } else { shape.shared.grants(&facts.permissions, permissions) };
        let key = shape.key_entity(self, permissions)?;
        let org = (facts.org, Arc::clone(&facts.org_name), facts.org_suspended);
        let org_uid = || EntityUID::clone(&self.org_uid).into();
        let org = shape.shared.org(org, || shape.org_entity(org_uid(), &facts.org_name, facts.org_suspended))?;
        let others = others.into_iter().map(|entity| Arc::new(AsRef::<ast::Entity>::as_ref(&entity).clone()));
        let entities = core::Entities::new().add_entities(
            [Arc::new(key), org].into_iter().chain(others),
            None::<&core::NoEntitiesSchema>,
            core::TCComputation::ComputeNow,
            Extensions::all_available(),
        );
        entities.map(Entities::from).map_err(|error| error.to_string())
    }
}
