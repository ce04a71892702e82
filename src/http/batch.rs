//! `POST /v1/authorize/batch`: up to 100 decisions for one key, on one snapshot.

use axum::{
    Json,
    extract::{Extension, Request as HttpRequest, State},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

use super::{
    auth::{authenticate_key, bearer},
    body::{Fields, missing, parse_object},
    decision::{DecisionBody, decide, denial, read_request},
    envelope::{AnsweredAt, Envelope},
    error::{ApiError, Errors},
    fresh::{Fresh, fresh, min_revision},
    input::{DECISION_LIMIT, check_json, read_body},
    openapi::{BatchDecisions, BatchRequest},
    record::{Recording, found_key, judgement, known_key},
    state::{App, AppState},
};
use crate::{
    domain::{decision::Request, id::DecisionId},
    snapshot::{Caller, Snapshot},
    telemetry::{Answer, EntryPoint, Item, KnownKey, Outcome},
};

/// Requests in one batch.
const MOST: usize = 100;

/// Decides up to 100 requests of one key, on one snapshot.
#[utoipa::path(post, path = "/v1/authorize/batch", operation_id = "authorize_batch", tag = "decisions", request_body = BatchRequest,
    responses((status = 200, body = BatchDecisions), Errors))]
pub(super) async fn authorize_batch(
    State(app): State<AppState>,
    Extension(envelope): Extension<Envelope>,
    request: HttpRequest,
) -> Result<impl IntoResponse, ApiError> {
    let (parts, body) = request.into_parts();
    let recording = Recording::begin(&app, EntryPoint::Batch, &parts.headers);
    let token = bearer(&parts.headers)?;
    check_json(&parts.headers)?;
    let at_least = min_revision(&parts.headers)?;
    let bytes = read_body(body, DECISION_LIMIT).await?;
    let Fresh { snapshot, made: (mut answer, items, key, mut refused), refused: too_old } = fresh(&app, at_least, |snapshot| {
        let mut batch = Batch { app: &app, snapshot, recording: recording.as_ref(), items: Vec::new(), key: None, refused: None };
        let answer = batch.answer(token, &bytes);
        (answer, batch.items, batch.key, batch.refused)
    })
    .await;
    if let Some(error) = too_old {
        refused = None;
        answer = Err(error);
    }
    if let Some(recording) = recording {
        let status = answer.as_ref().map_or_else(ApiError::status_code, |_| 200);
        let answer = match &answer {
            Ok(_) => Answer::Batch(items),
            Err(error) => {
                let outcome = refused.unwrap_or_else(|| Outcome::Rejected(error.fixed_code()));
                Answer::One(judgement(&app, &snapshot, DecisionId::new(app.now(), &app.random), None, outcome))
            }
        };
        recording.end(&app, &snapshot, &envelope, status, key, answer);
    }
    let answer = answer.map(|decisions| Json(json!({ "decisions": decisions })));
    Ok((Extension(AnsweredAt(snapshot.revision())), answer))
}

struct Batch<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    recording: Option<&'a Recording>,
    items: Vec<Item>,
    key: Option<KnownKey>,
    refused: Option<Outcome>,
}

impl Batch<'_> {
    fn answer(&mut self, token: Option<&str>, bytes: &[u8]) -> Result<Vec<Value>, ApiError> {
        let now = self.app.now();
        let found = authenticate_key(self.app, self.snapshot, token, now).map_err(|(refusal, found)| {
            self.refused = Some(Outcome::Refused(refusal));
            self.key = found.as_ref().map(found_key);
            ApiError::InvalidApiKey { sent: token.is_some() }
        })?;
        let caller = self.app.keeper.caller(&found, self.snapshot);
        self.app.keeper.note_use(&caller, &found, now);
        self.key = Some(known_key(&found, &caller));
        let mut fields = parse_object(bytes)?;
        let requests = fields.list("requests")?.ok_or_else(|| missing("requests"))?;
        fields.finish()?;
        if !(1..=MOST).contains(&requests.len()) {
            return Err(ApiError::invalid("requests", format!("`requests` must hold 1 to {MOST} requests")));
        }
        Ok(requests.into_iter().map(|request| self.answer_item(&caller, request)).collect())
    }

    fn answer_item(&mut self, caller: &Caller, request: Value) -> Value {
        let begun = self.recording.map(Recording::elapsed).unwrap_or_default();
        let id = DecisionId::new(self.app.now(), &self.app.random);
        let request = Fields::new(request, "")
            .map_err(|_| ApiError::invalid("requests", "each request must be an object"))
            .and_then(read_request);
        let (outcome, body) = match &request {
            Ok(request) => self.decide(caller, request, id),
            Err(error) => (Outcome::Rejected(error.fixed_code()), refusal(error)),
        };
        if let Some(recording) = self.recording {
            let elapsed = recording.elapsed().saturating_sub(begun);
            let judgement = judgement(self.app, self.snapshot, id, request.as_ref().ok(), outcome);
            self.items.push(Item { after: begun, elapsed, judgement });
        }
        body
    }

    fn decide(&self, caller: &Caller, request: &Request, id: DecisionId) -> (Outcome, Value) {
        let decision = match decide(self.app, self.snapshot, caller, request, id) {
            Ok(decision) => decision,
            Err(error) => return (Outcome::Rejected(error.fixed_code()), refusal(&error)),
        };
        let mut fields = DecisionBody::new(self.snapshot, caller, request, id, &decision, None).into_fields();
        if !decision.is_allow() {
            let error = denial(&decision, Map::new()).object(None);
            fields.insert("error".to_owned(), error.into());
        }
        (Outcome::Decided(decision), Value::Object(fields))
    }
}

fn refusal(error: &ApiError) -> Value {
    json!({ "decision": "deny", "error": error.object(None) })
}
