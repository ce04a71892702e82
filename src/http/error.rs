//! Every error that a caller can get, its status, code and sentence. The only file that knows status codes.

use std::{borrow::Cow, fmt::Write as _};

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoResponses, ToSchema};

use super::explain::WhyView;
use crate::{
    domain::{decision::BadRequest, permission::Permission, redact::redact},
    store::StoreError,
};

/// Why a request was not answered as asked. 5xx tell nothing of their cause; that is logged, once, with the request's id.
#[derive(Debug, Clone)]
pub(super) enum ApiError {
    /// The shape of the request is wrong: 400. `param` is a field, a query parameter, a header, or `body`, `query` or `target`
    /// as a whole.
    InvalidRequest {
        param: String,
        message: String,
    },
    /// The shape is right and a value is not: 422.
    Unprocessable {
        param: &'static str,
        message: String,
    },
    UnknownPermission {
        unknown: Vec<String>,
        valid: Vec<Permission>,
    },
    /// The request does not fit the schema: 422.
    Unfit(BadRequest),
    RequestTooLarge,
    NotFound,
    MethodNotAllowed,
    /// `sent`: whether a bearer credential was there at all.
    InvalidApiKey {
        sent: bool,
    },
    InvalidAdminToken {
        sent: bool,
    },
    /// An admin may not do this.
    Forbidden,
    /// A decision that is no allow.
    Denied(Box<Denial>),
    Conflict(String),
    /// As many streams are open as there may be.
    TooManyStreams,
    NotReady,
    /// The server was told to stop.
    Stopping,
    StaleSnapshot,
    BehindRevision,
    StoreUnavailable,
    OutcomeUnknown,
    Timeout,
    Internal,
}

/// A denial: what the decision says, and the fields that an allow would have as well.
#[derive(Debug, Clone)]
pub(super) struct Denial {
    pub code: Box<str>,
    pub message: Box<str>,
    pub missing: Option<Permission>,
    /// Where callers may see it.
    pub why: Option<WhyView>,
    /// `decision`, `decision_id`, `action`, `key`, …
    pub fields: Map<String, Value>,
}

impl Denial {
    fn details(&self) -> Option<Value> {
        let mut details = Map::new();
        details.extend(self.missing.as_ref().map(|missing| ("missing_permission".into(), missing.as_str().into())));
        if let Some(why) = &self.why {
            details.insert("explanation".into(), json!(why.explanation));
            details.insert("nearest".into(), json!(why.nearest));
        }
        (!details.is_empty()).then(|| details.into())
    }
}

/// Status and code of the answer to a credential that opens nothing, whatever the reason.
#[must_use]
pub fn refused_key() -> (u16, &'static str) {
    let error = ApiError::InvalidApiKey { sent: true };
    (error.status_code(), error.fixed_code())
}

impl ApiError {
    /// A 400 with the name of what is wrong, redacted.
    pub(super) fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self::InvalidRequest { param: redact(param).into_owned(), message: message.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
            Self::InvalidApiKey { .. } | Self::InvalidAdminToken { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable { .. } | Self::UnknownPermission { .. } | Self::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady
            | Self::Stopping
            | Self::StaleSnapshot
            | Self::BehindRevision
            | Self::StoreUnavailable
            | Self::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The number of the status, for records.
    pub(super) fn status_code(&self) -> u16 {
        self.status().as_u16()
    }

    /// The stable code: for a denial, the one that its policy names.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Denied(denial) => &denial.code,
            _ => self.fixed_code(),
        }
    }

