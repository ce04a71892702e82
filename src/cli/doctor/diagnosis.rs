//! What a check found.

use std::{fmt, future::Future, time::Duration};

use serde::{Serialize, Serializer};

use crate::{cli::failure::chain, domain::redact::redact, store::StoreError};

/// How it stands with one thing, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    /// Something that it builds on is missing.
    NotChecked,
    Warning,
    Problem,
    /// A problem that hides others: nobody answers.
    Unreachable,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Warning => "warning",
            Self::Problem | Self::Unreachable => "problem",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that was looked at: what it is like, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    #[serde(rename = "check")]
    pub name: &'static str,
    pub state: State,
    pub finding: String,
    pub remedy: Option<String>,
}

/// How long one question to the database may take; the walk along the audit chain has no limit.
const PATIENCE: Duration = Duration::from_secs(30);

impl Check {
    fn new(check: &'static str, state: State, finding: impl fmt::Display, remedy: Option<&str>) -> Self {
        // Findings quote files and rows, where somebody may have put a secret.
        let finding = redact(&finding.to_string()).into_owned();
        Self { name: check, state, finding, remedy: remedy.map(|remedy| redact(remedy).into_owned()) }
    }

    pub(super) fn ok(check: &'static str, finding: impl fmt::Display) -> Self {
        Self::new(check, State::Ok, finding, None)
    }

    pub(super) fn not_checked(check: &'static str, why: impl fmt::Display) -> Self {
        Self::new(check, State::NotChecked, why, None)
    }

    pub(super) fn warning(check: &'static str, finding: impl fmt::Display, remedy: &str) -> Self {
        Self::new(check, State::Warning, finding, Some(remedy))
    }

    pub(super) fn problem(check: &'static str, finding: impl fmt::Display, remedy: &str) -> Self {
        Self::new(check, State::Problem, finding, Some(remedy))
    }

    pub(super) fn unreachable(check: &'static str, finding: impl fmt::Display, remedy: &str) -> Self {
        Self::new(check, State::Unreachable, finding, Some(remedy))
    }

    /// What the database refused to tell.
    pub(super) fn unread(check: &'static str, error: &StoreError) -> Self {
        let finding = chain(error);
        match error {
            StoreError::Unavailable(_) | StoreError::Silent => {
                Self::unreachable(check, finding, "see that the database runs, and that it can be reached from here")
            }
            StoreError::Schema(_) => Self::problem(check, finding, "run the claviger that fits the database, or migrate it"),
            _ => Self::problem(check, finding, "repair the row, or restore the database from a backup"),
        }
    }

    /// As a line of a table.
    pub(super) fn row(&self) -> Vec<String> {
        let remedy = self.remedy.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.name.to_owned(), self.state.as_str().to_owned(), self.finding.clone(), remedy]
    }
}

/// Asks the database, and gives up when it went silent.
pub(super) async fn ask<T>(check: &'static str, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Check> {
    let answer = tokio::time::timeout(PATIENCE, question).await.unwrap_or(Err(StoreError::Silent));
    answer.map_err(|error| Check::unread(check, &error))
}

/// A duration for people.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

/// `1 key`, `2 keys`.
pub(super) fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
