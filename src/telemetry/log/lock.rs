//! One server per decision log: a lock beside the file, which ends with the process, however that ends.
//!
//! The file itself gets another name when it is turned over, so the lock is on one of its own.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::file::{FileError, Identity};

/// The right to write to a decision log.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    identity: Identity,
    _file: File,
}

impl FileLock {
    /// Locks `<log>.lock`.
    pub(super) fn take(log: &Path) -> Result<Self, FileError> {
        let mut path = log.as_os_str().to_owned();
        path.push(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), identity: (&file.metadata()?).into(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(FileError::Taken),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The same lock again where somebody took its file away: with that, another server could have locked a new one.
    pub(super) fn renew(&mut self, log: &Path) -> Result<(), FileError> {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| Identity::from(&there) == self.identity) {
            return Ok(());
        }
        *self = Self::take(log)?;
        Ok(())
    }
}
