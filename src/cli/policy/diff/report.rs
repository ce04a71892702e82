//! How a comparison is told.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use serde_json::{Value, json};

use crate::{
    cli::{policy::finding, streams::Streams},
    http,
    policy::matrix::{Answer, Change, Entry, Subject},
};

/// What was compared, and everything that is not the same.
#[derive(Debug)]
pub(super) struct Comparison {
    old: String,
    new: String,
    pub differences: Vec<Difference>,
    /// Questions by where they come from; recorded ones are counted as often as they were asked.
    asked: BTreeMap<Source, usize>,
    /// Why recorded decisions were not decided again, and how many.
    pub skipped: BTreeMap<String, usize>,
}

/// A question whose answer changed.
#[derive(Debug)]
pub(super) struct Difference {
    pub change: Change,
    pub source: Source,
    what: String,
    /// How often it was asked.
    count: usize,
    old: Answer,
    new: Answer,
}

/// Where a question comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Matrix,
    Test,
    Recorded,
}

impl Source {
    const ALL: [Self; 3] = [Self::Matrix, Self::Test, Self::Recorded];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Matrix => "matrix",
            Self::Test => "test",
            Self::Recorded => "recorded",
        }
    }
}

impl Comparison {
    pub(super) fn new(old: &str, new: &str) -> Self {
        let (old, new) = (old.to_owned(), new.to_owned());
        Self { old, new, differences: Vec::new(), asked: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    /// Takes in one question and both answers.
    pub(super) fn add(&mut self, source: Source, what: String, count: usize, (old, new): (Answer, Answer)) {
        *self.asked.entry(source).or_default() += count;
        if let Some(change) = old.change(&new) {
            self.differences.push(Difference { change, source, what, count, old, new });
        }
    }

    /// Denied by both, because one of them has no such action: whoever adds a permission knows that.
    fn one_sided(&self) -> impl Iterator<Item = &Difference> {
        self.of(Change::Reason).filter(|difference| difference.is_one_sided())
    }

    fn of(&self, change: Change) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(move |difference| difference.change == change)
    }
}

impl Difference {
    fn is_one_sided(&self) -> bool {
        let unknown =
            |answer: &Answer| matches!(answer, Answer::Decided(outcome) if outcome.code.as_deref() == Some("UNKNOWN_ACTION"));
        unknown(&self.old) || unknown(&self.new)
    }
}

/// A question of the matrix in words.
pub(super) fn describe(entry: &Entry) -> String {
    let with = if entry.context.is_empty() { String::new() } else { format!(" with {}", Value::Object(entry.context.clone())) };
    match entry.subject {
        Subject::Key(name) if entry.resource == "Org" => format!("{}{with}: key {name}; org {}", entry.action, entry.about),
        Subject::Key(name) => format!("{} on {}{with}: key {name}; org {}", entry.action, entry.resource, entry.about),
        Subject::Admin(role) => format!("{} about {}: admin {role}", entry.action, entry.about),
    }
}

const GROUPS: [(Change, &str, &str); 3] = [
    (Change::Wider, "deny → allow", "wider"),
    (Change::Narrower, "allow → deny", "narrower"),
    (Change::Reason, "same decision, other reason", "reason"),
];

pub(super) fn write_human(comparison: &Comparison, streams: &mut Streams<'_>) -> io::Result<()> {
    writeln!(streams.out, "from {} to {}", comparison.old, comparison.new)?;
    for (change, title, _) in GROUPS {
        let told = || comparison.of(change).filter(|difference| change != Change::Reason || !difference.is_one_sided());
        let count = told().count();
        if count == 0 {
            continue;
        }
        let title = streams.out.verdict(change != Change::Wider, &format!("{title}: {count}"));
        writeln!(streams.out, "\n{title}")?;
        for difference in told() {
            let often = if difference.count > 1 { format!(" ({} times)", difference.count) } else { String::new() };
            writeln!(streams.out, "  {}: {}{often}", difference.source.as_str(), difference.what)?;
            writeln!(streams.out, "    was: {}\n    now: {}", in_words(&difference.old), in_words(&difference.new))?;
        }
    }
    let one_sided = comparison.one_sided().count();
    if one_sided > 0 {
        writeln!(streams.out, "\ndenied by both, of actions that only one of them has: {one_sided}")?;
    }
    let asked = Source::ALL.iter().filter_map(|source| Some(format!("{} {}", comparison.asked.get(source)?, plural(*source))));
    let asked: Vec<String> = asked.collect();
    let counts: Vec<String> =
        GROUPS.iter().map(|(change, _, word)| format!("{} {word}", comparison.of(*change).count())).collect();
    let word = if comparison.differences.is_empty() { "nothing changes" } else { "changes" };
    writeln!(streams.out, "\n{word}: {} (asked: {})", counts.join(", "), asked.join(", "))?;
    for (why, count) in &comparison.skipped {
        writeln!(streams.out, "not decided again: {count} recorded: {why}")?;
    }
    Ok(())
}

const fn plural(source: Source) -> &'static str {
    match source {
        Source::Matrix => "questions of the matrix",
        Source::Test => "test cases",
        Source::Recorded => "recorded decisions",
    }
}

fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Refused(refusal) => format!("{} ({})", http::refused_key().1, refusal.as_str()),
        Answer::Decided(outcome) if outcome.policies.is_empty() => format!("{outcome}, by no policy"),
        Answer::Decided(outcome) => format!("{outcome}, by {}", outcome.policies.join(", ")),
    }
}

pub(super) fn write_json(comparison: &Comparison, streams: &mut Streams<'_>) -> io::Result<()> {
    let mut document = json!({
        "old": comparison.old,
        "new": comparison.new,
        "asked": Source::ALL.iter().map(|source| (source.as_str().to_owned(), comparison.asked.get(source).copied().unwrap_or(0).into())).collect::<serde_json::Map<String, Value>>(),
        "not_replayed": comparison.skipped,
    });
    if let Some(fields) = document.as_object_mut() {
        for (change, _, word) in GROUPS {
            fields.insert(word.to_owned(), comparison.of(change).map(object).collect());
        }
    }
    finding::write_json(streams, &document)
}

fn object(difference: &Difference) -> Value {
    let answer = |answer: &Answer| match answer {
        Answer::Refused(refusal) => {
            json!({ "decision": "deny", "code": http::refused_key().1, "policies": [], "refusal": refusal.as_str() })
        }
        Answer::Decided(outcome) => json!({
            "decision": outcome.effect(),
            "code": outcome.code,
            "policies": outcome.policies,
            "missing_permission": outcome.missing_permission,
        }),
    };
    json!({
        "source": difference.source.as_str(),
        "what": difference.what,
        "count": difference.count,
        "old": answer(&difference.old),
        "new": answer(&difference.new),
    })
}
