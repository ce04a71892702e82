//! One side of a comparison: a policies folder, the folder above it, or a revision of the git repository that the policies
//! lie in. A revision is read out of git's own store: nothing is checked out, and the working tree stays as it is.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::finding::{self, Finding, Refusal};
use crate::{
    cli::exit::Exit,
    policy::{MOST_BYTES, PolicyFiles, SourceFile, SourceKind},
    snapshot::files::{self, PolicyDirs, kind_in_policies, kind_in_schema, kind_in_tests},
};

/// A policy set to compare, as it lies in a folder or in a revision.
#[derive(Debug)]
pub(super) struct Side {
    pub files: PolicyFiles,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The policies folder.
    Folder(PathBuf),
    /// The policies folder of a commit.
    Revision(Tree),
}

impl Side {
    /// Reads the live files of what `name` names. A folder is taken before a revision of the same name.
    ///
    /// `dirs` says where the policies lie now: that is where a revision is looked into. The schema is the one beside the
    /// policies; where that side has none, the one of `dirs`.
    ///
    /// # Errors
    /// Exit 2 when it is neither a folder nor a revision with policies; else as [`files::read`].
    pub(super) fn read(name: &str, dirs: &PolicyDirs) -> Result<Self, Refusal> {
        let path = Path::new(name);
        if path.is_dir() { Self::read_folder(path, dirs) } else { Self::read_revision(name, dirs) }
    }

    /// The test files of this side.
    ///
    /// # Errors
    /// As [`files::read_tests`].
    pub(super) fn tests(&self) -> Result<Vec<SourceFile>, Refusal> {
        match &self.source {
            Source::Folder(policies) => files::read_tests(policies).map_err(|error| finding::unread(&error)),
            Source::Revision(policies) => {
                policies.folder("tests")?.map_or(Ok(Vec::new()), |tests| tests.files(true, &mut { MOST_BYTES }, kind_in_tests))
            }
        }
    }

    fn read_folder(path: &Path, dirs: &PolicyDirs) -> Result<Self, Refusal> {
        let inner = path.join("policies");
        let policies = if inner.is_dir() && !holds_policies(path) { inner } else { path.to_owned() };
        let beside = match policies.file_name() {
            Some(_) => policies.with_file_name("schema"),
            None => policies.join("..").join("schema"),
        };
        let schema = if beside.is_dir() { beside } else { dirs.schema.clone() };
        let files = files::read(&PolicyDirs { policies: policies.clone(), schema }).map_err(|error| finding::unread(&error))?;
        Ok(Self { files, source: Source::Folder(policies) })
    }

    fn read_revision(name: &str, dirs: &PolicyDirs) -> Result<Self, Refusal> {
        let policies = Tree::find(name, &dirs.policies)?.ok_or_else(|| {
            let folder = dirs.policies.display();
            let help = "name the folder as it was called then with `--policies DIR`";
            refuse(Exit::Usage, format!("the revision `{name}` has no folder `{folder}`"), Some(help))
        })?;
        let mut budget = MOST_BYTES;
        let mut all = policies.files(false, &mut budget, kind_in_policies)?;
        match Tree::find(name, &dirs.schema)? {
            Some(schema) => all.extend(schema.files(false, &mut budget, kind_in_schema)?),
            None => all.extend(files::read_schema(&dirs.schema, &mut budget).map_err(|error| finding::unread(&error))?),
        }
        Ok(Self { files: PolicyFiles::new(all), source: Source::Revision(policies) })
    }
}

fn holds_policies(folder: &Path) -> bool {
    let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| kind_in_policies(&name.to_string_lossy()).is_some())
}

fn refuse(exit: Exit, message: impl Into<String>, help: Option<&str>) -> Refusal {
    (vec![Finding::placeless(message, help)], exit)
}

