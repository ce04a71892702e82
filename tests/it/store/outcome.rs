//! COMMIT itself fails: either nothing happened, or nobody knows.

use claviger::store::{AuditCheck, StoreError};

use crate::support::engines::{Bed, author, engines, new_org, on_both_engines};

/// Makes every commit that inserts an org run `body` last.
async fn on_commit(bed: &Bed, body: &str) {
    bed.execute(&format!(
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON org DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION at_commit()"
    ))
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_commit_leaves_the_outcome_unknown() {
    let [_, bed] = engines().await;
    on_commit(&bed, "PERFORM pg_terminate_backend(pg_backend_pid())").await;
    let result = bed.store.create_org(&author(0), new_org("a")).await;
    assert!(matches!(result, Err(StoreError::OutcomeUnknown)), "{result:?}");
    bed.execute("DROP TRIGGER at_commit ON org").await;
    bed.store.create_org(&author(0), new_org("b")).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_the_database_refuses_changed_nothing() {
    let [_, bed] = engines().await;
    on_commit(&bed, "RAISE EXCEPTION 'no'").await;
    let result = bed.store.create_org(&author(0), new_org("a")).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert_eq!(bed.store.head().await.unwrap().revision, 0);
}

#[tokio::test]
async fn a_write_to_a_database_that_is_locked_or_read_only_is_unavailable_and_works_afterwards() {
    let [sqlite, postgres] = engines().await;
    postgres.execute("ALTER TABLE org ADD CONSTRAINT closed CHECK (false)").await;
    sqlite.execute("CREATE TRIGGER closed BEFORE INSERT ON org BEGIN SELECT RAISE(ABORT, 'closed'); END").await;
    for (bed, open) in [(&sqlite, "DROP TRIGGER closed"), (&postgres, "ALTER TABLE org DROP CONSTRAINT closed")] {
        for _ in 0..12 {
            let result = bed.store.create_org(&author(0), new_org("a")).await;
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        }
        bed.execute(open).await;
        assert_eq!(bed.store.create_org(&author(0), new_org("a")).await.unwrap().revision, 1);
    }
}

#[tokio::test]
async fn a_trigger_that_swallows_a_row_is_noticed() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        bed.execute(if bed.is_postgres() {
            "CREATE RULE swallowed AS ON UPDATE TO org DO INSTEAD NOTHING"
        } else {
            "CREATE TRIGGER swallowed BEFORE UPDATE ON org BEGIN SELECT RAISE(IGNORE); END"
        })
        .await;
        let result = bed.store.delete_org(&author(1), org.id).await;
        assert!(matches!(result, Err(StoreError::Corrupt { table: "org", .. })), "{result:?}");
        assert_eq!(bed.store.head().await.unwrap().revision, 1);
        let check = bed.store.verify_audit().await.unwrap();
        assert!(matches!(check, AuditCheck::Whole { rows: 1, .. }), "{check}");
    })
    .await;
}
