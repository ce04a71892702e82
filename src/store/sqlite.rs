//! Opening a SQLite file: private, write-ahead logged, one writer.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection, Sqlite, SqlitePool,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous},
};

use super::{Pools, StoreError, error::sqlite_code};

/// How long one connection waits for another one's lock, in this process or another.
pub(super) const BUSY: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

pub(super) async fn open(options: SqliteConnectOptions) -> Result<Pools<Sqlite>, StoreError> {
    let file = options.get_filename().to_owned();
    create_private(&file)?;
    let options = options.create_if_missing(false).foreign_keys(true).synchronous(SqliteSynchronous::Full).busy_timeout(BUSY);
    let readers = options.clone().pragma("query_only", "ON");
    let pools = Pools { writer: pool(1).connect_lazy_with(options), reader: pool(READERS).connect_lazy_with(readers) };
    match use_write_ahead_log(&pools.writer).await {
        Ok(mode) if mode == "wal" => Ok(pools),
        Ok(_) => Err(refused(&file, "its file system cannot share a write-ahead log; put it on a local disk")),
        Err(error) => Err(explain(&file, &error)),
    }
}

/// A file that nobody writes: no lock is taken, and nothing is made beside it.
pub(super) fn open_unchanged(file: &Path) -> Pools<Sqlite> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let pool = pool(1).connect_lazy_with(options);
    Pools { writer: pool.clone(), reader: pool }
}

/// Only to read. Without a write-ahead log the connection may write, although nothing is written: the last one to close then
/// takes the empty log away again that it made. With one, it may not: closing would write the log's pages into the file.
pub(super) async fn open_to_read(options: SqliteConnectOptions) -> Result<Pools<Sqlite>, StoreError> {
    let file = options.get_filename().to_owned();
    if !file.is_file() {
        return Err(refused(&file, "there is no such file"));
    }
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    let left_behind = Path::new(&log).exists();
    let options = options.create_if_missing(false).read_only(left_behind).busy_timeout(BUSY).pragma("query_only", "ON");
    let reader = pool(1).connect_lazy_with(options);
    // The first page is read, which tells a database from another file.
    match sqlx::query("SELECT COUNT(*) FROM sqlite_master").execute(&reader).await {
        Ok(_) => Ok(Pools { writer: reader.clone(), reader }),
        Err(error) => Err(explain(&file, &error)),
    }
}

fn pool(connections: u32) -> PoolOptions<Sqlite> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        // A failed COMMIT that SQLite rolled back by itself leaves the driver counting an open transaction for ever.
        .before_acquire(|connection: &mut SqliteConnection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// SQLite gives `-wal` and `-shm` the mode of the file, so the file must be private before SQLite sees it.
fn create_private(file: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && file.is_dir() => Err(is_directory(file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_create(file, &error)),
    }
}

pub(super) fn is_directory(file: &Path) -> StoreError {
    refused(file, "it is a directory; name a file in database.url")
}

pub(super) fn cannot_create(file: &Path, error: &io::Error) -> StoreError {
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let directory = directory.display();
    let why = match error.kind() {
        ErrorKind::NotFound => format!("the directory `{directory}` does not exist; create it or change database.url"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("the directory `{directory}` is not writable; allow this user to write there or change database.url")
        }
        _ => format!("{error}; change database.url or the directory `{directory}`"),
    };
    StoreError::Open(format!("the database file `{}` cannot be created: {why}", file.display()))
}

/// The mode that is in force afterwards. Changing it needs a lock that SQLite's own busy timeout does not wait for.
async fn use_write_ahead_log(writer: &SqlitePool) -> Result<String, sqlx::Error> {
    const PAUSE: Duration = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let result = sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(writer).await;
        let busy = result.as_ref().err().is_some_and(|error| code(error) == Some(5));
        if !busy || waited >= BUSY {
            return result;
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error().and_then(sqlite_code)
}

fn explain(file: &Path, error: &sqlx::Error) -> StoreError {
    match code(error) {
        Some(5) => refused(file, "another process holds it locked; end that process or wait for it"),
        Some(8) => refused(file, "it or its directory is not writable; allow this user to write there"),
        Some(14) => refused(file, "it cannot be read; allow this user to read and write it"),
        Some(26) => refused(file, "it is no SQLite database; name another file in database.url"),
        _ => refused(file, &format!("{error}; if the file is damaged, restore it from a backup")),
    }
}

fn refused(file: &Path, why: &str) -> StoreError {
    StoreError::Open(format!("the database file `{}` cannot be opened: {why}", file.display()))
}
