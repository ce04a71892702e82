//! `claviger decisions`: what a running server decided last.

mod tail;
mod view;

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::{
    exit::Exit,
    failure::Failure,
    output::{Output, cell},
    remote::{AdminArgs, AdminServer},
    server::runtime,
};
use crate::domain::id::{DecisionId, KeyId, OrgId};

/// Show what a running server decided last, and what it decides now
#[derive(Debug, Args)]
#[command(after_help = "\
Each server has its own last decisions in memory, as many as its setting `log.recent` says; a restart forgets them.
What must be kept longer is in the decision log and in traces.

Examples:
  claviger decisions list --decision deny --server http://127.0.0.1:8080 --token - < token
  claviger decisions tail
  claviger policy explain --decision dec_…")]
pub(super) struct DecisionsArgs {
    #[command(flatten)]
    server: AdminArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them, newest first
    #[command(after_help = "\
Examples:
  claviger decisions list
  claviger decisions list --org org_… --decision deny --limit 500
  claviger decisions list --policy suspended-org-denied -o json")]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// So many at most
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Show one, with everything that it was made from
    #[command(after_help = "Examples:\n  claviger decisions get dec_…")]
    Get { decision: DecisionId },
    /// Show each as it is made, until it is interrupted
    #[command(after_help = "\
With `-o json` each is a line. What this reader is too slow for is lost, and told on stderr.

Examples:
  claviger decisions tail
  claviger decisions tail --decision deny -o json | jq .code")]
    Tail {
        #[command(flatten)]
        filter: FilterArgs,
    },
}

/// Which decisions are wanted.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Only of keys of this organization, by its id
    #[arg(long)]
    org: Option<OrgId>,
    /// Only of this key, by its id
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// Only allows or only denials
    #[arg(long, value_enum)]
    decision: Option<Effect>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Only those that this policy determined, by its id
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// Only denials with this error code
    #[arg(long)]
    code: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Effect {
    Allow,
    Deny,
}

impl FilterArgs {
    /// `&org=…&code=…`
    fn query(&self) -> String {
        let effect = self.decision.map(|effect| if matches!(effect, Effect::Allow) { "allow" } else { "deny" }.to_owned());
        let given = [
            ("org", self.org.map(|id| id.to_string())),
            ("key", self.key.map(|id| id.to_string())),
            ("decision", effect),
            ("action", self.action.clone()),
            ("policy", self.policy.clone()),
            ("code", self.code.clone()),
        ];
        let mut query = String::new();
        for (name, value) in given {
            let Some(value) = value else { continue };
            let _ = write!(query, "&{name}=");
            value.bytes().for_each(|byte| encode(&mut query, byte));
        }
        query
    }
}

fn encode(query: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        query.push(char::from(byte));
    } else {
        let _ = write!(query, "%{byte:02X}");
    }
}

pub(super) fn run(args: &DecisionsArgs) -> Result<Exit, Failure> {
    let server = args.server.open()?;
    runtime()?.block_on(async {
        match &args.command {
            Command::List { filter, limit } => list(&server, args.output, filter, *limit).await,
            Command::Get { decision } => {
                let found = server.read(&format!("/v1/decisions/{decision}")).await?;
                args.output.print(&if args.output == Output::Table { view::card(&found) } else { found })?;
                Ok(Exit::Ok)
            }
            Command::Tail { filter } => tail::follow(&server, args.output, &filter.query()).await,
        }
    })
}

async fn list(server: &AdminServer, output: Output, filter: &FilterArgs, limit: u32) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut cursor = String::new();
    while all.len() < limit {
        let most = (limit - all.len()).min(200);
        let page = server.read(&format!("/v1/decisions?limit={most}{}{cursor}", filter.query())).await?;
        let foreign = || Failure::failed("the answer is no list of decisions");
        all.extend(page.get("data").and_then(Value::as_array).ok_or_else(foreign)?.iter().cloned());
        match page.get("next_cursor").unwrap_or(&Value::Null) {
            Value::Null => break,
            next => {
                "&cursor=".clone_into(&mut cursor);
                cell(Some(next)).bytes().for_each(|byte| encode(&mut cursor, byte));
            }
        }
    }
    if output == Output::Table {
        all = all.iter().map(|found| Value::Object(view::row(found))).collect();
    }
    output.print_list(&all, &view::COLUMNS, "no decision in the server's memory is like that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_filter_is_one_value() {
        let mut query = String::new();
        "scan:create&org=ä b%".bytes().for_each(|byte| encode(&mut query, byte));
        assert_eq!(query, "scan%3Acreate%26org%3D%C3%A4%20b%25");
    }
}
