//! What `authorize` reads: every key and org and the policies, in memory, at one revision.

pub mod files;
