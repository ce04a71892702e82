//! A bounded pool of prebuilt principals for the keys in use.
//!
//! It holds no answer and has no lifetime: an entry is used only while the very key row, org row and policy set that it was
//! built from are the ones of the request's snapshot.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::sync::Cache;
use serde_json::{json, value::RawValue};

use super::{Found, KeyRow, OrgRow, Policies, rows::raw_json};
use crate::{
    domain::{
        clock::Timestamp,
        id::{KeyId, SecretId},
    },
    policy::Principal,
};

/// About 5 KB an entry: 80 MB at most.
const CAPACITY: usize = 16_384;

/// A key ready to be decided on, with the parts of the answer that only depend on it.
#[derive(Debug)]
pub struct Caller {
    key: Arc<KeyRow>,
    org: Arc<OrgRow>,
    policies: Arc<Policies>,
    principal: Principal,
    /// Which use was noted last, see [`Caller::is_new_use`].
    noted: AtomicU64,
    /// `{"id":…,"name":…,"environment":…}`
    pub key_json: Box<RawValue>,
}

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl Caller {
    fn new(found: &Found, policies: &Arc<Policies>) -> Self {
        let (key, org) = (&found.key, &found.org);
        let facts = key.facts(org);
        Self {
            principal: policies.engine.principal(facts),
            key_json: raw_json(&json!({"id": key.id, "name": key.name, "environment": key.environment})),
            key: key.clone(),
            org: org.clone(),
            policies: policies.clone(),
            noted: AtomicU64::new(0),
        }
    }

    /// `{"id":…,"name":…}`
    #[must_use]
    pub fn org_json(&self) -> &RawValue {
        self.org.json()
    }

    /// Whether this use of a secret is worth noting: the last one that was is of another second, or of another secret.
    pub(super) fn is_new_use(&self, secret: SecretId, at: Timestamp) -> bool {
        // The low bits of an id are random; one use in four billion that is taken for another's costs a second of precision.
        let id = u64::try_from(secret.as_u128() & 0xffff_ffff).unwrap_or(0);
        let second = u64::try_from(at.as_millis() / 1_000).unwrap_or(0) & 0xffff_ffff;
        let this = id << 32 | second;
        self.noted.load(Ordering::Relaxed) != this && self.noted.swap(this, Ordering::Relaxed) != this
    }

    fn is_of(&self, found: &Found, policies: &Arc<Policies>) -> bool {
        Arc::ptr_eq(&self.key, &found.key) && Arc::ptr_eq(&self.org, &found.org) && Arc::ptr_eq(&self.policies, policies)
    }
}

#[derive(Debug)]
pub(super) struct Pool(Cache<KeyId, Arc<Caller>>);

impl Pool {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    pub(super) fn caller(&self, found: &Found, policies: &Arc<Policies>) -> Arc<Caller> {
        if let Some(caller) = self.0.get(&found.key.id)
            && caller.is_of(found, policies)
        {
            return caller;
        }
        let caller = Arc::new(Caller::new(found, policies));
        self.0.insert(found.key.id, caller.clone());
        caller
    }
}
