//! What every handler works with: one concrete type, built the same way by `serve` and by tests.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Mutex, Notify};
use utoipa::openapi::OpenApi;

use super::explain::WhyView;
use crate::{
    domain::{
        clock::{Clock, Timestamp},
        random::Random,
        secret::{Peppers, SecretPrefix},
    },
    policy::Asked,
    snapshot::{Keeper, Policies},
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
    /// Whether a denial by `authorize` explains itself, clause by clause.
    pub explains: Option<Explainer>,
}

/// Looks at policies clause by clause, for one denial at a time: however many there are, one core stays for decisions.
#[derive(Debug)]
pub struct Explainer(Mutex<()>);

impl Explainer {
    /// One when it is wanted.
    #[must_use]
    pub fn when(wanted: bool) -> Option<Self> {
        wanted.then(|| Self(Mutex::new(())))
    }

    /// The policies that are about a request; nothing where Cedar was never asked.
    pub(super) async fn why(&self, policies: Arc<Policies>, asked: Asked) -> Option<WhyView> {
        let _alone = self.0.lock().await;
        // It takes longer than a request may hold up others.
        let why = tokio::task::spawn_blocking(move || policies.engine.why(&asked));
        let mut why = WhyView::from(why.await.ok()?.ok()?);
        why.explanation.retain(|policy| policy.is_about);
        Some(why)
    }
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
