//! The one writer of snapshots: it follows the store's history by the [`protocol`](super::protocol), and swaps in reloaded
//! policies.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::{sleep, timeout},
};

use super::{
    Confirmed, Found, Policies, Snapshot,
    pool::{Caller, Pool},
    protocol::{Admission, Fence, Progress, REFRESH, Step, admit},
    reaper::Reaper,
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
    store::{Changes, Head, Poll, Poller, Store, StoreError, Written},
};

/// How often the revision is asked for; hints of the database come sooner.
const POLL: Duration = Duration::from_millis(250);
/// Between two polls, however many hints come.
const BREATH: Duration = Duration::from_millis(20);
/// A poll that takes longer has met a connection that went silent.
const SILENT: Duration = Duration::from_secs(1);
/// The same for reading what changed, and for reading everything.
const CATCH_UP: Duration = Duration::from_secs(5);
const LOAD: Duration = Duration::from_mins(2);
/// More steps than any sound history needs; what is left is for the next round.
const MOST_STEPS: usize = 12;
/// How long a request waits for a refresh.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a write may wait for its own revision to be readable before its outcome is called unknown.
const REACH: Duration = Duration::from_secs(2);
/// How long a write may take, its COMMIT included; row locks and connections are given up sooner.
const WRITE: Duration = Duration::from_secs(10);
/// How long a request waits for a revision that it asked for.
const BEHIND: Duration = Duration::from_millis(500);
/// Between two looks at who else follows.
const REAP: Duration = Duration::from_secs(5);
/// Between two writings of last uses: less than the minute that they are promised to be right to.
const NOTE_USES: Duration = Duration::from_secs(55);
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

    /// How old the snapshot may become.
    pub const fn max_staleness(&self) -> Duration {
        self.presence.max_staleness
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

    /// Remembers that the secret was used; written within a minute.
    pub fn note_use(&self, caller: &Caller, found: &Found) {
        let at = self.now();
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
        self.policy_failure.store(failure.map(Arc::new));
    }

    /// Puts a loaded set in force, on the data of this moment.
    pub fn replace_policies(&self, engine: Engine) {
        let policies = Arc::new(Policies { engine, loaded_at: self.now() });
        self.replace(|now| Snapshot { policies: policies.clone(), ..now.clone() });
        self.policy_failure.store(None);
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
        // A client that hangs up drops the handler, not this task: a committed change is always applied.
        let task = tokio::spawn(async move {
            let written = timeout(WRITE, write).await.unwrap_or(Err(StoreError::OutcomeUnknown))?;
            let committed = keeper.clock.uptime();
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
            let listed = timeout(REACH, self.store.list_replicas()).await;
            let Ok(Ok(listed)) = listed else { return false };
            let now = self.clock.uptime();
            if listed.epoch != fence.epoch {
                return false;
            }
            if !listed.replicas.iter().any(|replica| fence.waits_for(replica, now)) {
                return true;
            }
            sleep(POLL / 5).await;
        }
    }

    /// Waits until the snapshot holds this revision; `false` when it does not come within 500 ms.
    pub async fn reach_soon(self: &Arc<Self>, revision: i64) -> bool {
        if self.current().revision() >= revision {
            return true;
        }
        let arrive = async {
            while self.current().revision() < revision {
                let moved = self.moved.notified();
                self.hint.notify_one();
                if self.current().revision() < revision {
                    let _ = timeout(POLL / 5, moved).await;
                }
            }
        };
        timeout(BEHIND, arrive).await.is_ok()
    }

    async fn reach(&self, revision: i64) {
        while self.current().revision() < revision {
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, revision, "the revision of a write cannot be read yet");
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

    /// Follows the store until the process ends.
    pub async fn follow(self: Arc<Self>) {
        let mut hints = self.store.hints();
        let listen = async {
            loop {
                hints.next().await;
                self.hint.notify_one();
            }
        };
        tokio::select! {
            () = self.poll_for_ever() => {}
            () = listen => {}
            () = self.reap_for_ever() => {}
            () = self.note_uses_for_ever() => {}
        }
    }

    async fn poll_for_ever(&self) {
        loop {
            sleep(BREATH).await;
            let rest = POLL.mul_f64(1.0 - self.chance() / 4.0).saturating_sub(BREATH);
            let _ = timeout(rest, self.hint.notified()).await;
            // The round itself says when it fails and when it works again.
            let _ = self.round(false).await;
        }
    }

    async fn reap_for_ever(&self) {
        let mut reaper = Reaper::default();
        while self.store.is_shared() {
            sleep(REAP).await;
            let Ok(listed) = self.store.list_replicas().await else { continue };
            for (id, seen_at) in reaper.lapsed(&listed.replicas, self.clock.uptime()) {
                if id != self.presence.id && self.store.reap_replica(id, seen_at).await.is_ok() {
                    tracing::warn!(replica = %id, %seen_at, "a replica is gone without a word; its lease has run out");
                }
            }
        }
        std::future::pending::<()>().await;
    }

    async fn note_uses_for_ever(&self) {
        loop {
            sleep(NOTE_USES).await;
            self.note_uses().await;
        }
    }

    async fn note_uses(&self) {
        let uses = self.uses.take();
        if let Err(error) = self.store.note_uses(&uses).await {
            tracing::warn!(%error, secrets = uses.len(), "the last uses of secrets are not written yet");
            self.uses.put_back(uses);
        }
    }

    /// Ends the following after the last answer: writes what is left, and takes the replica off the list.
    pub async fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        // A round that is under way would register again.
        let _poller = self.poller.lock().await;
        self.note_uses().await;
        if let Err(error) = self.store.withdraw_replica(self.presence.id).await {
            tracing::warn!(%error, "the replica could not take itself off the list; the others will");
        }
    }

    /// One poll, and whatever has to be done before and after it. With `only_when_old`, nothing when somebody else was faster.
    async fn round(&self, only_when_old: bool) -> Result<(), StoreError> {
        let mut poller = self.poller.lock().await;
        let fast = self.age().is_some_and(|age| age <= REFRESH);
        if self.retired.load(Ordering::Acquire) || only_when_old && (fast || self.is_down()) {
            return Ok(());
        }
        let done = Box::pin(self.steps(&mut poller)).await;
        match (&done, self.down.swap(done.is_err(), Ordering::AcqRel)) {
            (Ok(()), true) => tracing::info!(revision = self.current().revision(), "the database can be read again"),
            (Err(error), false) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the database cannot be read; deciding from memory");
            }
            (Ok(()), false) | (Err(_), true) => {}
        }
        done
    }

    async fn steps(&self, poller: &mut Poller) -> Result<(), StoreError> {
        let mut polls = 0;
        for _ in 0..MOST_STEPS {
            let step = self.follow.lock().await.progress.step();
            tracing::debug!(?step, age = ?self.age(), "following");
            match step {
                Step::Register => {
                    within(SILENT, self.store.register_replica(&self.presence)).await?;
                    self.change(Progress::registered).await;
                }
                Step::Load => within(LOAD, self.load()).await?,
                Step::CatchUp => within(CATCH_UP, self.catch_up()).await?,
                Step::Poll if polls > 0 && self.is_ready() => break,
                // Also after a poll that found another history and the load that it led to: this one opens the door.
                Step::Poll => {
                    polls += 1;
                    self.poll(poller).await?;
                }
            }
        }
        Ok(())
    }

    async fn poll(&self, poller: &mut Poller) -> Result<(), StoreError> {
        let Some(acked) = self.follow.lock().await.progress.applied().cloned() else { return Ok(()) };
        let digest = self.current().policies.engine.digest().to_string();
        let sent = self.clock.uptime();
        let poll = within(SILENT, poller.poll(&acked, &digest)).await?;
        if let Poll::Seen { clock: Some(clock), .. } = &poll {
            self.set_clock(*clock, sent);
        }
        self.change(|progress| progress.polled(sent, &acked, &poll)).await;
        Ok(())
    }

    /// The database read its clock somewhere between sending and now. A slow answer says too little, unless it is the first.
    fn set_clock(&self, clock: Timestamp, sent: Uptime) {
        let took = self.clock.uptime().since(sent);
        let first = self.offset.load(Ordering::Acquire) == Self::OWN_CLOCK;
        if self.clock.is_system() && (first || took <= SILENT / 2) {
            let read_at = sent.plus(took / 2).as_nanos() / 1_000_000;
            self.offset.store(clock.as_millis() - read_at, Ordering::Release);
        }
    }

    /// Brings the snapshot to the store's revision.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let mut follower = self.follow.lock().await;
        let Some(applied) = follower.progress.applied().cloned() else { return Ok(()) };
        match self.store.changes_since(&applied).await? {
            Changes::UpToDate => {}
            Changes::Apply { head, facts } => {
                let mut rows = self.current().rows.clone();
                for fact in facts {
                    rows.apply(fact, &mut follower.lists);
                }
                follower.progress.caught_up(head.clone());
                self.replace_rows(&rows, &head, follower.progress.confirmed());
            }
            Changes::Reload => follower.progress.lost_track(),
            Changes::Diverged => {
                follower.progress.diverged();
                self.publish(&follower.progress);
            }
        }
        Ok(())
    }

    async fn load(&self) -> Result<(), StoreError> {
        let mut follower = self.follow.lock().await;
        let (rows, head) = load(&self.store, self.now(), &mut follower.lists).await?;
        follower.progress.loaded(head.clone());
        self.replace_rows(&rows, &head, follower.progress.confirmed());
        Ok(())
    }

    async fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut follower = self.follow.lock().await;
        change(&mut follower.progress);
        self.publish(&follower.progress);
    }

    /// Lets requests see how far the replica has come.
    fn publish(&self, progress: &Progress) {
        let current = self.current();
        if current.confirmed().is_some() && progress.confirmed().is_none() {
            let (was, epoch) = (current.revision(), current.epoch());
            tracing::warn!(was, epoch, "the database does not know this history; nothing is decided until it is loaded anew");
        }
        current.confirmed.set(progress.confirmed());
    }

    fn replace_rows(&self, rows: &Rows, head: &Head, confirmed: Option<Uptime>) {
        let confirmed = Confirmed::new(confirmed);
        self.replace(|now| Snapshot {
            rows: rows.clone(),
            head: head.clone(),
            policies: now.policies.clone(),
            confirmed: confirmed.clone(),
        });
        self.moved.notify_waiters();
    }

    /// Every swap goes through here, so rows and policies that change at once both stay.
    fn replace(&self, next: impl Fn(&Snapshot) -> Snapshot) {
        let _swapping = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        self.current.store(Arc::new(next));
    }

    /// A random number from 0 to 1.
    fn chance(&self) -> f64 {
        let mut byte = [0];
        self.random.fill(&mut byte);
        f64::from(byte[0]) / 255.0
    }
}

async fn load(store: &Store, at: Timestamp, lists: &mut PermissionLists) -> Result<(Rows, Head), StoreError> {
    let mut rows = Rows::default();
    let head = store.load(at, &mut |fact| rows.apply(fact, lists)).await?;
    Ok((rows, head))
}

/// Gives up on a connection that went silent.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(limit, call).await.unwrap_or(Err(StoreError::Silent))
}
