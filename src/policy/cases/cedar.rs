//! Test files of Cedar's own command line, `cedar run-tests`: requests and entities written out, decided by Cedar alone.
//!
//! ```json
//! [{ "name": "optional",
//!    "request": { "principal": "ApiKey::\"k\"", "action": "Action::\"jobs:read\"", "resource": "Org::\"acme\"", "context": {} },
//!    "entities": "a list, or the name of a JSON file below this file's folder",
//!    "decision": "allow", "reason": ["granted-permission-allowed"], "num_errors": 0 }]
//! ```
//!
//! The decision is Cedar's: what the server adds to it (an evaluation error is a denial, an allow that contradicts the facts
//! is one, too) is for YAML suites, whose cases go the whole way. Request and entities must fit the schema.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Component, Path},
    sync::Arc,
};

use cedar_policy::{Context, Decision, Entities, EntityTypeName, EntityUid, Request};
use serde_json::Value;

use super::{
    Asked, Case,
    fields::Reading,
    json,
    outcome::{Expected, Missing, Outcome},
    yaml::{Kind, Node, Place, Word},
};
use crate::{
    domain::cause::chain,
    policy::{
        diagnostic::{LoadError, position},
        engine::Engine,
        files::SourceFile,
    },
};

/// A request as Cedar takes it, with everything that it may look at.
#[derive(Debug, Clone)]
pub struct CedarRequest {
    pub(in crate::policy) request: Request,
    pub(in crate::policy) entities: Arc<Entities>,
}

/// One case, before a schema says whether it fits.
#[derive(Debug, Clone)]
pub(super) struct Test {
    name: String,
    place: Place,
    principal: Word,
    action: Word,
    resource: Word,
    context: (Place, Value),
    entities: Listed,
    expected: Expected,
}

/// Where the entities of a case are listed.
#[derive(Debug, Clone)]
enum Listed {
    Here(Place, Value),
    /// In a file of its own.
    In(Arc<SourceFile>),
}

const FORM: &str = "write `[{ \"request\": …, \"entities\": …, \"decision\": …, \"reason\": …, \"num_errors\": … }]`; a file of entities is one that the `entities` of a case names";

/// The cases of a JSON file. `others` are the test files that it may take entities from; the ones that it names are noted.
pub(super) fn read(file: &SourceFile, others: &[SourceFile], named: &mut HashSet<String>) -> Result<Vec<Test>, LoadError> {
    let root = json::parse(file)?;
    let mut reading = Reading::new(file);
    let mut files = BTreeMap::new();
    let mut tests: Vec<Test> = Vec::new();
    let mut taken = HashSet::new();
    let nodes = match &root.kind {
        Kind::List(nodes) if !nodes.is_empty() => nodes.as_slice(),
        _ => {
            reading.complain(root.place, "a test file is a list with at least one case", FORM);
            &[]
        }
    };
    for (index, node) in nodes.iter().enumerate() {
        if let Some(mut test) = read_test(&mut reading, index, node, others, &mut files) {
            if !taken.insert(test.name.clone()) {
                test.name = format!("{} (case {})", test.name, index + 1);
            }
            tests.push(test);
        }
    }
    named.extend(files.into_keys());
    reading.finish()?;
    Ok(tests)
}

