//! `claviger check`: the decision of `POST /v1/authorize`, from the database and the policy directories.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use axum::{body::Body, http::Request};
use clap::Args;
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::{
    desk::{Desk, DeskArgs, Output, presented_key, write_json, write_line},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::random::Random,
    http::{App, AppState, router},
    snapshot::Keeper,
    telemetry::Recorder,
};

/// Decide a request as the server would, without a server
#[derive(Debug, Args)]
#[command(after_help = "\
The key comes from CLAVIGER_API_KEY or, with `--key -`, from stdin.
Exit codes: 0 allowed, 3 denied, 4 the key is not valid, 1 the request does not fit the schema.

Examples:
  CLAVIGER_API_KEY=op_live_… claviger check classify:create
  claviger check jobs:read --resource 'Org::\"org_…\"' --key - < secret")]
pub(super) struct CheckArgs {
    /// A permission
    action: String,
    /// What is acted on, as Cedar writes it: Type::"id" [default: the key's own organization]
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
    /// File with the context as JSON; `-` reads stdin
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// `-`: read the key from stdin
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    key: Option<String>,
    #[command(flatten)]
    desk: DeskArgs,
}

pub(super) fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let desk = args.desk.clone();
    desk.run(async |desk| check(&desk, args).await)
}

async fn check(desk: &Desk, args: CheckArgs) -> Result<Exit, Failure> {
    let key = presented_key(args.key.as_deref())?;
    let mut body = Map::from_iter([("action".to_owned(), Value::from(args.action))]);
    if let Some(resource) = &args.resource {
        let parsed = resource.split_once("::\"").and_then(|(kind, rest)| Some((kind, rest.strip_suffix('"')?)));
        let (kind, id) =
            parsed.ok_or_else(|| Failure::usage(format!("`{resource}` is no resource; write it as `Org::\"org_…\"`")))?;
        body.insert("resource".to_owned(), json!({ "type": kind, "id": id }));
    }
    if let Some(path) = &args.context {
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)?
        } else {
            fs::read_to_string(path).map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))?
        };
        let context = serde_json::from_str(&text).map_err(|error| Failure::usage(format!("the context is not JSON: {error}")))?;
        body.insert("context".to_owned(), context);
    }
    let (status, answer) = ask(desk, &key, &Value::Object(body)).await?;
    let code = answer.pointer("/error/code").and_then(Value::as_str);
    if desk.output == Output::Json {
        write_json(&answer)?;
    } else {
        let line = match (code, answer.pointer("/error/message").and_then(Value::as_str)) {
            (Some(code), Some(message)) => format!("deny: {code}: {message}"),
            _ => format!("allow: {}", answer.pointer("/policies").unwrap_or(&Value::Null)),
        };
        write_line(&line)?;
    }
    Ok(match status {
        200 => Exit::Ok,
        403 => Exit::Negative,
        401 => Exit::Unauthenticated,
        _ => Exit::Failed,
    })
}

/// Asks the very routes that the server has, in this process.
async fn ask(desk: &Desk, key: &str, body: &Value) -> Result<(u16, Value), Failure> {
    let keeper = Keeper::open(desk.store.clone(), desk.engine()?, desk.clock.clone(), Random::System).await?;
    let app = AppState::new(App {
        store: desk.store.clone(),
        keeper,
        clock: desk.clock.clone(),
        random: Random::System,
        prefix: desk.config.keys.prefix()?,
        peppers: desk.config.keys.peppers()?,
        recorder: Recorder::off(),
    });
    let request = Request::post("/v1/authorize")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .map_err(|_| Failure::new(Exit::Unauthenticated, "the key holds characters that no key has"))?;
    let response = router(&app).oneshot(request).await.map_err(Failure::failed)?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.map_err(Failure::failed)?.to_bytes();
    Ok((status, serde_json::from_slice(&bytes).map_err(Failure::failed)?))
}
