//! How deep and how large the schema's types become once their names are resolved.
//!
//! Thirty lines `type B = { x: A, y: A };` make a type of a billion attributes, and a chain of names a tree as deep as it
//! is long. Cedar resolves both without a bound, so they are measured first.

use std::collections::HashMap;

use serde_json::Value;

use super::{declaration, diagnostic::Diagnostic, files::PolicyFiles, sample::Types, schema::entries};

/// Types inside types: Cedar reads a context value of such a type on the request's own stack, a deep one level by level.
const DEEPEST: usize = 16;
/// Attributes and elements of all types together, names resolved.
const MOST_PARTS: usize = 100_000;

/// Says which declaration goes past a limit.
pub(super) fn check(files: &PolicyFiles, types: &Types, namespaces: &[(String, Value)]) -> Result<(), Diagnostic> {
    let mut sizes = Sizes { types, known: HashMap::new() };
    let mut total = 0usize;
    for (namespace, definition) in namespaces {
        let common = entries(definition, "commonTypes").map(|(name, kind)| (name, Some(kind)));
        let shapes = entries(definition, "entityTypes");
        let shapes = shapes.flat_map(|(name, kind)| [(name, kind.get("shape")), (name, kind.get("tags"))]);
        let actions = entries(definition, "actions");
        let contexts = actions.map(|(name, action)| (name, action.get("appliesTo").and_then(|applies| applies.get("context"))));
        for (name, kind) in common.chain(shapes).chain(contexts) {
            let Some(kind) = kind else { continue };
            let size = sizes.measure(namespace, kind, 0);
            let problem = |what: String| declaration::diagnostic(files, name, None, format!("the type of `{name}` {what}"));
            let Some(size) = size else {
                let problem = problem("is nested too deeply".to_owned());
                return Err(problem.help(format!("at most {DEEPEST} levels, names of types included")));
            };
            total = total.saturating_add(size.parts);
            if total > MOST_PARTS {
                let problem = problem("makes the schema too large".to_owned());
                return Err(problem.help(format!("at most {MOST_PARTS} attributes in all types together, named types resolved")));
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Size {
    depth: usize,
    parts: usize,
}

struct Sizes<'a> {
    types: &'a Types,
    /// By common type. A type that is being measured counts as nothing: Cedar refuses cycles itself.
    known: HashMap<String, Size>,
}

impl Sizes<'_> {
    /// `None` when the type is too deep.
    fn measure(&mut self, namespace: &str, kind: &Value, level: usize) -> Option<Size> {
        if level > DEEPEST {
            return None;
        }
        let size = if let Some((name, (namespace, kind))) = self.types.common(namespace, kind) {
            if let Some(size) = self.known.get(name) {
                *size
            } else {
                self.known.insert(name.to_owned(), Size { depth: 0, parts: 0 });
                let size = self.measure(namespace, kind, level + 1)?;
                self.known.insert(name.to_owned(), size);
                size
            }
        } else {
            let mut all = Size { depth: 0, parts: 0 };
            for part in entries(kind, "attributes").map(|(_, part)| part).chain(kind.get("element")) {
                let part = self.measure(namespace, part, level + 1)?;
                all = Size { depth: all.depth.max(part.depth), parts: all.parts.saturating_add(part.parts) };
            }
            all
        };
        let size = Size { depth: size.depth + 1, parts: size.parts.saturating_add(1) };
        (level + size.depth <= DEEPEST + 1).then_some(size)
    }
}
