//! What a command tells the shell.

use std::process::{ExitCode, Termination};

/// How a command ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Done, and the answer is yes.
    Ok = 0,
    /// Something went wrong.
    Failed = 1,
    /// Wrong flags, or a directory that is not there.
    Usage = 2,
    /// Done, and the answer is no: a denial, a set that the server would not load, a failing test.
    Negative = 3,
    /// Not authenticated, or not allowed.
    Unauthenticated = 4,
    /// A server or a solver that cannot be reached.
    Unreachable = 5,
}

impl Exit {
    /// The number that the shell gets.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
