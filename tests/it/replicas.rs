//! Several servers on one Postgres: what one of them acknowledged is a fact on all.

#[cfg(test)]
mod absent;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod digest;
mod hammer;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod revoked;

use std::time::Duration;

use crate::support::history::Bounds;

/// What `consistency.md` promises; a replica that is asked nothing else has the default lease.
const BOUNDS: Bounds = Bounds { connected: Duration::from_secs(1), max_staleness: Duration::from_secs(60) };
