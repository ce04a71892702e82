//! An API key that a command is about: from standard input or the environment, never from a flag's value.

use std::io::{self, IsTerminal, Read as _, Write as _};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{exit::Exit, failure::Failure};

const VARIABLE: &str = "CLAVIGER_API_KEY";
/// In bytes; far more than any key has, so what is longer is something else.
const LONGEST: u64 = 4_096;

/// Where the key comes from.
#[derive(Debug, Args)]
pub(super) struct CredentialArgs {
    /// `-` reads the API key from standard input; else it is taken from CLAVIGER_API_KEY
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    key: Option<SecretString>,
}

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
        let text = match self.key.as_ref().map(ExposeSecret::expose_secret) {
            Some("-") => read_stdin()?,
            Some(_) => {
                return Err(Failure::usage(format!(
                    "a key on the command line stays in the shell's history and shows in the list of processes; \
                     give it on standard input with `--key -`, or in {VARIABLE}"
                )));
            }
            None => std::env::var(VARIABLE).unwrap_or_default(),
        };
        let text = text.trim();
        if text.is_empty() {
            let message = format!("there is no API key; give it on standard input with `--key -`, or in {VARIABLE}");
            return Err(Failure::new(Exit::Unauthenticated, message));
        }
        Ok(text.into())
    }
}

fn read_stdin() -> Result<String, Failure> {
    let stdin = io::stdin();
    let mut text = String::new();
    if stdin.is_terminal() {
        write!(io::stderr(), "API key: ")?;
        stdin.read_line(&mut text)?;
    } else {
        let read = stdin.lock().take(LONGEST).read_to_string(&mut text);
        read.map_err(|_| Failure::new(Exit::Unauthenticated, "standard input holds no text, so no API key"))?;
    }
    Ok(text)
}
