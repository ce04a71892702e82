//! The database: whether it answers, and whether what it holds fits settings and policies.

use super::{
    clock::{self, Sample},
    diagnosis::{Check, ask, counted, milliseconds},
    replicas::{self, Look},
};
use crate::{
    cli::grants,
    config::Loaded,
    domain::{
        clock::{Clock, Timestamp},
        secret::{Hashing, Peppers},
    },
    policy::Engine,
    store::{AuditCheck, HashedAlike, Store},
};

/// Times that the clock is asked for; the quickest answer says the most.
const SAMPLES: usize = 3;
const SCHEMA: &str = "schema";
const HASHES: &str = "hashes";
const PERMISSIONS: &str = "permissions";
const REPLICAS: &str = "replicas";
const AUDIT: &str = "audit";

/// Looks at everything that can be looked at: what comes later needs what comes before.
pub(super) async fn check(loaded: &Loaded, engine: Option<&Engine>, clock: &Clock) -> Vec<Check> {
    let (store, reached, sample) = match reach(loaded, clock).await {
        Ok(reached) => reached,
        Err(unreached) => {
            let is_file = loaded.config.database.file().is_ok_and(|file| file.is_some());
            let clock = (!is_file).then_some(clock::CHECK);
            let rest = [SCHEMA].into_iter().chain(clock).chain(of_schema(!is_file));
            let why = "the database cannot be reached";
            return std::iter::once(unreached).chain(rest.map(|check| Check::not_checked(check, why))).collect();
        }
    };
    let mut checks = vec![reached];
    checks.extend(sample.ahead_ms.map(|_| clock::check("the database", &sample)));
    match check_schema(&store).await {
        Ok(schema) => {
            checks.push(schema);
            checks.extend(check_rows(&store, loaded, engine, clock.now()).await);
        }
        Err(schema) => {
            checks.push(schema);
            let why = "the schema is not the one that this claviger needs";
            checks.extend(of_schema(store.is_shared()).map(|check| Check::not_checked(check, why)));
        }
    }
    store.close().await;
    checks
}

/// What cannot be looked at without a schema.
fn of_schema(is_shared: bool) -> impl Iterator<Item = &'static str> {
    [HASHES, PERMISSIONS].into_iter().chain(is_shared.then_some(REPLICAS)).chain([AUDIT])
}

async fn check_rows(store: &Store, loaded: &Loaded, engine: Option<&Engine>, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![early(check_hashes(store, loaded, now).await), early(check_permissions(store, engine, now).await)];
    if store.is_shared() {
        checks.push(replicas::check(REPLICAS, async || look(store).await).await);
    }
    checks.push(check_audit(store).await);
    checks
}

/// A check that ended early is a check as well.
fn early(check: Result<Check, Check>) -> Check {
    check.unwrap_or_else(|early| early)
}

/// Connects, and times the shortest question.
async fn reach(loaded: &Loaded, clock: &Clock) -> Result<(Store, Check, Sample), Check> {
    const CHECK: &str = "database";
    let config = &loaded.config.database;
    let store = Store::open_to_read(config).await.map_err(|error| {
        let is_missing = config.file().is_ok_and(|file| file.is_some_and(|file| !file.exists()));
        let remedy = if is_missing {
            "make it with `claviger migrate up`, or name another in `database.url` or with `--database`"
        } else {
            "see that it runs and that this user can use it, or correct `database.url`"
        };
        Check::unreachable(CHECK, error, remedy)
    })?;
    let mut best: Option<Sample> = None;
    for _ in 0..SAMPLES {
        let (now, sent) = (clock.now(), clock.uptime());
        let told = ask(CHECK, store.read_clock()).await?;
        let sample = Sample::new(now, clock.uptime().since(sent), told);
        best = best.filter(|best| best.took <= sample.took).or(Some(sample));
    }
    let Some(best) = best else { return Err(Check::not_checked(CHECK, "it was not asked")) };
    let found = format!("`{config}` answers in {}", milliseconds(best.took));
    Ok((store, Check::ok(CHECK, found), best))
}

/// Whether the rows can be read; if not, that is the error.
async fn check_schema(store: &Store) -> Result<Check, Check> {
    const NEWER: &str = "upgrade this claviger to the version that the others run";
    let newer = ask(SCHEMA, store.newer_migrations()).await?.join("`, `");
    let pending = match store.pending_migrations().await {
        Ok(pending) => pending,
        Err(error) if newer.is_empty() => return Err(Check::unread(SCHEMA, &error)),
        Err(error) => return Err(Check::problem(SCHEMA, error, NEWER)),
    };
    if !pending.is_empty() {
        let found = format!("pending: `{}`", pending.join("`, `"));
        return Err(Check::problem(SCHEMA, found, "run `claviger migrate up`, or start a server without `--no-migrate`"));
    }
    let head = ask(SCHEMA, store.head()).await?;
    if newer.is_empty() {
        return Ok(Check::ok(SCHEMA, format!("up to date, at revision {}", head.revision)));
    }
    let found = format!("a newer claviger has added `{newer}`, which this one can do without");
    Ok(Check::warning(SCHEMA, found, NEWER))
}

