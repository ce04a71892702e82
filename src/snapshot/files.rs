//! Reading policy directories: the live files, and the tests beside them.
//!
//! A file that cannot be read is an error and never skipped: it could be the one that holds a `forbid`.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::policy::{MOST_BYTES, PolicyFiles, SourceFile, SourceKind};

/// Where the policies and the schema lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDirs {
    pub policies: PathBuf,
    pub schema: PathBuf,
}

/// Why a directory was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no directory `{}`", .0.display())]
    NoDirectory(PathBuf),
    #[error("`{}` cannot be read: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// A pipe or a device would block the reader for ever.
    #[error("`{}` is no regular file", .0.display())]
    NoFile(PathBuf),
    /// Line and column of the byte, counted from 1, columns in characters.
    #[error("`{}:{line}:{column}` is no UTF-8: the byte at offset {offset} fits no character", .path.display())]
    NoUtf8 { path: PathBuf, offset: usize, line: usize, column: usize },
    /// Names are shown in diagnostics and logs.
    #[error("{0:?} has a name that is no UTF-8 or holds control characters")]
    BadName(PathBuf),
    #[error("`{}` goes past the {MOST_BYTES} bytes that all files together may hold", .0.display())]
    TooLarge(PathBuf),
    #[error("`{}` is nested too deeply; does a link lead back to it?", .0.display())]
    TooDeep(PathBuf),
}

impl ReadError {
    /// The file that it is about, when it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::NoFile(path)
            | Self::TooLarge(path)
            | Self::BadName(path)
            | Self::NoUtf8 { path, .. }
            | Self::Unreadable { path, .. } => Some(path),
            Self::NoDirectory(_) | Self::TooDeep(_) => None,
        }
    }
}

/// Folders inside the tests folder; a link that leads back up ends here.
const DEEPEST: usize = 16;

/// Reads the live set: `*.cedar` and `guards.yaml` of one directory, `*.cedarschema` of the other. Never sub-folders and
/// dot-files: tests lie there, and mounted config maps hold `..data` with everything a second time.
///
/// # Errors
/// A directory that is missing, a file that cannot be read, is no text, or goes past the size limit.
pub fn read(dirs: &PolicyDirs) -> Result<PolicyFiles, ReadError> {
    let mut budget = MOST_BYTES;
    let policies = read_live(&dirs.policies, &mut budget, kind_in_policies)?;
    let schema = read_schema(&dirs.schema, &mut budget)?;
    Ok(PolicyFiles::new(policies.into_iter().chain(schema).collect()))
}

/// Reads the `*.cedarschema` files of a directory, and takes their bytes off the budget.
///
/// # Errors
/// As [`read`].
pub fn read_schema(schema: &Path, budget: &mut usize) -> Result<Vec<SourceFile>, ReadError> {
    read_live(schema, budget, kind_in_schema)
}

/// What a file of the policies directory is by its name, if it is live.
#[must_use]
pub fn kind_in_policies(name: &str) -> Option<SourceKind> {
    match name {
        "guards.yaml" => Some(SourceKind::Guards),
        _ => has_extension(name, &["cedar"]).then_some(SourceKind::Policies),
    }
}

/// What a file of the schema directory is by its name, if it is live.
#[must_use]
pub fn kind_in_schema(name: &str) -> Option<SourceKind> {
    has_extension(name, &["cedarschema"]).then_some(SourceKind::Schema)
}

/// What a file below the tests folder is by its name, if it belongs to a test.
#[must_use]
pub fn kind_in_tests(name: &str) -> Option<SourceKind> {
    has_extension(name, &["yaml", "yml", "json"]).then_some(SourceKind::Tests)
}

/// Reads `tests/**` of a policies directory, `*.yaml`, `*.yml` and `*.json`, sorted by path; none when there is no such folder.
///
/// # Errors
/// As [`read`].
pub fn read_tests(policies: &Path) -> Result<Vec<SourceFile>, ReadError> {
    let (mut budget, mut files) = (MOST_BYTES, Vec::new());
    entries(policies)?;
    let tests = policies.join("tests");
    if tests.is_dir() {
        read_tree(&tests, DEEPEST, &mut budget, kind_in_tests, &mut files)?;
    }
    Ok(files)
}

