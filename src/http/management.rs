//! What every management call does before its own work: authenticate the admin, read the body, ask the policies.

use std::{fmt, future::Future, str::FromStr, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, MatchedPath, Query, Request},
    http::{Method, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::{Instrument, field::Empty};
use utoipa::ToSchema;

use super::{
    auth::{authenticate_admin, author, authorize_admin, bearer},
    body::{Fields, missing, parse_object},
    envelope::Envelope,
    error::ApiError,
    input::{MANAGEMENT_LIMIT, check_json, read_body},
    state::AppState,
    wait::{Propagated, take_wait, wait_for_all},
};
use crate::{
    domain::{
        admin::Admin,
        audit::Author,
        id::{Id, Kind, OrgId},
        org::Org,
    },
    policy::{ManagementAction, Target},
    snapshot::Committed,
    store::{Listing, Page, StoreError, Written},
    telemetry::TraceParent,
};

/// How long reading from the database may take before its connection counts as one that went silent.
pub(super) const SILENT: Duration = Duration::from_secs(10);

/// An authenticated management call without a query: header shape, size, token and JSON are already in order.
#[derive(Debug)]
pub(super) struct Call {
    pub app: AppState,
    pub admin: Admin,
    envelope: Envelope,
    bytes: Bytes,
    body: Option<Fields>,
    /// Whether a write answers only when it is a fact on every replica.
    wait: bool,
}

/// A write that the own snapshot holds, and how far it has come elsewhere, if that was waited for.
#[derive(Debug)]
pub(super) struct Settled<T> {
    pub value: T,
    pub revision: i64,
    pub propagated: Option<Propagated>,
}

/// A call for a list: the only kind that takes a query.
#[derive(Debug)]
pub(super) struct ListCall(pub Call, pub PageQuery);

/// The query of a list, unread.
#[derive(Debug)]
pub(super) struct PageQuery(Vec<(String, String)>);

impl FromRequest<AppState> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ApiError> {
        let writes = request.method() != Method::GET;
        let ListCall(mut call, PageQuery(mut pairs)) = ListCall::from_request(request, app).await?;
        if writes {
            call.wait = take_wait(&mut pairs)?;
        }
        pairs.first().map_or(Ok(call), |(name, _)| Err(unknown_parameter(name)))
    }
}

impl FromRequest<AppState> for ListCall {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        bearer(&parts.headers)?;
        if !http_body::Body::is_end_stream(&body) {
            check_json(&parts.headers)?;
        }
        let bytes = read_body(body, MANAGEMENT_LIMIT).await?;
        if app.keeper.is_down() {
            return Err(ApiError::StoreUnavailable);
        }
        let admin = timeout(SILENT, authenticate_admin(app, &parts.headers)).await.unwrap_or(Err(ApiError::StoreUnavailable))?;
        let body = if bytes.is_empty() { None } else { Some(parse_object(&bytes)?) };
        let query = read_query(&parts.uri)?;
        let envelope = parts.extensions.get::<Envelope>().cloned().ok_or(ApiError::Internal)?;
        tracing::Span::current().record("claviger.admin.id", tracing::field::display(admin.id));
        Ok(Self(Call { app: app.clone(), admin, envelope, bytes, body, wait: false }, PageQuery(query)))
    }
}

impl Call {
    /// SHA-256 of the body as it came.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The fields of a body that must be there.
    pub(super) fn fields(&mut self) -> Result<Fields, ApiError> {
        self.body.take().ok_or_else(|| ApiError::invalid("body", "the body must be a JSON object"))
    }

    /// The fields of a body that may be left out.
    pub(super) fn optional_fields(&mut self) -> Fields {
        self.body.take().unwrap_or_default()
    }

    /// Refuses a body that says anything.
    pub(super) fn no_fields(&mut self) -> Result<(), ApiError> {
        self.optional_fields().finish()
    }

    /// Whether the policies let this admin do it.
    pub(super) fn authorize(&self, action: ManagementAction, target: &Target) -> Result<(), ApiError> {
        authorize_admin(&self.app, &self.admin, action, target)
    }

    /// Authorizes an action on an org that may not exist: who may not do it is not told which.
    pub(super) async fn authorize_org(&self, action: ManagementAction, id: Option<OrgId>) -> Result<Org, ApiError> {
        let org = match id {
            Some(id) => self.app.store.find_org(id).await?,
            None => None,
        };
        let target = match &org {
            Some(org) => Target::Org { id: org.id, name: org.name.to_string(), suspended: org.suspension.is_some() },
            None => Target::Org { id: id.unwrap_or(OrgId::NIL), name: String::new(), suspended: false },
        };
        self.authorize(action, &target)?;
        org.ok_or(ApiError::NotFound)
    }

    /// On whose behalf the call writes.
    pub(super) fn author(&self) -> Author {
        author(&self.app, &self.admin, &self.envelope)
    }

