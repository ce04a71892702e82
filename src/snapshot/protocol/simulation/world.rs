//! The simulated world: time, messages, faults, and what must never be seen.

mod fault;
mod judge;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use super::database::{Answer, Database, Question};
use crate::{
    domain::{
        clock::{Timestamp, Uptime},
        id::ReplicaId,
        random::Random,
        replica::{Presence, Replica},
    },
    snapshot::{
        protocol::{Admission, Fence, Progress, Step, admit},
        reaper::Reaper,
    },
    store::Replicas,
};

const REPLICAS: usize = 3;
const LENGTH_MS: u64 = 60_000;
const LONGEST_LEASE: u64 = 7;
/// Clocks tick to the millisecond here, so a bound may be missed by one.
const TICK: Duration = Duration::from_millis(1);

enum Event {
    /// The replica looks at what it should do next.
    Tick {
        process: u64,
    },
    Arrive {
        process: u64,
        number: u64,
        question: Question,
    },
    Reply {
        process: u64,
        number: u64,
        answer: Answer,
    },
    /// Nobody waits for this answer any longer.
    GiveUp {
        process: u64,
        number: u64,
    },
    /// Somebody asks the replica for a decision; `refreshed`: for the second time.
    Decide {
        at: usize,
        refreshed: bool,
    },
    /// Somebody writes by way of the replica.
    Write {
        at: usize,
    },
    Watch {
        process: u64,
    },
    Fault,
}

/// A replica's process.
struct Process {
    /// Unique for each start.
    number: u64,
    presence: Presence,
    progress: Progress,
    /// Which writes its snapshot holds.
    snapshot: Vec<usize>,
    stopped_until: u64,
    cut_until: u64,
    /// The question that it waits for: the follower's, and the watcher's.
    asked: u64,
    listed: u64,
    down: bool,
    reaper: Reaper,
    /// Writes that somebody waits for to be everywhere.
    fences: Vec<(usize, Fence)>,
}

/// A write that was answered with 2xx.
struct Done {
    committed: u64,
    answered_by: u64,
    everywhere: bool,
}

pub(super) struct World {
    random: Random,
    calm: bool,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    count: u64,
    database: Database,
    backup: Database,
    database_down_until: u64,
    clock_offset: i64,
    processes: Vec<Process>,
    writes: Vec<Done>,
    violation: Option<String>,
    pub(super) decisions: usize,
    pub(super) refused: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    pub(super) fn calm(seed: u64) -> Self {
        Self::with(seed, true)
    }

    fn with(seed: u64, calm: bool) -> Self {
        let database = Database { epoch: "first".to_owned(), writes: Vec::new(), replicas: BTreeMap::new() };
        let mut world = Self {
            random: Random::seeded(seed),
            calm,
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            count: 0,
            backup: database.clone(),
            database,
            database_down_until: 0,
            clock_offset: 0,
            processes: Vec::new(),
            writes: Vec::new(),
            violation: None,
            decisions: 0,
            refused: 0,
        };
        for at in 0..REPLICAS {
            let process = world.start();
            world.processes.push(process);
            world.schedule(3_000, Event::Decide { at, refreshed: false });
            world.schedule(3_000 + 500 * at as u64, Event::Write { at });
        }
        world.schedule(4_000, Event::Fault);
        world
    }

    pub(super) fn propagated(&self) -> usize {
        self.writes.iter().filter(|write| write.everywhere).count()
    }

