//! Cuts a stream of bytes into the statements of SMT-LIB, by their parentheses.

/// A complete statement, as much as the stand-in has to know of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    Reset,
    Exit,
    /// Nothing is answered.
    Silent(Vec<u8>),
    /// The other side waits for an answer.
    Question(Vec<u8>),
}

/// The statement that is being read.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    text: Vec<u8>,
    depth: usize,
    /// Where parentheses mean nothing: in a `"string"`, a `|symbol|`, or a comment that ends with the line.
    quoted_until: Option<u8>,
}

impl Statements {
    /// Takes one byte; returns the statement that it completes. Comments, and space between statements, are left out.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Statement> {
        if let Some(end) = self.quoted_until {
            // Of a comment inside a statement the line break stays: it parts the words around it.
            if end != b'\n' || (byte == b'\n' && self.depth > 0) {
                self.text.push(byte);
            }
            if byte == end {
                self.quoted_until = None;
            }
            return None;
        }
        if byte == b';' {
            self.quoted_until = Some(b'\n');
            return None;
        }
        if self.depth == 0 && byte.is_ascii_whitespace() {
            self.text.clear();
            return None;
        }
        self.text.push(byte);
        match byte {
            b'"' | b'|' => self.quoted_until = Some(byte),
            b'(' => self.depth += 1,
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.text.push(b'\n');
                    return Some(classify(std::mem::take(&mut self.text)));
                }
            }
            _ => {}
        }
        None
    }
}

fn classify(text: Vec<u8>) -> Statement {
    let word = text.iter().filter(|byte| **byte != b'(').skip_while(|byte| byte.is_ascii_whitespace());
    let word: Vec<u8> = word.copied().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'-').collect();
    match word.as_slice() {
        b"reset" => Statement::Reset,
        b"exit" => Statement::Exit,
        word if word.starts_with(b"check-sat") || word.starts_with(b"get-") || word == b"echo" => Statement::Question(text),
        _ => Statement::Silent(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<Statement> {
        let mut statements = Statements::default();
        text.bytes().filter_map(|byte| statements.push(byte)).collect()
    }

    fn silent(text: &str) -> Statement {
        Statement::Silent(format!("{text}\n").into_bytes())
    }

    fn question(text: &str) -> Statement {
        Statement::Question(format!("{text}\n").into_bytes())
    }

    #[test]
    fn statements_end_with_their_parentheses_and_not_with_the_line() {
        let text = "(assert\n  (= a b))\n\n(check-sat)(get-model)";
        assert_eq!(cut(text), [silent("(assert\n  (= a b))"), question("(check-sat)"), question("(get-model)")]);
        assert_eq!(cut("(assert (= a"), []);
    }

    #[test]
    fn parentheses_in_strings_symbols_and_comments_are_text() {
        assert_eq!(cut("(assert (= a \") \"\" (\"))"), [silent("(assert (= a \") \"\" (\"))")]);
        assert_eq!(cut("(declare-const |a ) b| Int)"), [silent("(declare-const |a ) b| Int)")]);
        assert_eq!(cut("; a comment (\n(assert ; )\ntrue)"), [silent("(assert \ntrue)")]);
    }

    #[test]
    fn what_is_answered_is_told_from_what_is_not() {
        assert_eq!(cut("( reset ) (reset-assertions) (exit)").len(), 3);
        assert_eq!(cut("( reset )"), [Statement::Reset]);
        assert_eq!(cut("(reset-assertions)"), [silent("(reset-assertions)")]);
        assert_eq!(cut("(exit)"), [Statement::Exit]);
        assert_eq!(cut("(check-sat-assuming (a))"), [question("(check-sat-assuming (a))")]);
    }
}
