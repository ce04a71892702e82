//! What `claviger dev` puts into its database: the organization Acme, two keys, an admin token.

use std::time::Duration;

use super::failure::Failure;
use crate::{
    config::KeysConfig,
    domain::{
        admin::{NewAdmin, Role},
        audit::Author,
        clock::Clock,
        id::OrgId,
        key::{Environment, Key, NewKey},
        org::{NewOrg, Org},
        permission::{Permission, Permissions},
        random::Random,
        secret::{Peppers, Plane, Secret, SecretPrefix},
    },
    policy::Engine,
    store::{Page, Store},
};

const ORG: &str = "Acme";
const SLUG: &str = "acme";
const ADMIN: &str = "claviger dev";

/// The demo set-up, with secrets that are good for this run.
#[derive(Debug)]
pub(super) struct Demo {
    pub org: Org,
    pub full_access: DemoKey,
    pub read_only: DemoKey,
    pub admin: Secret,
}

/// A demo key, and its secret of this run.
#[derive(Debug)]
pub(super) struct DemoKey {
    pub key: Key,
    pub secret: Secret,
}

/// Makes what is missing and gives it fresh secrets, which ends those of the start before. Everything else stays.
pub(super) async fn prepare(
    store: &Store,
    keys: &KeysConfig,
    engine: &Engine,
    clock: &Clock,
    random: &Random,
) -> Result<Demo, Failure> {
    let stage = Stage { store, prefix: keys.prefix()?, peppers: keys.peppers()?, clock, random };
    let org = stage.org().await?;
    let all: Permissions = engine.permissions().iter().map(|info| info.name.clone()).collect();
    let reading = match engine.expand(["read-only"]) {
        Ok(reading) => reading,
        Err(_) => all.iter().filter(|name| name.as_str().ends_with(":read")).cloned().collect(),
    };
    let full_access = stage.key(org.id, "Full access", all).await?;
    let read_only = stage.key(org.id, "Read only", reading).await?;
    let admin = stage.admin().await?;
    Ok(Demo { org, full_access, read_only, admin })
}

struct Stage<'a> {
    store: &'a Store,
    prefix: SecretPrefix,
    peppers: Peppers,
    clock: &'a Clock,
    random: &'a Random,
}

impl Stage<'_> {
    fn author(&self) -> Author {
        Author::system(self.clock.now())
    }

    fn mint(&self, plane: Plane) -> Result<Secret, Failure> {
        Secret::mint(&self.prefix, plane, self.random).map_err(Failure::failed)
    }

    async fn org(&self) -> Result<Org, Failure> {
        let slug = SLUG.parse().map_err(Failure::failed)?;
        if let Some(org) = self.store.find_org_by_slug(&slug).await? {
            return Ok(org);
        }
        let new = NewOrg { name: ORG.parse().map_err(Failure::failed)?, slug };
        Ok(self.store.create_org(&self.author(), new).await?.value)
    }

    async fn key(&self, org: OrgId, name: &str, permissions: Permissions) -> Result<DemoKey, Failure> {
        let secret = self.mint(Plane::Test)?;
        let sealed = self.peppers.current.seal(&secret);
        let key = if let Some(key) = self.find_key(org, name).await? {
            self.store.rotate_key(&self.author(), key.id, Duration::ZERO, &sealed).await?.value
        } else {
            let name = name.parse().map_err(Failure::failed)?;
            let new = NewKey { name, environment: Environment::Test, permissions, expires_at: None };
            self.store.create_key(&self.author(), org, new, &sealed).await?.value
        };
        Ok(DemoKey { key, secret })
    }

    /// The demo key of an earlier start, unless somebody ended it.
    async fn find_key(&self, org: OrgId, name: &str) -> Result<Option<Key>, Failure> {
        let mut after = None;
        loop {
            let page = self.store.list_keys(org, Page { limit: 200, after }).await?;
            let now = self.clock.now();
            let is_ours =
                |key: &&Key| key.name.as_str() == name && key.environment == Environment::Test && key.state(now) == "active";
            if let Some(key) = page.items.iter().find(is_ours) {
                return Ok(Some(key.clone()));
            }
            after = page.items.last().map(|key| key.id);
            if !page.has_more {
                return Ok(None);
            }
        }
    }

    /// A fresh owner; only then the ones before it are revoked, so that there always is one.
    async fn admin(&self) -> Result<Secret, Failure> {
        let secret = self.mint(Plane::Admin)?;
        let new = NewAdmin { name: ADMIN.parse().map_err(Failure::failed)?, role: Role::Owner };
        let made = self.store.create_admin(&self.author(), new, &self.peppers.current.seal(&secret)).await?.value;
        let mut after = None;
        loop {
            let page = self.store.list_admins(Page { limit: 200, after }).await?;
            let before =
                page.items.iter().filter(|admin| admin.name == made.name && admin.id != made.id && admin.revoked_at.is_none());
            for admin in before {
                self.store.revoke_admin(&self.author(), admin.id).await?;
            }
            after = page.items.last().map(|admin| admin.id);
            if !page.has_more {
                return Ok(secret);
            }
        }
    }
}

impl Demo {
    /// An action that the first key may do and the second may not.
    pub(super) fn telling_action(&self) -> Option<&Permission> {
        self.full_access.key.permissions.difference(&self.read_only.key.permissions).next()
    }
}
