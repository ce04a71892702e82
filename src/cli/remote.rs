//! A running server, spoken to over HTTP.

mod admin;

use std::{net::IpAddr, time::Duration};

use http::{HeaderValue, Method, Uri};
use reqwest::{Client, Response, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

pub(super) use self::admin::{AdminArgs, AdminServer};
use super::{exit::Exit, failure::Failure};

const VARIABLE: &str = "CLAVIGER_SERVER";
/// How long a server may take, everything counted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server by its base URL.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    client: Client,
}

/// What a server answered; the body is null when it is no JSON.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub body: Value,
}

/// The header that shows a key or a token.
pub(super) fn bearer(secret: &SecretString) -> Result<HeaderValue, Failure> {
    let text = secret.expose_secret();
    let refused = || Failure::new(Exit::Unauthenticated, "the credential holds characters that no key and no token has");
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}

impl Server {
    /// The server that the flag or the environment names. What another flag names goes before the environment.
    ///
    /// # Errors
    /// When both are named by flags, and when the URL is none.
    pub(super) fn choose(flag: Option<&str>, other_is_named: bool) -> Result<Option<Self>, Failure> {
        if flag.is_some() && other_is_named {
            return Err(Failure::usage("`--server` cannot be used with a flag that names a database or policies"));
        }
        let variable = || std::env::var(VARIABLE).ok().filter(|url| !other_is_named && !url.is_empty());
        flag.map(str::to_owned).or_else(variable).map(|url| Self::parse(&url)).transpose()
    }

    /// Reads the base URL of a server.
    ///
    /// # Errors
    /// What is no http or https URL, and one with a user or a password: those would be shown in messages.
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::usage("the URL of a server is, for example, `https://claviger.example`, without a user or a password");
        let parsed = url.parse::<Uri>().map_err(|_| wrong())?;
        let fits = matches!(parsed.scheme_str(), Some("http" | "https"))
            && parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && parsed.query().is_none();
        if !fits {
            return Err(wrong());
        }
        // A credential is shown to the server that was named, and to no other that this one points to.
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none());
        let client = if parsed.host().is_some_and(is_loopback) { client.no_proxy() } else { client };
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client: client.build().map_err(Failure::failed)? })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Reads what a server shows to everybody, and the time that it writes above its answer.
    pub(super) async fn look(&self, path: &str) -> Result<(Reply, Option<String>), Failure> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.map_err(|error| self.unreachable(&error))?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((self.read(response).await?, date))
    }

    /// Sends one request and waits for the whole answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: HeaderValue,
        body: Option<&impl Serialize>,
    ) -> Result<Reply, Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).header("authorization", bearer);
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body).map_err(Failure::failed)?;
            request = request.header("content-type", "application/json").body(bytes);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.read(response).await
    }

    async fn read(&self, response: Response) -> Result<Reply, Failure> {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() { format!("within {} s", PATIENCE.as_secs()) } else { innermost(error) };
        Failure::new(Exit::Unreachable, format!("the server at `{}` does not answer: {why}", self.url))
    }

    /// Why an answer is not the one that was asked for: the server's own words, or that it is none.
    pub(super) fn refusal(&self, reply: &Reply) -> Failure {
        let (Some(code), Some(message)) = (reply.code(), reply.body.pointer("/error/message").and_then(Value::as_str)) else {
            let url = &self.url;
            return Failure::failed(format!("no answer of a claviger server came from `{url}` (status {})", reply.status));
        };
        let exit = match reply.status {
            401 | 403 => Exit::Unauthenticated,
            422 => Exit::Usage,
            // Whether the change was made is a question to the database; the server is well.
            503 if code != "OUTCOME_UNKNOWN" => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("{code}: {message}"))
    }
}

impl Reply {
    /// The code of the error that it is.
    pub(super) fn code(&self) -> Option<&str> {
        self.body.pointer("/error/code").and_then(Value::as_str)
    }
}

/// No proxy can reach this machine's own addresses, and none needs to see the credential.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// The cause that says the most: `Connection refused`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_is_a_plain_url() {
        for url in ["http://127.0.0.1:8080", "https://claviger.example/", "https://example.org/claviger", "http://[::1]:1"] {
            assert!(Server::parse(url).is_ok(), "{url}");
        }
        for url in ["", "127.0.0.1:8080", "ftp://example.org", "http://", "http://me:secret@example.org", "http://a/?b", "/x"] {
            assert!(Server::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_key_with_a_space_or_a_line_break_is_never_sent() {
        for key in ["a b", "a\r\nx-evil: 1", "ä", "a\0"] {
            assert!(bearer(&key.into()).is_err(), "{key:?}");
        }
        assert!(bearer(&"op_live_x".into()).unwrap().is_sensitive());
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_a_proxy() {
        for host in ["127.0.0.1", "127.8.0.1", "[::1]", "localhost", "LocalHost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "claviger.example", "localhost.example", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_refusal_ends_with_the_code_that_fits_it() {
        let server = Server::parse("http://127.0.0.1:1").unwrap();
        let exit = |status, code: &str| {
            server.refusal(&Reply { status, body: json!({ "error": { "code": code, "message": "no" } }) }).exit
        };
        for (status, code, expected) in [
            (400, "INVALID_REQUEST", Exit::Failed),
            (401, "INVALID_ADMIN_TOKEN", Exit::Unauthenticated),
            (403, "FORBIDDEN", Exit::Unauthenticated),
            (404, "NOT_FOUND", Exit::Failed),
            (409, "CONFLICT", Exit::Failed),
            (422, "INVALID_REQUEST", Exit::Usage),
            (503, "STORE_UNAVAILABLE", Exit::Unreachable),
            (503, "OUTCOME_UNKNOWN", Exit::Failed),
        ] {
            assert_eq!(exit(status, code), expected, "{status} {code}");
        }
        let foreign = server.refusal(&Reply { status: 403, body: json!({ "error": "blocked" }) });
        assert_eq!(foreign.exit, Exit::Failed);
        assert!(foreign.to_string().contains("no answer of a claviger server"), "{foreign}");
    }
}
