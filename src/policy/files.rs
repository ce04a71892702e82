//! The texts of a policy set, read by somebody else, and the digest that names them.

use sha2::{Digest, Sha256};

use crate::domain::hex::hex;

/// What a live file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// `policies/*.cedar`
    Policies,
    /// `schema/*.cedarschema`
    Schema,
    /// `policies/guards.yaml`
    Guards,
    /// `policies/tests/**`: never part of a live set.
    Tests,
}

/// One live file: its path as people know it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub kind: SourceKind,
    /// Shown in diagnostics, for example `policies/suspension.cedar`.
    pub path: String,
    /// The file's name without folders: what the digest is made of.
    pub name: String,
    pub text: String,
}

/// Every live file of a policy set, in the byte order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles(Vec<SourceFile>);

impl PolicyFiles {
    /// Puts the files in the order that the digest wants.
    #[must_use]
    pub fn new(mut files: Vec<SourceFile>) -> Self {
        files.sort_by(|a, b| (a.name.as_bytes(), a.kind).cmp(&(b.name.as_bytes(), b.kind)));
        Self(files)
    }

    /// The files of one kind.
    pub fn of(&self, kind: SourceKind) -> impl Iterator<Item = &SourceFile> {
        self.0.iter().filter(move |file| file.kind == kind)
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter()
    }

    /// `sha256:` over every file in byte order of its name, each as length-prefixed name and content
    /// (lengths as 64-bit big-endian numbers).
    #[must_use]
    pub fn digest(&self) -> String {
        let mut sha = Sha256::new();
        for file in &self.0 {
            for part in [&file.name, &file.text] {
                sha.update((part.len() as u64).to_be_bytes());
                sha.update(part);
            }
        }
        format!("sha256:{}", hex(&sha.finalize()))
    }
}
