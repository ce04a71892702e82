//! Callers of the API, and the answers they get. Every answer is checked for what every answer must have.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::app::TestApp;

/// Somebody with a header or two.
#[derive(Clone)]
pub(crate) struct Caller<'a> {
    app: &'a TestApp,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(app: &'a TestApp) -> Self {
        Self { app, headers: Vec::new() }
    }

    /// The same caller with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    /// Sends JSON; `null` stands for no body at all.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PATCH, path, body).await
    }

    pub(crate) async fn send_json(&self, method: Method, path: &str, body: Value) -> Answer {
        if body.is_null() {
            self.send(method, path, Body::empty()).await
        } else {
            self.send_text(method, path, body.to_string()).await
        }
    }

    /// Sends bytes that call themselves JSON.
    pub(crate) async fn send_text(&self, method: Method, path: &str, text: impl Into<Bytes>) -> Answer {
        self.clone().header("content-type", "application/json").send(method, path, Body::from(text.into())).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(*name, value.as_bytes());
        }
        self.send_request(request.body(body).unwrap()).await
    }

    /// Asks for something without an end, and reads none of it.
    pub(crate) async fn open(&self, path: &str) -> Response<Body> {
        let mut request = Request::builder().uri(path);
        for (name, value) in &self.headers {
            request = request.header(*name, value.as_bytes());
        }
        self.app.api.answer(request.body(Body::empty()).unwrap(), None).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send_request(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let response = self.app.api.answer(request, None).await;
        Answer::read(method, path, response).await
    }

    /// Asks for one decision on the key's own org.
    pub(crate) async fn authorize(&self, action: &str) -> Answer {
        self.post("/v1/authorize", json!({ "action": action })).await
    }

    /// Asks for one decision on this org.
    pub(crate) async fn authorize_on(&self, action: &str, org: &str) -> Answer {
        self.post("/v1/authorize", json!({ "action": action, "resource": { "type": "Org", "id": org } })).await
    }
}

/// An answer with the headers that every answer has.
#[derive(Debug)]
pub(crate) struct Answer {
    asked: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    async fn read(method: Method, path: String, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        // A stream has no end.
        let is_stream = parts.headers.get("content-type").is_some_and(|media| media == "text/event-stream");
        let bytes = if is_stream { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
        let answer = Self { asked: format!("{method} {path}"), status: parts.status.as_u16(), headers: parts.headers, bytes };
        answer.check(method == Method::HEAD);
        answer
    }

    /// What the contract says of every answer, whatever it is about.
    fn check(&self, bodiless: bool) {
        let header = |name: &str| self.header(name);
        assert!((1..=128).contains(&header("x-request-id").len()), "{self:?}");
        assert!(header("claviger-revision").parse::<i64>().is_ok_and(|revision| revision > 0), "{self:?}");
        assert_eq!(header("cache-control"), "no-store", "{self:?}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{self:?}");
        assert_eq!(self.headers.contains_key("www-authenticate"), self.status == 401, "{self:?}");
        assert_eq!(self.headers.contains_key("retry-after"), self.status == 503, "{self:?}");
        assert_eq!(self.headers.contains_key("allow"), self.status == 405, "{self:?}");
        assert!(self.headers.keys().all(|name| self.headers.get_all(name).iter().count() == 1), "{self:?}");
        if StatusCode::from_u16(self.status).unwrap().is_success() || bodiless {
            return;
        }
        if header("content-type") == "application/json" {
            let error = &self.json()["error"];
            let code = error["code"].as_str().unwrap();
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
            assert_eq!(error["request_id"], header("x-request-id"), "{self:?}");
            assert_eq!(error["docs_url"], format!("/docs/errors#{code}"), "{self:?}");
            assert_eq!(error["param"].is_string(), code == "INVALID_REQUEST" || self.status == 422, "{self:?}");
        } else {
            assert_eq!(header("content-type"), "application/problem+json", "{self:?}");
        }
    }

    /// The header's value, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}: {:?}", self.asked, self.bytes))
    }

    /// `error.code`, empty when there is none.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `error.param`, empty when there is none.
    pub(crate) fn param(&self) -> String {
        self.json()["error"]["param"].as_str().unwrap_or_default().to_owned()
    }

    /// Status, code and param of an error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        (self.status, self.code(), self.param())
    }

    /// Claims that no piece of a secret comes back, in whatever header or body.
    #[track_caller]
    pub(crate) fn hides(&self, secret: &str) -> &Self {
        let all = format!("{:?} {}", self.headers, self.text());
        let random = secret.rsplit('_').next().unwrap();
        let told = (0..=random.len() - 12).find(|at| all.contains(&random[*at..at + 12]));
        assert!(told.is_none() && !all.contains(&BASE64_STANDARD.encode(secret)), "{}: {all}", self.asked);
        self
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self.json()
    }

    /// Claims an error of this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}: {}", self.asked, self.text());
        self
    }

    /// Claims an `INVALID_REQUEST` of this status about this param.
    #[track_caller]
    pub(crate) fn invalid(&self, status: u16, param: &str) -> &Self {
        assert_eq!(self.error(), (status, "INVALID_REQUEST".to_owned(), param.to_owned()), "{}: {}", self.asked, self.text());
        self
    }
}
