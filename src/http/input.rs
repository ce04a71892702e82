//! Reading a request's content type and body.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::ApiError;

/// A body of `authorize`, in bytes.
pub(super) const DECISION_LIMIT: usize = 64 * 1024;
/// A body of a management call, in bytes.
pub(super) const MANAGEMENT_LIMIT: usize = 1024 * 1024;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Refuses a body that does not say it is JSON.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = |text: &str| {
        let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
        let parameters = parameters.trim();
        media.trim().eq_ignore_ascii_case("application/json")
            && (parameters.is_empty()
                || parameters.eq_ignore_ascii_case("charset=utf-8")
                || parameters.eq_ignore_ascii_case("charset=\"utf-8\""))
    };
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(text), None) if is_json(text) => Ok(()),
        _ => Err(ApiError::invalid("content-type", "send the body as `Content-Type: application/json`")),
    }
}

/// Reads the body, at most `limit` bytes of it.
///
/// # Errors
/// [`ApiError::RequestTooLarge`] at the first byte too many, [`ApiError::Timeout`] when it does not arrive,
/// [`ApiError::InvalidRequest`] when the connection breaks in the middle.
pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if usize::try_from(http_body::Body::size_hint(&body).lower()).is_ok_and(|length| length > limit) {
        return Err(ApiError::RequestTooLarge);
    }
    let read = tokio::time::timeout(ARRIVAL, Limited::new(body, limit).collect()).await;
    match read.map_err(|_| ApiError::Timeout)? {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(ApiError::RequestTooLarge),
        Err(_) => Err(ApiError::invalid("body", "the body did not arrive whole")),
    }
}
