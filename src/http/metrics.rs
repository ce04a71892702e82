//! `GET /metrics`, on a listener of its own: who may ask the API need not see the metrics, and a busy API does not keep them.

use std::net::IpAddr;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};

use super::{
    envelope::{Answered, Envelope},
    error::ApiError,
    serve::Answers,
    state::AppState,
};
use crate::telemetry::{MetricsPage, TextForm};

/// What stands behind the listener for metrics.
#[derive(Debug, Clone)]
pub struct MetricsDoor {
    app: AppState,
    page: MetricsPage,
}

impl MetricsDoor {
    #[must_use]
    pub const fn new(app: AppState, page: MetricsPage) -> Self {
        Self { app, page }
    }
}

impl Answers for MetricsDoor {
    async fn answer(self, request: Request, address: Option<IpAddr>) -> Response {
        let envelope = Envelope::open(&self.app, request.headers(), address);
        let answered = match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET) => page(&self.page, request.headers()).into(),
            ("/metrics", _) => {
                let allow = Some(HeaderValue::from_static("GET"));
                Answered { allow, ..Answered::from(ApiError::MethodNotAllowed) }
            }
            _ => ApiError::NotFound.into(),
        };
        envelope.seal(&self.app, answered)
    }
}

fn page(page: &MetricsPage, headers: &HeaderMap) -> Response {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let form = TextForm::preferred(&ranges.collect::<Vec<_>>().join(","));
    let mut response = Response::new(Body::from(page.text(form)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    response
}
