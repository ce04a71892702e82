//! The way to the collector: `opentelemetry-otlp` knows the endpoint, the headers, TLS, and when to try again.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{error::OTelSdkResult, trace::SpanExporter as _};

use super::{
    export::{Piece, redacted},
    mask::Masks,
    spans::each_span,
    wire::Wire,
};

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
        match self {
            Self::Grpc(exporter) => {
                let mut spans = Vec::with_capacity(batch.len());
                for piece in batch {
                    match piece {
                        Piece::Record(recorded) => each_span(recorded, |mut span, attributes| {
                            attributes.tell(&mut span.attributes, masks);
                            spans.push(span);
                        }),
                        Piece::Span(span) => spans.push(redacted(span)),
                    }
                }
                exporter.export(spans).await
            }
            Self::Http { exporter, carrier, wire } => {
                let mut request = wire.begin(carrier.unload());
                for piece in batch {
                    match piece {
                        Piece::Record(recorded) => {
                            each_span(recorded, |span, attributes| request.push(&span, |to| attributes.tell(to, masks)));
                        }
                        Piece::Span(span) => request.push(&redacted(span), |_| {}),
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
