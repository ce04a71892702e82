//! What every request and every answer has, whatever its route: an id, exact paths, the standard headers, errors in one form.

use std::{net::IpAddr, sync::Arc};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::Response,
};

use super::{api::Route, error::ApiError, state::AppState};
use crate::domain::{id::RequestId, redact::holds_secret};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REVISION: HeaderName = HeaderName::from_static("claviger-revision");

/// Headers that an answer has from here and from the connection.
pub(super) const HEADERS: usize = 7;

/// The revision that an answer was made from, where it was not the current one of the moment it leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsweredAt(pub i64);

/// What is known of a request before its route is.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub id: Arc<str>,
    pub address: Option<IpAddr>,
    as_problem: bool,
}

/// An answer, and what it was made from.
pub(super) struct Answered {
    pub revision: Option<AnsweredAt>,
    pub answer: Result<Response, ApiError>,
    /// The methods that a path does have.
    pub allow: Option<HeaderValue>,
    pub route: Option<Route>,
}

impl From<ApiError> for Answered {
    fn from(error: ApiError) -> Self {
        Self { revision: None, answer: Err(error), allow: None, route: None }
    }
}

impl From<Response> for Answered {
    /// Takes back out what a handler or the router could only leave in the response.
    fn from(mut response: Response) -> Self {
        let (revision, route) = (response.extensions_mut().remove(), response.extensions_mut().remove());
        let Some(error) = response.extensions_mut().remove::<ApiError>() else {
            return Self { revision, answer: Ok(response), allow: None, route };
        };
        Self { revision, answer: Err(error), allow: response.headers_mut().remove(header::ALLOW), route }
    }
}

impl Envelope {
    pub(super) fn open(app: &AppState, headers: &HeaderMap, address: Option<IpAddr>) -> Self {
        Self { id: request_id(app, headers), address, as_problem: wants_problem(headers) }
    }

    /// Writes an error's body, and the headers that every answer has.
    pub(super) fn seal(&self, app: &AppState, answered: Answered) -> Response {
        let Answered { revision, answer, allow, route: _ } = answered;
        let revision = revision.map_or_else(|| app.keeper.current().revision(), |AnsweredAt(revision)| revision);
        let mut response = answer.unwrap_or_else(|error| error.render(&self.id, self.as_problem));
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        headers.extend(allow.map(|methods| (header::ALLOW, methods)));
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(REVISION, HeaderValue::from(revision));
        if app.stopping.is_told() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// The caller's id when it is 1 to 128 visible ASCII characters and no secret, else one of ours.
fn request_id(app: &AppState, headers: &HeaderMap) -> Arc<str> {
    let fits = |text: &&str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) && !holds_secret(text);
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fits);
    given.map_or_else(|| (*RequestId::new(app.now(), &app.random).text()).into(), Into::into)
}

/// Whether the caller prefers RFC 9457.
fn wants_problem(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_problem = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/problem+json"));
        // `q=0` says "anything but this".
        is_problem && parts.filter_map(|part| part.strip_prefix("q=")).all(|weight| weight.parse() != Ok(0.0))
    })
}

/// Paths are taken as they stand: what another server might normalise is no path of ours.
pub(super) fn check_uri(uri: &Uri) -> Result<(), ApiError> {
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(ApiError::invalid("target", "the request target must be a path, not a whole URL"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-.".contains(&b);
    let normal = !uri.path().contains("//") && uri.path().split('/').all(|part| part != "." && part != "..");
    if normal && uri.path().bytes().all(plain) { Ok(()) } else { Err(ApiError::NotFound) }
}
