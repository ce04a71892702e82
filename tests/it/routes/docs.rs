//! `GET /openapi.json` and `GET /docs/errors`: what is written is what is there.

use axum::http::Method;
use claviger::http::document;
use serde_json::{Value, json};

use crate::support::app::TestApp;

const EXPLANATIONS: &str = include_str!("../../../src/http/docs.rs");

#[test]
fn the_openapi_document_changes_only_on_purpose() {
    insta::assert_json_snapshot!(serde_json::to_value(document()).unwrap(), { ".info.version" => "[version]" });
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_of_the_code() {
    let app = TestApp::new().await;
    let served = app.anonymous().get("/openapi.json").await;
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(served.expect(200), serde_json::to_value(document()).unwrap());
}

#[tokio::test]
async fn every_route_of_the_document_answers_and_wants_the_credential_that_it_says() {
    let app = TestApp::new().await;
    let document = serde_json::to_value(document()).unwrap();
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap();
        let target = ["{org}", "{key}", "{admin}", "{decision}"].iter().fold(path.clone(), |path, name| path.replace(name, "x"));
        assert!(!target.contains('{'), "{path}");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let body = if method == Method::GET { Value::Null } else { json!({}) };
            let answer = app.anonymous().send_json(method.clone(), &target, body).await;
            let Some(operation) = methods.get(&method.as_str().to_lowercase()) else {
                assert_eq!(answer.status, 405, "{method} {path}");
                continue;
            };
            let is_open = operation["security"] == json!([{}]) || operation["security"] == json!([]);
            assert_eq!(answer.status, if is_open { 200 } else { 401 }, "{method} {path}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn every_code_has_its_place_on_the_page_that_errors_lead_to() {
    let policy = r#"
        @id("closed") @code("CLOSED_TODAY") @message("we are <b>closed</b> & gone")
        forbid (principal is ApiKey, action, resource) when { principal.org.name == "closed" };
    "#;
    let app = TestApp::with_more(policy, "").await;
    let answer = app.anonymous().get("/docs/errors").await;
    assert!(answer.header("content-type").starts_with("text/html"));
    let page = answer.text();
    let is_code = |text: &&str| text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    // The first text after each `explain(` is a code.
    let explained = EXPLANATIONS.split("explain(").filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
    let mut codes: Vec<String> = explained.filter(is_code).map(str::to_owned).collect();
    assert_eq!(codes.len(), 23);
    let policies = app.owner().get("/v1/policies").await.expect(200);
    let named = policies["policies"].as_array().unwrap().iter().filter_map(|policy| policy["annotations"]["code"].as_str());
    codes.extend(named.map(str::to_owned));
    assert!(codes.len() == 25 && codes.contains(&"CLOSED_TODAY".to_owned()), "{codes:?}");
    for code in codes {
        assert_eq!(page.matches(&format!("<section id=\"{code}\">")).count(), 1, "{code}");
    }
    assert!(page.contains("we are &lt;b&gt;closed&lt;/b&gt; &amp; gone"));
    // The page needs nothing from elsewhere.
    assert!(!["http://", "https://", "src=", "<script", "@import"].iter().any(|mark| page.contains(mark)));
}

#[test]
fn a_field_of_a_body_is_documented_as_null_only_where_null_is_taken() {
    let document = serde_json::to_value(document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut nullable = Vec::new();
    for name in [
        "AuthorizeRequest",
        "BatchRequest",
        "ResourceRef",
        "CreateOrg",
        "UpdateOrg",
        "Suspension",
        "CreateKey",
        "UpdateKey",
        "RotateKey",
        "RevokeKey",
        "CreateAdmin",
    ] {
        for (field, schema) in schemas[name]["properties"].as_object().unwrap() {
            if schema.to_string().contains("\"null\"") {
                nullable.push(format!("{name}.{field}"));
            }
        }
    }
    assert_eq!(nullable, ["UpdateKey.expires_at"]);
}
