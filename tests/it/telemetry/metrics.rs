//! Metrics: each moves when it should.
#![expect(clippy::float_cmp, reason = "counts are whole numbers, and what else is compared went through no arithmetic")]

mod labels;

use std::{collections::BTreeSet, time::Duration};

use claviger::{
    domain::{replica::Readings, secret::Plane},
    telemetry::{LogConfig, MetricsConfig, Telemetry, TextForm, TraceConfig, names::metrics as names},
};
use serde_json::json;

use super::{allowed, batch, forbidden, one, open, open_measured, readable, to, without_decision_lines};
use crate::support::{
    app::{Setup, TestApp},
    scrape::Scrape,
};

/// A server whose metrics can be read.
struct Measured {
    app: TestApp,
    telemetry: Telemetry,
}

impl Measured {
    async fn new() -> Self {
        let (telemetry, _) = open_measured(&LogConfig::default(), &TraceConfig::default(), &readable()).unwrap();
        let app = TestApp::with(Setup { recorder: telemetry.recorder(), ..Setup::default() }).await;
        let keeper = app.keeper().clone();
        telemetry.watch(move || Some(keeper.readings()));
        Self { app, telemetry }
    }

    fn text(&self, form: TextForm) -> String {
        self.telemetry.page().unwrap().text(form)
    }

    fn read(&self) -> Scrape {
        Scrape::classic(&self.text(TextForm::Classic))
    }
}

#[tokio::test]
async fn every_decision_is_counted_by_what_it_was_and_timed() {
    let measured = Measured::new().await;
    let app = &measured.app;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let ask = async |action: &str| app.key(&made).post("/v1/authorize", json!({ "action": action })).await.status;
    assert_eq!((ask("jobs:read").await, ask("scan:create").await, ask("jobs:raed").await), (200, 403, 422));
    let requests = json!({ "requests": [{ "action": "jobs:read" }, { "action": "scan:create" }, { "action": 7 }] });
    assert_eq!(app.key(&made).post("/v1/authorize/batch", requests).await.status, 200);
    app.owner().post(&format!("/v1/orgs/{}/suspend", org.id), json!({ "reason": "unpaid" })).await;
    assert_eq!(ask("jobs:read").await, 403);

    let read = measured.read();
    for (decision, code, action, entry_point) in [
        ("allow", "none", "jobs:read", "api"),
        ("deny", "PERMISSION_DENIED", "scan:create", "api"),
        ("deny", "UNKNOWN_ACTION", "other", "api"),
        ("deny", "ORGANIZATION_SUSPENDED", "jobs:read", "api"),
        ("allow", "none", "jobs:read", "batch"),
        ("deny", "PERMISSION_DENIED", "scan:create", "batch"),
        ("deny", "INVALID_REQUEST", "other", "batch"),
    ] {
        let labels = [("decision", decision), ("code", code), ("action", action), ("entry_point", entry_point)];
        assert_eq!(read.value("claviger_decisions_total", &labels), 1.0, "{labels:?}");
    }
    assert_eq!(read.value("claviger_decisions_total", &[]), 7.0);
    for (decision, entry_point, count) in
        [("allow", "api", 1.0), ("deny", "api", 3.0), ("allow", "batch", 1.0), ("deny", "batch", 2.0)]
    {
        let labels = [("decision", decision), ("entry_point", entry_point)];
        assert_eq!(read.value("claviger_decision_duration_seconds_count", &labels), count, "{labels:?}");
    }
    for (route, status, count) in [
        ("/v1/authorize", "200", 1.0),
        ("/v1/authorize", "403", 2.0),
        ("/v1/authorize", "422", 1.0),
        ("/v1/authorize/batch", "200", 1.0),
        ("/v1/orgs/{org}/suspend", "200", 1.0),
    ] {
        let labels = [("http_request_method", "POST"), ("http_route", route), ("http_response_status_code", status)];
        assert_eq!(read.value("http_server_request_duration_seconds_count", &labels), count, "{labels:?}");
    }
}

#[tokio::test]
async fn a_refused_key_is_counted_by_the_reason_that_its_caller_is_not_told() {
    let measured = Measured::new().await;
    let app = &measured.app;
    let (org, revoked) = app.org_with_key("acme", &["jobs:read"]).await;
    let disabled = app.new_key(org.id, &["jobs:read"]).await;
    app.owner().post(&format!("/v1/keys/{}/revoke", revoked.id()), json!({ "reason": "leaked" })).await;
    app.owner().post(&format!("/v1/keys/{}/disable", disabled.id()), json!(null)).await;
    let unknown = app.mint(Plane::Live).expose().to_owned();
    for caller in [app.anonymous(), app.bearer("no-key"), app.bearer(&unknown), app.key(&revoked), app.key(&disabled)] {
        assert_eq!(caller.post("/v1/authorize", json!({ "action": "jobs:read" })).await.status, 401);
        assert_eq!(caller.post("/v1/authorize/batch", json!({ "requests": [] })).await.status, 401);
        assert_eq!(caller.get("/v1/whoami").await.status, 401);
    }
    let read = measured.read();
    for (reason, count) in [
        ("missing", 3.0),
        ("malformed", 3.0),
        ("unknown", 3.0),
        ("key_revoked", 3.0),
        ("key_disabled", 3.0),
        ("key_expired", 0.0),
        ("secret_expired", 0.0),
        ("org_deleted", 0.0),
    ] {
        let found = read.find("claviger_keys_rejected_total", &[("reason", reason)]);
        assert_eq!((found.len(), found[0].value), (1, count), "{reason}");
    }
}

