//! Invariants: claims about every possible request, in plain Cedar beside the policies. The effect is the meaning.
//!
//! ```text
//! forbid         what it matches is never allowed
//! permit         what it matches is always allowed
//! @assume forbid what it matches does not occur: the server guarantees that about its data
//! ```

use cedar_policy::{Effect, Policy};

use super::{
    diagnostic::{Diagnostic, LoadError},
    engine::Engine,
    files::SourceFile,
    limits,
    load::{self, STACK, on_stack},
};

/// The statements of an invariants folder, valid under a schema.
#[derive(Debug, Clone, Default)]
pub struct Invariants {
    /// What must hold, in the order of files and lines.
    pub claims: Vec<Statement>,
    /// What the claims and the checks of the policies may rely on.
    pub assumptions: Vec<Statement>,
}

/// One statement, and where it stands.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Under its `@id`.
    pub policy: Policy,
    /// The sentence of its `@invariant` or `@assume`; empty without one.
    pub sentence: String,
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    place: Diagnostic,
}

impl Statement {
    /// Something that is wrong with it.
    #[must_use]
    pub fn diagnostic(&self, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        let mut diagnostic = self.place.clone();
        diagnostic.message = message.into();
        diagnostic.help(help)
    }
}

impl Engine {
    /// Reads invariants: they parse, have unique `@id`s among themselves, and validate strictly under this set's schema.
    ///
    /// # Errors
    /// Everything that is wrong in the first stage that fails.
    pub fn read_invariants(&self, files: &[SourceFile]) -> Result<Invariants, LoadError> {
        LoadError::check(files.iter().filter_map(|file| limits::check(file).err()).collect())?;
        on_stack(STACK, || read(self, files))?
    }
}

fn read(engine: &Engine, files: &[SourceFile]) -> Result<Invariants, LoadError> {
    let parsed = load::read(files)?;
    load::validate(&engine.schema, &parsed)?;
    let (mut invariants, mut problems) = (Invariants::default(), Vec::new());
    for info in &parsed.infos {
        let id = cedar_policy::PolicyId::new(&info.id);
        let (Some(policy), Some(file)) = (parsed.set.policy(&id), parsed.sources.get(&id)) else { continue };
        let offset = file.text.split_inclusive('\n').take(info.line.saturating_sub(1)).map(str::len).sum();
        let place = Diagnostic::at(file, offset, policy.to_string().len(), "").policy(&*info.id);
        let annotation = |name: &str| info.annotations.get(name);
        let assumed = annotation("assume");
        let sentence = assumed.or_else(|| annotation("invariant")).cloned().unwrap_or_default();
        let statement = Statement { policy: policy.clone(), sentence, file: info.file.clone(), line: info.line, place };
        match (assumed, policy.effect()) {
            (None, _) => invariants.claims.push(statement),
            (Some(_), Effect::Forbid) => invariants.assumptions.push(statement),
            (Some(_), Effect::Permit) => problems.push(statement.diagnostic(
                "an assumption says which requests do not occur, and a permit cannot say that",
                "write `forbid (principal, action, resource) unless { … }` with what the server guarantees",
            )),
        }
    }
    LoadError::check(problems)?;
    Ok(invariants)
}
