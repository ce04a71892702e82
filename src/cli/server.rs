//! A running server: what `dev` and `serve` have in common.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    net::{TcpListener, lookup_host},
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};

use super::{exit::Exit, failure::Failure, policy_source::PolicySource, scraped::Scraped};
use crate::{
    config::Config,
    domain::{clock::Clock, id::ReplicaId, nearest::nearest, random::Random, replica::Presence},
    http::{Api, App, AppState, Explainer, MetricsDoor, Stopping, serve},
    policy::{Engine, PolicyFiles},
    snapshot::{Keeper, reload::Reload},
    store::Store,
    telemetry::{self, Telemetry},
};

/// Long enough for a proxy that looks at `/readyz` every second, and wants to see two answers.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// How long a server that ends waits for a database that does not answer. With the longest delay, the drain and the flush of
/// spans it makes 30 s.
const FAREWELL: Duration = Duration::from_secs(5);

/// SIGTERM and SIGINT, from the first moment on: as process 1 of a container nothing else would end a server that starts.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// What comes of it, or nothing when a signal comes first.
    pub(super) async fn unless_told<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = self.next() => None,
        }
    }
}

/// The sockets of a server, bound before anything is promised.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) api: TcpListener,
    /// For `GET /metrics`, where that is wanted.
    pub(super) metrics: Option<TcpListener>,
}

impl Doors {
    /// Binds where the settings say.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let api = listen(&config.http.listen, "--listen").await?;
        let metrics = match &config.metrics.listen {
            Some(address) => Some(listen(address, "metrics.listen").await?),
            None => None,
        };
        Ok(Self { api, metrics })
    }
}

/// What is there before the first snapshot.
#[derive(Debug)]
pub(super) struct Prepared {
    pub config: Config,
    pub store: Store,
    pub engine: Engine,
    pub files: PolicyFiles,
    pub source: PolicySource,
}

impl Prepared {
    /// Loads the policies, opens the store and brings its schema up to date.
    pub(super) async fn new(config: Config, source: PolicySource, migrate: bool) -> Result<Self, Failure> {
        let files = source.read()?;
        let engine = Engine::load(&files, &config.policies.settings()?)?;
        warn_of_unknown_context(&config.record.context, &engine);
        let store = Store::open(&config.database, Random::System).await?;
        if migrate {
            for migration in store.migrate().await? {
                tracing::info!(migration, "the database schema was brought up to date");
            }
        } else if let Some(migration) = store.pending_migrations().await?.first() {
            return Err(Failure::failed(format!("the migration `{migration}` is pending; run `claviger migrate up`")));
        }
        Ok(Self { config, store, engine, files, source })
    }

    /// Takes the first snapshot; nothing comes of it when a signal comes first.
    pub(super) async fn start(
        self,
        doors: Doors,
        telemetry: &Telemetry,
        mut signals: Signals,
    ) -> Result<Option<Server>, Failure> {
        let (clock, random) = (Clock::System, Random::System);
        let address = doors.api.local_addr()?;
        let presence = Presence {
            id: ReplicaId::new(clock.now(), &random),
            address: address.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_staleness: self.config.consistency.max_staleness().map_err(Failure::failed)?,
        };
        let default_delay = if self.store.is_shared() { SHUTDOWN_DELAY } else { Duration::ZERO };
        let shutdown_delay = self.config.http.shutdown_delay()?.unwrap_or(default_delay);
        let id = presence.id;
        let opening = Keeper::open(self.store.clone(), self.engine, presence, clock.clone(), random.clone());
        let Some(keeper) = signals.unless_told(opening).await else {
            // It may be on the list already, and others would wait for it.
            let _ = timeout(FAREWELL, self.store.withdraw_replica(id)).await;
            return Ok(None);
        };
        let keeper = keeper?;
        let reload = match self.source {
            PolicySource::Shipped => None,
            PolicySource::Dirs(dirs) => {
                let settings = self.config.policies.settings()?;
                Some(Reload { keeper: keeper.clone(), clock: clock.clone(), dirs, settings, live: self.files })
            }
        };
        let app = AppState::new(App {
            store: self.store,
            keeper,
            clock,
            random,
            prefix: self.config.keys.prefix()?,
            peppers: self.config.keys.peppers()?,
            recorder: telemetry.recorder(),
            stopping: Stopping::default(),
            explains: Explainer::when(self.config.policies.explain_denials),
        });
        let watched = Arc::downgrade(&app.keeper);
        telemetry.watch(move || watched.upgrade().map(|keeper| keeper.readings()));
        let metrics = doors.metrics.zip(telemetry.page());
        let metrics = metrics.map(|(listener, page)| Scraped::open(listener, MetricsDoor::new(app.clone(), page))).transpose()?;
        let metrics_address = metrics.as_ref().map(|scraped| tracing::field::display(scraped.address));
        tracing::info!(%address, metrics = metrics_address, replica = %app.keeper.presence().id, "listening");
        Ok(Some(Server { listener: doors.api, address, metrics, app, reload, shutdown_delay, signals }))
    }
}

