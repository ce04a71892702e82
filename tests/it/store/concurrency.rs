//! Many writers at once, and writers that give up half-way.

use std::{collections::BTreeSet, time::Duration};

use claviger::{
    domain::id::KeyId,
    store::{AuditCheck, Changes, Fact},
};

use crate::support::engines::{Bed, author, new_key, new_org, on_both_engines, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_writers_at_once_leave_no_gap_and_a_whole_chain() {
    on_both_engines(|bed| async move {
        let org = bed.org("shared").await.id;
        let writers: Vec<_> = (0..50)
            .map(|n| {
                let (store, author, sealed) = (bed.store.clone(), author(n), bed.sealed());
                tokio::spawn(async move {
                    let made = store.create_org(&author, new_org(&format!("o{n}"))).await.unwrap();
                    let key = store.create_key(&author, org, new_key("k"), &sealed).await.unwrap();
                    let renamed = store.suspend_org(&author, made.value.id, &reason("r")).await.unwrap();
                    [made.revision, key.revision, renamed.revision]
                })
            })
            .collect();
        let mut revisions = BTreeSet::new();
        for writer in writers {
            revisions.extend(writer.await.unwrap());
        }
        assert!(revisions.iter().copied().eq(2..=151));
        let check = bed.store.verify_audit().await.unwrap();
        assert!(matches!(check, AuditCheck::Whole { rows: 151, .. }), "{check}");
        let changes = bed.rows("SELECT revision FROM change").await.len();
        assert_eq!(changes, 151);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_among_writers_never_misses_a_change() {
    on_both_engines(|bed| async move {
        let org = bed.org("shared").await.id;
        let mut head = bed.store.head().await.unwrap();
        let writers: Vec<_> = (0..10)
            .map(|n| {
                let (store, author) = (bed.store.clone(), author(n));
                let secrets: Vec<_> = (0..5).map(|_| bed.sealed()).collect();
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    for secret in secrets {
                        made.push(store.create_key(&author, org, new_key("k"), &secret).await.unwrap().value.id);
                    }
                    made
                })
            })
            .collect();
        let mut seen: BTreeSet<KeyId> = BTreeSet::new();
        while seen.len() < 50 {
            let all_done = writers.iter().all(tokio::task::JoinHandle::is_finished);
            match bed.store.changes_since(&head).await.unwrap() {
                Changes::UpToDate if all_done => break,
                Changes::UpToDate => tokio::task::yield_now().await,
                Changes::Reload | Changes::Diverged => panic!("nothing calls for a reload"),
                Changes::Apply { head: next, facts } => {
                    let keys = facts.iter().filter_map(|fact| if let Fact::Key(key) = fact { Some(key) } else { None });
                    let keys: Vec<_> = keys.collect();
                    assert_eq!(i64::try_from(keys.len()).unwrap(), next.revision - head.revision);
                    assert!(keys.iter().all(|key| key.revision <= next.revision && key.revision > head.revision));
                    seen.extend(keys.iter().map(|key| key.id));
                    head = next;
                }
            }
        }
        let mut made = BTreeSet::new();
        for writer in writers {
            made.extend(writer.await.unwrap());
        }
        assert_eq!(seen, made);
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_dropped_half_way_is_written_whole_or_not_at_all() {
    on_both_engines(|bed| async move {
        for n in 0..60u64 {
            let (author, new) = (author(0), new_org(&format!("o{n}")));
            let write = bed.store.create_org(&author, new);
            drop(tokio::time::timeout(Duration::from_micros(n * 100), write).await);
        }
        let last = bed.store.create_org(&author(0), new_org("last")).await.unwrap();
        assert_eq!(bed.store.head().await.unwrap().revision, last.revision);
        whole(&bed, last.revision).await;
    })
    .await;
}

async fn whole(bed: &Bed, revision: i64) {
    let check = bed.store.verify_audit().await.unwrap();
    assert!(matches!(check, AuditCheck::Whole { rows, .. } if rows == revision), "{check}");
    for table in ["org", "change", "audit"] {
        let count = bed.rows(&format!("SELECT COUNT(*) FROM {table}")).await.concat();
        assert_eq!(count, [revision.to_string()], "{table}");
    }
}

#[tokio::test]
async fn a_write_by_another_process_is_seen_by_the_head_and_the_changes() {
    on_both_engines(|bed| async move {
        let other = bed.second_store().await;
        let before = bed.store.head().await.unwrap();
        let org = other.create_org(&author(1), new_org("acme")).await.unwrap();
        let head = bed.store.head().await.unwrap();
        assert_eq!((head.revision, &head.epoch), (org.revision, &before.epoch));
        assert!(matches!(bed.store.changes_since(&before).await.unwrap(), Changes::Apply { facts, .. } if facts.len() == 1));
        let (author, why) = (author(2), reason("a"));
        let both = tokio::join!(bed.store.suspend_org(&author, org.value.id, &why), other.create_org(&author, new_org("other")),);
        let revisions = BTreeSet::from([both.0.unwrap().revision, both.1.unwrap().revision]);
        assert_eq!(revisions, BTreeSet::from([2, 3]));
        other.close().await;
    })
    .await;
}
