//! Connections: an accept loop with the timeouts that `axum::serve` does not set, and a drain at the end.

use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(5);
/// How long requests in flight may take once the server is asked to stop.
pub const DRAIN: Duration = Duration::from_secs(12);
/// How long a connection may be silent before its peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);
/// A request's line and headers together.
const HEAD_BYTES: usize = 32 * 1024;

/// What stands behind a listener: the API, or the page of metrics. Clones are cheap.
pub trait Answers: Clone + Send + 'static {
    /// Answers a request from an address.
    fn answer(self, request: Request, address: Option<IpAddr>) -> impl Future<Output = Response> + Send;
}

/// Serves until `stop` is ready, then answers what is in flight for at most [`DRAIN`].
pub async fn serve(listener: TcpListener, api: impl Answers, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => connect(stream, peer, api.clone(), &graceful),
            Err(error) => {
                // Out of file descriptors, mostly: breathe, others will close.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running at the end of the drain");
    }
}

fn connect(stream: TcpStream, peer: SocketAddr, api: impl Answers, graceful: &GracefulShutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    // A peer that vanished without a word holds no connection for ever.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 6);
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "a connection has no keepalive");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request.map(Body::new), Some(peer.ip())).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
