//! Each fault, against a server that sends back what it gets.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc::{self, UnboundedReceiver},
    time::{Instant, sleep, timeout},
};

use super::{Fault, Relay};

/// Nothing here takes this long, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);
/// Long enough for a byte to arrive that should not.
const WHILE: Duration = Duration::from_millis(150);
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// A relay before an echo server, and what each of the server's connections had got when it ended.
async fn echo() -> (Relay, UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let (mut all, mut part) = (Vec::new(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    all.extend_from_slice(&part[..length]);
                    // The other side may be gone, with more to read from it.
                    let _ = stream.write_all(&part[..length]).await;
                }
                let _ = sender.send(all);
            });
        }
    });
    (Relay::to(&address.to_string()).await.unwrap(), got)
}

struct Client(TcpStream);

impl Client {
    async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn hear(&mut self, bytes: &[u8]) {
        let mut heard = vec![0; bytes.len()];
        timeout(PATIENCE, self.0.read_exact(&mut heard)).await.expect("nothing comes back").unwrap();
        assert_eq!(heard, bytes);
    }

    async fn talk(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
        self.hear(bytes).await;
    }

    async fn hear_nothing(&mut self) {
        let heard = timeout(WHILE, self.0.read(&mut [0; 64])).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Reads until the connection is reset, and returns what came before.
    async fn reset(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let error = timeout(PATIENCE, self.0.read_to_end(&mut heard)).await.expect("it is not reset").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        heard
    }
}

async fn reset_from_the_start(address: SocketAddr) {
    // The reset may come before the connection is known to be made.
    if let Ok(stream) = TcpStream::connect(address).await {
        assert_eq!(Client(stream).reset().await, b"");
    }
}

async fn wait_for(relay: &Relay, connections: usize) {
    let start = Instant::now();
    while relay.connections() != connections {
        assert!(start.elapsed() < PATIENCE, "{} connections", relay.connections());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let (relay, mut got) = echo().await;
    let mut client = Client::to(relay.address()).await;
    let long: Vec<u8> = (0..2_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let (mut reads, mut writes) = client.0.split();
    let mut heard = Vec::new();
    let send = async {
        writes.write_all(&long).await.unwrap();
        writes.shutdown().await.unwrap();
    };
    let ((), length) = tokio::join!(send, timeout(PATIENCE, reads.read_to_end(&mut heard)));
    assert_eq!(length.unwrap().unwrap(), long.len());
    assert!(heard == long && got.recv().await.unwrap() == long);
    wait_for(&relay, 0).await;
}

#[tokio::test]
async fn a_delay_holds_each_way_and_keeps_the_order() {
    let (relay, _got) = echo().await;
    let mut client = Client::to(relay.address()).await;
    client.talk(b"before").await;
    let (least, most) = (Duration::from_millis(20), Duration::from_millis(60));
    relay.set(Fault::Delay { least, most, seed: 7 });
    let start = Instant::now();
    client.talk(b"slow").await;
    assert!(start.elapsed() >= 2 * least, "{:?}", start.elapsed());
    for byte in 0..=50 {
        client.send(&[byte]).await;
        sleep(Duration::from_millis(1)).await;
    }
    client.hear(&(0..=50).collect::<Vec<u8>>()).await;
}

#[tokio::test]
async fn a_black_hole_swallows_everything_closes_nothing_and_gives_it_back_when_it_ends() {
    let (relay, mut got) = echo().await;
    let (mut client, mut leaving) = (Client::to(relay.address()).await, Client::to(relay.address()).await);
    client.talk(b"before").await;
    leaving.talk(b"bye").await;
    relay.set(Fault::BlackHole);
    let mut late = Client::to(relay.address()).await;
    client.send(b"inside").await;
    late.send(b"late").await;
    drop(leaving);
    client.hear_nothing().await;
    late.hear_nothing().await;
    assert!(got.try_recv().is_err());
    wait_for(&relay, 3).await;
    relay.set(Fault::Pass);
    client.hear(b"inside").await;
    late.hear(b"late").await;
    assert_eq!(timeout(PATIENCE, got.recv()).await.unwrap().unwrap(), b"bye");
}

#[tokio::test]
async fn stranded_connections_stay_dead_and_new_ones_live() {
    let (relay, _got) = echo().await;
    let mut old = Client::to(relay.address()).await;
    old.talk(b"before").await;
    relay.strand_all();
    old.send(b"lost").await;
    let mut new = Client::to(relay.address()).await;
    new.talk(b"new").await;
    old.hear_nothing().await;
    assert_eq!(relay.connections(), 2);
    relay.reset_all();
    assert_eq!((old.reset().await, new.reset().await), (vec![], vec![]));
}

#[tokio::test]
async fn refusing_resets_old_and_new_connections_until_it_ends() {
    let (relay, _got) = echo().await;
    let mut old = Client::to(relay.address()).await;
    old.talk(b"before").await;
    relay.set(Fault::Refuse);
    assert_eq!(old.reset().await, b"");
    reset_from_the_start(relay.address()).await;
    wait_for(&relay, 0).await;
    relay.set(Fault::Pass);
    Client::to(relay.address()).await.talk(b"after").await;
}

#[tokio::test]
async fn a_relay_to_nobody_resets() {
    // Bound, so that nobody else gets the port, and deaf.
    let deaf = TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let relay = Relay::to(&deaf.local_addr().unwrap().to_string()).await.unwrap();
    reset_from_the_start(relay.address()).await;
}

#[tokio::test]
async fn a_reset_ends_the_connections_there_are_and_no_other() {
    let (relay, mut got) = echo().await;
    let (mut first, mut second) = (Client::to(relay.address()).await, Client::to(relay.address()).await);
    first.talk(b"1").await;
    second.talk(b"2").await;
    relay.reset_all();
    assert_eq!((first.reset().await, second.reset().await), (vec![], vec![]));
    assert_eq!(got.recv().await.unwrap().len() + got.recv().await.unwrap().len(), 2);
    Client::to(relay.address()).await.talk(b"new").await;
}

#[tokio::test]
async fn a_cut_lets_exactly_so_many_bytes_through_once_for_each_call() {
    let (relay, mut got) = echo().await;
    relay.cut_after(5);
    relay.cut_after(9);
    for count in [5, 9] {
        let mut client = Client::to(relay.address()).await;
        client.talk(b"abc").await;
        client.send(b"defghijkl").await;
        client.reset().await;
        assert_eq!(got.recv().await.unwrap(), b"abcdefghijkl"[..count]);
    }
    Client::to(relay.address()).await.talk(b"abcdefghijkl").await;
}

#[tokio::test]
async fn a_commit_arrives_and_its_answer_is_lost_once() {
    let (relay, mut got) = echo().await;
    relay.cut_in_commit();
    let (mut client, mut other) = (Client::to(relay.address()).await, Client::to(relay.address()).await);
    client.talk(b"Q\0\0\0\x28BEGIN ISOLATION LEVEL READ COMMITTED\0").await;
    assert!(relay.awaits_commit());
    client.send(COMMIT).await;
    assert_eq!(client.reset().await, b"");
    assert!(!relay.awaits_commit() && got.recv().await.unwrap().ends_with(COMMIT));
    other.talk(COMMIT).await;
    relay.cut_in_commit();
    other.talk(&COMMIT[..7]).await;
    other.send(&COMMIT[7..]).await;
    assert_eq!(other.reset().await, b"");
}

#[tokio::test]
async fn it_counts_its_connections_and_ends_them_when_it_ends() {
    let (relay, _got) = echo().await;
    let (mut first, mut second) = (Client::to(relay.address()).await, Client::to(relay.address()).await);
    first.talk(b"1").await;
    second.talk(b"2").await;
    assert_eq!(relay.connections(), 2);
    drop(first);
    wait_for(&relay, 1).await;
    let address = relay.address();
    drop(relay);
    let ended = timeout(PATIENCE, second.0.read(&mut [0; 8])).await.unwrap();
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_url_leads_through_the_relay() {
    let relay = Relay::before("postgres://me:secret@127.0.0.1:5432/name?sslmode=disable").await.unwrap();
    let rerouted = format!("postgres://me:secret@{}/name", relay.address());
    assert_eq!(relay.reroute("postgres://me:secret@127.0.0.1:5432/name"), rerouted);
}
