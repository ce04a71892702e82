//! What is told about a decision: one type, from which the span and the log line are made off the request's thread.

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{config::LoggedDecisions, context::RecordedContext, parent::TraceParent};
use crate::domain::{
    decision::{Decision, Verdict},
    facts::Facts,
    id::{DecisionId, SecretId},
    key::Refusal,
    redact::{redact, without_cut_secret},
};

/// One call to a decision endpoint, told when its answer is decided. Building it formats nothing.
#[derive(Debug)]
pub struct DecisionRecord {
    pub entry_point: EntryPoint,
    /// When the call arrived; from [`crate::domain::clock::Clock::wall`].
    pub start: SystemTime,
    pub elapsed: Duration,
    /// The answer's `X-Request-Id`.
    pub request_id: CallerText,
    /// The answer's HTTP status.
    pub status: u16,
    pub parent: Option<TraceParent>,
    /// The key that was found, also when it was refused.
    pub key: Option<KnownKey>,
    /// Digest of the policies in force; `None` while none are loaded.
    pub policy_set: Option<Arc<str>>,
    pub revision: i64,
    /// `None`: the snapshot was not of the database's present history.
    pub snapshot_age: Option<Duration>,
    pub answer: Answer,
}

/// Through which door a decision was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryPoint {
    /// `POST /v1/authorize`
    Api,
    /// `POST /v1/authorize/batch`
    Batch,
}

impl EntryPoint {
    /// `api` or `batch`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Batch => "batch",
        }
    }

    /// The path, which is the route: it has no variable part.
    #[must_use]
    pub const fn route(self) -> &'static str {
        match self {
            Self::Api => "/v1/authorize",
            Self::Batch => "/v1/authorize/batch",
        }
    }

    /// Name of the server span.
    pub(super) const fn span_name(self) -> &'static str {
        match self {
            Self::Api => "POST /v1/authorize",
            Self::Batch => "POST /v1/authorize/batch",
        }
    }
}

/// What the call was answered with.
#[derive(Debug)]
pub enum Answer {
    /// One decision for the whole call: of `/v1/authorize`, or of a batch that was refused as a whole.
    One(Judgement),
    /// A decision for each request of a batch, in order.
    Batch(Vec<Item>),
}

/// One request of a batch.
#[derive(Debug)]
pub struct Item {
    /// From the start of the call to the start of this decision.
    pub after: Duration,
    pub elapsed: Duration,
    pub judgement: Judgement,
}

/// What was asked and how it was decided.
#[derive(Debug)]
pub struct Judgement {
    /// Its moment is the one that was decided for.
    pub decision_id: DecisionId,
    pub outcome: Outcome,
    pub action: Option<CallerText>,
    /// Whether the schema that was asked has the action: a text of the operator's then, of which there are so many.
    pub in_schema: bool,
    /// Type and id of what was to be acted on.
    pub resource: Option<(CallerText, CallerText)>,
    /// Whether the request had a context with something in it.
    pub had_context: bool,
    /// What of it is recorded; `None` where nothing ever is. From [`super::Recorder::keep_context`].
    pub context: Option<Box<RecordedContext>>,
}

/// How it was decided.
#[derive(Debug)]
pub enum Outcome {
    /// By the policies.
    Decided(Arc<Decision>),
    /// By the credential: 401. The word is told to telemetry only.
    Refused(Refusal),
    /// Not at all, which denies: the answer's error code (`UNKNOWN_ACTION`, `STALE_SNAPSHOT`, …).
    Rejected(&'static str),
}

impl Judgement {
    pub(super) fn is_logged(&self, logged: LoggedDecisions) -> bool {
        match logged {
            LoggedDecisions::Off => false,
            LoggedDecisions::Denies => self.outcome.effect() == "deny",
            LoggedDecisions::All => true,
        }
    }

    /// The memory that it refers to, about.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &CallerText| text.len();
        let resource = self.resource.as_ref().map_or(0, |(kind, id)| text(kind) + text(id));
        let decision = match &self.outcome {
            Outcome::Decided(decision) => size_of_val(&**decision) + size_of_val(&*decision.policies),
            Outcome::Refused(_) | Outcome::Rejected(_) => 0,
        };
        let context = self.context.as_ref().map_or(0, |context| context.bytes());
        self.action.as_ref().map_or(0, text) + resource + decision + context
    }
}

impl Outcome {
    /// Whether the request may go on.
    pub(super) fn is_allow(&self) -> bool {
        matches!(self, Self::Decided(decision) if decision.is_allow())
    }

