//! Compact rows in persistent maps: cloning the maps is three reference counts, changing one row copies one path in each.
//!
//! The maps are B-trees because they stay two thirds full at any size; hash tries of a million rows are mostly empty slots.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::HashSet,
    ops::Deref,
    slice,
    sync::{Arc, OnceLock},
};

use equivalent::{Comparable, Equivalent};
use imbl::{OrdMap, OrdSet};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};

use super::Found;
use crate::{
    domain::{
        clock::Timestamp,
        facts::Facts,
        hex::hex,
        id::{KeyId, OrgId, SecretId},
        key::{Environment, Refusal, Standing},
        permission::Permission,
        secret::SecretHash,
    },
    store::{Fact, KeyFacts, OrgFacts, SecretFacts},
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
    secrets: Secrets,
    revision: i64,
}

/// One secret of a key.
#[derive(Debug, Clone, Copy)]
pub struct SecretRow {
    pub id: SecretId,
    pub expires_at: Option<Timestamp>,
    hash: SecretHash,
}

/// The secrets of a key. Nearly every key has one: it lies in the row itself.
#[derive(Debug)]
enum Secrets {
    One(SecretRow),
    Other(Box<[SecretRow]>),
}

/// An org as decisions need it.
#[derive(Debug)]
pub struct OrgRow {
    pub id: OrgId,
    pub name: Arc<str>,
    pub suspended: bool,
    pub deleted: bool,
    revision: i64,
    /// Written at the first answer that has it, and read by all keys of the org.
    json: OnceLock<Box<RawValue>>,
}

/// All rows of one epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    keys: OrdSet<ById>,
    orgs: OrdMap<OrgId, Arc<OrgRow>>,
    owners: OrdSet<Owner>,
}

/// A key where it is found by its id, which is only in the row.
#[derive(Debug, Clone)]
struct ById(Arc<KeyRow>);

/// A key where it is found by the beginning of a secret's hash; its row has the whole hash, which decides.
#[derive(Debug, Clone)]
struct Owner {
    beginning: u64,
    row: Arc<KeyRow>,
}

/// Any owner of a beginning.
struct Beginning(u64);

/// The place right before all owners of a beginning: keys whose hashes begin alike lie side by side.
struct Before(u64);

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
        self.keys.get(&id).map(|ById(row)| row)
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.orgs.len())
    }

    pub(super) fn find(&self, hash: &SecretHash) -> Option<Found> {
        let beginning = beginning(hash);
        let opened = |owner: &'_ Owner| Some((owner.row.clone(), owner.row.secret(hash)?));
        // Hardly ever does more than one begin so.
        let (key, secret) = opened(self.owners.get(&Beginning(beginning))?).or_else(|| {
            let mut owners = self.owners.range(Before(beginning)..).take_while(|owner| owner.beginning == beginning);
            owners.find_map(opened)
        })?;
        let org = self.orgs.get(&key.org)?;
        Some(Found { org: org.clone(), key, secret })
    }

    /// A digest of what decisions are made from: the same on every replica that holds the same, in whatever order it came.
    /// Secrets that ended by `now` open nothing and are left out: who started later has not even loaded them.
    pub(super) fn digest(&self, now: Timestamp) -> String {
        let mut sum = [0u8; 32];
        let mut add = |row: String| sum.iter_mut().zip(Sha256::digest(row)).for_each(|(sum, byte)| *sum ^= byte);
        for org in self.orgs.values() {
            add(format!("{:?}", (org.id, &org.name, org.suspended, org.deleted, org.revision)));
        }
        for ById(key) in &self.keys {
            let mut secrets: Vec<_> = key.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| now < end)).collect();
            secrets.sort_by_key(|secret| secret.id);
            let secrets: Vec<_> = secrets.iter().map(|secret| (secret.id, secret.hash.0, secret.expires_at)).collect();
            let states = (key.disabled, key.revoked, key.expires_at, key.revision);
            add(format!("{:?}", (key.id, key.org, &key.name, key.environment, &key.permissions, states, secrets)));
        }
        format!("sha256:{}", hex(&sum))
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
                if let Some(ById(gone)) = self.keys.remove(&id) {
                    self.disown(&gone);
                }
            }
        }
    }

    fn apply_org(&mut self, facts: OrgFacts) {
        if self.orgs.get(&facts.id).is_some_and(|known| known.revision > facts.revision) {
            return;
        }
        let OrgFacts { id, name, suspended, deleted, revision } = facts;
        self.orgs
            .insert(id, Arc::new(OrgRow { id, name: name.as_str().into(), suspended, deleted, revision, json: OnceLock::new() }));
    }

    fn apply_key(&mut self, facts: KeyFacts, lists: &mut PermissionLists) {
        if self.key(facts.id).is_some_and(|known| known.revision > facts.revision) {
            return;
        }
        let row = Arc::new(KeyRow {
            id: facts.id,
            org: facts.org,
            name: facts.name.as_str().into(),
            environment: facts.environment,
            disabled: facts.disabled,
            revoked: facts.revoked,
            permissions: lists.share(facts.permissions),
            created_at: facts.created_at,
            expires_at: facts.expires_at,
            secrets: facts.secrets.into(),
            revision: facts.revision,
        });
        if let Some(ById(gone)) = self.keys.insert(ById(row.clone())) {
            self.disown(&gone);
        }
        self.owners.extend(Owner::all(&row));
    }

    /// Takes a row that is no longer its key's out of the owners.
    fn disown(&mut self, gone: &Arc<KeyRow>) {
        for owner in Owner::all(gone) {
            self.owners.remove(&owner);
        }
    }
}