/// A folder of a commit.
#[derive(Debug)]
struct Tree {
    /// Where git runs: any folder of the repository.
    workdir: PathBuf,
    /// The object's name.
    object: String,
    /// As reports show it: `HEAD~1:policies`.
    shown: String,
}

/// A file of a commit: its name below the tree, its object, and its size in bytes.
struct Blob {
    name: String,
    object: String,
    size: usize,
}

impl Tree {
    /// The folder at a path, as it was in a revision; `None` when the revision has no such folder.
    fn find(revision: &str, path: &Path) -> Result<Option<Self>, Refusal> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (workdir, inside) = match path.file_name() {
            Some(name) => (parent.to_owned(), format!("./{}", name.to_string_lossy())),
            None => (path.to_owned(), "./".to_owned()),
        };
        let unknown = |why: &str| {
            let message = format!("`{revision}` is neither a folder nor a git revision{why}");
            refuse(
                Exit::Usage,
                message,
                Some("name a policies folder, the folder above it, or a revision such as `HEAD~1` or `main`"),
            )
        };
        // No revision begins so, and git would take it for an option.
        if revision.is_empty() || revision.starts_with('-') {
            return Err(unknown(""));
        }
        let commit = run(&workdir, &["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])?;
        if !commit.status.success() {
            let said = String::from_utf8_lossy(&commit.stderr);
            let said = said.trim().trim_start_matches("fatal: ");
            return Err(unknown(&if said.is_empty() { String::new() } else { format!(": {said}") }));
        }
        let commit = line(&commit);
        let tree = run(&workdir, &["rev-parse", "--verify", "--quiet", &format!("{commit}:{inside}")])?;
        let object = line(&tree);
        let is_tree = tree.status.success() && line(&run(&workdir, &["cat-file", "-t", &object])?) == "tree";
        Ok(is_tree.then(|| Self { workdir, object, shown: format!("{revision}:{}", path.display()) }))
    }

    /// The folder of that name inside this one.
    fn folder(&self, name: &str) -> Result<Option<Self>, Refusal> {
        let listed = self.git(&["ls-tree", "-z", "-d", "--full-tree", &self.object, "--", name])?;
        let object = entries(&listed).find_map(|(fields, _)| fields.split(' ').nth(2).map(str::to_owned));
        let shown = format!("{}/{name}", self.shown);
        Ok(object.map(|object| Self { workdir: self.workdir.clone(), object, shown }))
    }

    /// The files that `kind` wants, sorted by name; `deep`: those of the folders below, too.
    fn files(
        &self,
        deep: bool,
        budget: &mut usize,
        kind: impl Fn(&str) -> Option<SourceKind>,
    ) -> Result<Vec<SourceFile>, Refusal> {
        let mut arguments = vec!["ls-tree", "-z", "--long", "--full-tree"];
        arguments.extend(deep.then_some("-r"));
        arguments.push(&self.object);
        let (mut blobs, mut kinds) = (Vec::new(), Vec::new());
        for (fields, name) in entries(&self.git(&arguments)?) {
            let file = name.rsplit('/').next().unwrap_or(name);
            let hidden = name.split('/').any(|part| part.starts_with('.'));
            let Some(kind) = kind(file).filter(|_| !hidden) else { continue };
            let bad = |message: &str| refuse(Exit::Negative, format!("`{}/{}` {message}", self.shown, name.escape_debug()), None);
            if name.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
                return Err(bad("has a name that is no UTF-8 or holds control characters"));
            }
            let mut fields = fields.split_ascii_whitespace();
            match (fields.next(), fields.next(), fields.next(), fields.next().and_then(|size| size.parse().ok())) {
                (Some("100644" | "100755"), Some("blob"), Some(object), Some(size)) => {
                    *budget = budget
                        .checked_sub(size)
                        .ok_or_else(|| bad(&format!("goes past the {MOST_BYTES} bytes that all files together may hold")))?;
                    blobs.push(Blob { name: name.to_owned(), object: object.to_owned(), size });
                    kinds.push(kind);
                }
                (_, Some("tree"), ..) => {}
                _ => return Err(bad("is no regular file; a link is not followed into a revision")),
            }
        }
        let texts = self.texts(&blobs)?;
        let file = |((blob, kind), text): ((Blob, SourceKind), String)| {
            let name = blob.name.rsplit('/').next().unwrap_or_default().to_owned();
            SourceFile { kind, path: format!("{}/{}", self.shown, blob.name), name, text }
        };
        Ok(blobs.into_iter().zip(kinds).zip(texts).map(file).collect())
    }

