//! `POST /v1/explain`: why a key would be allowed something or denied it, policy by policy, clause by clause.

mod recorded;

use std::borrow::Cow;

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use self::recorded::RecordedView;
use super::{
    body::{Fields, missing},
    decision::read_request,
    error::{ApiError, Errors},
    keys::read_permissions,
    management::{Call, optional_field, path_id},
    openapi::ResourceRef,
};
use crate::{
    domain::{
        clock::Timestamp,
        decision::{BadRequest, Request, Verdict},
        facts::Facts,
        key::{Environment, Refusal},
        name::Name,
    },
    policy::{
        Effect, Engine, ExplainedPart, ExplainedPolicy, Explanation, ManagementAction, NearMiss, Target, Truth, WhatIf, Why,
    },
};

/// What `explain` takes: a request of `authorize`, and the key that would send it.
#[derive(Debug, ToSchema)]
#[schema(as = ExplainRequest)]
#[expect(dead_code, reason = "describes a body for the document; `explain` reads it")]
struct ExplainRequest {
    #[schema(example = "classify:create", required = false)]
    action: String,
    /// The key's own organization when left out.
    #[schema(value_type = ResourceRef, required = false)]
    resource: Option<ResourceRef>,
    /// Must fit the context type that the schema declares for the action.
    #[schema(value_type = Object, required = false)]
    context: Option<Value>,
    /// A key that is there, by its id; or describe one in `key`.
    #[schema(value_type = String, required = false)]
    key_id: Option<String>,
    #[schema(value_type = ExplainKey, required = false)]
    key: Option<ExplainKey>,
    /// A decision of this server process, by its id, and then nothing else: it has its own action, key and moment.
    #[schema(value_type = String, required = false)]
    decision_id: Option<String>,
    /// RFC 3339; now when left out.
    #[schema(value_type = String, required = false)]
    now: Option<String>,
}

/// A key that need not exist.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body for the document; `read_key` reads it")]
struct ExplainKey {
    /// Permissions and presets.
    #[schema(example = json!(["read-only"]))]
    permissions: Vec<String>,
    /// `live` when left out.
    #[schema(value_type = String, required = false, example = "live")]
    environment: Option<Environment>,
    /// RFC 3339; the moment of the request when left out.
    #[schema(value_type = String, required = false)]
    created_at: Option<String>,
    /// RFC 3339
    #[schema(value_type = String, required = false)]
    expires_at: Option<String>,
    #[schema(value_type = ExplainOrg, required = false)]
    org: Option<ExplainOrg>,
}

/// The organization of a key that need not exist.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body for the document; `read_key` reads it")]
struct ExplainOrg {
    #[schema(value_type = String, required = false)]
    name: Option<String>,
    /// False when left out.
    #[schema(value_type = bool, required = false)]
    suspended: Option<bool>,
}

/// A decision, and what made it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationView {
    /// `allow` or `deny`
    #[schema(value_type = String)]
    pub decision: Cow<'static, str>,
    /// The error code of a denial.
    pub code: Option<String>,
    pub message: Option<String>,
    /// The permission that would have made the difference, when exactly one would.
    pub missing_permission: Option<String>,
    /// The determining policies by id.
    pub policies: Vec<String>,
    pub policy_set: String,
    /// Every policy, in the order of files and lines; none where the key never reaches the policies.
    pub explanation: Vec<PolicyExplanation>,
    /// Where no policy permits the request: the permits with the fewest parts that do not hold.
    pub nearest: Vec<NearMissView>,
    /// With `decision_id`: what was decided then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Box<RecordedView>>,
}

/// One policy, for the request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyExplanation {
    pub id: String,
    /// `permit` or `forbid`
    #[schema(value_type = String)]
    pub effect: Cow<'static, str>,
    pub file: String,
    pub line: usize,
    /// Whether the request is one that its scope is about.
    pub is_about: bool,
    /// `true`, `false` or `error`: whether the policy as a whole holds.
    #[schema(value_type = String)]
    pub value: Cow<'static, str>,
    pub error: Option<String>,
    pub parts: Vec<PartExplanation>,
}

/// A part of a scope or a clause, looked at alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PartExplanation {
    /// `principal`, `action`, `resource`, `when` or `unless`
    #[schema(value_type = String)]
    pub kind: Cow<'static, str>,
    pub text: String,
    pub line: usize,
    pub column: usize,
    /// `true`, `false` or `error`
    #[schema(value_type = String)]
    pub value: Cow<'static, str>,
    pub error: Option<String>,
    /// Whether the policy may hold as far as this part goes. An `unless` is out of the way when one of its clauses is false.
    pub holds: bool,
}

/// A permit that would have held, had these been different.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NearMissView {
    pub policy: String,
    pub changes: Vec<String>,
}

/// [`Why`], for answers and reports.
#[derive(Debug, Clone, Serialize)]
pub struct WhyView {
    /// Every policy, in the order of files and lines.
    pub explanation: Vec<PolicyExplanation>,
    /// Where no policy permits the request: the permits with the fewest parts that do not hold.
    pub nearest: Vec<NearMissView>,
}

/// Explains what a request would be answered, for a key that is there or one that is described, or what one was answered.
#[utoipa::path(post, path = "/v1/explain", operation_id = "explain", tag = "policies", request_body = ExplainRequest,
    responses((status = 200, body = ExplanationView), Errors))]