impl OrgRow {
    /// `{"id":…,"name":…}`
    pub(super) fn json(&self) -> &RawValue {
        self.json.get_or_init(|| raw_json(&json!({"id": self.id, "name": self.name})))
    }
}

/// A text of JSON that answers hold as it is.
pub(super) fn raw_json(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl KeyRow {
    /// What the policies are told about the key.
    #[must_use]
    pub fn facts(&self, org: &OrgRow) -> Facts {
        Facts {
            key: self.id,
            org: org.id,
            org_name: org.name.clone(),
            org_suspended: org.suspended,
            environment: self.environment,
            permissions: self.permissions.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
        }
    }

    /// Why the key opens nothing at `now`, whichever of its secrets is sent.
    #[must_use]
    pub fn refusal(&self, org: &OrgRow, now: Timestamp) -> Option<Refusal> {
        self.standing(org, None).refusal(now)
    }

    pub(super) fn standing(&self, org: &OrgRow, secret_expires_at: Option<Timestamp>) -> Standing {
        Standing {
            org_deleted: org.deleted,
            key_revoked: self.revoked,
            key_disabled: self.disabled,
            key_expires_at: self.expires_at,
            secret_expires_at,
        }
    }

    /// The secret of this hash. SecretHash's equality is constant-time.
    fn secret(&self, hash: &SecretHash) -> Option<SecretRow> {
        self.secrets.iter().find(|secret| secret.hash == *hash).copied()
    }
}

impl Owner {
    fn all(row: &Arc<KeyRow>) -> impl Iterator<Item = Self> {
        row.secrets.iter().map(|secret| Self { beginning: beginning(&secret.hash), row: row.clone() })
    }
}

fn beginning(hash: &SecretHash) -> u64 {
    hash.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Deref for Secrets {
    type Target = [SecretRow];

    fn deref(&self) -> &[SecretRow] {
        match self {
            Self::One(secret) => slice::from_ref(secret),
            Self::Other(secrets) => secrets,
        }
    }
}

impl From<Vec<SecretFacts>> for Secrets {
    fn from(facts: Vec<SecretFacts>) -> Self {
        let row = |SecretFacts { id, hash, expires_at }| SecretRow { id, expires_at, hash };
        match <[SecretFacts; 1]>::try_from(facts) {
            Ok([only]) => Self::One(row(only)),
            Err(facts) => Self::Other(facts.into_iter().map(row).collect()),
        }
    }
}

impl Borrow<KeyId> for ById {
    fn borrow(&self) -> &KeyId {
        &self.0.id
    }
}

/// The comparisons that follow from an order.
macro_rules! ordered {
    ($kind:ident, $order:expr) => {
        impl Ord for $kind {
            fn cmp(&self, other: &Self) -> Ordering {
                $order(self, other)
            }
        }
        impl PartialOrd for $kind {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $kind {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for $kind {}
    };
}

ordered!(ById, |a: &Self, b: &Self| a.0.id.cmp(&b.0.id));
// Looking at a row costs a trip to memory: only where hashes begin alike.
ordered!(Owner, |a: &Self, b: &Self| a.beginning.cmp(&b.beginning).then_with(|| a.row.id.cmp(&b.row.id)));

impl Equivalent<Owner> for Beginning {
    fn equivalent(&self, owner: &Owner) -> bool {
        self.0 == owner.beginning
    }
}

impl Comparable<Owner> for Beginning {
    fn compare(&self, owner: &Owner) -> Ordering {
        self.0.cmp(&owner.beginning)
    }
}

impl Equivalent<Owner> for Before {
    fn equivalent(&self, _: &Owner) -> bool {
        false
    }
}

impl Comparable<Owner> for Before {
    fn compare(&self, owner: &Owner) -> Ordering {
        self.0.cmp(&owner.beginning).then(Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{permission::Permissions, random::Random};

    const AT: i64 = 1_700_000_000_000;

    fn rows(facts: impl IntoIterator<Item = Fact>) -> Rows {
        let (mut rows, mut lists) = (Rows::default(), PermissionLists::default());
        facts.into_iter().for_each(|fact| rows.apply(fact, &mut lists));
        rows
    }

    fn org(random: &Random) -> OrgFacts {
        let id = OrgId::new(Timestamp::from_millis(AT), random);
        OrgFacts { id, name: "Acme".parse().unwrap(), suspended: false, deleted: false, revision: 1 }
    }

    fn key(org: OrgId, revision: i64, random: &Random, hashes: &[SecretHash]) -> KeyFacts {
        let at = Timestamp::from_millis(AT);
        let secret = |hash: &SecretHash| SecretFacts { id: SecretId::new(at, random), hash: *hash, expires_at: None };
        KeyFacts {
            id: KeyId::new(at, random),
            org,
            name: "CI".parse().unwrap(),
            environment: Environment::Live,
            permissions: Permissions::new(),
            created_at: at,
            expires_at: None,
            disabled: false,
            revoked: false,
            secrets: hashes.iter().map(secret).collect(),
            revision,
        }
    }

    /// Hashes that differ in their last byte only.
    fn alike(last: u8) -> SecretHash {
        let mut hash = [7; 32];
        hash[31] = last;
        SecretHash(hash)
    }

    #[test]
    fn secrets_whose_hashes_begin_alike_open_their_own_keys_only() {
        let random = Random::seeded(1);
        let org = org(&random);
        let (first, second) = (key(org.id, 2, &random, &[alike(1), alike(2)]), key(org.id, 3, &random, &[alike(3)]));
        let ids = [first.id, second.id];
        let mut rows = rows([Fact::Org(org), Fact::Key(first), Fact::Key(second)]);
        let found = |rows: &Rows, last: u8| rows.find(&alike(last)).map(|found| found.key.id);
        assert_eq!([0, 1, 2, 3, 4].map(|last| found(&rows, last)), [None, Some(ids[0]), Some(ids[0]), Some(ids[1]), None]);
        rows.apply(Fact::BrokenKey(ids[0]), &mut PermissionLists::default());
        assert_eq!([1, 2, 3].map(|last| found(&rows, last)), [None, None, Some(ids[1])]);
    }

    #[test]
    fn a_secret_that_its_key_no_longer_has_opens_nothing() {
        let random = Random::seeded(1);
        let org = org(&random);
        let before = key(org.id, 2, &random, &[alike(1), alike(2)]);
        let after = KeyFacts { secrets: before.secrets[1..].to_vec(), revision: 3, ..before.clone() };
        let older = before.clone();
        let rows = rows([Fact::Org(org), Fact::Key(before), Fact::Key(after), Fact::Key(older)]);
        assert!(rows.find(&alike(1)).is_none());
        assert_eq!(rows.find(&alike(2)).map(|found| found.key.revision), Some(3));
        assert_eq!((rows.counts(), rows.owners.len()), ((1, 1), 1));
    }

    #[test]
    fn a_key_with_its_secret_takes_192_bytes_and_its_name() {
        let counts_of_its_arc = 2 * size_of::<usize>();
        assert!(size_of::<KeyRow>() + counts_of_its_arc <= 192, "{}", size_of::<KeyRow>());
    }
}
