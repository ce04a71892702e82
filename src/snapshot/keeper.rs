//! The one writer of snapshots: it follows the store's history by the [`protocol`](super::protocol), and swaps in reloaded
//! policies.

mod follow;
mod tally;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::{sleep, timeout},
};

use tracing::{Instrument, field::Empty};

use self::tally::Tally;
use super::{
    Confirmed, Found, Policies, Snapshot,
    pool::{Caller, Pool},
    protocol::{Admission, Fence, Progress, REFRESH, admit},
    rows::{PermissionLists, Rows},
    uses::Uses,
};
use crate::{
    domain::{
        clock::{Clock, Timestamp, Uptime},
        random::Random,
        replica::Presence,
    },
    policy::Engine,
    store::{Head, Poller, Store, StoreError, Written},
};

/// How often the revision is asked for; hints of the database come sooner.
const POLL: Duration = Duration::from_millis(250);
/// How long a request waits for a refresh.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a write may wait for its own revision to be readable before its outcome is called unknown.
const REACH: Duration = Duration::from_secs(2);
/// How long a write may take, its COMMIT included; row locks and connections are given up sooner.
const WRITE: Duration = Duration::from_secs(10);
/// How long a request waits for a revision that it asked for.
const BEHIND: Duration = Duration::from_millis(500);
/// Replicas that start together do not load together.
const START_JITTER: Duration = Duration::from_millis(100);

/// Why the last policy reload failed; the set before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    pub at: Timestamp,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub message: String,
}

/// A write that is done, and how to wait until it is a fact everywhere.
#[derive(Debug, Clone)]
pub struct Committed<T> {
    pub written: Written<T>,
    pub fence: Fence,
}

/// Holds the current snapshot and makes the next.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    clock: Clock,
    random: Random,
    presence: Presence,
    current: ArcSwap<Snapshot>,
    /// Held for the length of a swap, never across a wait.
    swap: Mutex<()>,
    /// Held by whoever polls, across the poll: one at a time.
    poller: AsyncMutex<Poller>,
    /// Held by whoever applies rows, across reading them.
    follow: AsyncMutex<Follower>,
    pool: Pool,
    uses: Uses,
    /// The last round failed: a refresh has no prospect.
    down: AtomicBool,
    /// No round is made any more.
    retired: AtomicBool,
    /// What the uptime lacks to the database's clock, in milliseconds; [`Keeper::OWN_CLOCK`] when that is our own.
    offset: AtomicI64,
    /// Something may be new.
    hint: Notify,
    /// The snapshot has moved.
    moved: Notify,
    policy_failure: ArcSwapOption<PolicyFailure>,
    tally: Tally,
    started_at: Timestamp,
    /// The digest that was made last, of what and when.
    digest: AsyncMutex<Option<(Uptime, Arc<Snapshot>, String)>>,
}

/// What following needs besides the store.
#[derive(Debug)]
struct Follower {
    progress: Progress,
    lists: PermissionLists,
}

impl Keeper {
    const OWN_CLOCK: i64 = i64::MIN;