/// Secrets under a pepper that is gone can never authenticate.
async fn check_hashes(store: &Store, loaded: &Loaded, now: Timestamp) -> Result<Check, Check> {
    let peppers = loaded.config.keys.peppers();
    let peppers = peppers.map_err(|error| Check::problem(HASHES, error, "correct the setting"))?;
    let hashed = ask(HASHES, store.count_hashed(now)).await?;
    let lost = |alike: &&HashedAlike| !accepts(&peppers, alike);
    let told = |alike: &HashedAlike, one: &str, many: &str| {
        let under = alike.pepper_id.as_ref().map_or_else(|| "without a pepper".to_owned(), |id| format!("under pepper `{id}`"));
        format!("{} {under}, for example of `{}`", counted(alike.count, one, many), alike.example)
    };
    let keys = hashed.of_keys.iter().filter(lost).map(|alike| told(alike, "secret of a key", "secrets of keys"));
    let admins = hashed.of_admins.iter().filter(lost).map(|alike| told(alike, "admin token", "admin tokens"));
    let lost: Vec<_> = keys.chain(admins).collect();
    if lost.is_empty() {
        let sum = |all: &[HashedAlike]| all.iter().map(|alike| alike.count).sum();
        let keys = counted(sum(&hashed.of_keys), "secret of a key", "secrets of keys");
        let admins = counted(sum(&hashed.of_admins), "admin token", "admin tokens");
        return Ok(Check::ok(HASHES, format!("{keys} and {admins}, all hashed as configured")));
    }
    let found = format!("can never authenticate, being hashed in a way that is neither current nor retired: {}", lost.join("; "));
    let remedy = "set `keys.retired_pepper` to the pepper that is missing (`plain` for none), or rotate these keys and revoke \
         these tokens";
    Ok(Check::problem(HASHES, found, remedy))
}

fn accepts(peppers: &Peppers, alike: &HashedAlike) -> bool {
    let fits = |hashing: &Hashing| hashing.algorithm() == alike.algorithm && hashing.pepper_id() == alike.pepper_id.as_deref();
    std::iter::once(&peppers.current).chain(&peppers.retired).any(fits)
}

/// Permissions that no policy can ask for any more.
async fn check_permissions(store: &Store, engine: Option<&Engine>, now: Timestamp) -> Result<Check, Check> {
    let engine = engine.ok_or_else(|| Check::not_checked(PERMISSIONS, "the policies cannot be loaded"))?;
    let granted = ask(PERMISSIONS, store.count_grants(now)).await?;
    let unreadable: Vec<_> = granted.iter().filter(|alike| alike.permissions.is_none()).collect();
    if let Some(first) = unreadable.first() {
        let keys = counted(unreadable.iter().map(|alike| alike.keys).sum(), "key", "keys");
        let found = format!("the permissions of {keys} cannot be read, for example of `{}`: everything is denied", first.example);
        return Err(Check::problem(PERMISSIONS, found, "set them anew with `PATCH /v1/keys/{id}`, or make the key anew"));
    }
    let gone = grants::gone(&granted, engine);
    if gone.is_empty() {
        let keys = counted(granted.iter().map(|alike| alike.keys).sum(), "key", "keys");
        return Ok(Check::ok(PERMISSIONS, format!("{keys}, whose permissions are all in the schema")));
    }
    let gone = gone
        .iter()
        .map(|(name, (keys, example))| format!("`{name}` ({}, for example `{example}`)", counted(*keys, "key", "keys")));
    let found = format!("the schema no longer has {}: they allow nothing", gone.collect::<Vec<_>>().join(", "));
    Ok(Check::warning(PERMISSIONS, found, "put the actions back into the schema, or take the permissions from these keys"))
}

async fn look(store: &Store) -> Result<Look, Check> {
    let listed = ask(REPLICAS, store.list_replicas()).await?;
    let now = ask(REPLICAS, store.read_clock()).await?;
    let now = now.ok_or_else(|| Check::not_checked(REPLICAS, "the database has no clock of its own"))?;
    Ok(Look { revision: listed.revision, now, sights: listed.replicas.iter().map(replicas::Sight::from).collect() })
}

/// The one check that may take long, and is made all the same: nothing else tells that history was edited.
async fn check_audit(store: &Store) -> Check {
    match store.verify_audit().await {
        Ok(whole @ AuditCheck::Whole { .. }) => Check::ok(AUDIT, whole),
        Ok(broken @ AuditCheck::Broken { .. }) => Check::problem(
            AUDIT,
            broken,
            "somebody wrote past claviger, or the file is damaged: compare with a backup, and ask who has access",
        ),
        Err(error) => Check::unread(AUDIT, &error),
    }
}
