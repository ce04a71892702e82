//! Recorded requests: the lines of the server's decision log, as far as they tell what was decided on.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::report::{Comparison, Source};
use crate::{
    cli::{
        exit::Exit,
        policy::finding::{Finding, Refusal},
    },
    domain::{
        clock::Timestamp,
        decision::{Request, Resource},
        facts::Facts,
        permission::Permission,
    },
    policy::{Asked, Engine, matrix::Answer},
    telemetry::names,
};

/// What was read out of log files.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Requests that can be decided again: the same one, asked often, is one.
    questions: Vec<Question>,
    by_text: HashMap<String, usize>,
    /// Why lines are not decided again, and how many.
    skipped: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Question {
    what: String,
    asked: Asked,
    count: usize,
    /// What was decided, and by which policy set.
    allowed: bool,
    digest: String,
}

/// Texts of callers are kept to so many characters; one that is as long may have been cut.
const CUT: usize = 256;

/// Fields that may be masked and that no decision needs.
const UNNEEDED: [&str; 3] = [names::REQUEST_ID, names::REVISION, names::SECRET_ID];

impl Recorded {
    /// Reads the decisions of log files.
    ///
    /// # Errors
    /// A file that cannot be read, or one without any decision: then it is not what it was taken for.
    pub(super) fn read(paths: &[PathBuf], old: &Engine, new: &Engine) -> Result<Self, Refusal> {
        let mut recorded = Self::default();
        for path in paths {
            let decisions = recorded.read_file(path, old, new).map_err(|error| {
                let exit = if error.kind() == io::ErrorKind::NotFound { Exit::Usage } else { Exit::Failed };
                (vec![Finding::placeless(format!("`{}` cannot be read: {error}", path.display()), None)], exit)
            })?;
            if decisions == 0 {
                let message = format!("`{}` holds no recorded decision", path.display());
                let help = "give it the server's log: lines of JSON with `\"event\":\"decision\"`";
                return Err((vec![Finding::placeless(message, Some(help))], Exit::Negative));
            }
        }
        Ok(recorded)
    }