    /// Registers, loads everything, and polls once: when this returns, the snapshot may be decided on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        store: Store,
        engine: Engine,
        presence: Presence,
        clock: Clock,
        random: Random,
    ) -> Result<Arc<Self>, StoreError> {
        let policies = Arc::new(Policies { engine, loaded_at: clock.now() });
        let nothing = Head { revision: 0, epoch: String::new(), tag: None };
        let snapshot = Snapshot { rows: Rows::default(), head: nothing, policies, confirmed: Confirmed::new(None) };
        let progress = Progress::new(store.is_shared());
        let keeper = Arc::new(Self {
            poller: AsyncMutex::new(store.poller(presence.clone())),
            follow: AsyncMutex::new(Follower { progress, lists: PermissionLists::default() }),
            started_at: clock.now(),
            digest: AsyncMutex::new(None),
            store,
            clock,
            random,
            presence,
            current: ArcSwap::from_pointee(snapshot),
            swap: Mutex::new(()),
            pool: Pool::new(),
            uses: Uses::default(),
            down: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            offset: AtomicI64::new(Self::OWN_CLOCK),
            hint: Notify::new(),
            moved: Notify::new(),
            policy_failure: ArcSwapOption::empty(),
            tally: Tally::default(),
        });
        if keeper.store.is_shared() {
            sleep(START_JITTER.mul_f64(keeper.chance())).await;
        }
        keeper.round(false).await?;
        Ok(keeper)
    }

    /// The current snapshot; take it once for a request.
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Whether an answer from this snapshot may leave now. `refreshed`: [`Keeper::refresh`] was tried.
    pub fn admit(&self, snapshot: &Snapshot, refreshed: bool) -> Admission {
        let may_refresh = !refreshed && !self.is_down();
        admit(snapshot.confirmed(), self.clock.uptime(), self.presence.max_staleness, may_refresh)
    }

    /// Whether the snapshot is of the database's present history. How old it is, is another question.
    pub fn is_ready(&self) -> bool {
        self.current().confirmed().is_some()
    }

    /// How old the current snapshot is at most; `None` when nothing of the database's present history is there.
    pub fn age(&self) -> Option<Duration> {
        self.age_of(&self.current())
    }

    /// The same of any snapshot.
    pub fn age_of(&self, snapshot: &Snapshot) -> Option<Duration> {
        snapshot.confirmed().map(|confirmed| self.clock.uptime().since(confirmed))
    }

    /// This process as the other replicas know it.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// When this process began to follow.
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The current snapshot and the digest of its rows. A million rows take a second, so that all who ask at once share one,
    /// and the threads that decide are left alone.
    pub async fn digest(&self) -> Option<(Arc<Snapshot>, String)> {
        let mut made = self.digest.lock().await;
        let (snapshot, now) = (self.current().clone(), self.now());
        if let Some((at, of, digest)) = &*made
            && Arc::ptr_eq(of, &snapshot)
            && self.clock.uptime().since(*at) < REFRESH
        {
            return Some((snapshot, digest.clone()));
        }
        let of = snapshot.clone();
        let digest = tokio::task::spawn_blocking(move || of.rows.digest(now)).await.ok()?;
        *made = Some((self.clock.uptime(), snapshot.clone(), digest.clone()));
        Some((snapshot, digest))
    }

    /// The database did not answer when it was last asked.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// The current moment by the database's clock, to within a second, whatever this machine's clock says.
    pub fn now(&self) -> Timestamp {
        match self.offset.load(Ordering::Acquire) {
            Self::OWN_CLOCK => self.clock.now(),
            offset => Timestamp::from_millis(self.clock.uptime().as_nanos() / 1_000_000 + offset),
        }
    }

    /// The key, prebuilt for deciding under the snapshot's policies.
    pub fn caller(&self, found: &Found, snapshot: &Snapshot) -> Arc<Caller> {
        self.pool.caller(found, &snapshot.policies)
    }

    /// Remembers that the secret was used at a moment of [`Self::now`]; written within a minute.
    pub fn note_use(&self, caller: &Caller, found: &Found, at: Timestamp) {
        if caller.is_new_use(found.secret.id, at) {
            self.uses.note(found.secret.id, at);
        }
    }

    /// Why the policy files are not the ones in force; `None` when they are.
    pub fn policy_failure(&self) -> Option<Arc<PolicyFailure>> {
        self.policy_failure.load_full()
    }

    /// Says that the files cannot be loaded, or that they hold the live text again.
    pub fn report_policies(&self, failure: Option<PolicyFailure>) {
        self.tally.count_failure(failure.is_some());
        self.policy_failure.store(failure.map(Arc::new));
    }

    /// Puts a loaded set in force, on the data of this moment.
    pub fn replace_policies(&self, engine: Engine) {
        let policies = Arc::new(Policies { engine, loaded_at: self.now() });
        self.replace(|now| Snapshot { policies: policies.clone(), ..now.clone() });
        self.policy_failure.store(None);
        self.tally.count_reload();
    }

    /// Runs a write to its end, whatever becomes of the caller, and answers when the own snapshot holds it.
    ///
    /// # Errors
    /// The write's own, or [`StoreError::OutcomeUnknown`] when it does not end, or its revision cannot be read within 2 s.
    pub async fn commit<T: Send + 'static>(
        self: &Arc<Self>,
        write: impl Future<Output = Result<Written<T>, StoreError>> + Send + 'static,
    ) -> Result<Committed<T>, StoreError> {
        let keeper = Arc::clone(self);
        let span = tracing::info_span!("write", claviger.revision = Empty);
        // A client that hangs up drops the handler, not this task: a committed change is always applied.
        let task = tokio::spawn(async move {
            let written = timeout(WRITE, write.instrument(span.clone())).await.unwrap_or(Err(StoreError::OutcomeUnknown))?;
            span.record("claviger.revision", written.revision);
            drop(span);
            let committed = keeper.clock.uptime();
            keeper.tally.count_write(written.changed);
            timeout(REACH, keeper.reach(written.revision)).await.map_err(|_| StoreError::OutcomeUnknown)?;
            let epoch = keeper.current().head.epoch.clone();
            let fence = Fence { revision: written.revision, epoch, committed, own: keeper.presence.id };
            Ok(Committed { written, fence })
        });
        task.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    /// Waits until no replica can act on what was before the write; `false` when the database does not say who there is.
    pub async fn propagate(&self, fence: &Fence) -> bool {
        loop {
            let asked = self.clock.uptime();
            let listed = timeout(REACH, self.store.list_replicas()).await;
            let Ok(Ok(listed)) = listed else { return false };
            if listed.epoch != fence.epoch {
                return false;
            }
            if fence.is_passed(asked, &listed, self.clock.uptime()) {
                return true;
            }
            sleep(POLL / 5).await;
        }
    }

    /// Waits for at most 500 ms until the snapshot holds this revision.
    pub async fn reach_soon(&self, revision: i64) {
        let arrive = async {
            while self.current().revision() < revision {
                let moved = self.moved.notified();
                self.hint.notify_one();
                if self.current().revision() < revision {
                    let _ = timeout(POLL / 5, moved).await;
                }
            }
        };
        let _ = timeout(BEHIND, arrive).await;
    }

    async fn reach(&self, revision: i64) {
        while self.current().revision() < revision {
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, revision, "the revision of a write cannot be read yet");
            }
            if self.current().revision() < revision {
                // What cannot be told change by change is loaded by the follower.
                self.hint.notify_one();
                sleep(POLL / 5).await;
            }
        }
    }

    /// Asks the database once, for at most 200 ms, when the snapshot is older than a second; all who ask share one poll.
    pub async fn refresh(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        // In a task of its own: who runs out of patience must not cut the poll off that others wait for.
        let round = tokio::spawn(async move { keeper.round(true).await });
        let _ = timeout(PATIENCE, round).await;
    }
}
