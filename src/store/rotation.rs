//! Rotation: a key gets a new secret, and the one before it lives on for the overlap.

use std::time::Duration;

use super::{Attempt, Store, StoreError, Written};
use crate::domain::{
    audit::Author,
    clock::Timestamp,
    id::{KeyId, SecretId},
    key::{Key, KeySecret},
    secret::SealedSecret,
};

impl Store {
    /// Adds a secret that the caller has minted. The newest secret before it ends after `overlap`, unless it ends earlier
    /// already; any older one ends now, so that at most two live.
    pub async fn rotate_key(
        &self,
        attempt: impl Into<Attempt<Key>>,
        id: KeyId,
        overlap: Duration,
        secret: &SealedSecret,
    ) -> Result<Written<Key>, StoreError> {
        let attempt = attempt.into();
        let now = attempt.author.at;
        let change = |key: &mut Key| {
            refuse_ended(key, now)?;
            end_all_but_newest(key, now);
            if let Some(newest) = live(key, now).next_back() {
                let end = now.plus(overlap);
                newest.expires_at = Some(newest.expires_at.map_or(end, |earlier| earlier.min(end)));
            }
            let new = self.mint_secret(now, secret);
            key.secrets.push(new);
            Ok(())
        };
        self.change_key(attempt, id, "key.rotate", None, Some(secret), change).await
    }

    /// Ends every secret but the newest now.
    pub async fn finish_rotation(&self, author: &Author, id: KeyId) -> Result<Written<Key>, StoreError> {
        let change = |key: &mut Key| {
            end_all_but_newest(key, author.at);
            Ok(())
        };
        self.change_key(author, id, "key.finish_rotation", None, None, change).await
    }

    fn mint_secret(&self, now: Timestamp, secret: &SealedSecret) -> KeySecret {
        let id = SecretId::new(now, &self.random);
        KeySecret { id, hint: secret.hint.clone(), created_at: now, expires_at: None, last_used_at: None }
    }
}

/// A key that opens nothing gets no new secret.
fn refuse_ended(key: &Key, now: Timestamp) -> Result<(), StoreError> {
    if key.disabled_at.is_some() {
        return Err(StoreError::conflict("the key is disabled; enable it before rotating it"));
    }
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(StoreError::conflict("the key is expired; give it another expiry before rotating it"));
    }
    Ok(())
}

/// The secrets that are good at `now`, oldest first.
fn live(key: &mut Key, now: Timestamp) -> impl DoubleEndedIterator<Item = &mut KeySecret> {
    key.secrets.iter_mut().filter(move |secret| secret.expires_at.is_none_or(|end| now < end))
}

fn end_all_but_newest(key: &mut Key, now: Timestamp) {
    for older in live(key, now).rev().skip(1) {
        older.expires_at = Some(now);
    }
}
