//! The one writer of snapshots: it follows the store's revision, and swaps in reloaded policies.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    Found, Policies, Snapshot,
    pool::{Caller, Pool},
    rows::{PermissionLists, Rows},
};
use crate::{
    domain::{
        clock::{Clock, Timestamp},
        random::Random,
    },
    policy::Engine,
    store::{Changes, Head, Store, StoreError, Written},
};

/// How often the revision is asked for; a write by the command line is honoured within this and a load.
const POLL: Duration = Duration::from_millis(250);
/// How long a write may wait for its own revision to be readable before its outcome is called unknown.
const REACH: Duration = Duration::from_secs(2);

/// Why the last policy reload failed; the set before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    pub at: Timestamp,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub message: String,
}

/// Holds the current snapshot and makes the next.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    clock: Clock,
    random: Random,
    current: ArcSwap<Snapshot>,
    /// Held for the length of a swap, never across a wait.
    swap: Mutex<()>,
    /// Held by whoever applies rows, across reading them.
    follow: AsyncMutex<PermissionLists>,
    pool: Pool,
    /// False while rows of another history are being loaded: they would be decided on with the old ones.
    ready: AtomicBool,
    /// When the last poll was sent whose revision is fully applied.
    fresh: Mutex<Instant>,
    policy_failure: ArcSwapOption<PolicyFailure>,
}

impl Keeper {
    /// Loads everything once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(store: Store, engine: Engine, clock: Clock, random: Random) -> Result<Arc<Self>, StoreError> {
        let mut lists = PermissionLists::default();
        let sent = Instant::now();
        let (rows, head) = load(&store, clock.now(), &mut lists).await?;
        let policies = Arc::new(Policies { engine, loaded_at: clock.now() });
        Ok(Arc::new(Self {
            store,
            clock,
            random,
            current: ArcSwap::from_pointee(Snapshot { rows, head, policies }),
            swap: Mutex::new(()),
            follow: AsyncMutex::new(lists),
            pool: Pool::new(),
            ready: AtomicBool::new(true),
            fresh: Mutex::new(sent),
            policy_failure: ArcSwapOption::empty(),
        }))
    }

    /// The current snapshot; take it once for a request.
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Whether the snapshot may be decided on.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How old the snapshot is at most: the time since the last poll was sent whose revision it holds.
    pub fn age(&self) -> Duration {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// The key, prebuilt for deciding under the snapshot's policies.
    pub fn caller(&self, found: &Found, snapshot: &Snapshot) -> Arc<Caller> {
        self.pool.caller(found, &snapshot.policies)
    }

    /// Why the policy files are not the ones in force; `None` when they are.
    pub fn policy_failure(&self) -> Option<Arc<PolicyFailure>> {
        self.policy_failure.load_full()
    }

    /// Says that the files cannot be loaded, or that they hold the live text again.
    pub fn report_policies(&self, failure: Option<PolicyFailure>) {
        self.policy_failure.store(failure.map(Arc::new));
    }

    /// Puts a loaded set in force, on the data of this moment.
    pub fn replace_policies(&self, engine: Engine) {
        let policies = Arc::new(Policies { engine, loaded_at: self.clock.now() });
        self.replace(|now| Snapshot { rows: now.rows.clone(), head: now.head.clone(), policies: policies.clone() });
        self.policy_failure.store(None);
    }

    /// Runs a write to its end, whatever becomes of the caller, and answers when the own snapshot holds it.
    ///
    /// # Errors
    /// The write's own, or [`StoreError::OutcomeUnknown`] when its revision cannot be read within 2 s.
    pub async fn commit<T: Send + 'static>(
        self: &Arc<Self>,
        write: impl Future<Output = Result<Written<T>, StoreError>> + Send + 'static,
    ) -> Result<Written<T>, StoreError> {
        let keeper = Arc::clone(self);
        // A client that hangs up drops the handler, not this task: a committed change is always applied.
        let task = tokio::spawn(async move {
            let written = write.await?;
            keeper.reach(written.revision).await?;
            Ok(written)
        });
        task.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    async fn reach(&self, revision: i64) -> Result<(), StoreError> {
        let reached = async {
            while self.current().revision() < revision {
                if let Err(error) = self.catch_up().await {
                    tracing::warn!(%error, revision, "the revision of a write cannot be read yet");
                    tokio::time::sleep(POLL / 5).await;
                }
            }
        };
        tokio::time::timeout(REACH, reached).await.map_err(|_| StoreError::OutcomeUnknown)
    }

    /// Follows the store until the process ends.
    pub async fn follow(self: Arc<Self>) {
        let mut failing = false;
        loop {
            // Replicas that started together drift apart.
            let mut jitter = [0];
            self.random.fill(&mut jitter);
            tokio::time::sleep(POLL.mul_f64(1.0 - f64::from(jitter[0]) / 1_024.0)).await;
            let polled = self.poll().await;
            match &polled {
                Ok(()) if failing => tracing::info!(revision = self.current().revision(), "the database can be read again"),
                Err(error) if !failing => {
                    tracing::warn!(error = error as &dyn std::error::Error, "the database cannot be read; deciding from memory");
                }
                Ok(()) | Err(_) => {}
            }
            failing = polled.is_err();
        }
    }

    /// One cheap statement while nothing changes.
    async fn poll(&self) -> Result<(), StoreError> {
        let sent = Instant::now();
        if self.store.head().await? != self.current().head {
            return self.catch_up().await;
        }
        self.refreshed(sent);
        Ok(())
    }

    fn refreshed(&self, sent: Instant) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        *fresh = sent.max(*fresh);
    }

    /// Brings the snapshot to the store's revision.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let mut lists = self.follow.lock().await;
        let sent = Instant::now();
        let applied = self.current().head.clone();
        match self.store.changes_since(&applied).await? {
            Changes::UpToDate => {}
            Changes::Apply { head, facts } => {
                let mut rows = self.current().rows.clone();
                for fact in facts {
                    rows.apply(fact, &mut lists);
                }
                self.replace_rows(&rows, &head);
            }
            Changes::Reload => self.reload(&applied, &mut lists).await?,
        }
        self.refreshed(sent);
        Ok(())
    }

    async fn reload(&self, applied: &Head, lists: &mut PermissionLists) -> Result<(), StoreError> {
        let head = self.store.head().await?;
        // The same revision again, and yet not the one that is applied: its tag differs.
        if head.epoch != applied.epoch || head.revision <= applied.revision {
            tracing::warn!(revision = head.revision, was = applied.revision, "the database has another history; loading it anew");
            self.ready.store(false, Ordering::Release);
        }
        let (rows, head) = load(&self.store, self.clock.now(), lists).await?;
        self.replace_rows(&rows, &head);
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn replace_rows(&self, rows: &Rows, head: &Head) {
        self.replace(|now| Snapshot { rows: rows.clone(), head: head.clone(), policies: now.policies.clone() });
    }

    /// Every swap goes through here, so rows and policies that change at once both stay.
    fn replace(&self, next: impl Fn(&Snapshot) -> Snapshot) {
        let _swapping = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        self.current.store(Arc::new(next));
    }
}

async fn load(store: &Store, at: Timestamp, lists: &mut PermissionLists) -> Result<(Rows, Head), StoreError> {
    let mut rows = Rows::default();
    let head = store.load(at, &mut |fact| rows.apply(fact, lists)).await?;
    Ok((rows, head))
}
