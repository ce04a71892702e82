//! What every handler works with: one concrete type, built the same way by `serve` and by tests.

use std::{ops::Deref, sync::Arc};

use utoipa::openapi::OpenApi;

use crate::{
    domain::{
        clock::Clock,
        random::Random,
        secret::{Peppers, SecretPrefix},
    },
    snapshot::Keeper,
    store::Store,
    telemetry::Recorder,
};

/// The parts of a running server.
#[derive(Debug)]
pub struct App {
    pub store: Store,
    pub keeper: Arc<Keeper>,
    pub clock: Clock,
    pub random: Random,
    pub prefix: SecretPrefix,
    pub peppers: Peppers,
    pub recorder: Recorder,
}

/// A cheap handle to the [`App`].
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl AppState {
    /// Shares an app.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self(Arc::new(app))
    }
}

/// The OpenAPI document, made once.
#[derive(Clone)]
pub(super) struct Document(Arc<OpenApi>);

impl Document {
    pub(super) fn new(document: OpenApi) -> Self {
        Self(Arc::new(document))
    }
}

impl Deref for Document {
    type Target = OpenApi;

    fn deref(&self) -> &OpenApi {
        &self.0
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
