//! The schema: pending, applied, applied by somebody newer.

use claviger::{
    domain::random::Random,
    store::{Store, StoreError},
};
use tempfile::TempDir;

use crate::support::{
    engines::{author, config, on_both_engines},
    postgres::postgres_url,
};

const MIGRATIONS: [&str; 2] = ["0001_init", "0002_expand_replicas"];

#[test]
fn both_engines_have_migrations_of_the_same_names() {
    let names = |engine: &str| {
        let directory = std::fs::read_dir(format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut names: Vec<_> = directory.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[tokio::test]
async fn an_empty_database_has_everything_pending_and_says_what_to_run() {
    let directory = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("claviger.db").display());
    for url in [sqlite, postgres_url().await] {
        let store = Store::open(&config(&url), Random::default()).await.unwrap();
        assert_eq!(store.pending_migrations().await.unwrap(), MIGRATIONS);
        let error = store.head().await.unwrap_err();
        assert!(matches!(&error, StoreError::Schema(text) if text.contains("claviger migrate up")), "{error}");
        assert_eq!(store.migrate().await.unwrap(), MIGRATIONS);
        assert!(store.pending_migrations().await.unwrap().is_empty());
        assert!(store.migrate().await.unwrap().is_empty());
        let head = store.head().await.unwrap();
        assert_eq!((head.revision, head.epoch.len(), head.tag), (0, 32, None));
        store.close().await;
    }
}

#[tokio::test]
async fn the_epoch_is_another_one_in_every_database() {
    let (mut epochs, store) = (Vec::new(), |bed: crate::support::engines::Bed| bed.store);
    for bed in crate::support::engines::engines().await {
        epochs.push(store(bed).head().await.unwrap().epoch);
    }
    assert_ne!(epochs[0], epochs[1]);
}

#[tokio::test]
async fn a_database_that_is_newer_than_this_binary_is_refused() {
    on_both_engines(|bed| async move {
        let checksum = if bed.is_postgres() { "'\\x00'" } else { "x'00'" };
        bed.execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9000, 'from the future', true, {checksum}, 0)"
        ))
        .await;
        for error in [bed.store.migrate().await.unwrap_err(), bed.store.pending_migrations().await.unwrap_err()] {
            assert!(matches!(&error, StoreError::Schema(text) if text.contains("migration 9000")), "{error}");
        }
    })
    .await;
}

/// As the release after this one would leave the database: one column and one table more, and a kind of change of its own.
#[tokio::test]
async fn a_database_that_a_newer_release_has_only_added_to_is_served() {
    on_both_engines(|bed| async move {
        let (checksum, before) = (if bed.is_postgres() { "'\\x00'" } else { "x'00'" }, bed.org("acme").await);
        bed.execute("ALTER TABLE org ADD COLUMN region TEXT").await;
        bed.execute("CREATE TABLE region (id INTEGER PRIMARY KEY)").await;
        bed.execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9000, 'expand regions', true, {checksum}, 0)"
        ))
        .await;
        assert!(bed.store.pending_migrations().await.unwrap().is_empty());
        assert!(bed.store.migrate().await.unwrap().is_empty());
        assert_eq!(bed.store.find_org(before.id).await.unwrap(), Some(before));
        bed.org("other").await;
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_changed_after_it_was_applied_is_refused() {
    on_both_engines(|bed| async move {
        let checksum = if bed.is_postgres() { "'\\x00'" } else { "x'00'" };
        bed.execute(&format!("UPDATE _sqlx_migrations SET checksum = {checksum}")).await;
        let error = bed.store.migrate().await.unwrap_err();
        assert!(matches!(&error, StoreError::Schema(text) if text.contains("`0001_init` was changed")), "{error}");
    })
    .await;
}

#[tokio::test]
async fn eight_processes_that_start_at_once_on_an_empty_database_agree() {
    let directory = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("claviger.db").display());
    for url in [sqlite, postgres_url().await] {
        let start = |url: String| async move {
            let store = Store::open(&config(&url), Random::default()).await.unwrap();
            store.migrate().await.unwrap();
            store.head().await.unwrap().epoch
        };
        let starts: Vec<_> = (0..8).map(|_| tokio::spawn(start(url.clone()))).collect();
        let mut epochs = Vec::new();
        for start in starts {
            epochs.push(start.await.unwrap());
        }
        epochs.dedup();
        assert_eq!(epochs.len(), 1, "{epochs:?}");
    }
}

#[tokio::test]
async fn a_user_who_may_not_create_tables_starts_on_an_up_to_date_database() {
    let [_, bed] = crate::support::engines::engines().await;
    let role = format!("app_{}", bed.url.rsplit('_').next().unwrap());
    bed.execute(&format!("CREATE ROLE {role} LOGIN")).await;
    bed.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let url = bed.url.replace("postgres:unasked", &role);
    let store = Store::open(&config(&url), Random::default()).await.unwrap();
    assert!(store.migrate().await.unwrap().is_empty());
    store.create_org(&author(0), crate::support::engines::new_org("acme")).await.unwrap();
    store.close().await;
}
