//! A restore that was compared with another moment does not happen.

use claviger::{
    domain::random::Random,
    store::{BackupError, Ending, Store},
};
use tempfile::TempDir;

use crate::support::engines::{at, author, new_org, on_both_engines, reason};

#[tokio::test]
async fn a_database_that_was_written_to_since_it_was_compared_is_not_replaced() {
    on_both_engines(|bed| async move {
        let directory = TempDir::new().unwrap();
        let backup = Store::open_file(&directory.path().join("backup.db"), Random::System).await.unwrap();
        backup.migrate().await.unwrap();
        let kept = backup.create_org(&author(0), new_org("kept")).await.unwrap().value;
        bed.org("acme").await;
        let undoing = bed.store.undone_by(&backup, at(1)).await.unwrap();
        assert_eq!((undoing.orgs, undoing.undone.len(), undoing.undone[0].what), (1, 1, Ending::Absence));
        let late = bed.org("late").await;
        let before = bed.dump().await;
        let refused = bed.store.replace_with(&backup, Some(&undoing.head), at(0)).await.unwrap_err();
        assert!(matches!(refused, BackupError::Moved), "{refused}");
        assert_eq!(bed.dump().await, before);
        // The connection is as good as before.
        bed.store.suspend_org(&author(2), late.id, &reason("unpaid")).await.unwrap();
        let undoing = bed.store.undone_by(&backup, at(3)).await.unwrap();
        let head = bed.store.replace_with(&backup, Some(&undoing.head), at(0)).await.unwrap();
        assert_eq!((head.revision, bed.store.head().await.unwrap()), (1, head.clone()));
        assert_ne!(head.epoch, undoing.head.epoch);
        assert_eq!(bed.store.find_org(kept.id).await.unwrap(), Some(kept));
        backup.close().await;
    })
    .await;
}

#[tokio::test]
async fn after_a_restore_leases_of_before_are_still_waited_for_and_kept_answers_are_gone() {
    on_both_engines(|bed| async move {
        let directory = TempDir::new().unwrap();
        let backup = Store::open_file(&directory.path().join("backup.db"), Random::System).await.unwrap();
        backup.migrate().await.unwrap();
        let (time, bytes) = ("'2026-01-01T00:00:00Z'", if bed.is_postgres() { "'\\x00'" } else { "x'00'" });
        bed.execute(&format!("INSERT INTO replica VALUES ('r', 'a', 'v', 'p', 0, 60000, {time}, {time})")).await;
        bed.execute(&format!("INSERT INTO idempotency VALUES ('a', 'r', 'k', {bytes}, 1, '{{}}', {time})")).await;
        bed.store.replace_with(&backup, None, at(0)).await.unwrap();
        assert!(bed.rows("SELECT * FROM idempotency").await.is_empty());
        if bed.is_postgres() {
            let leases = async || bed.rows("SELECT acked_revision, max_staleness_ms FROM replica").await;
            let waited_for = vec![vec!["-1".to_owned(), "60000".to_owned()]];
            assert_eq!(bed.rows("SELECT id FROM replica").await, [["r"]]);
            assert_eq!(leases().await, waited_for);
            // Where nobody knows who decides, one lease stands for them all.
            bed.execute("DELETE FROM replica").await;
            bed.store.replace_with(&backup, None, at(0)).await.unwrap();
            assert_eq!(leases().await, waited_for);
        }
        backup.close().await;
    })
    .await;
}
