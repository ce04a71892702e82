//! `claviger check`: the decision of `POST /v1/authorize`, from the database and the policy directories or from a server.

mod local;
pub(super) mod question;

use clap::Args;
use http::Method;
use serde_json::Value;

use self::question::QuestionArgs;
use super::{
    credential::CredentialArgs,
    desk::DeskArgs,
    exit::Exit,
    failure::Failure,
    output::{Output, card, cell, write_json, write_line},
    policy_source::PolicySourceArgs,
    remote::{Reply, Server, bearer},
    server::runtime,
};

/// Decide a request as a server would, or ask one
#[derive(Debug, Args)]
#[command(after_help = "\
Without a server the decision is made here, from the database and the policies that `serve` would use.

Exit codes: 0 allowed, 3 denied, 4 the key is not valid, 5 the server cannot be reached or is not ready,
1 there is no decision, for example because the action is no permission.

Examples:
  claviger check classify:create --key - < secret
  CLAVIGER_API_KEY=op_live_… claviger check jobs:read --resource 'Org::\"org_…\"' -o json
  claviger check classify:create --server https://claviger.example --key - < secret")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
    /// URL of a running server to ask [default: CLAVIGER_SERVER, unless another flag names a database or policies]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    policies: PolicySourceArgs,
    #[command(flatten)]
    desk: DeskArgs,
}

/// What `POST /v1/authorize` said.
struct Answer {
    status: u16,
    body: Value,
}

pub(super) fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    if args.credential.is_from_stdin() && args.question.is_from_stdin() {
        return Err(Failure::usage("only one of key and context can come from standard input; CLAVIGER_API_KEY takes the key"));
    }
    let key = args.credential.read()?;
    let question = args.question.read()?;
    let named = args.desk.names_database() || args.policies.is_given();
    let output = args.desk.output();
    let Some(server) = Server::choose(args.server.as_deref(), named)? else {
        return args.desk.run(async |desk| local::ask(&desk, &args.policies, &key, question).await?.told(output));
    };
    let asked = server.send(Method::POST, "/v1/authorize", bearer(&key)?, Some(&question));
    let Reply { status, body } = runtime()?.block_on(asked)?;
    Answer { status, body }.told(output)
}

impl Answer {
    /// A text of the answer; a dash where there is none.
    fn text(&self, pointer: &str) -> String {
        cell(self.body.pointer(pointer))
    }

    /// Only an answer that says so in status and body is an allow.
    fn exit(&self) -> Exit {
        match (self.status, self.body.get("decision").and_then(Value::as_str)) {
            (200, Some("allow")) => Exit::Ok,
            (403, Some("deny")) => Exit::Negative,
            (401, _) => Exit::Unauthenticated,
            (503, _) => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// Prints it; the exit code says yes, no, or why neither.
    fn told(&self, output: Output) -> Result<Exit, Failure> {
        let exit = self.exit();
        let is_decision = matches!(exit, Exit::Ok | Exit::Negative);
        match output {
            Output::Json => write_json(&self.body)?,
            Output::Id if is_decision => write_line(&self.text("/decision_id"))?,
            Output::Table if is_decision => write_line(&self.card())?,
            Output::Id | Output::Table => {}
        }
        if is_decision {
            return Ok(exit);
        }
        let message = match self.body.pointer("/error/code") {
            Some(code) => format!("there is no decision: {}: {}", cell(Some(code)), self.text("/error/message")),
            None => format!("there is no decision, and no answer of a claviger server (status {})", self.status),
        };
        Err(Failure::new(exit, message))
    }

    fn card(&self) -> String {
        let named = |what: &str| format!("{} ({})", self.text(&format!("/{what}/name")), self.text(&format!("/{what}/id")));
        let decision = self.text("/decision");
        let decision = match self.body.get("error") {
            Some(_) => format!("{decision}: {}: {}", self.text("/error/code"), self.text("/error/message")),
            None => decision,
        };
        card([
            ("decision", decision),
            ("action", self.text("/action")),
            ("resource", format!("{}::\"{}\"", self.text("/resource/type"), self.text("/resource/id"))),
            ("key", format!("{}, {}", named("key"), self.text("/key/environment"))),
            ("organization", named("org")),
            ("policies", self.text("/policies")),
            ("policy set", self.text("/policy_set")),
            ("revision", self.text("/revision")),
            ("decision id", self.text("/decision_id")),
        ])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_says_so_twice_is_an_allow() {
        let exit = |status, body| Answer { status, body }.exit();
        assert_eq!(exit(200, json!({ "decision": "allow" })), Exit::Ok);
        for body in [json!({ "decision": "deny" }), json!({}), json!("allow"), json!(null)] {
            assert_eq!(exit(200, body), Exit::Failed);
        }
        assert_eq!(exit(403, json!({ "decision": "deny" })), Exit::Negative);
        assert_eq!(exit(403, json!({ "decision": "allow" })), Exit::Failed);
        assert_eq!(exit(403, json!({ "error": { "code": "FORBIDDEN" } })), Exit::Failed);
        assert_eq!(exit(401, json!({})), Exit::Unauthenticated);
        assert_eq!(exit(503, json!({})), Exit::Unreachable);
        assert_eq!(exit(302, json!({ "decision": "allow" })), Exit::Failed);
    }
}
