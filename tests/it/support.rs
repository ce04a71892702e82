//! What the claims stand on: both databases, and callers.

pub(crate) mod engines;
pub(crate) mod postgres;
