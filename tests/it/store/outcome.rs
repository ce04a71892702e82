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
async fn a_write_that_the_database_refuses_is_unavailable_and_works_afterwards() {
    let [sqlite, postgres] = engines().await;
    let refuse = |how| format!("CREATE TRIGGER closed BEFORE INSERT ON org BEGIN SELECT RAISE({how}, 'closed'); END");
    let check = "ALTER TABLE org ADD CONSTRAINT closed CHECK (false)".to_owned();
    for (bed, close, open) in [
        (&sqlite, refuse("ABORT"), "DROP TRIGGER closed"),
        // SQLite ends the whole transaction by itself, as it does when the disk is full.
        (&sqlite, refuse("ROLLBACK"), "DROP TRIGGER closed"),
        (&postgres, check, "ALTER TABLE org DROP CONSTRAINT closed"),
    ] {
        bed.execute(&close).await;
        let before = bed.store.head().await.unwrap().revision;
        for _ in 0..12 {
            let result = bed.store.create_org(&author(0), new_org("a")).await;
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        }
        bed.execute(open).await;
        assert_eq!(bed.store.create_org(&author(0), new_org(&format!("o{before}"))).await.unwrap().revision, before + 1);
    }
}

#[tokio::test]
async fn a_database_that_lacks_a_column_says_what_to_run() {
    on_both_engines(|bed| async move {
        bed.execute("ALTER TABLE org RENAME COLUMN name TO title").await;
        for error in [
            bed.store.create_org(&author(0), new_org("a")).await.unwrap_err(),
            bed.store.find_org_by_slug(&"a".parse().unwrap()).await.unwrap_err(),
        ] {
            assert!(matches!(&error, StoreError::Schema(text) if text.contains("claviger migrate up")), "{error:?}");
        }
    })
    .await;
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
