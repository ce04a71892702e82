//! From texts to an [`Engine`], or to a [`LoadError`] that says what is wrong where. Nothing half-loaded ever exists.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use cedar_policy::{
    Authorizer, Effect as CedarEffect, Policy, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, Validator,
};

use super::{
    diagnostic::{Diagnostic, LoadError, MOST, advance},
    engine::{Effect, Engine, Label, PolicyInfo, Settings},
    entities::Shape,
    files::{PolicyFiles, SourceFile, SourceKind},
    guards,
    limits::{self, MOST_BYTES},
    schema::{ADMIN, ActionShape, KEY, Vocabulary, type_name},
    slice::{self, Slice},
    supply,
};
use crate::domain::{
    decision::{Decision, Verdict},
    permission::Permission,
};

/// Cedar's parser and validator recurse; within [`super::limits`] they need less than this much stack.
pub(super) const STACK: usize = 512 * 1024 * 1024;
/// Less than a request thread has: the guards find a policy that is too deep to evaluate there, whatever else that
/// thread has on its stack.
pub(super) const GUARD_STACK: usize = 1536 * 1024;

impl Engine {
    /// Loads a policy set: parse, `@id` checks, strict validation without errors and warnings, what the server can
    /// supply, slices, guards.
    ///
    /// # Errors
    /// Everything that is wrong in the first stage that fails.
    pub fn load(files: &PolicyFiles, settings: &Settings) -> Result<Self, LoadError> {
        let engine = Self::load_without_guards(files, settings)?;
        on_stack(GUARD_STACK, || guards::check(&engine, files))??;
        Ok(engine)
    }

    /// Loads a policy set to study it: everything but the guards. Never for serving.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_without_guards(files: &PolicyFiles, settings: &Settings) -> Result<Self, LoadError> {
        on_stack(STACK, || build(files, settings))?
    }
}

/// Runs a stage on a thread of its own with so much stack; a panic there is a failed load.
pub(super) fn on_stack<T: Send>(bytes: usize, stage: impl FnOnce() -> T + Send) -> Result<T, LoadError> {
    let failed = |what: &str| LoadError::from(Diagnostic::general(what));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy-load".into()).stack_size(bytes).spawn_scoped(scope, stage);
        let thread = thread.map_err(|error| failed(&format!("no thread to load the policies on: {error}")))?;
        thread.join().map_err(|_| failed("loading the policies panicked; please report this with the policy files"))
    })
}

fn build(files: &PolicyFiles, settings: &Settings) -> Result<Engine, LoadError> {
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if bytes > MOST_BYTES {
        let problem =
            Diagnostic::general(format!("the policy files hold {bytes} bytes, more than the {MOST_BYTES} that are allowed"));
        return Err(problem.into());
    }
    let texts = files.iter().filter(|file| file.kind != SourceKind::Guards);
    LoadError::check(texts.filter_map(|file| limits::check(file).err()).collect())?;
    let parsed = parse(files)?;
    let vocabulary = Vocabulary::read(files)?;
    supply::check(files, &vocabulary)?;
    let shape = Shape::read(&vocabulary)?;
    check_settings(&vocabulary, settings)?;
    validate(&vocabulary.schema, &parsed)?;
    let prepared = slice::prepare(&parsed.set)?;
    let slices = |principal: &str, wanted: fn(&ActionShape) -> bool| {
        let principal = type_name(principal)?;
        let actions = vocabulary.actions.iter().filter(|action| wanted(action));
        let slice =
            |action: &ActionShape| Ok((action.name.as_str().into(), Slice::cut(action, &principal, &prepared, &vocabulary)?));
        actions.map(slice).collect::<Result<HashMap<Arc<str>, Slice>, Diagnostic>>()
    };
    Ok(Engine {
        authorizer: Authorizer::new(),
        settings: settings.clone(),
        digest: files.digest().into(),
        keys: slices(KEY, |action| action.for_keys)?,
        admins: slices(ADMIN, |action| action.for_admins)?,
        shape,
        labels: parsed.labels,
        originals: parsed.set,
        anatomies: OnceLock::new(),
        policies: parsed.infos,
        types: vocabulary.types,
        schema: vocabulary.schema,
        permissions: vocabulary.permissions,
        presets: vocabulary.presets,
    })
}