/// A name that no schema knows is no error: the next schema may.
fn warn_of_unknown_context(names: &[String], engine: &Engine) {
    let known = engine.context_names();
    for name in names.iter().filter(|name| !known.contains(name.as_str())) {
        let nearest = nearest(name, known.iter().copied(), 2);
        tracing::warn!(name, nearest, "`record.context` names an attribute that no action's context has");
    }
}

/// Bound, with a first snapshot; connections wait until it runs.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    pub address: SocketAddr,
    metrics: Option<Scraped>,
    app: AppState,
    reload: Option<Reload>,
    shutdown_delay: Duration,
    signals: Signals,
}

impl Server {
    /// The base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of the metrics, where they can be asked for.
    pub(super) fn metrics_url(&self) -> Option<String> {
        self.metrics.as_ref().map(|scraped| format!("http://{}/metrics", scraped.address))
    }

    /// Serves until SIGTERM or SIGINT. On SIGTERM, `/readyz` says so for a while before nothing more is accepted, so that
    /// proxies lose no request; another signal skips the rest of that while. Then drains.
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let following = tokio::spawn(self.app.keeper.clone().follow());
        if let Some(reload) = self.reload {
            tokio::spawn(reload.follow());
        }
        let (app, delay, mut signals) = (self.app.clone(), self.shutdown_delay, self.signals);
        let stop = async move {
            let patient = signals.next().await == SignalKind::terminate();
            tracing::info!(signal = if patient { "SIGTERM" } else { "SIGINT" }, "stopping");
            app.stopping.tell();
            if patient {
                signals.unless_told(sleep(delay)).await;
            }
        };
        serve(self.listener, Api::new(&self.app), stop).await;
        let farewell = async {
            self.app.keeper.retire().await;
            following.abort();
            self.app.store.close().await;
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("the database does not answer; the others will take the replica off the list");
        }
        Ok(Exit::Ok)
    }
}

/// The addresses that a setting names.
pub(super) async fn addresses(listen: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found = lookup_host(listen).await.map(Iterator::collect);
    found.map_err(|_| {
        Failure::usage(format!("`{listen}` is no address to listen on; give host and port, for example `127.0.0.1:8080`"))
    })
}

/// Binds; connections wait until the server runs. `setting` says what else can be chosen.
pub(super) async fn listen(listen: &str, setting: &str) -> Result<TcpListener, Failure> {
    let addresses = addresses(listen).await?;
    TcpListener::bind(&*addresses).await.map_err(|error| {
        Failure::failed(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("`{listen}` is taken by another process; stop it, or choose another port with `{setting}` (port 0 finds a free one)")
            }
            io::ErrorKind::PermissionDenied => format!("this user may not listen on `{listen}`; choose a port above 1023"),
            _ => format!("cannot listen on `{listen}`: {error}"),
        })
    })
}

/// Runs an async command to its end, with telemetry around it that is flushed whatever happens.
pub(super) fn with_telemetry<F>(config: &Config, command: impl FnOnce(Telemetry) -> F) -> Result<Exit, Failure>
where
    F: Future<Output = (Result<Exit, Failure>, Telemetry)>,
{
    runtime()?.block_on(async {
        let rules = config.record.rules(&config.keys.peppers()?.current)?;
        let telemetry = telemetry::start(&config.log, &config.trace, &config.metrics, rules, &Clock::System, &Random::System)?;
        let (result, telemetry) = command(telemetry).await;
        telemetry.shutdown().await;
        result
    })
}

/// The runtime of a command: a worker for each core.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Writes the one line that scripts wait for.
pub(super) fn announce(ready: &impl Serialize) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let line = serde_json::to_string(ready).map_err(Failure::failed)?;
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
