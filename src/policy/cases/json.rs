//! A JSON text as the tree that YAML suites are read from, so that every complaint about a case has a line there, too.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::yaml::{DEEPEST, Kind, Node, Place, Word};
use crate::policy::{diagnostic::Diagnostic, files::SourceFile};

/// Reads a JSON file.
pub(super) fn parse(file: &SourceFile) -> Result<Node, Diagnostic> {
    let raw: &RawValue = serde_json::from_str(&file.text).map_err(|error| {
        let offset = offset(&file.text, error.line(), error.column());
        let sentence = error.to_string();
        let sentence = sentence.split(" at line ").next().unwrap_or_default();
        Place { offset, length: 1 }.says(file, format!("this is no JSON: {sentence}"))
    })?;
    Reader { file }.node(raw.get(), 0)
}

/// Parts of the text: each is a slice of it, so where it stands is where it begins in memory.
struct Reader<'a> {
    file: &'a SourceFile,
}

impl<'a> Reader<'a> {
    fn place(&self, part: &str) -> Place {
        let offset = (part.as_ptr() as usize).saturating_sub(self.file.text.as_ptr() as usize);
        Place { offset, length: part.len() }
    }

    fn node(&self, raw: &'a str, depth: usize) -> Result<Node, Diagnostic> {
        let place = self.place(raw);
        if depth > DEEPEST {
            let help = format!("at most {DEEPEST} levels");
            return Err(place.says(self.file, "lists and objects are nested too deeply").help(help));
        }
        let read = |error: serde_json::Error| place.says(self.file, error.to_string());
        let mut json = serde_json::Deserializer::from_str(raw);
        let kind = match raw.bytes().next() {
            Some(b'{') => Kind::Mapping(self.members(json.deserialize_map(Members).map_err(read)?, depth)?),
            Some(b'[') => {
                let items = json.deserialize_seq(Items).map_err(read)?;
                Kind::List(items.into_iter().map(|item| self.node(item.get(), depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Kind::Scalar { text: serde_json::from_str(raw).map_err(read)?, plain: false },
            _ => Kind::Scalar { text: raw.to_owned(), plain: true },
        };
        Ok(Node { place, kind })
    }

    fn members(&self, members: Vec<(Cow<'a, str>, &'a RawValue)>, depth: usize) -> Result<Vec<(Word, Node)>, Diagnostic> {
        let mut names = std::collections::HashSet::new();
        let mut read = Vec::new();
        for (name, value) in members {
            // A name with escapes is a text of its own: its value is the nearest place.
            let place = if let Cow::Borrowed(name) = name { self.place(name) } else { self.place(value.get()) };
            if !names.insert(name.clone()) {
                return Err(place.says(self.file, format!("`{name}` is there twice")).help("keep one of the two"));
            }
            read.push((Word { text: name.into_owned(), place }, self.node(value.get(), depth + 1)?));
        }
        Ok(read)
    }
}

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = Vec<(Cow<'a, str>, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

/// Serde reads a `Cow` as an owned text; this one is borrowed wherever it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Name<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameOf)
    }
}

struct NameOf;

impl<'a> Visitor<'a> for NameOf {
    type Value = Name<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

struct Items;

impl<'a> Visitor<'a> for Items {
    type Value = Vec<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// The byte offset of a line and a column as serde counts them: from 1, columns in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}
