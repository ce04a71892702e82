//! The solver's process: started when there is something to ask, watched while it answers, given up when it misbehaves.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use cedar_policy_symcc::{
    SmtLibScript as _,
    solver::{Decision, DecisionWithModel, Solver as Ask, SolverError},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

use super::solver::Solver;

/// What the solver may take beyond its own limit before it counts as hung.
const GRACE: Duration = Duration::from_secs(2);
/// What it may take to start and to say its name.
const START: Duration = Duration::from_secs(10);
/// Bytes of an answer: a model of a large schema has some thousands.
const LONGEST: u64 = 16 * 1024 * 1024;
/// Processes in a row that may fail before no further one is started.
const MOST_FAILURES: u32 = 3;

/// A solver for the symbolic compiler.
pub(super) struct Process {
    solver: Solver,
    program: PathBuf,
    limit: Duration,
    /// What is to be sent with the next question.
    script: Vec<u8>,
    /// What was asked last.
    asked: Vec<u8>,
    running: Option<Running>,
    /// The name and version that it gave.
    version: Option<String>,
    failures: u32,
    /// Why there is no point in asking again.
    given_up: Option<String>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Nothing is started yet. `program` is this very program, which can stand in for the solver's.
    pub(super) fn new(solver: Solver, program: PathBuf, limit: Duration) -> Self {
        let (script, asked) = (Vec::new(), Vec::new());
        Self { solver, program, limit, script, asked, running: None, version: None, failures: 0, given_up: None }
    }

    /// Starts it, when it is not running, and makes sure that it is cvc5.
    pub(super) async fn greet(&mut self) -> Result<&str, SolverError> {
        self.start().await?;
        Ok(self.version.as_deref().unwrap_or_default())
    }

    /// The script of the last question; empty when the answer was known without one.
    pub(super) fn take_script(&mut self) -> Vec<u8> {
        self.script.clear();
        std::mem::take(&mut self.asked)
    }

    async fn start(&mut self) -> Result<(), SolverError> {
        if self.running.is_some() {
            return Ok(());
        }
        if let Some(reason) = &self.given_up {
            return Err(SolverError::Solver(reason.clone()));
        }
        let mut command = self.solver.command(&self.program, self.limit);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| self.give_up(&format!("cannot be started: {error}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.give_up("has no input or output"));
        };
        self.running = Some(Running { child, input, output: BufReader::new(output) });
        let mut said = Vec::new();
        for question in ["(get-info :name)\n", "(get-info :version)\n"] {
            said.push(self.exchange(question.as_bytes(), START, false).await?);
        }
        let word = |text: &str| text.split('"').nth(1).unwrap_or_default().to_owned();
        if let [name, version] = said.as_slice()
            && name.trim() == "(:name \"cvc5\")"
            && version.starts_with("(:version \"")
        {
            self.version = Some(format!("cvc5 {}", word(version)));
            return Ok(());
        }
        Err(self.give_up(&format!("is not cvc5: asked for its name it says `{}`", shown(&said.concat()))))
    }

    /// Sends a text, and reads an answer of one line or, of a model, until the line that closes it.
    async fn exchange(&mut self, text: &[u8], patience: Duration, is_model: bool) -> Result<String, SolverError> {
        let Some(running) = &mut self.running else { return Err(SolverError::Solver("the solver is not running".to_owned())) };
        let answer = timeout(patience, running.exchange(text, is_model)).await;
        let problem = match answer {
            Ok(Ok(answer)) if answer.ends_with('\n') => return Ok(answer),
            Ok(Ok(_)) => running.last_words().await,
            Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::BrokenPipe) => running.last_words().await,
            Ok(Err(error)) => format!("cannot be talked to: {error}"),
            Err(_) => format!("hangs: it does not answer within {} ms", patience.as_millis()),
        };
        Err(self.fail(&problem))
    }

    /// Ends the process: whatever it still says would be taken for the answer to the next question.
    fn fail(&mut self, problem: &str) -> SolverError {
        self.running = None;
        self.failures += 1;
        let reason = format!("the solver `{}` {problem}", self.solver.path().display());
        if self.version.is_none() || self.failures >= MOST_FAILURES {
            self.given_up = Some(reason.clone());
        }
        SolverError::Solver(reason)
    }

    fn give_up(&mut self, problem: &str) -> SolverError {
        self.failures = MOST_FAILURES;
        self.fail(problem)
    }
}

impl Running {
    async fn exchange(&mut self, text: &[u8], is_model: bool) -> io::Result<String> {
        self.input.write_all(text).await?;
        self.input.flush().await?;
        let mut answer = String::new();
        let mut output = (&mut self.output).take(LONGEST);
        loop {
            let start = answer.len();
            let count = output.read_line(&mut answer).await?;
            let line = answer.get(start..).unwrap_or_default();
            let closed = !is_model || line == ")\n" || (start == 0 && line != "(\n");
            if count == 0 || closed || !line.ends_with('\n') {
                return Ok(answer);
            }
        }
    }

    /// How the process ended, and what it said on its way out.
    async fn last_words(&mut self) -> String {
        let Ok(Ok(status)) = timeout(GRACE, self.child.wait()).await else {
            return "closed its output or answers without an end".to_owned();
        };
        let mut said = Vec::new();
        if let Some(errors) = &mut self.child.stderr {
            let mut errors = errors.take(4096);
            // A grandchild may hold the stream open.
            let _ = timeout(GRACE, errors.read_to_end(&mut said)).await;
        }
        let said = String::from_utf8_lossy(&said);
        let first = said.lines().find(|line| !line.trim().is_empty());
        let first = first.map(|line| format!(": {}", shown(line))).unwrap_or_default();
        format!("died ({status}){first}")
    }
}

impl Ask for Process {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.script
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.script.set_option("produce-models", "true").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.script.check_sat().await?;
        self.asked = std::mem::take(&mut self.script);
        self.start().await?;
        let question = self.asked.clone();
        let answer = self.exchange(&question, self.limit + GRACE, false).await?;
        let decision = match answer.as_str() {
            "sat\n" => Decision::Sat,
            "unsat\n" => Decision::Unsat,
            "unknown\n" => Decision::Unknown,
            other => return Err(self.fail(&unexpected(other))),
        };
        // It works in general: it was that one question which it could not bear.
        self.failures = 0;
        Ok(decision)
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Unsat => return Ok(DecisionWithModel::Unsat),
            Decision::Unknown => return Ok(DecisionWithModel::Unknown),
            Decision::Sat => {}
        }
        let model = self.exchange(b"(get-model)\n", self.limit + GRACE, true).await?;
        if model.starts_with("(\n") { Ok(DecisionWithModel::Sat { model }) } else { Err(self.fail(&unexpected(&model))) }
    }
}

fn unexpected(answer: &str) -> String {
    format!("answers `{}`", shown(answer))
}

/// The beginning of what a program said, in one line.
fn shown(text: &str) -> String {
    text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