pub(super) async fn explain(mut call: Call) -> Result<Json<ExplanationView>, ApiError> {
    call.authorize(ManagementAction::PoliciesRead, &Target::System)?;
    let mut fields = call.fields()?;
    if let Some(id) = fields.text("decision_id")? {
        return recorded::explain(&call, &id, fields).await;
    }
    let now = optional_field(&mut fields, "now")?.unwrap_or_else(|| call.app.now());
    let (key_id, described) = (fields.text("key_id")?, fields.object("key")?);
    let snapshot = call.app.keeper.current();
    let (facts, refusal) = match (key_id, described) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("key", "give either `key_id` or `key`")),
        (None, None) => return Err(missing("key_id")),
        (None, Some(fields)) => {
            let facts = read_key(&call, fields)?.facts(now);
            let expired = facts.expires_at.is_some_and(|end| now >= end);
            (facts, expired.then_some(Refusal::KeyExpired))
        }
        (Some(id), None) => {
            let key = path_id(&id).and_then(|id| snapshot.key(id));
            let org = key.and_then(|key| snapshot.org(key.org));
            call.authorize_org(ManagementAction::KeysRead, org.map(|org| org.id)).await?;
            let (Some(key), Some(org)) = (key, org) else { return Err(ApiError::NotFound) };
            (key.facts(org), key.refusal(org, now))
        }
    };
    let request = read_request(fields)?;
    let policies = snapshot.policies().clone();
    // Taking policies apart and asking each piece takes longer than a request may hold up others.
    let view = tokio::task::spawn_blocking(move || ExplanationView::make(&policies.engine, facts, refusal, &request, now));
    Ok(Json(view.await.map_err(|_| ApiError::Internal)??))
}

fn read_key(call: &Call, mut fields: Fields) -> Result<WhatIf, ApiError> {
    let permissions = read_permissions(call, &mut fields)?.ok_or_else(|| missing("key.permissions"))?;
    let environment = optional_field(&mut fields, "environment")?.unwrap_or(Environment::Live);
    let (created_at, expires_at) = (optional_field(&mut fields, "created_at")?, optional_field(&mut fields, "expires_at")?);
    let mut org = fields.object("org")?.unwrap_or_default();
    let name: Option<Name> = optional_field(&mut org, "name")?;
    let org_suspended = org.truth("suspended")?.unwrap_or(false);
    org.finish()?;
    fields.finish()?;
    let org_name = name.map(|name| name.to_string()).unwrap_or_default();
    Ok(WhatIf { permissions, environment, created_at, expires_at, org_name, org_suspended })
}

impl ExplanationView {
    /// Explains a request of a key. A key that is refused never reaches the policies.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub fn make(
        engine: &Engine,
        facts: Facts,
        refusal: Option<Refusal>,
        request: &Request,
        now: Timestamp,
    ) -> Result<Self, BadRequest> {
        let policy_set = engine.digest().to_string();
        let explanation = engine.explain(facts, request, now)?;
        if let Some(refusal) = refusal {
            let message = format!("{}: it never reaches the policies", refusal.sentence());
            return Ok(Self::unasked(engine, Some("INVALID_API_KEY".to_owned()), Some(message)));
        }
        Ok(Self::show(explanation, policy_set))
    }

    /// A denial of which the policies know nothing.
    fn unasked(engine: &Engine, code: Option<String>, message: Option<String>) -> Self {
        Self {
            decision: "deny".into(),
            code,
            message,
            missing_permission: None,
            policies: Vec::new(),
            policy_set: engine.digest().to_string(),
            explanation: Vec::new(),
            nearest: Vec::new(),
            recorded: None,
        }
    }

    fn show(Explanation { decision, why }: Explanation, policy_set: String) -> Self {
        let WhyView { explanation, nearest } = WhyView::from(why);
        Self {
            decision: decision.effect().into(),
            code: decision.code().map(str::to_owned),
            // Whoever explains may know what a caller is not told.
            message: match &decision.verdict {
                Verdict::PolicyError { detail } => Some(detail.clone()),
                _ => decision.sentence(),
            },
            missing_permission: decision.missing().map(ToString::to_string),
            policies: decision.policies.iter().map(ToString::to_string).collect(),
            policy_set,
            explanation,
            nearest,
            recorded: None,
        }
    }
}

impl From<Why> for WhyView {
    fn from(why: Why) -> Self {
        Self {
            explanation: why.policies.into_iter().map(PolicyExplanation::from).collect(),
            nearest: why.nearest.into_iter().map(NearMissView::from).collect(),
        }
    }
}

/// `true`, `false` or `error`, and the error.
fn told(truth: Truth) -> (Cow<'static, str>, Option<String>) {
    match truth {
        Truth::True => ("true".into(), None),
        Truth::False => ("false".into(), None),
        Truth::Error(error) => ("error".into(), Some(error)),
    }
}

impl From<ExplainedPolicy> for PolicyExplanation {
    fn from(policy: ExplainedPolicy) -> Self {
        let is_about = policy.is_about();
        let (value, error) = told(policy.holds);
        Self {
            id: policy.info.id.to_string(),
            effect: if policy.info.effect == Effect::Permit { "permit".into() } else { "forbid".into() },
            file: policy.info.file,
            line: policy.info.line,
            is_about,
            value,
            error,
            parts: policy.parts.into_iter().map(PartExplanation::from).collect(),
        }
    }
}

impl From<ExplainedPart> for PartExplanation {
    fn from(part: ExplainedPart) -> Self {
        let (value, error) = told(part.truth);
        let (line, column) = part.position;
        Self { kind: part.kind.as_str().into(), text: part.text, line, column, value, error, holds: part.holds }
    }
}

impl From<NearMiss> for NearMissView {
    fn from(miss: NearMiss) -> Self {
        Self { policy: miss.policy.to_string(), changes: miss.changes }
    }
}
