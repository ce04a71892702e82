//! The program as people start it: a process, its output, its signals.

mod alone;
mod canary;
mod clocks;
mod collector;
mod decision_log;
mod dev;
mod kill;
mod last_use;
mod metrics;
mod reload;
mod rolling;
mod serve;
mod stop;
mod together;
mod traces;

use std::{
    collections::HashSet,
    fs,
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use serde_json::Value;

const SLICE: usize = 12;

/// Every slice of some secrets that would give a part of one away, plain and in base64 at each alignment.
pub(crate) struct Search(HashSet<Vec<u8>>);

impl Search {
    pub(crate) fn new(secrets: &[String]) -> Self {
        let mut slices = HashSet::new();
        for secret in secrets {
            let mut forms = vec![secret.clone().into_bytes()];
            forms.extend((0..3).map(|skip| {
                let rest = &secret.as_bytes()[skip..];
                BASE64_STANDARD_NO_PAD.encode(&rest[..rest.len() / 3 * 3]).into_bytes()
            }));
            slices.extend(forms.iter().flat_map(|form| form.windows(SLICE).map(<[u8]>::to_vec)));
        }
        Self(slices)
    }

    /// The first part of a secret in there.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<String> {
        let found = bytes.windows(SLICE).find(|window| self.0.contains(*window));
        found.map(|found| String::from_utf8_lossy(found).into_owned())
    }

    #[track_caller]
    pub(crate) fn assert_finds_nothing(&self, bytes: &[u8], what: &str) {
        let found = self.find(bytes);
        assert!(found.is_none(), "{what} holds {found:?}");
    }
}

#[track_caller]
pub(crate) fn assert_holds_none(secrets: &[String], bytes: &[u8], what: &str) {
    Search::new(secrets).assert_finds_nothing(bytes, what);
}

/// No file of a directory holds a part of a secret.
#[track_caller]
pub(crate) fn assert_files_hold_none(secrets: &[String], directory: &Path) {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read(&path).unwrap();
        bytes += text.len();
        assert_holds_none(secrets, &text, &path.display().to_string());
    }
    assert!(bytes > 1_000, "there is hardly a database in {}", directory.display());
}

/// Every line is an object of JSON.
#[track_caller]
pub(crate) fn assert_json_lines(text: &str) {
    for line in text.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

/// Asks again until there is an answer, or time is up.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
