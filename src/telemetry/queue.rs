//! The bounded queue between requests and a thread of telemetry: offering never waits, what does not fit is counted.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

/// When the thread takes what waits, and how much: as soon as there is `enough`, at the latest after `patience`; more than that, up to
/// about `most`, only to keep up with what comes, or in a hurry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) enough: usize,
    pub(super) most: usize,
    pub(super) patience: Duration,
}

/// What items weigh: how many spans or lines they are, and the memory that they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// A queue that holds at most so much.
pub(super) fn bounded<T>(capacity: Load, pace: Pace) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    let (deadline, closing) = watch::channel(None);
    let gauge = Arc::new(Gauge {
        capacity,
        pace,
        waiting: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
        late: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        wake: Notify::new(),
        deadline,
    });
    let last = Cell::new(Taken { count: 0, left: 0 });
    (Sender { channel: sender, gauge: Arc::clone(&gauge) }, Receiver { channel: receiver, gauge, closing, last })
}

#[derive(Debug)]
struct Gauge {
    capacity: Load,
    pace: Pace,
    /// Spans or lines that were offered and not taken yet.
    waiting: AtomicUsize,
    /// The memory that they hold.
    bytes: AtomicUsize,
    dropped: AtomicU64,
    /// What came after the end.
    late: AtomicU64,
    closed: AtomicBool,
    /// Told when the first item arrives and when there are enough, so that a busy sender makes no system call per item.
    wake: Notify,
    deadline: watch::Sender<Option<Instant>>,
}

/// The requests' end.
#[derive(Debug)]
pub(super) struct Sender<T> {
    channel: mpsc::Sender<(Load, T)>,
    gauge: Arc<Gauge>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), gauge: Arc::clone(&self.gauge) }
    }
}

impl<T> Sender<T> {
    /// Puts an item into the queue; one that does not fit, or comes after the end, is dropped and counted: `false`.
    pub(super) fn offer(&self, load: Load, item: T) -> bool {
        let gauge = &*self.gauge;
        let before = gauge.waiting.fetch_add(load.count, Ordering::SeqCst);
        let after = before.saturating_add(load.count);
        let bytes = gauge.bytes.fetch_add(load.bytes, Ordering::SeqCst).saturating_add(load.bytes);
        let is_late = gauge.closed.load(Ordering::SeqCst);
        let fits = after <= gauge.capacity.count && bytes <= gauge.capacity.bytes;
        if is_late || !fits || self.channel.send((load, item)).is_err() {
            gauge.give_back(load);
            (if is_late { &gauge.late } else { &gauge.dropped }).fetch_add(load.count as u64, Ordering::Relaxed);
            return false;
        }
        if before == 0 || (before < gauge.pace.enough && after >= gauge.pace.enough) {
            gauge.wake.notify_one();
        }
        true
    }

    /// Spans or lines that did not fit, or were given up at the end.
    pub(super) fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Ordering::Relaxed)
    }

    /// Those that came after the end.
    pub(super) fn late(&self) -> u64 {
        self.gauge.late.load(Ordering::Relaxed)
    }

    /// Ends the queue: nothing more is accepted, what waits may be taken until `deadline`.
    pub(super) fn close(&self, deadline: Instant) {
        self.gauge.closed.store(true, Ordering::SeqCst);
        self.gauge.deadline.send_if_modified(|at| {
            let first = at.is_none();
            *at = at.or(Some(deadline));
            first
        });
        self.gauge.wake.notify_one();
    }
}

impl Gauge {
    fn give_back(&self, load: Load) {
        self.waiting.fetch_sub(load.count, Ordering::SeqCst);
        self.bytes.fetch_sub(load.bytes, Ordering::SeqCst);
    }

