//! The matrix: every permission × sample keys × states of organizations, and every management action × roles. A fixed set of
//! questions that grows with the schema alone, so that two policy sets can be compared by their answers.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};

use super::{
    cases::{Asked, Outcome},
    decide::NOW,
    engine::Engine,
    guards::{self, NOON},
    management::{Action, Target},
    sample::Variant,
    schema::ORG,
};
use crate::domain::{
    admin::Role,
    clock::Timestamp,
    decision::{Request, Resource},
    facts::Facts,
    id::{AdminId, KeyId, OrgId},
    key::{Environment, Refusal, Standing},
    permission::Permission,
    random::Random,
};

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

/// One question of the matrix, and in which row and column it stands.
#[derive(Debug, Clone)]
pub struct Entry {
    pub subject: Subject,
    /// The permission or the management action.
    pub action: String,
    /// The type of what is acted on: `Org`, `Claviger::System`, …
    pub resource: String,
    /// What the caller says, as the API takes it.
    pub context: Map<String, Value>,
    /// For a key its org's state, or another org as the resource; for an admin what is acted on.
    pub about: &'static str,
    /// What the policies are asked; or why they are not.
    pub question: Result<Asked, Refusal>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A key, by what it holds and its state.
    Key(&'static str),
    Admin(Role),
}

/// What comes out of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Decided(Outcome),
    /// The credential opens nothing: no policy is asked.
    Refused(Refusal),
}

/// How the answer to one question changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A denial became an allow.
    Wider,
    /// An allow became a denial.
    Narrower,
    /// The decision is the same, and its code, its policies or what it says is missing are not.
    Reason,
}

impl Answer {
    /// What changed from this answer to another one to the same question. An allow that only a tripwire stops counts as an
    /// allow: the policies say it.
    #[must_use]
    pub fn change(&self, new: &Self) -> Option<Change> {
        let allows = |answer: &Self| matches!(answer, Self::Decided(outcome) if outcome.allow || outcome.is_stopped());
        match (allows(self), allows(new)) {
            (false, true) => Some(Change::Wider),
            (true, false) => Some(Change::Narrower),
            _ => (self != new).then_some(Change::Reason),
        }
    }
}

impl Entry {
    /// Asks the engine exactly as the server does.
    #[must_use]
    pub fn answer(&self, engine: &Engine) -> Answer {
        match &self.question {
            Ok(asked) => Answer::Decided(asked.ask(engine)),
            Err(refusal) => Answer::Refused(*refusal),
        }
    }
}

/// What a sample key was granted, of the permission that is asked for and all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    Alone,
    Every,
    Others,
}

/// In which state a sample key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Expiring,
    Disabled,
    Expired,
    Revoked,
    Unknown,
}

