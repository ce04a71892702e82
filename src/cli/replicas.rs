//! `claviger replicas`: who decides from the database, and how far each has come.

use clap::Args;

use super::{
    exit::Exit,
    failure::Failure,
    office::{List, OfficeArgs},
};

/// List the servers that decide from a database, and how far each has come
#[derive(Debug, Args)]
#[command(after_help = "\
A SQLite database has one server and no list of it; ask that server with `--server`.

Examples:
  claviger replicas
  claviger replicas --server http://127.0.0.1:8080 -o json")]
pub(super) struct ReplicasArgs {
    #[command(flatten)]
    office: OfficeArgs,
}

pub(super) fn run(args: &ReplicasArgs) -> Result<Exit, Failure> {
    args.office.run(async |office| {
        let columns = ["id", "address", "version", "acked_revision", "lag", "lease_until", "policy_set"];
        let when_empty = "no server decides from this database now";
        office.output.print_list(&office.list(List::Replicas).await?, &columns, when_empty)
    })
}
