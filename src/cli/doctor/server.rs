//! A running server, as one who asks it over HTTP sees it.

use chrono::DateTime;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    clock::{self, Sample},
    diagnosis::{Check, milliseconds},
    replicas::{self, Look, Sight},
};
use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        output::cell,
        remote::{Reply, Server, bearer},
    },
    domain::clock::{Clock, Timestamp},
};

const SERVER: &str = "server";
const READY: &str = "readiness";
const SNAPSHOT: &str = "snapshot";
const IN_FORCE: &str = "policies in force";
const CLOCK: &str = "server clock";
const REPLICAS: &str = "server replicas";
/// A server that follows its database is never further behind than this.
const YOUNG_MS: i64 = 1_000;

pub(super) async fn check(server: &Server, token: Option<&SecretString>, clock: &Clock) -> Vec<Check> {
    let (now, sent) = (clock.now(), clock.uptime());
    let answer = server.look("/readyz").await.and_then(|(reply, date)| {
        let known = reply.code().is_some() || reply.body.get("snapshot_age_ms").is_some();
        if known { Ok((reply, date)) } else { Err(server.refusal(&reply)) }
    });
    let took = clock.uptime().since(sent);
    let (reply, date) = match answer {
        Ok(answer) => answer,
        Err(failure) => return unreached(&failure),
    };
    let told = date.and_then(|date| DateTime::parse_from_rfc2822(&date).ok()).map(|date| Timestamp::from(date.to_utc()));
    let mut checks = vec![Check::ok(SERVER, format!("`{}` answers in {}", server.url(), milliseconds(took)))];
    checks.extend(check_ready(&reply));
    checks.push(Check { name: CLOCK, ..clock::check("the server", &Sample::of_seconds(now, took, told)) });
    checks.push(match token {
        None => Check::not_checked(REPLICAS, "there is no admin token; give it with `--token -` or in CLAVIGER_ADMIN_TOKEN"),
        Some(token) => replicas::check(REPLICAS, async || look(server, token).await).await,
    });
    checks
}

fn unreached(failure: &Failure) -> Vec<Check> {
    let remedy = "see that it runs and that the URL is its own";
    let first = match failure.exit {
        Exit::Unreachable => Check::unreachable(SERVER, failure.reason(), remedy),
        _ => Check::problem(SERVER, failure.reason(), remedy),
    };
    let rest = [READY, SNAPSHOT, IN_FORCE, CLOCK, REPLICAS];
    std::iter::once(first).chain(rest.map(|check| Check::not_checked(check, "the server cannot be reached"))).collect()
}

/// What `readyz` says.
fn check_ready(reply: &Reply) -> Vec<Check> {
    if reply.status != 200 {
        let code = reply.code().unwrap_or_default();
        let finding = format!("{code}: {}", cell(reply.body.pointer("/error/message")));
        let remedy = match code {
            "STALE_SNAPSHOT" | "NOT_READY" => "see that its database runs and that the server can reach it",
            _ => "look at its log",
        };
        let not_checked = [SNAPSHOT, IN_FORCE].map(|check| Check::not_checked(check, "the server is not ready"));
        return std::iter::once(Check::problem(READY, finding, remedy)).chain(not_checked).collect();
    }
    let body = &reply.body;
    let age = body.get("snapshot_age_ms").and_then(Value::as_i64).unwrap_or(i64::MAX);
    let snapshot = if age > YOUNG_MS {
        let finding = format!("it decides by what it read {} s ago", age / 1_000);
        Check::warning(SNAPSHOT, finding, "see that its database runs and that the server can reach it")
    } else {
        Check::ok(SNAPSHOT, format!("{age} ms old"))
    };
    let ready = Check::ok(READY, format!("ready, at revision {}", cell(body.get("revision"))));
    vec![ready, snapshot, check_in_force(body)]
}

fn check_in_force(body: &Value) -> Check {
    let told = |pointer: &str| cell(body.pointer(pointer));
    match body.pointer("/policies/last_failure") {
        None | Some(Value::Null) => {
            Check::ok(IN_FORCE, format!("{}, loaded at {}", told("/policies/digest"), told("/policies/loaded_at")))
        }
        Some(failure) => {
            let of = |name: &str| failure.get(name).filter(|value| !value.is_null()).map(|value| cell(Some(value)));
            let place: Vec<_> = [of("file"), of("line")].into_iter().flatten().collect();
            let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(":")) };
            let finding =
                format!("the files cannot be loaded since {}: {place}{}", cell(failure.get("at")), cell(failure.get("message")));
            Check::warning(IN_FORCE, finding, "correct the file: until then the policies before it stay in force")
        }
    }
}

async fn look(server: &Server, token: &SecretString) -> Result<Look, Check> {
    let refused = |failure: &Failure| {
        let remedy = "give the token of an admin who may list replicas";
        if failure.exit == Exit::Unauthenticated {
            Check::problem(REPLICAS, failure.reason(), remedy)
        } else {
            Check::problem(REPLICAS, failure.reason(), "see that its database runs and that the server can reach it")
        }
    };
    let header = bearer(token).map_err(|failure| refused(&failure))?;
    let reply =
        server.send(http::Method::GET, "/v1/replicas", header, None::<&Value>).await.map_err(|failure| refused(&failure))?;
    read_look(&reply).ok_or_else(|| refused(&server.refusal(&reply)))
}

fn read_look(reply: &Reply) -> Option<Look> {
    let body = Some(&reply.body).filter(|_| reply.status == 200)?;
    let sights = body.get("data")?.as_array()?.iter().map(read_sight).collect::<Option<Vec<_>>>()?;
    // The server that answers renews its lease several times a second, so the newest sight is now.
    let now = sights.iter().map(|sight| sight.seen_at).max()?;
    Some(Look { revision: body.get("revision")?.as_i64()?, now, sights })
}

fn read_sight(view: &Value) -> Option<Sight> {
    let text = |name: &str| view.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Sight {
        id: text("id")?,
        address: text("address")?,
        version: text("version")?,
        policy_set: text("policy_set")?,
        acked_revision: view.get("acked_revision")?.as_i64(),
        seen_at: text("seen_at")?.parse().ok()?,
    })
}
