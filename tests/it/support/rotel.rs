//! A real collector between the server and the stand-in that remembers what it was sent.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::program::shipped_directory;

/// It ends when this is dropped.
pub(crate) struct Rotel {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl Drop for Rotel {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Rotel {
    /// Starts one that passes spans on over OTLP/HTTP.
    pub(crate) fn start(to: &str) -> Self {
        let program = shipped_directory("target/tools/rotel/rotel-agent");
        assert!(program.is_file(), "there is no {}: run scripts/get-rotel", program.display());
        let (grpc, http) = (free_address(), free_address());
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", to]);
        command.args(["--otlp-grpc-endpoint", &grpc.to_string(), "--otlp-http-endpoint", &http.to_string()]);
        command.args(["--batch-timeout", "100ms"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut rotel = Self { child, grpc: format!("http://{grpc}"), http: format!("http://{http}") };
        let deadline = Instant::now() + Duration::from_secs(30);
        while [grpc, http].iter().any(|address| TcpStream::connect(address).is_err()) {
            let ended = rotel.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the collector does not listen: {ended:?}");
            thread::sleep(Duration::from_millis(50));
        }
        rotel
    }
}
