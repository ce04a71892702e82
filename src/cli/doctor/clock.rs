//! Two clocks, and how far they are apart.

use std::time::Duration;

use super::diagnosis::Check;
use crate::domain::clock::Timestamp;

pub(super) const CHECK: &str = "clock";
/// Expiry is promised to within this.
const TOLERATED_MS: i64 = 1_000;

/// What another machine's clock said to a question of ours.
#[derive(Debug)]
pub(super) struct Sample {
    /// From the question to the answer.
    pub took: Duration,
    /// How far it is ahead of our clock, when it said something.
    pub ahead_ms: Option<i64>,
    /// By how much that can be wrong.
    unsure_ms: i64,
}

impl Sample {
    /// An answer to a question that was sent at `now`: its clock was read somewhere between that and the answer.
    pub(super) fn new(now: Timestamp, took: Duration, told: Option<Timestamp>) -> Self {
        let half = i64::try_from((took / 2).as_millis()).unwrap_or(i64::MAX);
        let ahead_ms = told.map(|told| told.as_millis().saturating_sub(now.as_millis()).saturating_sub(half));
        Self { took, ahead_ms, unsure_ms: half }
    }

    /// The same, where the clock was told in whole seconds, the rest cut off.
    pub(super) fn of_seconds(now: Timestamp, took: Duration, told: Option<Timestamp>) -> Self {
        let sample = Self::new(now, took, told.map(|told| told.plus(Duration::from_millis(500))));
        Self { unsure_ms: sample.unsure_ms.saturating_add(500), ..sample }
    }
}

/// Whether the clocks are near enough to each other.
pub(super) fn check(whose: &str, sample: &Sample) -> Check {
    let Some(ahead) = sample.ahead_ms else {
        return Check::not_checked(CHECK, format!("{whose} does not tell the time"));
    };
    let apart = ahead.saturating_abs();
    let seconds = format!("{}.{:01} s", apart / 1_000, apart % 1_000 / 100);
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    if apart.saturating_sub(sample.unsure_ms) < TOLERATED_MS {
        return Check::ok(CHECK, format!("that of {whose} is less than a second away from this machine's"));
    }
    Check::warning(
        CHECK,
        format!("that of {whose} is {seconds} {side} this machine's: what is stamped and expires here is off by as much"),
        "let a time service such as chrony set the clocks of both machines",
    )
}
