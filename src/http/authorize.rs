//! `POST /v1/authorize`: one decision. The status carries it, so that a caller who only looks at the status fails closed.

use axum::{
    body::{Body, Bytes},
    extract::{Extension, Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    auth::{authenticate_key, bearer},
    body::parse_object,
    decision::{DecisionBody, decide, denial, read_request},
    envelope::{Answered, AnsweredAt, Envelope, HEADERS},
    error::{ApiError, Errors},
    fresh::{Fresh, fresh, min_revision},
    input::{DECISION_LIMIT, check_json, read_body},
    openapi::AuthorizeRequest,
    record::{Recording, found_key, judgement, known_key},
    state::{App, AppState},
};
use crate::{
    domain::{decision::Request, facts::Facts, id::DecisionId},
    policy::Asked,
    snapshot::Snapshot,
    telemetry::{Answer, EntryPoint, KnownKey, Outcome},
};

pub(super) const PATH: &str = "/v1/authorize";

/// Room for an answer with names of ordinary length, in bytes.
const USUAL: usize = 1024;

/// Decides whether a key may do something.
#[utoipa::path(post, path = PATH, operation_id = "authorize", tag = "decisions", request_body = AuthorizeRequest,
    responses((status = 200, body = DecisionBody<'_>), Errors))]
pub(super) async fn authorize(
    State(app): State<AppState>,
    Extension(envelope): Extension<Envelope>,
    request: HttpRequest,
) -> Result<impl IntoResponse, ApiError> {
    // For the route list and the document; `Api` asks `answer` itself.
    let Answered { revision, answer, .. } = answer(&app, &envelope, request).await?;
    Ok((revision.map(Extension), answer))
}

/// The same past the router.
///
/// # Errors
/// What is wrong with the headers or the body's arrival; everything after that is in the answer, with its revision.
pub(super) async fn answer(app: &App, envelope: &Envelope, request: HttpRequest) -> Result<Answered, ApiError> {
    let (parts, body) = request.into_parts();
    let recording = Recording::begin(app, EntryPoint::Api, &parts.headers);
    let token = bearer(&parts.headers)?;
    check_json(&parts.headers)?;
    let at_least = min_revision(&parts.headers)?;
    let bytes = read_body(body, DECISION_LIMIT).await?;
    let Fresh { snapshot, made: (mut call, mut answer), refused } = fresh(app, at_least, |snapshot| {
        let mut call = Call { id: DecisionId::new(app.now(), &app.random), key: None, request: None, outcome: None };
        let answer = call.answer(app, snapshot, token, &bytes, &envelope.id);
        (call, answer)
    })
    .await;
    if let Some(error) = refused {
        call.outcome = None;
        answer = Err(error);
    }
    let is_explained = app.explains.is_some() && matches!(answer, Err(ApiError::Denied(_)));
    let asked = if is_explained { call.asked() } else { None };
    if let Some(recording) = recording {
        call.record(recording, app, &snapshot, envelope, &answer);
    }
    if let (Some(explainer), Some(asked), Err(ApiError::Denied(denial))) = (&app.explains, asked, &mut answer) {
        // Boxed: the future of every decision would have room for it.
        denial.why = Box::pin(explainer.why(snapshot.policies().clone(), asked)).await;
    }
    Ok(Answered { revision: Some(AnsweredAt(snapshot.revision())), answer, allow: None, route: None })
}

/// What is known of a call so far, for its record.
struct Call {
    id: DecisionId,
    key: Option<KnownKey>,
    request: Option<Request>,
    outcome: Option<Outcome>,
}

impl Call {
    fn answer(
        &mut self,
        app: &App,
        snapshot: &Snapshot,
        token: Option<&str>,
        bytes: &Bytes,
        request_id: &str,
    ) -> Result<Response, ApiError> {
        let now = self.id.moment();
        let found = authenticate_key(app, snapshot, token, now).map_err(|(refusal, found)| {
            self.outcome = Some(Outcome::Refused(refusal));
            self.key = found.as_ref().map(found_key);
            ApiError::InvalidApiKey { sent: token.is_some() }
        })?;
        let caller = app.keeper.caller(&found, snapshot);
        app.keeper.note_use(&caller, &found, now);
        self.key = Some(known_key(&found, &caller));
        let request = self.request.insert(parse_object(bytes).and_then(read_request)?);
        let decision = decide(app, snapshot, &caller, request, self.id)?;
        self.outcome = Some(Outcome::Decided(decision.clone()));
        let body = DecisionBody::new(snapshot, &caller, request, self.id, &decision, Some(request_id));
        if decision.is_allow() { allow(&body) } else { Err(denial(&decision, body.into_fields())) }
    }

    /// What the policies were asked.
    fn asked(&self) -> Option<Asked> {
        let facts = Facts::clone(&self.key.as_ref()?.facts);
        Some(Asked::Key { facts, request: self.request.clone()?, now: self.id.moment() })
    }

    fn record(
        self,
        recording: Recording,
        app: &App,
        snapshot: &Snapshot,
        envelope: &Envelope,
        answer: &Result<Response, ApiError>,
    ) {
        let (status, code) = match answer {
            Ok(response) => (response.status().as_u16(), "INTERNAL"),
            Err(error) => (error.status_code(), error.fixed_code()),
        };
        let outcome = self.outcome.unwrap_or(Outcome::Rejected(code));
        let answer = Answer::One(judgement(app, snapshot, self.id, self.request.as_ref(), outcome));
        recording.end(app, snapshot, envelope, status, self.key, answer);
    }
}

fn allow(body: &DecisionBody<'_>) -> Result<Response, ApiError> {
    let mut json = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut json, body).map_err(|_| ApiError::Internal)?;
    let mut response = Response::new(Body::from(json));
    // With room for all that will come: a map that grows is made again.
    let mut headers = HeaderMap::with_capacity(1 + HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.headers_mut() = headers;
    Ok(response)
}
