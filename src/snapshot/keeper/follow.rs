//! The following: rounds of polls, and what they lead to.

use std::{
    future::Future,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{Keeper, POLL};
use crate::{
    domain::clock::{Timestamp, Uptime},
    snapshot::{
        Confirmed, Snapshot,
        protocol::{Progress, REFRESH, Step},
        reaper::Reaper,
        rows::{PermissionLists, Rows},
    },
    store::{Changes, Head, Poll, Poller, Store, StoreError},
};

/// Between two polls, however many hints come.
const BREATH: Duration = Duration::from_millis(20);
/// A poll that takes longer has met a connection that went silent.
const SILENT: Duration = Duration::from_secs(1);
/// The same for reading and writing a little, and for reading everything.
const CATCH_UP: Duration = Duration::from_secs(5);
const LOAD: Duration = Duration::from_mins(2);
/// The same for writing when secrets were used: a million of them at most.
const NOTE: Duration = Duration::from_secs(30);
/// More steps than any sound history needs; what is left is for the next round.
const MOST_STEPS: usize = 12;
/// Between two looks at who else follows.
const REAP: Duration = Duration::from_secs(5);
/// Between two writings of last uses: less than the minute that they are promised to be right to.
const NOTE_USES: Duration = Duration::from_secs(55);

impl Keeper {
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
            let Ok(listed) = within(CATCH_UP, self.store.list_replicas()).await else { continue };
            for (id, seen_at) in reaper.lapsed(&listed.replicas, self.clock.uptime()) {
                if id != self.presence.id && within(CATCH_UP, self.store.reap_replica(id, seen_at)).await.is_ok() {
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

    /// Writes when secrets were last used, in one statement.
    pub async fn note_uses(&self) {
        let uses = self.uses.take();
        if let Err(error) = within(NOTE, self.store.note_uses(&uses)).await {
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
    pub(super) async fn round(&self, only_when_old: bool) -> Result<(), StoreError> {
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
        if let Poll::Seen { clock, revision, .. } = &poll {
            self.tally.saw(*revision);
            if let Some(clock) = clock {
                self.set_clock(*clock, sent);
            }
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
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
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
    pub(super) fn replace(&self, next: impl Fn(&Snapshot) -> Snapshot) {
        let _swapping = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        self.current.store(Arc::new(next));
    }

    /// A random number from 0 to 1.
    pub(super) fn chance(&self) -> f64 {
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