fn read_test(
    reading: &mut Reading<'_>,
    index: usize,
    node: &Node,
    others: &[SourceFile],
    files: &mut BTreeMap<String, Arc<SourceFile>>,
) -> Option<Test> {
    let fields = reading.fields("a case", node, &["name", "request", "entities", "decision", "reason", "num_errors"]);
    let name = fields.find("name").and_then(|node| reading.name(node));
    let place = name.as_ref().map_or(node.place, |name| name.place);
    let entities = fields.require(reading, "entities").and_then(|node| read_entities(reading, node, others, files));
    let decision = fields.require(reading, "decision").and_then(|node| reading.word(node));
    let allow = decision.as_ref().is_some_and(|word| word.text == "allow");
    if let Some(word) = decision.as_ref().filter(|word| !allow && word.text != "deny") {
        reading.complain(word.place, format!("`{}` is no decision", word.text), "a decision is `allow` or `deny`");
    }
    let reason = fields.require(reading, "reason").map(|node| reading.words(node));
    let errors = fields.require(reading, "num_errors").and_then(|node| reading.count(node));
    let request = fields.require(reading, "request")?;
    let fields = reading.fields("a request", request, &["principal", "action", "resource", "context"]);
    let mut word = |name| fields.require(reading, name).and_then(|node| reading.word(node));
    let (principal, action, resource) = (word("principal"), word("action"), word("resource"));
    let context = fields.require(reading, "context").map(|node| (node.place, node.to_json()));
    Some(Test {
        name: name.map_or_else(|| format!("case {}", index + 1), |name| name.text),
        place,
        principal: principal?,
        action: action?,
        resource: resource?,
        context: context?,
        entities: entities?,
        expected: Expected {
            allow,
            reason: reason?.into_iter().map(|word| word.text).collect(),
            policies: None,
            code: None,
            missing_permission: Missing::Any,
            errors: errors?,
        },
    })
}

/// Whether a test file is one of these.
pub(super) fn is_json(file: &SourceFile) -> bool {
    Path::new(&file.name).extension().is_some_and(|extension| extension == "json")
}

fn read_entities(
    reading: &mut Reading<'_>,
    node: &Node,
    others: &[SourceFile],
    files: &mut BTreeMap<String, Arc<SourceFile>>,
) -> Option<Listed> {
    match &node.kind {
        Kind::List(_) => Some(Listed::Here(node.place, node.to_json())),
        Kind::Scalar { text, plain: false } => {
            let folder = Path::new(&reading.file.path).parent().unwrap_or(Path::new(""));
            let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !inside {
                let help = "name a JSON file in the folder of this file, or in one below it";
                reading.complain(node.place, format!("`{text}` lies outside of the folder of this file"), help);
                return None;
            }
            // `components` leaves out the dots that stand for the folder itself.
            let wanted: String = folder.join(text).components().collect::<std::path::PathBuf>().display().to_string();
            let same = |file: &&SourceFile| Path::new(&file.path).components().eq(Path::new(&wanted).components());
            let Some(found) = others.iter().find(same) else {
                let below = |file: &SourceFile| {
                    let name = Path::new(&file.path).strip_prefix(folder).ok()?.display().to_string();
                    (is_json(file) && file.path != reading.file.path).then_some(name)
                };
                let known: Vec<String> = others.iter().filter_map(below).collect();
                let word = Word { text: text.clone(), place: node.place };
                reading.complain_unknown("JSON file below the folder of this file", &word, known.iter().map(String::as_str));
                return None;
            };
            let file = files.entry(found.path.clone()).or_insert_with(|| Arc::new(found.clone()));
            Some(Listed::In(file.clone()))
        }
        _ => {
            reading.complain(node.place, "`entities` is a list of entities, or the name of a file", "write `[]` for none");
            None
        }
    }
}

/// Every case, with its request and entities checked against the schema.
pub(super) fn bind(reading: &mut Reading<'_>, engine: &Engine, tests: &[Test], bound: &mut Vec<Case>) -> Result<(), LoadError> {
    let mut shared: HashMap<&str, Arc<Entities>> = HashMap::new();
    for test in tests {
        let entities = match &test.entities {
            Listed::Here(place, value) => entities(engine, value)
                .map_err(|error| reading.complain(*place, format!("the entities do not fit the schema: {error}"), ENTITIES))
                .ok()
                .map(Arc::new),
            Listed::In(file) => Some(match shared.get(file.path.as_str()) {
                Some(entities) => entities.clone(),
                None => shared.entry(&file.path).or_insert(Arc::new(read_file(engine, file)?)).clone(),
            }),
        };
        let request = request(reading, engine, test);
        if let (Some(request), Some(entities)) = (request, entities) {
            bound.push(Case {
                name: test.name.clone(),
                position: position(&reading.file.text, test.place.offset),
                place: test.place,
                asked: Asked::Cedar(Box::new(CedarRequest { request, entities })),
                expected: test.expected.clone(),
            });
        }
    }
    Ok(())
}

