//! The server as `serve` builds it, on a fresh database, with a clock that stands still.

use std::{future::Future, io, sync::Arc, time::Duration};

use claviger::{
    domain::{
        admin::{Admin, NewAdmin, Role},
        audit::Author,
        clock::Clock,
        id::{OrgId, ReplicaId},
        key::{Environment, Key, NewKey},
        org::{NewOrg, Org},
        random::Random,
        replica::Presence,
        secret::{Hashing, Peppers, Plane, Secret, SecretPrefix},
    },
    http::{Api, App, AppState, Explainer, Stopping},
    policy::{Engine, PolicyFiles, Settings, SourceFile, SourceKind, shipped},
    snapshot::Keeper,
    store::{Store, StoreError, Written},
    telemetry::{self, LogConfig, LoggedDecisions, MetricsConfig, RecordConfig, Recorder, TraceConfig},
};
use tempfile::TempDir;

use super::{
    caller::Caller,
    engines::{config, execute, name, permissions},
    postgres::{drop_database, postgres_url},
};

/// What may differ from the usual: SQLite, the shipped policies, no pepper, a thousand decisions kept and nothing told of them.
pub(crate) struct Setup {
    pub(crate) postgres: bool,
    pub(crate) files: PolicyFiles,
    pub(crate) peppers: Peppers,
    pub(crate) recorder: Recorder,
    pub(crate) explains: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { postgres: false, files: shipped(), peppers: Peppers::default(), recorder: keeping(1_000), explains: false }
    }
}

/// Keeps so many decisions, and tells nobody of them.
pub(crate) fn keeping(count: usize) -> Recorder {
    keeping_context(count, &[])
}

/// The same, with these attributes of contexts.
pub(crate) fn keeping_context(count: usize, names: &[&str]) -> Recorder {
    let context = names.iter().map(|name| (*name).to_owned()).collect();
    let rules = RecordConfig { context, ..RecordConfig::default() }.rules(&Hashing::Plain).unwrap();
    let log = LogConfig { decisions: LoggedDecisions::Off, recent: count, ..LogConfig::default() };
    let (clock, random) = (Clock::System, Random::System);
    let (trace, metrics) = (TraceConfig::default(), MetricsConfig::default());
    telemetry::open(&log, &trace, &metrics, rules, &clock, &random, Box::new(io::sink())).unwrap().recorder()
}

/// The shipped policies and schema, and more of both.
pub(crate) fn shipped_and(policies: &str, schema: &str) -> PolicyFiles {
    let mut files: Vec<SourceFile> = shipped().iter().cloned().collect();
    for (kind, name, text) in [(SourceKind::Policies, "more.cedar", policies), (SourceKind::Schema, "more.cedarschema", schema)] {
        if !text.is_empty() {
            files.push(SourceFile { kind, path: name.to_owned(), name: name.to_owned(), text: text.to_owned() });
        }
    }
    PolicyFiles::new(files)
}

/// A replica with the usual lease.
pub(crate) fn presence(address: &str, random: &Random) -> Presence {
    let id = ReplicaId::new(Clock::System.now(), random);
    Presence { id, address: address.to_owned(), version: "0.0.0".to_owned(), max_staleness: Duration::from_mins(1) }
}

/// A server without a socket.
pub(crate) struct TestApp {
    pub(crate) state: AppState,
    pub(crate) api: Api,
    pub(crate) url: String,
    owner: String,
    _directory: Option<TempDir>,
}

/// A key and the secret that its maker was shown.
pub(crate) struct MadeKey {
    pub(crate) key: Key,
    pub(crate) secret: String,
}

