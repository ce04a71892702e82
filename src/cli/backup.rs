//! `claviger backup`: the whole database in one file, and back.

mod create;
mod file;
mod postgres;
mod restore;
mod source;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{consent::Consent, desk::DeskArgs, exit::Exit, failure::Failure, server::runtime};
use crate::store::BackupError;

/// Back up the database, check a backup, restore one
#[derive(Debug, Args)]
#[command(after_help = "\
A backup of Postgres is made and read by pg_dump and pg_restore, which must be installed.

Examples:
  claviger backup create claviger.backup
  claviger backup verify claviger.backup
  claviger backup restore claviger.backup")]
pub(super) struct BackupArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the database into a new file; servers go on meanwhile
    #[command(
        after_help = "Examples:\n  claviger backup create claviger.backup\n  claviger backup create \"$(date +%F).backup\""
    )]
    Create {
        /// Must not exist
        file: PathBuf,
    },
    /// Read a backup to its end and check it, without any database
    #[command(after_help = "\
Exit codes: 0 it is whole, 3 it is torn or damaged, or its audit log was altered.

Examples:
  claviger backup verify claviger.backup
  claviger backup verify claviger.backup -o json")]
    Verify { file: PathBuf },
    /// Replace the database by a backup; lists the revocations that this undoes before it asks
    #[command(after_help = "\
Examples:
  claviger backup restore claviger.backup
  claviger backup restore claviger.backup --database postgres://claviger@db/claviger --yes")]
    Restore {
        file: PathBuf,
        /// Restore although the audit log of the backup was altered
        #[arg(long)]
        broken_audit: bool,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) fn run(args: &BackupArgs) -> Result<Exit, Failure> {
    let loaded = args.desk.settings()?;
    super::desk::start_log(&loaded)?;
    let output = args.desk.output();
    runtime()?.block_on(async {
        match &args.command {
            Command::Create { file } => create::run(&loaded, file, output).await,
            Command::Verify { file } => verify::run(file, output).await,
            Command::Restore { file, broken_audit, consent } => {
                restore::run(&loaded, &restore::Order { file, broken_audit: *broken_audit, consent: *consent, output }).await
            }
        }
    })
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::NotWhole(_) => Self::new(Exit::Negative, error),
            BackupError::Schema(_) | BackupError::Moved => Self::failed(error),
        }
    }
}
