//! Policy test suites: claims about decisions in YAML, and whether a policy set keeps them. Text in, report out.
//!
//! ```yaml
//! name: exports                       # description: and now: (the moment of every case, RFC 3339) are optional
//! orgs:                               # id:, name:, suspended: are optional
//!   acme: {}
//!   globex: { suspended: true }
//! keys:                               # id:, environment: (live), created_at:, expires_at: are optional
//!   reader: { org: acme, permissions: [read-only] }     # presets are expanded; `all` is every permission
//! admins:
//!   ada: { role: auditor }
//! contexts:
//!   office: { ip: 10.0.0.1 }
//! matrix:                             # every pair that `allow` does not list must be denied
//!   - keys: [reader]                  # or admins: [ada]
//!     actions: all                    # all that apply to the resource, or a list
//!     allow: { reader: [jobs:read, results:read, credits:read] }
//!   - name: foreign organization
//!     keys: [reader]
//!     actions: all
//!     org: globex                     # or resource: { type: …, id: … }; without it, the key's own org
//!     code: PERMISSION_DENIED         # code: and reason: are what every denial of the matrix must give
//! cases:
//!   - name: an auditor suspends nobody
//!     admin: ada                      # or key:
//!     action: orgs:suspend
//!     org: acme                       # role: for admins:create and admins:revoke; context: a name or a mapping
//!     decision: deny                  # optional: reason: [these policies decided, among others], policies: [exactly these],
//!                                     # code:, missing_permission: (or null), errors: (policies that fail to evaluate)
//! ```
//!
//! Test files of Cedar's own command line are read, too: [`cedar`].
//!
//! A denial counts only when a rule decided it: an evaluation error, a tripwire or a request that does not fit the schema
//! fails the case, unless its `code` (or its number of `errors`) is asked for.

mod bind;
mod cast;
mod cedar;
mod claims;
mod fields;
mod json;
mod outcome;
#[cfg(test)]
mod tests;
mod yaml;

use std::{collections::HashSet, slice};

pub use cedar::CedarRequest;
pub use fields::suggestion;
pub use outcome::{Expected, Missing, Outcome};

use self::{
    cast::Cast,
    claims::{Matrix, Single},
    fields::Reading,
    yaml::{Node, Place},
};
use super::{
    diagnostic::{Diagnostic, LoadError},
    engine::Engine,
    files::SourceFile,
    guards::NOON,
    load::{GUARD_STACK, on_stack},
    management::{Action, Target},
};
use crate::domain::{admin::Role, clock::Timestamp, decision::Request, facts::Facts, id::AdminId};

/// A suite whose own names are all resolved; names of the schema are looked up when an engine is there.
#[derive(Debug, Clone)]
pub struct Suite {
    pub name: String,
    pub description: Option<String>,
    file: SourceFile,
    cast: Cast,
    matrices: Vec<Matrix>,
    singles: Vec<Single>,
    cedar: Vec<cedar::Test>,
}

/// The JSON Schema (draft 2020-12) of a YAML suite, for editors.
pub const SUITE_SCHEMA: &str = include_str!("cases/suite.schema.json");

const OF_SUITE: [&str; 9] = ["name", "description", "now", "orgs", "keys", "admins", "contexts", "matrix", "cases"];

/// One question and the claim about its answer.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique within its suite; a pair of a matrix is `matrix › subject × action`.
    pub name: String,
    /// Line and column of the claim, counted from 1.
    pub position: (usize, usize),
    pub asked: Asked,
    pub expected: Expected,
    place: Place,
}

/// A question as the server puts it to the engine.
#[derive(Debug, Clone)]
pub enum Asked {
    Key {
        facts: Facts,
        request: Request,
        now: Timestamp,
    },
    Admin {
        admin: AdminId,
        role: Role,
        action: Action,
        target: Target,
    },
    /// Of Cedar itself, past what the server knows and adds.
    Cedar(Box<CedarRequest>),
}

/// How a case went.
#[derive(Debug, Clone)]
pub struct CaseResult {
    pub name: String,
    /// Line and column of the claim, counted from 1.
    pub position: (usize, usize),
    pub expected: Expected,
    pub got: Outcome,
    /// What is not as claimed; empty when the case holds.
    pub differences: Vec<String>,
}

impl CaseResult {
    /// Whether the case holds.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Case {
    /// Asks the engine exactly as the server does.
    #[must_use]
    pub fn run(&self, engine: &Engine) -> CaseResult {
        let got = self.asked.ask(engine);
        let differences = self.expected.differences(&got, engine);
        CaseResult { name: self.name.clone(), position: self.position, expected: self.expected.clone(), got, differences }
    }
}

