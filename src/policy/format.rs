//! Formatting policy files: the layout changes, the meaning and the comments never do.

use std::str::FromStr;

use cedar_policy::PolicySet;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{
    diagnostic::{Diagnostic, LoadError, MOST},
    files::SourceFile,
    limits,
    load::{STACK, on_stack},
};

/// Cedar's formatter moves some line breaks only when it sees its own output; it settles at once or never.
const MOST_PASSES: usize = 4;

/// The text of a policy file as `claviger policy fmt` writes it.
///
/// # Errors
/// A text that does not parse, and one that the formatter would give another meaning, take a comment from, or never settle on.
pub fn format(file: &SourceFile) -> Result<String, LoadError> {
    limits::check(file)?;
    on_stack(STACK, || format_until_stable(file))?
}

fn format_until_stable(file: &SourceFile) -> Result<String, LoadError> {
    let set = PolicySet::from_str(&file.text).map_err(|errors| parse_error(file, &errors))?;
    let meaning = meaning(set).ok_or_else(|| refuse(file, "its meaning cannot be compared"))?;
    let mut text = file.text.clone();
    for _ in 0..MOST_PASSES {
        let next = policies_str_to_pretty(&text, &Config::default());
        let next = next.map_err(|error| refuse(file, &format!("it cannot be formatted: {error}")))?;
        if next == text {
            return Ok(text);
        }
        text = next;
        if PolicySet::from_str(&text).ok().and_then(self::meaning).as_ref() != Some(&meaning) {
            return Err(refuse(file, "formatting it would change its meaning").into());
        }
        if comments(&text) != comments(&file.text) {
            return Err(refuse(file, "formatting it would lose a comment").into());
        }
    }
    Err(refuse(file, "formatting it never comes to an end").into())
}

/// Policies and templates in Cedar's JSON form: everything but the layout.
fn meaning(set: PolicySet) -> Option<serde_json::Value> {
    set.to_json().ok()
}

fn parse_error(file: &SourceFile, errors: &cedar_policy::ParseErrors) -> LoadError {
    let problems: Vec<Diagnostic> = errors.iter().take(MOST).map(|error| Diagnostic::cedar(file, error)).collect();
    LoadError::check(problems).err().unwrap_or_else(|| refuse(file, "it does not parse").into())
}

fn refuse(file: &SourceFile, message: &str) -> Diagnostic {
    Diagnostic::at(file, 0, 0, message).help("the file is left as it is; move comments out of expressions, or format it by hand")
}

/// Every comment, sorted: the formatter may carry one past a token.
fn comments(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut rest, mut in_string) = (text, false);
    while let Some(at) = rest.find(['"', '\\', '/']) {
        let (_, tail) = rest.split_at(at);
        rest = if in_string && tail.starts_with('\\') {
            // An escape is the backslash and one more character.
            tail.char_indices().nth(2).map_or("", |(end, _)| tail.get(end..).unwrap_or_default())
        } else if !in_string && tail.starts_with("//") {
            let end = tail.find(['\n', '\r']).unwrap_or(tail.len());
            let (comment, after) = tail.split_at(end);
            found.push(comment.trim_end());
            after
        } else {
            in_string ^= tail.starts_with('"');
            tail.get(1..).unwrap_or_default()
        };
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{SHIPPED, SourceKind};

    fn file(text: &str) -> SourceFile {
        let (path, name) = ("policies/a.cedar".to_owned(), "a.cedar".to_owned());
        SourceFile { kind: SourceKind::Policies, path, name, text: text.to_owned() }
    }

    #[test]
    fn the_shipped_policies_are_written_as_fmt_writes_them() {
        for (path, text) in SHIPPED.iter().filter(|(path, _)| path.rsplit_once('.').is_some_and(|(_, ext)| ext == "cedar")) {
            assert_eq!(format(&file(text)).unwrap(), *text, "{path}");
        }
    }

    #[test]
    fn what_fmt_writes_fmt_leaves_alone_and_comments_stay() {
        let text = "// top\n@id(\"a\") // why\npermit(principal, // who\naction in [Action::\"a\", // one\nAction::\"b\"],resource)when{principal.name==\"// no comment \\\" //\"//last\n&&true};\n// end";
        let once = format(&file(text)).unwrap();
        assert_ne!(once, text);
        assert_eq!(format(&file(&once)).unwrap(), once);
        assert_eq!(comments(&once), ["// end", "// one", "// top", "// who", "// why", "//last"]);
    }

    #[test]
    fn a_text_that_does_not_parse_is_refused_with_its_place() {
        let error = format(&file("permit (principal, action, resource)\nwhere { true };")).unwrap_err();
        assert_eq!(error.first().position(), Some((2, 1)));
    }

    #[test]
    fn a_text_too_deep_for_the_formatter_is_refused_before_it() {
        let text =
            |depth| format!("permit (principal, action, resource) when {{ {}true{} }};", "(".repeat(depth), ")".repeat(depth));
        assert!(format(&file(&text(60))).is_ok());
        assert!(format(&file(&text(10_000))).is_err());
        let chain = |terms| format!("permit (principal, action, resource) when {{ {}true }};", "true && ".repeat(terms));
        assert!(format(&file(&chain(900))).is_ok());
    }
}
