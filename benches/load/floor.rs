//! The floor: axum `Json` in, a whole 200 body from constants out, no layers. Nothing that decides can be faster.

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[expect(dead_code, reason = "the floor parses what a decision would be made of, and decides nothing")]
struct Question {
    action: String,
    resource: Option<Box<RawValue>>,
    context: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Answer {
    decision: &'static str,
    decision_id: &'static str,
    action: &'static str,
    key: Key,
    org: Named,
    resource: Resource,
    policies: [&'static str; 1],
    policy_set: &'static str,
    revision: i64,
    request_id: &'static str,
}

#[derive(Serialize)]
struct Key {
    id: &'static str,
    name: &'static str,
    environment: &'static str,
}

#[derive(Serialize)]
struct Named {
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
struct Resource {
    r#type: &'static str,
    id: &'static str,
}

async fn authorize(Json(_): Json<Question>) -> Json<Answer> {
    let org = "org_01m85ws70dfprvtj9r1d4q9r9m";
    Json(Answer {
        decision: "allow",
        decision_id: "dec_01m85wsacpemqtj0yeyckn46f3",
        action: "classify:create",
        key: Key { id: "key_01m85ws70gfpkafc34tfy53q8p", name: "Key 5000", environment: "live" },
        org: Named { id: org, name: "Acme" },
        resource: Resource { r#type: "Org", id: org },
        policies: ["granted-permission-allowed"],
        policy_set: "sha256:bd6ce383ef3348afaf77edad7fb7c1a01f7f9ab1641b735a185d04f6e78c1842",
        revision: 10_001,
        request_id: "req_01m85wsacpfmxbwj8hne40mh2y",
    })
}

/// Serves the floor until the process is ended; prints the ready line of `claviger serve`.
pub(crate) async fn serve() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound listener has an address");
    println!("{{\"url\":\"http://{address}\"}}");
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/v1/authorize", post(authorize))).await.expect("the floor serves");
}
