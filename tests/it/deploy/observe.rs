//! `scripts/observe`: a real trace store and a real Prometheus beside the demo server, with everything that it decides.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::Duration,
};

use claviger::telemetry::names;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::dashboard_queries;
use crate::{
    process::eventually,
    support::program::{Program, command, shipped_directory},
};

/// Programs of a machine that does much else start within this.
const SOON: Duration = Duration::from_mins(3);
const SPAN: &str = "00f067aa0ba902b7";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The script with all that it started.
struct Observed {
    /// `None` when it was stopped.
    server: Option<Program>,
    traces: String,
    traces_grpc: String,
    prometheus: String,
    _records: TempDir,
}

impl Drop for Observed {
    fn drop(&mut self) {
        // The script ends what it started; when a claim failed before, this does.
        if let Some(server) = &self.server {
            let group = format!("-{}", server.pid());
            let _ = Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status();
        }
    }
}

impl Observed {
    fn start() -> Self {
        let (traces, grpc, metrics, prometheus) = (free_port(), free_port(), free_port(), free_port());
        let records = TempDir::new().unwrap();
        let mut script = Command::new(shipped_directory("scripts/observe"));
        script.args(["--listen", "127.0.0.1:0", "-o", "json"]).env_clear().process_group(0);
        for name in ["PATH", "HOME"] {
            script.envs(std::env::var(name).map(|value| (name, value)));
        }
        script.env("CLAVIGER", env!("CARGO_BIN_EXE_claviger")).env("RECORDS", records.path());
        script.env("TRACES", traces.to_string()).env("TRACES_GRPC", grpc.to_string());
        script.env("METRICS", format!("127.0.0.1:{metrics}")).env("PROMETHEUS", format!("127.0.0.1:{prometheus}"));
        // The demo's database is made anew.
        script.env("CLAVIGER_DATABASE__URL", format!("sqlite:{}", records.path().join("claviger.db").display()));
        script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let address = |port| format!("http://127.0.0.1:{port}");
        let (traces, traces_grpc, prometheus) = (address(traces), address(grpc), address(prometheus));
        Self { server: Some(Program::start(script)), traces, traces_grpc, prometheus, _records: records }
    }

    /// The attributes of the span that a trace has in the store.
    async fn span_of(&self, trace: &str) -> BTreeMap<String, Value> {
        let all = format!("{}/v1/projects/claviger/spans/otlpv1?limit=1000", self.traces);
        let found = async || {
            let spans = ask(&all).await?["data"].as_array()?.clone();
            spans.into_iter().find(|span| span["trace_id"] == trace)
        };
        let span = eventually(&format!("the trace {trace} is in the store"), SOON, found).await;
        attributes(&span)
    }

    async fn prometheus(&self, path: &str, query: &str) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.prometheus), [("query", query)]).unwrap();
        let answer = ask(url.as_str()).await?;
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        Some(answer["data"].clone())
    }
}

async fn ask(url: &str) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.ok()?.json().await.ok()
}

fn attributes(span: &Value) -> BTreeMap<String, Value> {
    let value = |value: &Value| value.as_object().unwrap().values().find(|value| !value.is_null()).cloned().unwrap_or_default();
    let all = span["attributes"].as_array().unwrap().iter();
    all.map(|attribute| (attribute["key"].as_str().unwrap().to_owned(), value(&attribute["value"]))).collect()
}

/// What every span of a decision about a key has.
fn expected() -> impl Iterator<Item = &'static str> {
    let not_always = [names::DECISION_CODE, names::KEY_REFUSAL, names::BATCH_INDEX, names::CONTEXT_WHOLE, names::MASKED];
    let all = names::OF_DECISIONS.iter().chain(names::OF_CALLS).map(|field| field.name);
    all.filter(move |name| !not_always.contains(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_trace_store_and_prometheus_show_what_is_decided_and_an_exemplar_opens_its_trace() {
    let mut observed = Observed::start();
    let server = observed.server.as_ref().unwrap();
    let projects = format!("{}/v1/projects", observed.traces);
    eventually("the trace store is there", SOON, async || ask(&projects).await).await;
    let keys = ["/keys/full_access", "/keys/read_only"].map(|pointer| server.told(pointer));
    let trace = |digit: char| digit.to_string().repeat(32);
    let caller = |key: &str, digit, flags| server.bearer(key).traced(&format!("00-{}-{SPAN}-{flags}", trace(digit)));
    let resource = json!({ "type": "Org", "id": server.told("/org/id") });
    let question = json!({ "action": "scan:create", "resource": resource });
    caller(&keys[0], '1', "01").post("/v1/authorize", question.clone()).await.expect(200);
    caller(&keys[1], '2', "00").post("/v1/authorize", question.clone()).await.expect(403);

    // The same over gRPC, by a server that is told so.
    let directory = TempDir::new().unwrap();
    let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
    dev.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &observed.traces_grpc).env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    dev.env("OTEL_RESOURCE_ATTRIBUTES", "openinference.project.name=claviger");
    let other = Program::start(dev);
    let read_only = other.bearer(&other.told("/keys/read_only")).traced(&format!("00-{}-{SPAN}-00", trace('3')));
    let of_other = json!({ "type": "Org", "id": other.told("/org/id") });
    read_only.post("/v1/authorize", json!({ "action": "scan:create", "resource": of_other })).await.expect(403);

    for (digit, decision) in [('1', "allow"), ('2', "deny"), ('3', "deny")] {
        let attributes = observed.span_of(&trace(digit)).await;
        assert_eq!(attributes[names::DECISION], decision);
        let missing: Vec<_> = expected().filter(|name| !attributes.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{missing:?} in {attributes:?}");
    }

    for query in dashboard_queries() {
        let shows = async || {
            let data = observed.prometheus("query", &query).await?;
            // Nothing is reloaded here, which the note in the graphs is for.
            (query.starts_with("changes(") || data["result"].as_array().is_some_and(|found| !found.is_empty())).then_some(())
        };
        eventually(&format!("Prometheus answers {query}"), SOON, shows).await;
    }
    let rules = ask(&format!("{}/api/v1/rules", observed.prometheus)).await.unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");

    let name = "claviger_decision_duration_seconds_bucket";
    let exemplar = async || {
        let found = observed.prometheus("query_exemplars", name).await?;
        found.as_array()?.iter().find_map(|series| series["exemplars"][0]["labels"]["trace_id"].as_str().map(str::to_owned))
    };
    let trace = eventually("Prometheus has an exemplar", SOON, exemplar).await;
    assert!(observed.span_of(&trace).await.contains_key(names::DECISION));
    let said = observed.server.take().unwrap().stop();
    assert!(said.stderr.contains("Where its records are"), "{}", said.stderr);
    assert!(ask(&projects).await.is_none(), "nothing is left behind");
}
