//! What `deploy/` holds is what Prometheus, Grafana and a trace store take.

mod observe;

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use claviger::telemetry::names::metrics::{ALL, Kind, Metric};
use serde_json::Value;

use crate::support::program::shipped_directory;

fn file(name: &str) -> String {
    fs::read_to_string(shipped_directory("deploy/observability").join(name)).unwrap()
}

fn assert_content(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).current_dir(shipped_directory("deploy/observability")).stdin(Stdio::null());
    let said = promtool.output().expect("promtool is there: it comes with the Debian package prometheus");
    assert!(said.status.success(), "{arguments:?}: {}{}", text(&said.stdout), text(&said.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What Grafana asks Prometheus for, of every replica.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let asked = targets.map(|target| target["expr"].as_str().unwrap());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter().map(|note| note["expr"].as_str().unwrap());
    asked.chain(annotations).map(|query| query.replace("$instance", ".*").replace("$__rate_interval", "1m")).collect()
}

/// The names of ours in a query.
fn names_in(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("claviger_") || word.starts_with("http_server_request"))
}

/// The names that a metric has in Prometheus text.
fn series(metric: &Metric) -> Vec<String> {
    let name = metric.prometheus_name();
    if metric.kind == Kind::Histogram { ["_bucket", "_count"].map(|part| format!("{name}{part}")).into() } else { vec![name] }
}

#[test]
fn promtool_is_content_with_the_rules_and_each_alert_fires_when_it_should() {
    assert_content(&["check", "config", "prometheus.yml"]);
    assert_content(&["check", "rules", "alerts.yml"]);
    assert_content(&["test", "rules", "alerts.test.yml"]);
    let (rules, tests) = (file("alerts.yml"), file("alerts.test.yml"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}")), "no test lets {alert} fire");
    }
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are_and_no_metric_is_on_no_panel() {
    let known: BTreeSet<String> = ALL.iter().flat_map(series).collect();
    let (rules, queries) = (file("alerts.yml"), dashboard_queries().join("\n"));
    for name in names_in(&rules).chain(names_in(&queries)) {
        assert!(known.contains(name), "no metric is called {name}");
    }
    for metric in ALL {
        let name = metric.prometheus_name();
        assert!(names_in(&queries).any(|asked| asked.starts_with(&name)), "no panel shows {name}");
    }
}