    /// Runs a write to its end; when this returns, the own snapshot holds it, and with `?wait=all` every other one, too.
    pub(super) async fn commit<T, F, W>(&self, write: F) -> Result<Settled<T>, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(AppState, Author) -> W,
        W: Future<Output = Result<Written<T>, StoreError>> + Send + 'static,
    {
        let Committed { written, fence } = self.app.keeper.commit(write(self.app.clone(), self.author())).await?;
        let propagated = if self.wait { Some(wait_for_all(&self.app, &fence).await) } else { None };
        Ok(Settled { value: written.value, revision: written.revision, propagated })
    }
}

fn read_query(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let query = Query::try_from_uri(uri);
    query.map(|Query(pairs)| pairs).map_err(|_| ApiError::invalid("query", "the query string cannot be read"))
}

impl PageQuery {
    /// Takes a parameter of the list's own out of the query.
    pub(super) fn take<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Result<Option<T>, ApiError> {
        let Some(at) = self.0.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(given, _)| given == name) {
            return Err(ApiError::invalid(name, "the parameter occurs twice"));
        }
        value.parse().map(Some).map_err(|error: T::Err| ApiError::invalid(name, error.to_string()))
    }

    /// Says which parameter is unknown, if one is left.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        self.0.first().map_or(Ok(()), |(name, _)| Err(unknown_parameter(name)))
    }

    /// `?limit=50` (1 to 200) and `&cursor=…`, which is bound to the list it came from.
    pub(super) fn page<I: FromStr>(self, list: &str) -> Result<Page<I>, ApiError> {
        let mut page = Page { limit: 50, after: None };
        let mut seen = Vec::new();
        for (name, value) in self.0 {
            if seen.contains(&name) {
                return Err(ApiError::invalid(&name, "the parameter occurs twice"));
            }
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=200).contains(limit) && !value.starts_with('+'));
                    page.limit = limit.ok_or_else(|| ApiError::invalid("limit", "`limit` must be a number from 1 to 200"))?;
                }
                "cursor" => page.after = Some(read_cursor(list, &value)?),
                _ => return Err(unknown_parameter(&name)),
            }
            seen.push(name);
        }
        Ok(page)
    }
}

fn unknown_parameter(name: &str) -> ApiError {
    ApiError::invalid(name, "the call does not take this parameter")
}

/// A cursor is a bond to its list and the last id. The bond finds what was changed or comes from elsewhere; it is no secret,
/// because a forged cursor only names a place in a list that its sender may read anyway.
fn write_cursor(list: &str, end: impl fmt::Display) -> String {
    let end = end.to_string();
    BASE64_URL_SAFE_NO_PAD.encode([&bond(list, &end), end.as_bytes()].concat())
}

fn read_cursor<I: FromStr>(list: &str, cursor: &str) -> Result<I, ApiError> {
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (bound, end) = bytes.split_first_chunk()?;
        let end = std::str::from_utf8(end).ok()?;
        if *bound == bond(list, end) { end.parse().ok() } else { None }
    };
    read().ok_or_else(|| ApiError::invalid("cursor", "`cursor` must be the `next_cursor` of this very list"))
}

fn bond(list: &str, end: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(format!("{list} {end}")).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListBody<V> {
    data: Vec<V>,
    /// Where the next page begins; `null` at the end.
    next_cursor: Option<String>,
}

impl<V> ListBody<V> {
    /// Shows a listing; the cursor names the list and the last id.
    pub(super) fn new<T, I: fmt::Display>(
        list: &str,
        listing: &Listing<T>,
        id: impl Fn(&T) -> I,
        view: impl Fn(&T) -> V,
    ) -> Json<Self> {
        let end = listing.items.last().filter(|_| listing.has_more);
        let next_cursor = end.map(|item| write_cursor(list, id(item)));
        Json(Self { data: listing.items.iter().map(view).collect(), next_cursor })
    }
}

/// An id out of a path; any other text names nothing.
pub(super) fn path_id<K: Kind>(text: &str) -> Option<Id<K>> {
    Id::from_str(text).ok()
}

/// A required text field as a value of the domain.
pub(super) fn required_field<T: FromStr<Err: fmt::Display>>(fields: &mut Fields, name: &'static str) -> Result<T, ApiError> {
    let text = fields.text(name)?.ok_or_else(|| missing(name))?;
    super::body::parse_field(name, &text)
}

/// An optional text field as a value of the domain.
pub(super) fn optional_field<T: FromStr<Err: fmt::Display>>(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| super::body::parse_field(name, &text)).transpose()
}

/// A span for each management call, in the caller's trace.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let method = request.method().clone();
    let request_id = request.extensions().get::<Envelope>().map(|envelope| envelope.id.clone()).unwrap_or_default();
    let span = tracing::info_span!(
        "management",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        claviger.request.id = &*request_id,
        claviger.admin.id = Empty,
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceParent::parse)
    {
        parent.adopt(&span);
    }
    let reads = method == Method::GET;
    let answer = next.run(request).instrument(span.clone());
    // A write ends by itself, and knows better than a clock here whether it was made.
    let response = if reads {
        timeout(SILENT, answer).await.unwrap_or_else(|_| ApiError::StoreUnavailable.into_response())
    } else {
        answer.await
    };
    span.record("http.response.status_code", response.status().as_u16());
    response
}
