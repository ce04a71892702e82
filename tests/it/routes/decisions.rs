//! `GET /v1/decisions`: what was decided last, and how it is found.

mod context;
mod explained;
mod secrecy;
mod stream;

use claviger::domain::admin::Role;
use serde_json::{Value, json};

use crate::support::{
    app::{MadeKey, Setup, TestApp, keeping},
    caller::Answer,
    engines::reason,
};

async fn app_keeping(count: usize) -> TestApp {
    TestApp::with(Setup { recorder: keeping(count), ..Setup::default() }).await
}

async fn list(app: &TestApp, query: &str) -> Value {
    app.owner().get(&format!("/v1/decisions{query}")).await.expect(200)
}

/// What one field of the listed decisions says, newest first.
async fn listed(app: &TestApp, query: &str, pointer: &str) -> Vec<Value> {
    let body = list(app, query).await;
    body["data"].as_array().unwrap().iter().map(|view| view.pointer(pointer).unwrap().clone()).collect()
}

fn decision_id(answer: &Answer) -> String {
    answer.json()["decision_id"].as_str().unwrap().to_owned()
}

async fn batch(app: &TestApp, made: &MadeKey, actions: &[&str]) -> Value {
    let requests: Vec<_> = actions.iter().map(|action| json!({ "action": action })).collect();
    app.key(made).post("/v1/authorize/batch", json!({ "requests": requests })).await.expect(200)
}

#[tokio::test]
async fn a_decision_is_there_with_everything_to_decide_again() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read", "scan:create"]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let caller = app.key(&made).header("traceparent", format!("00-{trace}-00f067aa0ba902b7-00"));
    let answer = caller.authorize_on("results:read", "elsewhere").await;
    let (id, body) = (decision_id(&answer), answer.json());
    let view = app.owner().get(&format!("/v1/decisions/{id}")).await.expect(200);
    assert_eq!(
        view,
        json!({
            "id": id,
            "time": "2026-11-24T04:30:26.000Z",
            "decision": "deny",
            "code": "PERMISSION_DENIED",
            "reason": "no_permit",
            "refusal": null,
            "status": 403,
            "action": "results:read",
            "resource": { "type": "Org", "id": "elsewhere" },
            "had_context": false,
            "context": {},
            "key": {
                "id": made.id(),
                "secret_id": made.key.secrets[0].id.to_string(),
                "environment": "live",
                "permissions": ["jobs:read", "scan:create"],
                "created_at": "2026-11-24T04:30:26.000Z",
                "expires_at": null,
            },
            "org": { "id": org.id.to_string(), "name": "acme", "suspended": false },
            "policies": [],
            "policy_set": body["policy_set"],
            "revision": body["revision"],
            "entry_point": "api",
            "request_id": answer.header("x-request-id"),
            "trace_id": trace,
            "elapsed_us": view["elapsed_us"],
        })
    );
    assert_eq!(list(&app, "").await, json!({ "data": [view], "next_cursor": null }));
}

#[tokio::test]
async fn every_request_of_a_batch_is_a_decision_and_so_is_every_refusal() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let body = batch(&app, &made, &["jobs:read", "scan:create", "no:such"]).await;
    app.bearer("op_live_nothing").authorize("jobs:read").await.refused(401, "INVALID_API_KEY");
    app.owner().post(&format!("/v1/keys/{}/revoke", made.id()), json!({})).await.expect(200);
    app.key(&made).post("/v1/authorize/batch", json!({ "requests": [{ "action": "jobs:read" }] })).await.expect(401);

    assert_eq!(listed(&app, "", "/reason").await, ["invalid_key", "invalid_key", "unknown_action", "no_permit", "permit"]);
    assert_eq!(listed(&app, "", "/entry_point").await, ["batch", "api", "batch", "batch", "batch"]);
    assert_eq!(listed(&app, "", "/status").await, [401, 401, 200, 200, 200]);
    assert_eq!(
        listed(&app, "", "/refusal").await,
        [json!("key_revoked"), json!("malformed"), json!(null), json!(null), json!(null)]
    );
    let ids = listed(&app, "", "/id").await;
    assert_eq!((&ids[4], &ids[3]), (&body["decisions"][0]["decision_id"], &body["decisions"][1]["decision_id"]));
}

