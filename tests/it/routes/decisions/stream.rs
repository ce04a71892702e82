//! `GET /v1/decisions/stream`: decisions as they are made.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{app_keeping, batch, decision_id};
use crate::support::{
    app::{Setup, TestApp, keeping},
    caller::Caller,
};

/// A stream that was opened and is read event by event.
struct Events {
    body: Body,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Events {
    async fn open(caller: &Caller<'_>, query: &str) -> Self {
        let response = caller.open(&format!("/v1/decisions/stream{query}")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut events = Self { body: response.into_body(), text: String::new() };
        assert!(events.block().await.unwrap().starts_with(": "));
        events
    }

    /// The lines up to the next empty one; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = timeout(Duration::from_mins(1), self.body.frame()).await.expect("nothing comes")?.unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }

    async fn next(&mut self) -> Event {
        let block = self.block().await.expect("the stream goes on");
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        Event { id: field("id: "), name: field("event: "), data: serde_json::from_str(&field("data: ")).unwrap() }
    }
}

#[tokio::test]
async fn each_decision_is_an_event_with_its_id_and_the_same_as_it_is_read_alone() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    app.key(&made).authorize("jobs:read").await;
    let mut events = Events::open(&app.owner(), "").await;
    let answer = app.key(&made).authorize_on("a\nid: b\n\n\r\u{2028}", "c").await;
    assert_eq!(answer.code(), "UNKNOWN_ACTION");
    batch(&app, &made, &["jobs:read", "scan:create"]).await;
    let mut seen = Vec::new();
    for action in ["a\nid: b\n\n\r\u{2028}", "jobs:read", "scan:create"] {
        let event = events.next().await;
        assert_eq!((&event.data["action"], &event.data["id"]), (&action.into(), &event.id.clone().into()));
        assert_eq!(app.owner().get(&format!("/v1/decisions/{}", event.id)).await.expect(200), event.data);
        seen.push(event.id);
    }
    let again = app.owner().header("last-event-id", &*seen[0]);
    let mut events = Events::open(&again, "").await;
    assert_eq!([events.next().await.id, events.next().await.id], [&*seen[1], &*seen[2]]);
    let mut denied = Events::open(&again, "?decision=deny").await;
    assert_eq!(denied.next().await.id, seen[2]);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_what_it_lost_and_slows_nobody() {
    let app = app_keeping(8).await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let mut events = Events::open(&app.owner(), "").await;
    let first = decision_id(&app.key(&made).authorize("jobs:read").await);
    for _ in 0..5 {
        batch(&app, &made, &["jobs:read"; 20]).await;
    }
    let newest = decision_id(&app.key(&made).authorize("jobs:read").await);
    let lost = events.next().await;
    assert_eq!((&*lost.name, &*lost.id, lost.data), ("lost", "", json!({ "lost": 94 })));
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(events.next().await.id);
    }
    assert_eq!(ids.last(), Some(&newest));
    let mut late = Events::open(&app.owner().header("last-event-id", first), "").await;
    assert_eq!(late.next().await.data, json!({ "lost": null }));
    assert_eq!(late.next().await.id, ids[0]);
}

#[tokio::test]
async fn there_are_eight_streams_at_a_time() {
    let app = TestApp::with(Setup { recorder: keeping(8), ..Setup::default() }).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(Events::open(&app.owner(), "").await);
    }
    app.owner().get("/v1/decisions/stream").await.refused(429, "TOO_MANY_STREAMS");
    drop(open.pop());
    Events::open(&app.owner(), "").await;
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let app = TestApp::new().await;
    let mut events = Events::open(&app.owner(), "").await;
    app.state.stopping.tell();
    assert_eq!(events.block().await, None);
    app.owner().get("/v1/decisions/stream").await.refused(503, "NOT_READY");
}

#[tokio::test]
async fn a_stream_shows_nothing_that_is_decided_after_its_admin_was_revoked() {
    let app = TestApp::new().await;
    let (admin, token) = app.new_admin(claviger::domain::admin::Role::Auditor).await;
    let (mut events, mut others) = (Events::open(&app.bearer(&token), "").await, Events::open(&app.owner(), "").await);
    app.owner().post(&format!("/v1/admins/{}/revoke", admin.id), Value::Null).await.expect(200);
    app.bearer("op_live_no").post("/v1/authorize", json!({ "action": "jobs:read" })).await.expect(401);
    assert_eq!(events.block().await, None);
    assert_eq!(others.next().await.data["code"], "INVALID_API_KEY");
    // They hear at times that there is nothing new.
    assert_eq!(others.block().await.as_deref(), Some(": nothing new"));
}
