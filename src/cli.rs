//! The command line.

pub mod exit;
pub mod policy;
pub mod streams;
