//! The requests that bring about the errors.

use std::time::Duration;

use axum::http::Method;
use claviger::domain::{id::OrgId, secret::Plane};
use serde_json::json;

use crate::support::{
    app::{MadeKey, TestApp},
    caller::Caller,
};

/// Policies without a code, and one that fails, each for one organization.
const TRAPS: &str = r#"
    @id("plain-denied")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "plain" };
    @id("overflowing")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "overflow" && principal.created_at.toTime().toMilliseconds() * 9223372036854775807 == 0 };
    @id("either-does")
    permit (principal is ApiKey, action == Action::"scan:create", resource is Org)
    when { principal.org == resource && principal.permissions.contains(Action::"results:read") };
"#;

/// A request and the variant of the error that it brings about.
pub(super) struct Ask<'a> {
    pub(super) variant: &'static str,
    pub(super) what: &'static str,
    pub(super) caller: Caller<'a>,
    pub(super) method: Method,
    pub(super) path: String,
    /// The body; none at all when empty.
    pub(super) text: String,
}

impl<'a> Ask<'a> {
    pub(super) fn new(variant: &'static str, what: &'static str, caller: &Caller<'a>, line: &str, text: &str) -> Self {
        let (method, path) = line.split_once(' ').unwrap();
        let (method, path, text) = (method.parse().unwrap(), path.to_owned(), text.to_owned());
        Self { variant, what, caller: caller.clone(), method, path, text }
    }
}

/// Something in every state that refuses.
pub(super) struct World {
    pub(super) app: TestApp,
    key: MadeKey,
    suspended: MadeKey,
    plain: MadeKey,
    overflow: MadeKey,
    revoked: String,
    disabled: String,
    expired: String,
    org: OrgId,
    deleted: OrgId,
    pub(super) corrupt: OrgId,
    owner: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let app = TestApp::with_more(TRAPS, "").await;
        let owner = app.owner();
        let (org, key) = app.org_with_key("acme", &["jobs:read"]).await;
        let [(asleep, suspended), (_, plain), (_, overflow), (gone, _)] = [
            app.org_with_key("asleep", &["jobs:read"]).await,
            app.org_with_key("plain", &["jobs:read"]).await,
            app.org_with_key("overflow", &["jobs:read"]).await,
            app.org_with_key("gone", &[]).await,
        ];
        let [revoked, disabled, expired] =
            [app.new_key(org.id, &[]).await.id(), app.new_key(org.id, &[]).await.id(), app.new_key(org.id, &[]).await.id()];
        owner.post(&format!("/v1/orgs/{}/suspend", asleep.id), json!({ "reason": "unpaid" })).await.expect(200);
        owner.delete(&format!("/v1/orgs/{}", gone.id)).await.expect(200);
        owner.post(&format!("/v1/keys/{revoked}/revoke"), json!(null)).await.expect(200);
        owner.post(&format!("/v1/keys/{disabled}/disable"), json!(null)).await.expect(200);
        owner.patch(&format!("/v1/keys/{expired}"), json!({ "expires_in": "1s" })).await.expect(200);
        app.state.clock.advance(Duration::from_secs(1));
        let admins = owner.get("/v1/admins").await.expect(200);
        let first = admins["data"][0]["id"].as_str().unwrap().to_owned();
        let corrupt = app.org("corrupt").await.id;
        let (org, deleted) = (org.id, gone.id);
        Self { key, suspended, plain, overflow, revoked, disabled, expired, org, deleted, corrupt, owner: first, app }
    }
}

/// Every request whose answer is an error of a server in order.
pub(super) fn asks<'a>(world: &'a World, auditor: &Caller<'a>) -> Vec<Ask<'a>> {
    let mut asks = shapes(world);
    asks.extend(values(world));
    asks.extend(credentials(world, auditor));
    asks.extend(decisions(world));
    asks.extend(conflicts(world));
    asks
}

const AUTHORIZE: &str = "POST /v1/authorize";

