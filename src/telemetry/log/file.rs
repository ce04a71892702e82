//! The decision log as files: one that grows, and the older ones beside it.
//!
//! Written here, because no crate was found that turns the file over by size and by age, ends the line that a crash tore, cuts
//! back the line that a full disk tore, counts what was lost, and notices that somebody else moved the file.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use super::lock::FileLock;
use crate::{
    domain::clock::{Clock, Timestamp},
    telemetry::names,
};

/// When a file is turned over, and how many old ones are kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::telemetry) struct FileLimits {
    pub(in crate::telemetry) bytes: u64,
    pub(in crate::telemetry) age: Duration,
    pub(in crate::telemetry) files: usize,
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(in crate::telemetry) enum FileError {
    #[error("another server writes to it; give each one a `log.file` of its own")]
    Taken,
    #[error("it is no regular file; name one, or a path where there is nothing yet")]
    NotRegular,
    #[error("{0}; its directory must be there, and this user must be allowed to write to both")]
    Io(#[from] io::Error),
}

/// What became of some lines.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Report {
    /// Lines that are not in the file.
    pub(in crate::telemetry) lost: usize,
    /// Why, or why the file is not turned over.
    pub(in crate::telemetry) trouble: Option<String>,
}

/// The decision log of one server. Nobody else writes to it while this lives.
#[derive(Debug)]
pub(in crate::telemetry) struct DecisionFile {
    path: PathBuf,
    limits: FileLimits,
    clock: Clock,
    lock: FileLock,
    /// `None` after a failure: the next line tries again.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    len: u64,
    /// The moment of its first line, or of its making.
    born: Timestamp,
    /// Whether its last line has no end.
    is_torn: bool,
}

/// Which file it is, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// How the name of an old file tells the moment at which it was turned over; such names sort by time.
const STAMP: &str = "%Y%m%dT%H%M%S%.3fZ";
/// A first line that is longer tells no moment.
const LONGEST: u64 = 64 * 1024;

impl DecisionFile {
    /// Opens the file, or makes it, readable by this user alone.
    ///
    /// # Errors
    /// When its directory is not there, it cannot be written, or another server writes to it.
    pub(in crate::telemetry) fn open(path: &Path, limits: FileLimits, clock: Clock) -> Result<Self, FileError> {
        let lock = FileLock::take(path)?;
        let mut log = Self { path: path.to_owned(), limits, clock, lock, open: None };
        log.open = Some(log.open_file()?);
        Ok(log)
    }

    /// Writes whole lines. What cannot be written is lost and counted; no line of the file is ever a part of one.
    pub(in crate::telemetry) fn write(&mut self, lines: &str) -> Report {
        let (mut report, mut rest) = (Report::default(), lines.as_bytes());
        while !rest.is_empty() {
            let (kept, failure) = self.write_some(rest, &mut report.trouble);
            rest = rest.get(kept..).unwrap_or_default();
            if let Some(error) = failure {
                report = Report { lost: count_lines(rest), trouble: Some(error.to_string()) };
                break;
            }
        }
        report
    }

    /// Writes the lines that the present file has room for, at least one: how many bytes are in it, and what went wrong.
    fn write_some(&mut self, lines: &[u8], trouble: &mut Option<String>) -> (usize, Option<FileError>) {
        let most = self.limits.bytes;
        match self.current(lines, trouble) {
            Ok(open) => open.append(piece(lines, most.saturating_sub(open.len))),
            Err(error) => (0, Some(error)),
        }
    }

    /// The file that the next line goes to.
    fn current(&mut self, next: &[u8], trouble: &mut Option<String>) -> Result<&mut Open, FileError> {
        let there = self.open.take().and_then(|open| open.still_at(&self.path, &self.clock));
        let mut open = there.map_or_else(|| self.open_file(), Ok)?;
        if self.is_due(&open, next) {
            match self.turn_over() {
                Ok(left) => {
                    *trouble = left.map(|error| format!("an old file of it cannot be deleted: {error}"));
                    open = self.open_file()?;
                }
                // Better a file that grows than a line that is lost.
                Err(error) => *trouble = Some(format!("it cannot be turned over: {error}")),
            }
        }
        Ok(self.open.insert(open))
    }

    fn is_due(&self, open: &Open, next: &[u8]) -> bool {
        let first = piece(next, 0).len() as u64;
        open.len > 0 && (open.len + first > self.limits.bytes || self.clock.now() >= open.born.plus(self.limits.age))
    }

    /// Gives the file the name of an old one, and deletes those beyond the number; the first that could not be.
    fn turn_over(&self) -> io::Result<Option<io::Error>> {
        let mut old = self.old_files()?;
        // Later than every other, also when the clock was set back: names sort as the lines were written.
        let newest = old.last().map(|(stamp, _)| stamp.plus(Duration::from_millis(1)));
        let stamp = newest.map_or(self.clock.now(), |newest| newest.max(self.clock.now()));
        let name = self.directory().join(self.old_name(stamp));
        fs::rename(&self.path, &name)?;
        old.push((stamp, name));
        let excess = old.len().saturating_sub(self.limits.files);
        let deleted: Vec<_> = old.iter().take(excess).map(|(_, path)| fs::remove_file(path)).collect();
        Ok(deleted.into_iter().find_map(Result::err))
    }

