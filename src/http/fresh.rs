//! Answers that are young enough: decide, then read the age, then answer.
//!
//! The age is the last thing that is read before an answer leaves, so a process that was stopped in the middle, or a machine
//! that slept, does not answer by what it knew before.

use std::sync::Arc;

use arc_swap::Guard;
use axum::http::{HeaderMap, HeaderName};

use super::{error::ApiError, state::App};
use crate::snapshot::{Admission, Snapshot};

const MIN_REVISION: HeaderName = HeaderName::from_static("claviger-min-revision");

/// What was made of a snapshot, and why it must not leave, if so.
pub(super) struct Fresh<T> {
    pub snapshot: Guard<Arc<Snapshot>>,
    pub made: T,
    pub refused: Option<ApiError>,
}

/// The revision that a caller has seen already, and no answer may be older than.
///
/// # Errors
/// A header that is not one number.
pub(super) fn min_revision(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let mut values = headers.get_all(&MIN_REVISION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let number = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match (number.and_then(|text| text.parse().ok()), values.next()) {
        (Some(revision), None) => Ok(Some(revision)),
        _ => Err(ApiError::invalid(MIN_REVISION.as_str(), "`Claviger-Min-Revision` must be one revision, a whole number")),
    }
}

/// Makes something of the current snapshot; when that is older than a second, refreshes it once and makes it again.
pub(super) async fn fresh<T>(app: &App, at_least: Option<i64>, from: impl Fn(&Snapshot) -> T) -> Fresh<T> {
    if let Some(revision) = at_least {
        app.keeper.reach_soon(revision).await;
    }
    let mut refreshed = false;
    loop {
        {
            let snapshot = app.keeper.current();
            let made = from(&snapshot);
            let behind = at_least.is_some_and(|revision| snapshot.revision() < revision);
            let refused = match app.keeper.admit(&snapshot, refreshed) {
                Admission::Refresh => None,
                Admission::Admitted if behind => Some(ApiError::BehindRevision),
                Admission::Admitted => return Fresh { snapshot, made, refused: None },
                Admission::Stale => Some(ApiError::StaleSnapshot),
                Admission::NotReady => Some(ApiError::NotReady),
            };
            if refused.is_some() {
                return Fresh { snapshot, made, refused };
            }
        }
        app.keeper.refresh().await;
        refreshed = true;
    }
}
