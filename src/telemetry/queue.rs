//! The bounded queue between requests and a thread of telemetry: offering never waits, what does not fit is counted.

use std::{
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

/// When the thread takes what waits: as soon as there is a batch of it, at the latest after `patience`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) batch: usize,
    pub(super) patience: Duration,
}

/// A queue that holds at most `capacity` (the sum of what its items weigh).
pub(super) fn bounded<T>(capacity: usize, pace: Pace) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    let (deadline, closing) = watch::channel(None);
    let gauge = Arc::new(Gauge {
        capacity,
        pace,
        waiting: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        wake: Notify::new(),
        deadline,
    });
    (Sender { channel: sender, gauge: Arc::clone(&gauge) }, Receiver { channel: receiver, gauge, closing })
}

#[derive(Debug)]
struct Gauge {
    capacity: usize,
    pace: Pace,
    /// Weight of what was offered and not taken yet.
    waiting: AtomicUsize,
    dropped: AtomicU64,
    closed: AtomicBool,
    /// Told when the first item arrives and when a batch is full, so that a busy sender makes no system call per item.
    wake: Notify,
    deadline: watch::Sender<Option<Instant>>,
}

/// The requests' end.
#[derive(Debug)]
pub(super) struct Sender<T> {
    channel: mpsc::Sender<(usize, T)>,
    gauge: Arc<Gauge>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), gauge: Arc::clone(&self.gauge) }
    }
}

impl<T> Sender<T> {
    /// Puts an item into the queue; one that does not fit, or comes after the end, is dropped and its weight counted.
    pub(super) fn offer(&self, weight: usize, item: T) {
        let gauge = &*self.gauge;
        let before = gauge.waiting.fetch_add(weight, Ordering::SeqCst);
        let after = before.saturating_add(weight);
        let fits = after <= gauge.capacity && !gauge.closed.load(Ordering::SeqCst);
        if !fits || self.channel.send((weight, item)).is_err() {
            gauge.waiting.fetch_sub(weight, Ordering::SeqCst);
            gauge.lose(weight);
            return;
        }
        if before == 0 || (before < gauge.pace.batch && after >= gauge.pace.batch) {
            gauge.wake.notify_one();
        }
    }

    /// Weight of everything dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Ordering::Relaxed)
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
    fn lose(&self, weight: usize) {
        self.dropped.fetch_add(u64::try_from(weight).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Receiver<T> {
    channel: mpsc::Receiver<(usize, T)>,
    gauge: Arc<Gauge>,
    closing: watch::Receiver<Option<Instant>>,
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
            let _ = timeout(gauge.pace.patience, reached(gauge.pace.batch)).await;
        }
        let batch = self.take(gauge.pace.batch);
        (!batch.is_empty() || !closed()).then_some(batch)
    }

    /// Takes what waits, up to about `batch` by weight, without waiting for more.
    fn take(&self, batch: usize) -> Vec<T> {
        let mut items = Vec::new();
        let mut taken = 0;
        while taken < batch {
            let Ok((weight, item)) = self.channel.try_recv() else { break };
            taken += weight;
            items.push(item);
        }
        self.gauge.waiting.fetch_sub(taken, Ordering::SeqCst);
        items
    }

    /// Ends when the queue is closed and its deadline is over.
    pub(super) async fn expired(&self) {
        let mut closing = self.closing.clone();
        let deadline = closing.wait_for(Option::is_some).await.map_or(None, |at| *at);
        if let Some(deadline) = deadline {
            sleep_until(deadline).await;
        }
    }

    /// Counts what was taken but lost later.
    pub(super) fn lose(&self, weight: usize) {
        self.gauge.lose(weight);
    }

    /// Gives up what still waits; it counts as dropped.
    pub(super) fn abandon(&self) {
        while let Ok((weight, _)) = self.channel.try_recv() {
            self.gauge.lose(weight);
        }
    }

    /// Weight of everything dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patience that no test waits for.
    const PACE: Pace = Pace { batch: 4, patience: Duration::from_hours(1) };

    fn later() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait_for_the_clock() {
        let (sender, receiver) = bounded(100, PACE);
        (0..8).for_each(|n| sender.offer(1, n));
        assert_eq!(receiver.next_batch().await, Some(vec![0, 1, 2, 3]));
        assert_eq!(receiver.next_batch().await, Some(vec![4, 5, 6, 7]));
    }

    #[tokio::test]
    async fn less_than_a_batch_waits_for_no_company() {
        let (sender, receiver) = bounded(100, Pace { patience: Duration::from_millis(1), ..PACE });
        sender.offer(1, 'a');
        assert_eq!(receiver.next_batch().await, Some(vec!['a']));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        let (sender, receiver) = bounded(5, PACE);
        sender.offer(3, 'a');
        sender.offer(3, 'b');
        sender.offer(2, 'c');
        assert_eq!(sender.dropped(), 3);
        assert_eq!(receiver.next_batch().await, Some(vec!['a', 'c']));
        sender.offer(5, 'd');
        assert_eq!((receiver.next_batch().await, receiver.dropped()), (Some(vec!['d']), 3));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_holds_and_takes_no_more() {
        let (sender, receiver) = bounded(100, PACE);
        sender.offer(1, 'a');
        sender.close(later());
        sender.offer(1, 'b');
        assert_eq!((receiver.next_batch().await, receiver.next_batch().await), (Some(vec!['a']), None));
        assert_eq!(sender.dropped(), 1);
    }

    #[tokio::test]
    async fn what_is_given_up_after_the_deadline_is_counted() {
        let (sender, receiver) = bounded(100, PACE);
        sender.offer(3, 'a');
        sender.close(Instant::now());
        sender.close(later());
        receiver.expired().await;
        receiver.abandon();
        assert_eq!(sender.dropped(), 3);
    }

    #[test]
    fn many_senders_lose_nothing_that_is_not_counted() {
        let (sender, receiver) = bounded(1_000, PACE);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || (0..10_000).for_each(|n| sender.offer(1, n)));
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