    /// The code as far as it does not come from a policy.
    pub(super) fn fixed_code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } | Self::Unprocessable { .. } => "INVALID_REQUEST",
            Self::UnknownPermission { .. } => "UNKNOWN_PERMISSION",
            Self::Unfit(bad) => unfit_code(bad),
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::InvalidApiKey { .. } => "INVALID_API_KEY",
            Self::InvalidAdminToken { .. } => "INVALID_ADMIN_TOKEN",
            Self::Forbidden | Self::Denied(_) => "FORBIDDEN",
            Self::Conflict(_) => "CONFLICT",
            Self::TooManyStreams => "TOO_MANY_STREAMS",
            Self::NotReady | Self::Stopping => "NOT_READY",
            Self::StaleSnapshot => "STALE_SNAPSHOT",
            Self::BehindRevision => "BEHIND_REVISION",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::Timeout => "REQUEST_TIMEOUT",
            Self::Internal => "INTERNAL",
        }
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::InvalidRequest { message, .. } | Self::Unprocessable { message, .. } | Self::Conflict(message) => {
                redact(message)
            }
            Self::UnknownPermission { unknown, .. } => {
                let names = unknown.iter().fold(String::new(), |mut names, name| {
                    let _ = write!(names, "{}`{}`", if names.is_empty() { "" } else { ", " }, redact(name));
                    names
                });
                format!("the schema has no permission or preset {names}").into()
            }
            Self::Unfit(bad) => redact(&bad.to_string()).into_owned().into(),
            Self::RequestTooLarge => "the body is larger than this call accepts".into(),
            Self::NotFound => "there is nothing here".into(),
            Self::MethodNotAllowed => "the path exists, but not with this method".into(),
            Self::InvalidApiKey { .. } => "the API key is missing or not valid".into(),
            Self::InvalidAdminToken { .. } => "the admin token is missing or not valid".into(),
            Self::Forbidden => "the admin's role does not allow this".into(),
            Self::Denied(denial) => (&*denial.message).into(),
            Self::TooManyStreams => "as many streams of decisions are open as this server feeds".into(),
            Self::NotReady => "the server has not read the database's present history yet".into(),
            Self::Stopping => "the server is stopping".into(),
            Self::StaleSnapshot => "the server has not reached its database for too long to decide".into(),
            Self::BehindRevision => "the server has not read the revision that `Claviger-Min-Revision` asks for".into(),
            Self::StoreUnavailable => "the database does not answer; nothing was changed".into(),
            Self::OutcomeUnknown => "it is not known whether the change was made; read before you repeat it".into(),
            Self::Timeout => "the request took too long to arrive".into(),
            Self::Internal => "the server failed; the log has the cause under this request id".into(),
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidRequest { param, .. } => Some(param),
            Self::Unprocessable { param, .. } => Some(param),
            Self::UnknownPermission { .. } => Some("permissions"),
            Self::Unfit(BadRequest::UnknownAction { .. }) => Some("action"),
            Self::Unfit(BadRequest::UnknownResourceType { .. }) => Some("resource.type"),
            Self::Unfit(BadRequest::InvalidContext(_)) => Some("context"),
            _ => None,
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::UnknownPermission { valid, .. } => Some(json!({ "valid": valid })),
            Self::Denied(denial) => denial.details(),
            _ => None,
        }
    }

    /// The error as an object of the answer.
    pub(super) fn object(&self, request_id: Option<&str>) -> Map<String, Value> {
        let mut error = Map::new();
        error.insert("code".into(), self.code().into());
        error.insert("message".into(), self.message().into());
        error.extend(request_id.map(|id| ("request_id".into(), id.into())));
        error.insert("docs_url".into(), format!("/docs/errors#{}", self.code()).into());
        error.extend(self.param().map(|param| ("param".into(), param.into())));
        error.extend(self.details().map(|details| ("details".into(), details)));
        error
    }

    /// The whole answer, in our own form or as RFC 9457 "problem details".
    pub(super) fn render(&self, request_id: &str, as_problem: bool) -> Response {
        let mut body = match self {
            Self::Denied(denial) => denial.fields.clone(),
            _ => Map::new(),
        };
        let mut error = self.object(Some(request_id));
        if as_problem {
            body.insert("type".into(), error.remove("docs_url").unwrap_or_default());
            body.insert("title".into(), title(self.code()).into());
            body.insert("status".into(), self.status_code().into());
            body.insert("detail".into(), error.remove("message").unwrap_or_default());
            body.extend(error);
        } else {
            body.insert("error".into(), error.into());
        }
        let media = if as_problem { "application/problem+json" } else { "application/json" };
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        match self {
            Self::InvalidApiKey { sent } | Self::InvalidAdminToken { sent } => {
                let challenge =
                    if *sent { "Bearer realm=\"claviger\", error=\"invalid_token\"" } else { "Bearer realm=\"claviger\"" };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// The answer to a write that made something.
pub(super) fn created(body: &impl Serialize) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorObject {
    /// Stable; `/docs/errors` explains each.
    #[schema(example = "INVALID_REQUEST")]
    code: String,
    message: String,
    request_id: String,
    #[schema(example = "/docs/errors#INVALID_REQUEST")]
    docs_url: String,
    /// What of the request is wrong.
    param: Option<String>,
    details: Option<Value>,
}

/// The errors that every call shares, for the OpenAPI document.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers, is never one")]
pub(super) enum Errors {
    /// The shape of the request is wrong.
    #[response(status = 400)]
    InvalidRequest(#[to_schema] ErrorBody),
    /// The credential is missing or not valid.
    #[response(status = 401)]
    Unauthenticated(#[to_schema] ErrorBody),
    /// It may not do this.
    #[response(status = 403)]
    Denied(#[to_schema] ErrorBody),
    /// There is nothing here.
    #[response(status = 404)]
    NotFound(#[to_schema] ErrorBody),
    /// The state of things stands against it.
    #[response(status = 409)]
    Conflict(#[to_schema] ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(#[to_schema] ErrorBody),
    /// A value is not one that is accepted.
    #[response(status = 422)]
    Unprocessable(#[to_schema] ErrorBody),
    /// Ask again; nothing was allowed.
    #[response(status = 503)]
    Unavailable(#[to_schema] ErrorBody),
}

/// The code of a request that does not fit the schema.
pub(super) const fn unfit_code(bad: &BadRequest) -> &'static str {
    match bad {
        BadRequest::UnknownAction { .. } => "UNKNOWN_ACTION",
        BadRequest::UnknownResourceType { .. } => "UNKNOWN_RESOURCE_TYPE",
        BadRequest::InvalidContext(_) => "INVALID_CONTEXT",
    }
}

/// `INVALID_API_KEY` → `Invalid api key`
fn title(code: &str) -> String {
    let words = code.replace('_', " ").to_lowercase();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The error travels beside an empty body; the envelope, which knows the request's id and `Accept`, writes it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<BadRequest> for ApiError {
    fn from(bad: BadRequest) -> Self {
        Self::Unfit(bad)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Conflict(message) => Self::Conflict(message),
            StoreError::ActorGone => Self::InvalidAdminToken { sent: true },
            StoreError::OutcomeUnknown => Self::OutcomeUnknown,
            StoreError::AnotherRequest => Self::Unprocessable { param: "idempotency-key", message: error.to_string() },
            StoreError::Unavailable(_) | StoreError::Silent | StoreError::Open(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a management call found the database unavailable");
                Self::StoreUnavailable
            }
            StoreError::Corrupt { .. } | StoreError::Schema(_) | StoreError::Config(_) | StoreError::AnsweredBefore { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "a management call failed");
                Self::Internal
            }
        }
    }
}
