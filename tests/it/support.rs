//! What the claims stand on: both databases, a server on either, and callers.

pub(crate) mod app;
pub(crate) mod caller;
pub(crate) mod engines;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod rotel;
pub(crate) mod scrape;
pub(crate) mod wire;