fn check_settings(vocabulary: &Vocabulary, settings: &Settings) -> Result<(), LoadError> {
    let known = |name: &Permission| vocabulary.permissions.iter().any(|info| info.name == *name);
    let problem =
        |name| Diagnostic::general(format!("the setting `policies.suspended_may` names `{name}`, which is no permission"));
    LoadError::check(settings.suspended_may.iter().filter(|name| !known(name)).map(problem).collect())
}

/// Every policy under its `@id`, and where it came from.
pub(super) struct Parsed<'a> {
    pub set: PolicySet,
    pub infos: Vec<PolicyInfo>,
    labels: HashMap<PolicyId, Label>,
    pub sources: HashMap<PolicyId, &'a SourceFile>,
}

/// Reads Cedar texts: every statement has an `@id`, and no two the same one.
pub(super) fn read<'a>(files: impl IntoIterator<Item = &'a SourceFile>) -> Result<Parsed<'a>, LoadError> {
    let mut parsed = Parsed { set: PolicySet::new(), infos: Vec::new(), labels: HashMap::new(), sources: HashMap::new() };
    let mut problems = Vec::new();
    for file in files {
        match PolicySet::from_str(&file.text) {
            Ok(set) => parsed.add_file(file, &set, &mut problems),
            Err(errors) => problems.extend(errors.iter().take(MOST).map(|error| Diagnostic::cedar(file, error))),
        }
    }
    LoadError::check(problems)?;
    Ok(parsed)
}

pub(super) fn parse(files: &PolicyFiles) -> Result<Parsed<'_>, LoadError> {
    let parsed = read(files.of(SourceKind::Policies))?;
    if parsed.infos.is_empty() {
        let problem = Diagnostic::general("there is no policy");
        return Err(problem
            .help("put at least one `*.cedar` file into the policies directory; without a policy every request is denied")
            .into());
    }
    Ok(parsed)
}

