//! From a request's fields to a decision and its JSON, for `authorize` and its batch.

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    body::Fields,
    error::{ApiError, Denial},
    state::App,
};
use crate::{
    domain::{
        decision::{Decision, Request, Resource, Verdict},
        id::DecisionId,
        redact::redact,
    },
    snapshot::{Caller, Snapshot},
};

/// Reads `{action, resource?, context?}`.
pub(super) fn read_request(mut fields: Fields) -> Result<Request, ApiError> {
    let action = fields.required_text("action")?;
    let resource = match fields.object("resource")? {
        None => None,
        Some(mut resource) => {
            let (kind, id) = (resource.required_text("type")?, resource.required_text("id")?);
            resource.finish()?;
            Some(Resource { kind, id })
        }
    };
    let context = fields.map("context")?.unwrap_or_default();
    fields.finish()?;
    Ok(Request { action, resource, context })
}

/// Decides a request that may still not fit the schema, for the moment of the decision's id: whoever has that can decide again.
pub(super) fn decide(
    app: &App,
    snapshot: &Snapshot,
    caller: &Caller,
    request: &Request,
    id: DecisionId,
) -> Result<Arc<Decision>, ApiError> {
    let engine = &snapshot.policies().engine;
    let question = engine.read(request, caller, id.moment())?;
    let decision = engine.decide(caller, &question);
    if let Verdict::PolicyError { detail } = &decision.verdict {
        // What is masked in the record must not be told beside it, and Cedar's sentence may hold any value.
        let is_told = !app.recorder.has_masks();
        let key = is_told.then(|| tracing::field::display(caller.facts().key));
        let (action, detail) = (is_told.then_some(&*request.action), is_told.then_some(&**detail));
        tracing::error!(decision = %id, key, action, detail, "a decision failed, which denies");
    }
    Ok(decision)
}

/// The fields that an allow and a denial share.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub(super) struct DecisionBody<'a> {
    /// `allow`; a denial is a 403 with the same fields and `error`.
    decision: &'static str,
    #[schema(value_type = String, example = "dec_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    decision_id: DecisionId,
    action: &'a str,
    /// `id`, `name`, `environment`
    #[schema(value_type = Object)]
    key: &'a RawValue,
    /// `id`, `name`
    #[schema(value_type = Object)]
    org: &'a RawValue,
    resource: ResourceBody<'a>,
    /// The determining policies by id.
    #[schema(value_type = Vec<String>)]
    policies: &'a [Arc<str>],
    policy_set: &'a str,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ResourceBody<'a> {
    r#type: &'a str,
    #[schema(value_type = String)]
    id: Cow<'a, str>,
}

impl<'a> DecisionBody<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        caller: &'a Caller,
        request: &'a Request,
        id: DecisionId,
        decision: &'a Decision,
        request_id: Option<&'a str>,
    ) -> Self {
        let resource = match &request.resource {
            Some(resource) => ResourceBody { r#type: &resource.kind, id: redact(&resource.id) },
            None => ResourceBody { r#type: "Org", id: caller.org_id().into() },
        };
        Self {
            decision: decision.effect(),
            decision_id: id,
            action: &request.action,
            key: &caller.key_json,
            org: caller.org_json(),
            resource,
            policies: &decision.policies,
            policy_set: snapshot.policies().engine.digest(),
            revision: snapshot.revision(),
            request_id,
        }
    }

    /// As a JSON object.
    pub(super) fn into_fields(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }
}

/// The error of a decision that is no allow.
pub(super) fn denial(decision: &Decision, fields: Map<String, Value>) -> ApiError {
    let code = decision.code().unwrap_or("PERMISSION_DENIED").into();
    let message = decision.sentence().unwrap_or_default().into();
    ApiError::Denied(Box::new(Denial { code, message, missing: decision.missing().cloned(), why: None, fields }))
}
