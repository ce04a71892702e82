//! Every error that a caller can get, brought about by a request, word for word and in both of its forms.

mod requests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io,
    time::Duration,
};

use axum::{body::Body, http::Method};
use bytes::Bytes;
use claviger::domain::admin::Role;
use futures_util::stream;
use tokio::time::timeout;

use self::requests::{Ask, World, asks};
use super::outcome::unsure;
use crate::support::{
    app::TestApp,
    caller::{Answer, Caller},
};

const SOURCE: &str = include_str!("../../../src/http/error.rs");
const EXPLANATIONS: &str = include_str!("../../../src/http/docs.rs");

/// What every kind of error looks like.
#[derive(Default)]
struct Page {
    text: String,
    /// The codes by which each variant was seen.
    seen: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Page {
    /// Sends a request as two callers do, who differ in what they accept, and writes down both answers.
    async fn show(&mut self, ask: &Ask<'_>) {
        let (plain, problem) = (send(&ask.caller, ask).await, send(&accepting(&ask.caller), ask).await);
        self.write(ask.variant, ask.what, &format!("{} {}", ask.method, ask.path), &plain, &problem);
    }

    fn write(&mut self, variant: &'static str, what: &str, asked: &str, plain: &Answer, problem: &Answer) {
        let code = if plain.status == 200 { String::new() } else { plain.code() };
        self.seen.entry(variant).or_default().insert(code);
        let asked = without_ids(asked.split('?').next().unwrap());
        let _ = write!(self.text, "## {variant}: {what}\n{asked}\n{}", told(plain));
        if plain.status != 200 {
            assert_eq!(plain.status, problem.status, "{asked}");
            assert_eq!(problem.header("content-type"), "application/problem+json", "{asked}");
            let _ = write!(self.text, "{}", told(problem));
        }
        self.text.push('\n');
    }
}

fn accepting<'a>(caller: &Caller<'a>) -> Caller<'a> {
    caller.clone().header("accept", "application/problem+json")
}

async fn send(caller: &Caller<'_>, ask: &Ask<'_>) -> Answer {
    if ask.text.is_empty() {
        caller.send(ask.method.clone(), &ask.path, Body::empty()).await
    } else {
        caller.send_text(ask.method.clone(), &ask.path, ask.text.clone()).await
    }
}

/// Status, the headers that depend on the error, and the body without what differs each time.
fn told(answer: &Answer) -> String {
    let mut text = format!("{} {}\n", answer.status, answer.header("content-type"));
    for name in ["www-authenticate", "allow", "retry-after"] {
        if answer.headers.contains_key(name) {
            let _ = writeln!(text, "{name}: {}", answer.header(name));
        }
    }
    let mut body = answer.json();
    if answer.status != 200 {
        let error = body.get("error").unwrap_or(&body);
        assert_eq!(error["request_id"], answer.header("x-request-id"), "{answer:?}");
    }
    // The number of writes so far is in the header as well.
    for place in ["/revision", "/decisions/0/revision", "/decisions/1/revision"] {
        let Some(revision) = body.pointer_mut(place) else { continue };
        assert_eq!(revision.to_string(), answer.header("claviger-revision"), "{answer:?}");
        *revision = "…".into();
    }
    let _ = writeln!(text, "{}", without_ids(&serde_json::to_string_pretty(&body).unwrap()));
    text
}

/// Ids and digests by their kind. What is not exactly of the shape stays, and differs from what was written down.
fn without_ids(text: &str) -> String {
    let mut text = text.to_owned();
    for (prefix, length, digits) in [
        ("req_", 26, "0123456789abcdefghjkmnpqrstvwxyz"),
        ("dec_", 26, "0123456789abcdefghjkmnpqrstvwxyz"),
        ("key_", 26, "0123456789abcdefghjkmnpqrstvwxyz"),
        ("org_", 26, "0123456789abcdefghjkmnpqrstvwxyz"),
        ("adm_", 26, "0123456789abcdefghjkmnpqrstvwxyz"),
        ("sha256:", 64, "0123456789abcdef"),
    ] {
        let mut parts = text.split(prefix);
        let mut clean = parts.next().unwrap().to_owned();
        for part in parts {
            let run = part.chars().take_while(|c| digits.contains(*c)).count();
            clean.push_str(prefix);
            clean.push_str(if run == length { "…" } else { &part[..run] });
            clean.push_str(&part[run..]);
        }
        text = clean;
    }
    text
}

/// The variants of the enum of all errors, as its source has them.
fn variants() -> BTreeSet<&'static str> {
    let list = SOURCE.split("enum ApiError {\n").nth(1).unwrap().split("\n}\n").next().unwrap();
    let lines = list.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap()).collect()
}

/// The codes that have an explanation; that each error's code has one, the errors' own tests say.
fn codes() -> BTreeSet<String> {
    let calls = EXPLANATIONS.split("explain(").filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
    calls.filter(|code| code.len() > 4 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).map(str::to_owned).collect()
}

