//! `Idempotency-Key`: who asks again is answered again, and nothing is made twice.

use std::time::Duration;

use claviger::domain::{admin::Role, audit::Author};
use serde_json::{Value, json};

use super::outcome::unsure;
use crate::support::{
    app::{TestApp, on_both_engines},
    caller::{Answer, Caller},
    engines::{Bed, new_org},
    postgres::postgres_url,
    relay::Relay,
};

const KEY: &str = "idempotency-key";

fn named<'a>(caller: Caller<'a>, key: &str) -> Caller<'a> {
    caller.header(KEY, key)
}

fn key_body(name: &str) -> Value {
    json!({ "name": name, "environment": "live", "permissions": ["jobs:read"] })
}

/// Every call that takes the header, with its status when it is done.
async fn calls(app: &TestApp) -> Vec<(String, Value, u16)> {
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    vec![
        ("/v1/orgs".to_owned(), json!({ "name": "umbrella" }), 201),
        (format!("/v1/orgs/{}/keys", org.id), key_body("n"), 201),
        ("/v1/admins".to_owned(), json!({ "name": "n", "role": "auditor" }), 201),
        (format!("/v1/keys/{}/rotate", made.id()), Value::Null, 200),
        (format!("/v1/keys/{}/rotate", made.id()), json!({ "overlap": "1h" }), 200),
    ]
}

/// The answer as it is given again: without the secret, if it had one.
fn again(first: &Answer) -> String {
    let mut body = first.json();
    if let Some(secret) = body.get_mut("secret") {
        *secret = Value::Null;
    }
    body.to_string()
}

async fn count(app: &TestApp, table: &str) -> String {
    bed(app).rows(&format!("SELECT COUNT(*) FROM {table}")).await.concat().concat()
}

/// The database of the server, to be looked at past it.
fn bed(app: &TestApp) -> Bed {
    let name = if app.url.starts_with("postgres") { "postgres" } else { "sqlite" };
    Bed { name, url: app.url.clone(), store: app.state.store.clone(), random: app.state.random.clone(), directory: None }
}

