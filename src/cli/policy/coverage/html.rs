//! The HTML page: every policy file with its clauses marked. One file, no script, nothing loaded from anywhere.

use std::{
    io::{self, Write},
    ops::Range,
};

use super::line;
use crate::policy::{Coverage, PolicyCoverage, PolicyFiles, SourceFile, SourceKind};

/// Marks differ by line, sign and words as well as by color.
const STYLE: &str = "
:root { color-scheme: light dark; --good: #1a7f37; --bad: #b42318; --soft: #f2f4f7; --text: #101828; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff8a7a; --soft: #1d2430; --text: #e6e9ef; --page: #11151c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1.5rem .2rem 0; font-weight: normal; } td { font-variant-numeric: tabular-nums; }
code, pre { font: 14px/1.7 ui-monospace, monospace; }
.file { display: flex; background: var(--soft); border-radius: .4rem; overflow-x: auto; }
.file pre { margin: 0; padding: .8rem; } .numbers { text-align: right; opacity: .6; user-select: none; }
mark { background: none; color: inherit; }
mark.shown { border-bottom: 2px solid var(--good); } mark.shown::after { content: ' ✓'; color: var(--good); }
mark.missing { border-bottom: 2px dashed var(--bad); }
.note { color: var(--bad); font-weight: bold; }
";

const LEGEND: &str = "<p>What the test cases have shown is <mark class=\"shown\">underlined</mark>. What they have not shown is \
<mark class=\"missing\">dashed</mark> <span class=\"note\">[and says what is missing]</span>.</p>";

/// Writes the page.
pub(super) fn write(coverage: &Coverage, files: &PolicyFiles, page: &mut impl Write) -> io::Result<()> {
    let count = coverage.count();
    writeln!(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(page, "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Policy coverage</title>")?;
    writeln!(page, "<style>{STYLE}</style>\n</head>\n<body>\n<h1>Policy coverage: {count}</h1>\n<table>")?;
    for (what, share) in
        [("Policies that decided a case", coverage.decided()), ("Clauses that were true and false", coverage.clauses())]
    {
        writeln!(page, "<tr><th>{what}</th><td>{} of {}</td></tr>", share.part, share.whole)?;
    }
    writeln!(page, "<tr><th>Cases</th><td>{}, {} failing</td></tr>\n</table>", coverage.cases, coverage.failed)?;
    writeln!(page, "{LEGEND}")?;
    if coverage.gaps().next().is_some() {
        writeln!(page, "<h2>Never shown</h2>\n<ul>")?;
        coverage.gaps().try_for_each(|gap| writeln!(page, "<li><code>{}</code></li>", escape(&line(&gap))))?;
        writeln!(page, "</ul>")?;
    }
    for file in files.of(SourceKind::Policies) {
        write_file(coverage, file, page)?;
    }
    writeln!(page, "</body>\n</html>")
}

fn write_file(coverage: &Coverage, file: &SourceFile, page: &mut impl Write) -> io::Result<()> {
    writeln!(page, "<h2>{}</h2>\n<div class=\"file\">", escape(&file.path))?;
    write!(page, "<pre class=\"numbers\" aria-hidden=\"true\">")?;
    (1..=file.text.lines().count()).try_for_each(|number| writeln!(page, "{number}"))?;
    write!(page, "</pre><pre>")?;
    let mut rest = file.text.as_str();
    for policy in coverage.policies.iter().filter(|policy| policy.anatomy.info.file == file.path) {
        // Policies come in the order of the text, so each begins at the next place where it stands.
        if let Some((before, after)) = rest.split_once(policy.anatomy.text.as_str()) {
            write!(page, "{}", escape(before))?;
            write_policy(policy, page)?;
            rest = after;
        }
    }
    writeln!(page, "{}</pre></div>", escape(rest))
}

/// The text of a policy with its effect and its clauses marked.
fn write_policy(policy: &PolicyCoverage, page: &mut impl Write) -> io::Result<()> {
    let anatomy = &policy.anatomy;
    let part = |range: Range<usize>| escape(anatomy.text.get(range).unwrap_or_default());
    let clauses = anatomy.clauses.iter().zip(&policy.seen).map(|(clause, seen)| (&clause.span, seen.gap()));
    let mut end = 0;
    for (span, gap) in std::iter::once((&anatomy.effect, policy.gap())).chain(clauses) {
        let inside = part(span.clone());
        write!(page, "{}", part(end..span.start))?;
        match gap {
            None => write!(page, "<mark class=\"shown\">{inside}</mark>")?,
            Some(what) => {
                write!(page, "<mark class=\"missing\">{inside}</mark> <span class=\"note\">[{what}]</span>")?;
            }
        }
        end = span.end;
    }
    write!(page, "{}", part(end..anatomy.text.len()))
}

/// A text as HTML shows it, whatever it holds.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(c),
            '\r' => {}
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
