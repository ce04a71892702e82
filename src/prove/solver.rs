//! Where the solver is: a program, or the libraries that a stand-in of our own loads. Never relative to the working
//! directory, which may hold what somebody else put there.

use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

/// The command that puts a solver where it is found.
pub const FETCH: &str = "scripts/get-cvc5";
/// The hidden command of this program that stands in for `cvc5`: `__cvc5 DIR [--name=value]…`.
pub const STAND_IN: &str = "__cvc5";

/// A solver that is there; whether it is the right one turns out when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Solver {
    /// The program `cvc5`.
    Program(PathBuf),
    /// The folder of its shared libraries.
    Libraries(PathBuf),
}

/// Why there is no solver to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSolver {
    #[error("there is no solver; get cvc5 with `{FETCH}`")]
    NotFound,
    /// A solver that somebody names is used or complained about, never replaced by another.
    #[error("{variable} names `{}`, {problem}; correct it, or unset it and get cvc5 with `{FETCH}`", .path.display())]
    Unusable { variable: &'static str, path: PathBuf, problem: String },
}

impl Solver {
    /// Looks for the solver: `$CVC5` (a program), `$CVC5_LIB_DIR`, the folder that [`FETCH`] fills, `cvc5` on the PATH.
    ///
    /// # Errors
    /// When none of these is there, or a variable names something else.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NoSolver> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(path) = set("CVC5").map(PathBuf::from) {
            let problem = if path.is_absolute() { "which is no program" } else { "which is no absolute path" };
            let usable = path.is_absolute() && is_program(&path);
            return if usable { Ok(Self::Program(path)) } else { Err(unusable("CVC5", path, problem)) };
        }
        if let Some(path) = set("CVC5_LIB_DIR").map(PathBuf::from) {
            if !path.is_absolute() {
                return Err(unusable("CVC5_LIB_DIR", path, "which is no absolute path"));
            }
            return match cvc5_shim::find(&path) {
                Ok(_) => Ok(Self::Libraries(path)),
                Err(error) => Err(unusable("CVC5_LIB_DIR", path, &format!("but {error}"))),
            };
        }
        let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let data = set("XDG_DATA_HOME").and_then(absolute);
        let data = data.or_else(|| Some(set("HOME").and_then(absolute)?.join(".local/share")));
        if let Some(folder) = data.map(|data| data.join("claviger/cvc5"))
            && cvc5_shim::find(&folder).is_ok()
        {
            return Ok(Self::Libraries(folder));
        }
        let path = set("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("cvc5"));
        on_path.into_iter().find(|path| is_program(path)).map(Self::Program).ok_or(NoSolver::NotFound)
    }

    /// The command that starts it, with a limit for each question. `program` is this very program.
    pub(super) fn command(&self, program: &Path, limit: Duration) -> Command {
        let limit = format!("--tlimit-per={}", limit.as_millis());
        let mut command = match self {
            Self::Program(path) => {
                let mut command = Command::new(path);
                command.args(["--lang", "smt"]);
                command
            }
            Self::Libraries(folder) => {
                let mut command = Command::new(program);
                command.arg(STAND_IN).arg(folder);
                command
            }
        };
        command.arg(limit);
        command
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Program(path) | Self::Libraries(path) => path,
        }
    }
}

fn unusable(variable: &'static str, path: PathBuf, problem: &str) -> NoSolver {
    NoSolver::Unusable { variable, path, problem: problem.to_owned() }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The stand-in: answers on `output` what is asked on `input`.
///
/// # Errors
/// What ended it early, in a sentence.
pub fn stand_in(
    folder: &OsStr,
    options: &[String],
    input: &mut impl std::io::Read,
    output: &mut impl std::io::Write,
) -> Result<(), String> {
    cvc5_shim::run(Path::new(folder), options, input, output).map_err(|ended| ended.to_string())
}