/// 400, 404, 405, 413: what can be wrong with the shape.
fn shapes(world: &World) -> Vec<Ask<'_>> {
    let (app, owner, key) = (&world.app, world.app.owner(), world.app.key(&world.key));
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let large = |length: usize| " ".repeat(length + 1);
    let (keys, good) = (format!("POST /v1/orgs/{}/keys", world.org), r#"{"action":"jobs:read"}"#);
    let shape = |what, line: &str, text: &str| {
        let caller = if line.contains("authorize") { &key } else { &owner };
        Ask::new("InvalidRequest", what, caller, line, text)
    };
    vec![
        shape("no JSON", AUTHORIZE, "{"),
        shape("a name twice", AUTHORIZE, r#"{"action":"a","action":"b"}"#),
        shape("too deep", AUTHORIZE, &deep),
        shape("no object", AUTHORIZE, "[]"),
        shape("no body", "POST /v1/orgs", ""),
        shape("a field that is missing", AUTHORIZE, "{}"),
        shape("a field that is unknown", AUTHORIZE, r#"{"action":"a","x":1}"#),
        shape("a field further in that is unknown", AUTHORIZE, r#"{"action":"a","resource":{"type":"Org","id":"a","x":1}}"#),
        shape("no string", AUTHORIZE, r#"{"action":1}"#),
        shape("no object in a field", AUTHORIZE, r#"{"action":"a","resource":1}"#),
        shape("no list", "POST /v1/authorize/batch", r#"{"requests":1}"#),
        shape("no list of strings", &keys, r#"{"name":"n","environment":"live","permissions":[1]}"#),
        shape("a batch of none", "POST /v1/authorize/batch", r#"{"requests":[]}"#),
        shape("no content type", AUTHORIZE, ""),
        shape("a parameter that is unknown", "GET /v1/orgs?offset=1", ""),
        shape("a parameter twice", "GET /v1/orgs?limit=1&limit=2", ""),
        shape("a limit that is none", "GET /v1/orgs?limit=0", ""),
        shape("a cursor of another list", "GET /v1/orgs?cursor=x", ""),
        shape("a query without meaning", "GET /v1/orgs?limit=%ff", ""),
        shape("a whole URL", "GET http://example.com/v1/orgs", ""),
        Ask::new("InvalidRequest", "two credentials", &owner.clone().header("authorization", "Bearer x"), "GET /v1/orgs", ""),
        Ask::new("InvalidRequest", "no token", &app.anonymous().header("authorization", "Bearer  x"), "GET /v1/orgs", ""),
        Ask::new("InvalidRequest", "an empty header", &app.anonymous().header("authorization", ""), AUTHORIZE, good),
        Ask::new("InvalidRequest", "no ASCII", &app.anonymous().header("authorization", "Bearer é"), AUTHORIZE, good),
        Ask::new("NotFound", "no such path", &app.anonymous(), "GET /v1/nothing", ""),
        Ask::new("NotFound", "no such object", &owner, "GET /v1/orgs/org_00000000000000000000000000", ""),
        Ask::new("MethodNotAllowed", "a decision", &app.anonymous(), "GET /v1/authorize", ""),
        Ask::new("MethodNotAllowed", "an organization", &app.anonymous(), &format!("PUT /v1/orgs/{}", world.org), ""),
        Ask::new("RequestTooLarge", "a decision", &key, AUTHORIZE, &large(64 * 1024)),
        Ask::new("RequestTooLarge", "a management call", &owner, "POST /v1/orgs", &large(1024 * 1024)),
    ]
}

/// 422: what can be wrong with a value.
fn values(world: &World) -> Vec<Ask<'_>> {
    let (owner, key) = (world.app.owner(), world.app.key(&world.key));
    let (keys, path) = (format!("POST /v1/orgs/{}/keys", world.org), format!("/v1/keys/{}", world.key.id()));
    let (update, rotate) = (format!("PATCH {path}"), format!("POST {path}/rotate"));
    let value = |what, line: &str, text: &str| Ask::new("Unprocessable", what, &owner, line, text);
    let secret = format!(r#"{{"name":"{}"}}"#, world.key.secret);
    vec![
        value("an empty name", "POST /v1/orgs", r#"{"name":""}"#),
        value("a line break in a name", "POST /v1/orgs", r#"{"name":"a\nb"}"#),
        value("a key for a name", "POST /v1/orgs", &secret),
        value("no slug", "POST /v1/orgs", r#"{"name":"n","slug":"-a"}"#),
        value("a name without a slug in it", "POST /v1/orgs", r#"{"name":"世界"}"#),
        value("no environment", &keys, r#"{"name":"n","environment":"prod","permissions":[]}"#),
        value("no time", &update, r#"{"expires_at":"tomorrow"}"#),
        value("a time that is past", &update, r#"{"expires_at":"2020-01-01T00:00:00Z"}"#),
        value("no duration", &update, r#"{"expires_in":"1w"}"#),
        value("no time at all", &update, r#"{"expires_in":"0s"}"#),
        value("two ends", &update, r#"{"expires_at":null,"expires_in":"1d"}"#),
        value("no overlap", &rotate, r#"{"overlap":"-1h"}"#),
        value("too long an overlap", &rotate, r#"{"overlap":"8d"}"#),
        value("no role", "POST /v1/admins", r#"{"name":"n","role":"root"}"#),
        Ask::new("UnknownPermission", "two of them", &owner, &update, r#"{"permissions":["jobs:read","x","jobs:reed"]}"#),
        Ask::new("Unfit", "no action", &key, AUTHORIZE, r#"{"action":"nope"}"#),
        Ask::new("Unfit", "an action with a near name", &key, AUTHORIZE, r#"{"action":"jobs:reed"}"#),
        Ask::new("Unfit", "no such type", &key, AUTHORIZE, r#"{"action":"jobs:read","resource":{"type":"Job","id":"1"}}"#),
        Ask::new("Unfit", "no such context", &key, AUTHORIZE, r#"{"action":"jobs:read","context":{"a":1}}"#),
    ]
}

/// 401, and the 403 of an admin.
fn credentials<'a>(world: &'a World, auditor: &Caller<'a>) -> Vec<Ask<'a>> {
    let app = &world.app;
    let unknown = app.bearer(app.mint(Plane::Live).expose());
    let question = r#"{"action":"jobs:read"}"#;
    vec![
        Ask::new("InvalidApiKey", "missing", &app.anonymous(), AUTHORIZE, question),
        Ask::new("InvalidApiKey", "unknown", &unknown, AUTHORIZE, question),
        Ask::new("InvalidAdminToken", "missing", &app.anonymous(), "GET /v1/orgs", ""),
        Ask::new("InvalidAdminToken", "a key", &app.key(&world.key), "GET /v1/orgs", ""),
        Ask::new("Forbidden", "an auditor who writes", auditor, "POST /v1/orgs", r#"{"name":"n"}"#),
    ]
}

/// 403: decisions that are no allow.
fn decisions(world: &World) -> Vec<Ask<'_>> {
    let app = &world.app;
    let batch = r#"{"requests":[{"action":"jobs:read"},{"action":"credits:read"},{"action":"nope"},{"actoin":"jobs:read"},1]}"#;
    let denied = |what, made: &MadeKey, text: &str| Ask::new("Denied", what, &app.key(made), AUTHORIZE, text);
    vec![
        denied("one permission would do", &world.key, r#"{"action":"credits:read"}"#),
        denied("more than one would do", &world.key, r#"{"action":"scan:create"}"#),
        denied("none would do", &world.key, r#"{"action":"jobs:read","resource":{"type":"Org","id":"org_elsewhere"}}"#),
        denied("suspended", &world.suspended, r#"{"action":"jobs:read"}"#),
        denied("a policy without a code", &world.plain, r#"{"action":"jobs:read"}"#),
        denied("a policy that fails", &world.overflow, r#"{"action":"jobs:read"}"#),
        Ask::new("Denied", "in a batch", &app.key(&world.key), "POST /v1/authorize/batch", batch),
    ]
}

/// 409: what stands against a change.
fn conflicts(world: &World) -> Vec<Ask<'_>> {
    let owner = world.app.owner();
    let conflict = |what, line: String, text: &str| Ask::new("Conflict", what, &owner, &line, text);
    let rename = r#"{"name":"n"}"#;
    vec![
        conflict("a slug that is taken", "POST /v1/orgs".to_owned(), r#"{"name":"Acme"}"#),
        conflict("a deleted organization", format!("PATCH /v1/orgs/{}", world.deleted), rename),
        conflict("a revoked key", format!("PATCH /v1/keys/{}", world.revoked), rename),
        conflict("a disabled key", format!("POST /v1/keys/{}/rotate", world.disabled), ""),
        conflict("an expired key", format!("POST /v1/keys/{}/rotate", world.expired), ""),
        conflict("the last owner", format!("POST /v1/admins/{}/revoke", world.owner), ""),
    ]
}
