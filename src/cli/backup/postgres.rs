//! Postgres' own programs: found, asked for their version, run.

use std::{
    env, fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    process::{ChildStderr, ChildStdout, Command, Stdio},
    thread,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    cli::failure::Failure,
    domain::redact::redact,
    store::{BackupError, Libpq},
};

const PACKAGED: &str = "/usr/lib/postgresql";
/// How long `pg_restore` may work without a row. What follows the end of a compressed block keeps it busy for ever.
const SILENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// As much as is read of what a program complains of.
const COMPLAINT_BYTES: u64 = 64 * 1024;

/// A program of Postgres on this machine.
#[derive(Debug)]
struct Tool {
    path: PathBuf,
    version: u32,
}

impl Tool {
    /// The newest one in PATH or where Debian puts every release.
    fn find(name: &str) -> Result<Self, Failure> {
        let path = env::var_os("PATH").unwrap_or_default();
        let releases = fs::read_dir(PACKAGED).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let places = env::split_paths(&path).chain(releases).map(|directory| directory.join(name));
        let tools = places.filter(|file| file.is_file()).filter_map(|path| Some(Self { version: version(&path)?, path }));
        tools.max_by_key(|tool| tool.version).ok_or_else(|| {
            Failure::failed(format!(
                "there is no {name} in PATH or under {PACKAGED}; install the client programs of Postgres, for example with \
                 `apt-get install postgresql-client`"
            ))
        })
    }
}

/// The major version that `pg_dump (PostgreSQL) 15.4` tells.
fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let word = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    word.split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
}

/// Writes the schema that holds claviger's tables into a file, in Postgres' custom format.
pub(super) fn dump(libpq: &Libpq, server: u32, schema: &str, file: &Path) -> Result<(), Failure> {
    let tool = Tool::find("pg_dump")?;
    if tool.version < server {
        return Err(Failure::failed(format!(
            "the newest pg_dump on this machine, `{}`, is of Postgres {}, and the server is Postgres {server}: install the \
             client programs of Postgres {server}",
            tool.path.display(),
            tool.version
        )));
    }
    // In quotes a pattern is a name.
    let schema = format!("--schema=\"{}\"", schema.replace('"', "\"\""));
    let output = Command::new(&tool.path)
        .args(["--format=custom", "--no-password", &schema, "--file"])
        .arg(std::path::absolute(file)?)
        .envs(libpq.variables())
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() { Ok(()) } else { Err(Failure::failed(complaint("pg_dump", &output.stderr))) }
}

/// Runs `pg_restore` on an archive and hands the rows that it prints, as text, to `read`; no database is involved.
pub(super) async fn print_rows<T>(
    archive: &Path,
    read: impl AsyncFnOnce(&mut BufReader<Rows>) -> Result<T, BackupError>,
) -> Result<T, Failure> {
    let tool = Tool::find("pg_restore")?;
    let mut child = Command::new(&tool.path)
        .args(["--data-only", "--no-owner", "--no-privileges", "--file=-"])
        .arg(std::path::absolute(archive)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (Some(rows), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::failed("pg_restore has no output"));
    };
    let errors = thread::spawn(move || read_errors(errors));
    let mut rows = BufReader::new(Rows { output: rows, is_silent: false });
    let loaded = read(&mut rows).await;
    if rows.get_ref().is_silent {
        child.kill()?;
    }
    // Nobody reads the rest: it ends with its output closed.
    drop(rows);
    let status = child.wait()?;
    let errors = errors.join().unwrap_or_default();
    // When it fails, what it says is the cause of what is missing. Its complaint about the closed output is none.
    let closed = loaded.is_err() && String::from_utf8_lossy(&errors).contains("Broken pipe");
    if !status.success() && !closed && !errors.is_empty() {
        return Err(BackupError::NotWhole(complaint("pg_restore", &errors)).into());
    }
    let loaded = loaded?;
    if status.success() { Ok(loaded) } else { Err(Failure::failed(format!("pg_restore ended with {status}"))) }
}

/// What `pg_restore` prints, until it is silent for too long.
#[derive(Debug)]
pub(super) struct Rows {
    output: ChildStdout,
    is_silent: bool,
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Only the time counts for which we wait for it, not the other way round.
        let ready = poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&SILENCE))?;
        if ready == 0 {
            self.is_silent = true;
            return Err(io::Error::other(format!("pg_restore finds no row in it for {} s", SILENCE.tv_sec)));
        }
        self.output.read(buffer)
    }
}

/// Reads to the end, so that nobody waits for us, and keeps the beginning.
fn read_errors(mut errors: ChildStderr) -> Vec<u8> {
    let mut text = Vec::new();
    // What was read before an error is still worth telling.
    let _ = errors.by_ref().take(COMPLAINT_BYTES).read_to_end(&mut text);
    let _ = io::copy(&mut errors, &mut io::sink());
    text
}

/// What a program said, in one line.
fn complaint(program: &str, errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
    if lines.is_empty() { format!("{program} failed and does not say why") } else { redact(&lines.join("; ")).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line() {
        assert_eq!(complaint("pg_dump", b"pg_dump: error: a\n\n  detail: b\n"), "pg_dump: error: a; detail: b");
        assert_eq!(complaint("pg_dump", b" \n"), "pg_dump failed and does not say why");
    }
}
