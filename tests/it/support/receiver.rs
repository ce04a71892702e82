//! A collector that keeps every byte it is sent, headers and all.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::Request};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, task::JoinHandle};

/// It ends when this is dropped.
pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let keep = move |request: Request| {
            let kept = Arc::clone(&kept);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut kept = kept.lock().unwrap();
                kept.extend_from_slice(format!("{} {} {:?}\n", parts.method, parts.uri, parts.headers).as_bytes());
                kept.extend_from_slice(&body);
                // An empty ExportTraceServiceResponse has no bytes.
                ([("content-type", "application/x-protobuf")], Body::empty())
            }
        };
        let serving = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(keep)).await.unwrap() });
        Self { endpoint, seen, serving }
    }

    /// Everything so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }
}
