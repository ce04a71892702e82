//! What is asked and what is answered.

use std::sync::Arc;

use super::permission::Permission;

/// A question about a key: may it do this, to that, in these circumstances?
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Any text: whether it is a permission is for the schema to say.
    pub action: String,
    /// Without one, the key's own org.
    pub resource: Option<Resource>,
    pub context: serde_json::Map<String, serde_json::Value>,
}

/// What is acted on: any text names something, even if nothing that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub kind: String,
    pub id: String,
}

/// Why a request cannot be decided at all: it does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("`{action}` is no permission{}", suggest(.nearest.as_ref()))]
    UnknownAction { action: String, nearest: Option<String> },
    #[error("`{action}` does not apply to resources of type `{kind}`; it applies to {}", list(.valid))]
    UnknownResourceType { action: String, kind: String, valid: Vec<String> },
    #[error("the context does not fit the action: {0}")]
    InvalidContext(String),
}

fn suggest(name: Option<&String>) -> String {
    name.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// The determining policies by id, sorted; empty when no policy permits.
    pub policies: Vec<Arc<str>>,
}

/// Allow, or one of the three ways to be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    /// A `forbid` holds: its `@code` and `@message`; of several, those of the smallest id.
    Forbidden {
        code: Arc<str>,
        message: Arc<str>,
    },
    /// No `permit` holds; the permission that would change that, when exactly one would.
    NotPermitted {
        missing: Option<Permission>,
    },
    /// A policy failed to evaluate, or an allow contradicts the facts: the closed way to fail.
    PolicyError {
        detail: String,
    },
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self.verdict, Verdict::Allow)
    }

    /// `allow` or `deny`.
    #[must_use]
    pub const fn effect(&self) -> &'static str {
        if self.is_allow() { "allow" } else { "deny" }
    }

    /// `permit`, `forbid`, `no_permit` or `policy_error`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow => "permit",
            Verdict::Forbidden { .. } => "forbid",
            Verdict::NotPermitted { .. } => "no_permit",
            Verdict::PolicyError { .. } => "policy_error",
        }
    }

    /// What a denial says to the caller.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        match &self.verdict {
            Verdict::Allow => None,
            Verdict::Forbidden { message, .. } => Some(message.to_string()),
            Verdict::NotPermitted { missing: Some(missing) } => Some(format!("the key lacks the permission `{missing}`")),
            Verdict::NotPermitted { missing: None } => Some("no policy permits this request".to_owned()),
            Verdict::PolicyError { .. } => Some("a policy could not be evaluated".to_owned()),
        }
    }

    /// The permission that would have made the difference, when exactly one would.
    #[must_use]
    pub const fn missing(&self) -> Option<&Permission> {
        match &self.verdict {
            Verdict::NotPermitted { missing } => missing.as_ref(),
            _ => None,
        }
    }

    /// The error code that a denial carries.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Allow => None,
            Verdict::Forbidden { code, .. } => Some(code),
            Verdict::NotPermitted { .. } => Some("PERMISSION_DENIED"),
            Verdict::PolicyError { .. } => Some("POLICY_ERROR"),
        }
    }
}
