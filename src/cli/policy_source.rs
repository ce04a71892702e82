//! Where the policies come from: directories, or the binary itself.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::{
    config::Loaded,
    policy::{Engine, PolicyFiles, shipped},
    snapshot::files::{self, PolicyDirs},
};

/// Flags that name the directories.
#[derive(Debug, Args)]
pub(super) struct PolicySourceArgs {
    /// Directory of *.cedar and guards.yaml [default: policies, if there is one, else the built-in ones]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Directory of *.cedarschema [default: schema, if there is one, else the built-in one]
    #[arg(long, value_name = "DIR")]
    schema: Option<PathBuf>,
}

impl PolicySourceArgs {
    /// Whether one of the flags was given.
    pub(super) const fn is_given(&self) -> bool {
        self.policies.is_some() || self.schema.is_some()
    }

    /// The engine that a server with these flags and settings would start with.
    pub(super) fn engine(&self, loaded: &Loaded) -> Result<Engine, Failure> {
        let files = PolicySource::find(loaded, self)?.read()?;
        Ok(Engine::load(&files, &loaded.config.policies.settings()?)?)
    }
}

/// Where the policies come from.
#[derive(Debug)]
pub(super) enum PolicySource {
    /// Followed while the server runs.
    Dirs(PolicyDirs),
    /// Built into the binary.
    Shipped,
}

impl PolicySource {
    /// The directories that flags, settings or convention name; the built-in set where none of them does.
    ///
    /// # Errors
    /// When one of the two directories is missing.
    pub(super) fn find(loaded: &Loaded, args: &PolicySourceArgs) -> Result<Self, Failure> {
        let section = &loaded.config.policies;
        let dirs = PolicyDirs {
            policies: args.policies.as_ref().unwrap_or(&section.dir).clone(),
            schema: args.schema.as_ref().unwrap_or(&section.schema).clone(),
        };
        let named = args.is_given() || loaded.is_set("policies.dir") || loaded.is_set("policies.schema");
        if !named && !dirs.policies.is_dir() && !dirs.schema.is_dir() {
            return Ok(Self::Shipped);
        }
        if let Some(dir) = [&dirs.policies, &dirs.schema].into_iter().find(|dir| !dir.is_dir()) {
            return Err(Failure::usage(format!("there is no directory `{}`; policies and schema come together", dir.display())));
        }
        Ok(Self::Dirs(dirs))
    }

    /// Reads the live files.
    pub(super) fn read(&self) -> Result<PolicyFiles, Failure> {
        match self {
            Self::Dirs(dirs) => Ok(files::read(dirs)?),
            Self::Shipped => Ok(shipped()),
        }
    }
}
