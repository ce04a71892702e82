//! HAProxy in front of servers: it looks at `/readyz`, keeps connections to them, and never sends a request twice.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::eventually;

const PROGRAM: &str = "/usr/sbin/haproxy";

/// It ends with its standard input, and so with the test process, however that ends.
const SCRIPT: &str = r#""$1" -db -f "$2" & read -r _; kill "$!""#;

/// A running proxy. It ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    child: Child,
    _directory: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// A proxy to servers at these addresses, as in `127.0.0.1:8080`.
    pub(crate) async fn before(servers: &[String]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "this test needs HAProxy: install it, for example with `apt-get install haproxy`");
        let directory = TempDir::new().unwrap();
        let (address, file) = (free_address(), directory.path().join("haproxy.cfg"));
        fs::write(&file, configuration(&address, servers)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh", PROGRAM]).arg(&file);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut proxy = Self { url: format!("http://{address}"), child, _directory: directory };
        for _ in 0..600 {
            if TcpStream::connect(&address).await.is_ok() {
                return proxy;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (mut said, errors) = (String::new(), proxy.child.stderr.take());
        drop(proxy);
        let _ = errors.unwrap().read_to_string(&mut said);
        panic!("haproxy does not start: {said}");
    }

    /// Waits until the proxy sends requests to this server, or none any more.
    pub(crate) async fn sees(&self, server: usize, up: bool) {
        let page = format!("{}/proxy-status;csv", self.url);
        let (row, state) = (format!("servers,s{server},"), if up { ",UP," } else { ",DOWN," });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let seen = async || {
            let page = client.get(&page).send().await.ok()?.text().await.ok()?;
            page.lines().any(|line| line.starts_with(&row) && line.contains(state)).then_some(())
        };
        eventually(&format!("the proxy sees s{server}{state}"), Duration::from_secs(30), seen).await;
    }
}

fn configuration(address: &str, servers: &[String]) -> String {
    let server = |(number, server)| format!("    server s{number} {server} check inter 500ms fall 2 rise 1\n");
    let servers: Vec<String> = servers.iter().enumerate().map(server).collect();
    format!(
        "global\n    maxconn 1000\n\
         defaults\n    mode http\n    option http-keep-alive\n    http-reuse always\n    retries 0\n    no option redispatch\n\
         \x20   timeout connect 10s\n    timeout client 60s\n    timeout server 60s\n    timeout check 10s\n\
         frontend door\n    bind {address}\n    stats enable\n    stats uri /proxy-status\n    default_backend servers\n\
         backend servers\n    balance roundrobin\n    option httpchk GET /readyz\n    http-check expect status 200\n{}",
        servers.concat()
    )
}

/// An address that nobody listens on, and that no connection takes as its own end: it lies below the range of those.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % 5_000;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
