//! The HTTP API keeps its contract: one file per route or topic.

mod admins;
mod arrival;
mod audit;
mod authorize;
mod credentials;
mod decisions;
mod docs;
mod envelope;
mod errors;
mod expiry;
mod explain;
mod fresh;
mod health;
mod idempotency;
mod keys;
mod orgs;
mod outcome;
mod paths;
mod policies;
mod roles;
mod whoami;
