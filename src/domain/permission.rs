//! Permissions by name. The schema is their only list; this module knows their spelling, not which exist.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

/// The name of a permission, an action or a preset: `[a-z0-9][a-z0-9_.:-]{0,127}`, compared as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Arc<str>);

/// A permission's name has another spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a permission is 1 to 128 of `a-z0-9_.:-` and starts with a letter or digit")]
pub struct ParsePermissionError;

impl Permission {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl serde::Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl FromStr for Permission {
    type Err = ParsePermissionError;

    fn from_str(text: &str) -> Result<Self, ParsePermissionError> {
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let rest = |b: u8| first(b) || b"_.:-".contains(&b);
        let starts_well = text.bytes().next().is_some_and(first);
        if starts_well && text.len() <= 128 && text.bytes().all(rest) { Ok(Self(text.into())) } else { Err(ParsePermissionError) }
    }
}

/// What a key was granted: single permissions, presets already expanded.
pub type Permissions = BTreeSet<Permission>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_look_alike_are_refused() {
        for text in [
            "",
            ":read",
            "Jobs:read",
            "jobs:read ",
            " jobs:read",
            "jobs:read\0",
            "jobs/read",
            "ſcan:create",
            "\u{212a}ey:read",
            "jobs:reаd",
            "jobs:re\u{200d}ad",
            "ｊobs:read",
            "jobs:réad",
            "jobs:re\u{301}ad",
            &"a".repeat(129),
        ] {
            assert_eq!(text.parse::<Permission>(), Err(ParsePermissionError), "{text:?}");
        }
        assert!("a".repeat(128).parse::<Permission>().is_ok());
        assert!("classify:create".parse::<Permission>().is_ok());
    }
}
