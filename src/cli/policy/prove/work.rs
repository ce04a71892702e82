//! The prover at work: on a thread of its own, and what it says on the way.

use std::{
    fs, io,
    path::Path,
    sync::mpsc::{self, Sender},
    thread,
};

use super::{cases::slug, report::Report};
use crate::{
    cli::{policy::progress::Progress, streams::Streams},
    prove::{self, Event, Options, Proof, Subject},
};

/// The symbolic compiler recurses over policies as Cedar's validator does, and gets the stack that the loading of policies gets.
const STACK: usize = 512 * 1024 * 1024;

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
        let (progress, mut questions) = (Progress::open_ended(), 0);
        let mut written = Ok(());
        for told in receiver {
            written = match told {
                Told::Asking(what) => {
                    questions += 1;
                    progress.say(format!("question {questions}: {what}"));
                    Ok(())
                }
                Told::Solver(solver) => progress.aside(|| report.solver(solver, streams)),
                Told::Proof(proof) => progress.aside(|| report.add(*proof, streams)),
            };
            if written.is_err() {
                break;
            }
        }
        drop(progress);
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