#[tokio::test]
async fn the_same_call_again_gets_the_same_answer_without_the_secret_and_writes_nothing() {
    on_both_engines(async |app| {
        for (index, (path, body, status)) in calls(app).await.into_iter().enumerate() {
            let caller = named(app.owner(), &format!("call-{index}"));
            let first = caller.post(&path, body.clone()).await;
            first.expect(status);
            assert_eq!(first.json()["secret"].is_string(), path != "/v1/orgs", "{path}");
            let revision = app.revision().await;
            assert_eq!(first.json()["revision"], revision);
            app.state.clock.advance(Duration::from_mins(1));
            for _ in 0..2 {
                let second = caller.post(&path, body.clone()).await;
                second.expect(status);
                assert_eq!((second.text(), second.header("content-type")), (again(&first).as_str(), "application/json"));
            }
            assert_eq!(app.revision().await, revision, "{path}");
        }
        assert_eq!(count(app, "idempotency").await, "5");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_that_is_sent_again_rotates_once_and_the_secret_that_was_shown_works() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let path = format!("/v1/keys/{}", made.id());
        let rotate = named(app.owner(), "r");
        let secret = rotate.post(&format!("{path}/rotate"), json!({ "overlap": "0s" })).await.expect(200)["secret"].clone();
        rotate.post(&format!("{path}/rotate"), json!({ "overlap": "0s" })).await.expect(200);
        assert_eq!(app.owner().get(&path).await.expect(200)["secrets"].as_array().unwrap().len(), 2);
        app.bearer(secret.as_str().unwrap()).authorize("jobs:read").await.expect(200);
        // What has become of the key since does not change what was answered.
        app.owner().post(&format!("{path}/revoke"), Value::Null).await.expect(200);
        let after = rotate.post(&format!("{path}/rotate"), json!({ "overlap": "0s" })).await.expect(200);
        assert_eq!((&after["secret"], &after["key"]["state"]), (&Value::Null, &json!("active")));
        app.owner().post(&format!("{path}/rotate"), json!({ "overlap": "0s" })).await.refused(409, "CONFLICT");
    })
    .await;
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_and_the_first_answer_stays() {
    on_both_engines(async |app| {
        let calls = calls(app).await;
        for (index, (path, body, status)) in calls.iter().enumerate() {
            let caller = named(app.owner(), &format!("call-{index}"));
            let first = caller.post(path, body.clone()).await;
            first.expect(*status);
            let revision = app.revision().await;
            let other = if path.ends_with("rotate") { json!({ "overlap": "2h" }) } else { renamed(body) };
            caller.post(path, other).await.invalid(422, KEY);
            assert_eq!(app.revision().await, revision, "{path}");
            assert_eq!(caller.post(path, body.clone()).await.text(), again(&first));
        }
    })
    .await;
}

fn renamed(body: &Value) -> Value {
    let mut body = body.clone();
    body["name"] = json!("other");
    body
}

#[tokio::test]
async fn a_key_belongs_to_one_admin_one_route_and_one_org() {
    on_both_engines(async |app| {
        let (first, second) = (app.org("first").await, app.org("second").await);
        let (owner, operator) = (named(app.owner(), "k"), named(app.admin(Role::Operator).await, "k"));
        let keys = |org: &claviger::domain::org::Org| format!("/v1/orgs/{}/keys", org.id);
        let mut ids = Vec::new();
        for (caller, path) in [(&owner, keys(&first)), (&owner, keys(&second)), (&operator, keys(&first))] {
            let made = caller.post(&path, key_body("n")).await.expect(201);
            assert!(made["secret"].is_string(), "{made}");
            ids.push(made["key"]["id"].as_str().unwrap().to_owned());
        }
        for id in &ids {
            assert!(owner.post(&format!("/v1/keys/{id}/rotate"), Value::Null).await.expect(200)["secret"].is_string());
        }
        assert!(named(app.owner(), "K").post(&keys(&first), key_body("n")).await.expect(201)["secret"].is_string());
        owner.post("/v1/orgs", json!({ "name": "n" })).await.expect(201);
        assert_eq!((count(app, "api_key").await.as_str(), count(app, "idempotency").await.as_str()), ("4", "8"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_come_at_once_make_one_thing_and_get_one_answer() {
    on_both_engines(async |app| {
        for (index, (path, body, status)) in calls(app).await.into_iter().enumerate() {
            let caller = named(app.owner(), &format!("call-{index}"));
            let revision = app.revision().await;
            let send = || caller.post(&path, body.clone());
            let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
            let answers = [a, b, c, d];
            for answer in &answers {
                answer.expect(status);
                assert_eq!(again(answer), again(&answers[0]), "{path}");
            }
            let shown = answers.iter().filter(|answer| answer.json()["secret"].is_string()).count();
            assert_eq!(shown, usize::from(path != "/v1/orgs"), "{path}");
            assert_eq!(app.revision().await, revision + 1, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_kept_for_24_hours_and_then_the_key_is_free() {
    on_both_engines(async |app| {
        let path = format!("/v1/orgs/{}/keys", app.org("acme").await.id);
        let caller = named(app.owner(), "k");
        let first = caller.post(&path, key_body("n")).await;
        app.state.clock.advance(Duration::from_hours(24).saturating_sub(Duration::from_millis(1)));
        assert_eq!(caller.post(&path, key_body("n")).await.text(), again(&first));
        app.state.clock.advance(Duration::from_millis(1));
        let second = caller.post(&path, key_body("other")).await;
        assert!(second.expect(201)["secret"].is_string());
        assert_ne!(second.json()["key"]["id"], first.json()["key"]["id"]);
        assert_eq!(caller.post(&path, key_body("other")).await.text(), again(&second));
        // It does not grow for ever: what is over goes when something else comes.
        app.state.clock.advance(Duration::from_hours(24));
        named(app.owner(), "other").post(&path, key_body("n")).await.expect(201);
        assert_eq!(bed(app).rows("SELECT key FROM idempotency").await.concat(), ["other"]);
    })
    .await;
}

#[tokio::test]
async fn a_header_that_is_no_key_is_refused_before_anything_is_done() {
    let app = TestApp::new().await;
    let (revision, long, secret) = (app.revision().await, "x".repeat(129), app.new_admin(Role::Auditor).await.1);
    let quoted_long = format!("\"{long}\"");
    let bad = [
        "",
        " ",
        "a b",
        "a\tb",
        "naïve",
        "\"",
        "\"\"",
        "\"a",
        "\"a\"b",
        "\"a\";p=1",
        "\"a b\"",
        "\"a\\b\"",
        "\"a\\\"",
        &long,
        &quoted_long,
        &secret,
    ];
    for (path, body, _) in calls(&app).await {
        for key in bad {
            named(app.owner(), key).post(&path, body.clone()).await.invalid(400, KEY).hides(&secret);
        }
        named(named(app.owner(), "a"), "a").post(&path, body.clone()).await.invalid(400, KEY);
    }
    assert_eq!(app.revision().await, revision + 3);
    assert_eq!(count(&app, "idempotency").await, "0");
}

#[tokio::test]
async fn a_quoted_key_is_the_key_without_its_quotes() {
    let app = TestApp::new().await;
    let path = format!("/v1/orgs/{}/keys", app.org("acme").await.id);
    let long = "x".repeat(128);
    let quoted_long = format!("\"{long}\"");
    for (plain, quoted) in [("a", "\"a\""), ("a\"b\\", "\"a\\\"b\\\\\""), (&*long, &*quoted_long)] {
        let first = named(app.owner(), plain).post(&path, key_body("n")).await;
        first.expect(201);
        assert_eq!(named(app.owner(), quoted).post(&path, key_body("n")).await.text(), again(&first));
    }
}

#[tokio::test]
async fn calls_that_make_nothing_take_no_notice_of_the_header() {
    let app = TestApp::new().await;
    let org = format!("/v1/orgs/{}", app.org("acme").await.id);
    let caller = named(named(app.owner(), "a"), "not a key");
    caller.patch(&org, json!({ "name": "a" })).await.expect(200);
    caller.patch(&org, json!({ "name": "b" })).await.expect(200);
    caller.post(&format!("{org}/suspend"), json!({ "reason": "r" })).await.expect(200);
    caller.get("/v1/orgs").await.expect(200);
    assert_eq!(count(&app, "idempotency").await, "0");
}

#[tokio::test]
async fn who_may_not_make_it_any_more_is_not_answered_again() {
    on_both_engines(async |app| {
        let (admin, token) = app.new_admin(Role::Operator).await;
        let path = format!("/v1/orgs/{}/keys", app.org("acme").await.id);
        let caller = named(app.bearer(&token), "k");
        caller.post(&path, key_body("n")).await.expect(201);
        app.execute(&format!("UPDATE admin SET role = 'auditor' WHERE id = '{}'", admin.id)).await;
        caller.post(&path, key_body("n")).await.refused(403, "FORBIDDEN");
        app.execute(&format!("UPDATE admin SET role = 'operator' WHERE id = '{}'", admin.id)).await;
        caller.post(&path, key_body("n")).await.expect(201);
        app.owner().post(&format!("/v1/admins/{}/revoke", admin.id), Value::Null).await.expect(200);
        caller.post(&path, key_body("n")).await.refused(401, "INVALID_ADMIN_TOKEN");
    })
    .await;
}

#[tokio::test]
async fn a_call_that_failed_may_be_sent_again() {
    on_both_engines(async |app| {
        let taken = app.org("umbrella").await;
        let caller = named(app.owner(), "k");
        caller.post("/v1/orgs", json!({ "name": "umbrella" })).await.refused(409, "CONFLICT");
        caller.post("/v1/orgs", json!({ "name": "umbrella", "slug": "-" })).await.invalid(422, "slug");
        app.owner().delete(&format!("/v1/orgs/{}", taken.id)).await.expect(200);
        let made = caller.post("/v1/orgs", json!({ "name": "umbrella" })).await;
        made.expect(201);
        assert_eq!(caller.post("/v1/orgs", json!({ "name": "umbrella" })).await.text(), made.text());
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_given_again_waits_until_the_server_knows_what_it_speaks_of() {
    on_both_engines(async |app| {
        let caller = named(app.owner(), "k");
        caller.post("/v1/orgs", json!({ "name": "umbrella" })).await.expect(201);
        // Another server's write, which nobody has told this one of.
        let author = Author::command_line(app.state.clock.now());
        let unseen = app.state.store.create_org(&author, new_org("unseen")).await.unwrap().revision;
        assert!(app.keeper().current().revision() < unseen);
        caller.post("/v1/orgs", json!({ "name": "umbrella" })).await.expect(201);
        assert_eq!(app.keeper().current().revision(), unseen);
    })
    .await;
}

#[tokio::test]
async fn no_secret_is_kept_with_the_answers() {
    on_both_engines(async |app| {
        let mut secrets = Vec::new();
        for (index, (path, body, status)) in calls(app).await.into_iter().enumerate() {
            let answer = named(app.owner(), &format!("call-{index}")).post(&path, body).await.expect(status);
            secrets.extend(answer["secret"].as_str().map(str::to_owned));
        }
        assert_eq!(secrets.len(), 4);
        let dump = bed(app).dump().await;
        assert_eq!(dump.lines().filter(|line| line.starts_with("idempotency:")).count(), 5, "{dump}");
        for secret in secrets {
            // The hint shows four characters; eight in a row cannot be there by chance.
            let random = &secret[secret.len() - 38..];
            assert!((0..=30).all(|start| !dump.contains(&random[start..start + 8])), "{random}");
        }
    })
    .await;
}

#[tokio::test]
async fn after_an_unknown_outcome_the_same_call_tells_what_was_made() {
    let url = postgres_url().await;
    let relay = Relay::before(&url).await.unwrap();
    let app = TestApp::at(relay.reroute(&url)).await;
    for (index, (path, body, status)) in calls(&app).await.into_iter().enumerate() {
        let caller = named(app.owner(), &format!("call-{index}"));
        let revision = app.revision().await;
        relay.cut_in_commit();
        let lost = caller.post(&path, body.clone()).await;
        assert!(!relay.awaits_commit());
        lost.refused(503, "OUTCOME_UNKNOWN");
        let told = caller.post(&path, body).await.expect(status);
        assert_eq!(told["revision"], revision + 1, "{path}");
        assert!(!told["secret"].is_string(), "{path}");
        assert_eq!(app.revision().await, revision + 1, "{path}");
    }
    app.end().await;
}

#[tokio::test]
async fn after_an_unknown_outcome_the_same_call_makes_what_was_not_made() {
    let app = unsure().await;
    let caller = named(app.owner(), "k");
    let revision = app.revision().await;
    caller.post("/v1/orgs", json!({ "name": "acme" })).await.refused(503, "OUTCOME_UNKNOWN");
    app.execute("DROP TRIGGER at_commit ON org").await;
    assert_eq!(caller.post("/v1/orgs", json!({ "name": "acme" })).await.expect(201)["revision"], revision + 1);
    app.end().await;
}
