//! What is wrong with a policy set, and where: file, line, column, snippet, help.

use std::{fmt, sync::Arc};

use miette::{LabeledSpan, NamedSource, SourceSpan};

use super::files::SourceFile;

/// One thing that is wrong, in one place.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub message: String,
    pub help: Option<String>,
    /// The `@id` of the policy that it is about.
    pub policy: Option<String>,
    place: Option<Box<Place>>,
}

#[derive(Debug, Clone)]
struct Place {
    source: Arc<NamedSource<String>>,
    span: SourceSpan,
    label: Option<String>,
}

impl Diagnostic {
    /// About the set as a whole.
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, policy: None, place: None }
    }

    /// About `length` bytes of a file, from `offset` on.
    pub(super) fn at(file: &SourceFile, offset: usize, length: usize, message: impl Into<String>) -> Self {
        let source = Arc::new(NamedSource::new(&file.path, file.text.clone()));
        let offset = offset.min(file.text.len());
        let length = length.min(file.text.len() - offset);
        let place = Place { source, span: (offset, length).into(), label: None };
        Self { place: Some(Box::new(place)), ..Self::general(message) }
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

    pub(super) fn policy(mut self, id: impl Into<String>) -> Self {
        self.policy = Some(id.into());
        self
    }

    /// The file's path, when the diagnostic is about one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.source.name())
    }

    /// Line and column, both counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        let place = self.place.as_ref()?;
        Some(position(place.source.inner(), place.span.offset()))
    }
}

/// Line and column of a byte offset, both counted from 1, columns in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.place.as_ref().map(|place| &*place.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = place.label.clone().unwrap_or_else(|| "here".to_owned());
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(label), place.span))))
    }
}

/// Why a policy set was not loaded: at least one diagnostic.
#[derive(Debug, Clone)]
pub struct LoadError {
    first: Diagnostic,
    rest: Vec<Diagnostic>,
}

impl LoadError {
    /// `Ok` when nothing is wrong.
    pub(super) fn check(diagnostics: Vec<Diagnostic>) -> Result<(), Self> {
        let mut all = diagnostics.into_iter();
        all.next().map_or(Ok(()), |first| Err(Self { first, rest: all.collect() }))
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
