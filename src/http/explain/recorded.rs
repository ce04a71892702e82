//! Explaining a decision that was made, with the facts and the moment that it was made with.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ExplanationView;
use crate::{
    domain::{
        decision::{Request, Resource},
        facts::Facts,
        redact::redact,
    },
    http::{
        body::Fields,
        decisions::{DecisionView, find_kept},
        error::{ApiError, unfit_code},
        management::Call,
    },
    policy::{Engine, ManagementAction, Target},
    telemetry::{CallerText, Judgement, Kept, Outcome},
};

/// The decision that is explained.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedDecision)]
pub struct RecordedView {
    pub decision: DecisionView,
    /// Whether it was made by the policies that it is explained with.
    pub same_policy_set: bool,
    /// In what the explanation may differ from what was decided; nothing where it cannot.
    pub notes: Vec<String>,
}

/// What an id of a decision stands for.
pub(super) async fn explain(call: &Call, id: &str, fields: Fields) -> Result<Json<ExplanationView>, ApiError> {
    fields.finish()?;
    call.authorize(ManagementAction::DecisionsRead, &Target::System)?;
    let kept = find_kept(call, id).await?;
    let policies = call.app.keeper.current().policies().clone();
    let view = tokio::task::spawn_blocking(move || explain_kept(&policies.engine, &kept));
    Ok(Json(view.await.map_err(|_| ApiError::Internal)?))
}

fn explain_kept(engine: &Engine, kept: &Kept) -> ExplanationView {
    let decision = DecisionView::new(kept);
    let same_policy_set = decision.policy_set.as_deref() == Some(&**engine.digest());
    let mut notes = Vec::new();
    if !same_policy_set {
        notes.push("the policies in force are not those that decided".to_owned());
    }
    let as_recorded = |message: Option<String>| {
        let mut view = ExplanationView::unasked(engine, decision.code.clone(), message);
        view.decision.clone_from(&decision.decision);
        view.policies.clone_from(&decision.policies);
        view
    };
    let mut view = match question(kept) {
        Err(why) => as_recorded(Some(why)),
        Ok((facts, request, losses)) => {
            let view = ask(engine, facts, &request, kept);
            let is_equal =
                (&view.decision, &view.code, &view.policies) == (&decision.decision, &decision.code, &decision.policies);
            // What the same policies say without what was not kept is no explanation of what they said with it.
            let is_lost = same_policy_set && !losses.is_empty() && !is_equal;
            notes.extend(losses);
            if is_lost { as_recorded(Some("it depended on what was not kept".to_owned())) } else { view }
        }
    };
    view.recorded = Some(Box::new(RecordedView { decision, same_policy_set, notes }));
    view
}

/// What the policies were asked, and what of it was not kept.
///
/// # Errors
/// Why they were not asked.
fn question(kept: &Kept) -> Result<(Facts, Request, Vec<String>), String> {
    let judgement = kept.judgement();
    match &judgement.outcome {
        Outcome::Refused(refusal) => return Err(format!("{}: it never reaches the policies", refusal.sentence())),
        Outcome::Rejected(code) if !is_unfit(code) => {
            return Err("the request was refused before the policies were asked".to_owned());
        }
        Outcome::Decided(_) | Outcome::Rejected(_) => {}
    }
    let (Some(key), Some(action)) = (&kept.record().key, &judgement.action) else {
        return Err("what was asked could not be read".to_owned());
    };
    let text = |text: &CallerText| text.clean().into_owned();
    let resource = judgement.resource.as_ref().map(|(kind, id)| Resource { kind: text(kind), id: text(id) });
    let context = judgement.context.as_ref().map(|context| context.asked()).unwrap_or_default();
    let losses = losses(judgement, context.is_empty());
    Ok((Facts::clone(&key.facts), Request { action: text(action), resource, context }, losses))
}

/// Whether a code says that a request does not fit the schema: another schema may be of another opinion.
fn is_unfit(code: &str) -> bool {
    matches!(code, "UNKNOWN_ACTION" | "UNKNOWN_RESOURCE_TYPE" | "INVALID_CONTEXT")
}

fn losses(judgement: &Judgement, without_context: bool) -> Vec<String> {
    let mut losses = Vec::new();
    if judgement.had_context && !judgement.context.as_ref().is_some_and(|context| context.is_whole()) {
        let told = if without_context {
            "the context was not kept: the policies were asked without one"
        } else {
            "the context was not kept whole: the policies were asked without a part of it"
        };
        losses.push(told.to_owned());
    }
    let mut texts = judgement.action.iter().chain(judgement.resource.iter().flat_map(|(kind, id)| [kind, id]));
    if texts.any(|text| !text.is_whole()) {
        losses.push("the action or the resource was not kept whole".to_owned());
    }
    losses
}

fn ask(engine: &Engine, facts: Facts, request: &Request, kept: &Kept) -> ExplanationView {
    match ExplanationView::make(engine, facts, None, request, kept.judgement().decision_id.moment()) {
        Ok(view) => view,
        Err(bad) => {
            let message = redact(&bad.to_string()).into_owned();
            ExplanationView::unasked(engine, Some(unfit_code(&bad).to_owned()), Some(message))
        }
    }
}
