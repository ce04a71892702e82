//! The file that an SQLite database is: who may read it, and whether a server runs on it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::diagnosis::Check;
use crate::store::{DatabaseConfig, ServerLock};

const GROUP_AND_OTHERS: u32 = 0o077;
const MAY_WRITE: u32 = 0o022;

/// Nothing on Postgres.
pub(super) fn check(config: &DatabaseConfig) -> Vec<Check> {
    match config.file() {
        Ok(Some(file)) => vec![check_mode(&file), check_lock(config, &file)],
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn check_mode(file: &Path) -> Check {
    const CHECK: &str = "file";
    let mut found = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        if let Ok(metadata) = fs::metadata(&path) {
            found.push((path.display().to_string(), metadata.permissions().mode() & 0o777));
        }
    }
    if !file.is_file() {
        return Check::not_checked(CHECK, format!("there is no file `{}`", file.display()));
    }
    let open: Vec<_> = found.iter().filter(|(_, mode)| mode & GROUP_AND_OTHERS != 0).collect();
    let listed = open.iter().map(|(path, mode)| format!("`{path}` has mode {mode:04o}")).collect::<Vec<_>>().join(", ");
    let paths = open.iter().map(|(path, _)| format!("'{path}'")).collect::<Vec<_>>().join(" ");
    let remedy = format!("run `chmod 600 {paths}`");
    if open.iter().any(|(_, mode)| mode & MAY_WRITE != 0) {
        Check::problem(CHECK, format!("{listed}: other users of this machine can make themselves keys"), &remedy)
    } else if open.is_empty() {
        Check::ok(CHECK, format!("`{}` and what belongs to it are private", file.display()))
    } else {
        Check::warning(CHECK, format!("{listed}: other users of this machine can read who holds which key"), &remedy)
    }
}

fn check_lock(config: &DatabaseConfig, file: &Path) -> Check {
    const CHECK: &str = "server lock";
    match ServerLock::is_taken(config) {
        Ok(Some(true)) => Check::ok(CHECK, format!("a server runs on `{}`", file.display())),
        Ok(Some(false) | None) => Check::ok(CHECK, format!("no server runs on `{}`", file.display())),
        Err(error) => Check::problem(CHECK, error, "no server can start until it can be used"),
    }
}
