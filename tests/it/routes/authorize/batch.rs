//! `POST /v1/authorize/batch`: many questions of one key, answered on one snapshot.

use serde_json::{Value, json};

use crate::support::app::TestApp;

const PATH: &str = "/v1/authorize/batch";

#[tokio::test]
async fn each_request_is_answered_in_order_as_it_would_be_alone() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let requests = [
        json!({ "action": "jobs:read" }),
        json!({ "action": "scan:create" }),
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": org.id } }),
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "org_elsewhere" } }),
        json!({ "action": "jobs:read", "context": {} }),
    ];
    let answer = app.key(&made).post(PATH, json!({ "requests": requests })).await;
    let body = answer.expect(200);
    assert_eq!(body.as_object().unwrap().len(), 1);
    let decisions = body["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), requests.len());
    for (request, decision) in requests.iter().zip(decisions) {
        let mut alone = app.key(&made).post("/v1/authorize", request.clone()).await.json();
        alone.as_object_mut().unwrap().remove("request_id").unwrap();
        if let Some(error) = alone.get_mut("error") {
            error.as_object_mut().unwrap().remove("request_id").unwrap();
        }
        alone["decision_id"] = decision["decision_id"].clone();
        assert_eq!(*decision, alone);
    }
    let told: Vec<&Value> = decisions.iter().map(|decision| &decision["decision"]).collect();
    assert_eq!(told, ["allow", "deny", "allow", "deny", "allow"]);
    let mut ids: Vec<&str> = decisions.iter().map(|decision| decision["decision_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), requests.len());
}

#[tokio::test]
async fn a_bad_request_among_good_ones_is_denied_in_its_place() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let good = json!({ "action": "jobs:read" });
    let bad = [
        (json!(null), "INVALID_REQUEST", "requests"),
        (json!("jobs:read"), "INVALID_REQUEST", "requests"),
        (json!([good]), "INVALID_REQUEST", "requests"),
        (json!({}), "INVALID_REQUEST", "action"),
        (json!({ "action": 1 }), "INVALID_REQUEST", "action"),
        (json!({ "action": "jobs:read", "x": 1 }), "INVALID_REQUEST", "x"),
        (json!({ "action": "jobs:read", "resource": { "type": "Org" } }), "INVALID_REQUEST", "resource.id"),
        (json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "a", "x": 1 } }), "INVALID_REQUEST", "resource.x"),
        (json!({ "action": "nope" }), "UNKNOWN_ACTION", "action"),
        (json!({ "action": "jobs:read", "resource": { "type": "Nope", "id": "a" } }), "UNKNOWN_RESOURCE_TYPE", "resource.type"),
        (json!({ "action": "jobs:read", "context": { "a": 1 } }), "INVALID_CONTEXT", "context"),
    ];
    let requests: Vec<&Value> = bad.iter().flat_map(|(bad, ..)| [&good, bad]).chain([&good]).collect();
    let body = app.key(&made).post(PATH, json!({ "requests": requests })).await.expect(200);
    let decisions = body["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), requests.len());
    for (at, decision) in decisions.iter().enumerate() {
        if at % 2 == 0 {
            assert_eq!(decision["decision"], "allow", "{at}");
            continue;
        }
        let (request, code, param) = &bad[at / 2];
        let error = &decision["error"];
        assert_eq!(decision["decision"], "deny", "{request}");
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{request}");
        assert_eq!(error["docs_url"], format!("/docs/errors#{code}"));
        assert_eq!((decision.as_object().unwrap().len(), error.get("request_id")), (2, None), "{request}");
    }
}

#[tokio::test]
async fn a_batch_holds_1_to_100_requests() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for count in [0, 1, 2, 99, 100, 101, 1_000] {
        let answer = app.key(&made).post(PATH, json!({ "requests": vec![json!({ "action": "jobs:read" }); count] })).await;
        if (1..=100).contains(&count) {
            let decisions = answer.expect(200)["decisions"].as_array().unwrap().clone();
            assert!(decisions.len() == count && decisions.iter().all(|decision| decision["decision"] == "allow"), "{count}");
        } else {
            answer.invalid(400, "requests");
        }
    }
    for (body, param) in [
        (json!({}), "requests"),
        (json!({ "requests": null }), "requests"),
        (json!({ "requests": {} }), "requests"),
        (json!({ "requests": "a" }), "requests"),
        (json!({ "requests": 1 }), "requests"),
        (json!({ "requests": [{ "action": "jobs:read" }], "x": 1 }), "x"),
        (json!({ "action": "jobs:read" }), "requests"),
        (json!([{ "action": "jobs:read" }]), "body"),
    ] {
        app.key(&made).post(PATH, body).await.invalid(400, param);
    }
}

#[tokio::test]
async fn a_bad_key_is_a_401_for_the_whole() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let body = json!({ "requests": [{ "action": "jobs:read" }] });
    app.anonymous().post(PATH, body.clone()).await.refused(401, "INVALID_API_KEY");
    app.owner().post(&format!("/v1/keys/{}/revoke", made.id()), json!(null)).await.expect(200);
    app.key(&made).post(PATH, body).await.refused(401, "INVALID_API_KEY");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_requests_of_a_batch_see_one_moment_while_the_organization_is_suspended_and_back() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let path = format!("/v1/orgs/{}", org.id);
    let writes = async {
        for action in ["suspend", "unsuspend"].iter().cycle().take(40) {
            app.owner().post(&format!("{path}/{action}"), json!({ "reason": "r" })).await.expect(200);
        }
    };
    let reads = async {
        let body = json!({ "requests": vec![json!({ "action": "jobs:read" }); 100] });
        for _ in 0..60 {
            let answer = app.key(&made).post(PATH, body.clone()).await;
            let decisions = answer.expect(200)["decisions"].as_array().unwrap().clone();
            let moment =
                |decision: &Value| (decision["decision"].clone(), decision["revision"].clone(), decision["policies"].clone());
            assert!(decisions.iter().all(|decision| moment(decision) == moment(&decisions[0])));
            assert_eq!(answer.header("claviger-revision"), decisions[0]["revision"].to_string());
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writes, reads);
}
