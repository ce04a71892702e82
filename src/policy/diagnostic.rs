//! What is wrong with a policy set, and where: file, line, column, snippet, help.

use std::fmt;

use miette::{LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents};

use super::files::SourceFile;

/// One thing that is wrong, in one place.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub message: String,
    pub help: Option<String>,
    /// The `@id` of the policy that it is about.
    pub policy: Option<String>,
    pub severity: Severity,
    place: Option<Box<Place>>,
}

/// Where it is, and the lines around it. Not the whole file: one of 16 MB may be wrong in a million places.
#[derive(Debug, Clone)]
struct Place {
    file: String,
    /// Line and column, both counted from 1.
    position: (usize, usize),
    /// In the file.
    span: SourceSpan,
    label: Option<String>,
    snippet: String,
    /// Where the snippet begins: bytes of the file before it, and lines.
    before: (usize, usize),
}

/// Bytes of a file that a diagnostic keeps before the place it is about, and after.
const AROUND: usize = 400;
/// Diagnostics that a failed load keeps: nobody reads more.
pub(super) const MOST: usize = 100;

impl Diagnostic {
    /// About the set as a whole.
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, policy: None, severity: Severity::Error, place: None }
    }

    /// About `length` bytes of a file, from `offset` on.
    pub(super) fn at(file: &SourceFile, offset: usize, length: usize, message: impl Into<String>) -> Self {
        Self { place: Some(Box::new(Place::new(file, offset, length))), ..Self::general(message) }
    }

    /// Cedar's own diagnostic, placed in the file whose text it is about.
    pub(super) fn cedar(file: &SourceFile, error: &(impl miette::Diagnostic + ?Sized)) -> Self {
        let label = error.labels().and_then(|mut labels| labels.next());
        let (offset, length) = label.as_ref().map_or((0, 0), |label| (label.offset(), label.len()));
        let mut diagnostic = Self::at(file, offset, length, error.to_string());
        if let Some(place) = &mut diagnostic.place {
            place.label = label.and_then(|label| label.label().map(str::to_owned));
        }
        diagnostic.help = error.help().map(|help| help.to_string());
        diagnostic
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The set loads all the same.
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub(super) fn policy(mut self, id: impl Into<String>) -> Self {
        self.policy = Some(id.into());
        self
    }

    /// The file's path, when the diagnostic is about one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| &*place.file)
    }

    /// Line and column, both counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| place.position)
    }
}

impl Place {
    fn new(file: &SourceFile, offset: usize, length: usize) -> Self {
        let text = &file.text;
        let offset = text.floor_char_boundary(offset);
        let end = text.floor_char_boundary(offset.saturating_add(length.min(AROUND))).max(offset);
        let lowest = text.ceil_char_boundary(offset.saturating_sub(AROUND));
        let highest = text.floor_char_boundary(end.saturating_add(AROUND));
        // Two whole lines before and after, where they are short enough.
        let cut = |part: &str| part.rmatch_indices('\n').nth(2).map_or(0, |(newline, _)| newline + 1);
        let start = lowest + cut(text.get(lowest..offset).unwrap_or_default());
        let rest = text.get(end..highest).unwrap_or_default();
        let stop = end + rest.match_indices('\n').nth(2).map_or(rest.len(), |(newline, _)| newline);
        Self {
            file: file.path.clone(),
            position: position(text, offset),
            span: (offset, end - offset).into(),
            label: None,
            snippet: text.get(start..stop).unwrap_or_default().to_owned(),
            before: (start, text.get(..start).unwrap_or_default().matches('\n').count()),
        }
    }
}

impl SourceCode for Place {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (bytes, lines) = self.before;
        let inside = (span.offset().saturating_sub(bytes), span.len()).into();
        let found = self.snippet.read_span(&inside, lines_before, lines_after)?;
        // Asked for the place alone, that is where the headline points; columns are characters, as everywhere.
        let is_place = lines_before == 0 && *span == self.span;
        let column = if is_place { self.position.1.saturating_sub(1) } else { found.column() };
        let (line, count) = (found.line() + lines, found.line_count());
        let span = (found.span().offset() + bytes, found.span().len()).into();
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), found.data(), span, line, column, count)))
    }
}

/// Line and column of a byte offset, both counted from 1, columns in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Where a text ends that begins at a line and column, as [`position`] counts them.
pub(super) fn advance((line, column): (usize, usize), text: &str) -> (usize, usize) {
    match text.rsplit_once('\n') {
        Some((before, last)) => (line + before.matches('\n').count() + 1, last.chars().count() + 1),
        None => (line, column + text.chars().count()),
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.place.as_ref().map(|place| &**place as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = place.label.clone().unwrap_or_else(|| "here".to_owned());
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(label), place.span))))
    }
}

/// Why a policy set was not loaded: at least one diagnostic, at most a hundred.
#[derive(Debug, Clone)]
pub struct LoadError {
    first: Diagnostic,
    rest: Vec<Diagnostic>,
}

impl LoadError {
    /// `Ok` when nothing is wrong.
    pub(super) fn check(diagnostics: Vec<Diagnostic>) -> Result<(), Self> {
        let mut all = diagnostics.into_iter();
        all.next().map_or(Ok(()), |first| Err(Self { first, rest: all.take(MOST - 1).collect() }))
    }

    /// The first thing that is wrong.
    #[must_use]
    pub const fn first(&self) -> &Diagnostic {
        &self.first
    }

    /// Everything that is wrong.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl From<Diagnostic> for LoadError {
    fn from(first: Diagnostic) -> Self {
        Self { first, rest: Vec::new() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some((line, column))) = (self.first.file(), self.first.position()) {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        write!(f, "{}", self.first)?;
        if let Some(help) = &self.first.help {
            write!(f, ": {help}")?;
        }
        if !self.rest.is_empty() {
            write!(f, " (and {} more)", self.rest.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}
