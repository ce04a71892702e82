//! Calls that must not be made twice: who sends one again under its `Idempotency-Key` gets the first answer, without its secret.

use std::future::Future;

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{
    error::ApiError,
    management::{Call, Settled},
    state::AppState,
};
use crate::{
    domain::{redact::holds_secret, secret::Secret},
    store::{Attempt, Once, StoreError, Written},
};

const HEADER: &str = "idempotency-key";

/// The header, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header for the document; `read_key` reads it")]
pub(super) struct IdempotencyKey {
    /// A name for this call, 1 to 128 visible ASCII characters, plain or as a quoted string. For 24 hours, the same call under
    /// the same key changes nothing and gets the same answer with `secret: null`; with another body it is a 422.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        min_length = 1,
        max_length = 128,
        example = "8e03978e-40d5-43e8-bc93-6894a57f9324"
    )]
    key: String,
}

/// A call that makes something: the only kind that takes an idempotency key.
#[derive(Debug)]
pub(super) struct OnceCall(pub Call, pub Option<Repeat>);

/// What a call has in common with its repetition.
#[derive(Debug)]
pub(super) struct Repeat {
    route: String,
    key: String,
}

impl FromRequest<AppState> for OnceCall {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ApiError> {
        let route = format!("{} {}", request.method(), request.uri().path());
        let repeat = read_key(request.headers())?.map(|key| Repeat { route, key });
        Ok(Self(Call::from_request(request, app).await?, repeat))
    }
}

/// The body of an answer that says what was made.
pub(super) trait Made: Serialize {
    /// What was made.
    type Thing: Send + 'static;

    /// With the secret the first time, without it ever after; the rest depends on nothing else, so that it stays the same.
    fn new(thing: &Self::Thing, revision: i64, secret: Option<&Secret>) -> Self;
}

impl Call {
    /// Runs a write to its end as [`Call::commit`] does, or answers as it was answered before.
    pub(super) async fn make<B, F, W>(&self, repeat: Option<Repeat>, secret: Option<Secret>, write: F) -> Result<Value, ApiError>
    where
        B: Made,
        F: FnOnce(AppState, Attempt<B::Thing>) -> W,
        W: Future<Output = Result<Written<B::Thing>, StoreError>> + Send + 'static,
    {
        let request = self.digest();
        let answer = |thing: &B::Thing, revision| body::<B>(thing, revision, None);
        let once = repeat.map(|Repeat { route, key }| Once { route, key, request, answer });
        let written = self.commit(|app, author| {
            let write = write(app, Attempt { author, once });
            async move {
                match write.await {
                    Ok(Written { value, revision, changed }) => {
                        Ok(Written { value: body::<B>(&value, revision, secret.as_ref()), revision, changed })
                    }
                    Err(StoreError::AnsweredBefore { answer, revision }) => {
                        Ok(Written { value: answer, revision, changed: false })
                    }
                    Err(error) => Err(error),
                }
            }
        });
        let Settled { value: mut body, propagated, .. } = written.await?;
        if let (Value::Object(fields), Some(propagated)) = (&mut body, propagated) {
            fields.insert("propagated".to_owned(), json!(propagated));
        }
        Ok(body)
    }
}

fn body<B: Made>(thing: &B::Thing, revision: i64, secret: Option<&Secret>) -> Value {
    // INVARIANT: a body is texts and numbers under names, which JSON can hold, so the fallback is never taken.
    serde_json::to_value(B::new(thing, revision, secret)).unwrap_or_default()
}

/// The key of a call, if it has one. It is kept, so nothing that looks like a secret may be one.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::invalid(HEADER, "send at most one Idempotency-Key header"));
    }
    let fits = |key: &String| (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) && !holds_secret(key);
    let key = value.to_str().ok().and_then(unquote).filter(fits);
    let refused = || ApiError::invalid(HEADER, "an Idempotency-Key is 1 to 128 visible ASCII characters, and no secret");
    key.map(Some).ok_or_else(refused)
}

/// Takes a string of RFC 9651 out of its quotes; other text is taken as it stands.
fn unquote(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let mut key = String::new();
    let mut letters = quoted.chars();
    loop {
        match letters.next()? {
            '"' => return letters.as_str().is_empty().then_some(key),
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            letter => key.push(letter),
        }
    }
}