    fn lose(&self, weight: usize) {
        self.dropped.fetch_add(u64::try_from(weight).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Receiver<T> {
    channel: mpsc::Receiver<(Load, T)>,
    gauge: Arc<Gauge>,
    closing: watch::Receiver<Option<Instant>>,
    last: Cell<Taken>,
}

/// The last batch: how many there were, and how many were left.
#[derive(Debug, Clone, Copy)]
struct Taken {
    count: usize,
    left: usize,
}

impl<T> Receiver<T> {
    /// Waits for the next batch; `None` at the end, when the queue is closed and empty.
    pub(super) async fn next_batch(&self) -> Option<Vec<T>> {
        let gauge = &*self.gauge;
        let closed = || gauge.closed.load(Ordering::SeqCst);
        let reached = async |weight: usize| {
            while gauge.waiting.load(Ordering::SeqCst) < weight && !closed() {
                gauge.wake.notified().await;
            }
        };
        reached(1).await;
        if !closed() {
            let _ = timeout(gauge.pace.patience, reached(gauge.pace.enough)).await;
        }
        let Pace { enough, most, .. } = gauge.pace;
        // A third more than came: what waited for a collector that was away gets less and less, and requests hardly notice.
        let some = self.came().saturating_mul(4) / 3;
        let batch = self.take(if self.is_in_hurry() { most } else { some.clamp(enough, most) });
        (!batch.is_empty() || !closed()).then_some(batch)
    }

    /// Takes what waits, up to about `most` by weight, without waiting for more.
    fn take(&self, most: usize) -> Vec<T> {
        let mut items = Vec::new();
        let mut taken = Load { count: 0, bytes: 0 };
        while taken.count < most {
            let Ok((load, item)) = self.channel.try_recv() else { break };
            taken = Load { count: taken.count + load.count, bytes: taken.bytes + load.bytes };
            items.push(item);
        }
        self.gauge.give_back(taken);
        self.last.set(Taken { count: taken.count, left: self.gauge.waiting.load(Ordering::SeqCst) });
        items
    }

    /// What came since the last batch.
    fn came(&self) -> usize {
        self.gauge.waiting.load(Ordering::SeqCst).saturating_sub(self.last.get().left)
    }

    /// Whether the queue is nearly full, or ends.
    fn is_in_hurry(&self) -> bool {
        let Gauge { capacity, waiting, bytes, closed, .. } = &*self.gauge;
        waiting.load(Ordering::SeqCst) > capacity.count / 4 * 3
            || bytes.load(Ordering::SeqCst) > capacity.bytes / 4 * 3
            || closed.load(Ordering::SeqCst)
    }

    /// Whether there is time for a rest: so much waits that it takes a while anyway, and it gets less.
    pub(super) fn has_time(&self) -> bool {
        let is_long = self.gauge.waiting.load(Ordering::SeqCst) > 4 * self.gauge.pace.most;
        is_long && !self.is_in_hurry() && self.came() < self.last.get().count / 4 * 3
    }

    /// Ends when the queue is closed and its deadline is over.
    pub(super) async fn expired(&self) {
        let mut closing = self.closing.clone();
        let deadline = closing.wait_for(Option::is_some).await.map_or(None, |at| *at);
        if let Some(deadline) = deadline {
            sleep_until(deadline).await;
        }
    }

    /// Whether that has come.
    pub(super) fn is_expired(&self) -> bool {
        self.closing.borrow().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Counts what was taken but lost later.
    pub(super) fn lose(&self, weight: usize) {
        self.gauge.lose(weight);
    }

    /// Gives up what still waits; it counts as dropped.
    pub(super) fn abandon(&self) {
        while let Ok((load, _)) = self.channel.try_recv() {
            self.gauge.give_back(load);
            self.gauge.lose(load.count);
        }
    }

    /// As [`Sender::dropped`].
    pub(super) fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Ordering::Relaxed)
    }

    /// As [`Sender::late`].
    pub(super) fn late(&self) -> u64 {
        self.gauge.late.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patience that no test waits for.
    const PACE: Pace = Pace { enough: 4, most: 4, patience: Duration::from_hours(1) };

    /// Things that hold ten bytes each, in a queue whose memory is never what is short.
    fn of(count: usize) -> Load {
        Load { count, bytes: 10 * count }
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait_for_the_clock() {
        let (sender, receiver) = bounded(of(100), PACE);
        assert!((0..8).all(|n| sender.offer(of(1), n)));
        assert_eq!(receiver.next_batch().await, Some(vec![0, 1, 2, 3]));
        assert_eq!(receiver.next_batch().await, Some(vec![4, 5, 6, 7]));
    }

    #[tokio::test]
    async fn a_batch_is_a_third_larger_than_what_came_since_the_last_one() {
        let (sender, receiver) = bounded(of(1_000), Pace { most: 20, ..PACE });
        let offer = |count| assert!((0..count).all(|n| sender.offer(of(1), n)));
        let size = async || receiver.next_batch().await.map(|batch| batch.len());
        offer(300);
        assert_eq!((size().await, size().await), (Some(20), Some(4)), "all came at once, then nothing did");
        offer(9);
        assert_eq!((size().await, size().await), (Some(12), Some(4)));
        offer(600);
        assert_eq!((size().await, size().await), (Some(20), Some(20)), "nearly full");
    }

    #[tokio::test]
    async fn less_than_a_batch_waits_for_no_company() {
        let (sender, receiver) = bounded(of(100), Pace { patience: Duration::from_millis(1), ..PACE });
        sender.offer(of(1), 'a');
        assert_eq!(receiver.next_batch().await, Some(vec!['a']));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        let (sender, receiver) = bounded(of(5), PACE);
        sender.offer(of(3), 'a');
        sender.offer(of(3), 'b');
        sender.offer(of(2), 'c');
        assert_eq!(sender.dropped(), 3);
        assert_eq!(receiver.next_batch().await, Some(vec!['a', 'c']));
        sender.offer(of(5), 'd');
        assert_eq!((receiver.next_batch().await, receiver.dropped()), (Some(vec!['d']), 3));
    }

    #[tokio::test]
    async fn memory_is_bounded_however_few_things_hold_it() {
        let (sender, receiver) = bounded(Load { count: 100, bytes: 50 }, PACE);
        sender.offer(Load { count: 1, bytes: 40 }, 'a');
        sender.offer(Load { count: 1, bytes: 40 }, 'b');
        sender.offer(Load { count: 3, bytes: 10 }, 'c');
        assert_eq!((receiver.next_batch().await, sender.dropped()), (Some(vec!['a', 'c']), 1));
        sender.offer(Load { count: 4, bytes: 50 }, 'd');
        assert_eq!((receiver.next_batch().await, sender.dropped()), (Some(vec!['d']), 1));
    }

    #[tokio::test]
    async fn there_is_time_while_what_waits_gets_less_and_a_quarter_of_the_room_is_left() {
        let has_time = async |count, bytes, came| {
            let (sender, receiver) = bounded(Load { count: 100, bytes: 1_000 }, PACE);
            sender.offer(Load { count: 4, bytes: 0 }, ());
            sender.offer(Load { count, bytes }, ());
            receiver.next_batch().await.unwrap();
            sender.offer(Load { count: came, bytes: 0 }, ());
            receiver.has_time()
        };
        for (count, expected) in [(4, false), (16, false), (17, true), (75, true), (76, false), (96, false)] {
            assert_eq!(has_time(count, 0, 0).await, expected, "{count}");
        }
        for (bytes, expected) in [(750, true), (751, false), (1_000, false)] {
            assert_eq!(has_time(17, bytes, 0).await, expected, "{bytes} bytes");
        }
        assert_eq!((has_time(17, 0, 2).await, has_time(17, 0, 3).await), (true, false), "three came while four went");
        let (sender, receiver) = bounded(of(100), PACE);
        sender.offer(of(4), ());
        sender.offer(of(17), ());
        receiver.next_batch().await.unwrap();
        sender.close(later());
        assert!(!receiver.has_time(), "whoever stops is in a hurry");
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_holds_and_takes_no_more() {
        let (sender, receiver) = bounded(of(100), PACE);
        sender.offer(of(1), 'a');
        sender.close(later());
        sender.offer(of(1), 'b');
        assert_eq!((receiver.next_batch().await, receiver.next_batch().await), (Some(vec!['a']), None));
        assert_eq!((sender.dropped(), sender.late()), (0, 1));
    }

    #[tokio::test]
    async fn what_is_given_up_after_the_deadline_is_counted() {
        let (sender, receiver) = bounded(of(100), PACE);
        sender.offer(of(3), 'a');
        sender.close(Instant::now());
        sender.close(later());
        receiver.expired().await;
        receiver.abandon();
        assert_eq!(sender.dropped(), 3);
    }

    #[test]
    fn many_senders_lose_nothing_that_is_not_counted() {
        let (sender, receiver) = bounded(of(1_000), PACE);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || (0..10_000).filter(|n| sender.offer(of(1), *n)).count());
            }
        });
        sender.close(later());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut taken = 0;
        while let Some(batch) = runtime.block_on(receiver.next_batch()) {
            taken += batch.len() as u64;
        }
        assert!((1..=1_000).contains(&taken), "{taken}");
        assert_eq!(taken + sender.dropped(), 40_000);
    }
}
