//! One thing that is wrong, in the four forms that it can be written in.

use std::io::{self, Write as _};

use miette::{GraphicalReportHandler, GraphicalTheme, Severity};
use serde::Serialize;

use super::Format;
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{Diagnostic, LoadError},
    snapshot::files::ReadError,
};

/// A diagnostic with everything that a report says about it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    severity: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The `@id` of the policy that it is about.
    policy: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    column: Option<usize>,
    #[serde(skip)]
    source: Box<dyn miette::Diagnostic>,
}

/// What has no place in a file's text.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{message}")]
struct Placeless {
    message: String,
    #[help]
    help: Option<String>,
}

/// The same, when it keeps nothing from working.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{message}")]
#[diagnostic(severity(warning))]
struct PlacelessWarning {
    message: String,
    #[help]
    help: Option<String>,
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        let (line, column) = diagnostic.position().unzip();
        Self {
            severity: if diagnostic.severity == Severity::Error { "error" } else { "warning" },
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            policy: diagnostic.policy.clone(),
            file: diagnostic.file().map(str::to_owned),
            line,
            column,
            source: Box::new(diagnostic.clone()),
        }
    }
}

impl Finding {
    /// What has no place in a file's text.
    pub(super) fn placeless(message: impl Into<String>, help: Option<&str>) -> Self {
        let (message, help) = (message.into(), help.map(str::to_owned));
        let source = Box::new(Placeless { message: message.clone(), help: help.clone() });
        Self { severity: "error", message, help, policy: None, file: None, line: None, column: None, source }
    }
}

impl From<&ReadError> for Finding {
    fn from(error: &ReadError) -> Self {
        let help = match error {
            ReadError::NoDirectory(_) => {
                Some("name another one with `--policies DIR` or `--schema DIR`; `claviger init` writes a set to start from")
            }
            ReadError::NoUtf8 { .. } => Some("save the file as UTF-8"),
            _ => None,
        };
        let file = error.file().map(|path| path.display().to_string());
        let (line, column) = match error {
            ReadError::NoUtf8 { line, column, .. } => (Some(*line), Some(*column)),
            _ => (None, None),
        };
        Self { file, line, column, ..Self::placeless(error.to_string(), help) }
    }
}

impl Finding {
    /// What keeps nothing from working, and has no place in a file's text.
    pub(super) fn warning(message: String, help: &str) -> Self {
        let source = Box::new(PlacelessWarning { message: message.clone(), help: Some(help.to_owned()) });
        Self {
            severity: "warning",
            message,
            help: Some(help.to_owned()),
            policy: None,
            file: None,
            line: None,
            column: None,
            source,
        }
    }
}

/// Findings that end a command, and how it ends.
pub(super) type Refusal = (Vec<Finding>, Exit);

/// The end of a command that cannot read what it works on.
pub(super) fn unread(error: &ReadError) -> Refusal {
    (vec![Finding::from(error)], exit_of(error))
}

/// The findings of a failed load.
pub(super) fn of_load(error: &LoadError) -> Vec<Finding> {
    error.diagnostics().map(Finding::from).collect()
}

/// A directory that is not there is a wrong flag; a file that the server could not read is a set that it would not load.
pub(super) const fn exit_of(error: &ReadError) -> Exit {
    match error {
        ReadError::NoDirectory(_) => Exit::Usage,
        ReadError::Unreadable { .. } => Exit::Failed,
        ReadError::NoFile(_)
        | ReadError::NoUtf8 { .. }
        | ReadError::BadName(_)
        | ReadError::TooLarge(_)
        | ReadError::TooDeep(_) => Exit::Negative,
    }
}

/// Writes the findings; as JSON they are part of a document that the command writes itself.
pub(super) fn write_all(findings: &[Finding], format: Format, streams: &mut Streams<'_>) -> io::Result<()> {
    findings.iter().try_for_each(|finding| match format {
        Format::Human => finding.write_human(streams),
        Format::Plain => finding.write_plain(streams),
        Format::Github => {
            let (file, position) = (finding.file.as_deref(), finding.line.zip(finding.column));
            let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            write_annotation(streams, finding.severity, file, position, &format!("{}{help}", finding.message))
        }
        Format::Json => Ok(()),
    })
}

impl Finding {
    fn write_human(&self, streams: &mut Streams<'_>) -> io::Result<()> {
        let color = streams.err.has_color();
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(streams.width);
        let mut text = String::new();
        match handler.render_report(&mut text, &*self.source) {
            Ok(()) => writeln!(streams.err, "{text}"),
            Err(_) => self.write_plain(streams),
        }
    }

    fn write_plain(&self, streams: &mut Streams<'_>) -> io::Result<()> {
        if let (Some(file), Some((line, column))) = (&self.file, self.line.zip(self.column)) {
            write!(streams.err, "{file}:{line}:{column}: ")?;
        }
        writeln!(streams.err, "{}: {}", self.severity, self.message)?;
        match &self.help {
            Some(help) => writeln!(streams.err, "  help: {help}"),
            None => Ok(()),
        }
    }
}

/// A workflow command of GitHub Actions. What it says must not be able to end it and begin another.
pub(super) fn write_annotation(
    streams: &mut Streams<'_>,
    severity: &str,
    file: Option<&str>,
    position: Option<(usize, usize)>,
    message: &str,
) -> io::Result<()> {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    write!(streams.out, "::{severity}")?;
    if let Some(file) = file {
        write!(streams.out, " file={}", escape(file).replace(':', "%3A").replace(',', "%2C"))?;
        if let Some((line, column)) = position {
            write!(streams.out, ",line={line},col={column}")?;
        }
    }
    writeln!(streams.out, "::{}", escape(message))
}

/// One JSON document on the stream for data.
pub(super) fn write_json(streams: &mut Streams<'_>, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut streams.out, document)?;
    writeln!(streams.out)
}
