//! Lists by keyset: ascending ids, after the last one seen.

use crate::domain::id::{Id, Kind};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<I> {
    /// How many rows at most.
    pub limit: u32,
    /// The id of the last row of the page before.
    pub after: Option<I>,
}

/// One page of a list, and whether more rows follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl<K: Kind> Page<Id<K>> {
    /// The text that every wanted id is greater than.
    pub(super) fn after_text(&self) -> String {
        self.after.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl<I> Page<I> {
    /// One row more than wanted, to see whether there is one.
    pub(super) fn fetched(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    pub(super) fn listing<T>(&self, mut rows: Vec<T>) -> Listing<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Listing { items: rows, has_more }
    }
}
