//! The HTTP API keeps its contract: one file per route or topic.

mod admins;
mod authorize;
mod credentials;
mod docs;
mod envelope;
mod health;
mod keys;
mod orgs;
mod paths;
mod policies;
mod roles;
mod whoami;
