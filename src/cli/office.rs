//! Where orgs, keys and admins are looked after: at the database itself, or through the HTTP API of a running server.
//! The commands do not know which.

mod audit;
mod change;
mod counter;
mod database;

use clap::Args;
use serde_json::Value;

pub(super) use self::change::{Change, Done};
use self::counter::Counter;
use super::{
    credential::TokenArgs,
    desk::{Desk, DeskArgs},
    exit::Exit,
    failure::Failure,
    output::{Output, cell},
    remote::Server,
    server::runtime,
};
use crate::domain::{
    audit::AuditFilter,
    id::{AdminId, Id, KeyId, Kind, OrgId},
    name::Slug,
};

/// Which database or server, and how to print.
#[derive(Debug, Args)]
pub(super) struct OfficeArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// URL of a running server to act through, with an admin token [default: CLAVIGER_SERVER, unless another flag names a database]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

/// Reads and changes orgs, keys and admins.
#[derive(Debug)]
pub(super) struct Office {
    pub output: Output,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Database(Box<Desk>),
    Counter(Counter),
}

/// One thing by its id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing {
    Org(OrgId),
    Key(KeyId),
    Admin(AdminId),
}

/// A list, oldest first.
#[derive(Debug, Clone, Copy)]
pub(super) enum List<'f> {
    Orgs,
    Keys(OrgId),
    Admins,
    Replicas,
    Audit(&'f AuditFilter),
}

/// A page of a list, and where the next one begins.
#[derive(Debug)]
struct Sheet {
    views: Vec<Value>,
    next: Option<String>,
}

impl OfficeArgs {
    /// Runs a command on what is there and up to date.
    pub(super) fn run<F>(&self, command: impl FnOnce(Office) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        self.run_unless(false, command)
    }

    /// The same, for a command whose own flags may say that the database is meant.
    pub(super) fn run_unless<F>(&self, names_policies: bool, command: impl FnOnce(Office) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        match self.server(names_policies)? {
            Some(server) => self.run_at_counter(server, command),
            None => self.desk.run(async |desk| command(self.at_desk(desk)).await),
        }
    }

    /// Runs a command that is the first one on many a database: one without a schema gets it.
    pub(super) fn run_on_new<F>(&self, command: impl FnOnce(Office) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        match self.server(false)? {
            Some(server) => self.run_at_counter(server, command),
            None => self.desk.run_on_new(async |desk| command(self.at_desk(desk)).await),
        }
    }

    /// The server that is meant, if it is one.
    pub(super) fn server(&self, names_policies: bool) -> Result<Option<Server>, Failure> {
        let server = Server::choose(self.server.as_deref(), names_policies || self.desk.names_database())?;
        if server.is_none() && self.token.is_given() {
            return Err(Failure::usage("`--token` is for a server; name it with `--server`"));
        }
        Ok(server)
    }

    /// The database that is meant when it is no server.
    pub(super) const fn desk(&self) -> &DeskArgs {
        &self.desk
    }

    fn run_at_counter<F>(&self, server: Server, command: impl FnOnce(Office) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        let side = Side::Counter(Counter::new(server, &self.token.read()?)?);
        runtime()?.block_on(command(Office { output: self.desk.output(), side }))
    }

    fn at_desk(&self, desk: Desk) -> Office {
        Office { output: self.desk.output(), side: Side::Database(Box::new(desk)) }
    }
}

impl Office {
    /// Reads one thing.
    pub(super) async fn find(&self, thing: Thing) -> Result<Option<Value>, Failure> {
        match &self.side {
            Side::Database(desk) => desk.find(thing).await,
            Side::Counter(counter) => counter.find(thing).await,
        }
    }

    /// Reads the org that has a slug now. The API knows orgs by their ids alone, so a server's are leafed through.
    pub(super) async fn find_org_by_slug(&self, slug: &Slug) -> Result<Option<Value>, Failure> {
        if let Side::Database(desk) = &self.side {
            return desk.find_org_by_slug(slug).await;
        }
        let mut after = None;
        loop {
            let page = self.page(List::Orgs, after).await?;
            let found = page.views.into_iter().find(|org| cell(org.get("slug")) == slug.as_str());
            after = page.next;
            if found.is_some() || after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Reads a whole list.
    pub(super) async fn list(&self, list: List<'_>) -> Result<Vec<Value>, Failure> {
        let (mut views, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(list, after).await?;
            views.extend(page.views);
            after = page.next;
            if after.is_none() {
                return Ok(views);
            }
        }
    }

    /// Reads the first page of a list.
    pub(super) async fn first(&self, list: List<'_>) -> Result<Vec<Value>, Failure> {
        Ok(self.page(list, None).await?.views)
    }

    async fn page(&self, list: List<'_>, after: Option<String>) -> Result<Sheet, Failure> {
        match &self.side {
            Side::Database(desk) => desk.page(list, after.as_deref()).await,
            Side::Counter(counter) => counter.page(list, after.as_deref()).await,
        }
    }

    /// Makes a change.
    pub(super) async fn change(&self, change: Change) -> Result<Done, Failure> {
        match &self.side {
            Side::Database(desk) => desk.change(change).await,
            Side::Counter(counter) => counter.change(&change).await,
        }
    }
}

/// The id that a view tells under a name.
pub(super) fn id_of<K: Kind>(view: &Value, name: &str) -> Result<Id<K>, Failure> {
    cell(view.get(name)).parse().map_err(|_| Failure::failed(format!("the answer has no `{name}` that is an id")))
}
