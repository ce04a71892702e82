//! One direction of a connection.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    io::AsyncWriteExt,
    net::tcp::{ReadHalf, WriteHalf},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Fate, Fault, Plan};

/// The simple query by which a driver commits: its kind, its length, its text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const PIECE: usize = 16 * 1024;
/// How many pieces may be under way, before the sender has to wait.
const FULL: usize = 1024;

/// Which direction this is.
pub(super) enum Side {
    /// From the client, which may have a number of bytes until the cut. The last bytes are kept: a COMMIT may come in parts.
    Asking {
        budget: Option<usize>,
        last: Vec<u8>,
    },
    Answering,
}

/// What happens when a piece has been passed on.
enum Then {
    GoOn,
    Cut,
    LoseAnswer,
}

/// Bytes that were read together; none is the end of the direction.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    then: Then,
}

pub(super) struct Line<'a> {
    number: u64,
    side: Side,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    plan: &'a Arc<watch::Sender<Plan>>,
    changes: watch::Receiver<Plan>,
    /// Whether the next answer is to be lost.
    lost: &'a AtomicBool,
    pieces: VecDeque<Piece>,
    random: Option<(u64, StdRng)>,
    ended: bool,
    blocked: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        number: u64,
        side: Side,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        plan: &'a Arc<watch::Sender<Plan>>,
        lost: &'a AtomicBool,
    ) -> Self {
        let (changes, pieces) = (plan.subscribe(), VecDeque::new());
        Self { number, side, from, to, plan, changes, lost, pieces, random: None, ended: false, blocked: false }
    }

    /// Passes bytes on until the sender ends; an error is to reset the connection.
    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            let (fate, delayed) = {
                let plan = self.changes.borrow_and_update();
                (plan.fate(self.number), matches!(plan.fault, Fault::Delay { .. }))
            };
            if fate == Fate::Reset {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let moving = fate == Fate::Move;
            let now = Instant::now();
            let due = self.pieces.front().filter(|_| moving && !self.blocked).map(|piece| if delayed { piece.due } else { now });
            if due.is_some_and(|due| due <= now) {
                if self.give().await? {
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                changed = self.changes.changed() => changed.map_err(io::Error::other)?,
                ready = self.from.readable(), if moving && !self.ended && self.pieces.len() < FULL => {
                    ready?;
                    self.take()?;
                }
                ready = self.to.writable(), if moving && self.blocked => {
                    ready?;
                    self.blocked = false;
                }
                () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
            }
        }
    }

    /// Reads what is there.
    fn take(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; PIECE];
        let (read, fault) = {
            // While this is held, the plan does not change.
            let plan = self.changes.borrow();
            if plan.fate(self.number) != Fate::Move {
                return Ok(());
            }
            (self.from.try_read(&mut bytes), plan.fault)
        };
        match read {
            Ok(length) => bytes.truncate(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        if matches!(self.side, Side::Answering) && self.lost.load(Ordering::SeqCst) {
            // It has been done when the server answers; that is where the answer ends.
            return Err(ErrorKind::ConnectionReset.into());
        }
        self.ended = bytes.is_empty();
        let then = self.look_at(&mut bytes);
        let due = Instant::now() + self.draw(fault);
        let due = self.pieces.back().map_or(due, |before| before.due.max(due));
        self.pieces.push_back(Piece { due, bytes, then });
        Ok(())
    }

    /// Finds in the client's bytes the place where the connection is to break.
    fn look_at(&mut self, bytes: &mut Vec<u8>) -> Then {
        let Side::Asking { budget, last } = &mut self.side else { return Then::GoOn };
        if let Some(left) = budget {
            if *left <= bytes.len() && !bytes.is_empty() {
                bytes.truncate((*left).max(1));
                self.ended = true;
                return Then::Cut;
            }
            *left -= bytes.len();
        }
        last.extend_from_slice(bytes);
        let commits = last.windows(COMMIT.len()).any(|part| part == COMMIT);
        last.drain(..last.len().saturating_sub(COMMIT.len() - 1));
        if commits && self.plan.send_if_modified(|plan| std::mem::take(&mut plan.in_commit)) {
            return Then::LoseAnswer;
        }
        Then::GoOn
    }

    fn draw(&mut self, fault: Fault) -> Duration {
        let Fault::Delay { least, most, seed } = fault else { return Duration::ZERO };
        if self.random.as_ref().is_none_or(|(of, _)| *of != seed) {
            let direction = u64::from(matches!(self.side, Side::Asking { .. }));
            self.random = Some((seed, StdRng::seed_from_u64(seed ^ (self.number * 2 + direction))));
        }
        self.random.as_mut().map_or(least, |(_, random)| random.random_range(least..=most.max(least)))
    }

    /// Writes what can be written of the first piece, and tells whether it was the end.
    async fn give(&mut self) -> io::Result<bool> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(false) };
        if piece.bytes.is_empty() {
            self.to.shutdown().await?;
            return Ok(true);
        }
        let written = {
            let plan = self.changes.borrow();
            if plan.fate(self.number) != Fate::Move {
                return Ok(false);
            }
            self.to.try_write(&piece.bytes)
        };
        match written {
            Ok(length) => drop(piece.bytes.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(error) => return Err(error),
        }
        if piece.bytes.is_empty() {
            match self.pieces.pop_front().map(|piece| piece.then) {
                Some(Then::Cut) => return Err(ErrorKind::ConnectionReset.into()),
                Some(Then::LoseAnswer) => self.lost.store(true, Ordering::SeqCst),
                Some(Then::GoOn) | None => {}
            }
        }
        Ok(false)
    }
}
