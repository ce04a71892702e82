//! A backup that is read: which engine it is of, and what is in it.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use super::{file::Scratch, postgres};
use crate::{
    cli::failure::Failure,
    domain::random::Random,
    store::{AuditCheck, Store, Summary},
};

/// The engine that a backup is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Sqlite,
    Postgres,
}

impl Format {
    /// Told by the first bytes.
    pub(super) fn of(file: &Path) -> Result<Self, Failure> {
        let mut first = Vec::new();
        let read = File::open(file).and_then(|file| file.take(16).read_to_end(&mut first));
        read.map_err(|error| Failure::failed(format!("the backup `{}` cannot be read: {error}", file.display())))?;
        match first.as_slice() {
            b"SQLite format 3\0" => Ok(Self::Sqlite),
            [b'P', b'G', b'D', b'M', b'P', ..] => Ok(Self::Postgres),
            _ => Err(Failure::failed(format!(
                "`{}` is no backup: it is neither an SQLite database nor an archive of pg_dump",
                file.display()
            ))),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A backup as a private, open database; its directory is deleted with it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) format: Format,
    pub(super) store: Store,
    /// What the schema lacked.
    pub(super) pending: Vec<String>,
    scratch: Option<Scratch>,
}

/// What a look into a backup showed.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) summary: Summary,
    pub(super) audit: AuditCheck,
}

impl Source {
    /// Opens a backup to look into it, an SQLite file where it lies.
    pub(super) async fn open(file: &Path) -> Result<Self, Failure> {
        match Format::of(file)? {
            Format::Sqlite => {
                let store = Store::open_unchanged(file, Random::System);
                store.check_file().await?;
                let pending = store.pending_migrations().await?;
                Ok(Self { format: Format::Sqlite, store, pending, scratch: None })
            }
            Format::Postgres => Self::open_private(file, &std::env::temp_dir()).await,
        }
    }

    /// Opens a private copy below `parent` and brings it up to the schema of this program.
    pub(super) async fn open_private(file: &Path, parent: &Path) -> Result<Self, Failure> {
        let format = Format::of(file)?;
        let scratch = Scratch::create(parent)?;
        let copy = scratch.file();
        let (store, pending) = match format {
            Format::Sqlite => copy_sqlite(file, &copy).await?,
            Format::Postgres => {
                let store = Store::open_file(&copy, Random::System).await?;
                store.migrate().await?;
                let pending = postgres::print_rows(file, async |rows| store.load_archive(rows).await).await?;
                (store, pending)
            }
        };
        Ok(Self { format, store, pending, scratch: Some(scratch) })
    }

    pub(super) async fn content(&self) -> Result<Content, Failure> {
        Ok(Content { summary: self.store.summary().await?, audit: self.store.verify_audit().await? })
    }

    pub(super) async fn close(self) {
        self.store.close().await;
        drop(self.scratch);
    }
}

/// A copy that is checked before SQLite may change it, and then brought up to date; with what it lacked.
async fn copy_sqlite(file: &Path, copy: &Path) -> Result<(Store, Vec<String>), Failure> {
    fs::copy(file, copy)?;
    let unchanged = Store::open_unchanged(copy, Random::System);
    unchanged.check_file().await?;
    unchanged.close().await;
    let store = Store::open_file(copy, Random::System).await?;
    store.require_known_schema("the backup").await?;
    // Without this, any SQLite file would become an empty backup.
    store.head().await?;
    let pending = store.pending_migrations().await?;
    store.migrate().await?;
    Ok((store, pending))
}
