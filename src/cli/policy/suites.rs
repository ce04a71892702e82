//! The policies of a directory, and the test cases beside them.

use super::{
    DirArgs,
    finding::{self, Finding, Refusal},
};
use crate::{
    cli::exit::Exit,
    policy::{Case, Engine, PolicyFiles, Suite},
    snapshot::files,
};

/// What the commands that run test cases start from.
pub(super) struct Suites {
    pub files: PolicyFiles,
    pub engine: Engine,
    /// Every case, in the order of files and lines, with the path of its suite.
    pub cases: Vec<(String, Case)>,
    /// What is wrong with suites that cannot be read; it does not keep the others from running.
    pub findings: Vec<Finding>,
    /// How many suites these are about.
    pub unread: usize,
}

impl Suites {
    /// Validates the policies, skips the guards, and reads every suite.
    pub(super) fn load(args: &DirArgs) -> Result<Self, Refusal> {
        let dirs = args.dirs();
        let files = files::read(&dirs).map_err(|error| finding::unread(&error))?;
        let sources = files::read_tests(&dirs.policies).map_err(|error| finding::unread(&error))?;
        let engine = Engine::load_without_guards(&files, &args.settings());
        let engine = engine.map_err(|error| (finding::of_load(&error), Exit::Negative))?;
        let mut suites = Self { files, engine, cases: Vec::new(), findings: Vec::new(), unread: 0 };
        for (file, suite) in Suite::parse_all(&sources) {
            match suite.and_then(|suite| suite.cases(&suites.engine)) {
                Ok(cases) => suites.cases.extend(cases.into_iter().map(|case| (file.path.clone(), case))),
                Err(error) => {
                    suites.unread += 1;
                    suites.findings.extend(finding::of_load(&error));
                }
            }
        }
        Ok(suites)
    }
}
