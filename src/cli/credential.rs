//! A credential that a command needs: from standard input or the environment, never from a flag's value.

use std::io::{self, BufRead as _, IsTerminal, Read as _, Write as _};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{exit::Exit, failure::Failure};

/// In bytes; far more than any credential has, so what is longer is something else.
const LONGEST: u64 = 4_096;

/// Where the API key that a command is about comes from.
#[derive(Debug, Args)]
pub(super) struct CredentialArgs {
    /// `-` reads the API key from standard input; else it is taken from CLAVIGER_API_KEY
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    key: Option<SecretString>,
}

/// Where the admin token that a server asks for comes from.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// `-` reads the admin token, one line, from standard input; else it is taken from CLAVIGER_ADMIN_TOKEN
    #[arg(long, value_name = "-", allow_hyphen_values = true, global = true)]
    token: Option<SecretString>,
}

/// A kind of credential, and the ways to give one.
#[derive(Debug)]
struct Sort {
    name: &'static str,
    flag: &'static str,
    variable: &'static str,
    /// Whether one line is read of standard input, or all of it.
    is_line: bool,
}

const API_KEY: Sort = Sort { name: "API key", flag: "--key -", variable: "CLAVIGER_API_KEY", is_line: false };
const ADMIN_TOKEN: Sort = Sort { name: "admin token", flag: "--token -", variable: "CLAVIGER_ADMIN_TOKEN", is_line: true };

impl CredentialArgs {
    /// Whether standard input is taken.
    pub(super) const fn is_from_stdin(&self) -> bool {
        self.key.is_some()
    }

    /// The key as it was given, without the spaces around it.
    ///
    /// # Errors
    /// When there is none, or it came as a flag.
    pub(super) fn read(&self) -> Result<SecretString, Failure> {
        API_KEY.read(self.key.as_ref())
    }
}

impl TokenArgs {
    /// Whether the flag is there.
    pub(super) const fn is_given(&self) -> bool {
        self.token.is_some()
    }

    /// The token as it was given, without the spaces around it.
    ///
    /// # Errors
    /// When there is none, or it came as a flag.
    pub(super) fn read(&self) -> Result<SecretString, Failure> {
        ADMIN_TOKEN.read(self.token.as_ref())
    }
}

impl Sort {
    fn read(&self, flag: Option<&SecretString>) -> Result<SecretString, Failure> {
        let give = format!("give it on standard input with `{}`, or in {}", self.flag, self.variable);
        let text = match flag.map(ExposeSecret::expose_secret) {
            Some("-") => self.read_stdin()?,
            Some(_) => {
                return Err(Failure::usage(format!(
                    "an {} on the command line stays in the shell's history and shows in the list of processes; {give}",
                    self.name
                )));
            }
            None => std::env::var(self.variable).unwrap_or_default(),
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::new(Exit::Unauthenticated, format!("there is no {}; {give}", self.name)));
        }
        Ok(text.into())
    }

    fn read_stdin(&self) -> Result<String, Failure> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            write!(io::stderr(), "{}: ", self.name)?;
        }
        let is_line = self.is_line || stdin.is_terminal();
        let mut text = String::new();
        let mut input = stdin.lock().take(LONGEST);
        let read = if is_line { input.read_line(&mut text) } else { input.read_to_string(&mut text) };
        let no_text = |_| Failure::new(Exit::Unauthenticated, format!("standard input holds no text, so no {}", self.name));
        read.map_err(no_text)?;
        Ok(text)
    }
}
