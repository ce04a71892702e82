//! The server behind a socket, for what only raw bytes can say.

use std::{net::SocketAddr, time::Duration};

use claviger::http;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::app::TestApp;

/// A running accept loop; it ends when this is dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _loop: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let running = tokio::spawn(http::serve(listener, app.api.clone(), stopped));
        Self { address, _stop: stop, _loop: running }
    }

    /// Sends bytes and reads to the end of the connection; the request should ask for it to be closed.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.open(bytes).await;
        read_all(&mut stream).await
    }

    /// Sends bytes, says that nothing more will come, and reads to the end.
    pub(crate) async fn send_and_hang_up(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.open(bytes).await;
        stream.shutdown().await.unwrap();
        read_all(&mut stream).await
    }

    pub(crate) async fn open(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }
}

/// Everything until the server closes; a server that never does is a failure.
pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer, for a body that nobody read, is an end like any other.
    let _ = timeout(Duration::from_mins(1), stream.read_to_end(&mut bytes)).await.expect("the server keeps the connection open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status of an answer as it came over the wire.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The body of an answer as it came over the wire.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
