//! Plain types of the product: parsed at the door, valid ever after. No IO, no async, no globals.

pub mod admin;
pub mod audit;
pub mod cause;
pub mod clock;
pub mod decision;
pub mod facts;
pub mod hex;
pub mod id;
pub mod invisible;
pub mod key;
pub mod name;
pub mod nearest;
pub mod org;
pub mod permission;
pub mod random;
pub mod redact;
pub mod replica;
pub mod secret;
