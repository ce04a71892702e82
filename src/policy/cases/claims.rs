//! What a suite claims: matrices and single cases, with every name of the suite resolved.

use serde_json::{Map, Value};

use super::{
    cast::{Cast, Key, Names, Org},
    fields::{Fields, Reading},
    outcome::{Expected, Missing},
    yaml::{Kind, Node, Place, Word},
};
use crate::domain::{admin::Role, clock::Timestamp, decision::Resource};

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Key(Key),
    Admin(Role),
}

impl Subject {
    fn find(reading: &mut Reading<'_>, cast: &Cast, word: &Word, is_admin: bool) -> Option<Self> {
        if is_admin { cast.admin(reading, word).map(Self::Admin) } else { cast.key(reading, word).map(Self::Key) }
    }
}

/// What is asked about.
#[derive(Debug, Clone)]
pub(super) enum Aim {
    /// A key's own org; for an admin the installation as a whole.
    Unsaid,
    Org(Org),
    Resource(Resource),
    /// The role of the admin that is to be made or revoked.
    Role(Role),
}

/// The circumstances of a case, or of all cases of a matrix.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub aim: Aim,
    pub context: Map<String, Value>,
    pub now: Timestamp,
}

/// Subjects × actions; the pairs that are listed are allowed, all others are denied.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub place: Place,
    pub name: String,
    pub subjects: Vec<(Word, Subject)>,
    pub actions: (Place, Names),
    pub scene: Scene,
    pub allow: Vec<(Word, Names)>,
    /// What every denial of the matrix must give.
    pub denial: Expected,
}

#[derive(Debug, Clone)]
pub(super) struct Single {
    pub name: Word,
    pub subject: Subject,
    pub action: Word,
    pub scene: Scene,
    pub expected: Expected,
    /// What `missing_permission` names, to be looked up in the schema.
    pub missing: Option<Word>,
}

/// The fields of a matrix and of a case, besides those of their scene.
pub(super) const OF_MATRIX: [&str; 7] = ["name", "keys", "admins", "actions", "allow", "reason", "code"];
pub(super) const OF_CASE: [&str; 10] =
    ["name", "key", "admin", "action", "decision", "reason", "policies", "code", "missing_permission", "errors"];
pub(super) const SCENE: [&str; 5] = ["org", "resource", "role", "context", "now"];

impl Matrix {
    pub(super) fn read(reading: &mut Reading<'_>, cast: &Cast, now: Timestamp, index: usize, node: &Node) -> Option<Self> {
        let fields = reading.fields("a matrix", node, &[&OF_MATRIX[..], &SCENE].concat());
        let unnamed = || if index == 0 { "matrix".to_owned() } else { format!("matrix {}", index + 1) };
        let name = fields.find("name").and_then(|node| reading.name(node)).map_or_else(unnamed, |word| word.text);
        fields.exclude(reading, "keys", "admins");
        let subjects = read_subjects(reading, cast, &fields)?;
        let for_admins = matches!(subjects.first(), Some((_, Subject::Admin(_))));
        let actions = fields.require(reading, "actions").map(|node| Names::read(reading, node));
        let scene = Scene::read(reading, cast, now, &fields, for_admins);
        let mut allow = Vec::new();
        for (word, node) in fields.find("allow").map_or(&[][..], |node| reading.named(node)) {
            if subjects.iter().any(|(subject, _)| subject.text == word.text) {
                allow.push((word.clone(), Names::read(reading, node)));
            } else {
                let message = format!("`{}` is outside of the matrix", word.text);
                reading.complain(
                    word.place,
                    message,
                    "an expectation is about a key of this matrix; add it there, or remove this",
                );
            }
        }
        let denial = Expected {
            reason: fields.find("reason").map(|node| reading.words(node)).map(texts).unwrap_or_default(),
            code: fields.find("code").and_then(|node| reading.word(node)).map(|word| word.text),
            ..Expected::denial()
        };
        let actions = (fields.place_of("actions"), actions?);
        Some(Self { place: fields.place, name, subjects, actions, scene, allow, denial })
    }
}

fn read_subjects(reading: &mut Reading<'_>, cast: &Cast, fields: &Fields<'_>) -> Option<Vec<(Word, Subject)>> {
    let (field, for_admins) = if fields.find("admins").is_some() { ("admins", true) } else { ("keys", false) };
    let node = fields.require(reading, field)?;
    let words = reading.words(node);
    if words.is_empty() {
        reading.complain(fields.place_of(field), format!("`{field}` is empty"), "name at least one");
    }
    let mut subjects = Vec::new();
    for word in words {
        let subject = Subject::find(reading, cast, &word, for_admins);
        subjects.extend(subject.map(|subject| (word, subject)));
    }
    Some(subjects)
}

