//! When keys were last used: seen within a minute, written in few statements, and nothing but that is moved by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use claviger::domain::clock::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{eventually, serve::Place};
use crate::support::{
    engines::{execute, number},
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
    program::Visitor,
};

/// A use is seen a minute later, and a machine with too much to do is forgiven some seconds.
const SEEN: Duration = Duration::from_secs(75);
/// How long the load lasts while statements are counted.
const LOAD: Duration = Duration::from_mins(1);
/// What two looks at clocks may differ by.
const APART_MS: i64 = 1_000;

fn now() -> i64 {
    Clock::System.now().as_millis()
}

/// The time in a field; nothing for `null`.
fn time(value: &Value) -> Option<i64> {
    value.as_str().map(|text| text.parse::<Timestamp>().unwrap().as_millis())
}

/// When a key and each of its secrets, oldest first, were last used.
async fn last_uses(owner: &Visitor, key: &str) -> (Option<i64>, Vec<Option<i64>>) {
    let key = owner.get(&format!("/v1/keys/{key}")).await.expect(200).body;
    let secrets = key["secrets"].as_array().unwrap();
    (time(&key["last_used_at"]), secrets.iter().map(|secret| time(&secret["last_used_at"])).collect())
}

/// Asks for something once; between which moments it was.
async fn ask(visitor: &Visitor, action: &str, status: u16) -> [i64; 2] {
    let before = now();
    visitor.authorize(action).await.expect(status);
    [before, now()]
}

#[track_caller]
fn assert_in(told: i64, [before, after]: [i64; 2]) {
    assert!((before - APART_MS..=after + APART_MS).contains(&told), "used from {before} to {after} and told {told}");
}

/// Keys, each used in a way of its own, and when.
struct Uses {
    owner: Visitor,
    /// Used once: allowed, and denied.
    used: [(String, [i64; 2]); 2],
    /// Never used: not shown at all, and shown after it was revoked.
    unused: [String; 2],
    /// Used with either secret.
    rotated: String,
    at: [[i64; 2]; 2],
}

impl Uses {
    async fn make(owner: &Visitor, key_of: impl Fn(&str) -> Visitor) -> Self {
        let org = owner.create_org("uses").await;
        // Each write is waited for, so that a use anywhere is one of what was written.
        let write = async |path: String, body: Value| owner.post(&format!("{path}?wait=all"), body).await;
        let create = async || {
            let body = json!({ "name": "CI", "environment": "live", "permissions": ["classify:create"] });
            let reply = write(format!("/v1/orgs/{org}/keys"), body).await.expect(201);
            (reply.text("/key/id"), reply.text("/secret"))
        };
        let (allowed, secret) = create().await;
        let allowed = (allowed, ask(&key_of(&secret), "classify:create", 200).await);
        let (denied, secret) = create().await;
        let denied = (denied, ask(&key_of(&secret), "scan:create", 403).await);
        let (unused, _) = create().await;
        let (revoked, secret) = create().await;
        write(format!("/v1/keys/{revoked}/revoke"), json!({ "reason": "leaked" })).await.expect(200);
        ask(&key_of(&secret), "classify:create", 401).await;
        let (rotated, old) = create().await;
        let reply = write(format!("/v1/keys/{rotated}/rotate"), json!({ "overlap": "1h" })).await.expect(200);
        let first = ask(&key_of(&old), "classify:create", 200).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let second = ask(&key_of(&reply.text("/secret")), "classify:create", 200).await;
        Self { owner: owner.clone(), used: [allowed, denied], unused: [unused, revoked], rotated, at: [first, second] }
    }

    /// Waits until all that was used is seen, and looks at what is told.
    async fn assert_seen(&self) {
        for (key, at) in &self.used {
            let told = eventually("a use is seen", SEEN, async || last_uses(&self.owner, key).await.0).await;
            assert_in(told, *at);
            assert_eq!(last_uses(&self.owner, key).await.1, [Some(told)]);
        }
        let seen = async || {
            let (key, secrets) = last_uses(&self.owner, &self.rotated).await;
            secrets.iter().all(Option::is_some).then_some((key, secrets))
        };
        let (key, secrets) = eventually("the uses of both secrets are seen", SEEN, seen).await;
        assert_in(secrets[0].unwrap(), self.at[0]);
        assert_in(secrets[1].unwrap(), self.at[1]);
        assert_eq!(key, secrets[1]);
        for key in &self.unused {
            assert_eq!(last_uses(&self.owner, key).await, (None, vec![None]));
        }
    }
}

