//! A TCP relay on loopback that does to connections what networks do: delay, swallow, refuse, break at a chosen moment.
//!
//! It knows no protocol, except where a COMMIT of Postgres is. A change counts from when the call that made it returns: after
//! that no byte moves by the old rule. A reset follows promptly; a connection that was not yet accepted counts as a new one.

#[path = "relay/line.rs"]
mod line;
#[cfg(test)]
#[path = "relay/tests.rs"]
mod tests;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use self::line::{Line, Side};

/// What happens to all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Pass,
    /// Each way takes a time between these two, drawn from the seed; bytes never overtake each other.
    Delay {
        least: Duration,
        most: Duration,
        seed: u64,
    },
    /// Connections are accepted and stay open, and neither a byte nor an end of a connection passes either way. What was sent is
    /// held back and arrives when this ends, as TCP's retransmissions would have it; see also `Relay::strand_all`.
    BlackHole,
    /// Connections are reset, old and new.
    Refuse,
}

/// What is to happen to the connections, which are numbered in the order they come.
#[derive(Debug)]
struct Plan {
    fault: Fault,
    next: u64,
    reset_below: u64,
    stranded_below: u64,
    cuts: VecDeque<usize>,
    in_commit: bool,
}

/// What happens to one connection.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Move,
    Hold,
    Reset,
}

impl Plan {
    fn fate(&self, number: u64) -> Fate {
        match self.fault {
            _ if number < self.reset_below => Fate::Reset,
            _ if number < self.stranded_below => Fate::Hold,
            Fault::Pass | Fault::Delay { .. } => Fate::Move,
            Fault::BlackHole => Fate::Hold,
            Fault::Refuse => Fate::Reset,
        }
    }
}

/// It ends, and its connections with it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    target: String,
    plan: Arc<watch::Sender<Plan>>,
    open: Arc<AtomicUsize>,
    door: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.door.abort();
    }
}

impl Relay {
    /// A relay to whoever listens at this address now or later, as in `127.0.0.1:5432`.
    pub(crate) async fn to(target: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let fault = Fault::Pass;
        let plan = Plan { fault, next: 0, reset_below: 0, stranded_below: 0, cuts: VecDeque::new(), in_commit: false };
        let (plan, open) = (Arc::new(watch::Sender::new(plan)), Arc::new(AtomicUsize::new(0)));
        let door = tokio::spawn(keep_door(listener, target.to_owned(), Arc::clone(&plan), Arc::clone(&open)));
        Ok(Self { address, target: target.to_owned(), plan, open, door })
    }

    /// A relay to the server that this URL names, which must have a port.
    pub(crate) async fn before(url: &str) -> io::Result<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        Self::to(authority.rsplit('@').next().unwrap_or_default()).await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL, by way of this relay.
    pub(crate) fn reroute(&self, url: &str) -> String {
        url.replacen(&self.target, &self.address.to_string(), 1)
    }

    /// Changes what happens to all connections, old and new.
    pub(crate) fn set(&self, fault: Fault) {
        self.plan.send_modify(|plan| {
            plan.fault = fault;
            if fault == Fault::Refuse {
                plan.reset_below = plan.next;
            }
        });
    }

    /// Resets every connection there is; new ones are as the fault has it.
    pub(crate) fn reset_all(&self) {
        self.plan.send_modify(|plan| plan.reset_below = plan.next);
    }

    /// Leaves every connection there is in a black hole for good, as a firewall does that forgot them; only a reset ends them.
    pub(crate) fn strand_all(&self) {
        self.plan.send_modify(|plan| plan.stranded_below = plan.next);
    }

    /// The next connection is reset when this many bytes of its client, at least one, have been passed on. Further calls are for
    /// the connections after it.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.plan.send_modify(|plan| plan.cuts.push_back(bytes));
    }

    /// The next COMMIT of whatever connection arrives, its answer is lost, and its connection is reset.
    pub(crate) fn cut_in_commit(&self) {
        self.plan.send_modify(|plan| plan.in_commit = true);
    }

    /// Whether no COMMIT came since it was to be cut.
    pub(crate) fn awaits_commit(&self) -> bool {
        self.plan.borrow().in_commit
    }

    /// How many connections are open, those in a black hole among them.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// One of the connections that are counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn keep_door(listener: TcpListener, target: String, plan: Arc<watch::Sender<Plan>>, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else {
                    // Out of file descriptors, perhaps, and not for ever.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let counted = Counted::new(&open);
                let (mut number, mut budget) = (0, None);
                plan.send_modify(|plan| {
                    number = plan.next;
                    plan.next += 1;
                    budget = plan.cuts.pop_front();
                });
                let connection = connect(number, budget, client, target.clone(), Arc::clone(&plan));
                connections.spawn(async move {
                    connection.await;
                    drop(counted);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from when it was accepted until both sides have ended it or it is reset.
async fn connect(number: u64, budget: Option<usize>, mut client: TcpStream, target: String, plan: Arc<watch::Sender<Plan>>) {
    let mut changes = plan.subscribe();
    let moving = changes.wait_for(|plan| plan.fate(number) != Fate::Hold).await.is_ok_and(|plan| plan.fate(number) == Fate::Move);
    let server = if moving { TcpStream::connect(&target).await.ok() } else { None };
    let Some(mut server) = server else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let lost = AtomicBool::new(false);
        let ((client_reads, client_writes), (server_reads, server_writes)) = (client.split(), server.split());
        let asking = Side::Asking { budget, last: Vec::new() };
        let asking = Line::new(number, asking, client_reads, server_writes, &plan, &lost);
        let answering = Line::new(number, Side::Answering, server_reads, client_writes, &plan, &lost);
        tokio::try_join!(asking.run(), answering.run())
    };
    if ended.is_err() {
        // Without lingering, the close that follows is a reset.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}
