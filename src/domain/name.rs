//! Texts that people type: names, slugs, reasons.

use std::{fmt, str::FromStr};

use super::redact::holds_secret;

/// What is wrong with a typed text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTextError {
    #[error("must have 1 to {0} characters, not counting spaces around them")]
    Length(usize),
    #[error("must not hold control characters or line breaks")]
    Control,
    #[error("must not hold an API key or an admin token")]
    Secret,
    #[error("a slug is 1 to 63 of `a-z`, `0-9` and `-`, and starts with a letter or digit")]
    Slug,
}

macro_rules! texts {
    ($($name:ident $max:literal $doc:literal;)*) => { $(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);
        impl $name { #[doc = "The text, trimmed."] #[must_use] pub fn as_str(&self) -> &str { &self.0 } }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl FromStr for $name {
            type Err = ParseTextError;
            fn from_str(text: &str) -> Result<Self, ParseTextError> { parse_text(text, $max).map(Self) }
        }
    )* };
}

texts! {
    Name 100 "The name of an org, key or admin: 1 to 100 characters, any script, no control characters.";
    Reason 500 "Why somebody did something: 1 to 500 characters.";
}

fn parse_text(text: &str, max: usize) -> Result<Box<str>, ParseTextError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max {
        return Err(ParseTextError::Length(max));
    }
    // U+2028 and U+2029 are line breaks to some readers of logs, though no control characters to Unicode.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(ParseTextError::Control);
    }
    if holds_secret(text) {
        return Err(ParseTextError::Secret);
    }
    Ok(text.into())
}

/// A short name for commands and URLs, unique among the orgs that exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Slug(Box<str>);

impl Slug {
    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug that a name suggests: ASCII letters and digits in lower case, everything else one `-`.
    #[must_use]
    pub fn suggest(name: &Name) -> Option<Self> {
        let words = name.as_str().to_lowercase();
        let words: Vec<&str> = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let slug: String = words.join("-").chars().take(63).collect();
        slug.trim_end_matches('-').parse().ok()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Slug {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts_well = text.bytes().next().is_some_and(|b| b != b'-');
        if starts_well && text.len() <= 63 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(ParseTextError::Slug)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_of_any_script() {
        assert_eq!("  Ärzte für 世界 ".parse::<Name>().unwrap().as_str(), "Ärzte für 世界");
    }

    #[test]
    fn names_that_break_a_log_line_or_hold_a_key_are_refused() {
        assert_eq!("a\nb".parse::<Name>(), Err(ParseTextError::Control));
        assert_eq!("a\u{1b}[31m".parse::<Name>(), Err(ParseTextError::Control));
        assert_eq!(" ".parse::<Name>(), Err(ParseTextError::Length(100)));
        assert_eq!("x".repeat(101).parse::<Name>(), Err(ParseTextError::Length(100)));
        let key = format!("my op_live_{}", "0".repeat(38));
        assert_eq!(key.parse::<Name>(), Err(ParseTextError::Secret));
    }

    #[test]
    fn a_slug_is_suggested_from_the_name() {
        assert_eq!(Slug::suggest(&"Acme, Inc. (EU)".parse().unwrap()).unwrap().as_str(), "acme-inc-eu");
        assert_eq!(Slug::suggest(&"世界".parse().unwrap()), None);
        for text in ["", "-a", "A", "a_b", "a b", &"a".repeat(64)] {
            assert!(text.parse::<Slug>().is_err(), "{text}");
        }
    }
}
