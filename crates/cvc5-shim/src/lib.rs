//! A stand-in for the program `cvc5`: SMT-LIB 2 in, answers out.
//!
//! The wheels of cvc5 hold its shared libraries and no program. They export a C API with a parser of SMT-LIB, which this
//! crate calls. It is the one crate of the product with `unsafe` code, and meant to run in a process of its own: the
//! libraries end the process on some mistakes, and a parent that asks must outlive that.

mod library;
mod statements;

use std::{
    ffi::CString,
    io::{self, Read, Write},
    path::Path,
};

pub use library::{LoadError, find};

use self::{
    library::{Answer, Library, Session},
    statements::{Statement, Statements},
};

/// Why the stand-in ended before its input did.
#[derive(Debug)]
pub enum Ended {
    /// The libraries are not there, or not those of cvc5.
    NotLoaded(LoadError),
    /// The input cannot be read or the answers cannot be written: whoever asked is gone.
    Io(io::Error),
    /// The solver answered with an error. What follows it in the input would be answered out of step.
    Solver,
    /// The input holds a NUL byte, which no SMT-LIB text does.
    Nul,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLoaded(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Solver => f.write_str("the solver answered with an error"),
            Self::Nul => f.write_str("the input holds a NUL byte"),
        }
    }
}

impl std::error::Error for Ended {}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LoadError> for Ended {
    fn from(error: LoadError) -> Self {
        Self::NotLoaded(error)
    }
}

/// Answers what is asked on `input`, until it ends or says `(exit)`, with the libraries in `directory`.
///
/// Options are those of the program that the library has too, written `--name=value`. `(reset)` begins a new session with
/// the same options. An error of the solver is written as one line, and ends it.
///
/// # Errors
/// What ended it early.
pub fn run(directory: &Path, options: &[String], input: &mut impl Read, output: &mut impl Write) -> Result<(), Ended> {
    let library = Library::open(directory)?;
    let options: Vec<(CString, CString)> = options.iter().filter_map(|option| parse_option(option)).collect();
    let mut session = Session::new(&library, &options);
    let mut statements = Statements::default();
    let (mut pending, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        for byte in buffer.get(..count).unwrap_or_default() {
            match statements.push(*byte) {
                None => {}
                Some(Statement::Exit) => return Ok(()),
                Some(Statement::Reset) => {
                    pending.clear();
                    // The old one goes first: two at a time would need the memory of both.
                    drop(session);
                    session = Session::new(&library, &options);
                }
                Some(Statement::Silent(text)) => pending.extend(text),
                Some(Statement::Question(text)) => {
                    pending.extend(text);
                    let script = CString::new(std::mem::take(&mut pending)).map_err(|_| Ended::Nul)?;
                    answer(&mut session, &script, output)?;
                }
            }
        }
    }
}

/// Runs what was collected up to a question, and writes the answers as the program does.
fn answer(session: &mut Session<'_>, script: &CString, output: &mut impl Write) -> Result<(), Ended> {
    session.read(script);
    loop {
        let answer = session.next();
        let text = match &answer {
            Answer::End => return Ok(output.flush()?),
            Answer::Said(text) if text.is_empty() => continue,
            // The library adds why it does not know, the program does not.
            Answer::Said(text) if text.starts_with(b"unknown") => b"unknown\n",
            Answer::Said(text) => text.as_slice(),
            Answer::Unreadable(message) => {
                let message = one_line(message).replace('"', "'");
                writeln!(output, "(error \"Parse Error: {message}\")")?;
                output.flush()?;
                return Err(Ended::Solver);
            }
        };
        if text.starts_with(b"(error") {
            writeln!(output, "{}", one_line(text))?;
            output.flush()?;
            return Err(Ended::Solver);
        }
        output.write_all(text)?;
    }
}

fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `--name=value`. The library has no limit for the whole process; the one for each question is what it has instead.
fn parse_option(option: &str) -> Option<(CString, CString)> {
    let (name, value) = option.strip_prefix("--")?.split_once('=')?;
    let name = if name == "tlimit" { "tlimit-per" } else { name };
    Some((CString::new(name).ok()?, CString::new(value).ok()?))
}
