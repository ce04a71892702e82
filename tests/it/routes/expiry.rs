//! When a key ends: whatever is given is refused by its name or stored exactly, and counts to the millisecond.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::app::{MadeKey, TestApp, on_both_engines};

/// What becomes of a value.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// 400: no text.
    Untyped,
    /// 422: a text that is not accepted.
    Refused,
    /// 400, about the whole body: no JSON at all.
    Unreadable,
    Stored(&'static str),
}
use Fate::{Refused, Stored, Unreadable, Untyped};

/// Times as JSON, at 2026-11-24T04:30:26Z.
const TIMES: &[(&str, Fate)] = &[
    ("0", Untyped),
    ("-1", Untyped),
    ("1.5", Untyped),
    ("1795494627", Untyped),
    ("9223372036854775807", Untyped),
    ("9223372036854775808", Untyped),
    ("true", Untyped),
    ("{}", Untyped),
    (r#"["2027-01-01T00:00:00Z"]"#, Untyped),
    ("1e400", Unreadable),
    ("-1e400", Unreadable),
    ("NaN", Unreadable),
    (r#""""#, Refused),
    (r#"" ""#, Refused),
    (r#""null""#, Refused),
    (r#""0""#, Refused),
    (r#""-1""#, Refused),
    (r#""1795494627""#, Refused),
    (r#""9223372036854775807""#, Refused),
    (r#""1e400""#, Refused),
    (r#""tomorrow""#, Refused),
    (r#""90d""#, Refused),
    // no whole time
    (r#""2027-01-01""#, Refused),
    (r#""2027-01-01T00:00""#, Refused),
    (r#""2027-01-01T00:00Z""#, Refused),
    (r#""2027-01-01T00:00:00""#, Refused),
    (r#""2027-01-01T00:00:00.Z""#, Refused),
    (r#""20270101T000000Z""#, Refused),
    (r#""2027-1-1T0:0:0Z""#, Refused),
    (r#""2027-W01-1T00:00:00Z""#, Refused),
    (r#""Fri, 01 Jan 2027 00:00:00 GMT""#, Refused),
    // spaces, and characters that look alike
    (r#"" 2027-01-01T00:00:00Z""#, Refused),
    (r#""2027-01-01T00:00:00Z ""#, Refused),
    (r#""2027-01-01T00:00:00Z\n""#, Refused),
    (r#""2027-01-01T00:00:00 Z""#, Refused),
    (r#""2027-01-01T00:00:00Z\u0000""#, Refused),
    (r#""２027-01-01T00:00:00Z""#, Refused),
    (r#""2027‐01‐01T00:00:00Z""#, Refused),
    // no such moment
    (r#""2026-11-24T23:59:60Z""#, Refused),
    (r#""2026-12-31T23:59:60Z""#, Refused),
    (r#""2027-01-01T23:59:61Z""#, Refused),
    (r#""2027-01-01T24:00:00Z""#, Refused),
    (r#""2027-01-01T00:60:00Z""#, Refused),
    (r#""2027-02-29T00:00:00Z""#, Refused),
    (r#""2027-13-01T00:00:00Z""#, Refused),
    (r#""2027-00-01T00:00:00Z""#, Refused),
    (r#""2027-01-00T00:00:00Z""#, Refused),
    // no such offset
    (r#""2027-01-01T00:00:00+24:00""#, Refused),
    (r#""2027-01-01T00:00:00-99:00""#, Refused),
    (r#""2027-01-01T00:00:00+14:60""#, Refused),
    (r#""2027-01-01T00:00:00+14""#, Refused),
    (r#""2027-01-01T00:00:00 UTC""#, Refused),
    (r#""2027-01-01T00:00:00ZZ""#, Refused),
    // years that not every part of the product can hold
    (r#""0000-01-01T00:00:00Z""#, Refused),
    (r#""10000-01-01T00:00:00Z""#, Refused),
    (r#""+10000-01-01T00:00:00Z""#, Refused),
    (r#""-0001-01-01T00:00:00Z""#, Refused),
    (r#""9999-12-31T23:59:59-00:01""#, Refused),
    // past, or now
    (r#""0001-01-01T00:00:00Z""#, Refused),
    (r#""1970-01-01T00:00:00Z""#, Refused),
    (r#""2026-11-24T04:30:25.999Z""#, Refused),
    (r#""2026-11-24T04:30:26Z""#, Refused),
    (r#""2026-11-24T04:30:26.0009Z""#, Refused),
    (r#""2026-11-24T18:30:26+14:00""#, Refused),
    // stored
    (r#""2026-11-24T04:30:26.001Z""#, Stored("2026-11-24T04:30:26.001Z")),
    (r#""2027-01-01T00:00:00Z""#, Stored("2027-01-01T00:00:00.000Z")),
    (r#""2027-01-01t00:00:00z""#, Stored("2027-01-01T00:00:00.000Z")),
    // RFC 3339, 5.6: a space may stand for the T
    (r#""2027-01-01 00:00:00Z""#, Stored("2027-01-01T00:00:00.000Z")),
    (r#""2028-02-29T23:59:59.5Z""#, Stored("2028-02-29T23:59:59.500Z")),
    (r#""2027-01-01T00:00:00.123999Z""#, Stored("2027-01-01T00:00:00.123Z")),
    (r#""2027-01-01T00:00:00+00:00""#, Stored("2027-01-01T00:00:00.000Z")),
    (r#""2027-01-01T00:00:00-00:00""#, Stored("2027-01-01T00:00:00.000Z")),
    (r#""2027-01-01T00:00:00+14:00""#, Stored("2026-12-31T10:00:00.000Z")),
    (r#""2027-01-01T00:00:00-23:59""#, Stored("2027-01-01T23:59:00.000Z")),
    (r#""2027-01-01T00:00:00+23:59""#, Stored("2026-12-31T00:01:00.000Z")),
    (r#""9999-12-31T23:59:59Z""#, Stored("9999-12-31T23:59:59.000Z")),
    (r#""9999-12-31T23:59:59.999Z""#, Stored("9999-12-31T23:59:59.999Z")),
    (r#""2027-01-01T\u00300:00:00Z""#, Stored("2027-01-01T00:00:00.000Z")),
];

/// Durations as JSON, from 2026-11-24T04:30:26Z.
const DURATIONS: &[(&str, Fate)] = &[
    ("0", Untyped),
    ("-1", Untyped),
    ("3600", Untyped),
    ("9223372036854775807", Untyped),
    ("null", Untyped),
    ("{}", Untyped),
    (r#"["1h"]"#, Untyped),
    ("1e400", Unreadable),
    (r#""""#, Refused),
    (r#""0""#, Refused),
    (r#""-1""#, Refused),
    (r#""3600""#, Refused),
    (r#""h""#, Refused),
    (r#""0s""#, Refused),
    (r#""0d""#, Refused),
    (r#""-1h""#, Refused),
    (r#""+1h""#, Refused),
    (r#""1H""#, Refused),
    (r#""1w""#, Refused),
    (r#""1ms""#, Refused),
    (r#""1h30m""#, Refused),
    (r#""1.5h""#, Refused),
    (r#""1e3s""#, Refused),
    (r#""0x10s""#, Refused),
    (r#""1 h""#, Refused),
    (r#"" 1h""#, Refused),
    (r#""1h ""#, Refused),
    (r#""1h\n""#, Refused),
    (r#""1_000s""#, Refused),
    (r#""１h""#, Refused),
    (r#""1ｈ""#, Refused),
    (r#""P1D""#, Refused),
    (r#""PT1H""#, Refused),
    (r#""2027-01-01T00:00:00Z""#, Refused),
    (r#""366001d""#, Refused),
    (r#""999999999999d""#, Refused),
    (r#""9223372036854775807s""#, Refused),
    (r#""18446744073709551615s""#, Refused),
    (r#""18446744073709551617s""#, Refused),
    // 2^64 / 60: a product that wraps around would be a second or so
    (r#""307445734561825861m""#, Refused),
    (r#""5124095576030432h""#, Refused),
    (r#""213503982334602d""#, Refused),
    (r#""1s""#, Stored("2026-11-24T04:30:27.000Z")),
    (r#""90m""#, Stored("2026-11-24T06:00:26.000Z")),
    (r#""1h""#, Stored("2026-11-24T05:30:26.000Z")),
    (r#""0001h""#, Stored("2026-11-24T05:30:26.000Z")),
    (r#""24h""#, Stored("2026-11-25T04:30:26.000Z")),
    (r#""1d""#, Stored("2026-11-25T04:30:26.000Z")),
    (r#""366000d""#, Stored("3028-12-21T04:30:26.000Z")),
];

/// Gives a value to a new key and to an old one, and looks what has become of both.
async fn check(app: &TestApp, keys: &str, made: &MadeKey, (field, text, fate): (&str, &str, Fate)) {
    let (owner, revision) = (app.owner(), app.revision().await);
    let key = format!("/v1/keys/{}", made.id());
    let before = owner.get(&key).await.expect(200);
    let create = format!(r#"{{"name":"n","environment":"live","permissions":[],"{field}":{text}}}"#);
    let created = owner.send_text(Method::POST, keys, create).await;
    let updated = owner.send_text(Method::PATCH, &key, format!(r#"{{"{field}":{text}}}"#)).await;
    let after = owner.get(&key).await.expect(200);
    for answer in [&created, &updated] {
        match fate {
            Untyped => drop(answer.invalid(400, field)),
            Refused => drop(answer.invalid(422, field)),
            Unreadable => drop(answer.invalid(400, "body")),
            Stored(expected) => assert_eq!(answer.json()["key"]["expires_at"], expected, "{field}: {text}: {answer:?}"),
        }
    }
    if let Stored(expected) = fate {
        let new = created.expect(201)["key"].clone();
        let read = owner.get(&format!("/v1/keys/{}", new["id"].as_str().unwrap())).await.expect(200);
        assert_eq!((&read, &read["expires_at"]), (&new, &json!(expected)), "{field}: {text}");
        assert_eq!((&after, &after["expires_at"]), (&updated.expect(200)["key"], &json!(expected)), "{field}: {text}");
        let secret = created.json()["secret"].as_str().unwrap().to_owned();
        let told = app.bearer(&secret).get("/v1/whoami").await.expect(200);
        assert_eq!(told["key"]["expires_at"], expected, "{field}: {text}");
    } else {
        assert_eq!((app.revision().await, after), (revision, before), "{field}: {text}: nothing is written");
    }
}

#[tokio::test]
async fn an_expiry_is_refused_by_its_name_or_stored_exactly() {
    on_both_engines(async |app| {
        let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let keys = format!("/v1/orgs/{}/keys", org.id);
        let times = TIMES.iter().map(|(text, fate)| ("expires_at", *text, *fate));
        for case in times.chain(DURATIONS.iter().map(|(text, fate)| ("expires_in", *text, *fate))) {
            check(app, &keys, &made, case).await;
        }
        // Without an expiry: a new key says so by saying nothing, an old one by `null`.
        let (owner, key) = (app.owner(), format!("/v1/keys/{}", made.id()));
        assert_ne!(owner.get(&key).await.expect(200)["expires_at"], json!(null));
        owner.patch(&key, json!({ "expires_at": null })).await.expect(200);
        assert_eq!(owner.get(&key).await.expect(200)["expires_at"], json!(null));
        let new = json!({ "name": "n", "environment": "live", "permissions": [] });
        assert_eq!(owner.post(&keys, new.clone()).await.expect(201)["key"]["expires_at"], json!(null));
        let mut with_null = new;
        with_null["expires_at"] = json!(null);
        owner.post(&keys, with_null).await.invalid(400, "expires_at");
    })
    .await;
}

/// Keys that end at one moment, an hour from now, each told so in another way.
async fn ending_in_an_hour(app: &TestApp) -> Vec<(Value, String, String)> {
    let org = app.org("acme").await;
    let (owner, keys) = (app.owner(), format!("/v1/orgs/{}/keys", org.id));
    let mut ends = Vec::new();
    for end in [
        json!({ "expires_at": "2026-11-24T05:30:26Z" }),
        json!({ "expires_at": "2026-11-24T19:30:26+14:00" }),
        json!({ "expires_at": "2026-11-23T05:31:26.000999-23:59" }),
        json!({ "expires_in": "1h" }),
        json!({ "expires_in": "3600s" }),
    ] {
        let mut body = json!({ "name": "n", "environment": "live", "permissions": ["jobs:read"] });
        body.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        let made = owner.post(&keys, body).await.expect(201);
        let text = |pointer| made.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        ends.push((end.clone(), text("/secret"), text("/key/id")));
        let old = app.new_key(org.id, &["jobs:read"]).await;
        owner.patch(&format!("/v1/keys/{}", old.id()), end.clone()).await.expect(200);
        ends.push((end, old.secret.clone(), old.id()));
    }
    ends
}

#[tokio::test]
async fn a_key_opens_everything_a_millisecond_before_its_end_and_nothing_at_its_end() {
    on_both_engines(async |app| {
        let keys = ending_in_an_hour(app).await;
        for (step, status, state) in [(3_599_999, 200, "active"), (1, 401, "expired"), (86_400_000, 401, "expired")] {
            app.state.clock.advance(Duration::from_millis(step));
            for (end, secret, id) in &keys {
                let caller = app.bearer(secret);
                let batch = json!({ "requests": [{ "action": "jobs:read" }] });
                for answer in [
                    caller.authorize("jobs:read").await,
                    caller.post("/v1/authorize/batch", batch).await,
                    caller.get("/v1/whoami").await,
                ] {
                    assert_eq!(answer.status, status, "{end} at {}: {answer:?}", app.state.clock.now());
                }
                assert_eq!(app.owner().get(&format!("/v1/keys/{id}")).await.expect(200)["state"], state, "{end}");
            }
        }
    })
    .await;
}
