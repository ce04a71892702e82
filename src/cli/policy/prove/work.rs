//! The prover at work: on a thread of its own, and what it says on the way.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::mpsc::{self, Sender},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{cases::slug, report::Report};
use crate::{
    cli::streams::Streams,
    prove::{self, Event, Options, Proof, Subject},
};

/// The symbolic compiler recurses over policies as Cedar's validator does, and gets the stack that the loading of policies gets.
const STACK: usize = 512 * 1024 * 1024;
/// Without a terminal, a line says at such intervals that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What the prover tells, on its way to the thread that writes.
enum Told {
    Solver(Result<String, String>),
    Asking(String),
    Proof(Box<Proof>),
}

/// Proves, and adds every answer to the report as it comes.
///
/// # Errors
/// When a stream or a script cannot be written, and when the prover panics.
pub(super) fn prove(
    subject: Subject<'_>,
    options: Options,
    scripts: Option<&Path>,
    report: &mut Report<'_>,
    streams: &mut Streams<'_>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let work = move || {
            let mut tell = |event: Event<'_>| pass_on(&event, scripts, &sender);
            runtime.block_on(prove::prove(subject, options, &mut tell)).map(drop)
        };
        let worker = thread::Builder::new().name("prover".into()).stack_size(STACK).spawn_scoped(scope, work)?;
        let mut progress = Progress::new();
        let mut written = Ok(());
        for told in receiver {
            written = match told {
                Told::Asking(what) => progress.asking(&what, streams),
                Told::Solver(solver) => progress.aside(|| report.solver(solver, streams)),
                Told::Proof(proof) => progress.aside(|| report.add(*proof, streams)),
            };
            if written.is_err() {
                break;
            }
        }
        progress.bar.finish_and_clear();
        let result = worker.join().map_err(|_| io::Error::other("the prover panicked; please report this with the policy files"));
        written.and(result?)
    })
}

/// An error here ends the prover: nobody listens any more, or a script cannot be written.
fn pass_on(event: &Event<'_>, scripts: Option<&Path>, sender: &Sender<Told>) -> io::Result<()> {
    let told = match event {
        Event::Solver(solver) => Told::Solver(solver.map(str::to_owned).map_err(str::to_owned)),
        Event::Asking { topic, action } => Told::Asking(format!("{topic} on {action}")),
        Event::Proof(proof) => Told::Proof(Box::new((*proof).clone())),
        Event::Script { name, text } => {
            let Some(dir) = scripts else { return Ok(()) };
            let path = dir.join(format!("{}.smt2", slug(name)));
            let failed =
                |error: io::Error| io::Error::new(error.kind(), format!("`{}` cannot be written: {error}", path.display()));
            return fs::write(&path, text).map_err(failed);
        }
    };
    sender.send(told).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// What is being asked: a line that changes on a terminal, now and then a line elsewhere.
struct Progress {
    bar: ProgressBar,
    questions: u64,
    last_sign: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = if io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { bar, questions: 0, last_sign: Instant::now() }
    }

    fn asking(&mut self, what: &str, streams: &mut Streams<'_>) -> io::Result<()> {
        self.questions += 1;
        self.bar.set_message(format!("question {}: {what}", self.questions));
        if self.bar.is_hidden() && self.last_sign.elapsed() >= SIGN_OF_LIFE {
            self.last_sign = Instant::now();
            writeln!(streams.err, "question {}: {what}", self.questions)?;
        }
        Ok(())
    }

    /// Writes while the line is away.
    fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}