const ENTITIES: &str =
    "an entity is `{\"uid\": {\"type\": …, \"id\": …}, \"attrs\": {…}, \"parents\": […]}`, as its type is declared";

fn read_file(engine: &Engine, file: &SourceFile) -> Result<Entities, LoadError> {
    let root = json::parse(file)?;
    let failed = |error: String| {
        let message = format!("the entities do not fit the schema: {error}");
        LoadError::from(root.place.says(file, message).help(ENTITIES))
    };
    entities(engine, &root.to_json()).map_err(failed)
}

/// The entities, and the actions of the schema.
fn entities(engine: &Engine, value: &Value) -> Result<Entities, String> {
    Entities::from_json_value(value.clone(), Some(&engine.schema)).map_err(|error| chain(&error))
}

fn request(reading: &mut Reading<'_>, engine: &Engine, test: &Test) -> Option<Request> {
    let (principal, resource) = (uid(reading, &test.principal), uid(reading, &test.resource));
    let action = uid(reading, &test.action)?;
    let schema = &engine.schema;
    let (Some(principals), Some(resources)) = (schema.principals_for_action(&action), schema.resources_for_action(&action))
    else {
        let mut known: Vec<String> = schema.actions().map(ToString::to_string).collect();
        known.sort();
        reading.complain_unknown("action of the schema", &test.action, known.iter().map(String::as_str));
        return None;
    };
    let (principal, resource) = (principal?, resource?);
    let fits = [
        fits(reading, &test.principal, &principal, &action, "principal", principals),
        fits(reading, &test.resource, &resource, &action, "resource", resources),
    ];
    let (place, value) = &test.context;
    let context = Context::from_json_value(value.clone(), Some((schema, &action)));
    let mut unfit = |error: String| {
        let help = "the action's `context` in the schema says which attributes it has, and of which types";
        reading.complain(*place, format!("the context does not fit the action: {error}"), help);
    };
    let context = context.map_err(|error| unfit(chain(&error))).ok()?;
    if fits.contains(&false) {
        return None;
    }
    Request::new(principal, action, resource, context, Some(schema)).map_err(|error| unfit(chain(&error))).ok()
}

/// Whether an entity's type is one of those that the action applies to.
fn fits<'e>(
    reading: &mut Reading<'_>,
    word: &Word,
    uid: &EntityUid,
    action: &EntityUid,
    part: &str,
    types: impl Iterator<Item = &'e EntityTypeName>,
) -> bool {
    let mut known: Vec<String> = types.map(ToString::to_string).collect();
    known.sort();
    known.dedup();
    let kind = uid.type_name().to_string();
    let fits = known.contains(&kind);
    if !fits {
        let listed = known.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        let help = format!("it is asked with a {part} of the type {listed}");
        reading.complain(word.place, format!("`{action}` does not apply to a {part} of the type `{kind}`"), help);
    }
    fits
}

fn uid(reading: &mut Reading<'_>, word: &Word) -> Option<EntityUid> {
    let uid = word.text.parse::<EntityUid>();
    uid.map_err(|_| reading.complain(word.place, format!("`{}` is no entity", word.text), "write `Type::\"id\"`")).ok()
}

/// What Cedar answers over the whole policy set.
pub(super) fn ask(engine: &Engine, asked: &CedarRequest) -> Outcome {
    let response = engine.authorizer.is_authorized(&asked.request, &engine.originals, &asked.entities);
    let mut policies: Vec<Arc<str>> =
        response.diagnostics().reason().filter_map(|id| engine.labels.get(id)).map(|label| label.id.clone()).collect();
    policies.sort();
    let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
    Outcome {
        allow: response.decision() == Decision::Allow,
        policies,
        code: None,
        missing_permission: None,
        detail: (!errors.is_empty()).then(|| errors.join("; ")),
        errors: errors.len(),
    }
}
