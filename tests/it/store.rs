//! The store keeps its promises on SQLite and on Postgres alike.

mod admins;
mod audit;
mod backup;
mod concurrency;
mod follow;
mod garbage;
mod keys;
mod lists;
mod migrations;
mod names;
mod once;
mod opening;
mod orgs;
mod outcome;
mod rotation;
mod secrecy;
