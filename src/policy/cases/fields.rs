//! Reading the fields of a mapping: every field is known, of the right form, and what is wrong is said where it stands.

use std::{collections::HashSet, fmt::Display, str::FromStr};

use serde_json::{Map, Value};

use super::yaml::{Kind, Node, Place, Word};
use crate::{
    domain::nearest::nearest,
    policy::{
        diagnostic::{Diagnostic, LoadError},
        files::SourceFile,
    },
};

/// A report that goes on for ever helps nobody.
const MOST_PROBLEMS: usize = 20;

/// The file that is read, and what is wrong with it so far.
pub(super) struct Reading<'a> {
    pub file: &'a SourceFile,
    problems: Vec<Diagnostic>,
    /// What was said where: a word that many cases use is wrong once.
    said: HashSet<(usize, String)>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a SourceFile) -> Self {
        Self { file, problems: Vec::new(), said: HashSet::new() }
    }

    pub(super) fn finish(self) -> Result<(), LoadError> {
        LoadError::check(self.problems)
    }

    pub(super) fn complain(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        let message = message.into();
        if self.problems.len() < MOST_PROBLEMS && self.said.insert((place.offset, message.clone())) {
            self.problems.push(place.says(self.file, message).help(help));
        }
    }

    /// A name that is none of the known ones, with the nearest of them.
    pub(super) fn complain_unknown<'n>(&mut self, what: &str, word: &Word, known: impl Iterator<Item = &'n str> + Clone) {
        self.complain(word.place, format!("`{}` is no {what}", word.text), suggestion(&word.text, what, known));
    }

    /// The fields of a mapping, all of them known; an empty value is a mapping without fields.
    pub(super) fn fields<'n>(&mut self, what: &'static str, node: &'n Node, known: &[&str]) -> Fields<'n> {
        let entries: &[(Word, Node)] = match &node.kind {
            Kind::Mapping(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                self.complain(
                    node.place,
                    format!("{what} is a mapping"),
                    format!("its fields are {}", list(known.iter().copied())),
                );
                &[]
            }
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let help = suggestion(&key.text, "field", known.iter().copied());
            self.complain(key.place, format!("{what} has no field `{}`", key.text), help);
        }
        let place = entries.first().map_or(node.place, |(key, _)| key.place);
        Fields { what, place, entries }
    }

    /// The entries of a mapping whose keys are names.
    pub(super) fn named<'n>(&mut self, node: &'n Node) -> &'n [(Word, Node)] {
        let Kind::Mapping(entries) = &node.kind else {
            if !node.is_null() {
                self.complain(node.place, "this is a mapping from names to definitions", "write `name: {…}` for each");
            }
            return &[];
        };
        for (name, _) in entries {
            self.check_name(name);
        }
        entries
    }

    /// The nodes of a list.
    pub(super) fn list<'n>(&mut self, what: &str, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::List(nodes) if !nodes.is_empty() => nodes,
            _ => {
                self.complain(node.place, format!("{what} is a list with at least one item"), "write `- …` for each item");
                &[]
            }
        }
    }

    /// Texts: a list of them, or one alone. An empty list is for the caller to judge.
    pub(super) fn words(&mut self, node: &Node) -> Vec<Word> {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().filter_map(|node| self.word(node)).collect(),
            _ => self.word(node).into_iter().collect(),
        }
    }

    pub(super) fn word(&mut self, node: &Node) -> Option<Word> {
        match &node.kind {
            Kind::Scalar { text, .. } if !node.is_null() => Some(Word { text: text.clone(), place: node.place }),
            _ => {
                self.complain(node.place, "this is a text", "write one word, or a text in quotes");
                None
            }
        }
    }

    /// A name that reports print: one line, nothing that moves a terminal's cursor.
    pub(super) fn name(&mut self, node: &Node) -> Option<Word> {
        let word = self.word(node)?;
        self.check_name(&word).then_some(word)
    }

    fn check_name(&mut self, word: &Word) -> bool {
        let printable = !word.text.trim().is_empty() && !word.text.chars().any(char::is_control);
        if !printable {
            self.complain(word.place, "a name is one line of visible characters", "reports print it");
        }
        printable
    }

    /// A text that parses; the error says what would.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, node: &Node) -> Option<T> {
        let word = self.word(node)?;
        word.text
            .parse()
            .map_err(|error| self.complain(word.place, format!("`{}` does not fit here", word.text), format!("{error}")))
            .ok()
    }

    pub(super) fn truth(&mut self, node: &Node) -> Option<bool> {
        let truth = node.to_json().as_bool();
        if truth.is_none() {
            self.complain(node.place, "this is `true` or `false`", "write it without quotes");
        }
        truth
    }

    pub(super) fn count(&mut self, node: &Node) -> Option<usize> {
        let count = node.to_json().as_u64().and_then(|count| usize::try_from(count).ok());
        if count.is_none() {
            self.complain(node.place, "this is a number, 0 or more", "write it in digits");
        }
        count
    }

    /// A mapping as JSON.
    pub(super) fn json_map(&mut self, node: &Node) -> Map<String, Value> {
        match node.to_json() {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => {
                self.complain(node.place, "a context is a mapping", "write `attribute: value` for each");
                Map::new()
            }
        }
    }
}

/// The fields of one mapping.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    what: &'static str,
    /// Where the first of them stands.
    pub place: Place,
    entries: &'n [(Word, Node)],
}

impl<'n> Fields<'n> {
    /// A field's value, if the field is there.
    pub(super) fn find(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// Where a field's name stands.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.entries.iter().find(|(key, _)| key.text == name).map_or(self.place, |(key, _)| key.place)
    }

    /// A field that must be there.
    pub(super) fn require(&self, reading: &mut Reading<'_>, name: &str) -> Option<&'n Node> {
        let node = self.find(name);
        if node.is_none() {
            reading.complain(self.place, format!("{} has no `{name}`", self.what), format!("add `{name}: …`"));
        }
        node
    }

    /// Two fields that exclude each other.
    pub(super) fn exclude(&self, reading: &mut Reading<'_>, one: &str, other: &str) {
        if self.find(one).is_some() && self.find(other).is_some() {
            let message = format!("{} has both `{one}` and `{other}`", self.what);
            reading.complain(self.place_of(other), message, "keep one of the two");
        }
    }
}

/// What somebody may have meant: the nearest name when most of it was right, else all of them if they are few.
#[must_use]
pub fn suggestion<'n>(typed: &str, what: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(typed, known.clone(), 3) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.clone().next().is_none() => format!("there is no {what}"),
        None => format!("known: {}", list(known)),
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(12);
    names.truncate(12);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
