//! Every metric by name, unit, meaning and labels: what is recorded, what `GET /metrics` shows, and what dashboards may ask for.

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the process on.
    Counter,
    /// A value of the moment.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric, as OpenTelemetry names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Of UCUM: `s`, or what is counted in braces.
    pub unit: &'static str,
    pub help: &'static str,
    /// Every label that it has; none holds an id, a path or a text of a caller.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// The name in Prometheus text, without the `_bucket`, `_count` and `_sum` of a histogram.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let unit = if self.unit == "s" { "_seconds" } else { "" };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", prometheus_label(self.name))
    }
}

/// A label's name in Prometheus text.
#[must_use]
pub fn prometheus_label(name: &str) -> String {
    name.replace('.', "_")
}

/// `allow` or `deny`.
pub const DECISION: &str = "decision";
/// The error code that a denial carries; [`NO_CODE`] for an allow.
pub const CODE: &str = "code";
/// The action, where the schema in force has it; else [`OTHER`].
pub const ACTION: &str = "action";
/// `api` or `batch`.
pub const ENTRY_POINT: &str = "entry_point";
/// [`SUCCESS`] or [`FAILURE`].
pub const OUTCOME: &str = "outcome";
/// `missing`, `malformed`, `unknown`, `key_revoked`, …: callers are never told.
pub const REASON: &str = "reason";
/// Of a lost span [`QUEUE_FULL`], [`COLLECTOR`] or [`LATE`]; of an unsampled one [`RATIO`] or [`LIMIT`].
pub const CAUSE: &str = "cause";
/// A method of HTTP in capitals, or [`OTHER_METHOD`].
pub const METHOD: &str = super::HTTP_REQUEST_METHOD;
/// The route as a template, such as `/v1/orgs/{org}`, or [`OTHER`] for a path that is none.
pub const ROUTE: &str = super::HTTP_ROUTE;
pub const STATUS: &str = super::HTTP_RESPONSE_STATUS_CODE;

/// Stands for whatever callers may think up.
pub const OTHER: &str = "other";
/// The same for methods, as the semantic conventions have it.
pub const OTHER_METHOD: &str = "_OTHER";
pub const NO_CODE: &str = "none";
pub const SUCCESS: &str = "success";
pub const FAILURE: &str = "failure";
/// More spans came than `trace.queue` holds, or still waited when the time to flush was over.
pub const QUEUE_FULL: &str = "queue_full";
/// The collector did not take them.
pub const COLLECTOR: &str = "collector";
/// They came after telemetry had ended.
pub const LATE: &str = "late";
/// `trace.allow_ratio` leaves them out.
pub const RATIO: &str = "ratio";
/// Refused credentials beyond a hundred a second.
pub const LIMIT: &str = "limit";

