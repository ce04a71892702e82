//! Rotation: when the old secret ends, and that never more than two live.

use std::time::Duration;

use claviger::{
    domain::{
        clock::Timestamp,
        key::{Key, KeyPatch},
    },
    store::StoreError,
};

use crate::support::engines::{at, author, changed, on_both_engines};

/// The ends of a key's secrets, oldest first.
fn ends(key: &Key) -> Vec<Option<Timestamp>> {
    key.secrets.iter().map(|secret| secret.expires_at).collect()
}

fn live(key: &Key, ms: i64) -> usize {
    key.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| at(ms) < end)).count()
}

#[tokio::test]
async fn the_old_secret_ends_with_the_overlap_and_the_new_one_does_not() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let rotated = bed.rotate(&key, 10, 100).await;
        assert_eq!(ends(&rotated), [Some(at(110)), None]);
        assert_eq!((rotated.id, &rotated.name, rotated.updated_at), (key.id, &key.name, at(10)));
        assert_eq!(rotated.secrets[0].id, key.secrets[0].id);
        assert_eq!(bed.store.find_key(key.id).await.unwrap(), Some(rotated));
    })
    .await;
}

#[tokio::test]
async fn without_an_overlap_the_old_secret_ends_at_once() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let rotated = bed.rotate(&key, 10, 0).await;
        assert_eq!((ends(&rotated), live(&rotated, 10)), (vec![Some(at(10)), None], 1));
    })
    .await;
}

#[tokio::test]
async fn rotating_again_ends_the_older_secret_at_once() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        bed.rotate(&key, 10, 100).await;
        let twice = bed.rotate(&key, 20, 100).await;
        assert_eq!(ends(&twice), [Some(at(20)), Some(at(120)), None]);
        let later = bed.rotate(&key, 500, 100).await;
        assert_eq!(ends(&later), [Some(at(20)), Some(at(120)), Some(at(600)), None]);
    })
    .await;
}

#[tokio::test]
async fn an_overlap_never_prolongs_a_secret() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let soon = chrono::DateTime::from(at(15)).to_rfc3339();
        bed.execute(&format!("UPDATE secret SET expires_at = '{soon}'")).await;
        assert_eq!(ends(&bed.rotate(&key, 10, 100).await), [Some(at(15)), None]);
    })
    .await;
}

#[tokio::test]
async fn the_newest_secret_is_known_even_when_all_are_made_in_one_millisecond() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let mut seen = vec![key.secrets[0].id];
        for round in 1..12 {
            let rotated = bed.rotate(&key, 0, 100).await;
            assert_eq!(live(&rotated, 0), 2, "round {round}");
            assert_eq!(rotated.secrets.iter().map(|secret| secret.id).collect::<Vec<_>>()[..round], seen);
            seen.push(rotated.secrets.last().unwrap().id);
        }
    })
    .await;
}

#[tokio::test]
async fn finishing_a_rotation_ends_all_but_the_newest_secret() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let none = bed.store.finish_rotation(&author(5), key.id).await.unwrap();
        assert_eq!((none.value, none.revision, none.changed), (key.clone(), 2, false));
        bed.rotate(&key, 10, 100).await;
        let finished = changed(bed.store.finish_rotation(&author(20), key.id).await.unwrap());
        assert_eq!(ends(&finished), [Some(at(20)), None]);
        let again = bed.store.finish_rotation(&author(30), key.id).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (finished, 4, false));
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_has_ended_is_not_ended_again() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let rotated = bed.rotate(&key, 10, 100).await;
        for ms in [110, 120] {
            let finished = bed.store.finish_rotation(&author(ms), key.id).await.unwrap();
            assert_eq!((&finished.value, finished.changed), (&rotated, false));
        }
    })
    .await;
}

#[tokio::test]
async fn a_disabled_or_expired_key_is_not_rotated() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let rotate = |ms: i64| {
            let (store, author, sealed) = (bed.store.clone(), author(ms), bed.sealed());
            async move { store.rotate_key(&author, key.id, Duration::from_secs(1), &sealed).await }
        };
        bed.store.disable_key(&author(1), key.id).await.unwrap();
        assert!(matches!(rotate(2).await, Err(StoreError::Conflict(text)) if text.contains("disabled")));
        bed.store.enable_key(&author(3), key.id).await.unwrap();
        let patch = KeyPatch { expires_at: Some(Some(at(100))), ..KeyPatch::default() };
        bed.store.update_key(&author(4), key.id, patch).await.unwrap();
        assert!(rotate(99).await.is_ok());
        assert!(matches!(rotate(100).await, Err(StoreError::Conflict(text)) if text.contains("expired")));
    })
    .await;
}
