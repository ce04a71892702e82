//! The way to the collector: `opentelemetry-otlp` knows the endpoint, the headers, TLS, and when to try again.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{error::OTelSdkResult, trace::SpanExporter as _};

use super::{export::Piece, mask::Masks, wire::Wire};

/// By protocol.
#[derive(Debug)]
pub(super) enum Exporter {
    Grpc(SpanExporter),
    /// It is given no spans, and posts those that are [loaded](Carrier::load).
    Http {
        exporter: SpanExporter,
        carrier: Carrier,
        wire: Wire,
    },
}

impl Exporter {
    /// Sends the spans of a batch; one call at a time.
    pub(super) async fn export(&self, batch: &[Piece], masks: &Masks) -> OTelSdkResult {
        let mut spans = Vec::new();
        match self {
            Self::Grpc(exporter) => {
                for piece in batch {
                    piece.push_spans(&mut spans, masks);
                }
                exporter.export(spans).await
            }
            Self::Http { exporter, carrier, wire } => {
                let mut request = wire.begin(carrier.unload());
                for piece in batch {
                    // The same memory for each: what the requests' threads use stays in the cache.
                    piece.push_spans(&mut spans, masks);
                    for span in spans.drain(..) {
                        request.push(&span);
                    }
                }
                carrier.load(request.finish());
                exporter.export(Vec::new()).await
            }
        }
    }
}

/// The HTTP client of an exporter: it takes what was loaded in the place of what the exporter wrote.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    client: reqwest::Client,
    loaded: Arc<Mutex<Bytes>>,
}

impl Carrier {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self { client, loaded: Arc::default() }
    }

    /// The memory of what was loaded last, if nobody holds it any more.
    fn unload(&self) -> Vec<u8> {
        let mut last = std::mem::take(&mut *self.loaded.lock().unwrap_or_else(PoisonError::into_inner));
        last.truncate(0);
        last.into()
    }

    fn load(&self, body: Bytes) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }
}

#[async_trait]
impl HttpClient for Carrier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let body = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.client.send_bytes(request.map(|_| body)).await
    }
}
