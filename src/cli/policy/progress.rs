//! How far a long command is, for those who wait for it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, a line says at such intervals that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A bar on stderr, gone when it is dropped; where nobody watches, a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    last_sign: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
        } else {
            ProgressBar::hidden()
        };
        let bar = bar.with_finish(indicatif::ProgressFinish::AndClear);
        Self { bar, what, last_sign: Mutex::new(Instant::now()) }
    }

    /// So many of so many steps are done.
    pub(super) fn set(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        let mut last = self.last_sign.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_hidden() && last.elapsed() >= SIGN_OF_LIFE {
            *last = Instant::now();
            // Whoever closed the stream does not wait for it.
            let _ = writeln!(io::stderr(), "{}: {done} of {total}", self.what);
        }
    }
}
