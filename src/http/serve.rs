//! Connections: an accept loop with the timeouts that `axum::serve` does not set, and a drain at the end.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::{Router, extract::connect_info::Connected};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceExt};

/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(5);
/// How long requests in flight may take once the server is asked to stop.
pub const DRAIN: Duration = Duration::from_secs(20);
/// A request's line and headers together.
const HEAD_BYTES: usize = 32 * 1024;

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<SocketAddr> for Peer {
    fn connect_info(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// Serves until `stop` is ready, then answers what is in flight for at most [`DRAIN`].
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut make = router.into_make_service_with_connect_info::<Peer>();
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(service) = make.call(peer).await;
                connect(stream, service, &graceful);
            }
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

fn connect<S>(stream: TcpStream, service: S, graceful: &GracefulShutdown)
where
    S: Service<axum::extract::Request, Response = axum::response::Response, Error = std::convert::Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service.map_request(|request: http::Request<Incoming>| request.map(axum::body::Body::new));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
