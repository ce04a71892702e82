//! The database itself.

use std::{fmt::Display, str::FromStr};

use serde::Serialize;
use serde_json::Value;

use super::{Change, Done, List, Sheet, Thing};
use crate::{
    cli::{desk::Desk, failure::Failure},
    domain::{admin::Admin, key::Key, name::Slug, org::Org, secret::Plane},
    http::{AdminView, AuditView, KeyView, OrgView, ReplicaView},
    store::{Listing, Page, StoreError, Written},
};

fn view(view: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(Failure::failed)
}

impl Desk {
    pub(super) async fn find(&self, thing: Thing) -> Result<Option<Value>, Failure> {
        match thing {
            Thing::Org(id) => self.store.find_org(id).await?.map(|org| view(&OrgView::new(&org))),
            Thing::Key(id) => self.store.find_key(id).await?.map(|key| view(&KeyView::new(&key, self.clock.now()))),
            Thing::Admin(id) => self.store.find_admin(id).await?.map(|admin| view(&AdminView::new(&admin))),
        }
        .transpose()
    }

    pub(super) async fn find_org_by_slug(&self, slug: &Slug) -> Result<Option<Value>, Failure> {
        self.store.find_org_by_slug(slug).await?.map(|org| view(&OrgView::new(&org))).transpose()
    }

    pub(super) async fn page(&self, list: List<'_>, after: Option<&str>) -> Result<Sheet, Failure> {
        let now = self.clock.now();
        match list {
            List::Orgs => Sheet::new(&self.store.list_orgs(page(after)?).await?, |org| org.id, OrgView::new),
            List::Keys(org) => {
                let keys = self.store.list_keys(org, page(after)?).await?;
                Sheet::new(&keys, |key| key.id, |key| KeyView::new(key, now))
            }
            List::Replicas if !self.store.is_shared() => {
                Err(Failure::failed("a SQLite database has one server and no list of it; ask that server with `--server`"))
            }
            List::Replicas => {
                let listed = self.store.list_replicas().await?;
                let views = listed.replicas.iter().map(|replica| view(&ReplicaView::new(replica, listed.revision)));
                Ok(Sheet { views: views.collect::<Result<_, _>>()?, next: None })
            }
            List::Audit(filter) => {
                let listing = self.store.list_audit(page(after)?, filter).await?;
                Sheet::new(&listing, |entry| entry.record.revision, AuditView::new)
            }
            List::Admins => Sheet::new(&self.store.list_admins(page(after)?).await?, |admin| admin.id, AdminView::new),
        }
    }

    pub(super) async fn change(&self, change: Change) -> Result<Done, Failure> {
        let (store, author) = (&self.store, &self.author());
        match change {
            Change::CreateOrg(new) => org(&store.create_org(author, new).await?),
            Change::SuspendOrg(id, reason) => org(&store.suspend_org(author, id, &reason).await?),
            Change::UnsuspendOrg(id, reason) => org(&store.unsuspend_org(author, id, &reason).await?),
            Change::DeleteOrg(id) => org(&store.delete_org(author, id).await?),
            Change::CreateKey(org, order) => {
                let new = order.new_key(&self.loaded, self.clock.now())?;
                let (secret, sealed) = self.mint(new.environment.plane())?;
                Ok(self.key(&store.create_key(author, org, new, &sealed).await?)?.with_secret(secret.expose()))
            }
            Change::RotateKey(id, overlap) => {
                let key = store.find_key(id).await?.ok_or(StoreError::NotFound)?;
                let (secret, sealed) = self.mint(key.environment.plane())?;
                Ok(self.key(&store.rotate_key(author, id, overlap, &sealed).await?)?.with_secret(secret.expose()))
            }
            Change::FinishRotation(id) => self.key(&store.finish_rotation(author, id).await?),
            Change::DisableKey(id) => self.key(&store.disable_key(author, id).await?),
            Change::EnableKey(id) => self.key(&store.enable_key(author, id).await?),
            Change::RevokeKey(id, reason) => self.key(&store.revoke_key(author, id, reason.as_ref()).await?),
            Change::CreateAdmin(new) => {
                let (secret, sealed) = self.mint(Plane::Admin)?;
                Ok(admin(&store.create_admin(author, new, &sealed).await?)?.with_secret(secret.expose()))
            }
            Change::RevokeAdmin(id) => admin(&store.revoke_admin(author, id).await?),
        }
    }

    fn key(&self, written: &Written<Key>) -> Result<Done, Failure> {
        Done::new("key", &KeyView::new(&written.value, self.clock.now()), written.revision)
    }
}

fn org(written: &Written<Org>) -> Result<Done, Failure> {
    Done::new("org", &OrgView::new(&written.value), written.revision)
}

fn admin(written: &Written<Admin>) -> Result<Done, Failure> {
    Done::new("admin", &AdminView::new(&written.value), written.revision)
}

fn page<I: FromStr<Err: Display>>(after: Option<&str>) -> Result<Page<I>, Failure> {
    Ok(Page { limit: 200, after: after.map(str::parse).transpose().map_err(Failure::failed)? })
}

impl Sheet {
    fn new<T, I: Display, V: Serialize>(
        listing: &Listing<T>,
        id: impl Fn(&T) -> I,
        show: impl Fn(&T) -> V,
    ) -> Result<Self, Failure> {
        let views = listing.items.iter().map(|item| view(&show(item))).collect::<Result<_, _>>()?;
        Ok(Self { views, next: listing.items.last().filter(|_| listing.has_more).map(|item| id(item).to_string()) })
    }
}
