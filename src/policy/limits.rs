//! Limits that are checked on the bare text, before Cedar's parser sees it.
//!
//! Cedar's parser, validator and formatter recurse over the text without a bound: ten thousand opening parentheses
//! overflow the stack, and an overflow ends the process. What passes here fits the stack that [`super::load`] gives it.

use super::{
    diagnostic::Diagnostic,
    files::{SourceFile, SourceKind},
};

/// Brackets inside brackets.
const DEEPEST: usize = 64;
/// Operators in one statement: chains of `&&`, `.`, `+` nest in Cedar's syntax tree, one level for each; so do the
/// clauses of a policy, and its annotations are compared with each other.
const MOST_OPERATORS: usize = 2_000;
/// All live files together, in bytes.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Says where a file goes past a limit, or is no text.
pub(super) fn check(file: &SourceFile) -> Result<(), Diagnostic> {
    if file.text.starts_with('\u{feff}') {
        return Err(Diagnostic::at(file, 0, 0, "the file begins with a byte order mark").help("save it as UTF-8 without one"));
    }
    // Cedar takes it inside of strings and comments; a file that lost a block to a crash is full of them.
    if let Some(offset) = file.text.find('\0') {
        return Err(Diagnostic::at(file, offset, 1, "the file holds a NUL byte").help("is it damaged? write it again"));
    }
    let (mut depth, mut operators) = (0usize, 0usize);
    let mut tokens = Tokens { bytes: file.text.as_bytes(), at: 0 };
    // In a schema they are the brackets of `Set<…>`; in a policy they compare.
    let angles = file.kind == SourceKind::Schema;
    while let Some((offset, token)) = tokens.next() {
        match token {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'<' if angles => depth += 1,
            b'>' if angles => depth = depth.saturating_sub(1),
            b';' if depth == 0 => operators = 0,
            b'&' | b'|' | b'.' | b'+' | b'-' | b'*' | b'!' | b'@' | b'i' => operators += 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Diagnostic::at(file, offset, 1, "brackets are nested too deeply")
                .help(format!("at most {DEEPEST} levels; name intermediate conditions in policies of their own")));
        }
        if operators > MOST_OPERATORS {
            return Err(Diagnostic::at(file, offset, 1, "the statement has too many operators")
                .help(format!("at most {MOST_OPERATORS}; use a set and `contains`, or several policies")));
        }
    }
    Ok(())
}

/// Bytes that matter: outside of strings and comments; the words `if`, `when` and `unless` come as `i`.
struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<(usize, u8)> {
        loop {
            let (offset, byte) = (self.at, self.peek(0)?);
            match byte {
                b'"' => self.skip_string(),
                b'/' if self.peek(1) == Some(b'/') => {
                    let rest = self.bytes.get(self.at..).unwrap_or_default();
                    // As in Cedar, a comment ends at a bare `\r` too: what follows it is no comment.
                    self.at += rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
                }
                b if b.is_ascii_alphanumeric() || b == b'_' => {
                    let word = self.skip_word();
                    if matches!(self.bytes.get(word..self.at), Some(b"if" | b"when" | b"unless")) {
                        return Some((offset, b'i'));
                    }
                }
                _ => {
                    self.at += 1;
                    return Some((offset, byte));
                }
            }
        }
    }

    fn skip_word(&mut self) -> usize {
        let start = self.at;
        while self.peek(0).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        start
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::files::{SourceFile, SourceKind},
        *,
    };

    fn file(text: String) -> SourceFile {
        SourceFile { kind: SourceKind::Policies, path: "policies/a.cedar".into(), name: "a.cedar".into(), text }
    }

    #[test]
    fn a_bare_carriage_return_ends_a_comment_as_it_does_for_cedar() {
        assert!(check(&file(format!("// \r{}", "(".repeat(65)))).is_err());
        assert!(check(&file(format!("// {}\r", "(".repeat(65)))).is_ok());
    }

    #[test]
    fn sets_of_sets_in_a_schema_are_brackets_and_comparisons_in_a_policy_are_not() {
        let text = format!("type A = {}Bool{};", "Set<".repeat(65), ">".repeat(65));
        assert!(check(&file(text.clone())).is_ok());
        assert!(check(&SourceFile { kind: SourceKind::Schema, ..file(text) }).is_err());
        let flat = "type A = Set<Bool>;".repeat(100);
        assert!(check(&SourceFile { kind: SourceKind::Schema, ..file(flat) }).is_ok());
    }

    #[test]
    fn nesting_in_strings_and_comments_does_not_count() {
        let text =
            format!("// {}\npermit(principal, action, resource) when {{ \"{}\\\"(\" == \"\" }};", "(".repeat(99), "(".repeat(99));
        assert!(check(&file(text)).is_ok());
    }

    #[test]
    fn deep_brackets_and_long_chains_are_refused_with_their_place() {
        let deep = check(&file(format!("\n{}", "(".repeat(65)))).unwrap_err();
        assert_eq!(deep.position(), Some((2, 65)));
        for term in ["&& a ", "|| a ", ".a", "+ 1 ", "!", "if a then b else ", "when { a } ", "unless { a } ", "@a "] {
            assert!(check(&file(term.repeat(2_001))).is_err(), "{term}");
            assert!(check(&file(format!("{};", term.repeat(900)).repeat(4))).is_ok(), "{term}");
        }
    }
}