    /// `allow` or `deny`.
    #[must_use]
    pub fn effect(&self) -> &'static str {
        match self {
            Self::Decided(decision) => decision.effect(),
            Self::Refused(_) | Self::Rejected(_) => "deny",
        }
    }

    /// `permit`, `forbid`, `no_permit`, `policy_error`, `invalid_key`, or the code in lower case.
    #[must_use]
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Decided(decision) => decision.reason().into(),
            Self::Refused(_) => "invalid_key".into(),
            Self::Rejected(code) => code.to_ascii_lowercase().into(),
        }
    }

    /// The error code that the answer carries.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Decided(decision) => decision.code(),
            Self::Refused(_) => Some("INVALID_API_KEY"),
            Self::Rejected(code) => Some(code),
        }
    }

    /// Whether a policy failed: the one decision that is an error and no answer.
    pub(super) fn is_policy_error(&self) -> bool {
        matches!(self, Self::Decided(decision) if matches!(decision.verdict, Verdict::PolicyError { .. }))
    }
}

/// The key whose secret was presented, as it was decided on.
#[derive(Debug, Clone)]
pub struct KnownKey {
    pub secret: SecretId,
    pub facts: Arc<Facts>,
}

/// So many characters of a caller's text are kept.
const LONGEST: usize = 256;

/// A text that a caller wrote: cut to 256 characters when taken, redacted whenever it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerText {
    text: Arc<str>,
    is_cut: bool,
}

impl CallerText {
    /// The text as it came, up to its cut: only for what is known not to be a caller's invention.
    pub(super) fn as_written(&self) -> &str {
        &self.text
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The text without anything shaped like a secret.
    #[must_use]
    pub fn clean(&self) -> Cow<'_, str> {
        redact(&self.text)
    }

    /// Whether [`CallerText::clean`] is everything that the caller wrote.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.is_cut && matches!(self.clean(), Cow::Borrowed(_))
    }
}

impl CallerText {
    /// The first characters of a text.
    pub(super) fn cut(text: &str, longest: usize) -> Self {
        // The cut may fall into a secret: what is left of it is caught by the redactor, or so short that it is taken off here.
        let end = if text.len() <= longest { None } else { text.char_indices().nth(longest) };
        let cut = end.and_then(|(end, _)| text.get(..end)).map(without_cut_secret);
        Self { text: cut.unwrap_or(text).into(), is_cut: cut.is_some() }
    }
}

impl From<&Arc<str>> for CallerText {
    /// Shares a text that need not be cut.
    fn from(text: &Arc<str>) -> Self {
        if text.len() > LONGEST { Self::cut(text, LONGEST) } else { Self { text: Arc::clone(text), is_cut: false } }
    }
}

impl From<&str> for CallerText {
    fn from(text: &str) -> Self {
        Self::cut(text, LONGEST)
    }
}

impl fmt::Debug for CallerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.clean())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_callers_text_keeps_256_characters() {
        assert_eq!(CallerText::from("é".repeat(70_000).as_str()).clean(), "é".repeat(256));
        assert_eq!(CallerText::from("é".repeat(200).as_str()).clean(), "é".repeat(200));
        assert_eq!(CallerText::from("").clean(), "");
        assert!(!CallerText::from("x".repeat(257).as_str()).is_whole());
        assert!(!CallerText::from("op_live_0123456789abc").is_whole());
        assert!(CallerText::from("x".repeat(256).as_str()).is_whole());
        let shared: Arc<str> = "é".repeat(70_000).into();
        assert_eq!(CallerText::from(&shared), CallerText::from(&*shared));
    }

    #[test]
    fn a_decision_that_was_not_made_is_a_denial_with_a_reason() {
        let outcome = Outcome::Rejected("STALE_SNAPSHOT");
        assert_eq!((outcome.effect(), &*outcome.reason(), outcome.code()), ("deny", "stale_snapshot", Some("STALE_SNAPSHOT")));
        let outcome = Outcome::Refused(Refusal::KeyRevoked);
        assert_eq!((outcome.effect(), &*outcome.reason(), outcome.code()), ("deny", "invalid_key", Some("INVALID_API_KEY")));
    }

    proptest! {
        #[test]
        fn no_cut_leaves_a_character_of_a_secret(before in 200usize..300, secret in "[0-9A-Za-z]{38}") {
            let text = CallerText::from(format!("{}_op_live_{secret}", "x".repeat(before)).as_str());
            let beginning = format!("live_{}", &secret[..1]);
            prop_assert!(!text.clean().contains(&beginning));
            let shown = format!("{text:?}");
            prop_assert!(!shown.contains(&secret[..12]));
        }
    }
}