/// `claviger_decisions_total`
pub const DECISIONS: Metric = Metric {
    name: "claviger.decisions",
    kind: Kind::Counter,
    unit: "{decision}",
    help: "Decisions of authorize and its batch.",
    labels: &[DECISION, CODE, ACTION, ENTRY_POINT],
};
/// `claviger_decision_duration_seconds`
pub const DECISION_DURATION: Metric = Metric {
    name: "claviger.decision.duration",
    kind: Kind::Histogram,
    unit: "s",
    help: "Time from the arrival of a request to its decision; in a batch, time of each decision.",
    labels: &[DECISION, ENTRY_POINT],
};
/// `http_server_request_duration_seconds`
pub const REQUEST_DURATION: Metric = Metric {
    name: "http.server.request.duration",
    kind: Kind::Histogram,
    unit: "s",
    help: "Time from the arrival of a request's head to its answer.",
    labels: &[METHOD, ROUTE, STATUS],
};
/// `claviger_keys_rejected_total`
pub const KEYS_REJECTED: Metric = Metric {
    name: "claviger.keys.rejected",
    kind: Kind::Counter,
    unit: "{credential}",
    help: "API keys that were refused, by the reason that callers are not told.",
    labels: &[REASON],
};
/// `claviger_policy_reloads_total`
pub const POLICY_RELOADS: Metric = Metric {
    name: "claviger.policy.reloads",
    kind: Kind::Counter,
    unit: "{reload}",
    help: "Changes of the policy files that were put in force, or refused.",
    labels: &[OUTCOME],
};
/// `claviger_policy_last_success_seconds`
pub const POLICY_LAST_SUCCESS: Metric = Metric {
    name: "claviger.policy.last_success",
    kind: Kind::Gauge,
    unit: "s",
    help: "Unix time at which the policies in force were loaded.",
    labels: &[],
};
/// `claviger_policy_refused`
pub const POLICY_REFUSED: Metric = Metric {
    name: "claviger.policy.refused",
    kind: Kind::Gauge,
    unit: "{set}",
    help: "1 while the policy files are refused and the set before them stays in force, else 0.",
    labels: &[],
};
/// `claviger_snapshot_age_seconds`
pub const SNAPSHOT_AGE: Metric = Metric {
    name: "claviger.snapshot.age",
    kind: Kind::Gauge,
    unit: "s",
    help: "How old the data may be that is decided on; absent while nothing may be decided.",
    labels: &[],
};
/// `claviger_snapshot_revision`
pub const SNAPSHOT_REVISION: Metric = Metric {
    name: "claviger.snapshot.revision",
    kind: Kind::Gauge,
    unit: "{revision}",
    help: "Every change up to this revision is decided on.",
    labels: &[],
};
/// `claviger_snapshot_keys`
pub const SNAPSHOT_KEYS: Metric = Metric {
    name: "claviger.snapshot.keys",
    kind: Kind::Gauge,
    unit: "{key}",
    help: "Keys in memory, revoked ones included.",
    labels: &[],
};
/// `claviger_snapshot_orgs`
pub const SNAPSHOT_ORGS: Metric = Metric {
    name: "claviger.snapshot.orgs",
    kind: Kind::Gauge,
    unit: "{org}",
    help: "Organizations in memory, deleted ones included.",
    labels: &[],
};
/// `claviger_replication_lag`
pub const REPLICATION_LAG: Metric = Metric {
    name: "claviger.replication.lag",
    kind: Kind::Gauge,
    unit: "{revision}",
    help: "Revisions that the database had at its last answer and that are not decided on yet; how long ago that was, the age of the snapshot says.",
    labels: &[],
};
/// `claviger_audit_writes_total`
pub const AUDIT_WRITES: Metric = Metric {
    name: "claviger.audit.writes",
    kind: Kind::Counter,
    unit: "{write}",
    help: "Audit rows that this process committed, each with the change that it tells of.",
    labels: &[],
};
/// `claviger_spans_exported_total`
pub const SPANS_EXPORTED: Metric = Metric {
    name: "claviger.spans.exported",
    kind: Kind::Counter,
    unit: "{span}",
    help: "Spans that the collector took.",
    labels: &[],
};
/// `claviger_spans_dropped_total`
pub const SPANS_DROPPED: Metric = Metric {
    name: "claviger.spans.dropped",
    kind: Kind::Counter,
    unit: "{span}",
    help: "Spans that were lost.",
    labels: &[CAUSE],
};
/// `claviger_spans_unsampled_total`
pub const SPANS_UNSAMPLED: Metric = Metric {
    name: "claviger.spans.unsampled",
    kind: Kind::Counter,
    unit: "{span}",
    help: "Spans that were left out on purpose.",
    labels: &[CAUSE],
};
/// `claviger_log_lines_dropped_total`
pub const LOG_LINES_DROPPED: Metric = Metric {
    name: "claviger.log.lines.dropped",
    kind: Kind::Counter,
    unit: "{line}",
    help: "Lines of the decision log that were not written.",
    labels: &[],
};

/// Every metric. `GET /metrics` has `target_info` besides: the version, and what `OTEL_RESOURCE_ATTRIBUTES` says.
pub const ALL: [Metric; 17] = [
    DECISIONS,
    DECISION_DURATION,
    REQUEST_DURATION,
    KEYS_REJECTED,
    POLICY_RELOADS,
    POLICY_LAST_SUCCESS,
    POLICY_REFUSED,
    SNAPSHOT_AGE,
    SNAPSHOT_REVISION,
    SNAPSHOT_KEYS,
    SNAPSHOT_ORGS,
    REPLICATION_LAG,
    AUDIT_WRITES,
    SPANS_EXPORTED,
    SPANS_DROPPED,
    SPANS_UNSAMPLED,
    LOG_LINES_DROPPED,
];

/// Upper bounds of the buckets of [`DECISION_DURATION`], in seconds: 10 µs to 100 ms.
pub const DECISION_BUCKETS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1];

/// The same of [`REQUEST_DURATION`], as the semantic conventions have them.
pub const REQUEST_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_names_follow_the_specification_of_opentelemetry() {
        let names: Vec<_> = ALL.iter().map(Metric::prometheus_name).collect();
        assert_eq!(
            names,
            [
                "claviger_decisions_total",
                "claviger_decision_duration_seconds",
                "http_server_request_duration_seconds",
                "claviger_keys_rejected_total",
                "claviger_policy_reloads_total",
                "claviger_policy_last_success_seconds",
                "claviger_policy_refused",
                "claviger_snapshot_age_seconds",
                "claviger_snapshot_revision",
                "claviger_snapshot_keys",
                "claviger_snapshot_orgs",
                "claviger_replication_lag",
                "claviger_audit_writes_total",
                "claviger_spans_exported_total",
                "claviger_spans_dropped_total",
                "claviger_spans_unsampled_total",
                "claviger_log_lines_dropped_total",
            ]
        );
    }
}
