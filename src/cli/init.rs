//! `claviger init`: a policy repository to start from.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{desk::write_line, exit::Exit, failure::Failure};
use crate::policy::SHIPPED;

/// Write the built-in policies, schema and tests, and a CI workflow, as the start of a policy repository
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is ever overwritten.

Examples:
  claviger init
  claviger init acme-policies")]
pub(super) struct InitArgs {
    /// Made when it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
}

const EXTRA: [(&str, &str); 2] = [
    (
        "README.md",
        "# Policies\n\n`schema/` says what exists: resources, actions, and so the permissions that keys can be granted.\n\
         `policies/` says what is allowed, `policies/tests/` what must stay true of it.\n\n\
         ```sh\nclaviger policy check        # would the server load it?\nclaviger policy fmt --check\nclaviger policy test\n```\n",
    ),
    (
        ".github/workflows/policies.yml",
        "name: policies\non: [push, pull_request]\njobs:\n  policies:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      \
         # `claviger` must be on the PATH of the runner\n      - run: claviger policy check --format github\n      - run: claviger policy fmt --check\n      \
         - run: claviger policy test --format github\n",
    ),
];

pub(super) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let files: Vec<_> = SHIPPED.iter().chain(&EXTRA).map(|(path, text)| (args.dir.join(path), *text)).collect();
    let taken: Vec<String> = files.iter().filter(|(path, _)| path.exists()).map(|(path, _)| path.display().to_string()).collect();
    if !taken.is_empty() {
        return Err(Failure::failed(format!("nothing was written, because these exist: {}", taken.join(", "))));
    }
    for (path, text) in files {
        let unwritable = |error| Failure::failed(format!("`{}` cannot be written: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        fs::write(&path, text).map_err(unwritable)?;
        write_line(&path.display().to_string())?;
    }
    Ok(Exit::Ok)
}
