//! How far a long command is, for those who wait for it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Without a terminal, a line says at such intervals that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A line on stderr that changes, gone when this is dropped; where nobody watches, a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    last_sign: Mutex<Instant>,
}

impl Progress {
    /// Of something with a number of steps.
    pub(super) fn of_steps(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::new(bar.with_message(what))
    }

    /// Of something of which nobody knows how long it is.
    pub(super) fn open_ended() -> Self {
        Self::new(ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner()))
    }

    fn new(bar: ProgressBar) -> Self {
        let bar = bar.with_finish(indicatif::ProgressFinish::AndClear);
        if io::stderr().is_terminal() {
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, last_sign: Mutex::new(Instant::now()) }
    }

    /// So many of so many steps are done.
    pub(super) fn set(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.sign(|| format!("{}: {done} of {total}", self.bar.message()));
    }

    /// What is being done.
    pub(super) fn say(&self, what: String) {
        self.bar.set_message(what);
        self.sign(|| self.bar.message());
    }

    /// Writes while the line is away.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    fn sign(&self, line: impl FnOnce() -> String) {
        let mut last = self.last_sign.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_hidden() && last.elapsed() >= SIGN_OF_LIFE {
            *last = Instant::now();
            // Whoever closed the stream does not wait for it.
            let _ = writeln!(io::stderr(), "{}", line());
        }
    }
}
