//! Everything that can go wrong, in an order that a seed gives; and nothing that must not be seen is seen.

use std::time::Duration;

use claviger::domain::random::Random;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::hammer::{Hammer, fresh};
use crate::support::{
    fleet::Fleet,
    history::{Begun, Bounds, Lasting},
    postgres::Cluster,
    relay::Fault,
};

const SERVERS: u64 = 3;
const BOUNDS: Bounds = Bounds { connected: Duration::from_secs(1), max_staleness: Duration::from_secs(3) };
const KEYS: usize = 150;

/// The seed of every run; one that ever fails is added.
const KEPT: [u64; 1] = [1];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A run in progress.
struct Chaos {
    random: Random,
    cluster: Cluster,
    fleet: Fleet,
    hammer: Hammer,
    /// What ends by itself later.
    later: Vec<JoinHandle<()>>,
    left: usize,
}

impl Chaos {
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes) % bound
    }

    fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    fn member(&self) -> usize {
        usize::try_from(self.below(SERVERS)).unwrap()
    }

    /// The member is apart until it has polled the database again.
    fn end_when_fresh(&mut self, member: usize, apart: Begun<Lasting>) {
        let reader = self.fleet.key_at(member, "");
        self.later.push(tokio::spawn(async move {
            fresh(&reader).await;
            apart.end();
        }));
    }

    async fn revoke(&mut self, query: &str) {
        if self.left > 0 {
            self.left -= 1;
            let _ = self.hammer.revoke(&self.fleet, self.member(), query).await;
        }
    }

    async fn pause(&mut self) {
        let (member, length) = (self.member(), self.millis(300, 5_000));
        self.fleet.members[member].program.pause();
        let apart = self.hammer.recorder.apart(member);
        self.revoke_elsewhere(member).await;
        tokio::time::sleep(length).await;
        self.fleet.members[member].program.resume();
        self.end_when_fresh(member, apart);
    }

    async fn cut_off(&mut self) {
        let (member, length) = (self.member(), self.millis(300, 5_000));
        let fault = match self.below(3) {
            0 => Fault::BlackHole,
            1 => Fault::Refuse,
            _ => Fault::Delay { least: Duration::from_millis(20), most: Duration::from_millis(400), seed: self.below(1_000) },
        };
        let apart = self.hammer.recorder.apart(member);
        self.fleet.members[member].relay.set(fault);
        self.revoke_elsewhere(member).await;
        tokio::time::sleep(length).await;
        self.fleet.members[member].relay.set(Fault::Pass);
        self.end_when_fresh(member, apart);
    }

    /// A write while somebody is absent; every other one waits for all.
    async fn revoke_elsewhere(&mut self, absent: usize) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let query = if self.below(2) == 0 { "?wait=all" } else { "" };
        let member = (absent + 1) % self.fleet.members.len();
        let _ = self.hammer.revoke(&self.fleet, member, query).await;
    }

    async fn cut_connections(&mut self) {
        let member = self.member();
        match self.below(3) {
            0 => self.fleet.members[member].relay.reset_all(),
            1 => self.fleet.members[member].relay.cut_after(1 + usize::try_from(self.below(2_000)).unwrap()),
            _ => self.fleet.members[member].relay.cut_in_commit(),
        }
        let apart = self.hammer.recorder.apart(member);
        self.end_when_fresh(member, apart);
        if self.left > 0 {
            self.left -= 1;
            let _ = self.hammer.revoke(&self.fleet, member, "").await;
        }
    }

    async fn kill_server(&mut self) {
        let member = self.member();
        let apart = self.hammer.recorder.apart(member);
        let fresh_one = self.fleet.launch().await;
        std::mem::replace(&mut self.fleet.members[member], fresh_one).program.kill();
        self.hammer.ask(&self.fleet, member);
        apart.end();
    }

    async fn interrupt_database(&mut self) {
        let apart: Vec<_> = (0..self.fleet.members.len()).map(|member| self.hammer.recorder.apart(member)).collect();
        let end = if self.below(2) == 0 { Cluster::stop } else { Cluster::kill };
        end(&mut self.cluster);
        tokio::time::sleep(self.millis(100, 4_000)).await;
        self.cluster.start();
        for (member, apart) in apart.into_iter().enumerate() {
            self.end_when_fresh(member, apart);
        }
    }

    async fn end_listeners(&mut self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        if let Ok(mut connection) = PgConnection::connect(&self.cluster.url()).await {
            let _ = connection.execute(sql).await;
        }
    }

    async fn step(&mut self) {
        match self.below(14) {
            0 => self.pause().await,
            1 | 2 => self.cut_off().await,
            3 | 4 => self.cut_connections().await,
            5 => self.kill_server().await,
            6 => self.interrupt_database().await,
            7 => self.end_listeners().await,
            8 => self.revoke("?wait=all").await,
            _ => self.revoke("").await,
        }
        tokio::time::sleep(self.millis(50, 600)).await;
    }
}

async fn run(seed: u64, steps: u64) {
    eprintln!("seed {seed}");
    let cluster = Cluster::own();
    let fleet = Fleet::start(&cluster.url(), 3, &[("CLAVIGER_CONSISTENCY__MAX_STALENESS", "3s")]).await;
    let hammer = Hammer::start(&fleet, fleet.keys(KEYS).await, 1);
    let mut chaos = Chaos { random: Random::seeded(seed), cluster, fleet, hammer, later: Vec::new(), left: KEYS - 1 };
    for _ in 0..steps {
        chaos.step().await;
    }
    for later in std::mem::take(&mut chaos.later) {
        later.await.unwrap();
    }
    tokio::time::sleep(BOUNDS.connected).await;
    let report = chaos.hammer.finish(BOUNDS).await;
    assert!(report.violations.is_empty(), "seed {seed}:\n{}", report.violations.join("\n"));
    assert!(report.decides > 100 && report.writes > 2, "seed {seed}: {report}");
}

/// `CLAVIGER_CHAOS` seeds of `CLAVIGER_STEPS` steps each, from `CLAVIGER_FIRST_SEED` on, besides those that were kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_nothing_is_seen_that_must_not_be_seen() {
    let first = number("CLAVIGER_FIRST_SEED", 100);
    for seed in KEPT.into_iter().chain(first..first + number("CLAVIGER_CHAOS", 0)) {
        run(seed, number("CLAVIGER_STEPS", 25)).await;
    }
}
