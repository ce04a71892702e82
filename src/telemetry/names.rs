//! Every attribute and log field by name; spans and log lines share them.

/// `allow` or `deny`.
pub const DECISION: &str = "claviger.decision";
/// `dec_…`
pub const DECISION_ID: &str = "claviger.decision.id";
/// The error code that a denial carries.
pub const DECISION_CODE: &str = "claviger.decision.code";
/// `permit`, `forbid`, `no_permit`, `policy_error`, `invalid_key`, or the code in lower case when nothing could be decided.
pub const DECISION_REASON: &str = "claviger.decision.reason";
/// The determining policies.
pub const POLICY_IDS: &str = "claviger.policy.ids";
/// Digest of the policies in force.
pub const POLICY_SET: &str = "claviger.policy.set";
/// `key_…`
pub const KEY_ID: &str = "claviger.key.id";
/// `live` or `test`.
pub const KEY_ENVIRONMENT: &str = "claviger.key.environment";
/// What the key was granted when the decision was made.
pub const KEY_PERMISSIONS: &str = "claviger.key.permissions";
/// Why a credential was refused; callers are never told.
pub const KEY_REFUSAL: &str = "claviger.key.refusal";
/// `sec_…`: which of the key's secrets was presented.
pub const SECRET_ID: &str = "claviger.secret.id";
/// `org_…`: the key's org.
pub const ORG_ID: &str = "claviger.org.id";
/// Whether the key's org was suspended.
pub const ORG_SUSPENDED: &str = "claviger.org.suspended";
/// The action that was asked for, as the caller wrote it.
pub const ACTION: &str = "claviger.action";
/// The resource's type, as the caller wrote it.
pub const RESOURCE_TYPE: &str = "claviger.resource.type";
/// The resource's id, as the caller wrote it.
pub const RESOURCE_ID: &str = "claviger.resource.id";
/// What the name of each recorded attribute of the context begins with.
pub const CONTEXT: &str = "claviger.context.";
/// Whether those are the whole context as the caller sent it; there where `record.context` names any.
pub const CONTEXT_WHOLE: &str = "claviger.context_whole";
/// The fields of this record that `record.mask` changed or left out.
pub const MASKED: &str = "claviger.masked";
/// The snapshot's revision.
pub const REVISION: &str = "claviger.revision";
/// The snapshot's age in milliseconds, read after deciding.
pub const SNAPSHOT_AGE_MS: &str = "claviger.snapshot.age_ms";
/// `api` or `batch`.
pub const ENTRY_POINT: &str = "claviger.entry_point";
/// The `X-Request-Id` of the answer.
pub const REQUEST_ID: &str = "claviger.request.id";
/// Number of requests in a batch.
pub const BATCH_SIZE: &str = "claviger.batch.size";
/// Position of a request in its batch, from 0.
pub const BATCH_INDEX: &str = "claviger.batch.index";
/// Microseconds from the start to the decision; in log lines, because a span has an end.
pub const ELAPSED_US: &str = "claviger.elapsed_us";

// Stable semantic conventions of OpenTelemetry.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub const HTTP_ROUTE: &str = "http.route";
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub const URL_PATH: &str = "url.path";
pub const URL_SCHEME: &str = "url.scheme";
pub const SERVER_ADDRESS: &str = "server.address";
pub const ERROR_TYPE: &str = "error.type";
pub const SERVICE_NAME: &str = "service.name";
pub const SERVICE_VERSION: &str = "service.version";
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";

// Fields of log lines alone.
pub const TIMESTAMP: &str = "timestamp";
pub const LEVEL: &str = "level";
pub const EVENT: &str = "event";
pub const TRACE_ID: &str = "trace_id";
pub const SPAN_ID: &str = "span_id";
