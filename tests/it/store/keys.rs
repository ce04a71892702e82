//! Keys: created, changed, disabled, revoked; what a revoked one refuses.

use std::time::Duration;

use claviger::{
    domain::{
        id::{KeyId, OrgId},
        key::{Environment, Key, KeyPatch, NewKey},
        secret::Plane,
    },
    store::{StoreError, Written},
};

use crate::support::engines::{Bed, at, author, changed, name, new_key, on_both_engines, permissions, reason};

/// One call of each write that changes a key, except the revocation.
pub(super) async fn every_write_but_revoke(bed: &Bed, key: KeyId, ms: i64) -> Vec<Result<Written<Key>, StoreError>> {
    let (store, author) = (&bed.store, author(ms));
    vec![
        store.update_key(&author, key, KeyPatch { name: Some(name("new")), ..KeyPatch::default() }).await,
        store.disable_key(&author, key).await,
        store.enable_key(&author, key).await,
        store.rotate_key(&author, key, Duration::ZERO, &bed.sealed()).await,
        store.finish_rotation(&author, key).await,
    ]
}

#[tokio::test]
async fn a_key_reads_back_as_it_was_written() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let (secret, sealed) = bed.secret(Plane::Test);
        let permissions = permissions(&["scan:create", "classify:create"]);
        let new = NewKey { name: name("CI"), environment: Environment::Test, permissions, expires_at: Some(at(99)) };
        let written = bed.store.create_key(&author(7), org.id, new.clone(), &sealed).await.unwrap();
        assert_eq!((written.revision, written.changed), (2, true));
        let key = written.value;
        assert_eq!(bed.store.find_key(key.id).await.unwrap().as_ref(), Some(&key));
        assert_eq!((key.org, &key.name, key.environment), (org.id, &new.name, Environment::Test));
        assert_eq!((&key.permissions, key.expires_at), (&new.permissions, Some(at(99))));
        assert_eq!((key.secrets.len(), &key.secrets[0].hint), (1, &secret.hint()));
        assert_eq!(bed.store.find_key(KeyId::new(at(7), &bed.random)).await.unwrap(), None);
        let stored = bed.rows("SELECT permissions FROM api_key").await.concat();
        assert_eq!(stored, [r#"["classify:create","scan:create"]"#]);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_used_once() {
    on_both_engines(|bed| async move {
        let (org, sealed) = (bed.org("acme").await, bed.sealed());
        let key = changed(bed.store.create_key(&author(1), org.id, new_key("a"), &sealed).await.unwrap());
        let again = bed.store.create_key(&author(2), org.id, new_key("b"), &sealed).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))));
        let again = bed.store.rotate_key(&author(2), key.id, Duration::ZERO, &sealed).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))));
        assert_eq!(bed.store.find_key(key.id).await.unwrap(), Some(key));
    })
    .await;
}

#[tokio::test]
async fn a_key_changes_name_permissions_and_expiry() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let patch =
            KeyPatch { name: Some(name("CD")), permissions: Some(permissions(&["scan:create"])), expires_at: Some(Some(at(50))) };
        let after = changed(bed.store.update_key(&author(5), key.id, patch.clone()).await.unwrap());
        assert_eq!((after.name.as_str(), after.updated_at, after.expires_at), ("CD", at(5), Some(at(50))));
        assert_eq!(after.permissions, permissions(&["scan:create"]));
        assert_eq!(bed.store.find_key(key.id).await.unwrap(), Some(after.clone()));
        for patch in [patch, KeyPatch::default()] {
            let same = bed.store.update_key(&author(6), key.id, patch).await.unwrap();
            assert_eq!((&same.value, same.revision, same.changed), (&after, 3, false));
        }
        let endless = KeyPatch { expires_at: Some(None), ..KeyPatch::default() };
        let endless = changed(bed.store.update_key(&author(7), key.id, endless).await.unwrap());
        assert_eq!((endless.expires_at, endless.name.as_str()), (None, "CD"));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_disabled_and_enabled_again() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let enabled = bed.store.enable_key(&author(4), key.id).await.unwrap();
        assert_eq!((&enabled.value, enabled.revision, enabled.changed), (&key, 2, false));
        let disabled = changed(bed.store.disable_key(&author(5), key.id).await.unwrap());
        assert_eq!(disabled.disabled_at, Some(at(5)));
        let again = bed.store.disable_key(&author(6), key.id).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (disabled, 3, false));
        let enabled = changed(bed.store.enable_key(&author(7), key.id).await.unwrap());
        assert_eq!(enabled.disabled_at, None);
        assert_eq!(bed.store.find_key(key.id).await.unwrap(), Some(enabled));
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let key = bed.key(org.id).await;
        let revoked = changed(bed.store.revoke_key(&author(5), key.id, Some(&reason("leaked"))).await.unwrap());
        let revocation = revoked.revocation.clone().unwrap();
        assert_eq!((revocation.at, revocation.reason), (at(5), Some(reason("leaked"))));
        let again = bed.store.revoke_key(&author(6), key.id, None).await.unwrap();
        assert_eq!((&again.value, again.revision, again.changed), (&revoked, 3, false));
        let results = every_write_but_revoke(&bed, key.id, 7).await;
        assert!(results.iter().all(|result| matches!(result, Err(StoreError::Conflict(_)))), "{results:?}");
        bed.store.delete_org(&author(8), org.id).await.unwrap();
        let again = bed.store.revoke_key(&author(9), key.id, None).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (revoked, 4, false));
    })
    .await;
}

#[tokio::test]
async fn a_revocation_needs_no_reason_and_works_on_a_disabled_and_expired_key() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        bed.store.disable_key(&author(1), key.id).await.unwrap();
        let expired = KeyPatch { expires_at: Some(Some(at(2))), ..KeyPatch::default() };
        bed.store.update_key(&author(3), key.id, expired).await.unwrap();
        let revoked = changed(bed.store.revoke_key(&author(4), key.id, None).await.unwrap());
        assert_eq!(revoked.revocation.unwrap().reason, None);
    })
    .await;
}

#[tokio::test]
async fn writing_to_a_key_that_does_not_exist_is_not_found() {
    on_both_engines(|bed| async move {
        let key = KeyId::new(at(0), &bed.random);
        let results = every_write_but_revoke(&bed, key, 1).await;
        assert!(results.iter().all(|result| matches!(result, Err(StoreError::NotFound))), "{results:?}");
        assert!(matches!(bed.store.revoke_key(&author(1), key, None).await, Err(StoreError::NotFound)));
        assert_eq!(bed.store.head().await.unwrap().revision, 0);
    })
    .await;
}

#[tokio::test]
async fn keys_of_a_suspended_org_can_be_managed() {
    on_both_engines(|bed| async move {
        let org: OrgId = bed.org("acme").await.id;
        let key = bed.key(org).await;
        bed.store.suspend_org(&author(1), org, &reason("unpaid")).await.unwrap();
        changed(bed.store.revoke_key(&author(2), key.id, None).await.unwrap());
        changed(bed.store.create_key(&author(3), org, new_key("next"), &bed.sealed()).await.unwrap());
    })
    .await;
}
