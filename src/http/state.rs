//! What every handler works with: one concrete type, built the same way by `serve` and by tests.

use std::{ops::Deref, sync::Arc};

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

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
