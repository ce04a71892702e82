//! `GET /v1/decisions`: what this server decided last, as long as it has it in memory.

pub(super) mod stream;

use std::{borrow::Cow, str::FromStr, time::Duration};

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{ApiError, Errors},
    management::{Call, ListBody, ListCall, PageQuery, path_id},
};
use crate::{
    domain::id::{DecisionId, OfDecision},
    policy::{ManagementAction, Target},
    store::{Listing, Page},
    telemetry::{CallerText, Kept, KnownKey, Outcome, RecentFilter},
};

/// A decision, with everything that it was made from; of the context, what may be recorded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = RecordedDecision)]
pub struct DecisionView {
    #[schema(example = "dec_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    pub id: String,
    /// The moment that was decided for.
    pub time: String,
    /// `allow` or `deny`
    #[schema(value_type = String)]
    pub decision: Cow<'static, str>,
    /// The error code of a denial.
    pub code: Option<String>,
    /// `permit`, `forbid`, `no_permit`, `policy_error`, `invalid_key`, or the code in lower case when nothing could be decided.
    pub reason: String,
    /// Why a credential was refused; callers are never told.
    pub refusal: Option<String>,
    /// The HTTP status of the answer; of a batch, that of the whole.
    pub status: u16,
    /// As the caller wrote it, 256 characters of it at most, without what is shaped like a secret; as `resource` and `request_id`.
    pub action: Option<String>,
    /// The key's own organization when the caller named none.
    pub resource: Option<ResourceView>,
    /// Whether the caller sent a context with something in it.
    pub had_context: bool,
    /// The attributes of the context that `record.context` names, as the caller sent them. What is too long is cut, to 256
    /// characters of a text, or 1,024 of anything else's JSON, which is a text then; so is what had something shaped like a secret.
    #[serde(default)]
    #[schema(value_type = Object, required = true)]
    pub context: Map<String, Value>,
    /// The key that was found, also when it was refused, as it was at that moment.
    pub key: Option<KeyFactsView>,
    pub org: Option<OrgFactsView>,
    /// The determining policies by id.
    pub policies: Vec<String>,
    pub policy_set: Option<String>,
    pub revision: i64,
    /// `api` or `batch`
    #[schema(value_type = String)]
    pub entry_point: Cow<'static, str>,
    pub request_id: String,
    /// The trace of the decision's span, without one the caller's.
    pub trace_id: Option<String>,
    /// Microseconds.
    pub elapsed_us: u64,
}

/// What was to be acted on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    pub r#type: String,
    pub id: String,
}

/// A key as it was decided on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyFactsView {
    pub id: String,
    /// Which of its secrets was presented.
    pub secret_id: String,
    /// `live` or `test`
    pub environment: String,
    pub permissions: Vec<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
}

/// A key's organization as it was decided on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OrgFactsView {
    pub id: String,
    pub name: String,
    pub suspended: bool,
}

