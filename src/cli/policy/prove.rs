//! `claviger policy prove`: what holds for every possible request.

mod allowance;
mod cases;
mod report;
mod sarif;
mod work;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::{allowance::Allowance, report::Report};
use super::{
    DirArgs, Format,
    finding::{self, Finding, Refusal},
    revision::Side,
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{Engine, Invariants},
    prove::{Options, Solver, Subject},
    snapshot::files,
};

pub(super) const HELP: &str = "\
Reads *.cedar in the folder `invariants` of the policies directory, as plain Cedar:
  forbid           what it matches is never allowed
  permit           what it matches is always allowed
  @assume forbid   what it matches does not occur: the server guarantees that
Besides, no policy may err for any request, and none may be dead.

Examples:
  claviger policy prove
  claviger policy prove --against origin/main      what each action allows now: same, narrower or WIDER
  claviger policy prove --against origin/main --allow-wider exports:create
  claviger policy prove --write-tests policies/tests/found

The solver is cvc5: the program that $CVC5 names, the libraries in $CVC5_LIB_DIR, those that
scripts/get-cvc5 has fetched, or the program on the PATH.";

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    #[command(flatten)]
    dirs: DirArgs,
    /// Directory of invariants [default: `invariants` in the policies directory]
    #[arg(long, value_name = "DIR")]
    invariants: Option<PathBuf>,
    /// Compare with a policies directory, the directory above it, or a git revision
    #[arg(long, value_name = "DIR|REV")]
    against: Option<String>,
    /// An action that is meant to allow more than before, such as a new one; may be repeated
    #[arg(long, value_name = "ACTION", requires = "against")]
    allow_wider: Vec<String>,
    /// Milliseconds that the solver may think about one question
    #[arg(long, value_name = "MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Write each counterexample as a test that fails until it is repaired
    #[arg(long, value_name = "DIR")]
    write_tests: Option<PathBuf>,
    /// Write what the solver is asked, as SMT-LIB
    #[arg(long, value_name = "DIR")]
    dump_smt: Option<PathBuf>,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = ProofFormat::Human)]
    format: ProofFormat,
}

/// How proofs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProofFormat {
    /// A line for each answer, with counterexamples
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// What there is to prove.
struct Loaded {
    engine: Engine,
    invariants: Invariants,
    baseline: Option<Engine>,
    allowance: Allowance,
}

pub(super) fn run(args: &ProveArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err((findings, exit)) => {
            finding::write_all(&findings, Format::Human, streams)?;
            report::write_refusal(args.format, &findings, streams)?;
            return Ok(exit);
        }
    };
    let solver = match Solver::find(|name| std::env::var_os(name)) {
        Ok(solver) => solver,
        Err(missing) => {
            writeln!(streams.err, "error: {missing}")?;
            return Ok(Exit::Unreachable);
        }
    };
    for dir in [&args.write_tests, &args.dump_smt].into_iter().flatten() {
        if let Err(error) = fs::create_dir_all(dir) {
            writeln!(streams.err, "error: `{}` cannot be made: {error}", dir.display())?;
            return Ok(Exit::Failed);
        }
    }
    let subject = Subject { engine: &loaded.engine, invariants: &loaded.invariants, baseline: loaded.baseline.as_ref() };
    let limit = Duration::from_millis(args.timeout_ms);
    let options = Options { solver, program: std::env::current_exe()?, limit };
    let mut report = Report::new(subject, args.against.as_deref(), &loaded.allowance, args.format);
    if let Err(error) = work::prove(subject, options, args.dump_smt.as_deref(), &mut report, streams) {
        // The reader of the report is gone, or a script cannot be written: what is missing was not proved.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        writeln!(streams.err, "error: {error}")?;
        return Ok(Exit::Failed);
    }
    report.finish(streams)?;
    if let Some(dir) = &args.write_tests
        && let Err(error) = cases::write(dir, &report, streams)
    {
        writeln!(streams.err, "error: a test cannot be written into `{}`: {error}", dir.display())?;
        return Ok(Exit::Failed);
    }
    Ok(if report.is_good() { Exit::Ok } else { Exit::Negative })
}

fn load(args: &ProveArgs) -> Result<Loaded, Refusal> {
    let invalid = |error| (finding::of_load(&error), Exit::Negative);
    let dirs = args.dirs.dirs();
    let live = files::read(&dirs).map_err(|error| finding::unread(&error))?;
    let folder = args.invariants.clone().unwrap_or_else(|| dirs.policies.join("invariants"));
    let invariants = if args.invariants.is_some() || folder.exists() {
        files::read_invariants(&folder).map_err(|error| finding::unread(&error))?
    } else {
        Vec::new()
    };
    let engine = Engine::load_without_guards(&live, &args.dirs.settings()).map_err(invalid)?;
    let invariants = engine.read_invariants(&invariants).map_err(invalid)?;
    if invariants.claims.is_empty() && args.against.is_none() {
        let message = format!("no invariant was found in `{}`", folder.display());
        let help = "write what must hold for every request as a `forbid` or a `permit` into a *.cedar file there";
        return Err((vec![Finding::placeless(message, Some(help))], Exit::Negative));
    }
    let baseline = match &args.against {
        Some(name) => {
            let side = Side::read(name, &dirs)?;
            Some(Engine::load_without_guards(&side.files, &args.dirs.settings()).map_err(invalid)?)
        }
        None => None,
    };
    let allowance = Allowance::read(&args.allow_wider, &engine)?;
    Ok(Loaded { engine, invariants, baseline, allowance })
}
