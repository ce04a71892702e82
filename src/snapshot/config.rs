//! The configuration section `consistency`: how old a decision's facts may be.

use std::time::Duration;

use serde::Deserialize;

use super::protocol::REFRESH;
use crate::domain::clock::parse_duration;

/// The section `consistency`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencyConfig {
    pub profile: Profile,
    /// `[0-9]+[smhd]`; without one the profile says it.
    pub max_staleness: Option<String>,
}

/// What matters more when the database cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// To go on deciding for a minute.
    #[default]
    Default,
    /// To decide by nothing older than 5 seconds.
    Strict,
}

impl Profile {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
        }
    }
}

impl ConsistencyConfig {
    /// The limit as it is written, or as the profile has it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.max_staleness
            .clone()
            .unwrap_or_else(|| self.max_staleness().map_or_else(|error| error, |age| format!("{}s", age.as_secs())))
    }

    /// How old the snapshot may be that is decided on; also how long a write waits at most to be a fact everywhere.
    ///
    /// # Errors
    /// What is wrong with `max_staleness`, in a sentence.
    pub fn max_staleness(&self) -> Result<Duration, String> {
        const LEAST: Duration = REFRESH.saturating_mul(2);
        const MOST: Duration = Duration::from_hours(24);
        let Some(text) = &self.max_staleness else {
            return Ok(match self.profile {
                Profile::Default => Duration::from_mins(1),
                Profile::Strict => Duration::from_secs(5),
            });
        };
        match parse_duration(text) {
            Ok(given) if (LEAST..=MOST).contains(&given) => Ok(given),
            Ok(_) => Err(format!("`max_staleness` must lie between {} s and 24 h", LEAST.as_secs())),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(profile: Profile, max_staleness: Option<&str>) -> Result<Duration, String> {
        ConsistencyConfig { profile, max_staleness: max_staleness.map(str::to_owned) }.max_staleness()
    }

    #[test]
    fn a_profile_says_how_old_a_snapshot_may_be_unless_somebody_says_it_in_so_many_words() {
        assert_eq!(given(Profile::Default, None), Ok(Duration::from_mins(1)));
        assert_eq!(given(Profile::Strict, None), Ok(Duration::from_secs(5)));
        for profile in [Profile::Default, Profile::Strict] {
            assert_eq!(given(profile, Some("2s")), Ok(Duration::from_secs(2)));
            assert_eq!(given(profile, Some("24h")), Ok(Duration::from_hours(24)));
        }
    }

    #[test]
    fn a_lease_that_no_poll_could_renew_or_nobody_could_wait_for_is_refused() {
        for text in ["1s", "0s", "25h", "2", "", "-5s", "2 s"] {
            assert!(given(Profile::Default, Some(text)).is_err(), "{text:?}");
        }
    }
}
