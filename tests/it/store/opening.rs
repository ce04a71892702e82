//! Opening a database: what the file looks like, and what people are told when it cannot be opened.

use std::{fs::File, os::unix::fs::PermissionsExt, path::Path};

use claviger::{
    domain::random::Random,
    store::{DatabaseConfig, ServerLock, Store, StoreError},
};
use tempfile::TempDir;

use crate::support::{
    engines::{config, engines, on_both_engines},
    postgres::server_url,
};

async fn refusal(url: &str) -> String {
    Store::open(&config(url), Random::default()).await.unwrap_err().to_string()
}

fn mode(file: &Path) -> u32 {
    file.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_sqlite_file_and_its_companions_are_private() {
    let [bed, _] = engines().await;
    bed.org("acme").await;
    let file = bed.directory.as_ref().unwrap().path().join("claviger.db");
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", file.display());
        assert_eq!(mode(Path::new(&file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn sqlite_is_write_ahead_logged_and_checks_foreign_keys() {
    let [bed, _] = engines().await;
    assert_eq!(bed.rows("PRAGMA journal_mode").await.concat(), ["wal"]);
    let orphan = "INSERT INTO secret VALUES ('sec_1', 'key_none', x'00', 'sha256', NULL, '', '', NULL, 1)";
    assert!(bed.try_execute(orphan).await.unwrap_err().as_database_error().unwrap().is_foreign_key_violation());
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_told_in_one_sentence() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().display();
    std::fs::write(directory.path().join("notes.txt"), "these are notes, not a database ".repeat(200)).unwrap();
    let text = refusal(&format!("sqlite:{path}/none/claviger.db")).await;
    assert!(text.contains(&format!("the directory `{path}/none` does not exist; create it")), "{text}");
    let text = refusal(&format!("sqlite:{path}")).await;
    assert!(text.contains("it is a directory; name a file"), "{text}");
    let text = refusal(&format!("sqlite:{path}/notes.txt")).await;
    assert!(text.contains("it is no SQLite database; name another file"), "{text}");
}

#[tokio::test]
async fn a_look_at_the_lock_keeps_no_server_out_and_a_server_does() {
    let directory = TempDir::new().unwrap();
    let config = config(&format!("sqlite:{}", directory.path().join("claviger.db").display()));
    assert_eq!(ServerLock::is_taken(&config).unwrap(), Some(false));
    assert!(!directory.path().join("claviger.db.lock").exists(), "a look makes no file");
    let lock = ServerLock::take(&config).await.unwrap();
    assert_eq!(ServerLock::is_taken(&config).unwrap(), Some(true));
    let refused = ServerLock::take(&config).await.unwrap_err().to_string();
    assert!(refused.contains("a server already runs on the database file"), "{refused}");
    drop(lock);
    let watcher = File::open(directory.path().join("claviger.db.lock")).unwrap();
    watcher.lock_shared().unwrap();
    assert_eq!(ServerLock::is_taken(&config).unwrap(), Some(false));
    let (taken, ()) = tokio::join!(ServerLock::take(&config), async {
        tokio::task::yield_now().await;
        drop(watcher);
    });
    drop(taken.unwrap());
    let postgres = DatabaseConfig { url: "postgres://db/claviger".to_owned() };
    let both = [ServerLock::take(&postgres).await.unwrap(), ServerLock::take(&postgres).await.unwrap()];
    assert_eq!(ServerLock::is_taken(&postgres).unwrap(), None);
    drop(both);
}

#[tokio::test]
async fn a_postgres_that_cannot_be_used_is_told_without_the_password() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = refusal(&format!("postgres://ada:hunter2@127.0.0.1:{free}/x")).await;
    assert!(text.starts_with(&format!("the database at `postgres://127.0.0.1:{free}/x` does not answer: ")), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let text = refusal(&server_url("nowhere")).await;
    assert!(text.contains("has no database `nowhere`; create it with `createdb nowhere`"), "{text}");
    let text = refusal(&server_url("postgres").replace("postgres:unasked", "nobody:unasked")).await;
    assert!(text.contains("refuses the user or the password"), "{text}");
    assert!(!text.contains("unasked"), "{text}");
}

#[test]
fn a_configuration_never_prints_user_password_or_parameters() {
    for (url, shown) in [
        ("sqlite:claviger.db", "sqlite:claviger.db"),
        ("sqlite:///var/lib/c.db", "sqlite:/var/lib/c.db"),
        ("postgres://ada:hunter2@db.example:6432/keys?sslmode=require&password=hunter2", "postgres://db.example:6432/keys"),
        ("postgresql://ada:hunt%2Fer2@db.example/keys", "postgres://db.example:5432/keys"),
        // What a URL parser makes of a password with an unescaped `/`, `?` or `#` is a host, a port and a name.
        ("postgres://ada:12/hunter2@db.example/keys", "***"),
        ("postgres://ada:12?hunter2@db.example/keys", "***"),
        ("postgres://ada:12#hunter2@db.example/keys", "***"),
        ("postgres://db.example/keys?pasword=hunter2", "***"),
        ("mysql://ada:hunter2@db.example/keys", "***"),
        ("hunter2", "***"),
    ] {
        let config = config(url);
        assert_eq!(format!("{config:?}"), format!("DatabaseConfig({shown})"));
        assert_eq!(config.check().is_ok(), shown != "***", "{url}");
        if let Err(error) = config.check() {
            assert!(matches!(error, StoreError::Config(_)));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn a_database_in_memory_or_with_parameters_is_refused() {
    for url in ["sqlite::memory:", "sqlite:", "sqlite://", "sqlite:a.db?mode=ro", "sqlite:a%ff.db", "postgres:a"] {
        assert!(config(url).check().is_err(), "{url}");
    }
}

#[test]
fn the_section_has_a_default_and_refuses_unknown_settings() {
    let config: DatabaseConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config.url, "sqlite:claviger.db");
    assert!(serde_json::from_str::<DatabaseConfig>(r#"{"uri":"sqlite:a.db"}"#).is_err());
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    on_both_engines(|bed| async move {
        bed.store.close().await;
        assert!(matches!(bed.store.head().await, Err(StoreError::Unavailable(_))));
    })
    .await;
}