impl MadeKey {
    pub(crate) fn id(&self) -> String {
        self.key.id.to_string()
    }
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let directory = (!setup.postgres).then(|| TempDir::new().unwrap());
        let url = match &directory {
            Some(directory) => format!("sqlite:{}", directory.path().join("claviger.db").display()),
            None => postgres_url().await,
        };
        Self::open(setup, url, directory).await
    }

    /// On this database.
    pub(crate) async fn at(url: String) -> Self {
        Self::open(Setup::default(), url, None).await
    }

    async fn open(setup: Setup, url: String, directory: Option<TempDir>) -> Self {
        let clock = Clock::manual("2026-11-24T04:30:26Z".parse().unwrap());
        let random = Random::seeded(7);
        let store = Store::open(&config(&url), random.clone()).await.unwrap();
        store.migrate().await.unwrap();
        let engine = Engine::load(&setup.files, &Settings::default()).unwrap();
        let presence = presence("in the test", &random);
        let keeper = Keeper::open(store.clone(), engine, presence, clock.clone(), random.clone()).await.unwrap();
        let (prefix, peppers, recorder) = (SecretPrefix::default(), setup.peppers, setup.recorder);
        let (stopping, explains) = (Stopping::default(), Explainer::when(setup.explains));
        let state = AppState::new(App { store, keeper, clock, random, prefix, peppers, recorder, stopping, explains });
        let api = Api::new(&state);
        let mut app = Self { state, api, url, owner: String::new(), _directory: directory };
        app.owner = app.new_admin(Role::Owner).await.1;
        app
    }

    /// With these policies and this schema besides the shipped ones.
    pub(crate) async fn with_more(policies: &str, schema: &str) -> Self {
        Self::with(Setup { files: shipped_and(policies, schema), ..Setup::default() }).await
    }

    /// Somebody who shows nothing.
    pub(crate) fn anonymous(&self) -> Caller<'_> {
        Caller::new(self)
    }

    /// Somebody who shows this key, admin token or other text as a bearer token.
    pub(crate) fn bearer(&self, secret: &str) -> Caller<'_> {
        self.anonymous().header("authorization", format!("Bearer {secret}"))
    }

    /// Somebody who shows the key.
    pub(crate) fn key(&self, made: &MadeKey) -> Caller<'_> {
        self.bearer(&made.secret)
    }

    /// The owner who was there first.
    pub(crate) fn owner(&self) -> Caller<'_> {
        self.bearer(&self.owner)
    }

    /// A new admin of this role.
    pub(crate) async fn admin(&self, role: Role) -> Caller<'_> {
        self.bearer(&self.new_admin(role).await.1)
    }

    pub(crate) async fn new_admin(&self, role: Role) -> (Admin, String) {
        let secret = self.mint(Plane::Admin);
        let sealed = self.state.peppers.current.seal(&secret);
        let new = NewAdmin { name: name("Ada"), role };
        let admin = self.write(|store, author| async move { store.create_admin(&author, new, &sealed).await }).await;
        (admin, secret.expose().to_owned())
    }

    /// An organization of this slug and name.
    pub(crate) async fn org(&self, slug: &str) -> Org {
        let new = NewOrg { name: name(slug), slug: slug.parse().unwrap() };
        self.write(|store, author| async move { store.create_org(&author, new).await }).await
    }

    /// A live key named CI without expiry.
    pub(crate) async fn new_key(&self, org: OrgId, granted: &[&str]) -> MadeKey {
        let secret = self.mint(Plane::Live);
        let sealed = self.state.peppers.current.seal(&secret);
        let (name, permissions) = (name("CI"), permissions(granted));
        let new = NewKey { name, environment: Environment::Live, permissions, expires_at: None };
        let key = self.write(|store, author| async move { store.create_key(&author, org, new, &sealed).await }).await;
        MadeKey { key, secret: secret.expose().to_owned() }
    }

    /// An org and a key of it.
    pub(crate) async fn org_with_key(&self, slug: &str, granted: &[&str]) -> (Org, MadeKey) {
        let org = self.org(slug).await;
        let key = self.new_key(org.id, granted).await;
        (org, key)
    }

    /// A secret that nobody knows.
    pub(crate) fn mint(&self, plane: Plane) -> Secret {
        Secret::mint(&self.state.prefix, plane, &self.state.random).unwrap()
    }

    /// Runs a write as a handler does: when this returns, the snapshot holds it.
    pub(crate) async fn write<T, F, W>(&self, write: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Store, Author) -> W,
        W: Future<Output = Result<Written<T>, StoreError>> + Send + 'static,
    {
        let author = Author::command_line(self.state.clock.now());
        self.state.keeper.commit(write(self.state.store.clone(), author)).await.unwrap().written.value
    }

    /// Runs SQL past the store, as an operator or an intruder would.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Closes the store and deletes its database.
    pub(crate) async fn end(self) {
        self.state.store.close().await;
        if self.url.starts_with("postgres") {
            drop_database(&self.url).await;
        }
    }

    /// Puts another history under the server that it cannot load; on SQLite only.
    pub(crate) async fn become_unready(&self) {
        self.execute("ALTER TABLE api_key RENAME TO hidden; UPDATE meta SET epoch = 'another'").await;
        let following = tokio::spawn(self.keeper().clone().follow());
        while self.keeper().is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        following.abort();
    }

    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.state.keeper
    }

    /// The revision that the database has.
    pub(crate) async fn revision(&self) -> i64 {
        self.state.store.head().await.unwrap().revision
    }
}

/// Makes a claim on both engines; the name of the one where it fails is printed before the failure.
pub(crate) async fn on_both_engines(claim: impl AsyncFn(&TestApp)) {
    for postgres in [false, true] {
        eprintln!("on {}", if postgres { "postgres" } else { "sqlite" });
        let app = TestApp::with(Setup { postgres, ..Setup::default() }).await;
        claim(&app).await;
        app.end().await;
    }
}
