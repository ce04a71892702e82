//! The protocol in a simulated world: a database, three replicas, and everything that can go wrong between them.
//!
//! Every message takes its time, or is lost; processes stop and go on; they die and start anew; the database is cut off,
//! restored from a backup, or replaced by a standby that lagged behind; its clock jumps. What the replicas do is decided by the
//! very code that production runs.

mod database;
mod world;

use self::world::World;

/// Seeds that failed once. 8379: a list of the replicas that was asked for before a write, and read after it.
const FAILED: [u64; 1] = [8_379];

/// The seeds that a run tries: those that failed once, and `CLAVIGER_SEEDS` (400) from `CLAVIGER_FIRST_SEED` (1) on. A new one
/// that fails is added to [`FAILED`].
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("CLAVIGER_FIRST_SEED", 1);
    FAILED.into_iter().chain(first..first + number("CLAVIGER_SEEDS", 400))
}

#[test]
fn no_replica_acts_on_what_was_longer_than_its_lease_or_after_a_write_was_said_to_be_everywhere() {
    let (mut decisions, mut propagated, mut refused) = (0, 0, 0);
    for seed in seeds() {
        let mut world = World::new(seed);
        if let Err(violation) = world.run() {
            panic!("seed {seed}: {violation}");
        }
        decisions += world.decisions;
        propagated += world.propagated();
        refused += world.refused;
    }
    eprintln!("{decisions} decisions, {refused} refused, {propagated} writes waited for everywhere");
    // A world in which nothing happens proves nothing.
    assert!(decisions > 10_000 && refused > 1_000 && propagated > 1_000);
}

#[test]
fn without_faults_every_replica_has_a_write_within_a_second_and_none_refuses() {
    for seed in 0..200 {
        let mut world = World::calm(seed);
        if let Err(violation) = world.run() {
            panic!("seed {seed}: {violation}");
        }
        assert_eq!(world.refused, 0, "seed {seed}");
        assert!(world.decisions > 100 && world.propagated() > 0, "seed {seed}");
    }
}
