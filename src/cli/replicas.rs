//! `claviger replicas`: who decides from the database, and how far each has come.

use clap::Args;

use super::{
    desk::{Desk, DeskArgs},
    exit::Exit,
    failure::Failure,
};
use crate::http::ReplicaView;

/// List the servers that decide from a shared database, and how far each has come
#[derive(Debug, Args)]
#[command(after_help = "\
A SQLite database has one server, which keeps no list; it answers `GET /v1/replicas`.

Examples:
  claviger replicas
  claviger replicas -o json")]
pub(super) struct ReplicasArgs {
    #[command(flatten)]
    desk: DeskArgs,
}

pub(super) fn run(args: &ReplicasArgs) -> Result<Exit, Failure> {
    args.desk.run(list)
}

async fn list(desk: Desk) -> Result<Exit, Failure> {
    if !desk.store.is_shared() {
        return Err(Failure::failed("a SQLite database has one server and keeps no list of it; ask that server: `GET /v1/replicas`"));
    }
    let listed = desk.store.list_replicas().await?;
    let views = listed.replicas.iter().map(|replica| ReplicaView::new(replica, listed.revision));
    let columns = ["id", "address", "version", "acked_revision", "lag", "lease_until", "policy_set"];
    desk.print_list(views, &columns, "no server decides from this database now")?;
    Ok(Exit::Ok)
}
