//! Time as an argument: [`Timestamp`] is what the product stores and prints, [`Clock`] is where a room gets `now` from.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, SecondsFormat, Utc};

/// Milliseconds since the Unix epoch, UTC. Prints as RFC 3339 with three decimals and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The years that every engine, JSON reader and Cedar's `datetime` agree on: 0001 to 9999.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the Unix epoch, clamped to the years 0001 to 9999.
    #[must_use]
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(FIRST_MS, LAST_MS))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment plus `by`; stops at the end of the year 9999.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_millis(at.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        // INVARIANT: a Timestamp lies within chrono's range, so the fallback is never taken.
        DateTime::from_timestamp_millis(at.0).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::from(*self).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// What is wrong with a time or a duration that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTimeError {
    #[error("a time is RFC 3339 with an offset, for example `2027-01-31T12:00:00Z`")]
    Time,
    #[error("a duration is a number and one of s, m, h, d, for example `90m` or `24h`")]
    Duration,
}

impl FromStr for Timestamp {
    type Err = ParseTimeError;

    /// RFC 3339, years 0001 to 9999; a leap second is refused because no other part of the product can hold one.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| ParseTimeError::Time)?;
        let ms = at.timestamp_millis();
        let leap = at.timestamp_subsec_nanos() >= 1_000_000_000;
        if leap || !(FIRST_MS..=LAST_MS).contains(&ms) {
            return Err(ParseTimeError::Time);
        }
        Ok(Self(ms))
    }
}

/// Parses `[0-9]+[smhd]`, at most 1,000 years.
///
/// # Errors
/// Anything else, including an empty number, a sign, spaces and overflow.
pub fn parse_duration(text: &str) -> Result<Duration, ParseTimeError> {
    const LONGEST_SECONDS: u64 = 1000 * 366 * 86_400;
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => return Err(ParseTimeError::Duration),
    };
    let digits = text.get(..text.len() - 1).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseTimeError::Duration);
    }
    let number: u64 = digits.parse().map_err(|_| ParseTimeError::Duration)?;
    match number.checked_mul(unit) {
        Some(seconds) if seconds <= LONGEST_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(ParseTimeError::Duration),
    }
}

/// Time since the machine started, counted through its sleep; no clock setting moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(Duration);

impl Uptime {
    /// From the time since the machine started.
    #[must_use]
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long ago `earlier` was; nothing when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment plus `by`.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// Nanoseconds since the machine started; fits for 292 years.
    #[must_use]
    pub fn as_nanos(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }

    /// The moment of so many nanoseconds since the machine started.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
    }
}

/// Where `now` comes from: the machine, or a hand in a test.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// Stands still until somebody moves it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.as_millis())))
    }

    /// The current moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this type is where the machine's clock is read")]
            Self::System => Utc::now().into(),
            Self::Manual(ms) => Timestamp::from_millis(ms.load(Ordering::SeqCst)),
        }
    }

    /// The current moment as finely as the machine tells it: spans nest only when their starts are not cut to milliseconds.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this type is where the machine's clock is read")]
            Self::System => SystemTime::now(),
            Self::Manual(_) => DateTime::<Utc>::from(self.now()).into(),
        }
    }

    /// The time by which ages and leases are counted: a process that was stopped, or a machine that slept, knows for how long.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        match self {
            Self::System => {
                let now = rustix::time::clock_gettime(UPTIME);
                let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
                Uptime(Duration::new(seconds, nanos))
            }
            Self::Manual(ms) => Uptime(Duration::from_millis(u64::try_from(ms.load(Ordering::SeqCst)).unwrap_or(0))),
        }
    }

    /// Whether time passes by itself.
    #[must_use]
    pub const fn is_system(&self) -> bool {
        matches!(self, Self::System)
    }

    /// Moves a manual clock forward; a system clock moves itself.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(ms) = self {
            ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

/// On systems without `CLOCK_BOOTTIME` the monotonic clock goes on in sleep (macOS), or is the best there is.
#[cfg(target_os = "linux")]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc_with_milliseconds() {
        let at: Timestamp = "2026-11-24T04:30:26.1239+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-24T03:30:26.123Z");
    }

    #[test]
    fn times_that_no_clock_shows_are_refused() {
        for text in [
            "",
            "0",
            "-1",
            "2026-11-24",
            "2026-11-24T00:00:00",
            "2026-12-31T23:59:60Z",
            "2026-13-01T00:00:00Z",
            "9223372036854775807",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimeError::Time), "{text}");
        }
        assert_eq!("9999-12-31T23:59:59.999Z".parse::<Timestamp>().unwrap().to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!("2026-11-24T14:00:00+14:00".parse::<Timestamp>().unwrap().to_string(), "2026-11-24T00:00:00.000Z");
    }

    #[test]
    fn durations_are_digits_and_one_unit() {
        assert_eq!(parse_duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for text in ["", "h", "24", "-1h", "+1h", "1.5h", " 1h", "1h ", "1w", "99999999999999999999s", "400000d", "1٣h"] {
            assert_eq!(parse_duration(text), Err(ParseTimeError::Duration), "{text}");
        }
    }
}
