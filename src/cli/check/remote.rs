//! The decision of a running server, asked over HTTP.

use std::time::Duration;

use http::{HeaderValue, Uri};
use reqwest::{Client, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Answer, question::Question};
use crate::cli::{exit::Exit, failure::Failure, server::runtime};

/// How long a server may take, everything counted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server by its base URL.
#[derive(Debug)]
pub(super) struct Server(String);

/// The header that shows the key.
pub(super) fn bearer(key: &SecretString) -> Result<HeaderValue, Failure> {
    let text = key.expose_secret();
    let refused = || Failure::new(Exit::Unauthenticated, "the API key holds characters that no key has");
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}

impl Server {
    /// Reads the base URL of a server.
    ///
    /// # Errors
    /// What is no http or https URL, and one with a user or a password: those would be shown in messages.
    pub(super) fn parse(url: &str) -> Result<Self, Failure> {
        let fits = url.parse::<Uri>().is_ok_and(|parsed| {
            matches!(parsed.scheme_str(), Some("http" | "https"))
                && parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && parsed.query().is_none()
        });
        if fits {
            return Ok(Self(url.trim_end_matches('/').to_owned()));
        }
        Err(Failure::usage("the URL of a server is, for example, `https://claviger.example`, without a user or a password"))
    }

    /// Asks for one decision.
    pub(super) fn ask(&self, key: &SecretString, question: Question) -> Result<Answer, Failure> {
        runtime()?.block_on(self.post(bearer(key)?, question))
    }

    async fn post(&self, bearer: HeaderValue, question: Question) -> Result<Answer, Failure> {
        // A key is shown to the server that was named, and to no other that this one points to.
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build().map_err(Failure::failed)?;
        let request = client.post(format!("{}/v1/authorize", self.0)).header("authorization", bearer);
        let body = serde_json::to_vec(&question).map_err(Failure::failed)?;
        let response = request.header("content-type", "application/json").body(body).send().await;
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() { format!("within {} s", PATIENCE.as_secs()) } else { innermost(error) };
        Failure::new(Exit::Unreachable, format!("the server at `{}` does not answer: {why}", self.0))
    }
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
}
