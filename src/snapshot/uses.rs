//! When secrets were last used, until it is written: a request leaves a mark in memory and nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{clock::Timestamp, id::SecretId};

const SHARDS: usize = 16;

/// Uses that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Uses {
    shards: [Mutex<HashMap<SecretId, Timestamp>>; SHARDS],
    hasher: RandomState,
}

impl Uses {
    /// Marks a use; time goes forward only.
    pub(super) fn note(&self, secret: SecretId, at: Timestamp) {
        let shard = usize::try_from(self.hasher.hash_one(secret) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return };
        let mut shard = lock(shard);
        let latest = shard.entry(secret).or_insert(at);
        *latest = at.max(*latest);
    }

    /// Takes out everything that is to be written.
    pub(super) fn take(&self) -> BTreeMap<SecretId, Timestamp> {
        self.shards.iter().flat_map(|shard| std::mem::take(&mut *lock(shard))).collect()
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&self, uses: BTreeMap<SecretId, Timestamp>) {
        for (secret, at) in uses {
            self.note(secret, at);
        }
    }
}

fn lock(shard: &Mutex<HashMap<SecretId, Timestamp>>) -> MutexGuard<'_, HashMap<SecretId, Timestamp>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::random::Random;

    #[test]
    fn the_latest_use_is_kept_also_when_writing_it_failed() {
        let (uses, random) = (Uses::default(), Random::seeded(1));
        let at = Timestamp::from_millis;
        let (first, second) = (SecretId::new(at(0), &random), SecretId::new(at(0), &random));
        uses.note(first, at(2_000));
        uses.note(first, at(1_000));
        uses.note(second, at(500));
        let taken = uses.take();
        assert_eq!(taken, BTreeMap::from([(first, at(2_000)), (second, at(500))]));
        assert!(uses.take().is_empty());
        uses.note(second, at(700));
        uses.put_back(taken);
        assert_eq!(uses.take(), BTreeMap::from([(first, at(2_000)), (second, at(700))]));
    }
}
