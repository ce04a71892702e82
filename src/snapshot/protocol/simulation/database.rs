//! The simulated database: what it keeps, and what it answers.

use std::collections::BTreeMap;

use crate::{
    domain::{
        clock::{Timestamp, Uptime},
        id::ReplicaId,
        replica::{Presence, Replica},
    },
    store::{Head, Poll, Replicas},
};

/// One history of writes, and who follows it.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) epoch: String,
    /// Which write made each revision, and under which tag.
    pub(super) writes: Vec<(usize, String)>,
    pub(super) replicas: BTreeMap<ReplicaId, Replica>,
}

impl Database {
    pub(super) fn revision(&self) -> i64 {
        i64::try_from(self.writes.len()).unwrap()
    }

    pub(super) fn tag(&self, revision: i64) -> Option<String> {
        let index = usize::try_from(revision).unwrap().checked_sub(1)?;
        self.writes.get(index).map(|(_, tag)| tag.clone())
    }

    pub(super) fn head(&self) -> Head {
        Head { revision: self.revision(), epoch: self.epoch.clone(), tag: self.tag(self.revision()) }
    }

    /// Whether the history leads on from there.
    pub(super) fn continues(&self, since: &Head) -> bool {
        since.epoch == self.epoch && since.revision <= self.revision() && self.tag(since.revision) == since.tag
    }

    fn state(&self) -> Answer {
        Answer::State(self.head(), self.writes.iter().map(|(write, _)| *write).collect())
    }

    /// Does what it is asked, for whoever asks, if that process still lives.
    pub(super) fn answer(&mut self, question: Question, presence: Option<&Presence>, seen_at: Timestamp) -> Option<Answer> {
        match question {
            Question::Register => {
                let presence = presence?.clone();
                let policy_set = String::new();
                let row = Replica { presence, policy_set, acked_revision: None, started_at: seen_at, seen_at };
                self.replicas.insert(row.presence.id, row);
                Some(Answer::Registered)
            }
            Question::Load => Some(self.state()),
            Question::CatchUp(since) if self.continues(&since) => Some(self.state()),
            Question::CatchUp(_) => Some(Answer::Diverged),
            Question::Poll { sent, acked } => {
                let (revision, epoch, tag) = (self.revision(), self.epoch.clone(), self.tag(acked.revision));
                let poll = match presence.and_then(|presence| self.replicas.get_mut(&presence.id)) {
                    None => Poll::Unregistered,
                    Some(row) => {
                        let known = epoch == acked.epoch && tag == acked.tag;
                        (row.acked_revision, row.seen_at) = (known.then_some(acked.revision), seen_at);
                        Poll::Seen { revision, epoch, tag, clock: None }
                    }
                };
                Some(Answer::Polled { sent, acked, poll })
            }
            Question::List { asked } => {
                let (revision, epoch, replicas) =
                    (self.revision(), self.epoch.clone(), self.replicas.values().cloned().collect());
                Some(Answer::Listed { asked, listed: Replicas { revision, epoch, replicas } })
            }
            Question::Reap(id, seen_at) => {
                if self.replicas.get(&id).is_some_and(|row| row.seen_at == seen_at) {
                    self.replicas.remove(&id);
                }
                None
            }
        }
    }
}

/// What a replica asks of the database.
#[derive(Clone)]
pub(super) enum Question {
    Register,
    Load,
    CatchUp(Head),
    Poll { sent: Uptime, acked: Head },
    List { asked: Uptime },
    Reap(ReplicaId, Timestamp),
}

pub(super) enum Answer {
    Registered,
    /// The whole state: which writes are in force.
    State(Head, Vec<usize>),
    Diverged,
    /// Changes of a kind that nobody knows, or too many.
    Untold,
    Polled {
        sent: Uptime,
        acked: Head,
        poll: Poll,
    },
    Listed {
        asked: Uptime,
        listed: Replicas,
    },
}