/// Reads the Cedar texts that `fmt` formats: the live policies, and those below the `invariants` folder beside them.
///
/// # Errors
/// As [`read`].
pub fn read_policies(policies: &Path) -> Result<Vec<SourceFile>, ReadError> {
    let mut budget = MOST_BYTES;
    let mut files = read_live(policies, &mut budget, kind_in_invariants)?;
    let invariants = policies.join("invariants");
    if invariants.is_dir() {
        read_tree(&invariants, DEEPEST, &mut budget, kind_in_invariants, &mut files)?;
    }
    Ok(files)
}

/// Reads the `*.cedar` files of an invariants folder and of the folders below it.
///
/// # Errors
/// As [`read`].
pub fn read_invariants(invariants: &Path) -> Result<Vec<SourceFile>, ReadError> {
    let mut files = Vec::new();
    read_tree(invariants, DEEPEST, &mut { MOST_BYTES }, kind_in_invariants, &mut files)?;
    Ok(files)
}

fn kind_in_invariants(name: &str) -> Option<SourceKind> {
    has_extension(name, &["cedar"]).then_some(SourceKind::Policies)
}

fn read_live(dir: &Path, budget: &mut usize, kind: impl Fn(&str) -> Option<SourceKind>) -> Result<Vec<SourceFile>, ReadError> {
    let mut files = Vec::new();
    for path in entries(dir)? {
        let name = path.file_name().unwrap_or_default();
        let Some(kind) = kind(&name.to_string_lossy()) else { continue };
        let metadata = fs::metadata(&path).map_err(|cause| ReadError::Unreadable { path: path.clone(), cause })?;
        if !metadata.is_dir() {
            files.push(read_file(&path, kind, &metadata, budget)?);
        }
    }
    Ok(files)
}

fn read_tree(
    dir: &Path,
    depth: usize,
    budget: &mut usize,
    kind: fn(&str) -> Option<SourceKind>,
    files: &mut Vec<SourceFile>,
) -> Result<(), ReadError> {
    if depth == 0 {
        return Err(ReadError::TooDeep(dir.to_owned()));
    }
    for path in entries(dir)? {
        let metadata = fs::metadata(&path).map_err(|cause| ReadError::Unreadable { path: path.clone(), cause })?;
        if metadata.is_dir() {
            printable_name(&path)?;
            read_tree(&path, depth - 1, budget, kind, files)?;
        } else if let Some(kind) = kind(&path.to_string_lossy()) {
            files.push(read_file(&path, kind, &metadata, budget)?);
        }
    }
    Ok(())
}

/// The paths in a directory, sorted, without dot-files.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NoDirectory(dir.to_owned()),
        _ => ReadError::Unreadable { path: dir.to_owned(), cause },
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            paths.push(dir.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// A name that can stand in a line of a report.
fn printable_name(path: &Path) -> Result<&str, ReadError> {
    let name = path.file_name().and_then(OsStr::to_str).filter(|name| !name.chars().any(char::is_control));
    name.ok_or_else(|| ReadError::BadName(path.to_owned()))
}

/// In whatever case: `rules.CEDAR` could hold the one `forbid` that matters.
fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let given = Path::new(name).extension().and_then(OsStr::to_str);
    given.is_some_and(|given| extensions.iter().any(|extension| extension.eq_ignore_ascii_case(given)))
}

fn read_file(path: &Path, kind: SourceKind, metadata: &fs::Metadata, budget: &mut usize) -> Result<SourceFile, ReadError> {
    let unreadable = |cause| ReadError::Unreadable { path: path.to_owned(), cause };
    if !metadata.is_file() {
        return Err(ReadError::NoFile(path.to_owned()));
    }
    let name = printable_name(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that fits from one that does not, whatever its metadata says.
    let limit = *budget as u64 + 1;
    File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    *budget = budget.checked_sub(bytes.len()).ok_or_else(|| ReadError::TooLarge(path.to_owned()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..offset).unwrap_or_default());
        let line = before.rsplit('\n').next().unwrap_or_default();
        let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
        ReadError::NoUtf8 { path: path.to_owned(), offset, line, column }
    })?;
    Ok(SourceFile { kind, path: path.display().to_string(), name: name.to_owned(), text })
}
