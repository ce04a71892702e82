//! What keys have in common, built once for all that are in use: a decision then reads the memory that the last one has read.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value, ValueKind};

use crate::domain::{id::OrgId, permission::Permission};

/// Values of one engine. It holds no answer: what is here is what would be built again.
#[derive(Debug, Default)]
pub(super) struct Shared {
    org_uids: Mutex<Interned<OrgId, Arc<EntityUID>>>,
    orgs: Mutex<Interned<OrgState, Arc<Entity>>>,
    grants: Mutex<Interned<Arc<[Permission]>, Value>>,
}

/// What an org's entity is made of: its id, its name, and whether it is suspended.
type OrgState = (OrgId, Arc<str>, bool);

#[derive(Debug)]
struct Interned<K, V> {
    values: HashMap<K, V>,
    /// So many are kept before those that nobody uses any more are let go.
    most: usize,
}

const FEW: usize = 1_024;

impl Shared {
    /// The name of an org.
    pub(super) fn org_uid(&self, id: OrgId, build: impl FnOnce() -> Arc<EntityUID>) -> Arc<EntityUID> {
        let Ok(uid) = lock(&self.org_uids).find::<Infallible>(id, |uid| Arc::strong_count(uid) > 1, || Ok(build()));
        uid
    }

    /// An org as Cedar sees it.
    pub(super) fn org<E>(
        &self,
        key: OrgState,
        build: impl FnOnce() -> Result<cedar_policy::Entity, E>,
    ) -> Result<Arc<Entity>, E> {
        let build = || build().map(|org| Arc::new(AsRef::<Entity>::as_ref(&org).clone()));
        lock(&self.orgs).find(key, |org| Arc::strong_count(org) > 1, build)
    }

    /// A set of permissions as the attribute of a key.
    pub(super) fn grants(&self, permissions: &Arc<[Permission]>, build: impl FnOnce() -> Value) -> PartialValue {
        let is_used = |value: &Value| matches!(&value.value, ValueKind::Set(set) if Arc::strong_count(&set.authoritative) > 1);
        let Ok(value) = lock(&self.grants).find::<Infallible>(Arc::clone(permissions), is_used, || Ok(build()));
        value.into()
    }
}

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), most: FEW }
    }
}

impl<K: Eq + Hash, V: Clone> Interned<K, V> {
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

fn lock<T>(interned: &Mutex<T>) -> MutexGuard<'_, T> {
    interned.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_built_once_while_somebody_has_it_and_let_go_later() {
        let mut interned = Interned::default();
        let mut find = |key: usize| {
            let Ok(value) = interned.find::<Infallible>(key, |value| Arc::strong_count(value) > 1, || Ok(Arc::new(key)));
            (value, interned.values.len())
        };
        let kept: Vec<_> = (0..FEW).map(|key| find(key).0).collect();
        let most = (FEW..20 * FEW).map(|key| find(key).1).max();
        assert_eq!(most, Some(2 * FEW), "those in use, and as many again");
        assert!(kept.iter().enumerate().all(|(key, value)| Arc::ptr_eq(value, &find(key).0)));
    }

    #[test]
    fn what_cannot_be_built_is_not_kept() {
        let mut interned: Interned<u8, u8> = Interned::default();
        assert_eq!(interned.find(1, |_| true, || Err("broken")), Err("broken"));
        assert_eq!(interned.find(1, |_| true, || Ok::<_, &str>(7)), Ok(7));
    }
}