impl<'a> Parsed<'a> {
    fn add_file(&mut self, file: &'a SourceFile, set: &PolicySet, problems: &mut Vec<Diagnostic>) {
        for template in set.templates() {
            let offset = file.text.find(&template.to_string()).unwrap_or(0);
            problems.push(
                Diagnostic::at(file, offset, 1, "templates are not supported")
                    .help("write the policy without `?principal` and `?resource`"),
            );
        }
        if set.is_empty() {
            problems.push(
                Diagnostic::at(file, 0, 0, "the file holds no policy").help("was it cut off? delete it if it is not needed"),
            );
        }
        // Cedar numbers the policies of a text and prints each as it stands there: that is where each begins.
        let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX);
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_cached_key(|policy| number(policy));
        let (mut offset, mut place) = (0, (1, 1));
        for policy in policies {
            let text = policy.to_string();
            let rest = file.text.get(offset..).unwrap_or_default();
            let skipped = rest.find(&text).and_then(|at| rest.get(..at)).unwrap_or_default();
            offset += skipped.len();
            place = advance(place, skipped);
            if let Err(problem) = self.add(file, offset, place, policy) {
                problems.push(problem);
                if problems.len() > MOST {
                    return;
                }
            }
            offset += text.len();
            place = advance(place, &text);
        }
    }

    fn add(
        &mut self,
        file: &'a SourceFile,
        offset: usize,
        (line, column): (usize, usize),
        policy: &Policy,
    ) -> Result<(), Diagnostic> {
        let at = |message: String| Diagnostic::at(file, offset, policy.to_string().len(), message);
        let allowed = |text: &str| text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        let Some(id) = policy.annotation("id").filter(|id| !id.is_empty() && allowed(id)) else {
            let help = "write `@id(\"what-the-rule-says\")` before it: 1 to 128 of `A-Za-z0-9-_.:`; it names the policy in every answer and log";
            return Err(at("the policy has no `@id`, or one with other characters".to_owned()).help(help));
        };
        let policy_id = PolicyId::new(id);
        if self.labels.contains_key(&policy_id) {
            let first = self.infos.iter().find(|info| &*info.id == id);
            let first = first.map(|info| format!("the first one is at {}:{}; ", info.file, info.line)).unwrap_or_default();
            return Err(at(format!("the id `{id}` is used twice"))
                .policy(id)
                .help(format!("{first}ids are unique over all files")));
        }
        self.set.add(policy.new_id(policy_id.clone())).map_err(|error| at(error.to_string()).policy(id))?;
        let id: Arc<str> = id.into();
        let code: Arc<str> = policy.annotation("code").filter(|code| !code.is_empty()).unwrap_or("FORBIDDEN").into();
        let message = policy.annotation("message").filter(|text| !text.is_empty()).unwrap_or("a policy forbids this request");
        let message: Arc<str> = message.into();
        let (effect, verdict) = match policy.effect() {
            CedarEffect::Permit => (Effect::Permit, Verdict::Allow),
            CedarEffect::Forbid => (Effect::Forbid, Verdict::Forbidden { code: code.clone(), message: message.clone() }),
        };
        let alone = Arc::new(Decision { verdict, policies: vec![id.clone()] });
        self.labels.insert(policy_id.clone(), Label { id: id.clone(), code, message, alone });
        self.sources.insert(policy_id, file);
        let annotations: BTreeMap<String, String> =
            policy.annotations().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.infos.push(PolicyInfo { id, effect, file: file.path.clone(), line, column, annotations });
        Ok(())
    }

    /// Every policy, in the order of files and lines.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.infos.iter().filter_map(|info| self.set.policy(&PolicyId::new(&info.id)))
    }

    /// A diagnostic about a policy as a whole, at its first line.
    pub(super) fn place(&self, policy: &Policy, message: impl Into<String>) -> Diagnostic {
        let id = policy.id().to_string();
        let line = self.infos.iter().find(|info| *info.id == *id).map_or(1, |info| info.line);
        let Some(file) = self.sources.get(policy.id()) else { return Diagnostic::general(message).policy(id) };
        let offset = file.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let length = file.text.get(offset..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        Diagnostic::at(file, offset, length, message).policy(id)
    }

    fn diagnostic(&self, id: &PolicyId, error: &dyn miette::Diagnostic) -> Diagnostic {
        match self.sources.get(id) {
            Some(file) => Diagnostic::cedar(file, error).policy(id.to_string()),
            None => Diagnostic::general(error.to_string()).policy(id.to_string()),
        }
    }
}

/// Strict validation: a warning is a policy that does not do what its author meant.
pub(super) fn validate(schema: &Schema, parsed: &Parsed<'_>) -> Result<(), LoadError> {
    let result = Validator::new(schema.clone()).validate(&parsed.set, ValidationMode::Strict);
    let misspelt = |error: &&ValidationError| {
        matches!(error, ValidationError::UnrecognizedActionId(_) | ValidationError::UnrecognizedEntityType(_))
    };
    // A policy with a misspelt name can also never apply: that is the same mistake told again, without the name.
    let named: HashSet<&PolicyId> = result.validation_errors().filter(misspelt).map(ValidationError::policy_id).collect();
    let errors = result.validation_errors().filter(|error| misspelt(error) || !named.contains(error.policy_id()));
    let errors = errors.map(|error| parsed.diagnostic(error.policy_id(), error));
    let warnings = result.validation_warnings().filter(|warning| !named.contains(warning.policy_id()));
    let warnings = warnings.map(|warning| parsed.diagnostic(warning.policy_id(), warning));
    let mut problems: Vec<Diagnostic> = errors.chain(warnings).take(10 * MOST).collect();
    problems.sort_by_key(|problem| (problem.file().map(str::to_owned), problem.position()));
    LoadError::check(problems)
}
