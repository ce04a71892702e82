//! The API as one service: every route, inside the envelope, with a net for panics.
//!
//! It is a plain function and no stack of layers: layers box a future each and carry what they know in type maps, which cost
//! a decision about as much as Cedar does.

use std::{net::IpAddr, panic::AssertUnwindSafe};

use axum::{
    Router,
    extract::Request,
    http::{Method, header},
    response::Response,
};
use futures_util::FutureExt;
use tower::Service;

use super::{
    authorize,
    envelope::{Answered, Envelope, check_uri},
    error::ApiError,
    state::AppState,
};

/// Every route of a server.
#[derive(Debug, Clone)]
pub struct Api {
    app: AppState,
    routes: Router,
}

impl Api {
    /// The routes of a running server.
    #[must_use]
    pub fn new(app: &AppState) -> Self {
        Self::with_routes(app, super::routes(app))
    }

    pub(super) fn with_routes(app: &AppState, routes: Router) -> Self {
        let routes =
            routes.fallback(async || ApiError::NotFound).method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
        Self { app: app.clone(), routes }
    }

    /// Answers a request from an address. There is an answer to everything: a panic is a 500, which allows nothing.
    pub async fn answer(&self, request: Request, address: Option<IpAddr>) -> Response {
        let envelope = Envelope::open(&self.app, request.headers(), address);
        let answered = AssertUnwindSafe(self.route(request, &envelope)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a handler panicked; the answer is 500, which allows nothing");
            ApiError::Internal.into()
        });
        envelope.seal(&self.app, answered)
    }

    /// A target is looked at before it is routed. A decision takes the short way, past the router.
    async fn route(&self, mut request: Request, envelope: &Envelope) -> Answered {
        if let Err(error) = check_uri(request.uri()) {
            return error.into();
        }
        if request.uri().path() == authorize::PATH && request.method() == Method::POST {
            return authorize::answer(&self.app, envelope, request).await;
        }
        request.extensions_mut().insert(envelope.clone());
        let Ok(response) = self.routes.clone().call(request).await;
        response.into()
    }
}

impl From<ApiError> for Answered {
    fn from(error: ApiError) -> Self {
        Self { revision: None, answer: Err(error), allow: None }
    }
}

impl From<Response> for Answered {
    /// Takes back out what a handler or the router could only leave in the response.
    fn from(mut response: Response) -> Self {
        let revision = response.extensions_mut().remove();
        let Some(error) = response.extensions_mut().remove::<ApiError>() else {
            return Self { revision, answer: Ok(response), allow: None };
        };
        Self { revision, answer: Err(error), allow: response.headers_mut().remove(header::ALLOW) }
    }
}