#[tokio::test]
async fn a_write_is_counted_once_and_what_changes_nothing_is_not() {
    let measured = Measured::new().await;
    let app = &measured.app;
    let before = measured.read();
    let org = app.org("acme").await;
    app.new_key(org.id, &["jobs:read"]).await;
    for _ in 0..3 {
        let reason = json!({ "reason": "unpaid" });
        assert_eq!(app.owner().post(&format!("/v1/orgs/{}/suspend", org.id), reason).await.status, 200);
    }
    let read = measured.read();
    for (name, more) in [
        ("claviger_audit_writes_total", 3.0),
        ("claviger_snapshot_revision", 3.0),
        ("claviger_snapshot_keys", 1.0),
        ("claviger_snapshot_orgs", 1.0),
        ("claviger_replication_lag", 0.0),
    ] {
        assert_eq!(read.value(name, &[]) - before.value(name, &[]), more, "{name}");
    }
    assert_eq!(read.value("claviger_snapshot_age_seconds", &[]), 0.0, "the clock of the test stands still");
    assert_eq!(read.value("claviger_policy_last_success_seconds", &[]), 1_795_494_626.0);
}

#[tokio::test]
async fn a_server_that_may_not_decide_has_no_age_and_still_tells_the_rest() {
    let measured = Measured::new().await;
    measured.app.become_unready().await;
    let read = measured.read();
    let count = |name| read.find(name, &[]).len();
    assert_eq!((count("claviger_snapshot_age_seconds"), count("claviger_snapshot_revision")), (0, 1));
}

#[tokio::test]
async fn every_metric_has_its_name_its_help_and_its_labels() {
    let measured = Measured::new().await;
    measured.telemetry.recorder().record(one(forbidden()));
    measured.app.anonymous().get("/livez").await;
    let (classic, open) = (measured.text(TextForm::Classic), measured.text(TextForm::OpenMetrics));
    for (text, read) in [(&classic, Scrape::classic(&classic)), (&open, Scrape::open_metrics(&open))] {
        for metric in &names::ALL {
            let name = metric.prometheus_name();
            let suffix = if metric.kind == names::Kind::Histogram { "_count" } else { "" };
            let sample = format!("{name}{suffix}");
            let wanted: BTreeSet<_> = metric.labels.iter().map(|label| names::prometheus_label(label)).collect();
            let found: Vec<BTreeSet<_>> =
                read.find(&sample, &[]).iter().map(|found| found.labels.keys().cloned().collect()).collect();
            assert!(!found.is_empty() && found.iter().all(|labels| *labels == wanted), "{sample}: {found:?}");
            assert!(text.contains(metric.help), "{name}");
        }
        assert_eq!(read.find("target_info", &[("service_name", "claviger")]).len(), 1);
    }
}

#[tokio::test]
async fn spans_that_are_lost_and_spans_that_are_left_out_are_two_things() {
    let trace = TraceConfig { queue: 512, allow_ratio: 0.0, ..to("http://127.0.0.1:9") };
    let (telemetry, _) = open_measured(&without_decision_lines(), &trace, &readable()).unwrap();
    let (recorder, page) = (telemetry.recorder(), telemetry.page().unwrap());
    recorder.record(one(allowed()));
    recorder.record(one(forbidden()));
    recorder.record(batch((0..600).map(|_| forbidden())));
    telemetry.shutdown().await;
    recorder.record(one(forbidden()));
    let read = Scrape::classic(&page.text(TextForm::Classic));
    let unsampled = |cause| read.value("claviger_spans_unsampled_total", &[("cause", cause)]);
    assert_eq!((unsampled("ratio"), unsampled("limit")), (1.0, 0.0));
    let dropped = |cause| read.value("claviger_spans_dropped_total", &[("cause", cause)]);
    // The one that had room was given up at the end, or refused before that.
    assert_eq!((dropped("queue_full") + dropped("collector"), dropped("late")), (602.0, 1.0));
    assert_eq!(read.value("claviger_spans_exported_total", &[]), 0.0);
}

#[tokio::test]
async fn without_anybody_to_read_or_take_them_there_are_no_metrics() {
    let log = LogConfig { recent: 0, ..without_decision_lines() };
    let (telemetry, _) = open(&log, &TraceConfig::default()).unwrap();
    assert!(telemetry.page().is_none() && telemetry.recorder().time("GET").is_none());
    telemetry.watch(|| None::<Readings>);
    let (telemetry, _) = open_measured(&log, &TraceConfig::default(), &readable()).unwrap();
    assert!(telemetry.recorder().wants_records() && telemetry.recorder().time("GET").is_some());
}

#[tokio::test]
async fn a_collector_of_metrics_that_is_away_holds_up_no_end() {
    let endpoint = Some("http://127.0.0.1:9".to_owned());
    let metrics = MetricsConfig { endpoint, interval: Some("1s".to_owned()), ..readable() };
    let (telemetry, _) = open_measured(&without_decision_lines(), &TraceConfig::default(), &metrics).unwrap();
    (0..1_000).for_each(|_| telemetry.recorder().record(one(allowed())));
    tokio::time::timeout(Duration::from_secs(8), telemetry.shutdown()).await.unwrap();
}
