//! Policy files on disk, followed while the server runs: a good edit is swapped in, a bad one is reported and changes nothing.

use std::{sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Keeper, PolicyFailure,
    files::{self, PolicyDirs},
};
use crate::{
    domain::clock::Clock,
    policy::{Engine, LoadError, PolicyFiles, Settings},
};

/// Watchers miss the swap of a symlink; this does not.
const POLL: Duration = Duration::from_secs(1);
/// Two reads that far apart must agree, so that a file in the middle of being written is not loaded.
const SETTLED: Duration = Duration::from_millis(500);

/// What was last seen on disk: the files, or why they cannot be read.
type Seen = Result<PolicyFiles, String>;

/// Follows the policy directories of a running server.
#[derive(Debug)]
pub struct Reload {
    pub keeper: Arc<Keeper>,
    pub clock: Clock,
    pub dirs: PolicyDirs,
    pub settings: Settings,
    /// The files that the engine in force was loaded from.
    pub live: PolicyFiles,
}

impl Reload {
    /// Runs until the process ends.
    pub async fn follow(mut self) {
        let (tell, mut told) = mpsc::channel(1);
        let watcher = watch(&self.dirs, tell);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the policy directories are polled only");
        }
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen: Seen = Ok(self.live.clone());
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(()) = told.recv() => {}
            }
            let first = self.read().await;
            if first != seen {
                seen = self.settle(first).await;
                self.take(seen.clone()).await;
            }
        }
    }

    /// Reads until two reads agree.
    async fn settle(&self, mut seen: Seen) -> Seen {
        loop {
            sleep(SETTLED).await;
            let again = self.read().await;
            if again == seen {
                return seen;
            }
            seen = again;
        }
    }

    async fn read(&self) -> Seen {
        let dirs = self.dirs.clone();
        let read = tokio::task::spawn_blocking(move || files::read(&dirs).map_err(|error| error.to_string()));
        read.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Loads what was seen, off the request path, and swaps it in, or says why not.
    #[tracing::instrument(name = "reload_policies", skip_all)]
    async fn take(&mut self, seen: Seen) {
        let files = match seen {
            Ok(files) if files == self.live => return self.keeper.report_policies(None),
            Ok(files) => files,
            Err(message) => return self.fail(None, None, message),
        };
        let settings = self.settings.clone();
        let loading = tokio::task::spawn_blocking(move || (Engine::load(&files, &settings), files));
        match loading.await {
            Ok((Ok(engine), files)) => {
                tracing::info!(digest = &**engine.digest(), policies = engine.policies().len(), "the policies were reloaded");
                self.keeper.replace_policies(engine);
                self.live = files;
            }
            Ok((Err(error), _)) => self.refuse(&error),
            Err(error) => self.fail(None, None, error.to_string()),
        }
    }

    fn refuse(&self, error: &LoadError) {
        let first = error.first();
        let (file, line) = (first.file().map(str::to_owned), first.position().map(|(line, _)| line));
        self.fail(file, line, error.to_string());
    }

    fn fail(&self, file: Option<String>, line: Option<usize>, message: String) {
        tracing::error!(file, line, message, "the policy files were not loaded; the set before them stays in force");
        self.keeper.report_policies(Some(PolicyFailure { at: self.clock.now(), file, line, message }));
    }
}

/// Tells of changes in the directories. Without a watcher the poll finds them, a little later.
fn watch(dirs: &PolicyDirs, changed: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event as well.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full means that a look is already due.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(&dirs.policies, RecursiveMode::NonRecursive)?;
    watcher.watch(&dirs.schema, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
