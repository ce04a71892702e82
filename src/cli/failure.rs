//! Why a command ended early: what people are told, and what the shell is.

use std::{fmt, io};

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::exit::Exit;
pub(super) use crate::domain::cause::chain;
use crate::{config::ConfigError, policy::LoadError, snapshot::files::ReadError, store::StoreError, telemetry::TelemetryError};

/// Ends a command with a message on stderr.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its own exit code.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: format!("error: {message}") }
    }

    /// The plain failure: exit 1.
    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Wrong flags: exit 2.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl Failure {
    /// The message without the word that begins it.
    pub(super) fn reason(&self) -> &str {
        self.message.strip_prefix("error: ").unwrap_or(&self.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = if matches!(error, ConfigError::NoFile(_)) { Exit::Usage } else { Exit::Failed };
        Self::new(exit, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(chain(&error))
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        Self::failed(chain(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoDirectory(_) => Self::usage(format!(
                "{error}; `claviger init` writes a policy repository to start from, `--policies` and `--schema` name others"
            )),
            _ => Self::failed(error),
        }
    }
}

impl From<LoadError> for Failure {
    /// Every diagnostic with its file, line, column, snippet and help.
    fn from(error: LoadError) -> Self {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
        let mut message = String::from("error: the policies cannot be loaded\n");
        for diagnostic in error.diagnostics() {
            // A report that cannot be drawn still leaves its sentence.
            if handler.render_report(&mut message, diagnostic).is_err() {
                message.push_str(&diagnostic.message);
            }
        }
        Self { exit: Exit::Failed, message }
    }
}
