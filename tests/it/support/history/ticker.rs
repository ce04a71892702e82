//! Tells when the machine was too late for anything to be said about time.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Micros, Recorder, Span};

const TICK: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(200);

/// A timer of 50 ms on a thread of its own, running until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Records when it runs more than 200 ms late.
    pub(crate) fn start(recorder: &Recorder) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let recorder = recorder.clone();
        let thread = thread::spawn(move || {
            let mut before = recorder.now();
            loop {
                let end = stopped.recv_timeout(TICK);
                let now = recorder.now();
                recorder.open().late.extend(late(before, now));
                if end != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                before = now;
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What it recorded must be there when this is gone.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The time between two ticks, if the second was late.
pub(super) fn late(before: Micros, now: Micros) -> Option<Span> {
    let passed = Duration::from_micros(now.saturating_sub(before));
    (passed > TICK + LATE).then_some(Span { start: before, end: now })
}
