//! The API as one service: every route, inside the envelope, with a net for panics.
//!
//! It is a plain function and no stack of layers: those box a future each and carry what they know in type maps, which was a
//! sixth of a decision's instructions; the router was a tenth of what was left, so decisions go past it.

use std::{net::IpAddr, panic::AssertUnwindSafe};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};
use futures_util::FutureExt;
use tower::Service;

use super::{
    authorize,
    envelope::{Answered, Envelope, check_uri},
    error::ApiError,
    serve::Answers,
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
        Self { app: app.clone(), routes: routes.layer(from_fn(tell_route)) }
    }

    /// Answers a request from an address. There is an answer to everything: a panic is a 500, which allows nothing.
    pub async fn answer(&self, request: Request, address: Option<IpAddr>) -> Response {
        let timing = self.app.recorder.time(request.method().as_str());
        let envelope = Envelope::open(&self.app, request.headers(), address);
        let answered = AssertUnwindSafe(self.route(request, &envelope)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a handler panicked; the answer is 500, which allows nothing");
            ApiError::Internal.into()
        });
        let route = answered.route.clone();
        let response = envelope.seal(&self.app, answered);
        if let Some(timing) = timing {
            timing.end(route.as_ref().map(Route::as_str), response.status().as_u16());
        }
        response
    }

    /// A target is looked at before it is routed.
    async fn route(&self, mut request: Request, envelope: &Envelope) -> Answered {
        if let Err(error) = check_uri(request.uri()) {
            return error.into();
        }
        if request.uri().path() == authorize::PATH && request.method() == Method::POST {
            let answered = authorize::answer(&self.app, envelope, request).await.unwrap_or_else(Answered::from);
            return Answered { route: Some(Route::Authorize), ..answered };
        }
        request.extensions_mut().insert(envelope.clone());
        let Ok(response) = self.routes.clone().call(request).await;
        response.into()
    }
}

impl Answers for Api {
    async fn answer(self, request: Request, address: Option<IpAddr>) -> Response {
        Self::answer(&self, request, address).await
    }
}

/// The route that a request took.
#[derive(Debug, Clone)]
pub(super) enum Route {
    Authorize,
    Matched(MatchedPath),
}

impl Route {
    /// As a template.
    fn as_str(&self) -> &str {
        match self {
            Self::Authorize => authorize::PATH,
            Self::Matched(path) => path.as_str(),
        }
    }
}

/// The router knows it, and the answer is past the router when it is timed.
async fn tell_route(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(Route::Matched(path));
    }
    response
}
