//! The decision made in this process, by the very routes that a server has.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use secrecy::SecretString;

use super::{Answer, question::Question};
use crate::{
    cli::{desk::Desk, failure::Failure, policy_source::PolicySourceArgs, remote::bearer},
    domain::{id::ReplicaId, replica::Presence},
    http::{Api, App, AppState, Stopping},
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
    let presence = Presence {
        id: ReplicaId::new(desk.clock.now(), &desk.random),
        address: "claviger check".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // If this process is killed, nobody waits longer than that for it.
        max_staleness: Duration::from_secs(2),
    };
    let keeper = Keeper::open(desk.store.clone(), engine, presence, desk.clock.clone(), desk.random.clone()).await?;
    let app = AppState::new(App {
        store: desk.store.clone(),
        keeper,
        clock: desk.clock.clone(),
        random: desk.random.clone(),
        prefix: keys.prefix()?,
        peppers: keys.peppers()?,
        recorder: Recorder::off(),
        explains: None,
        stopping: Stopping::default(),
    });
    let body = serde_json::to_vec(&question).map_err(Failure::failed)?;
    let request = Request::post("/v1/authorize").header("authorization", bearer(key)?).header("content-type", "application/json");
    let request = request.body(Body::from(body)).map_err(Failure::failed)?;
    let response = Api::new(&app).answer(request, None).await;
    app.keeper.retire().await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.map_err(Failure::failed)?.to_bytes();
    Ok(Answer { status, body: serde_json::from_slice(&bytes).map_err(Failure::failed)? })
}
