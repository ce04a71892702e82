//! Compact rows in persistent maps: cloning the maps is two reference counts, changing one row copies one path.

use std::{collections::HashSet, sync::Arc};

use imbl::HashMap;
use sha2::{Digest, Sha256};

use super::Found;
use crate::{
    domain::{
        clock::Timestamp,
        id::{KeyId, OrgId, SecretId},
        key::Environment,
        permission::Permission,
        secret::SecretHash,
    },
    store::{Fact, KeyFacts, OrgFacts},
};

/// A key as decisions need it.
#[derive(Debug)]
pub struct KeyRow {
    pub id: KeyId,
    pub org: OrgId,
    pub name: Box<str>,
    pub environment: Environment,
    pub disabled: bool,
    pub revoked: bool,
    /// Shared by all keys that hold the same ones.
    pub permissions: Arc<[Permission]>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    secrets: Box<[SecretRow]>,
    revision: i64,
}

/// One secret of a key.
#[derive(Debug, Clone, Copy)]
pub struct SecretRow {
    pub id: SecretId,
    pub expires_at: Option<Timestamp>,
    hash: SecretHash,
}

/// An org as decisions need it.
#[derive(Debug)]
pub struct OrgRow {
    pub id: OrgId,
    pub name: Arc<str>,
    pub suspended: bool,
    pub deleted: bool,
    revision: i64,
}

/// All rows of one epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    keys: HashMap<KeyId, Arc<KeyRow>>,
    orgs: HashMap<OrgId, Arc<OrgRow>>,
    /// Which key a hash may belong to; the key's own list of secrets decides.
    owners: HashMap<SecretHash, KeyId>,
}

/// Permission lists that were seen, so that equal ones are stored once.
#[derive(Debug, Default)]
pub(super) struct PermissionLists(HashSet<Arc<[Permission]>>);

impl PermissionLists {
    fn share(&mut self, permissions: impl IntoIterator<Item = Permission>) -> Arc<[Permission]> {
        let list: Arc<[Permission]> = permissions.into_iter().collect();
        if let Some(known) = self.0.get(&list) {
            return known.clone();
        }
        // Lists that no row holds any more would pile up without end.
        if self.0.len() >= 4_096 {
            self.0.retain(|list| Arc::strong_count(list) > 1);
        }
        self.0.insert(list.clone());
        list
    }
}

impl Rows {
    pub(super) fn org(&self, id: OrgId) -> Option<&Arc<OrgRow>> {
        self.orgs.get(&id)
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&Arc<KeyRow>> {
        self.keys.get(&id)
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.orgs.len())
    }

    pub(super) fn find(&self, hash: &SecretHash) -> Option<Found> {
        let key = self.keys.get(self.owners.get(hash)?)?;
        // The map's equality is SecretHash's: constant-time.
        let secret = key.secrets.iter().find(|secret| secret.hash == *hash)?;
        let org = self.orgs.get(&key.org)?;
        Some(Found { key: key.clone(), org: org.clone(), secret: *secret })
    }

    /// A digest of what decisions are made from: the same on every replica that holds the same, in whatever order it came.
    /// Secrets that ended by `now` open nothing and are left out: who started later has not even loaded them.
    pub(super) fn digest(&self, now: Timestamp) -> String {
        let mut sum = [0u8; 32];
        let mut add = |row: String| sum.iter_mut().zip(Sha256::digest(row)).for_each(|(sum, byte)| *sum ^= byte);
        for org in self.orgs.values() {
            add(format!("{:?}", (org.id, &org.name, org.suspended, org.deleted, org.revision)));
        }
        for key in self.keys.values() {
            let mut secrets: Vec<_> = key.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| now < end)).collect();
            secrets.sort_by_key(|secret| secret.id);
            let secrets: Vec<_> = secrets.iter().map(|secret| (secret.id, secret.hash.0, secret.expires_at)).collect();
            let states = (key.disabled, key.revoked, key.expires_at, key.revision);
            add(format!("{:?}", (key.id, key.org, &key.name, key.environment, &key.permissions, states, secrets)));
        }
        format!("sha256:{}", sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// Takes in a row. An older revision never replaces a newer one; a row that cannot be read denies.
    pub(super) fn apply(&mut self, fact: Fact, lists: &mut PermissionLists) {
        match fact {
            Fact::Org(facts) => self.apply_org(facts),
            Fact::Key(facts) => self.apply_key(facts, lists),
            Fact::BrokenOrg(id) => {
                self.orgs.remove(&id);
            }
            Fact::BrokenKey(id) => {
                self.keys.remove(&id);
            }
        }
    }

    fn apply_org(&mut self, facts: OrgFacts) {
        if self.orgs.get(&facts.id).is_some_and(|known| known.revision > facts.revision) {
            return;
        }
        let OrgFacts { id, name, suspended, deleted, revision } = facts;
        self.orgs.insert(id, Arc::new(OrgRow { id, name: name.as_str().into(), suspended, deleted, revision }));
    }

    fn apply_key(&mut self, facts: KeyFacts, lists: &mut PermissionLists) {
        let known = self.keys.get(&facts.id);
        if known.is_some_and(|known| known.revision > facts.revision) {
            return;
        }
        let secret =
            |secret: crate::store::SecretFacts| SecretRow { id: secret.id, expires_at: secret.expires_at, hash: secret.hash };
        let secrets: Box<[SecretRow]> = facts.secrets.into_iter().map(secret).collect();
        for gone in known.cloned().iter().flat_map(|known| known.secrets.iter()) {
            if !secrets.iter().any(|secret| secret.hash == gone.hash) {
                self.owners.remove(&gone.hash);
            }
        }
        for secret in &secrets {
            self.owners.insert(secret.hash, facts.id);
        }
        let row = KeyRow {
            id: facts.id,
            org: facts.org,
            name: facts.name.as_str().into(),
            environment: facts.environment,
            disabled: facts.disabled,
            revoked: facts.revoked,
            permissions: lists.share(facts.permissions),
            created_at: facts.created_at,
            expires_at: facts.expires_at,
            secrets,
            revision: facts.revision,
        };
        self.keys.insert(facts.id, Arc::new(row));
    }
}
