//! The handles of series, by labels: found without a lock and without an allocation.

use std::{fmt, hash::Hash};

use arc_swap::ArcSwap;
use equivalent::Equivalent;
use imbl::HashMap;

/// What tells a series from the others of its metric: two labels that are texts, and the rest as a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels<T> {
    texts: [T; 2],
    number: u16,
}

impl Equivalent<Labels<Box<str>>> for Labels<&str> {
    fn equivalent(&self, other: &Labels<Box<str>>) -> bool {
        self.number == other.number && self.texts == other.texts.each_ref().map(|text| &**text)
    }
}

/// Handles, made when a series is first met. The map shares its structure, so a new one copies little.
pub(super) struct Series<H> {
    handles: ArcSwap<HashMap<Labels<Box<str>>, H>>,
    most: usize,
}

impl<H> fmt::Debug for Series<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Series({} at most)", self.most)
    }
}

impl<H: Clone> Series<H> {
    /// Keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { handles: ArcSwap::default(), most }
    }

    /// Uses the handle of a series, which is made the first time.
    pub(super) fn with(&self, texts: [&str; 2], number: u16, make: impl FnOnce() -> H, act: impl FnOnce(&H)) {
        let labels = Labels { texts, number };
        let handles = self.handles.load();
        if let Some(handle) = handles.get(&labels) {
            return act(handle);
        }
        let handle = make();
        act(&handle);
        if handles.len() < self.most {
            let owned = Labels { texts: texts.map(Box::from), number };
            // Whoever makes the same at once has a handle of the same series.
            self.handles.rcu(|handles| handles.update(owned.clone(), handle.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_handle_is_made_once_and_only_so_many_are_kept() {
        let (series, made) = (Series::new(2), Cell::new(0));
        let met = |texts, number| {
            series.with(texts, number, || made.set(made.get() + 1), |()| {});
            made.get()
        };
        assert_eq!((met(["a", "b"], 1), met(["a", "b"], 1)), (1, 1));
        assert_eq!((met(["a", "b"], 2), met(["a", "b"], 2)), (2, 2));
        assert_eq!((met(["ab", ""], 1), met(["ab", ""], 1)), (3, 4), "a third is used and not kept");
    }
}
