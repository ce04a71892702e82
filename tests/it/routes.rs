//! The HTTP API keeps its contract: one file per route or topic.

mod authorize;
mod credentials;
mod envelope;
mod health;
mod paths;
mod whoami;
