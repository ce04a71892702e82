//! Running one case, and telling what came out from what was claimed.

use std::{collections::BTreeSet, sync::Arc};

use super::{Asked, cedar, fields::suggestion};
use crate::{
    domain::decision::{BadRequest, Decision, Verdict},
    policy::{decide, engine::Engine, management},
};

/// What a case claims.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub allow: bool,
    /// These policies, by id, must be among the determining ones.
    pub reason: Vec<String>,
    /// These policies, by id, and no others must be the determining ones.
    pub policies: Option<BTreeSet<String>>,
    /// The error code of a denial.
    pub code: Option<String>,
    pub missing_permission: Missing,
    /// How many policies fail to evaluate.
    pub errors: usize,
}

/// What a denial says about the one permission that would have made the difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Missing {
    /// The case does not care.
    #[default]
    Any,
    /// No permission alone would have helped.
    Nothing,
    Permission(String),
}

/// What the engine answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub allow: bool,
    /// The determining policies by id, sorted.
    pub policies: Vec<Arc<str>>,
    /// The error code of a denial.
    pub code: Option<String>,
    pub missing_permission: Option<String>,
    /// What went wrong, when no rule decided: an evaluation error, a tripwire, a request that does not fit the schema.
    pub detail: Option<String>,
    /// How many policies failed to evaluate.
    pub errors: usize,
}

impl Expected {
    pub(super) fn denial() -> Self {
        Self::default()
    }

    /// `allow` or `deny`.
    #[must_use]
    pub const fn effect(&self) -> &'static str {
        if self.allow { "allow" } else { "deny" }
    }

    /// What is wrong about an outcome; nothing when it is as claimed.
    pub(super) fn differences(&self, got: &Outcome, engine: &Engine) -> Vec<String> {
        let mut differences = Vec::new();
        if self.allow != got.allow {
            differences.push(format!("expected {}, got {}", self.effect(), got.effect()));
        }
        // A denial that no rule decided proves nothing about the rules: it must be asked for by its code.
        let code_matches = self.code.as_deref().is_some_and(|code| got.code.as_deref() == Some(code));
        if let (Some(detail), false, 0) = (&got.detail, code_matches, self.errors) {
            let what = if got.allow { "a policy failed" } else { "no rule decided" };
            differences.push(format!("{what}: {detail}"));
        }
        if let (Some(code), false) = (&self.code, code_matches) {
            differences.push(format!("expected code `{code}`, got {}", named(got.code.as_deref())));
        }
        self.compare_policies(got, engine, &mut differences);
        let missing = got.missing_permission.as_deref();
        match &self.missing_permission {
            Missing::Permission(name) if missing != Some(name) => {
                differences.push(format!("expected missing permission `{name}`, got {}", named(missing)));
            }
            Missing::Nothing if missing.is_some() => {
                differences.push(format!("expected no missing permission, got {}", named(missing)));
            }
            _ => {}
        }
        if self.errors != got.errors {
            differences.push(format!("expected {}, got {}", evaluation_errors(self.errors), got.errors));
        }
        differences
    }

    fn compare_policies(&self, got: &Outcome, engine: &Engine, differences: &mut Vec<String>) {
        let decided = |id: &String| got.policies.iter().any(|policy| **policy == **id);
        let exact = self.policies.iter().flatten();
        for id in self.reason.iter().chain(exact).filter(|id| !decided(id)) {
            let ids = engine.policies().iter().map(|policy| &*policy.id);
            let exists = ids.clone().any(|known| known == id);
            let help = if exists { String::new() } else { format!(", which is no policy; {}", suggestion(id, "policy", ids)) };
            differences.push(format!("not decided by `{id}`{help}"));
        }
        for extra in got.policies.iter().filter(|id| self.policies.as_ref().is_some_and(|exact| !exact.contains(&***id))) {
            differences.push(format!("decided by `{extra}`, too"));
        }
    }
}

fn evaluation_errors(count: usize) -> String {
    if count == 1 { "1 evaluation error".to_owned() } else { format!("{count} evaluation errors") }
}

fn named(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("`{text}`"))
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.effect())?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        match &self.missing_permission {
            Missing::Any => {}
            Missing::Nothing => f.write_str(", no permission missing")?,
            Missing::Permission(name) => write!(f, ", missing {name}")?,
        }
        if !self.reason.is_empty() {
            write!(f, ", by {}", self.reason.join(", "))?;
        }
        if let Some(policies) = &self.policies {
            let ids: Vec<&str> = policies.iter().map(String::as_str).collect();
            write!(f, ", by exactly {}", if ids.is_empty() { "no policy".to_owned() } else { ids.join(", ") })?;
        }
        if self.errors > 0 { write!(f, ", {}", evaluation_errors(self.errors)) } else { Ok(()) }
    }
}

impl Outcome {
    /// `allow` or `deny`.
    #[must_use]
    pub const fn effect(&self) -> &'static str {
        if self.allow { "allow" } else { "deny" }
    }

    /// Whether the policies allow it, and only a tripwire denies it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.code.as_deref() == Some("POLICY_ERROR") && self.errors == 0
    }

    fn bad_request(error: &BadRequest) -> Self {
        let code = match error {
            BadRequest::UnknownAction { .. } => "UNKNOWN_ACTION",
            BadRequest::UnknownResourceType { .. } => "UNKNOWN_RESOURCE_TYPE",
            BadRequest::InvalidContext(_) => "INVALID_CONTEXT",
        };
        Self {
            allow: false,
            policies: Vec::new(),
            code: Some(code.to_owned()),
            missing_permission: None,
            detail: Some(error.to_string()),
            errors: 0,
        }
    }

    fn decided(decision: &Decision, errors: usize) -> Self {
        let (mut missing_permission, mut detail) = (None, None);
        match &decision.verdict {
            Verdict::NotPermitted { missing } => missing_permission = missing.as_ref().map(ToString::to_string),
            Verdict::PolicyError { detail: text } => detail = Some(text.clone()),
            Verdict::Allow | Verdict::Forbidden { .. } => {}
        }
        let code = decision.code().map(str::to_owned);
        Self { allow: decision.is_allow(), policies: decision.policies.clone(), code, missing_permission, detail, errors }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.effect())?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(missing) = &self.missing_permission {
            write!(f, ", missing {missing}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

/// Asks the engine exactly as the server does.
pub(super) fn ask(asked: &Asked, engine: &Engine) -> Outcome {
    match asked {
        Asked::Key { facts, request, now } => {
            let principal = engine.principal(facts.clone());
            let question = match engine.read(request, &principal, *now) {
                Ok(question) => question,
                Err(error) => return Outcome::bad_request(&error),
            };
            let decision = engine.decide(&principal, &question);
            let count = || decide::answer(engine, &principal, &question).map_or(1, |answer| answer.errors.len());
            let errors = if matches!(decision.verdict, Verdict::PolicyError { .. }) { count() } else { 0 };
            Outcome::decided(&decision, errors)
        }
        Asked::Admin { admin, role, action, target } => {
            let decision = engine.decide_management(*admin, *role, *action, target);
            let count = || {
                let answer = management::answer(engine, &admin.to_string(), *role, action.as_str(), target);
                answer.map_or(1, |answer| answer.errors.len())
            };
            let errors = if matches!(decision.verdict, Verdict::PolicyError { .. }) { count() } else { 0 };
            Outcome::decided(&decision, errors)
        }
        Asked::Cedar(asked) => cedar::ask(engine, asked),
    }
}
