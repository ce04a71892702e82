//! `claviger key verify`: whoever holds the database may know why a secret is refused.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    cli::{
        desk::Desk,
        exit::Exit,
        failure::Failure,
        output::{Output, card, write_json, write_line},
    },
    domain::{
        id::SecretId,
        key::{Key, KeySecret, Refusal, Standing},
        org::Org,
        secret::{Plane, Secret},
    },
    http::{KeyView, OrgView},
};

/// What a secret turned out to be.
struct Standpoint {
    refusal: Option<Refusal>,
    owner: Option<(Key, Org, SecretId)>,
}

pub(super) async fn verify(desk: &Desk, text: &SecretString) -> Result<Exit, Failure> {
    let found = find(desk, text.expose_secret()).await?;
    match desk.output {
        Output::Json => write_json(&found.body(desk))?,
        Output::Id => found.owner.iter().try_for_each(|(key, ..)| write_line(&key.id.to_string()))?,
        Output::Table => found.owner.iter().try_for_each(|(key, org, secret)| write_line(&told(desk, key, org, *secret)))?,
    }
    let Some(refusal) = found.refusal else { return Ok(Exit::Ok) };
    Err(Failure::new(Exit::Unauthenticated, format!("the secret is not valid: {}", sentence(refusal))))
}

async fn find(desk: &Desk, text: &str) -> Result<Standpoint, Failure> {
    let nobody = |refusal| Standpoint { refusal: Some(refusal), owner: None };
    let keys = &desk.loaded.config.keys;
    let Ok(secret) = Secret::parse(&keys.prefix()?, text) else { return Ok(nobody(Refusal::Malformed)) };
    if secret.plane() == Plane::Admin {
        return Err(Failure::new(Exit::Unauthenticated, "the secret is no API key but an admin token"));
    }
    let candidates: Vec<_> = keys.peppers()?.candidates(&secret).collect();
    let Some((key, secret)) = desk.store.find_key_by_secret(&candidates).await? else { return Ok(nobody(Refusal::Unknown)) };
    let Some(org) = desk.store.find_org(key.org).await? else { return Ok(nobody(Refusal::Unknown)) };
    let standing = Standing {
        org_deleted: org.deleted_at.is_some(),
        key_revoked: key.revocation.is_some(),
        key_disabled: key.disabled_at.is_some(),
        key_expires_at: key.expires_at,
        secret_expires_at: part(&key, secret).and_then(|secret| secret.expires_at),
    };
    Ok(Standpoint { refusal: standing.refusal(desk.clock.now()), owner: Some((key, org, secret)) })
}

/// The one of the key's secrets that was shown.
fn part(key: &Key, id: SecretId) -> Option<&KeySecret> {
    key.secrets.iter().find(|secret| secret.id == id)
}

impl Standpoint {
    fn body(&self, desk: &Desk) -> Value {
        let owner = self.owner.as_ref();
        json!({
            "valid": self.refusal.is_none(),
            "reason": self.refusal.map(Refusal::as_str),
            "secret_id": owner.map(|(_, _, secret)| secret),
            "key": owner.map(|(key, ..)| KeyView::new(key, desk.clock.now())),
            "org": owner.map(|(_, org, _)| OrgView::new(org)),
        })
    }
}

fn told(desk: &Desk, key: &Key, org: &Org, secret: SecretId) -> String {
    let state = if org.suspension.is_some() { "suspended: everything is denied" } else { "active" };
    let state = if org.deleted_at.is_some() { "deleted" } else { state };
    let shown = part(key, secret).map(|secret| match secret.expires_at {
        Some(end) => format!("{} until {end}", secret.hint),
        None => secret.hint.clone(),
    });
    let permissions: Vec<&str> = key.permissions.iter().map(crate::domain::permission::Permission::as_str).collect();
    card([
        ("key", format!("{} ({})", key.name, key.id)),
        ("state", key.state(desk.clock.now()).to_owned()),
        ("environment", key.environment.to_string()),
        ("secret", shown.unwrap_or_default()),
        ("expires at", key.expires_at.map_or_else(|| "-".to_owned(), |end| end.to_string())),
        ("permissions", permissions.join(", ")),
        ("organization", format!("{} ({}), {state}", org.name, org.id)),
    ])
}

const fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Missing => "there is none",
        Refusal::Malformed => "it has not the shape of one, or was mistyped",
        Refusal::Unknown => "no key of this database has it",
        Refusal::OrgDeleted => "its organization is deleted",
        Refusal::KeyRevoked => "its key is revoked",
        Refusal::KeyDisabled => "its key is disabled",
        Refusal::KeyExpired => "its key is expired",
        Refusal::SecretExpired => "the key was rotated, and this secret of it has ended",
    }
}
