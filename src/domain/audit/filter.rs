//! Which audit rows are wanted.

use std::{fmt, str::FromStr};

use crate::domain::{
    clock::Timestamp,
    id::{AdminId, KeyId, OrgId},
};

/// Which audit rows are wanted: those that fit everything that is given. Prints as the query of `GET /v1/audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub action: Option<ActionName>,
    pub target: Option<TargetName>,
    pub actor: Option<ActorName>,
    /// The first moment.
    pub since: Option<Timestamp>,
    /// The first moment that is too late.
    pub until: Option<Timestamp>,
}

impl fmt::Display for AuditFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = [
            ("action", self.action.as_ref().map(|action| action.as_str().to_owned())),
            ("target", self.target.as_ref().map(|target| target.as_str().to_owned())),
            ("actor", self.actor.as_ref().map(ToString::to_string)),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        let mut and = "";
        for (name, value) in given {
            if let Some(value) = value {
                write!(f, "{and}{name}={value}")?;
                and = "&";
            }
        }
        Ok(())
    }
}

/// What is wrong with a filter that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFilterError {
    #[error("an action is a noun and a verb, for example `org.suspend`")]
    Action,
    #[error("a target is the id of an organization, a key or an admin")]
    Target,
    #[error("an actor is the id of an admin, or `admin`, `command_line` or `system`")]
    Actor,
}

/// The name of an action: `org.suspend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionName(String);

impl ActionName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ActionName {
    type Err = ParseFilterError;

    fn from_str(text: &str) -> Result<Self, ParseFilterError> {
        let is_word =
            |word: &str| (1..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let (noun, verb) = text.split_once('.').ok_or(ParseFilterError::Action)?;
        if is_word(noun) && is_word(verb) { Ok(Self(text.to_owned())) } else { Err(ParseFilterError::Action) }
    }
}

/// The id of what was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName(String);

impl TargetName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TargetName {
    type Err = ParseFilterError;

    fn from_str(text: &str) -> Result<Self, ParseFilterError> {
        let is_id = text.parse::<OrgId>().is_ok() || text.parse::<KeyId>().is_ok() || text.parse::<AdminId>().is_ok();
        if is_id { Ok(Self(text.to_owned())) } else { Err(ParseFilterError::Target) }
    }
}

/// Who changed something: one admin, or everybody of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorName {
    Admin(AdminId),
    /// As [`super::Actor::kind`].
    Kind(&'static str),
}

impl fmt::Display for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin(id) => id.fmt(f),
            Self::Kind(kind) => f.write_str(kind),
        }
    }
}

impl FromStr for ActorName {
    type Err = ParseFilterError;

    fn from_str(text: &str) -> Result<Self, ParseFilterError> {
        const KINDS: [&str; 3] = ["admin", "command_line", "system"];
        match KINDS.iter().find(|kind| **kind == text) {
            Some(kind) => Ok(Self::Kind(kind)),
            None => text.parse().map(Self::Admin).map_err(|_| ParseFilterError::Actor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parsed_at_the_door() {
        for text in ["", "org", ".", "org.", ".suspend", "org.suspend.now", "Org.suspend", "org suspend", "org.%"] {
            assert_eq!(text.parse::<ActionName>(), Err(ParseFilterError::Action), "{text}");
        }
        for text in ["", "acme", "org_1", "evt_00000000000000000000000000"] {
            assert_eq!(text.parse::<TargetName>(), Err(ParseFilterError::Target), "{text}");
        }
        for text in ["", "Ada", "cli", "org_00000000000000000000000000"] {
            assert_eq!(text.parse::<ActorName>(), Err(ParseFilterError::Actor), "{text}");
        }
    }

    #[test]
    fn a_filter_prints_as_a_query() {
        assert_eq!(AuditFilter::default().to_string(), "");
        let filter = AuditFilter {
            action: "org.suspend".parse().ok(),
            actor: "system".parse().ok(),
            since: "2026-11-24T05:00:00+01:00".parse().ok(),
            ..AuditFilter::default()
        };
        assert_eq!(filter.to_string(), "action=org.suspend&actor=system&since=2026-11-24T04:00:00.000Z");
    }
}
