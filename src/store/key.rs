//! Keys: reads and writes. Their rows are in `key/row.rs`, rotation is in `rotation.rs`.

mod row;

pub(super) use self::row::parse_permissions;
use super::{
    Attempt, Engine, Listing, Page, Store, StoreError, Written,
    audit::{difference, text},
    org::refuse_deleted,
    stored::corrupt,
    tx::Tx,
    write::{Event, KEY},
};
use crate::domain::{
    audit::Author,
    id::{KeyId, OrgId, ParseIdError, SecretId},
    key::{Key, KeyPatch, KeySecret, NewKey, Revocation},
    name::Reason,
    secret::{SealedSecret, SecretHash},
};

const REVOKE: &str = "key.revoke";

impl Store {
    /// The key of this id, also when it is revoked or its org is deleted.
    pub async fn find_key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        let rows =
            on!(Engine, &self.engine, pools => sqlx::query_as(row::FIND).bind(id.to_string()).fetch_all(&pools.reader).await)?;
        Ok(row::fold(rows)?.pop())
    }

    /// The key, in whatever state, and which of its secrets has one of these hashes
    /// ([`crate::domain::secret::Peppers::candidates`]).
    pub async fn find_key_by_secret(&self, candidates: &[SecretHash]) -> Result<Option<(Key, SecretId)>, StoreError> {
        const FIND: &str = "SELECT hash, id, key_id FROM secret WHERE hash = $1";
        for hash in candidates {
            let row: Option<(Vec<u8>, String, String)> =
                on!(Engine, &self.engine, pools => sqlx::query_as(FIND).bind(&hash.0[..]).fetch_optional(&pools.reader).await)?;
            let Some((stored, id, key)) = row else { continue };
            // The comparison that counts is SecretHash's: constant-time.
            if stored.try_into().is_ok_and(|stored| SecretHash(stored) == *hash) {
                let unreadable = |error: ParseIdError| corrupt("secret", &id, &error.into());
                let (secret, key) = (id.parse().map_err(unreadable)?, key.parse().map_err(unreadable)?);
                return Ok(self.find_key(key).await?.map(|key| (key, secret)));
            }
        }
        Ok(None)
    }

    /// The keys of an org, also revoked ones, by ascending id.
    pub async fn list_keys(&self, org: OrgId, page: Page<KeyId>) -> Result<Listing<Key>, StoreError> {
        let rows = on!(Engine, &self.engine, pools => {
            let query = sqlx::query_as(row::LIST).bind(org.to_string()).bind(page.after_text()).bind(page.fetched());
            query.fetch_all(&pools.reader).await
        })?;
        Ok(page.listing(row::fold(rows)?))
    }

    /// Makes a key in an org that is not deleted, with a secret that the caller has minted.
    pub async fn create_key(
        &self,
        attempt: impl Into<Attempt<Key>>,
        org: OrgId,
        new: NewKey,
        secret: &SealedSecret,
    ) -> Result<Written<Key>, StoreError> {
        let mut write = self.begin(attempt).await?;
        let now = write.author.at;
        let owner = write.tx.find_org(org).await?.ok_or(StoreError::NotFound)?;
        refuse_deleted(&owner)?;
        let first =
            KeySecret { id: write.mint(), hint: secret.hint.clone(), created_at: now, expires_at: None, last_used_at: None };
        let key = Key {
            id: write.mint(),
            org,
            name: new.name,
            environment: new.environment,
            permissions: new.permissions,
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            disabled_at: None,
            revocation: None,
            secrets: vec![first],
        };
        write.tx.insert_key(&key, write.revision).await?;
        write.tx.write_secrets(&key, &[], Some(secret), write.revision).await?;
        let target = key.id.to_string();
        let after = Some(text(row::view(&key, &[])));
        write.finish(Event { action: "key.create", kind: KEY, target, reason: None, before: None, after }, key).await
    }

    /// Changes name, permissions or expiry.
    pub async fn update_key(&self, author: &Author, id: KeyId, patch: KeyPatch) -> Result<Written<Key>, StoreError> {
        let change = |key: &mut Key| {
            key.name = patch.name.unwrap_or_else(|| key.name.clone());
            key.permissions = patch.permissions.unwrap_or_else(|| key.permissions.clone());
            key.expires_at = patch.expires_at.unwrap_or(key.expires_at);
            Ok(())
        };
        self.change_key(author, id, "key.update", None, None, change).await
    }

    /// Stops a key until it is enabled again.
    pub async fn disable_key(&self, author: &Author, id: KeyId) -> Result<Written<Key>, StoreError> {
        let change = |key: &mut Key| {
            key.disabled_at.get_or_insert(author.at);
            Ok(())
        };
        self.change_key(author, id, "key.disable", None, None, change).await
    }

    /// Lets a disabled key work again.
    pub async fn enable_key(&self, author: &Author, id: KeyId) -> Result<Written<Key>, StoreError> {
        let change = |key: &mut Key| {
            key.disabled_at = None;
            Ok(())
        };
        self.change_key(author, id, "key.enable", None, None, change).await
    }

    /// Ends a key for ever.
    pub async fn revoke_key(&self, author: &Author, id: KeyId, reason: Option<&Reason>) -> Result<Written<Key>, StoreError> {
        let change = |key: &mut Key| {
            key.revocation.get_or_insert_with(|| Revocation { at: author.at, reason: reason.cloned() });
            Ok(())
        };
        self.change_key(author, id, REVOKE, reason, None, change).await
    }

    /// One change of one key: reads key and org, lets `change` decide, writes what differs. `secret` seals a secret that
    /// `change` adds.
    pub(super) async fn change_key(
        &self,
        attempt: impl Into<Attempt<Key>>,
        id: KeyId,
        action: &'static str,
        reason: Option<&Reason>,
        secret: Option<&SealedSecret>,
        change: impl FnOnce(&mut Key) -> Result<(), StoreError> + Send,
    ) -> Result<Written<Key>, StoreError> {
        let mut write = self.begin(attempt).await?;
        let before = write.tx.find_key(id).await?.ok_or(StoreError::NotFound)?;
        // Only one action may be repeated on what is over: the one that ended it.
        let repeated = action == REVOKE && before.revocation.is_some();
        if !repeated {
            refuse_deleted(&write.tx.find_org(before.org).await?.ok_or(StoreError::NotFound)?)?;
            refuse_revoked(&before)?;
        }
        let mut after = before.clone();
        change(&mut after)?;
        if after == before {
            return write.unchanged(before).await;
        }
        after.updated_at = write.author.at;
        write.tx.update_key(&after, write.revision).await?;
        write.tx.write_secrets(&after, &before.secrets, secret, write.revision).await?;
        let target = id.to_string();
        let (old, new) = difference(row::view(&before, &after.secrets), row::view(&after, &before.secrets));
        write.finish(Event { action, kind: KEY, target, reason, before: old, after: new }, after).await
    }
}

/// A revoked key stays as it is.
fn refuse_revoked(key: &Key) -> Result<(), StoreError> {
    if key.revocation.is_some() { Err(StoreError::conflict("the key is revoked")) } else { Ok(()) }
}

impl Tx {
    async fn find_key(&mut self, id: KeyId) -> Result<Option<Key>, StoreError> {
        let rows = on!(Self, self, tx => sqlx::query_as(row::FIND).bind(id.to_string()).fetch_all(&mut **tx).await)?;
        Ok(row::fold(rows)?.pop())
    }
}
