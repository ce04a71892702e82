//! A stand-in for a collector that counts spans and keeps none: the two cores are for the server and its clients.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{get, post},
};

type Count = Arc<AtomicU64>;

async fn take(State(count): State<Count>, body: Bytes) -> impl IntoResponse {
    count.fetch_add(spans_in(&body), Ordering::Relaxed);
    // An empty ExportTraceServiceResponse has no bytes.
    ([(CONTENT_TYPE, "application/x-protobuf")], Bytes::new())
}

async fn told(State(count): State<Count>) -> String {
    count.load(Ordering::Relaxed).to_string()
}

/// Listens on a free port and says so in a ready line.
pub(crate) async fn serve() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", serde_json::json!({ "url": format!("http://{}", listener.local_addr().expect("an address")) }));
    let router = Router::new().route("/v1/traces", post(take)).route("/count", get(told)).with_state(Count::default());
    let router = router.route("/v1/metrics", post(async || ()));
    axum::serve(listener, router.layer(axum::extract::DefaultBodyLimit::disable())).await.expect("the collector runs");
}

/// Spans in an `ExportTraceServiceRequest`: `resource_spans` is field 1, `scope_spans` in it 2, `spans` in that 2.
fn spans_in(request: &[u8]) -> u64 {
    let of_scopes = fields(request, 1).flat_map(|resource| fields(resource, 2));
    of_scopes.map(|scope| fields(scope, 2).count() as u64).sum()
}

/// The messages in a field of a message, all of whose fields are of the length-delimited kind or numbers.
fn fields(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            assert!(tag & 7 == 2, "only messages and texts lie on this level");
            let length = usize::try_from(varint(&mut rest)).expect("a length");
            let (field, after) = rest.split_at(length);
            rest = after;
            if tag >> 3 == number {
                return Some(field);
            }
        }
        None
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
