//! Policy sets of any size: the shipped ones, and rules for single actions beside them.

use std::fmt::Write as _;

use claviger::policy::{PolicyFiles, SourceFile, SourceKind, shipped};

/// Actions of the shipped schema, and as many more as a large set has rules for.
const ACTIONS: [&str; 6] = ["classify:create", "credits:read", "jobs:read", "results:read", "scan:create", "webhooks:write"];

/// The shipped set with rules added, until keys have `count` policies (the two that carry the product among them).
/// Up to 6 of the added rules are for shipped actions, one each; the others are for actions of their own.
pub(crate) fn set(count: usize) -> PolicyFiles {
    let (mut policies, mut schema) = (String::new(), String::new());
    for index in 0..count.saturating_sub(2) {
        let action = ACTIONS.get(index).map_or_else(|| format!("extra:{index}"), |name| (*name).to_owned());
        if index >= ACTIONS.len() {
            let _ = writeln!(schema, "action \"{action}\" appliesTo {{ principal: [ApiKey], resource: [Org] }};");
        }
        let _ = writeln!(
            policies,
            "@id(\"rule-{index}\") forbid (principal is ApiKey, action == Action::\"{action}\", resource)\n\
             when {{ principal.environment == \"test\" && principal.org.name == \"Nobody {index}\" }};"
        );
    }
    let file = |kind, name: &str, text| SourceFile { kind, path: name.to_owned(), name: name.to_owned(), text };
    let mut files: Vec<SourceFile> = shipped().iter().cloned().collect();
    files.push(file(SourceKind::Policies, "rules.cedar", policies));
    if !schema.is_empty() {
        files.push(file(SourceKind::Schema, "rules.cedarschema", schema));
    }
    PolicyFiles::new(files)
}
