//! What no request can bring about from outside: a panic, and each error that there is.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request, routing::get};
use http_body_util::BodyExt;
use serde_json::Value;

use super::{
    docs::EXPLANATIONS,
    error::{ApiError, Denial},
    *,
};
use crate::{
    domain::{
        clock::Clock,
        decision::BadRequest,
        id::ReplicaId,
        random::Random,
        replica::Presence,
        secret::{Peppers, SecretPrefix},
    },
    policy::{Engine, Settings, shipped},
    snapshot::Keeper,
    store::{DatabaseConfig, Store},
    telemetry::Recorder,
};

/// One of each kind.
fn errors() -> Vec<ApiError> {
    let bad =
        |code: &str| Denial { code: code.into(), message: "no".into(), missing: None, why: None, fields: serde_json::Map::new() };
    let text = String::new;
    let all = vec![
        ApiError::invalid("body", "no"),
        ApiError::Unprocessable { param: "slug", message: text() },
        ApiError::UnknownPermission { unknown: Vec::new(), valid: Vec::new() },
        ApiError::Unfit(BadRequest::UnknownAction { action: text(), nearest: None }),
        ApiError::Unfit(BadRequest::UnknownResourceType { action: text(), kind: text(), valid: Vec::new() }),
        ApiError::Unfit(BadRequest::InvalidContext(text())),
        ApiError::RequestTooLarge,
        ApiError::NotFound,
        ApiError::MethodNotAllowed,
        ApiError::InvalidApiKey { sent: true },
        ApiError::InvalidAdminToken { sent: true },
        ApiError::Forbidden,
        ApiError::Denied(Box::new(bad("PERMISSION_DENIED"))),
        ApiError::Denied(Box::new(bad("POLICY_ERROR"))),
        ApiError::Conflict(text()),
        ApiError::TooManyStreams,
        ApiError::NotReady,
        ApiError::Stopping,
        ApiError::StaleSnapshot,
        ApiError::BehindRevision,
        ApiError::StoreUnavailable,
        ApiError::OutcomeUnknown,
        ApiError::Timeout,
        ApiError::Internal,
    ];
    for error in &all {
        // A new kind does not compile until it is here, and then belongs above.
        match error {
            ApiError::InvalidRequest { .. }
            | ApiError::Unprocessable { .. }
            | ApiError::UnknownPermission { .. }
            | ApiError::Unfit(
                BadRequest::UnknownAction { .. } | BadRequest::UnknownResourceType { .. } | BadRequest::InvalidContext(_),
            )
            | ApiError::RequestTooLarge
            | ApiError::NotFound
            | ApiError::MethodNotAllowed
            | ApiError::InvalidApiKey { .. }
            | ApiError::InvalidAdminToken { .. }
            | ApiError::Forbidden
            | ApiError::Denied(_)
            | ApiError::Conflict(_)
            | ApiError::TooManyStreams
            | ApiError::NotReady
            | ApiError::Stopping
            | ApiError::StaleSnapshot
            | ApiError::BehindRevision
            | ApiError::StoreUnavailable
            | ApiError::OutcomeUnknown
            | ApiError::Timeout
            | ApiError::Internal => {}
        }
    }
    all
}

#[test]
fn every_code_is_explained_under_its_status() {
    for error in errors() {
        let explanation = EXPLANATIONS.iter().find(|explanation| explanation.code == error.code());
        let explanation = explanation.unwrap_or_else(|| panic!("{} is not explained", error.code()));
        let status = error.status_code().to_string();
        assert!(explanation.status.split(" or ").any(|known| known == status), "{}: {status}", error.code());
    }
}

#[test]
fn explanations_are_in_order_and_each_once() {
    assert!(EXPLANATIONS.is_sorted_by(|a, b| a.code < b.code));
}

async fn app(directory: &tempfile::TempDir) -> AppState {
    let (clock, random) = (Clock::manual("2026-11-24T04:30:26Z".parse().unwrap()), Random::seeded(1));
    let url = format!("sqlite:{}", directory.path().join("claviger.db").display());
    let store = Store::open(&DatabaseConfig { url }, random.clone()).await.unwrap();
    store.migrate().await.unwrap();
    let engine = Engine::load(&shipped(), &Settings::default()).unwrap();
    let id = ReplicaId::new(clock.now(), &random);
    let presence = Presence { id, address: String::new(), version: String::new(), max_staleness: Duration::from_mins(1) };
    let keeper: Arc<Keeper> = Keeper::open(store.clone(), engine, presence, clock.clone(), random.clone()).await.unwrap();
    let (prefix, peppers, recorder) = (SecretPrefix::default(), Peppers::default(), Recorder::off());
    AppState::new(App { store, keeper, clock, random, prefix, peppers, recorder, stopping: Stopping::default(), explains: None })
}

#[tokio::test]
async fn a_handler_that_panics_is_a_500_like_any_other_error() {
    let directory = tempfile::TempDir::new().unwrap();
    let app = app(&directory).await;
    let handler = async || -> String { panic!("op_live_{}", "0".repeat(38)) };
    let api = Api::with_routes(&app, Router::new().route("/boom", get(handler)));
    let request = Request::get("/boom").header("x-request-id", "mine").body(Body::empty()).unwrap();
    let response = api.answer(request, None).await;
    assert_eq!(response.status().as_u16(), 500);
    let headers = response.headers().clone();
    for (name, value) in [
        ("x-request-id", "mine"),
        ("claviger-revision", "0"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "error": {
            "code": "INTERNAL", "message": "the server failed; the log has the cause under this request id",
            "request_id": "mine", "docs_url": "/docs/errors#INTERNAL",
        } })
    );
}