impl Asked {
    /// Asks the engine exactly as the server does; Cedar's own requests go to Cedar alone.
    #[must_use]
    pub fn ask(&self, engine: &Engine) -> Outcome {
        outcome::ask(self, engine)
    }
}

impl Suite {
    /// Reads a suite that stands alone.
    ///
    /// # Errors
    /// Everything that is wrong, as far as it can be told without a schema.
    pub fn parse(file: &SourceFile) -> Result<Self, LoadError> {
        on_stack(GUARD_STACK, || Self::read_any(file, slice::from_ref(file), &mut HashSet::new()))?
    }

    /// Reads every suite among the files of a tests folder. A JSON file that a case names holds entities and is no suite.
    ///
    /// # Errors
    /// For each suite as [`Suite::parse`].
    #[must_use]
    pub fn parse_all(files: &[SourceFile]) -> Vec<(&SourceFile, Result<Self, LoadError>)> {
        let mut named = HashSet::new();
        let mut read = |file| on_stack(GUARD_STACK, || Self::read_any(file, files, &mut named)).unwrap_or_else(Err);
        let mut suites: Vec<_> = files.iter().map(|file| (file, read(file))).collect();
        suites.retain(|(file, _)| !named.contains(&file.path));
        suites
    }

    fn read_any(file: &SourceFile, files: &[SourceFile], named: &mut HashSet<String>) -> Result<Self, LoadError> {
        if !cedar::is_json(file) {
            return Self::read(file);
        }
        let cedar = cedar::read(file, files, named)?;
        let (matrices, singles, cast) = (Vec::new(), Vec::new(), Cast::default());
        Ok(Self { name: file.name.clone(), description: None, file: file.clone(), cast, matrices, singles, cedar })
    }

    fn read(file: &SourceFile) -> Result<Self, LoadError> {
        let root = Node::parse(file)?;
        let mut reading = Reading::new(file);
        let fields = reading.fields("a suite", &root, &OF_SUITE);
        let name = fields.require(&mut reading, "name").and_then(|node| reading.name(node));
        let description = fields.find("description").and_then(|node| reading.word(node)).map(|word| word.text);
        let now = fields.find("now").and_then(|node| reading.parsed(node)).unwrap_or(Timestamp::from_millis(NOON));
        let cast = Cast::read(&mut reading, &fields);
        let items = |reading: &mut Reading<'_>, name, what| fields.find(name).map_or(&[][..], |node| reading.list(what, node));
        let nodes = items(&mut reading, "matrix", "`matrix`").iter().enumerate();
        let matrices = nodes.filter_map(|(index, node)| Matrix::read(&mut reading, &cast, now, index, node)).collect();
        let nodes = items(&mut reading, "cases", "`cases`").iter();
        let singles = nodes.filter_map(|node| Single::read(&mut reading, &cast, now, node)).collect();
        if fields.find("matrix").is_none() && fields.find("cases").is_none() {
            reading.complain(fields.place, "the suite has no case", "add `matrix:` or `cases:`");
        }
        reading.finish()?;
        let name = name.map(|word| word.text).unwrap_or_default();
        Ok(Self { name, description, file: file.clone(), cast, matrices, singles, cedar: Vec::new() })
    }

    /// The file that the suite was read from.
    #[must_use]
    pub const fn file(&self) -> &SourceFile {
        &self.file
    }

    /// Every case, in the order of the text, matrices written out.
    ///
    /// # Errors
    /// Permissions, presets and management actions that the engine's schema does not have, and pairs outside of a matrix.
    pub fn cases(&self, engine: &Engine) -> Result<Vec<Case>, LoadError> {
        bind::cases(self, engine)
    }

    /// Runs every case.
    ///
    /// # Errors
    /// As [`Suite::cases`].
    pub fn run(&self, engine: &Engine) -> Result<Vec<CaseResult>, LoadError> {
        Ok(self.cases(engine)?.iter().map(|case| case.run(engine)).collect())
    }

    /// What does not hold, as diagnostics; at most so many.
    pub(super) fn broken(&self, engine: &Engine, most: usize) -> Result<Vec<Diagnostic>, LoadError> {
        let cases = self.cases(engine)?;
        let results = cases.iter().map(|case| (case, case.run(engine))).filter(|(_, result)| !result.passed());
        let diagnostic = |(case, result): (&Case, CaseResult)| {
            let message = format!("guard: `{}` does not hold: {}", result.name, result.differences.join("; "));
            case.place.says(&self.file, message)
        };
        Ok(results.take(most).map(diagnostic).collect())
    }
}
