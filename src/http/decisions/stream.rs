//! `GET /v1/decisions/stream`: decisions as they are made, as server-sent events.
//!
//! The stream looks into the ring every tenth of a second; nobody who decides knows of it. What a slow reader has not taken in
//! time is gone, and it is told how much that was.

use std::{convert::Infallible, fmt::Write as _, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures_util::stream::unfold;
use tokio::time::{Instant, sleep, timeout};

use super::{DecisionView, FilterParams, read_filter};
use crate::{
    domain::id::DecisionId,
    http::{
        auth::authorize_admin,
        error::{ApiError, Errors},
        management::{ListCall, SILENT},
        state::AppState,
    },
    policy::{ManagementAction, Target},
    telemetry::{Follower, Step},
};

/// How often is looked.
const TICK: Duration = Duration::from_millis(100);
/// So many decisions are shown in a tick; the rest waits, and may be lost: writing it all would take the time of those who decide.
const MOST: usize = 500;
/// So many steps are made in a tick at most, past decisions that do not fit.
const STEPS: usize = 2 * MOST;
/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// How often is asked whether the admin may still look, and at once after any change here.
const CHECK: Duration = Duration::from_secs(5);

/// Streams what this server process decides, as server-sent events.
///
/// Each event has a decision as JSON in its `data` and its id as event id; `Last-Event-ID` goes on after that one as long as it is
/// in memory. An event `lost` says in `{"lost":N}` how many decisions the reader was too slow for, `null` when nobody knows. At
/// most 5,000 decisions a second are shown.
#[utoipa::path(get, path = "/v1/decisions/stream", operation_id = "stream_decisions", tag = "recent decisions",
    params(FilterParams, ("last-event-id" = Option<String>, Header, description = "Go on after this decision")),
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 429, description = "As many streams are open as one server feeds."), Errors))]
pub(in crate::http) async fn stream_decisions(
    headers: HeaderMap,
    ListCall(mut call, mut query): ListCall,
) -> Result<Response, ApiError> {
    call.no_fields()?;
    let filter = read_filter(&mut query)?;
    query.finish()?;
    let after = last_event(&headers)?;
    call.authorize(ManagementAction::DecisionsRead, &Target::System)?;
    let recent = call.app.recorder.recent().ok_or(ApiError::NotFound)?;
    let follower = recent.follow(filter, after).ok_or(ApiError::TooManyStreams)?;
    if call.app.stopping.is_told() {
        return Err(ApiError::Stopping);
    }
    let now = Instant::now();
    let revision = call.app.keeper.current().revision();
    let feed = Feed { app: call.app, admin: call.admin.id, follower, spoken: now, checked: now, revision };
    let greeting = Bytes::from_static(b": decisions from here on\n\n");
    let chunks = unfold((Some(greeting), feed), async |(greeting, mut feed)| {
        let chunk = match greeting {
            Some(greeting) => greeting,
            None => feed.next().await?,
        };
        Some((Ok::<_, Infallible>(chunk), (None, feed)))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

fn last_event(headers: &HeaderMap) -> Result<Option<DecisionId>, ApiError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| ApiError::invalid("last-event-id", "`Last-Event-ID` must be the id of a decision"))
}

/// One stream.
struct Feed {
    app: AppState,
    admin: crate::domain::id::AdminId,
    follower: Follower,
    spoken: Instant,
    checked: Instant,
    /// The snapshot's revision when that was asked last: a revocation is a later one.
    revision: i64,
}

impl Feed {
    /// Waits for the next events; `None` at the end, when the server stops or the admin may not look any more.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                () = sleep(TICK) => {}
                () = self.app.stopping.told() => return None,
            }
            let revision = self.app.keeper.current().revision();
            if revision != self.revision || self.checked.elapsed() >= CHECK {
                (self.checked, self.revision) = (Instant::now(), revision);
                if !self.may_look().await {
                    return None;
                }
            }
            let mut events = self.events();
            if events.is_empty() && self.spoken.elapsed() >= SILENCE {
                events.push_str(": nothing new\n\n");
            }
            if !events.is_empty() {
                self.spoken = Instant::now();
                return Some(events.into());
            }
        }
    }

    /// A database that does not answer cannot say that the token still is good.
    async fn may_look(&self) -> bool {
        let found = timeout(SILENT, self.app.store.find_admin(self.admin)).await;
        let admin = found.ok().and_then(Result::ok).flatten().filter(|admin| admin.revoked_at.is_none());
        admin.is_some_and(|admin| authorize_admin(&self.app, &admin, ManagementAction::DecisionsRead, &Target::System).is_ok())
    }

    fn events(&mut self) -> String {
        let mut events = String::new();
        let mut shown = 0;
        for _ in 0..STEPS {
            match self.follower.step() {
                Step::Decision(kept) => {
                    let view = DecisionView::new(&kept);
                    // Texts and numbers always serialize, on one line.
                    let data = serde_json::to_string(&view).unwrap_or_default();
                    let _ = write!(events, "id: {}\ndata: {data}\n\n", view.id);
                    shown += 1;
                }
                Step::Lost(count) => {
                    let count = count.map_or_else(|| "null".to_owned(), |count| count.to_string());
                    let _ = write!(events, "event: lost\ndata: {{\"lost\":{count}}}\n\n");
                }
                Step::Passed => {}
                Step::End => break,
            }
            if shown == MOST {
                break;
            }
        }
        events
    }
}
