//! Which decisions become spans. A caller has no say in it: `traceparent …-00` silences nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::trace::TraceId;

use super::record::{Answer, DecisionRecord, Outcome};

/// Spans of refused credentials in a second: whoever guesses keys must not fill the collector.
const REFUSALS: u64 = 100;

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// An allow that the ratio leaves out.
    Unsampled,
    /// A refused credential beyond what a second may have.
    Limited,
}

/// Denials and errors always, allows by a ratio, refused credentials by a rate.
#[derive(Debug)]
pub(super) struct Sampling {
    /// Trace ids whose lower 63 bits are below this are kept, as `TraceIdRatioBased` of the OpenTelemetry SDK does: the same
    /// ones in every service that samples by the same ratio.
    below: u64,
    refusals: Rate,
}

impl Sampling {
    /// `allow_ratio`: 0.0 to 1.0.
    pub(super) fn new(allow_ratio: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "0 to 2^63 fits"
        )]
        let below = (allow_ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self { below, refusals: Rate::default() }
    }

    pub(super) fn fate(&self, record: &DecisionRecord, trace: TraceId) -> Fate {
        let allowed = match &record.answer {
            Answer::One(judgement) if matches!(judgement.outcome, Outcome::Refused(_)) => {
                return if self.refusals.takes(record.start) { Fate::Kept } else { Fate::Limited };
            }
            Answer::One(judgement) => judgement.outcome.is_allow(),
            Answer::Batch(items) => items.iter().all(|item| item.judgement.outcome.is_allow()),
        };
        if !allowed || self.keeps(trace) { Fate::Kept } else { Fate::Unsampled }
    }

    fn keeps(&self, trace: TraceId) -> bool {
        let lower = u128::from_be_bytes(trace.to_bytes()) & u128::from(u64::MAX);
        (lower >> 1) < u128::from(self.below)
    }
}

/// At most [`REFUSALS`] in each second of the clock.
#[derive(Debug, Default)]
struct Rate {
    /// The second, and how many it had.
    window: AtomicU64,
}

/// A second has room for so many, by bits.
const COUNT_BITS: u32 = 24;

impl Rate {
    fn takes(&self, at: SystemTime) -> bool {
        let second = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let next = |window: u64| {
            let (current, count) = (window >> COUNT_BITS, window & ((1 << COUNT_BITS) - 1));
            match second.cmp(&current) {
                std::cmp::Ordering::Greater => Some(second << COUNT_BITS | 1),
                // A record of a second that is over counts for the one that has come.
                _ if count < REFUSALS => Some(window + 1),
                _ => None,
            }
        };
        self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ratio_keeps_its_share_of_traces_and_the_same_ones_everywhere() {
        let trace = |n: u64| TraceId::from(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let kept = |ratio: f64| (0..10_000).filter(|n| Sampling::new(ratio).keeps(trace(*n))).collect::<Vec<_>>();
        assert_eq!((kept(0.0).len(), kept(1.0).len()), (0, 10_000));
        let (tenth, half) = (kept(0.1), kept(0.5));
        assert!((900..1_100).contains(&tenth.len()) && (4_800..5_200).contains(&half.len()), "{} {}", tenth.len(), half.len());
        assert!(tenth.iter().all(|n| half.contains(n)), "whoever keeps fewer keeps some of the same");
        assert!(Sampling::new(1.0).keeps(TraceId::from(u128::MAX)));
    }

    #[test]
    fn a_second_has_room_for_a_hundred_refusals() {
        let rate = Rate::default();
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_795_494_626 + seconds);
        assert_eq!((0..1_000).filter(|_| rate.takes(at(0))).count(), 100);
        assert!(rate.takes(at(1)), "the next second has room");
        assert_eq!((0..1_000).filter(|_| rate.takes(at(0))).count(), 99, "a clock that goes back gives no more room");
        assert_eq!((0..1_000).filter(|_| rate.takes(at(9))).count(), 100);
    }
}
