//! What is told about a call to a decision endpoint, when somebody listens.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::http::HeaderMap;

use super::{envelope::Envelope, state::App};
use crate::{
    domain::{decision::Request, id::DecisionId},
    snapshot::{Caller, Found, Snapshot},
    telemetry::{Answer, CallerText, DecisionRecord, EntryPoint, Judgement, KnownKey, Outcome, TraceParent},
};

/// A call in progress that will be recorded.
pub(super) struct Recording {
    entry_point: EntryPoint,
    start: SystemTime,
    since: Instant,
    parent: Option<TraceParent>,
}

impl Recording {
    /// Begins where records are wanted; costs one comparison where they are not.
    pub(super) fn begin(app: &App, entry_point: EntryPoint, headers: &HeaderMap) -> Option<Self> {
        if !app.recorder.wants_records() {
            return None;
        }
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
        Some(Self { entry_point, start: app.clock.wall(), since: Instant::now(), parent })
    }

    /// The time since the call began.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends with the answer.
    pub(super) fn end(
        self,
        app: &App,
        snapshot: &Snapshot,
        envelope: &Envelope,
        status: u16,
        key: Option<KnownKey>,
        answer: Answer,
    ) {
        app.recorder.record(DecisionRecord {
            entry_point: self.entry_point,
            start: self.start,
            elapsed: self.since.elapsed(),
            request_id: (&envelope.id).into(),
            status,
            parent: self.parent,
            key,
            policy_set: Some(snapshot.policies().engine.digest().clone()),
            revision: snapshot.revision(),
            snapshot_age: app.keeper.age_of(snapshot),
            answer,
        });
    }
}

/// What is told about a key that was refused.
pub(super) fn found_key(found: &Found) -> KnownKey {
    KnownKey { secret: found.secret.id, facts: found.key.facts(&found.org).into() }
}

/// What is told about a key that was decided on.
pub(super) fn known_key(found: &Found, caller: &Caller) -> KnownKey {
    KnownKey { secret: found.secret.id, facts: Arc::clone(caller.facts()) }
}

/// What was asked, as far as it could be read, and how it was decided.
pub(super) fn judgement(
    app: &App,
    snapshot: &Snapshot,
    decision_id: DecisionId,
    request: Option<&Request>,
    outcome: Outcome,
) -> Judgement {
    let engine = &snapshot.policies().engine;
    let action = request.map(|request| (engine.action(&request.action), &*request.action));
    let resource = request.and_then(|request| request.resource.as_ref());
    Judgement {
        decision_id,
        outcome,
        action: action.map(|(known, asked)| known.map_or_else(|| asked.into(), CallerText::from)),
        in_schema: action.is_some_and(|(known, _)| known.is_some()),
        resource: resource.map(|resource| (resource.kind.as_str().into(), resource.id.as_str().into())),
        had_context: request.is_some_and(|request| !request.context.is_empty()),
        context: request.and_then(|request| app.recorder.keep_context(&request.context)),
    }
}
