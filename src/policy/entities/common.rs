//! What keys have in common, built once for all that are in use: a decision then reads the memory that the last one has read.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cedar_policy_core::ast::{Entity, PartialValue, Value, ValueKind};

use crate::domain::{id::OrgId, permission::Permission};

/// Values of one engine. It holds no answer: what is here is what would be built again.
#[derive(Debug, Default)]
pub(super) struct Common {
    orgs: Mutex<Shared<(OrgId, Arc<str>, bool), Arc<Entity>>>,
    grants: Mutex<Shared<Arc<[Permission]>, Value>>,
}

#[derive(Debug)]
struct Shared<K, V> {
    values: HashMap<K, V>,
    /// So many are kept before those that nobody uses any more are let go.
    most: usize,
}

const FEW: usize = 1_024;

impl Common {
    /// An org under its id, its name and whether it is suspended.
    pub(super) fn org<E>(
        &self,
        key: (OrgId, Arc<str>, bool),
        build: impl FnOnce() -> Result<cedar_policy::Entity, E>,
    ) -> Result<Arc<Entity>, E> {
        let build = || build().map(|org| Arc::new(AsRef::<Entity>::as_ref(&org).clone()));
        lock(&self.orgs).find(key, |org| Arc::strong_count(org) > 1, build)
    }

    /// A set of permissions as the attribute of a key.
    pub(super) fn grants(&self, permissions: &Arc<[Permission]>, build: impl FnOnce() -> Value) -> PartialValue {
        let is_used = |value: &Value| matches!(&value.value, ValueKind::Set(set) if Arc::strong_count(&set.authoritative) > 1);
        let Ok(value) = lock(&self.grants).find::<std::convert::Infallible>(Arc::clone(permissions), is_used, || Ok(build()));
        value.into()
    }
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), most: FEW }
    }
}

impl<K: Eq + Hash, V: Clone> Shared<K, V> {
    fn find<E>(&mut self, key: K, is_used: impl Fn(&V) -> bool, build: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(known) = self.values.get(&key) {
            return Ok(known.clone());
        }
        if self.values.len() >= self.most {
            self.values.retain(|_, value| is_used(value));
            self.most = FEW.max(2 * self.values.len());
        }
        let value = build()?;
        self.values.insert(key, value.clone());
        Ok(value)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
