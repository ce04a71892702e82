//! `--allow-wider`: the actions that are meant to allow more than before.

use std::io::{self, Write as _};

use super::report::Report;
use crate::{
    cli::{
        exit::Exit,
        key::create::suggestion,
        policy::finding::{Finding, Refusal},
        streams::Streams,
    },
    policy::Engine,
    prove::{Action, Kind, Proof, Verdict, actions},
};

/// The uids of these actions.
#[derive(Debug)]
pub(super) struct Allowance(Vec<String>);

impl Allowance {
    /// Reads names as the schema has them, or uids.
    ///
    /// # Errors
    /// Exit 2 when a name is no action of the schema, or that of several.
    pub(super) fn read(names: &[String], engine: &Engine) -> Result<Self, Refusal> {
        let actions = actions(engine.schema());
        let (mut uids, mut wrong) = (Vec::new(), Vec::new());
        for name in names {
            match find(name, &actions) {
                Ok(uid) => uids.push(uid),
                Err((message, help)) => wrong.push(Finding::placeless(message, Some(help))),
            }
        }
        if wrong.is_empty() { Ok(Self(uids)) } else { Err((wrong, Exit::Usage)) }
    }

    /// Whether this is a widening that is meant.
    pub(super) fn allows(&self, proof: &Proof) -> bool {
        (proof.kind, proof.verdict) == (Kind::Change, Verdict::Wider) && self.0.contains(&proof.name)
    }

    /// Names the actions that allow no more than before.
    pub(super) fn write_needless(&self, report: &Report<'_>, streams: &mut Streams<'_>) -> io::Result<()> {
        let against = report.against().unwrap_or_default();
        let is_needless = |proof: &&Proof| proof.kind == Kind::Change && proof.verdict.is_good() && self.0.contains(&proof.name);
        report.proofs().iter().filter(is_needless).try_for_each(|Proof { name, .. }| {
            writeln!(streams.err, "note: {name} allows no more than in {against}: `--allow-wider` is no longer needed for it")
        })
    }
}

/// The uid of an action; or what is wrong with its name, and what helps.
fn find(name: &str, actions: &[Action]) -> Result<String, (String, &'static str)> {
    if let Some(action) = actions.iter().find(|action| action.uid == name) {
        return Ok(action.uid.clone());
    }
    let named: Vec<&str> = actions.iter().filter(|action| action.name == name).map(|action| &*action.uid).collect();
    match *named {
        [uid] => Ok(uid.to_owned()),
        [] => {
            let known: Vec<&str> = actions.iter().flat_map(|action| [&*action.name, &*action.uid]).collect();
            let message = format!("the schema has no action `{name}`{}", suggestion(&known, name));
            Err((message, "`--allow-wider` takes the name of one action, no group"))
        }
        _ => {
            let message = format!("`{name}` is the name of several actions: {}", named.join(", "));
            Err((message, "name one of them so"))
        }
    }
}
