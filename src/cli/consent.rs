//! Asking before something is ended.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use super::failure::Failure;

/// Whether the person has agreed beforehand.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Consent {
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(long)]
    yes: bool,
}

impl Consent {
    /// Shows what will happen and goes on only with a yes.
    ///
    /// # Errors
    /// Without a terminal and without `--yes`, and when the answer is no.
    pub(super) fn ask(self, impact: &str) -> Result<(), Failure> {
        let (stdin, mut stderr) = (io::stdin(), io::stderr());
        let is_terminal = stdin.is_terminal() && stderr.is_terminal();
        self.decide(impact, is_terminal, &mut stdin.lock(), &mut stderr)
    }

    fn decide(self, impact: &str, is_terminal: bool, input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Failure> {
        if self.yes {
            return Ok(writeln!(output, "{impact}")?);
        }
        if !is_terminal {
            return Err(Failure::usage(format!("{impact}; without a terminal to ask on, this needs `--yes`")));
        }
        write!(output, "{impact}\nGo on? [y/N] ")?;
        output.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::failed("nothing was changed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::exit::Exit, *};

    fn decide(yes: bool, is_terminal: bool, typed: &str) -> (Result<(), Exit>, String) {
        let mut output = Vec::new();
        let done = Consent { yes }.decide("Acme loses 2 keys", is_terminal, &mut typed.as_bytes(), &mut output);
        (done.map_err(|failure| failure.exit), String::from_utf8(output).unwrap())
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for typed in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert_eq!(decide(false, true, typed), (Ok(()), "Acme loses 2 keys\nGo on? [y/N] ".to_owned()), "{typed:?}");
        }
        for typed in ["", "\n", "n\n", "no\n", "yep\n", "acme\n"] {
            assert_eq!(decide(false, true, typed).0, Err(Exit::Failed), "{typed:?}");
        }
    }

    #[test]
    fn without_a_terminal_it_takes_the_flag() {
        assert_eq!(decide(false, false, "y\n"), (Err(Exit::Usage), String::new()));
        assert_eq!(decide(true, false, ""), (Ok(()), "Acme loses 2 keys\n".to_owned()));
        assert_eq!(decide(true, true, "n\n").0, Ok(()));
    }
}
