//! The run as a JUnit file, which every CI system shows: a suite for each file, a case for each case.

use std::{collections::BTreeMap, fs, io, path::Path};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::{Run, Tested, explain};
use crate::cli::policy::finding::Finding;

pub(super) fn write(run: &Run, path: &Path) -> io::Result<()> {
    let mut suites: BTreeMap<&str, Vec<TestCase>> = BTreeMap::new();
    for finding in &run.findings {
        let file = finding.file.as_deref().unwrap_or("policies");
        suites.entry(file).or_default().push(unread(file, finding));
    }
    for test in &run.tests {
        suites.entry(&test.file).or_default().push(case(test));
    }
    let mut report = Report::new("claviger policy test");
    for (file, cases) in suites {
        let mut suite = TestSuite::new(file.to_owned());
        suite.add_test_cases(cases);
        report.add_test_suite(suite);
    }
    fs::write(path, report.to_string().map_err(io::Error::other)?)
}

fn case(test: &Tested) -> TestCase {
    let mut status = TestCaseStatus::success();
    if !test.result.passed() {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_type("decision")
            .set_message(test.result.differences.join("; "))
            .set_description(explain(test, &|_, mark| mark.to_owned()));
    }
    let mut case = TestCase::new(test.result.name.clone(), status);
    case.set_classname(test.file.clone());
    case
}

/// What kept the policies or a suite from being run is an error of the file that it is about.
fn unread(file: &str, finding: &Finding) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("unreadable").set_message(finding.message.clone());
    if let Some(help) = &finding.help {
        status.set_description(format!("{}\nhelp: {help}", finding.message));
    }
    let mut case = TestCase::new("can be read", status);
    case.set_classname(file.to_owned());
    case
}
