//! Who calls: the `Authorization` header, keys in the snapshot, admins in the store.

use axum::http::{HeaderMap, header};

use super::{envelope::Envelope, error::ApiError, state::App};
use crate::{
    domain::{
        admin::Admin,
        audit::{Actor, Author},
        clock::Timestamp,
        key::Refusal,
        secret::{Plane, Secret},
    },
    policy::{ManagementAction, Target},
    snapshot::{Found, Snapshot},
};

/// The bearer token of a request. `None`: no header, or another scheme.
///
/// # Errors
/// More than one header, or one that is not `Bearer`, one space, one token (RFC 9110 token68).
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let malformed = |message: &str| Err(ApiError::invalid("authorization", message));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return malformed("send exactly one Authorization header");
    }
    let Ok(text) = value.to_str() else { return malformed("the Authorization header must be ASCII") };
    let (scheme, rest) = text.split_once([' ', '\t']).map_or((text, None), |(scheme, _)| (scheme, text.get(scheme.len()..)));
    if scheme.is_empty() {
        return malformed("the Authorization header is empty");
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match rest.and_then(|rest| rest.strip_prefix(' ')).filter(|token| is_token68(token)) {
        Some(token) => Ok(Some(token)),
        None => malformed("the Authorization header must be `Bearer`, one space and the token"),
    }
}

fn is_token68(token: &str) -> bool {
    let characters = token.trim_end_matches('=');
    !characters.is_empty() && characters.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

/// Finds the key behind a bearer token.
///
/// # Errors
/// Why not, for telemetry; the caller is told the same whatever it was.
pub(super) fn authenticate_key(
    app: &App,
    snapshot: &Snapshot,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Found, (Refusal, Option<Found>)> {
    let token = token.ok_or((Refusal::Missing, None))?;
    let secret = Secret::parse(&app.prefix, token).map_err(|_| (Refusal::Malformed, None))?;
    if secret.plane() == Plane::Admin {
        return Err((Refusal::Unknown, None));
    }
    snapshot.authenticate(app.peppers.candidates(&secret), now)
}

/// Finds the admin behind a bearer token, in the store: a revoked token opens nothing on any replica.
pub(super) async fn authenticate_admin(app: &App, headers: &HeaderMap) -> Result<Admin, ApiError> {
    let Some(token) = bearer(headers)? else { return Err(ApiError::InvalidAdminToken { sent: false }) };
    let refused = ApiError::InvalidAdminToken { sent: true };
    let secret = Secret::parse(&app.prefix, token).ok().filter(|secret| secret.plane() == Plane::Admin);
    let Some(secret) = secret else { return Err(refused) };
    let candidates: Vec<_> = app.peppers.candidates(&secret).collect();
    app.store.authenticate_admin(&candidates).await?.ok_or(refused)
}

/// Asks the management policies; a denial is logged with its cause and answered without one.
pub(super) fn authorize_admin(app: &App, admin: &Admin, action: ManagementAction, target: &Target) -> Result<(), ApiError> {
    let snapshot = app.keeper.current();
    let decision = snapshot.policies().engine.decide_management(admin.id, admin.role, action, target);
    if decision.is_allow() {
        return Ok(());
    }
    tracing::info!(admin = %admin.id, action = action.as_str(), reason = decision.reason(), ?decision.policies, "management call denied");
    Err(ApiError::Forbidden)
}

/// The author of a write by an admin.
pub(super) fn author(app: &App, admin: &Admin, envelope: &Envelope) -> Author {
    Author {
        actor: Actor::Admin { id: admin.id, role: admin.role },
        at: app.now(),
        request_id: Some(envelope.id.to_string()),
        address: envelope.address.map(|address| address.to_string()),
    }
}