/// A body of which nothing more comes.
fn stuck() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, io::Error>>())
}

/// A body whose connection breaks after the first bytes.
fn broken() -> Body {
    let parts = [Ok(Bytes::from_static(b"{\"act")), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
    Body::from_stream(stream::iter(parts))
}

/// What no complete request brings about.
async fn interrupted(page: &mut Page, app: &TestApp) {
    let (plain, path) = (app.anonymous().header("content-type", "application/json"), "/v1/authorize");
    let problem = accepting(&plain);
    let ask = async |body: fn() -> Body| {
        let both = async { tokio::join!(plain.send(Method::POST, path, body()), problem.send(Method::POST, path, body())) };
        timeout(Duration::from_mins(1), both).await.expect("there is no answer")
    };
    let (cut, late) = (ask(broken).await, ask(stuck).await);
    page.write("InvalidRequest", "the connection broke", "POST /v1/authorize", &cut.0, &cut.1);
    page.write("Timeout", "the body does not come", "POST /v1/authorize", &late.0, &late.1);
}

/// What only a server in trouble says.
async fn troubled(page: &mut Page, world: &World) {
    let (app, path) = (&world.app, format!("/v1/orgs/{}", world.corrupt));
    app.execute("UPDATE org SET name = '' WHERE slug = 'corrupt'").await;
    page.show(&Ask::new("Internal", "a row that cannot be read", &app.owner(), &format!("GET {path}"), "")).await;
    app.state.store.close().await;
    page.show(&Ask::new("StoreUnavailable", "the database is gone", &app.owner(), "GET /v1/orgs", "")).await;

    let unready = TestApp::new().await;
    unready.become_unready().await;
    let text = r#"{"action":"jobs:read"}"#;
    page.show(&Ask::new("NotReady", "nothing to decide on", &unready.anonymous(), "POST /v1/authorize", text)).await;
    page.show(&Ask::new("NotReady", "asked by a probe", &unready.anonymous(), "GET /readyz", "")).await;

    let behind = TestApp::new().await;
    let caller = behind.anonymous().header("claviger-min-revision", "9999");
    page.show(&Ask::new("BehindRevision", "a revision that is not there", &caller, "POST /v1/authorize", text)).await;
    behind.state.stopping.tell();
    page.show(&Ask::new("Stopping", "asked by a probe", &behind.anonymous(), "GET /readyz", "")).await;
    let stale = TestApp::new().await;
    stale.state.store.close().await;
    stale.state.clock.advance(Duration::from_secs(61));
    page.show(&Ask::new("StaleSnapshot", "the database is gone for long", &stale.anonymous(), "POST /v1/authorize", text)).await;

    let streams = TestApp::new().await;
    let owner = streams.owner();
    let open = futures_util::future::join_all((0..8).map(|_| owner.open("/v1/decisions/stream"))).await;
    page.show(&Ask::new("TooManyStreams", "one more than there may be", &owner, "GET /v1/decisions/stream", "")).await;
    drop(open);

    let unsure = unsure().await;
    let text = r#"{"name":"Umbrella"}"#;
    page.show(&Ask::new("OutcomeUnknown", "the commit was not answered", &unsure.owner(), "POST /v1/orgs", text)).await;
    unsure.end().await;
}

#[tokio::test]
async fn every_error_is_worded_and_shaped_on_purpose() {
    let world = World::new().await;
    let auditor = world.app.admin(Role::Auditor).await;
    let mut page = Page::default();
    for ask in &asks(&world, &auditor) {
        page.show(ask).await;
    }
    interrupted(&mut page, &world.app).await;
    troubled(&mut page, &world).await;

    let shown: BTreeSet<&str> = page.seen.keys().copied().collect();
    assert_eq!(shown, variants(), "every variant has an entry, and every entry a variant");
    let told: BTreeSet<String> = page.seen.values().flatten().filter(|code| !code.is_empty()).cloned().collect();
    assert_eq!(told, codes(), "every code that is explained has an entry, and the reverse");
    insta::assert_snapshot!(page.text);
}

#[test]
fn what_is_redacted_is_exactly_an_id() {
    let id = "0".repeat(26);
    assert_eq!(without_ids(&format!("/v1/keys/key_{id}/rotate")), "/v1/keys/key_…/rotate");
    for text in [format!("key_{id}0"), format!("key_{}", &id[1..]), format!("key_{}u", &id[1..]), "sha256:0".to_owned()] {
        assert_eq!(without_ids(&text), text);
    }
    assert!(variants().contains("Internal") && variants().contains("InvalidRequest"), "{:?}", variants());
    assert!(codes().contains("INTERNAL") && codes().contains("UNKNOWN_RESOURCE_TYPE"), "{:?}", codes());
}
