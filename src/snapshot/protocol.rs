//! The protocol of a replica: what it does next, and whether what it holds may be decided on. A pure state machine: no IO and
//! no clock, so that simulations run the very code that production runs.
//!
//! A replica is **confirmed** as of the moment at which a poll was sent whose revision it has fully applied. Its age is the
//! time since then, and its lease ends when the age passes `max_staleness`. Why a write is a fact everywhere one lease after
//! its COMMIT: whoever has not applied it by then has sent its last good poll before that COMMIT, and has shut its own door.

#[cfg(test)]
mod simulation;

use std::time::Duration;

use crate::{
    domain::{clock::Uptime, id::ReplicaId, replica::Replica},
    store::{Head, Poll, Replicas},
};

/// Older than this, a snapshot is refreshed before it is decided on.
pub(super) const REFRESH: Duration = Duration::from_secs(1);
/// What clocks may differ by in the length of a lease.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// What a follower does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make itself known, before it reads anything.
    Register,
    /// Read everything, as of one moment.
    Load,
    /// Read what changed since what it has.
    CatchUp,
    /// Ask where the history stands, and renew the lease.
    Poll,
}

/// How far a replica has come.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    registered: bool,
    /// What the snapshot holds; `None` while it holds nothing of the database's present history.
    applied: Option<Head>,
    /// Set when the changes since `applied` cannot be told one by one.
    must_load: bool,
    /// The newest poll whose revision is not applied yet.
    awaiting: Option<(Uptime, i64)>,
    confirmed: Option<Uptime>,
}

impl Progress {
    /// A replica that has read nothing. A database with one server needs no registration.
    #[must_use]
    pub(super) const fn new(shared: bool) -> Self {
        Self { registered: !shared, applied: None, must_load: false, awaiting: None, confirmed: None }
    }

    /// What is to be done next.
    #[must_use]
    pub(super) fn step(&self) -> Step {
        match (&self.applied, self.awaiting) {
            _ if !self.registered => Step::Register,
            (None, _) => Step::Load,
            _ if self.must_load => Step::Load,
            (Some(applied), Some((_, revision))) if revision > applied.revision => Step::CatchUp,
            _ => Step::Poll,
        }
    }

    /// What the snapshot holds.
    #[must_use]
    pub(super) const fn applied(&self) -> Option<&Head> {
        self.applied.as_ref()
    }

    /// As of when the snapshot is known to have held everything; `None`: it may not be decided on.
    #[must_use]
    pub(super) const fn confirmed(&self) -> Option<Uptime> {
        self.confirmed
    }

    /// The own row is committed. What follows is a load: what was read before may lack what others wrote while nobody waited for
    /// this replica, so it was thrown away when the row was found to be gone.
    pub(super) fn registered(&mut self) {
        self.registered = true;
    }

    /// Everything was read, as of this position.
    pub(super) fn loaded(&mut self, head: Head) {
        // Another history does not know that this replica decides by it: only a poll, which needs the own row, opens the door.
        let continues =
            self.applied.as_ref().is_some_and(|applied| applied.epoch == head.epoch && applied.revision <= head.revision);
        if !continues {
            (self.confirmed, self.awaiting) = (None, None);
        }
        self.must_load = false;
        self.arrive(head);
    }

    /// The changes up to this position were applied.
    pub(super) fn caught_up(&mut self, head: Head) {
        self.arrive(head);
    }

    /// The changes since `applied` cannot be told one by one, or are too many: a load of the same history will do.
    pub(super) fn lost_track(&mut self) {
        self.must_load = true;
    }

    /// The database has another history than the one that was applied: nothing is decided until it is loaded.
    pub(super) fn diverged(&mut self) {
        self.shut();
    }

    /// A poll, sent at `sent` with the position `acked`, was answered.
    pub(super) fn polled(&mut self, sent: Uptime, acked: &Head, poll: &Poll) {
        let (revision, epoch, tag) = match poll {
            Poll::Unregistered => {
                self.registered = false;
                return self.shut();
            }
            Poll::Seen { revision, epoch, tag, .. } => (*revision, epoch, tag),
        };
        let Some(applied) = &self.applied else { return };
        if *epoch != acked.epoch || revision < acked.revision || *tag != acked.tag {
            return self.diverged();
        }
        if revision <= applied.revision {
            self.confirm(sent);
        } else if self.awaiting.is_none_or(|(earlier, _)| earlier < sent) {
            self.awaiting = Some((sent, revision));
        }
    }

    fn shut(&mut self) {
        (self.applied, self.confirmed, self.awaiting, self.must_load) = (None, None, None, false);
    }

    fn arrive(&mut self, head: Head) {
        if let Some((sent, revision)) = self.awaiting
            && revision <= head.revision
        {
            self.awaiting = None;
            self.confirm(sent);
        }
        self.applied = Some(head);
    }

    fn confirm(&mut self, sent: Uptime) {
        self.confirmed = self.confirmed.max(Some(sent));
    }
}

/// Whether an answer may leave that was made from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// It may be the process that slept, and not the database: ask once before answering.
    Refresh,
    /// The lease has run out.
    Stale,
    /// Nothing of the database's present history is there.
    NotReady,
}

/// Judges a snapshot that was confirmed at `confirmed`. `may_refresh`: asking the database has some prospect, and was not tried.
#[must_use]
pub(super) fn admit(confirmed: Option<Uptime>, now: Uptime, max_staleness: Duration, may_refresh: bool) -> Admission {
    let Some(confirmed) = confirmed else { return if may_refresh { Admission::Refresh } else { Admission::NotReady } };
    match now.since(confirmed) {
        age if age <= REFRESH => Admission::Admitted,
        _ if may_refresh => Admission::Refresh,
        age if age <= max_staleness => Admission::Admitted,
        _ => Admission::Stale,
    }
}

/// Waiting until no replica can act on what was before a write.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The write.
    pub revision: i64,
    /// The history that it belongs to.
    pub epoch: String,
    /// When COMMIT had returned.
    pub committed: Uptime,
    /// Who waits: its own snapshot holds the write.
    pub own: ReplicaId,
}

impl Fence {
    /// Whether nobody decides by what was before the write, told from a list of the replicas that was asked for at `asked`: who
    /// is not on one that is older than the write may have come since, and have read everything but the write.
    #[must_use]
    pub(super) fn is_passed(&self, asked: Uptime, listed: &Replicas, now: Uptime) -> bool {
        let told = asked >= self.committed && listed.epoch == self.epoch;
        told && !listed.replicas.iter().any(|replica| self.waits_for(replica, now))
    }

    /// Whether this replica may still decide by what was before the write.
    fn waits_for(&self, replica: &Replica, now: Uptime) -> bool {
        let presence = &replica.presence;
        let acked = replica.acked_revision.is_some_and(|acked| acked >= self.revision);
        let lapsed = now.since(self.committed) > presence.max_staleness + SLACK;
        presence.id != self.own && !acked && !lapsed
    }
}
