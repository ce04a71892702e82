//! Where log lines end up, and what no line may hold: something shaped like a secret, or a character that steers a terminal.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::domain::{invisible, redact::redact};

/// The log's output; lines of different threads never mix.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<Box<dyn Write + Send>>>);

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

impl Lines {
    pub(super) fn new(output: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(output)))
    }

    /// Writes whole lines of JSON after cleaning them.
    pub(super) fn write_lines(&self, lines: &str) -> io::Result<()> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(clean(lines).as_bytes())?;
        output.flush()
    }
}

/// Lines of JSON as they may leave the process.
pub(super) fn clean(lines: &str) -> String {
    escape(&redact(lines)).into_owned()
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event(self)
    }
}

/// Takes one event, which its formatter writes whole.
#[derive(Debug)]
pub(super) struct Event<'a>(&'a Lines);

impl Write for Event<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_lines(&String::from_utf8_lossy(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes every invisible character of a JSON text as `\uXXXX`. They stand inside strings only, so the text means the same.
fn escape(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_invisible) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// A line feed ends a line here, and is inside of none.
fn is_invisible(c: char) -> bool {
    c != '\n' && invisible::is_invisible(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_means_the_same_after_escaping() {
        let text = "a\u{202e}b\u{9b}31m\u{7f}\u{2028}\u{e0041}é…";
        let json = serde_json::to_string(text).unwrap();
        let clean = escape(&json);
        assert_eq!(clean, r#""a\u202eb\u009b31m\u007f\u2028\udb40\udc41é…""#);
        assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), text);
    }

    proptest! {
        #[test]
        fn any_text_stays_one_visible_line(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let clean = escape(&json);
            prop_assert!(!clean.contains(|c: char| c.is_control()));
            prop_assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), text);
        }
    }
}