    /// The files that were turned over, oldest first.
    fn old_files(&self) -> io::Result<Vec<(Timestamp, PathBuf)>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(self.directory())? {
            let entry = entry?;
            if let Some(stamp) = entry.file_name().to_str().and_then(|name| self.stamp(name)) {
                old.push((stamp, entry.path()));
            }
        }
        old.sort();
        Ok(old)
    }

    /// `decisions-20261125T031500.123Z.jsonl` beside `decisions.jsonl`.
    fn old_name(&self, stamp: Timestamp) -> String {
        let (before, after) = self.name_parts();
        format!("{before}{}{after}", DateTime::<Utc>::from(stamp).format(STAMP))
    }

    fn stamp(&self, name: &str) -> Option<Timestamp> {
        let (before, after) = self.name_parts();
        let stamp = name.strip_prefix(&before)?.strip_suffix(&after)?;
        let stamp = Timestamp::from(NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc());
        // A name that we would write otherwise is somebody else's.
        (self.old_name(stamp) == name).then_some(stamp)
    }

    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let after = self.path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        (format!("{}-", text(self.path.file_stem())), after.unwrap_or_default())
    }

    fn directory(&self) -> &Path {
        directory(&self.path)
    }

    fn open_file(&mut self) -> Result<Open, FileError> {
        self.lock.renew(&self.path)?;
        // Opening a pipe would wait, and renaming `/dev/stdout` would break more than the log.
        if fs::symlink_metadata(&self.path).is_ok_and(|there| !there.is_file()) {
            return Err(FileError::NotRegular);
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let metadata = file.metadata()?;
        let (len, mut last) = (metadata.len(), [0]);
        if len > 0 {
            file.read_exact_at(&mut last, len - 1)?;
        }
        let born = if len == 0 { self.clock.now() } else { birth(&file, &metadata).unwrap_or_else(|| self.clock.now()) };
        Ok(Open { identity: (&metadata).into(), len, born, is_torn: len > 0 && last != *b"\n", file })
    }
}

impl Open {
    /// The same with its present length, unless its name stands for another file by now, or for none.
    fn still_at(mut self, path: &Path, clock: &Clock) -> Option<Self> {
        let there = fs::symlink_metadata(path).ok().filter(|there| Identity::from(there) == self.identity)?;
        if there.len() < self.len {
            // Somebody emptied it.
            self.born = clock.now();
            self.is_torn = false;
        }
        self.len = there.len();
        Some(self)
    }

    /// Writes lines: how many bytes of whole ones are in the file, and what went wrong.
    fn append(&mut self, lines: &[u8]) -> (usize, Option<FileError>) {
        if self.is_torn {
            if let Err(error) = self.file.write_all(b"\n") {
                return (0, Some(error.into()));
            }
            self.is_torn = false;
            self.len += 1;
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return (self.cut_back(lines, written), Some(io::Error::from(io::ErrorKind::WriteZero).into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (self.cut_back(lines, written), Some(error.into())),
            }
        }
        self.len += written as u64;
        (written, None)
    }

    /// Takes back what was written of a line that could not be written whole; how many bytes stay.
    fn cut_back(&mut self, lines: &[u8], written: usize) -> usize {
        let whole = lines.get(..written).unwrap_or_default().iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let torn = (written - whole) as u64;
        let cut = |file: &File| file.set_len(file.metadata()?.len().saturating_sub(torn));
        // Where not even that works, the next line ends it first.
        self.is_torn = torn > 0 && cut(&self.file).is_err();
        whole
    }
}

/// As many whole lines as have room, at least one.
fn piece(lines: &[u8], room: u64) -> &[u8] {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let fitting = lines.get(..room).and_then(|fitting| fitting.iter().rposition(|byte| *byte == b'\n'));
    let end = fitting.or_else(|| lines.iter().position(|byte| *byte == b'\n'));
    end.and_then(|end| lines.get(..=end)).unwrap_or(lines)
}

fn count_lines(lines: &[u8]) -> usize {
    lines.split_inclusive(|byte| *byte == b'\n').count()
}

/// The moment of the first line; where that tells none, of the file.
fn birth(file: &File, metadata: &Metadata) -> Option<Timestamp> {
    let mut first = Vec::new();
    BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut first).ok()?;
    let line = serde_json::from_slice::<Map<String, Value>>(&first).ok();
    let told = line.and_then(|line| line.get(names::TIMESTAMP)?.as_str()?.parse().ok());
    let made = || metadata.created().or_else(|_| metadata.modified()).ok();
    told.or_else(|| made().map(|at| DateTime::<Utc>::from(at).into()))
}

/// Where a path's name is.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}