    /// How many decisions the file holds.
    fn read_file(&mut self, path: &Path, old: &Engine, new: &Engine) -> io::Result<usize> {
        let (mut reader, mut bytes, mut decisions) = (BufReader::new(File::open(path)?), Vec::new(), 0);
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            match serde_json::from_slice::<Map<String, Value>>(&bytes) {
                Ok(line) if line.get(names::EVENT).is_some_and(|event| event == "decision") => {
                    decisions += 1;
                    if let Err(why) = self.read_line(&line, old, new) {
                        *self.skipped.entry(why).or_default() += 1;
                    }
                }
                // The log has other lines, too.
                Ok(_) => {}
                Err(_) if bytes.trim_ascii().is_empty() => {}
                Err(_) => *self.skipped.entry("the line is no JSON object".to_owned()).or_default() += 1,
            }
            bytes.clear();
        }
        Ok(decisions)
    }

    /// # Errors
    /// Why the line cannot be decided again.
    fn read_line(&mut self, line: &Map<String, Value>, old: &Engine, new: &Engine) -> Result<(), String> {
        let line = Line(line);
        if line.0.contains_key(names::KEY_REFUSAL) {
            return Err("the key was refused before any policy was asked".to_owned());
        }
        if let Some(masked) = line.masked() {
            return Err(format!("`{masked}` is masked in the log"));
        }
        let unfit = ["UNKNOWN_ACTION", "UNKNOWN_RESOURCE_TYPE"];
        let rejected =
            !line.0.contains_key(names::POLICY_IDS) && line.text(names::DECISION_CODE).is_none_or(|code| !unfit.contains(&code));
        let (Some(action), false) = (line.text(names::ACTION), rejected) else {
            return Err("no policy was asked".to_owned());
        };
        let has_context = line.0.get(names::CONTEXT_WHOLE).is_some_and(|whole| whole == true);
        if let Some(why) = old.unrecorded(action, has_context).or_else(|| new.unrecorded(action, has_context)) {
            return Err(why);
        }
        let context = if has_context { line.context(action, &[old, new]) } else { Map::new() };
        let resource = line.text(names::RESOURCE_TYPE).zip(line.text(names::RESOURCE_ID));
        let texts = [Some(action), resource.map(|(kind, _)| kind), resource.map(|(_, id)| id)];
        if texts.into_iter().flatten().any(|text| text.chars().count() >= CUT || text.contains('…')) {
            return Err("what the caller wrote was cut or redacted".to_owned());
        }
        let at = old.asks_for_now(action) || new.asks_for_now(action);
        let now = if at { line.parsed(names::TIMESTAMP) } else { Some(Timestamp::from_millis(0)) };
        let incomplete = || "the line lacks something that a decision needs".to_owned();
        let (facts, now) = line.facts().zip(now).ok_or_else(incomplete)?;
        let allowed = line.text(names::DECISION) == Some("allow");
        let digest = line.text(names::POLICY_SET).unwrap_or_default().to_owned();
        let text = format!("{:?}", (action, resource, &context, &facts, now, allowed, &digest));
        if let Some(question) = self.by_text.get(&text).and_then(|index| self.questions.get_mut(*index)) {
            question.count += 1;
            return Ok(());
        }
        let mut what = format!("{action}, {} of {} ({})", facts.key, facts.org, facts.environment);
        if let Some((kind, id)) = resource {
            what = format!("{what}, on {kind} {id}");
        }
        if !context.is_empty() {
            what = format!("{what}, with {}", Value::from(context.clone()));
        }
        if let Some(id) = line.text(names::DECISION_ID) {
            what = format!("{what}, first as {id}");
        }
        let resource = resource.map(|(kind, id)| Resource { kind: kind.to_owned(), id: id.to_owned() });
        let request = Request { action: action.to_owned(), resource, context };
        self.by_text.insert(text, self.questions.len());
        self.questions.push(Question { what, asked: Asked::Key { facts, request, now }, count: 1, allowed, digest });
        Ok(())
    }

    /// Asks both sides. Where the same policies do not give what they gave then, a line does not hold what decided.
    pub(super) fn add_to(self, comparison: &mut Comparison, engines: &(Engine, Engine)) {
        comparison.skipped = self.skipped;
        for question in self.questions {
            let outcomes = (question.asked.ask(&engines.0), question.asked.ask(&engines.1));
            let differs = |engine: &Engine, allow: bool| **engine.digest() == *question.digest && allow != question.allowed;
            if differs(&engines.0, outcomes.0.allow) || differs(&engines.1, outcomes.1.allow) {
                let why = "the same policies do not decide again as they did: something is not in the log".to_owned();
                *comparison.skipped.entry(why).or_default() += question.count;
                continue;
            }
            let answers = (Answer::Decided(outcomes.0), Answer::Decided(outcomes.1));
            comparison.add(Source::Recorded, question.what, question.count, answers);
        }
    }
}

struct Line<'a>(&'a Map<String, Value>);

impl Line<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A field that a decision may need and that is not what it was.
    fn masked(&self) -> Option<&str> {
        let masked = self.0.get(names::MASKED)?.as_array()?;
        masked.iter().filter_map(Value::as_str).find(|field| !UNNEEDED.contains(field))
    }

    /// The context, which is whole. What is no plain value is in the line as JSON text.
    fn context(&self, action: &str, engines: &[&Engine]) -> Map<String, Value> {
        let attributes = self.0.iter().filter_map(|(field, value)| Some((field.strip_prefix(names::CONTEXT)?, value)));
        let read = |(name, value): (&str, &Value)| {
            let json = value.as_str().filter(|text| text.starts_with(['{', '[']));
            let json = json.filter(|_| !engines.iter().any(|engine| engine.is_text(action, name)));
            let json = json.and_then(|text| serde_json::from_str(text).ok());
            (name.to_owned(), json.unwrap_or_else(|| value.clone()))
        };
        attributes.map(read).collect()
    }

    /// The facts about the key. What [`Engine::unrecorded`] would have named is filled with something.
    fn facts(&self) -> Option<Facts> {
        let permissions = self.0.get(names::KEY_PERMISSIONS)?.as_array()?;
        let permissions: Option<Arc<[Permission]>> = permissions.iter().map(|name| name.as_str()?.parse().ok()).collect();
        Some(Facts {
            key: self.parsed(names::KEY_ID)?,
            org: self.parsed(names::ORG_ID)?,
            org_name: Arc::default(),
            org_suspended: self.0.get(names::ORG_SUSPENDED)?.as_bool()?,
            environment: self.parsed(names::KEY_ENVIRONMENT)?,
            permissions: permissions?,
            created_at: Timestamp::from_millis(0),
            expires_at: None,
        })
    }
}
