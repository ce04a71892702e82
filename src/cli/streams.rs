//! Where a command writes: data on one stream, all else on the other.

use std::io::{self, IsTerminal, Write};

/// A place to write to, and whether it shows colors.
pub struct Stream<'a> {
    writer: &'a mut dyn Write,
    color: bool,
}

impl<'a> Stream<'a> {
    /// A stream that takes plain text.
    pub fn plain(writer: &'a mut dyn Write) -> Self {
        Self { writer, color: false }
    }

    fn terminal(writer: &'a mut dyn Write, is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { writer, color: is_terminal && !dumb && !is_set("NO_COLOR") }
    }

    /// Whether escape sequences for colors are welcome.
    #[must_use]
    pub const fn has_color(&self) -> bool {
        self.color
    }

    /// A word in green for good news, in red for bad.
    #[must_use]
    pub fn verdict(&self, good: bool, word: &str) -> String {
        let color = if good { 32 } else { 31 };
        if self.color { format!("\u{1b}[{color}m{word}\u{1b}[0m") } else { word.to_owned() }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl std::fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("color", &self.color).finish_non_exhaustive()
    }
}

/// Both streams of a command, and how wide a line may be.
#[derive(Debug)]
pub struct Streams<'a> {
    /// Data: what a script reads.
    pub out: Stream<'a>,
    /// Everything that is said to people.
    pub err: Stream<'a>,
    /// Columns to wrap sentences at.
    pub width: usize,
}

/// Runs a command on the process's own streams. A reader that went away ends it quietly.
pub fn with_stdio<T>(run: impl FnOnce(&mut Streams<'_>) -> io::Result<T>, failed: T) -> T {
    // Not locked: a panic on another thread must be able to say so.
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let (out_is_terminal, err_is_terminal) = (stdout.is_terminal(), stderr.is_terminal());
    let out = Stream::terminal(&mut stdout, out_is_terminal);
    let err = Stream::terminal(&mut stderr, err_is_terminal);
    let mut streams = Streams { out, err, width: 100 };
    let result = run(&mut streams).and_then(|done| streams.out.flush().map(|()| done));
    result.unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::BrokenPipe {
            // When even this cannot be written, the exit code is all that is left.
            let _ = writeln!(streams.err, "error: the output cannot be written: {error}");
        }
        failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_go_to_terminals_only() {
        let mut writer = Vec::new();
        assert_eq!(Stream::terminal(&mut writer, false).verdict(true, "ok"), "ok");
        assert_eq!(Stream { writer: &mut writer, color: true }.verdict(false, "FAILED"), "\u{1b}[31mFAILED\u{1b}[0m");
    }
}