#[tokio::test]
async fn the_last_ones_stay_and_the_others_are_nothing_that_is_there() {
    let app = app_keeping(4).await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let first = decision_id(&app.key(&made).authorize("jobs:read").await);
    app.owner().get(&format!("/v1/decisions/{first}")).await.expect(200);
    batch(&app, &made, &["jobs:read", "scan:create", "jobs:read"]).await;
    let last = decision_id(&app.key(&made).authorize("scan:create").await);
    for (id, status) in [(&*first, 404), (&last, 200), ("dec_none", 404), (&made.id(), 404)] {
        app.owner().get(&format!("/v1/decisions/{id}")).await.expect(status);
        let explained = app.owner().post("/v1/explain", json!({ "decision_id": id })).await;
        assert_eq!(explained.status, status, "{id}");
    }
    assert_eq!(listed(&app, "", "/decision").await, ["deny", "allow", "deny", "allow"]);
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let app = app_keeping(0).await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let id = decision_id(&app.key(&made).authorize("jobs:read").await);
    assert_eq!(list(&app, "").await, json!({ "data": [], "next_cursor": null }));
    for path in [format!("/v1/decisions/{id}"), "/v1/decisions/stream".to_owned()] {
        app.owner().get(&path).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_filter_shows_what_fits_it_and_nothing_else() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (other_org, other) = app.org_with_key("initech", &["jobs:read"]).await;
    let second = app.new_key(org.id, &[]).await;
    app.key(&made).authorize("jobs:read").await;
    app.key(&second).authorize("jobs:read").await;
    app.key(&other).authorize("jobs:read").await;
    app.key(&made).authorize("scan:create").await;
    let suspended = other_org.id;
    app.write(move |store, author| async move { store.suspend_org(&author, suspended, &reason("unpaid")).await }).await;
    batch(&app, &other, &["jobs:read", "no:such"]).await;
    let ids = listed(&app, "", "/id").await;
    let shown = async |query: &str| {
        let shown = listed(&app, query, "/id").await;
        shown.iter().map(|id| 5 - ids.iter().position(|known| known == id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&format!("?org={}", org.id)).await, [3, 1, 0]);
    assert_eq!(shown(&format!("?org={}", other_org.id)).await, [5, 4, 2]);
    assert_eq!(shown(&format!("?key={}", second.id())).await, [1]);
    assert_eq!(shown("?decision=allow").await, [2, 0]);
    assert_eq!(shown("?decision=deny").await, [5, 4, 3, 1]);
    assert_eq!(shown("?action=scan:create").await, [3]);
    assert_eq!(shown("?action=no:such").await, [5]);
    assert_eq!(shown("?policy=suspended-org-denied").await, [4]);
    assert_eq!(shown("?policy=granted-permission-allowed").await, [2, 0]);
    assert_eq!(shown("?code=PERMISSION_DENIED").await, [3, 1]);
    assert_eq!(shown("?code=UNKNOWN_ACTION").await, [5]);
    assert_eq!(shown(&format!("?decision=deny&org={}&action=jobs:read", org.id)).await, [1]);
    assert_eq!(shown("?policy=granted").await, [0; 0]);
}

#[tokio::test]
async fn pages_hold_each_decision_once_whatever_is_decided_meanwhile() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for _ in 0..7 {
        app.key(&made).authorize("jobs:read").await;
        batch(&app, &made, &["jobs:read", "scan:create"]).await;
    }
    let before = listed(&app, "?decision=allow", "/id").await;
    assert_eq!(before.len(), 14);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&app, &format!("?decision=allow&limit=3{cursor}")).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|view| view["id"].clone()));
        batch(&app, &made, &["jobs:read", "scan:create", "jobs:read"]).await;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, before);
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_filter() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    batch(&app, &made, &["jobs:read"; 5]).await;
    let cursor = list(&app, "?limit=1&decision=allow").await["next_cursor"].as_str().unwrap().to_owned();
    list(&app, &format!("?limit=2&decision=allow&cursor={cursor}")).await;
    for other in ["", "&decision=deny", "&action=jobs:read", &format!("&decision=allow&org={}", org.id)] {
        app.owner().get(&format!("/v1/decisions?cursor={cursor}{other}")).await.invalid(400, "cursor");
    }
    app.owner().get(&format!("/v1/orgs?cursor={cursor}")).await.invalid(400, "cursor");
}

#[tokio::test]
async fn what_is_no_filter_is_refused_by_its_name() {
    let app = TestApp::new().await;
    for path in ["/v1/decisions", "/v1/decisions/stream"] {
        for (query, param) in [
            ("org=acme", "org"),
            ("key=org_00000000000000000000000000", "key"),
            ("decision=maybe", "decision"),
            ("code=A&code=B", "code"),
            ("tenant=x", "tenant"),
        ] {
            app.owner().get(&format!("{path}?{query}")).await.invalid(400, param);
        }
    }
    app.owner().get("/v1/decisions?limit=201").await.invalid(400, "limit");
    app.owner().get("/v1/decisions/stream?limit=2").await.invalid(400, "limit");
    app.owner().header("last-event-id", "7").get("/v1/decisions/stream").await.invalid(400, "last-event-id");
}

#[tokio::test]
async fn decisions_are_nothing_for_those_who_are_decided_on() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let id = decision_id(&app.key(&made).authorize("jobs:read").await);
    for path in ["/v1/decisions", "/v1/decisions/stream", &format!("/v1/decisions/{id}")] {
        app.key(&made).get(path).await.refused(401, "INVALID_ADMIN_TOKEN");
        app.anonymous().get(path).await.refused(401, "INVALID_ADMIN_TOKEN");
        assert_eq!(app.admin(Role::Auditor).await.get(path).await.status, 200, "{path}");
    }
}
