//! The decision made in this process, by the very routes that a server has.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use secrecy::SecretString;

use super::{Answer, question::Question};
use crate::{
    cli::{desk::Desk, failure::Failure, policy_source::PolicySourceArgs, remote::bearer},
    http::{Api, App, AppState},
    snapshot::Keeper,
    telemetry::Recorder,
};

pub(super) async fn ask(
    desk: &Desk,
    policies: &PolicySourceArgs,
    key: &SecretString,
    question: Question,
) -> Result<Answer, Failure> {
    let engine = policies.engine(&desk.loaded)?;
    let keys = &desk.loaded.config.keys;
    let app = AppState::new(App {
        store: desk.store.clone(),
        keeper: Keeper::open(desk.store.clone(), engine, desk.clock.clone(), desk.random.clone()).await?,
        clock: desk.clock.clone(),
        random: desk.random.clone(),
        prefix: keys.prefix()?,
        peppers: keys.peppers()?,
        recorder: Recorder::off(),
    });
    let body = serde_json::to_vec(&question).map_err(Failure::failed)?;
    let request = Request::post("/v1/authorize").header("authorization", bearer(key)?).header("content-type", "application/json");
    let request = request.body(Body::from(body)).map_err(Failure::failed)?;
    let response = Api::new(&app).answer(request, None).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.map_err(Failure::failed)?.to_bytes();
    Ok(Answer { status, body: serde_json::from_slice(&bytes).map_err(Failure::failed)? })
}
