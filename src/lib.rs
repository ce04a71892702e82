//! Claviger, bearer of the keys: an authorization server for API platforms.
//!
//! The map of the house. Imports point down these stairs only; `tests/it/house.rs` holds them to it.
//!
//! ```text
//! cli → http → snapshot → store  → domain
//!    ↘                  ↘ policy → domain
//!      prove            → policy
//! ```

pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod policy;
#[cfg(feature = "prove")]
pub mod prove;
pub mod snapshot;
pub mod store;
pub mod telemetry;
