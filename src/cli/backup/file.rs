//! Files that are private from their first byte, and that get their name when they are whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{cli::failure::Failure, domain::random::Random};

/// A file that is being written, beside the place where it will be. Dropped before that, it is deleted.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    goal: PathBuf,
}

impl Partial {
    /// An empty file with mode 0600.
    pub(super) fn create(goal: &Path) -> Result<Self, Failure> {
        let Some(name) = goal.file_name() else {
            return Err(Failure::usage(format!("`{}` names no file", goal.display())));
        };
        if goal.symlink_metadata().is_ok() {
            return Err(taken(goal));
        }
        let path = goal.with_file_name(format!(".{}.{}.partial", name.display(), random_word()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let created = options.open(&path).map(drop);
        created.map_err(|error| Failure::failed(format!("`{}` cannot be written: {error}", goal.display())))?;
        Ok(Self { path, goal: goal.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, once it is on the disk; never takes the name from another file. Returns its size in bytes.
    pub(super) fn publish(self) -> Result<u64, Failure> {
        let file = File::open(&self.path)?;
        file.sync_all()?;
        // A link, unlike a rename, does not replace.
        match fs::hard_link(&self.path, &self.goal) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(&self.goal)),
            // A file system without links.
            Err(_) if self.goal.symlink_metadata().is_err() => fs::rename(&self.path, &self.goal)?,
            Err(_) => return Err(taken(&self.goal)),
        }
        sync_directory(&self.goal)?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename it is gone already.
        let _ = fs::remove_file(&self.path);
    }
}

fn taken(file: &Path) -> Failure {
    Failure::failed(format!("`{}` exists already; a backup replaces no file", file.display()))
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// A directory for one process and its user, deleted in the end.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Below `parent`.
    pub(super) fn create(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!(".claviger-{}.restore", random_word()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let created = builder.create(&path);
        created.map_err(|error| Failure::failed(format!("nothing can be written to `{}`: {error}", parent.display())))?;
        Ok(Self(path))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("backup.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted is private all the same.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A word that nobody guesses.
pub(super) fn random_word() -> String {
    let mut bytes = [0; 8];
    Random::System.fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}
