//! One server per SQLite file: a lock beside the file that lives as long as the process that serves it.
//!
//! The lock is on a file of its own. SQLite's locks on the database file are POSIX locks, which end with the first descriptor
//! that the process closes, whoever opened it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{DatabaseConfig, StoreError, sqlite};

/// The right to serve a database. It ends when this is dropped and, whatever happens, with the process; commands that only
/// read and write do not need it.
#[derive(Debug)]
pub struct ServerLock {
    /// `None` on Postgres, which any number of servers share.
    _file: Option<File>,
}

/// Who only looks whether a server runs holds the lock for a moment; a server that starts just then tries again.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

impl ServerLock {
    /// Takes the lock of an SQLite file, also of one that is not there yet; nothing on Postgres.
    ///
    /// # Errors
    /// [`StoreError::Open`] when another server has it, or the file beside the database cannot be used.
    pub async fn take(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let Some(database) = config.file()? else { return Ok(Self { _file: None }) };
        let path = lock_path(&database).map_err(|error| sqlite::cannot_create(&database, &error))?;
        let file = open(&database, &path)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
            }
        }
        Err(StoreError::Open(format!(
            "a server already runs on the database file `{}`; stop it first, or name another file: only on Postgres can \
             several servers share a database",
            database.display()
        )))
    }

    /// Whether a server runs on an SQLite file now; `None` on Postgres. Makes no file.
    ///
    /// # Errors
    /// When the file beside the database cannot be used.
    pub fn is_taken(config: &DatabaseConfig) -> Result<Option<bool>, StoreError> {
        let Some(database) = config.file()? else { return Ok(None) };
        let Ok(path) = lock_path(&database) else { return Ok(Some(false)) };
        let file = match File::open(&path) {
            Ok(_) if path.is_dir() => return Err(unusable(&path, &ErrorKind::IsADirectory.into())),
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(false)),
            Err(error) => return Err(unusable(&path, &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(false)),
            Err(TryLockError::WouldBlock) => Ok(Some(true)),
            Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }
}

/// `<database>.lock`, the same for every way to write the database's path.
fn lock_path(database: &Path) -> io::Result<PathBuf> {
    let real = database.canonicalize().or_else(|_| {
        let name = database.file_name().ok_or(ErrorKind::NotFound)?;
        let directory = database.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        Ok::<_, io::Error>(directory.canonicalize()?.join(name))
    })?;
    let mut path = real.into_os_string();
    path.push(".lock");
    Ok(path.into())
}

fn open(database: &Path, path: &Path) -> Result<File, StoreError> {
    if database.is_dir() {
        return Err(sqlite::is_directory(database));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| if database.exists() { unusable(path, &error) } else { sqlite::cannot_create(database, &error) })
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Open(format!(
        "the file `{}`, by which no second server starts on the database beside it, cannot be used: {error}; allow this user \
         to read and write it and its directory",
        path.display()
    ))
}
