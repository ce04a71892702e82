//! Why, for people: the policies that are about a request, part by part, and what keeps the nearest permits from holding.

use std::fmt::Write as _;

use super::one_line;
use crate::http::{NearMissView, PartExplanation, PolicyExplanation};

/// Colors a mark, green when it is good news.
pub(super) type Paint<'a> = &'a dyn Fn(bool, &str) -> String;

/// Blocks of lines, an empty line before each.
pub(super) fn tell(policies: &[PolicyExplanation], nearest: &[NearMissView], paint: Paint<'_>) -> String {
    let mut told: String = policies.iter().filter(|policy| policy.is_about).map(|policy| tell_policy(policy, paint)).collect();
    if !nearest.is_empty() {
        told.push_str("\nwhat keeps the nearest permits from holding:\n");
    }
    for miss in nearest {
        let changes: Vec<String> = miss.changes.iter().map(|change| one_line(change)).collect();
        let _ = writeln!(told, "  {}: {}", miss.policy, changes.join("; "));
    }
    told
}

fn tell_policy(policy: &PolicyExplanation, paint: Paint<'_>) -> String {
    let mark = mark(policy.value == "true", policy.error.is_some(), paint);
    let holds = if policy.value == "true" { "holds" } else { "does not hold" };
    let mut told = format!("\n{mark} {}  {}, {holds}  {}:{}\n", policy.id, policy.effect, policy.file, policy.line);
    policy.parts.iter().for_each(|part| told.push_str(&tell_part(part, paint)));
    told
}

fn tell_part(part: &PartExplanation, paint: Paint<'_>) -> String {
    let mark = mark(part.holds, part.error.is_some(), paint);
    let text = one_line(&part.text);
    // A scope says itself what it is about.
    let kind = if matches!(&*part.kind, "when" | "unless") { format!("{} ", part.kind) } else { String::new() };
    // The clauses of an `unless` are out of the way together; which of them is false is not to be seen from the mark.
    let value = match &part.error {
        Some(error) => format!("  {}", one_line(error)),
        None if part.kind == "unless" => format!("  is {}", part.value),
        None => String::new(),
    };
    format!("    {mark} {kind}{text}{value}\n")
}

/// ✓ for what holds, ✗ for what does not, ! for what cannot be evaluated.
fn mark(holds: bool, failed: bool, paint: Paint<'_>) -> String {
    let mark = match (failed, holds) {
        (true, _) => "!",
        (false, true) => "✓",
        (false, false) => "✗",
    };
    paint(holds, mark)
}
