//! The API as one service: every route, inside the envelope, with a net for panics.
//!
//! It is a plain function and no stack of layers: those box a future each and carry what they know in type maps, which was a
//! sixth of a decision's instructions; the router was a tenth of what was left, so decisions go past it.

use std::{net::IpAddr, panic::AssertUnwindSafe};

use axum::{Router, extract::Request, http::Method, response::Response};
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

    /// A target is looked at before it is routed.
    async fn route(&self, mut request: Request, envelope: &Envelope) -> Answered {
        if let Err(error) = check_uri(request.uri()) {
            return error.into();
        }
        if request.uri().path() == authorize::PATH && request.method() == Method::POST {
            return authorize::answer(&self.app, envelope, request).await.unwrap_or_else(Answered::from);
        }
        request.extensions_mut().insert(envelope.clone());
        let Ok(response) = self.routes.clone().call(request).await;
        response.into()
    }
}
