//! The listener for metrics, on a thread of its own, so that it answers while every worker decides.

use std::{io, net::SocketAddr, thread};

use tokio::{net::TcpListener, runtime, sync::oneshot};

use crate::http::{MetricsDoor, serve};

/// It stops when this is dropped; who is in the middle of an answer is not waited for.
#[derive(Debug)]
pub(super) struct Scraped {
    pub(super) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Scraped {
    pub(super) fn open(listener: TcpListener, door: MetricsDoor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let work = async move {
            let stopped = async { drop(stopped.await) };
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, door, stopped).await,
                Err(error) => tracing::error!(%error, "the metrics cannot be served"),
            }
        };
        thread::Builder::new().name("claviger-scraped".to_owned()).spawn(move || runtime.block_on(work))?;
        Ok(Self { address, _stop: stop })
    }
}
