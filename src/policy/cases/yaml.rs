//! A YAML text as a tree whose every node knows its place, so that every complaint about a suite has a line.
//!
//! What a suite has no use for is refused rather than guessed at: several documents, tags, anchors and aliases (a few lines
//! of aliases can stand for gigabytes), keys that are no text, and the same key twice.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Value;

use crate::policy::{diagnostic::Diagnostic, files::SourceFile};

/// Lists and mappings inside each other; more than any suite needs, and little enough to recurse over.
pub(super) const DEEPEST: usize = 32;

/// Bytes of the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub offset: usize,
    pub length: usize,
}

impl Place {
    pub(super) fn says(self, file: &SourceFile, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(file, self.offset, self.length, message)
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub place: Place,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `plain` is a scalar without quotes, which may stand for a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the text; a key is unique.
    Mapping(Vec<(Word, Node)>),
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub text: String,
    pub place: Place,
}

impl Node {
    /// Reads the one document of a file.
    pub(super) fn parse(file: &SourceFile) -> Result<Self, Diagnostic> {
        let mut reader =
            Reader { file, events: Parser::new_from_str(&file.text), places: Places { text: &file.text, chars: 0, bytes: 0 } };
        let document = reader.document()?;
        document.ok_or_else(|| {
            Diagnostic::at(file, 0, 0, "the file is empty")
                .help("was it cut off? a suite has a `name`, and `matrix:` or `cases:`")
        })
    }

    /// Whether the node is an empty value, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The node as a JSON value, plain scalars by YAML's core schema (so `yes` and `on` are texts).
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => plain_value(text),
            Kind::Scalar { text, .. } => Value::String(text.clone()),
            Kind::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Kind::Mapping(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect())
            }
        }
    }
}

fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => number.into(),
            // Rust reads `nan` and `infinity` as numbers, too; in YAML they are texts.
            (_, Ok(number)) if text.bytes().any(|byte| byte.is_ascii_digit()) => number.into(),
            _ => Value::String(text.to_owned()),
        },
    }
}

struct Reader<'a> {
    file: &'a SourceFile,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    places: Places<'a>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let offset = self.places.offset(error.marker());
                Err(Diagnostic::at(self.file, offset, 1, format!("this is no YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Diagnostic> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(document),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if document.is_some() => {
                    return Err(self.refuse(span, "a suite is one YAML document", "put the second one into a file of its own"));
                }
                event => document = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DEEPEST {
            return Err(self.refuse(span, "lists and mappings are nested too deeply", &format!("at most {DEEPEST} levels")));
        }
        match &event {
            Event::Alias(_) => return Err(self.refuse(span, "aliases are not supported", ALIAS_HELP)),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) if *anchor > 0 => {
                return Err(self.refuse(span, "anchors are not supported", ALIAS_HELP));
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err(self.refuse(span, "tags are not supported", "write the value plainly, or in quotes if it is a text"));
            }
            _ => {}
        }
        let place = self.places.of(span);
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                Ok(Node { place, kind: Kind::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(..) => self.list(place, depth),
            Event::MappingStart(..) => self.mapping(place, depth),
            _ => Err(self.refuse(span, "this is no YAML value", "write a text, a list or a mapping")),
        }
    }

    fn list(&mut self, place: Place, depth: usize) -> Result<Node, Diagnostic> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Node { place, kind: Kind::List(nodes) }),
                (event, span) => nodes.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, place: Place, depth: usize) -> Result<Node, Diagnostic> {
        let mut entries: Vec<(Word, Node)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { place, kind: Kind::Mapping(entries) });
            }
            let Kind::Scalar { text, .. } = self.node(event, span, depth + 1)?.kind else {
                return Err(self.refuse(
                    span,
                    "a key must be a text",
                    "did an opening `{` or `[` start a value that is meant to be quoted?",
                ));
            };
            let key = Word { text, place: self.places.of(span) };
            if !names.insert(key.text.clone()) {
                return Err(key.place.says(self.file, format!("`{}` is there twice", key.text)).help("keep one of the two"));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            entries.push((key, node));
        }
    }

    fn refuse(&mut self, span: Span, message: &str, help: &str) -> Diagnostic {
        self.places.of(span).says(self.file, message).help(help)
    }
}

const ALIAS_HELP: &str = "give the thing a name under `orgs:`, `keys:`, `admins:` or `contexts:`, and use the name";

/// From the parser's character counts to bytes, in one walk: events come in the order of the text.
struct Places<'a> {
    text: &'a str,
    chars: usize,
    bytes: usize,
}

impl Places<'_> {
    fn of(&mut self, span: Span) -> Place {
        let offset = self.offset(&span.start);
        let (chars, bytes) = (self.chars, self.bytes);
        let length = self.offset(&span.end).saturating_sub(offset);
        // The next event can start before this one ends.
        (self.chars, self.bytes) = (chars, bytes);
        Place { offset, length }
    }

    fn offset(&mut self, marker: &Marker) -> usize {
        if marker.index() < self.chars {
            (self.chars, self.bytes) = (0, 0);
        }
        for c in self.text.get(self.bytes..).unwrap_or_default().chars().take(marker.index() - self.chars) {
            self.chars += 1;
            self.bytes += c.len_utf8();
        }
        self.bytes
    }
}
