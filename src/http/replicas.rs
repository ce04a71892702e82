//! `GET /v1/replicas` and `GET /internal/digest`: who decides, by what, and whether they agree.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Errors},
    management::Call,
    state::{App, AppState},
};
use crate::{
    domain::{clock::Timestamp, replica::Replica},
    policy::{ManagementAction, Target},
    store::Replicas,
};

/// A server process that decides from this database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replica)]
pub struct ReplicaView {
    #[schema(example = "rep_01kaw9m3gz5v8r7q2n4c6x0b1d")]
    id: String,
    address: String,
    version: String,
    started_at: String,
    /// Every change up to here is in force there; `null` before it has said so.
    acked_revision: Option<i64>,
    /// How many revisions it lacks.
    lag: Option<i64>,
    /// When it last renewed its lease, by the database's clock.
    seen_at: String,
    max_staleness_seconds: u64,
    /// Until when it may decide by what it has, should it lose the database now.
    lease_until: String,
    /// The digest of the policies that it decides by.
    policy_set: String,
}

impl ReplicaView {
    /// A replica for people, where the history has come to `revision`.
    #[must_use]
    pub fn new(replica: &Replica, revision: i64) -> Self {
        let presence = &replica.presence;
        Self {
            id: presence.id.to_string(),
            address: presence.address.clone(),
            version: presence.version.clone(),
            started_at: replica.started_at.to_string(),
            acked_revision: replica.acked_revision,
            lag: replica.acked_revision.map(|acked| revision.saturating_sub(acked).max(0)),
            seen_at: replica.seen_at.to_string(),
            max_staleness_seconds: presence.max_staleness.as_secs(),
            lease_until: replica.seen_at.plus(presence.max_staleness).to_string(),
            policy_set: replica.policy_set.clone(),
        }
    }
}

/// The replicas of a database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplicaList {
    revision: i64,
    epoch: String,
    data: Vec<ReplicaView>,
    /// The list is always whole.
    next_cursor: Option<String>,
}

/// Lists the server processes that decide from this database, and how far each has come.
#[utoipa::path(get, path = "/v1/replicas", operation_id = "list_replicas", tag = "replicas",
    responses((status = 200, body = ReplicaList), Errors))]
pub(super) async fn list_replicas(mut call: Call) -> Result<Json<ReplicaList>, ApiError> {
    call.no_fields()?;
    call.authorize(ManagementAction::ReplicasList, &Target::System)?;
    let listed = call.app.store.list_replicas().await?;
    let Replicas { revision, epoch, replicas } = if call.app.store.is_shared() { listed } else { alone(&call.app, listed) };
    let data = replicas.iter().map(|replica| ReplicaView::new(replica, revision)).collect();
    Ok(Json(ReplicaList { revision, epoch, data, next_cursor: None }))
}

/// SQLite keeps no list: its one server is the one that answers.
fn alone(app: &App, listed: Replicas) -> Replicas {
    let snapshot = app.keeper.current();
    let age = app.keeper.age_of(&snapshot).unwrap_or(Duration::MAX);
    let ms = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let own = Replica {
        presence: app.keeper.presence().clone(),
        policy_set: snapshot.policies().engine.digest().to_string(),
        acked_revision: Some(snapshot.revision()),
        started_at: app.keeper.started_at(),
        seen_at: Timestamp::from_millis(app.now().as_millis().saturating_sub(ms(age))),
    };
    Replicas { replicas: vec![own], ..listed }
}

/// What a replica holds, in so few words that two can be compared.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Digest {
    revision: i64,
    epoch: String,
    /// Of every org and key as decisions see them.
    #[schema(example = "sha256:…")]
    rows: String,
    keys: usize,
    orgs: usize,
    policy_set: String,
}

/// The digest of what this replica decides by; equal on all of them when nothing has been written for a while.
#[utoipa::path(get, path = "/internal/digest", operation_id = "read_digest", tag = "health", security(()),
    responses((status = 200, body = Digest), Errors))]
pub(super) async fn read_digest(State(app): State<AppState>) -> Result<Json<Digest>, ApiError> {
    let (snapshot, rows) = app.keeper.digest().await.ok_or(ApiError::Internal)?;
    let (keys, orgs) = snapshot.counts();
    Ok(Json(Digest {
        revision: snapshot.revision(),
        epoch: snapshot.epoch().to_owned(),
        rows,
        keys,
        orgs,
        policy_set: snapshot.policies().engine.digest().to_string(),
    }))
}
