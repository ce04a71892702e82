//! `claviger init`: a policy repository to start from.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use clap::Args;

use super::{
    exit::Exit,
    failure::Failure,
    output::{say, write_line},
};
use crate::policy::SHIPPED;

/// Write the built-in policies, schema and tests, and what checks them in CI, as the start of a policy repository
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

const MORE: [(&str, &str); 4] = [
    ("README.md", include_str!("init/README.md")),
    (".github/workflows/policies.yml", include_str!("../../.github/workflows/policies.yml")),
    ("scripts/check-policies", include_str!("../../scripts/check-policies")),
    ("scripts/get-cvc5", include_str!("../../scripts/get-cvc5")),
];

pub(super) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let files: Vec<_> = SHIPPED.iter().chain(&MORE).map(|(path, text)| (args.dir.join(path), *text)).collect();
    // A link that leads nowhere is in the way, too.
    let taken: Vec<String> = files
        .iter()
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .map(|(path, _)| format!("`{}`", path.display()))
        .collect();
    if !taken.is_empty() {
        return Err(Failure::failed(format!("nothing was written, because there is already {}", taken.join(", "))));
    }
    for (path, text) in files {
        let unwritable = |error| Failure::failed(format!("`{}` cannot be written: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let mut file = File::create_new(&path).map_err(unwritable)?;
        file.write_all(text.as_bytes()).map_err(unwritable)?;
        if text.starts_with("#!") {
            file.set_permissions(Permissions::from_mode(0o755)).map_err(unwritable)?;
        }
        write_line(&path.display().to_string())?;
    }
    say("next: `claviger policy check`, `claviger policy test`, `claviger dev`");
    Ok(Exit::Ok)
}
