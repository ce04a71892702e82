//! Every attribute, log field and metric by name; spans and log lines share the attributes. `docs/observability.md` lists them.

pub mod metrics;

/// A name, what its values are, and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    /// `text`, `texts`, `integer` or `boolean`.
    pub kind: &'static str,
    pub meaning: &'static str,
}

/// A constant for each name, and the list of them.
macro_rules! fields {
    ($(#[$doc:meta])* $list:ident: $($constant:ident = $name:literal $kind:ident $meaning:literal)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*
        $(#[$doc])*
        pub const $list: &[Field] = &[$(Field { name: $name, kind: stringify!($kind), meaning: $meaning }),*];
    };
}

/// What the name of each recorded attribute of the context begins with.
pub const CONTEXT: &str = "claviger.context.";

fields! {
    /// What spans and log lines of decisions have.
    OF_DECISIONS:
    DECISION = "claviger.decision" text "`allow` or `deny`."
    DECISION_ID = "claviger.decision.id" text "`dec_…`, as in the answer."
    DECISION_CODE = "claviger.decision.code" text "The error code that a denial carries."
    DECISION_REASON = "claviger.decision.reason" text "`permit`, `forbid`, `no_permit`, `policy_error`, `invalid_key`, or the code in lower case when nothing could be decided."
    POLICY_IDS = "claviger.policy.ids" texts "The determining policies."
    POLICY_SET = "claviger.policy.set" text "Digest of the policies in force."
    KEY_ID = "claviger.key.id" text "`key_…`"
    KEY_ENVIRONMENT = "claviger.key.environment" text "`live` or `test`."
    KEY_PERMISSIONS = "claviger.key.permissions" texts "What the key was granted when the decision was made."
    KEY_REFUSAL = "claviger.key.refusal" text "Why a credential was refused; callers are never told."
    SECRET_ID = "claviger.secret.id" text "`sec_…`: which of the key's secrets was presented."
    ORG_ID = "claviger.org.id" text "`org_…`: the key's organization."
    ORG_SUSPENDED = "claviger.org.suspended" boolean "Whether the key's organization was suspended."
    ACTION = "claviger.action" text "The action that was asked for, as the caller wrote it."
    RESOURCE_TYPE = "claviger.resource.type" text "The resource's type, as the caller wrote it; `Org` where none was named."
    RESOURCE_ID = "claviger.resource.id" text "The resource's id, as the caller wrote it; the key's organization where none was named."
    CONTEXT_WHOLE = "claviger.context_whole" boolean "Whether the recorded attributes of the context are all that the caller sent; where `record.context` names any."
    MASKED = "claviger.masked" texts "The fields of this record that `record.mask` changed or left out."
    REVISION = "claviger.revision" integer "The snapshot's revision: every change up to it was decided on."
    SNAPSHOT_AGE_MS = "claviger.snapshot.age_ms" integer "The snapshot's age in milliseconds, read after deciding."
    ENTRY_POINT = "claviger.entry_point" text "`api` or `batch`."
    REQUEST_ID = "claviger.request.id" text "The `X-Request-Id` of the answer."
    BATCH_INDEX = "claviger.batch.index" integer "Position of a request in its batch, from 0."
}

fields! {
    /// Stable semantic conventions of OpenTelemetry: what spans and log lines have of the call.
    OF_CALLS:
    HTTP_REQUEST_METHOD = "http.request.method" text "The method."
    HTTP_ROUTE = "http.route" text "The route as a template."
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code" integer "Status of the answer; of a batch, that of the whole."
    URL_PATH = "url.path" text "The path that was asked for."
    URL_SCHEME = "url.scheme" text "`http`: TLS ends before the server."
}

fields! {
    /// What spans have alone.
    OF_SPANS:
    BATCH_SIZE = "claviger.batch.size" integer "Number of requests, on the span of a batch."
    ERROR_TYPE = "error.type" text "The error code, on spans whose status is Error."
    ADMIN_ID = "claviger.admin.id" text "`adm_…`: who called the management API."
    CHANGES = "claviger.changes" integer "How many changes were applied."
}

fields! {
    /// What the resource of spans and metrics has.
    OF_RESOURCES:
    SERVICE_NAME = "service.name" text "`claviger`, or what `OTEL_SERVICE_NAME` says."
    SERVICE_VERSION = "service.version" text "The version of the program."
    SERVICE_INSTANCE_ID = "service.instance.id" text "A random UUID for each start of a server."
}

fields! {
    /// What log lines have alone.
    OF_LINES:
    TIMESTAMP = "timestamp" text "RFC 3339 in UTC, with milliseconds."
    LEVEL = "level" text "`INFO`; `ERROR` where a policy failed."
    EVENT = "event" text "`decision`"
    TRACE_ID = "trace_id" text "Of the span; of the caller where no span is made."
    SPAN_ID = "span_id" text "Of the span, where one is made."
    ELAPSED_US = "claviger.elapsed_us" integer "Microseconds from the start to the decision."
}
