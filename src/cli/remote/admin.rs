//! A running server, spoken to as an admin, for what no database has.

use std::time::Duration;

use clap::Args;
use http::{HeaderValue, Method};
use reqwest::Response;
use serde_json::Value;

use super::{Server, bearer};
use crate::cli::{credential::TokenArgs, failure::Failure};

/// Longer than anybody follows.
const ENDLESS: Duration = Duration::from_hours(24 * 365);

/// Which server, and the token that it is shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct AdminArgs {
    /// URL of the running server that is asked, with an admin token [default: CLAVIGER_SERVER]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

/// A server that knows the admin.
#[derive(Debug)]
pub(in crate::cli) struct AdminServer {
    server: Server,
    bearer: HeaderValue,
}

impl AdminArgs {
    /// Whether a flag says that a server is meant.
    pub(in crate::cli) const fn is_given(&self) -> bool {
        self.server.is_some() || self.token.is_given()
    }

    /// The server that is meant.
    ///
    /// # Errors
    /// When none is named, or there is no token.
    pub(in crate::cli) fn open(&self) -> Result<AdminServer, Failure> {
        let none = || Failure::usage("decisions are in the memory of a server; name it with `--server` or CLAVIGER_SERVER");
        let server = Server::choose(self.server.as_deref(), false)?.ok_or_else(none)?;
        Ok(AdminServer { server, bearer: bearer(&self.token.read()?)? })
    }
}

impl AdminServer {
    /// Reads something.
    ///
    /// # Errors
    /// The server's own words when it answers anything but 200.
    pub(in crate::cli) async fn read(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks with a body.
    ///
    /// # Errors
    /// As [`AdminServer::read`].
    pub(in crate::cli) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let reply = self.server.send(method, path, self.bearer.clone(), body).await?;
        if reply.status == 200 { Ok(reply.body) } else { Err(self.server.refusal(&reply)) }
    }

    /// Opens a stream of events, after the one of an id.
    ///
    /// # Errors
    /// As [`AdminServer::read`].
    pub(in crate::cli) async fn stream(&self, path: &str, after: Option<&str>) -> Result<Response, Failure> {
        let Server { url, client } = &self.server;
        let mut request = client.get(format!("{url}{path}")).timeout(ENDLESS).header("authorization", self.bearer.clone());
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| self.server.unreachable(&error))?;
        let is_stream = response.headers().get("content-type").is_some_and(|media| media == "text/event-stream");
        if response.status() == 200 && is_stream {
            return Ok(response);
        }
        Err(self.server.refusal(&self.server.read(response).await?))
    }

    /// Why a stream broke.
    pub(in crate::cli) fn broken(&self, error: &reqwest::Error) -> Failure {
        self.server.unreachable(error)
    }
}
