//! Organizations: created, changed, suspended, deleted; and what repeating an action does.

use claviger::{
    domain::{
        id::{KeyId, OrgId},
        org::OrgPatch,
    },
    store::StoreError,
};

use crate::support::engines::{Bed, at, author, changed, name, new_key, new_org, on_both_engines, reason};

#[tokio::test]
async fn an_org_reads_back_as_it_was_written() {
    on_both_engines(|bed| async move {
        let written = bed.store.create_org(&author(7), new_org("acme")).await.unwrap();
        assert_eq!((written.revision, written.changed), (1, true));
        let org = written.value;
        assert_eq!((org.created_at, org.updated_at, org.deleted_at), (at(7), at(7), None));
        assert_eq!(bed.store.find_org(org.id).await.unwrap().as_ref(), Some(&org));
        assert_eq!(bed.store.find_org_by_slug(&org.slug).await.unwrap().as_ref(), Some(&org));
        let unknown = OrgId::new(at(7), &bed.random);
        assert_eq!(bed.store.find_org(unknown).await.unwrap(), None);
        assert_eq!(bed.store.find_org_by_slug(&"none".parse().unwrap()).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn two_orgs_that_exist_never_share_a_slug() {
    on_both_engines(|bed| async move {
        let (acme, other) = (bed.org("acme").await, bed.org("other").await);
        let taken = bed.store.create_org(&author(1), new_org("acme")).await;
        assert!(matches!(taken, Err(StoreError::Conflict(text)) if text.contains("`acme`")));
        let patch = OrgPatch { name: None, slug: Some(acme.slug.clone()) };
        let taken = bed.store.update_org(&author(1), other.id, patch).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))));
        assert_eq!(bed.store.head().await.unwrap().revision, 2);
        bed.store.delete_org(&author(2), acme.id).await.unwrap();
        let again = changed(bed.store.create_org(&author(3), new_org("acme")).await.unwrap());
        assert_ne!(again.id, acme.id);
        assert_eq!(bed.store.find_org_by_slug(&acme.slug).await.unwrap(), Some(again));
    })
    .await;
}

#[tokio::test]
async fn an_org_changes_name_and_slug() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let patch = OrgPatch { name: Some(name("Acme II")), slug: Some("acme-2".parse().unwrap()) };
        let after = changed(bed.store.update_org(&author(5), org.id, patch.clone()).await.unwrap());
        assert_eq!((after.name.as_str(), after.slug.as_str(), after.updated_at), ("Acme II", "acme-2", at(5)));
        assert_eq!(bed.store.find_org(org.id).await.unwrap(), Some(after.clone()));
        let same = bed.store.update_org(&author(6), org.id, patch).await.unwrap();
        assert_eq!((same.value, same.revision, same.changed), (after, 2, false));
    })
    .await;
}

#[tokio::test]
async fn a_suspension_keeps_its_first_time_and_reason() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let first = bed.store.suspend_org(&author(5), org.id, &reason("unpaid")).await.unwrap();
        let suspension = first.value.suspension.clone().unwrap();
        assert_eq!((suspension.at, suspension.reason.as_str(), first.revision), (at(5), "unpaid", 2));
        let again = bed.store.suspend_org(&author(6), org.id, &reason("really")).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (first.value, 2, false));
        let ended = changed(bed.store.unsuspend_org(&author(7), org.id, &reason("paid")).await.unwrap());
        assert_eq!(ended.suspension, None);
        let again = bed.store.unsuspend_org(&author(8), org.id, &reason("paid")).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (ended, 3, false));
    })
    .await;
}

#[tokio::test]
async fn a_deleted_org_is_a_tombstone_that_nothing_changes_any_more() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let key = bed.key(org.id).await;
        let deleted = changed(bed.store.delete_org(&author(5), org.id).await.unwrap());
        assert_eq!(deleted.deleted_at, Some(at(5)));
        let again = bed.store.delete_org(&author(6), org.id).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (deleted.clone(), 3, false));
        assert_eq!(bed.store.find_org(org.id).await.unwrap(), Some(deleted));
        assert_eq!(bed.store.find_org_by_slug(&org.slug).await.unwrap(), None);
        refused_on_the_org(&bed, org.id).await;
        refused_on_the_key(&bed, key.id).await;
        assert_eq!(bed.store.head().await.unwrap().revision, 3);
    })
    .await;
}

async fn refused_on_the_org(bed: &Bed, org: OrgId) {
    let (store, author) = (&bed.store, author(9));
    let patch = OrgPatch { name: Some(name("B")), slug: None };
    assert!(matches!(store.update_org(&author, org, patch).await, Err(StoreError::Conflict(_))));
    assert!(matches!(store.suspend_org(&author, org, &reason("r")).await, Err(StoreError::Conflict(_))));
    assert!(matches!(store.unsuspend_org(&author, org, &reason("r")).await, Err(StoreError::Conflict(_))));
    assert!(matches!(store.create_key(&author, org, new_key("k"), &bed.sealed()).await, Err(StoreError::Conflict(_))));
}

async fn refused_on_the_key(bed: &Bed, key: KeyId) {
    let results = super::keys::every_write_but_revoke(bed, key, 9).await;
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Conflict(_)))), "{results:?}");
    let revoked = bed.store.revoke_key(&author(9), key, None).await;
    assert!(matches!(revoked, Err(StoreError::Conflict(_))));
}

#[tokio::test]
async fn writing_to_an_org_that_does_not_exist_is_not_found() {
    on_both_engines(|bed| async move {
        let (store, author, org) = (&bed.store, author(1), OrgId::new(at(0), &bed.random));
        assert!(matches!(store.update_org(&author, org, OrgPatch::default()).await, Err(StoreError::NotFound)));
        assert!(matches!(store.suspend_org(&author, org, &reason("r")).await, Err(StoreError::NotFound)));
        assert!(matches!(store.unsuspend_org(&author, org, &reason("r")).await, Err(StoreError::NotFound)));
        assert!(matches!(store.delete_org(&author, org).await, Err(StoreError::NotFound)));
        let key = store.create_key(&author, org, new_key("k"), &bed.sealed()).await;
        assert!(matches!(key, Err(StoreError::NotFound)));
        assert_eq!(store.head().await.unwrap().revision, 0);
    })
    .await;
}

#[tokio::test]
async fn times_are_kept_to_the_millisecond_over_all_years() {
    on_both_engines(|bed| async move {
        for ms in [-62_135_596_800_000, -1, 0, 1_795_000_000_120, 253_402_300_799_999] {
            let author = claviger::domain::audit::Author::system(claviger::domain::clock::Timestamp::from_millis(ms));
            let org = bed.store.create_org(&author, new_org(&format!("o{}", ms.unsigned_abs()))).await.unwrap().value;
            assert_eq!(bed.store.find_org(org.id).await.unwrap().unwrap().created_at.as_millis(), ms);
        }
    })
    .await;
}
