//! `claviger policy explain --decision`: a server is asked, which has the decision in memory.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    cli::{failure::Failure, remote::AdminArgs, server::runtime},
    domain::id::DecisionId,
    http::{ExplanationView, RecordedView},
};

/// The server's answer.
pub(super) fn ask(server: &AdminArgs, id: DecisionId) -> Result<ExplanationView, Failure> {
    let server = server.open()?;
    let body: Value = json!({ "decision_id": id.to_string() });
    let answer = runtime()?.block_on(server.post("/v1/explain", &body))?;
    serde_json::from_value(answer).map_err(|error| Failure::failed(format!("the answer is no explanation: {error}")))
}

/// What is said of the decision before it is explained.
pub(super) fn tell(recorded: &RecordedView) -> String {
    let decision = &recorded.decision;
    let policy_set = decision.policy_set.as_deref().unwrap_or("no policies");
    let mut told = format!("{} of {}, by {policy_set}\n", decision.id, decision.time);
    for note in &recorded.notes {
        let _ = writeln!(told, "note: {note}");
    }
    if !recorded.same_policy_set {
        let code = decision.code.as_ref().map(|code| format!(": {code}")).unwrap_or_default();
        let _ = writeln!(told, "it was decided: {}{code}; by the policies in force it would be:", decision.decision);
    }
    told
}