impl Single {
    pub(super) fn read(reading: &mut Reading<'_>, cast: &Cast, now: Timestamp, node: &Node) -> Option<Self> {
        let fields = reading.fields("a case", node, &[&OF_CASE[..], &SCENE].concat());
        fields.exclude(reading, "key", "admin");
        let name = fields.require(reading, "name").and_then(|node| reading.name(node));
        let for_admins = fields.find("admin").is_some();
        let who = fields.require(reading, if for_admins { "admin" } else { "key" }).and_then(|node| reading.word(node));
        let subject = who.and_then(|word| Subject::find(reading, cast, &word, for_admins));
        let action = fields.require(reading, "action").and_then(|node| reading.word(node));
        let scene = Scene::read(reading, cast, now, &fields, for_admins);
        let missing = fields.find("missing_permission").filter(|node| !node.is_null()).and_then(|node| reading.word(node));
        let expected = read_expected(reading, &fields, missing.as_ref());
        Some(Self { name: name?, subject: subject?, action: action?, scene, expected: expected?, missing })
    }
}

fn read_expected(reading: &mut Reading<'_>, fields: &Fields<'_>, missing: Option<&Word>) -> Option<Expected> {
    let decision = fields.require(reading, "decision").and_then(|node| reading.word(node))?;
    let allow = decision.text == "allow";
    if !allow && decision.text != "deny" {
        reading.complain(decision.place, format!("`{}` is no decision", decision.text), "a decision is `allow` or `deny`");
    }
    for field in ["code", "missing_permission", "errors"] {
        // That nothing fails is true of every allow.
        let is_zero = |node: &Node| field == "errors" && matches!(&node.kind, Kind::Scalar { text, .. } if text == "0");
        if allow && fields.find(field).is_some_and(|node| !is_zero(node)) {
            let message = format!("`{field}` is about denials, and this case expects an allow");
            reading.complain(fields.place_of(field), message, format!("remove `{field}`, or expect `decision: deny`"));
        }
    }
    let missing_permission = match (fields.find("missing_permission"), missing) {
        (Some(_), Some(word)) => Missing::Permission(word.text.clone()),
        (Some(_), None) => Missing::Nothing,
        (None, _) => Missing::Any,
    };
    Some(Expected {
        allow,
        reason: fields.find("reason").map(|node| reading.words(node)).map(texts).unwrap_or_default(),
        code: fields.find("code").and_then(|node| reading.word(node)).map(|word| word.text),
        policies: fields.find("policies").map(|node| reading.words(node)).map(|words| texts(words).into_iter().collect()),
        missing_permission,
        errors: fields.find("errors").and_then(|node| reading.count(node)).unwrap_or(0),
    })
}

impl Scene {
    fn read(reading: &mut Reading<'_>, cast: &Cast, now: Timestamp, fields: &Fields<'_>, for_admins: bool) -> Self {
        fields.exclude(reading, "org", "resource");
        fields.exclude(reading, "org", "role");
        let foreign: &[&str] = if for_admins { &["resource", "context", "now"] } else { &["role"] };
        for field in foreign.iter().filter(|field| fields.find(field).is_some()) {
            let who = if for_admins { "an admin" } else { "a key" };
            reading.complain(fields.place_of(field), format!("`{field}` has no meaning for {who}"), "remove it");
        }
        let aim = if let Some(node) = fields.find("org") {
            cast.org(reading, node).map(Aim::Org)
        } else if let Some(node) = fields.find("role") {
            reading.parsed(node).map(Aim::Role)
        } else if let Some(node) = fields.find("resource") {
            read_resource(reading, node).map(Aim::Resource)
        } else {
            None
        };
        Self {
            aim: aim.unwrap_or(Aim::Unsaid),
            context: fields.find("context").and_then(|node| cast.context(reading, node)).unwrap_or_default(),
            now: fields.find("now").and_then(|node| reading.parsed(node)).unwrap_or(now),
        }
    }
}

pub(super) const OF_RESOURCE: [&str; 2] = ["type", "id"];

fn read_resource(reading: &mut Reading<'_>, node: &Node) -> Option<Resource> {
    let fields = reading.fields("a resource", node, &OF_RESOURCE);
    let kind = fields.require(reading, "type").and_then(|node| reading.word(node));
    let id = fields.require(reading, "id").and_then(|node| reading.word(node));
    Some(Resource { kind: kind?.text, id: id?.text })
}

fn texts(words: Vec<Word>) -> Vec<String> {
    words.into_iter().map(|word| word.text).collect()
}
