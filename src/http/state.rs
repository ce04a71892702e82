//! What every handler works with: one concrete type, built the same way by `serve` and by tests.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use utoipa::openapi::OpenApi;

use crate::{
    domain::{
        clock::{Clock, Timestamp},
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
    pub stopping: Stopping,
}

/// Whether the server was told to stop: it still answers, and sends everybody away.
#[derive(Debug, Default)]
pub struct Stopping {
    told: AtomicBool,
    waiting: Notify,
}

impl Stopping {
    /// Says so, for ever.
    pub fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    /// Whether it was said.
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Waits until it is said.
    pub(super) async fn told(&self) {
        let told = self.waiting.notified();
        if !self.is_told() {
            told.await;
        }
    }
}

impl App {
    /// The current moment, by the database's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.keeper.now()
    }
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
