//! The management API of a running server.

use http::{HeaderValue, Method};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Change, Done, List, Sheet, Thing};
use crate::cli::{
    failure::Failure,
    key::create::unknown_permissions,
    output::cell,
    remote::{Reply, Server, bearer},
};

/// A server, and the token that it is shown.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) server: Server,
    bearer: HeaderValue,
}

impl Counter {
    pub(super) fn new(server: Server, token: &SecretString) -> Result<Self, Failure> {
        Ok(Self { server, bearer: bearer(token)? })
    }

    pub(super) async fn find(&self, thing: Thing) -> Result<Option<Value>, Failure> {
        let path = match thing {
            Thing::Org(id) => format!("/v1/orgs/{id}"),
            Thing::Key(id) => format!("/v1/keys/{id}"),
            Thing::Admin(id) => format!("/v1/admins/{id}"),
        };
        let reply = self.read(&path).await?;
        if reply.status == 404 && reply.code() == Some("NOT_FOUND") {
            return Ok(None);
        }
        let view = Some(&reply.body).filter(|view| reply.status == 200 && is_view(view));
        view.cloned().map(Some).ok_or_else(|| self.server.refusal(&reply))
    }

    pub(super) async fn page(&self, list: List<'_>, cursor: Option<&str>) -> Result<Sheet, Failure> {
        let mut path = match list {
            List::Orgs => "/v1/orgs?limit=200".to_owned(),
            List::Keys(org) => format!("/v1/orgs/{org}/keys?limit=200"),
            List::Admins => "/v1/admins?limit=200".to_owned(),
            List::Replicas => "/v1/replicas".to_owned(),
            List::Audit(filter) => format!("/v1/audit?limit=200&{filter}"),
        };
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        let reply = self.read(&path).await?;
        read_sheet(&reply, cursor).ok_or_else(|| self.server.refusal(&reply))
    }

    pub(super) async fn read(&self, path: &str) -> Result<Reply, Failure> {
        self.server.send(Method::GET, path, self.bearer.clone(), None::<&Value>).await
    }

    pub(super) async fn change(&self, change: &Change) -> Result<Done, Failure> {
        let (method, path, body) = request(change);
        let reply = self.server.send(method, &path, self.bearer.clone(), body.as_ref()).await?;
        read_done(&reply, change).ok_or_else(|| self.refusal(&reply, change))
    }

    fn refusal(&self, reply: &Reply, change: &Change) -> Failure {
        match (reply.code(), change, reply.body.pointer("/error/details/valid").and_then(Value::as_array)) {
            (Some("UNKNOWN_PERMISSION"), Change::CreateKey(_, order), Some(valid)) => {
                let valid: Vec<&str> = valid.iter().filter_map(Value::as_str).collect();
                let is_unknown = |name: &&String| !valid.contains(&name.as_str());
                unknown_permissions(order.permissions.iter().filter(is_unknown), &valid)
            }
            _ => self.server.refusal(reply),
        }
    }
}

/// A change as a call of the API.
fn request(change: &Change) -> (Method, String, Option<Value>) {
    let post = |path: String, body: Option<Value>| (Method::POST, path, body);
    match change {
        Change::CreateOrg(new) => post("/v1/orgs".into(), Some(json!({ "name": new.name, "slug": new.slug }))),
        Change::SuspendOrg(id, reason) => post(format!("/v1/orgs/{id}/suspend"), Some(json!({ "reason": reason }))),
        Change::UnsuspendOrg(id, reason) => post(format!("/v1/orgs/{id}/unsuspend"), Some(json!({ "reason": reason }))),
        Change::DeleteOrg(id) => (Method::DELETE, format!("/v1/orgs/{id}"), None),
        Change::CreateKey(org, order) => post(format!("/v1/orgs/{org}/keys"), Some(order.body())),
        Change::RotateKey(id, overlap) => {
            post(format!("/v1/keys/{id}/rotate"), Some(json!({ "overlap": format!("{}s", overlap.as_secs()) })))
        }
        Change::FinishRotation(id) => post(format!("/v1/keys/{id}/rotation/finish"), None),
        Change::DisableKey(id) => post(format!("/v1/keys/{id}/disable"), None),
        Change::EnableKey(id) => post(format!("/v1/keys/{id}/enable"), None),
        Change::RevokeKey(id, reason) => {
            post(format!("/v1/keys/{id}/revoke"), reason.as_ref().map(|reason| json!({ "reason": reason })))
        }
        Change::CreateAdmin(new) => post("/v1/admins".into(), Some(json!({ "name": new.name, "role": new.role }))),
        Change::RevokeAdmin(id) => post(format!("/v1/admins/{id}/revoke"), None),
    }
}

fn is_view(view: &Value) -> bool {
    view.get("id").is_some_and(Value::is_string)
}

fn read_done(reply: &Reply, change: &Change) -> Option<Done> {
    let view = reply.body.get(change.name()).filter(|view| matches!(reply.status, 200 | 201) && is_view(view))?;
    let done = Done::new(change.name(), view, reply.body.get("revision")?.as_i64()?).ok()?;
    if !change.makes_secret() {
        return Some(done);
    }
    Some(done.with_secret(reply.body.get("secret")?.as_str()?))
}

fn read_sheet(reply: &Reply, cursor: Option<&str>) -> Option<Sheet> {
    let views = reply.body.get("data")?.as_array().filter(|views| reply.status == 200 && views.iter().all(is_view))?;
    let next = match reply.body.get("next_cursor")? {
        Value::Null => None,
        next => Some(cell(Some(next))),
    };
    // A list that stands still, and a cursor that would be something else in a URL, come from no claviger server.
    let is_cursor = |next: &String| {
        Some(next.as_str()) != cursor && next.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    next.as_ref().is_none_or(is_cursor).then_some(())?;
    Some(Sheet { views: views.clone(), next })
}
