//! How a test run is told.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
};

use serde::Serialize;

use crate::{
    cli::{
        policy::{
            finding::{self, Finding},
            why,
        },
        streams::Streams,
    },
    http::WhyView,
    policy::{CaseResult, Missing, Outcome},
};

/// What came out of a run.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub tests: Vec<Tested>,
    pub filtered_out: usize,
    /// What kept the policies or a suite from being run at all.
    pub findings: Vec<Finding>,
    /// Suites that these are about.
    pub unread: usize,
}

/// One case of one suite.
#[derive(Debug)]
pub(super) struct Tested {
    /// `file: case`
    pub name: String,
    pub file: String,
    pub result: CaseResult,
    /// What the policies are worth for a case that failed.
    pub why: Option<WhyView>,
}

impl Run {
    pub(super) fn failed(&self) -> usize {
        self.failures().count()
    }

    fn failures(&self) -> impl Iterator<Item = &Tested> {
        self.tests.iter().filter(|test| !test.result.passed())
    }
}

/// The line of a case, written as soon as it has run: of many cases, that is the progress.
pub(super) fn write_line(test: &Tested, streams: &mut Streams<'_>) -> io::Result<()> {
    let passed = test.result.passed();
    let verdict = streams.out.verdict(passed, if passed { "ok" } else { "FAILED" });
    writeln!(streams.out, "test {} ... {verdict}", test.name)
}

/// What follows the lines of the cases.
pub(super) fn write_human(run: &Run, annotate: bool, streams: &mut Streams<'_>) -> io::Result<()> {
    let count = run.tests.len();
    if run.failed() > 0 {
        writeln!(streams.out, "\nfailures:\n")?;
    }
    for test in run.failures() {
        writeln!(streams.out, "---- {}\n{}", test.name, explain(test, &|good, mark| streams.out.verdict(good, mark)))?;
    }
    if annotate {
        write_annotations(run, streams)?;
    }
    let unread = match run.unread {
        0 => String::new(),
        1 => "; 1 suite not run".to_owned(),
        more => format!("; {more} suites not run"),
    };
    let filtered = if run.filtered_out > 0 { format!("; {} filtered out", run.filtered_out) } else { String::new() };
    let gap = if run.failed() > 0 { "" } else { "\n" };
    writeln!(streams.out, "{gap}{} passed; {} failed{filtered}{unread}", count - run.failed(), run.failed())
}

/// What was expected, what came and who decided, each on a line; then why.
pub(super) fn explain(test: &Tested, paint: why::Paint<'_>) -> String {
    let result = &test.result;
    let (line, column) = result.position;
    let mut told = format!(
        "  at {}:{line}:{column}\n  expected: {}\n       got: {}\n  decided by: {}\n",
        test.file,
        result.expected,
        result.got,
        deciders(&result.got)
    );
    for difference in &result.differences {
        told.push_str("  - ");
        told.push_str(difference);
        told.push('\n');
    }
    if let Some(why) = &test.why {
        told.push_str(&why::tell(&why.explanation, &why.nearest, paint));
    }
    told
}

/// Of a failed case, so many policies are explained: first those that hold or fail, then those about the request.
const EXPLAINED: usize = 6;

/// What a reader of a failure needs to see.
pub(super) fn most_telling(mut why: WhyView) -> WhyView {
    why.explanation.retain(|policy| policy.is_about);
    why.explanation.sort_by_key(|policy| policy.value == "false");
    why.explanation.truncate(EXPLAINED);
    why
}

fn deciders(got: &Outcome) -> String {
    if got.policies.is_empty() { "no policy".to_owned() } else { got.policies.join(", ") }
}

fn write_annotations(run: &Run, streams: &mut Streams<'_>) -> io::Result<()> {
    run.failures().try_for_each(|test| {
        let result = &test.result;
        let message = format!("{}: {} (decided by {})", result.name, result.differences.join("; "), deciders(&result.got));
        finding::write_annotation(streams, "error", Some(&test.file), Some(result.position), &message)
    })
}

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    passed: usize,
    failed: usize,
    filtered_out: usize,
    tests: Vec<TestView<'a>>,
    diagnostics: &'a [Finding],
}

#[derive(Serialize)]
struct TestView<'a> {
    file: &'a str,
    name: &'a str,
    line: usize,
    column: usize,
    passed: bool,
    expected: ExpectedView<'a>,
    got: OutcomeView<'a>,
    differences: &'a [String],
    /// Of a case that failed.
    #[serde(flatten)]
    why: Option<&'a WhyView>,
}

#[derive(Serialize)]
struct ExpectedView<'a> {
    decision: &'static str,
    reason: &'a [String],
    policies: Option<&'a BTreeSet<String>>,
    code: Option<&'a str>,
    /// Absent when the case does not care, `null` when no permission alone would have helped.
    #[serde(skip_serializing_if = "MissingView::is_any")]
    missing_permission: MissingView<'a>,
    errors: usize,
}

struct MissingView<'a>(&'a Missing);

impl MissingView<'_> {
    fn is_any(&self) -> bool {
        *self.0 == Missing::Any
    }
}

impl Serialize for MissingView<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Missing::Permission(name) => serializer.serialize_str(name),
            Missing::Any | Missing::Nothing => serializer.serialize_none(),
        }
    }
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    decision: &'static str,
    policies: Vec<&'a str>,
    code: Option<&'a str>,
    missing_permission: Option<&'a str>,
    errors: usize,
    detail: Option<&'a str>,
}

pub(super) fn write_json(run: &Run, streams: &mut Streams<'_>) -> io::Result<()> {
    let failed = run.failed();
    let report = Report {
        ok: failed == 0 && run.findings.is_empty() && !run.tests.is_empty(),
        passed: run.tests.len() - failed,
        failed,
        filtered_out: run.filtered_out,
        tests: run.tests.iter().map(view).collect(),
        diagnostics: &run.findings,
    };
    finding::write_json(streams, &report)
}

fn view(test: &Tested) -> TestView<'_> {
    let (expected, got) = (&test.result.expected, &test.result.got);
    let (line, column) = test.result.position;
    TestView {
        file: &test.file,
        name: &test.result.name,
        line,
        column,
        passed: test.result.passed(),
        expected: ExpectedView {
            decision: expected.effect(),
            reason: &expected.reason,
            policies: expected.policies.as_ref(),
            code: expected.code.as_deref(),
            missing_permission: MissingView(&expected.missing_permission),
            errors: expected.errors,
        },
        got: OutcomeView {
            decision: got.effect(),
            policies: got.policies.iter().map(AsRef::as_ref).collect(),
            code: got.code.as_deref(),
            missing_permission: got.missing_permission.as_deref(),
            errors: got.errors,
            detail: got.detail.as_deref(),
        },
        differences: &test.result.differences,
        why: test.why.as_ref(),
    }
}