/// Uses keys as fast as it goes.
async fn hammer(keys: Vec<Visitor>, over: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    for key in keys.iter().cycle() {
        if over.load(Ordering::SeqCst) {
            break;
        }
        key.authorize("classify:create").await.expect(200);
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Load on everything that these visitors can use, for a minute.
async fn load(visitors: Vec<Vec<Visitor>>) {
    let (over, answered, mut clients) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for keys in visitors {
        clients.spawn(hammer(keys, Arc::clone(&over), Arc::clone(&answered)));
    }
    tokio::time::sleep(LOAD).await;
    over.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    eprintln!("{} uses", answered.load(Ordering::SeqCst));
}

const TABLES: [&str; 3] = ["api_key", "secret", "secret_use"];

/// Counts from here on every statement that writes a table where uses could be noted, also one that finds nothing to write.
async fn count_statements(url: &str) {
    const COUNT: &str = "CREATE TABLE statement (relation TEXT NOT NULL);
        CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO statement VALUES (TG_TABLE_NAME); RETURN NULL; END $$;";
    execute(url, COUNT).await.unwrap();
    for table in TABLES {
        // A statement that inserts or else updates fires the triggers of both.
        let event = if table == "secret_use" { "INSERT" } else { "INSERT OR UPDATE OR DELETE" };
        let sql =
            format!("CREATE TRIGGER counted AFTER {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION count_statement()");
        execute(url, &sql).await.unwrap();
    }
}

/// The same on SQLite, which can only count rows.
async fn count_rows(url: &str) {
    execute(url, "CREATE TABLE statement (relation TEXT NOT NULL)").await.unwrap();
    for table in TABLES {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            let sql = format!(
                "CREATE TRIGGER counted_{table}_{event} AFTER {event} ON {table} BEGIN INSERT INTO statement VALUES ('{table}'); END"
            );
            execute(url, &sql).await.unwrap();
        }
    }
}

/// Revision and length of the audit log.
async fn history(url: &str) -> [i64; 2] {
    [number(url, "SELECT revision FROM meta").await, number(url, "SELECT count(*) FROM audit").await]
}

async fn counted(url: &str, tables: &str) -> i64 {
    number(url, &format!("SELECT count(*) FROM statement WHERE relation IN ({tables})")).await
}

async fn two_replicas_on_postgres() {
    const REPLICAS: usize = 2;
    let url = postgres_url().await;
    let fleet = Fleet::start(&url, REPLICAS, &[]).await;
    let keys = fleet.keys(10).await;
    let uses = Uses::make(&fleet.owner_at(0), |secret| fleet.key_at(1, secret)).await;
    count_statements(&url).await;
    let before = history(&url).await;
    let visitors = (0..REPLICAS).map(|member| keys.iter().map(|(_, secret)| fleet.key_at(member, secret)).collect());
    tokio::join!(load(visitors.collect()), uses.assert_seen());
    assert_eq!(history(&url).await, before);
    assert_eq!(counted(&url, "'api_key', 'secret'").await, 0);
    let statements = counted(&url, "'secret_use'").await;
    assert!((1..=2 * i64::try_from(REPLICAS).unwrap()).contains(&statements), "{statements} statements in a minute");
    drop(fleet);
    drop_database(&url).await;
}

async fn one_server_on_sqlite() {
    let place = Place::sqlite();
    let server = place.serve();
    let owner = server.bearer(&place.owner().await);
    let org = owner.create_org("acme").await;
    let key = server.bearer(&owner.create_key(&org, &["classify:create"]).await.1);
    let uses = Uses::make(&owner, |secret| server.bearer(secret)).await;
    count_rows(&place.url).await;
    let before = history(&place.url).await;
    tokio::join!(load(vec![vec![key]]), uses.assert_seen());
    assert_eq!(history(&place.url).await, before);
    assert_eq!(counted(&place.url, "'api_key', 'secret'").await, 0);
    // Five secrets were used, two times a minute at most each.
    let rows = counted(&place.url, "'secret_use'").await;
    assert!((1..=10).contains(&rows), "{rows} rows in a minute");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_of_a_key_is_seen_within_a_minute_and_costs_two_statements() {
    tokio::join!(two_replicas_on_postgres(), one_server_on_sqlite());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_writes_the_last_uses_at_once_and_never_an_earlier_one() {
    let url = postgres_url().await;
    let mut fleet = Fleet::start(&url, 3, &[]).await;
    let (key, secret) = fleet.keys(1).await.remove(0);
    // `keys` has used it at every server, so each has something to write.
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleet.key_at(1, &secret).authorize("classify:create").await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = ask(&fleet.key_at(0, &secret), "classify:create", 200).await;
    let owner = fleet.owner_at(2);
    assert_eq!(fleet.members.remove(0).program.stop().code, Some(0));
    let told = last_uses(&owner, &key).await.0.unwrap();
    assert_in(told, used);
    // The other one knows an earlier use.
    assert_eq!(fleet.members.remove(0).program.stop().code, Some(0));
    assert_eq!(last_uses(&owner, &key).await, (Some(told), vec![Some(told)]));
    drop(fleet);
    drop_database(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_sqlite_that_stops_writes_the_last_uses_at_once() {
    let place = Place::sqlite();
    let server = place.serve();
    let (url, owner) = (place.url.clone(), place.owner().await);
    let admin = server.bearer(&owner);
    let org = admin.create_org("acme").await;
    let (key, secret) = admin.create_key(&org, &["classify:create"]).await;
    let before = history(&url).await;
    let used = ask(&server.bearer(&secret), "classify:create", 200).await;
    assert_eq!(last_uses(&admin, &key).await.0, None);
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(history(&url).await, before);
    let again = place.serve();
    assert_in(last_uses(&again.bearer(&owner), &key).await.0.unwrap(), used);
}