    /// Runs to the end, or to the first thing that must not be seen.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > LENGTH_MS {
                break;
            }
            self.now = at;
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
            if let Some(violation) = self.violation.take() {
                return Err(format!("at {at} ms: {violation}"));
            }
        }
        Ok(())
    }

    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes) % bound
    }

    fn uptime(&self) -> Uptime {
        Uptime::new(Duration::from_millis(self.now))
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.queue.push(Reverse((self.now + delay, self.count)));
        self.events.insert(self.count, event);
    }

    fn start(&mut self) -> Process {
        self.count += 1;
        let number = self.count;
        let max_staleness = Duration::from_secs(2 + self.below(LONGEST_LEASE - 1));
        let id = ReplicaId::new(Timestamp::from_millis(0), &self.random);
        let presence = Presence { id, address: String::new(), version: String::new(), max_staleness };
        let first = self.below(250);
        self.schedule(first, Event::Tick { process: number });
        self.schedule(first + 50, Event::Watch { process: number });
        Process {
            number,
            presence,
            progress: Progress::new(true),
            snapshot: Vec::new(),
            stopped_until: 0,
            cut_until: 0,
            asked: 0,
            listed: 0,
            down: false,
            reaper: Reaper::default(),
            fences: Vec::new(),
        }
    }

    fn database_clock(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.now).unwrap() + self.clock_offset)
    }

    /// Where a process is, unless it died meanwhile. What meets a stopped one waits until it goes on.
    fn index(&self, process: u64) -> Option<usize> {
        self.processes.iter().position(|known| known.number == process)
    }

    fn happen(&mut self, event: Event) {
        let meets = match &event {
            Event::Tick { process } | Event::Watch { process } | Event::Reply { process, .. } | Event::GiveUp { process, .. } => {
                let Some(at) = self.index(*process) else { return };
                Some(at)
            }
            Event::Decide { at, .. } | Event::Write { at } => Some(*at),
            Event::Arrive { .. } | Event::Fault => None,
        };
        if let Some(at) = meets
            && self.processes[at].stopped_until > self.now
        {
            // In any order: what waited for it is all there at once when it goes on.
            let delay = self.processes[at].stopped_until - self.now + self.below(2);
            return self.schedule(delay, event);
        }
        match event {
            Event::Tick { process } => self.tick(process),
            Event::Arrive { process, number, question } => self.arrive(process, number, question),
            Event::Reply { process, number, answer } => self.reply(process, number, answer),
            Event::GiveUp { process, number } => self.give_up(process, number),
            Event::Decide { at, refreshed } => self.decide(at, refreshed),
            Event::Write { at } => self.write(at),
            Event::Watch { process } => self.watch(process),
            Event::Fault => self.fault(),
        }
    }

    /// How long a message is on its way; `None`: for ever.
    fn way(&self) -> Option<u64> {
        if self.calm {
            return Some(1 + self.below(10));
        }
        match self.below(50) {
            0 => None,
            1..=4 => Some(self.below(4_000)),
            _ => Some(1 + self.below(30)),
        }
    }

    fn reachable(&self, at: usize) -> bool {
        self.processes[at].cut_until <= self.now && self.database_down_until <= self.now
    }

    fn ask(&mut self, process: u64, question: Question) -> u64 {
        self.count += 1;
        let number = self.count;
        if let (Some(at), Some(way)) = (self.index(process), self.way())
            && self.processes[at].cut_until <= self.now
        {
            self.schedule(way, Event::Arrive { process, number, question });
        }
        self.schedule(1_000, Event::GiveUp { process, number });
        number
    }

    fn tick(&mut self, process: u64) {
        let Some(at) = self.index(process) else { return };
        let replica = &self.processes[at];
        let question = match replica.progress.step() {
            Step::Register => Question::Register,
            Step::Load => Question::Load,
            Step::CatchUp => Question::CatchUp(replica.progress.applied().unwrap().clone()),
            Step::Poll => Question::Poll { sent: self.uptime(), acked: replica.progress.applied().unwrap().clone() },
        };
        let number = self.ask(process, question);
        self.processes[at].asked = number;
    }

    /// The database does what it is asked, in one moment.
    fn arrive(&mut self, process: u64, number: u64, question: Question) {
        // The sender may be dead by now; what it sent arrives all the same.
        let at = self.index(process);
        if self.database_down_until > self.now || at.is_some_and(|at| self.processes[at].cut_until > self.now) {
            return;
        }
        let clock = self.database_clock();
        let untold = matches!(question, Question::CatchUp(_)) && self.below(10) == 0;
        let presence = at.map(|at| &self.processes[at].presence);
        let answer = if untold { Some(Answer::Untold) } else { self.database.answer(question, presence, clock) };
        if let Some(answer) = answer
            && let Some(way) = self.way()
        {
            self.schedule(way, Event::Reply { process, number, answer });
        }
    }

    fn reply(&mut self, process: u64, number: u64, answer: Answer) {
        let Some(at) = self.index(process) else { return };
        if let Answer::Listed { asked, listed } = answer {
            if self.processes[at].listed == number {
                self.listed(at, asked, &listed);
            }
            return;
        }
        let replica = &mut self.processes[at];
        if replica.asked != number {
            return;
        }
        replica.down = false;
        match answer {
            Answer::Registered => replica.progress.registered(),
            Answer::State(head, writes) => {
                match replica.progress.step() {
                    Step::CatchUp => replica.progress.caught_up(head),
                    _ => replica.progress.loaded(head),
                }
                replica.snapshot = writes;
            }
            Answer::Diverged => replica.progress.diverged(),
            Answer::Untold => replica.progress.lost_track(),
            Answer::Polled { sent, acked, poll } => replica.progress.polled(sent, &acked, &poll),
            Answer::Listed { .. } => {}
        }
        let rest = if replica.progress.step() == Step::Poll && replica.progress.confirmed().is_some() { 250 } else { 1 };
        replica.asked = 0;
        self.schedule(rest, Event::Tick { process });
    }

    fn give_up(&mut self, process: u64, number: u64) {
        let Some(at) = self.index(process) else { return };
        if self.processes[at].asked == number {
            (self.processes[at].asked, self.processes[at].down) = (0, true);
            self.schedule(250, Event::Tick { process });
        }
    }

    /// A write by way of a replica that reaches the database: committed, applied to the own snapshot, answered.
    fn write(&mut self, at: usize) {
        let next = 500 + self.below(3_000);
        self.schedule(next, Event::Write { at });
        let reachable = self.reachable(at);
        let replica = &mut self.processes[at];
        // The own snapshot takes it in by way of the changes since what it holds.
        let (Some(applied), true) = (replica.progress.applied().cloned(), reachable) else { return };
        if replica.asked != 0 && replica.progress.step() != Step::Poll {
            // Whoever reads rows holds the lock until they are applied, so a write would wait.
            return;
        }
        if !self.database.continues(&applied) {
            return replica.progress.diverged();
        }
        let write = self.writes.len();
        self.count += 1;
        self.database.writes.push((write, format!("tag {}", self.count)));
        replica.progress.caught_up(self.database.head());
        replica.snapshot = self.database.writes.iter().map(|(write, _)| *write).collect();
        let (committed, own) = (Uptime::new(Duration::from_millis(self.now)), replica.presence.id);
        let fence = Fence { revision: self.database.revision(), epoch: self.database.epoch.clone(), committed, own };
        replica.fences.push((write, fence));
        self.writes.push(Done { committed: self.now, answered_by: replica.number, everywhere: false });
    }

    fn watch(&mut self, process: u64) {
        let Some(at) = self.index(process) else { return };
        let number = self.ask(process, Question::List { asked: self.uptime() });
        self.processes[at].listed = number;
        self.schedule(300, Event::Watch { process });
    }

    fn listed(&mut self, at: usize, asked: Uptime, listed: &Replicas) {
        let now = self.uptime();
        let replica = &mut self.processes[at];
        let process = replica.number;
        replica.fences.retain(|(write, fence)| {
            let over = fence.is_passed(asked, listed, now);
            if over {
                self.writes[*write].everywhere = true;
            }
            !over
        });
        let own = replica.presence.id;
        for (id, seen_at) in replica.reaper.lapsed(&listed.replicas, now) {
            if id != own {
                self.ask(process, Question::Reap(id, seen_at));
            }
        }
    }
}
