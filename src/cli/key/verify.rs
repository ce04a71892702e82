//! `claviger key verify`: whoever holds the database may know why a secret is refused; a server tells a key only about itself.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    cli::{
        credential::CredentialArgs,
        desk::Desk,
        exit::Exit,
        failure::Failure,
        office::OfficeArgs,
        output::{Output, card, cell, write_json, write_line},
        remote::{Server, bearer},
        server::runtime,
    },
    domain::{
        id::SecretId,
        key::{Key, Refusal, Standing},
        org::Org,
        secret::{Plane, Secret},
    },
    http::{KeyView, OrgView},
};

/// What a secret turned out to be.
struct Standpoint {
    /// Why it is not valid, in a sentence.
    refusal: Option<&'static str>,
    /// `valid`, `reason`, `secret_id`, `key`, `org`
    body: Value,
}

pub(super) fn verify(office: &OfficeArgs, credential: &CredentialArgs) -> Result<Exit, Failure> {
    let server = office.server(false)?;
    let text = credential.read()?;
    let output = office.desk().output();
    match server {
        Some(server) => runtime()?.block_on(ask(&server, &text))?.told(output),
        None => office.desk().run(async |desk| find(&desk, text.expose_secret()).await?.told(output)),
    }
}

/// Asks a server, with the key itself.
async fn ask(server: &Server, text: &SecretString) -> Result<Standpoint, Failure> {
    let reply = server.send(Method::GET, "/v1/whoami", bearer(text)?, None::<&Value>).await?;
    let is_id = |pointer| reply.body.pointer(pointer).is_some_and(Value::is_string);
    let told = |valid, refusal| {
        let [key, org] = ["key", "org"].map(|name| reply.body.get(name));
        Standpoint { refusal, body: json!({ "valid": valid, "reason": null, "secret_id": null, "key": key, "org": org }) }
    };
    match reply.status {
        200 if is_id("/key/id") && is_id("/org/id") => Ok(told(true, None)),
        401 if reply.code() == Some("INVALID_API_KEY") => Ok(told(false, Some("a server does not say why"))),
        _ => Err(server.refusal(&reply)),
    }
}

async fn find(desk: &Desk, text: &str) -> Result<Standpoint, Failure> {
    let nobody = |refusal| Standpoint::new(desk, Some(refusal), None);
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
        secret_expires_at: key.secrets.iter().find(|part| part.id == secret).and_then(|part| part.expires_at),
    };
    Ok(Standpoint::new(desk, standing.refusal(desk.clock.now()), Some((&key, &org, secret))))
}

impl Standpoint {
    fn new(desk: &Desk, refusal: Option<Refusal>, owner: Option<(&Key, &Org, SecretId)>) -> Self {
        let body = json!({
            "valid": refusal.is_none(),
            "reason": refusal.map(Refusal::as_str),
            "secret_id": owner.map(|(_, _, secret)| secret),
            "key": owner.map(|(key, ..)| KeyView::new(key, desk.clock.now())),
            "org": owner.map(|(_, org, _)| OrgView::new(org)),
        });
        Self { refusal: refusal.map(sentence), body }
    }

    /// A text of the body; a dash where there is none.
    fn text(&self, pointer: &str) -> String {
        cell(self.body.pointer(pointer))
    }

    fn told(&self, output: Output) -> Result<Exit, Failure> {
        let is_known = self.body.get("key").is_some_and(|key| !key.is_null());
        match output {
            Output::Json => write_json(&self.body)?,
            Output::Id if is_known => write_line(&self.text("/key/id"))?,
            Output::Table if is_known => write_line(&self.card())?,
            Output::Id | Output::Table => {}
        }
        let Some(refusal) = self.refusal else { return Ok(Exit::Ok) };
        Err(Failure::new(Exit::Unauthenticated, format!("the secret is not valid: {refusal}")))
    }

    fn card(&self) -> String {
        let named = |what: &str| format!("{} ({})", self.text(&format!("/{what}/name")), self.text(&format!("/{what}/id")));
        // A server tells only valid keys about themselves, and of a suspension no more than that there is one.
        let state = if self.body.pointer("/key/state").is_some() { self.text("/key/state") } else { "active".to_owned() };
        let is_suspended = self.body.pointer("/org/suspended") == Some(&Value::Bool(true));
        let org_state = match self.text("/org/state").as_str() {
            "deleted" => "deleted",
            "suspended" => "suspended: everything is denied",
            _ if is_suspended => "suspended: everything is denied",
            _ => "active",
        };
        card([
            ("key", named("key")),
            ("state", state),
            ("environment", self.text("/key/environment")),
            ("secret", self.shown()),
            ("expires at", self.text("/key/expires_at")),
            ("permissions", self.text("/key/permissions")),
            ("organization", format!("{}, {org_state}", named("org"))),
        ])
    }

    /// The one of the key's secrets that was shown: its hint, and when it ends.
    fn shown(&self) -> String {
        let id = self.body.get("secret_id");
        let parts = self.body.pointer("/key/secrets").and_then(Value::as_array);
        let part = parts.and_then(|parts| parts.iter().find(|part| part.get("id") == id));
        let hint = cell(part.and_then(|part| part.get("hint")));
        match part.and_then(|part| part.get("expires_at")).and_then(Value::as_str) {
            Some(end) => format!("{hint} until {end}"),
            None => hint,
        }
    }
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