impl DecisionView {
    /// A decision for people and programs.
    #[must_use]
    pub fn new(kept: &Kept) -> Self {
        let (record, judgement) = (kept.record(), kept.judgement());
        let outcome = &judgement.outcome;
        let clean = |text: &CallerText| text.clean().into_owned();
        let policies = match outcome {
            Outcome::Decided(decision) => decision.policies.iter().map(ToString::to_string).collect(),
            Outcome::Refused(_) | Outcome::Rejected(_) => Vec::new(),
        };
        let refusal = if let Outcome::Refused(refusal) = outcome { Some(refusal.as_str().to_owned()) } else { None };
        let key = record.key.as_ref();
        Self {
            id: judgement.decision_id.to_string(),
            time: judgement.decision_id.moment().to_string(),
            decision: outcome.effect().into(),
            code: outcome.code().map(str::to_owned),
            reason: outcome.reason().into_owned(),
            refusal,
            status: record.status,
            action: judgement.action.as_ref().map(clean),
            resource: judgement.resource.as_ref().map(|(kind, id)| ResourceView { r#type: clean(kind), id: clean(id) }),
            had_context: judgement.had_context,
            context: judgement.context.as_ref().map(|context| context.shown()).unwrap_or_default(),
            key: key.map(KeyFactsView::from),
            org: key.map(OrgFactsView::from),
            policies,
            policy_set: record.policy_set.as_ref().map(ToString::to_string),
            revision: record.revision,
            entry_point: record.entry_point.as_str().into(),
            request_id: clean(&record.request_id),
            trace_id: kept.trace_id().map(|id| id.to_string()),
            elapsed_us: micros(kept.elapsed()),
        }
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

impl From<&KnownKey> for KeyFactsView {
    fn from(KnownKey { secret, facts }: &KnownKey) -> Self {
        Self {
            id: facts.key.to_string(),
            secret_id: secret.to_string(),
            environment: facts.environment.to_string(),
            permissions: facts.permissions.iter().map(ToString::to_string).collect(),
            created_at: facts.created_at.to_string(),
            expires_at: facts.expires_at.map(|at| at.to_string()),
        }
    }
}

impl From<&KnownKey> for OrgFactsView {
    fn from(KnownKey { facts, .. }: &KnownKey) -> Self {
        Self { id: facts.org.to_string(), name: facts.org_name.to_string(), suspended: facts.org_suspended }
    }
}

/// Which decisions are shown.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters for the document; `read_filter` reads them")]
pub(super) struct FilterParams {
    /// Only of keys of this organization, by its id.
    #[param(required = false)]
    org: String,
    /// Only of this key, by its id.
    #[param(required = false)]
    key: String,
    /// `allow` or `deny`
    #[param(required = false)]
    decision: String,
    /// Only this action, as the caller wrote it.
    #[param(required = false)]
    action: String,
    /// Only those that this policy determined, by its id.
    #[param(required = false)]
    policy: String,
    /// Only denials with this error code.
    #[param(required = false)]
    code: String,
}

/// `allow` or `deny`.
struct Effect(bool);

impl FromStr for Effect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "allow" => Ok(Self(true)),
            "deny" => Ok(Self(false)),
            _ => Err("`decision` is `allow` or `deny`"),
        }
    }
}

fn read_filter(query: &mut PageQuery) -> Result<RecentFilter, ApiError> {
    Ok(RecentFilter {
        org: query.take("org")?,
        key: query.take("key")?,
        allows: query.take("decision")?.map(|Effect(allows)| allows),
        action: query.take("action")?,
        policy: query.take("policy")?,
        code: query.take("code")?,
    })
}

/// Lists what this server process decided last, newest first: as many as `log.recent` keeps. What has left is not listed.
#[utoipa::path(get, path = "/v1/decisions", operation_id = "list_decisions", tag = "recent decisions",
    params(("limit" = Option<u32>, Query, description = "1 to 200, 50 when left out"), ("cursor" = Option<String>, Query),
        FilterParams),
    responses((status = 200, body = ListBody<DecisionView>), Errors))]
pub(super) async fn list_decisions(ListCall(mut call, mut query): ListCall) -> Result<Json<ListBody<DecisionView>>, ApiError> {
    call.no_fields()?;
    let filter = read_filter(&mut query)?;
    let list = format!("decisions {filter:?}");
    let page = query.page::<DecisionId>(&list)?;
    call.authorize(ManagementAction::DecisionsRead, &Target::System)?;
    // All slots may have to be looked at, which takes longer than a request may hold up others.
    let listing = tokio::task::spawn_blocking(move || find_page(&call, &filter, &page)).await.map_err(|_| ApiError::Internal)?;
    Ok(ListBody::new(&list, &listing, |kept| kept.judgement().decision_id, DecisionView::new))
}

fn find_page(call: &Call, filter: &RecentFilter, page: &Page<DecisionId>) -> Listing<Kept> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let found = call.app.recorder.recent().map(|recent| recent.list(filter, limit, page.after));
    let (items, has_more) = found.unwrap_or_default();
    Listing { items, has_more }
}

/// Reads one decision; 404 when it has left the memory of this server process.
#[utoipa::path(get, path = "/v1/decisions/{decision}", operation_id = "find_decision", tag = "recent decisions",
    params(("decision" = String, Path)), responses((status = 200, body = DecisionView), Errors))]
pub(super) async fn find_decision(Path(decision): Path<String>, mut call: Call) -> Result<Json<DecisionView>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::DecisionsRead, &Target::System)?;
    let kept = find_kept(&call, &decision).await?;
    Ok(Json(DecisionView::new(&kept)))
}

/// The decision of an id.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not in memory.
pub(super) async fn find_kept(call: &Call, id: &str) -> Result<Kept, ApiError> {
    let recent = call.app.recorder.recent().cloned();
    let (Some(recent), Some(id)) = (recent, path_id::<OfDecision>(id)) else { return Err(ApiError::NotFound) };
    let found = tokio::task::spawn_blocking(move || recent.find(id)).await.map_err(|_| ApiError::Internal)?;
    found.ok_or(ApiError::NotFound)
}
