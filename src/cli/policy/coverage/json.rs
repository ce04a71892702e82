//! The JSON form.

use std::io;

use serde::Serialize;

use super::Report;
use crate::{
    cli::{
        policy::finding::{self, Finding},
        streams::Streams,
    },
    policy::{Effect, Gap, PolicyCoverage, Share},
};

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    /// Rounded down to two decimal places; 100 is everything.
    percent: f64,
    covered: usize,
    total: usize,
    cases: usize,
    /// Cases that do not hold, and so show nothing.
    failed: usize,
    missing: Vec<GapView<'a>>,
    policies: Vec<PolicyView<'a>>,
    diagnostics: &'a [Finding],
}

#[derive(Serialize)]
struct GapView<'a> {
    policy: &'a str,
    clause: Option<&'a str>,
    file: &'a str,
    line: usize,
    column: usize,
    what: &'static str,
}

#[derive(Serialize)]
struct PolicyView<'a> {
    id: &'a str,
    effect: &'static str,
    file: &'a str,
    line: usize,
    column: usize,
    decided: bool,
    clauses: Vec<ClauseView<'a>>,
}

#[derive(Serialize)]
struct ClauseView<'a> {
    kind: &'static str,
    text: &'a str,
    line: usize,
    column: usize,
    seen_true: bool,
    seen_false: bool,
}

pub(super) fn write(report: &Report, streams: &mut Streams<'_>) -> io::Result<()> {
    let coverage = &report.coverage;
    let count = coverage.count();
    let document = Document {
        ok: report.is_good(),
        percent: percent(count),
        covered: count.part,
        total: count.whole,
        cases: coverage.cases,
        failed: coverage.failed,
        missing: coverage.gaps().map(gap_view).collect(),
        policies: coverage.policies.iter().map(policy_view).collect(),
        diagnostics: &report.findings,
    };
    finding::write_json(streams, &document)
}

/// When there is nothing to measure.
pub(super) fn write_refusal(findings: &[Finding], streams: &mut Streams<'_>) -> io::Result<()> {
    let document = Document {
        ok: false,
        percent: 0.0,
        covered: 0,
        total: 0,
        cases: 0,
        failed: 0,
        missing: Vec::new(),
        policies: Vec::new(),
        diagnostics: findings,
    };
    finding::write_json(streams, &document)
}

fn percent(share: Share) -> f64 {
    f64::from(share.hundredths()) / 100.0
}

fn gap_view(gap: Gap<'_>) -> GapView<'_> {
    let (line, column) = gap.position();
    let info = &gap.policy.info;
    let clause = gap.clause.map(|clause| clause.text.as_str());
    GapView { policy: &info.id, clause, file: &info.file, line, column, what: gap.what }
}

fn policy_view(policy: &PolicyCoverage) -> PolicyView<'_> {
    let info = &policy.anatomy.info;
    let clauses = policy.anatomy.clauses.iter().zip(&policy.seen).map(|(clause, seen)| ClauseView {
        kind: clause.kind.as_str(),
        text: &clause.text,
        line: clause.position.0,
        column: clause.position.1,
        seen_true: seen.as_true,
        seen_false: seen.as_false,
    });
    PolicyView {
        id: &info.id,
        effect: if info.effect == Effect::Permit { "permit" } else { "forbid" },
        file: &info.file,
        line: info.line,
        column: info.column,
        decided: policy.decided,
        clauses: clauses.collect(),
    }
}