    /// What the files hold, by one process for all of them.
    fn texts(&self, blobs: &[Blob]) -> Result<Vec<String>, Refusal> {
        let failed =
            |error: &dyn std::fmt::Display| refuse(Exit::Failed, format!("`git` failed on `{}`: {error}", self.shown), None);
        let mut child = command(&self.workdir)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| absent(&error))?;
        let mut names = child.stdin.take();
        let wanted: String = blobs.iter().flat_map(|blob| [blob.object.as_str(), "\n"]).collect();
        // A thread of its own: git answers while it reads, and would wait for ever for a reader that still writes.
        let output = std::thread::scope(|scope| {
            // What could not be asked for is missing from the answer.
            scope.spawn(move || names.as_mut().map(|names| names.write_all(wanted.as_bytes())));
            child.wait_with_output()
        });
        let output = output.map_err(|error| failed(&error))?;
        let mut rest = output.stdout.as_slice();
        blobs
            .iter()
            .map(|blob| {
                let content = next_object(&mut rest, blob).ok_or_else(|| failed(&format!("`{}` is not there", blob.name)))?;
                String::from_utf8(content.to_vec()).map_err(|error| {
                    let offset = error.utf8_error().valid_up_to();
                    let message =
                        format!("`{}/{}` is no UTF-8: the byte at offset {offset} fits no character", self.shown, blob.name);
                    refuse(Exit::Negative, message, Some("save the file as UTF-8"))
                })
            })
            .collect()
    }

    /// What git says about this tree; silence is no answer.
    fn git(&self, arguments: &[&str]) -> Result<String, Refusal> {
        let output = run(&self.workdir, arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(refuse(Exit::Failed, format!("`git` failed on `{}`: {said}", self.shown), None))
    }
}

/// The next object of `cat-file --batch`: a line that ends in its size, the content, a line feed.
fn next_object<'a>(rest: &mut &'a [u8], blob: &Blob) -> Option<&'a [u8]> {
    let head = rest.iter().position(|byte| *byte == b'\n')?;
    let expected = format!("{} blob {}", blob.object, blob.size);
    (rest.get(..head)? == expected.as_bytes()).then_some(())?;
    let (start, end) = (head + 1, head + 1 + blob.size);
    let content = rest.get(start..end)?;
    *rest = rest.get(end + 1..)?;
    Some(content)
}

/// The entries of `ls-tree -z`: what stands before the tab, and the name.
fn entries(listed: &str) -> impl Iterator<Item = (&str, &str)> {
    listed.split('\0').filter_map(|entry| entry.split_once('\t'))
}

fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run(workdir: &Path, arguments: &[&str]) -> Result<Output, Refusal> {
    if !workdir.is_dir() {
        return Err(refuse(Exit::Usage, format!("there is no directory `{}`", workdir.display()), None));
    }
    command(workdir).args(arguments).stdin(Stdio::null()).output().map_err(|error| absent(&error))
}

fn absent(error: &io::Error) -> Refusal {
    refuse(
        Exit::Failed,
        format!("`git` cannot be run: {error}"),
        Some("a revision is read with git; a folder is compared without it"),
    )
}

/// Git as a reader: no lock is taken, and an object that is not here is not fetched from anywhere.
fn command(workdir: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(workdir).env("GIT_NO_LAZY_FETCH", "1").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command
}