struct Sample(&'static str, Environment, Granted, State);

const KEYS: [Sample; 11] = [
    Sample("live, this permission alone", Environment::Live, Granted::Alone, State::Active),
    Sample("live, every permission", Environment::Live, Granted::Every, State::Active),
    Sample("live, every other permission", Environment::Live, Granted::Others, State::Active),
    Sample("live, this permission alone, expiring", Environment::Live, Granted::Alone, State::Expiring),
    Sample("test, this permission alone", Environment::Test, Granted::Alone, State::Active),
    Sample("test, every permission", Environment::Test, Granted::Every, State::Active),
    Sample("test, every other permission", Environment::Test, Granted::Others, State::Active),
    Sample("disabled", Environment::Live, Granted::Every, State::Disabled),
    Sample("expired", Environment::Live, Granted::Every, State::Expired),
    Sample("revoked", Environment::Live, Granted::Every, State::Revoked),
    Sample("unknown", Environment::Live, Granted::Every, State::Unknown),
];

/// The columns of the matrix of keys: states of the key's own org, and another org as the resource.
pub const ORG_STATES: [&str; 4] = ["active", "suspended", "deleted", ANOTHER];
const ANOTHER: &str = "another org";

impl Sample {
    /// Why no policy is asked about the key, by the facts that decide so for the server.
    fn refusal(&self, org_deleted: bool) -> Option<Refusal> {
        let now = Timestamp::from_millis(NOON);
        let standing = Standing {
            org_deleted,
            key_revoked: self.3 == State::Revoked,
            key_disabled: self.3 == State::Disabled,
            key_expires_at: self.expires_at(),
            secret_expires_at: None,
        };
        if self.3 == State::Unknown { Some(Refusal::Unknown) } else { standing.refusal(now) }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        match self.3 {
            State::Expiring => Some(Timestamp::from_millis(NOON + DAY)),
            State::Expired => Some(Timestamp::from_millis(NOON)),
            State::Active | State::Disabled | State::Revoked | State::Unknown => None,
        }
    }

    fn facts(&self, permission: &Permission, all: &BTreeSet<Permission>, org_suspended: bool) -> Facts {
        let permissions: Arc<[Permission]> = match self.2 {
            Granted::Alone => Arc::new([permission.clone()]),
            Granted::Every => all.iter().cloned().collect(),
            Granted::Others => all.iter().filter(|name| *name != permission).cloned().collect(),
        };
        Facts {
            key: KeyId::new(Timestamp::from_millis(NOON - DAY), &Random::seeded(0)),
            org: OrgId::new(Timestamp::from_millis(NOON - DAY), &Random::seeded(0)),
            org_name: "Acme".into(),
            org_suspended,
            environment: self.1,
            permissions,
            created_at: Timestamp::from_millis(NOON - DAY),
            expires_at: self.expires_at(),
        }
    }
}

/// The questions about one or several policy sets, in a fixed order: every permission, resource type, context and management
/// action that any of them knows.
#[must_use]
pub fn entries(engines: &[&Engine]) -> Vec<Entry> {
    let all: BTreeSet<Permission> =
        engines.iter().flat_map(|engine| engine.permissions()).map(|info| info.name.clone()).collect();
    let mut entries = Vec::new();
    for permission in &all {
        for (kind, context) in circumstances(engines, permission) {
            for sample in &KEYS {
                add_row(&mut entries, sample, permission, &all, &kind, &context);
            }
        }
    }
    for action in Action::ALL {
        add_management(&mut entries, engines, action);
    }
    entries
}

/// The resource types that a permission applies to, each with the sample contexts.
fn circumstances(engines: &[&Engine], permission: &Permission) -> Vec<(String, Map<String, Value>)> {
    let slices = || engines.iter().filter_map(|engine| Some((engine, engine.keys.get(permission.as_str())?)));
    let kinds: BTreeSet<&str> = slices().flat_map(|(_, slice)| &slice.resources).map(|(kind, _)| kind.as_str()).collect();
    let mut contexts: Vec<Map<String, Value>> = Vec::new();
    for (engine, slice) in slices() {
        let mut attributes = slice.context.clone();
        attributes.remove(NOW);
        for variant in Variant::ALL {
            if let Value::Object(context) = plain(engine.types.sample_record(&attributes, variant))
                && !contexts.contains(&context)
            {
                contexts.push(context);
            }
        }
    }
    kinds.into_iter().flat_map(|kind| contexts.iter().map(move |context| (kind.to_owned(), context.clone()))).collect()
}

/// A sample without Cedar's escapes, as the API takes it.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            if let Some(argument) = map.get("__extn").and_then(|call| call.get("arg")) {
                return argument.clone();
            }
            if let Some(entity) = map.get("__entity") {
                return entity.clone();
            }
            Value::Object(map.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        Value::Array(values) => values.into_iter().map(plain).collect(),
        other => other,
    }
}

fn add_row(
    entries: &mut Vec<Entry>,
    sample: &Sample,
    permission: &Permission,
    all: &BTreeSet<Permission>,
    kind: &str,
    context: &Map<String, Value>,
) {
    // A resource that is no org belongs to nobody: there is no other one.
    let abouts = ORG_STATES.iter().filter(|about| kind == ORG || **about != ANOTHER);
    for about in abouts {
        let resource = match *about {
            ANOTHER => Some(OrgId::new(Timestamp::from_millis(NOON - DAY), &Random::seeded(1)).to_string()),
            _ if kind == ORG => None,
            _ => Some("sample".to_owned()),
        };
        let resource = resource.map(|id| Resource { kind: kind.to_owned(), id });
        let question = match sample.refusal(*about == "deleted") {
            Some(refusal) => Err(refusal),
            None => Ok(Asked::Key {
                facts: sample.facts(permission, all, *about == "suspended"),
                request: Request { action: permission.to_string(), resource, context: context.clone() },
                now: Timestamp::from_millis(NOON),
            }),
        };
        entries.push(Entry {
            subject: Subject::Key(sample.0),
            action: permission.to_string(),
            resource: kind.to_owned(),
            context: context.clone(),
            about,
            question,
        });
    }
}

fn add_management(entries: &mut Vec<Entry>, engines: &[&Engine], action: Action) {
    let Some(engine) = engines.first() else { return };
    for target in guards::targets(engine, action.as_str()) {
        let (resource, about) = match &target {
            Target::System => ("Claviger::System", "the installation"),
            Target::Admin(Role::Owner) => ("Claviger::System", "an owner"),
            Target::Admin(Role::Operator) => ("Claviger::System", "an operator"),
            Target::Admin(Role::Auditor) => ("Claviger::System", "an auditor"),
            Target::Org { suspended: false, .. } => (ORG, "an active org"),
            Target::Org { suspended: true, .. } => (ORG, "a suspended org"),
        };
        for role in Role::ALL {
            let admin = AdminId::new(Timestamp::from_millis(NOON), &Random::seeded(0));
            entries.push(Entry {
                subject: Subject::Admin(role),
                action: action.as_str().to_owned(),
                resource: resource.to_owned(),
                context: Map::new(),
                about,
                question: Ok(Asked::Admin { admin, role, action, target: target.clone() }),
            });
        }
    }
}
