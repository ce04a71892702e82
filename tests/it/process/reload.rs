//! Policy files edited under a running server: a good edit comes into force, a bad one changes nothing and is told.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::eventually;
use crate::support::program::{Program, Visitor, command, copy_files, shipped_directory};

/// What the product promises for an edit.
const SOON: Duration = Duration::from_secs(5);
/// For what is promised, but not by when.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on copies of the shipped policies and schema.
struct Site {
    directory: TempDir,
    server: Program,
    admin: Visitor,
}

impl Site {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["policies", "schema"] {
            copy_files(&shipped_directory(name), &directory.path().join(name));
        }
        let server = Program::start(command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]));
        let admin = server.bearer(&server.told("/admin_token"));
        Self { directory, server, admin }
    }

    fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    fn full_access(&self) -> Visitor {
        self.server.bearer(&self.server.told("/keys/full_access"))
    }

    /// Why the last reload failed, as `/readyz` and `/v1/policies` both say; `/readyz` is 200 whatever that is.
    async fn last_failure(&self) -> Value {
        let ready = self.admin.get("/readyz").await.expect(200).body["policies"]["last_failure"].clone();
        let policies = self.admin.get("/v1/policies").await.expect(200).body["last_failure"].clone();
        // They were asked one after the other.
        if ready == policies { ready } else { Value::from("in between") }
    }

    /// Puts the shipped texts back and waits until nothing is complained of.
    async fn restore(&self) {
        fs::remove_dir_all(self.policies()).ok();
        copy_files(&shipped_directory("policies"), &self.policies());
        eventually("no failure after the text is back", PATIENCE, async || self.last_failure().await.is_null().then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_good_edit_is_in_force_without_a_restart() {
    let site = Site::new();
    let key = site.full_access();
    key.authorize("scan:create").await.expect(200);
    let before = site.admin.get("/v1/policies").await.expect(200).text("/digest");
    let closed = r#"
        @id("scans-closed")
        @code("SCANS_CLOSED")
        @message("scans are closed")
        forbid (principal is ApiKey, action == Action::"scan:create", resource is Org);
    "#;
    fs::write(site.policies().join("closed.cedar"), closed).unwrap();
    eventually("the new policy", SOON, async || (key.authorize("scan:create").await.code() == "SCANS_CLOSED").then_some(()))
        .await;
    key.authorize("classify:create").await.expect(200);
    let policies = site.admin.get("/v1/policies").await.expect(200);
    assert_ne!(policies.text("/digest"), before);
    assert!(policies.body["last_failure"].is_null());
    let listed = policies.body["policies"].as_array().unwrap().iter().find(|policy| policy["id"] == "scans-closed").unwrap();
    assert!(listed["file"].as_str().unwrap().ends_with("closed.cedar") && listed["line"].is_u64(), "{listed}");
    fs::remove_file(site.policies().join("closed.cedar")).unwrap();
    eventually("the old set", SOON, async || (key.authorize("scan:create").await.status == 200).then_some(())).await;
    assert_eq!(site.admin.get("/v1/policies").await.expect(200).text("/digest"), before);
}

#[tokio::test]
async fn an_action_added_to_the_schema_can_be_granted_and_decided_without_a_restart() {
    let site = Site::new();
    let org = site.server.told("/org/id");
    let path = format!("/v1/orgs/{org}/keys");
    let body = json!({ "name": "Reports", "environment": "live", "permissions": ["reports:read"] });
    assert_eq!(site.admin.post(&path, body.clone()).await.expect(422).code(), "UNKNOWN_PERMISSION");
    assert_eq!(site.full_access().authorize("reports:read").await.expect(422).code(), "UNKNOWN_ACTION");

    let schema = site.directory.path().join("schema/authz.cedarschema");
    let text = fs::read_to_string(&schema).unwrap();
    let action = r#"action "reports:read" appliesTo { principal: [ApiKey], resource: [Org] };"#;
    fs::write(&schema, format!("{text}\n{action}\n")).unwrap();
    let made = async || Some(site.admin.post(&path, body.clone()).await).filter(|reply| reply.status == 201);
    let secret = eventually("the new permission", SOON, made).await.text("/secret");
    site.server.bearer(&secret).authorize("reports:read").await.expect(200);
    assert_eq!(site.full_access().authorize("reports:read").await.expect(403).code(), "PERMISSION_DENIED");
    let listed = site.admin.get("/v1/permissions").await.expect(200);
    assert!(listed.body["permissions"].as_array().unwrap().iter().any(|permission| permission["name"] == "reports:read"));
}

/// Callers that ask without a pause: a key that may, and one whose org is suspended.
struct Hammer {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    running: Vec<JoinHandle<()>>,
}

impl Hammer {
    fn start(callers: [(Visitor, u16); 2]) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let ask = |(caller, expected): (Visitor, u16)| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = caller.authorize("classify:create").await.expect(expected);
                    assert!(expected == 200 || reply.code() == "ORGANIZATION_SUSPENDED", "{}", reply.body);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let running = callers.into_iter().map(ask).collect();
        Self { stop, asked, running }
    }

    /// Waits until so many more were answered; a caller that was answered wrongly has ended.
    async fn go_on(&self, more: usize) {
        let until = self.asked.load(Ordering::Relaxed) + more;
        let reached = async || {
            assert!(self.running.iter().all(|caller| !caller.is_finished()), "a caller got a wrong answer");
            (self.asked.load(Ordering::Relaxed) >= until).then_some(())
        };
        eventually("answers", PATIENCE, reached).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.running {
            caller.await.unwrap();
        }
    }
}

/// What is done to the directory of policies, and the file that the failure must name, if there is one to name.
type Edit = (&'static str, fn(&Path), Option<&'static str>);

fn add(directory: &Path, text: &str) {
    fs::write(directory.join("more.cedar"), text).unwrap();
}

const BAD_EDITS: [Edit; 8] = [
    ("the suspension rule deleted", |dir| fs::remove_file(dir.join("suspension.cedar")).unwrap(), None),
    ("a parse error", |dir| add(dir, "@id(\"x\")\npermit (principal, action resource);"), Some("more.cedar")),
    (
        "a misspelt permission",
        |dir| add(dir, "@id(\"x\")\nforbid (principal is ApiKey, action == Action::\"clasify:create\", resource is Org);"),
        Some("more.cedar"),
    ),
    (
        "a file cut in half",
        |dir| {
            let text = fs::read(dir.join("suspension.cedar")).unwrap();
            fs::write(dir.join("suspension.cedar"), &text[..text.len() / 2]).unwrap();
        },
        Some("suspension.cedar"),
    ),
    (
        "all files deleted",
        |dir| fs::read_dir(dir).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap()),
        None,
    ),
    ("the directory removed", |dir| fs::remove_dir_all(dir).unwrap(), None),
    ("everything permitted, without an id", |dir| add(dir, "permit(principal, action, resource);"), Some("more.cedar")),
    ("everything permitted", |dir| add(dir, "@id(\"x\")\npermit(principal, action, resource);"), None),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_edit_lets_a_suspended_request_through_or_fails_one() {
    let site = Site::new();
    let org = site.admin.create_org("suspended").await;
    let (_, suspended) = site.admin.create_key(&org, &["classify:create"]).await;
    site.admin.post(&format!("/v1/orgs/{org}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
    let digest = site.admin.get("/v1/policies").await.expect(200).text("/digest");
    let hammer = Hammer::start([(site.full_access(), 200), (site.server.bearer(&suspended), 403)]);
    for (what, edit, file) in BAD_EDITS {
        eprintln!("{what}");
        edit(&site.policies());
        let failed = async || Some(site.last_failure().await).filter(Value::is_object);
        let failure = eventually(what, PATIENCE, failed).await;
        assert!(!failure["message"].as_str().unwrap().is_empty() && failure["at"].is_string(), "{what}: {failure}");
        if let Some(file) = file {
            let named = failure["file"].as_str().is_some_and(|path| path.ends_with(file));
            assert!(named && failure["line"].is_u64(), "{what}: {failure}");
        }
        hammer.go_on(20).await;
        assert_eq!(site.admin.get("/v1/policies").await.expect(200).text("/digest"), digest, "{what}");
        site.restore().await;
        hammer.go_on(20).await;
    }
    hammer.end().await;
}

#[tokio::test]
async fn policies_and_schema_move_together_when_a_linked_directory_is_swapped() {
    let directory = TempDir::new().unwrap();
    for release in ["first", "second"] {
        for name in ["policies", "schema"] {
            copy_files(&shipped_directory(name), &directory.path().join(release).join(name));
        }
    }
    let second = directory.path().join("second");
    let schema = fs::read_to_string(second.join("schema/authz.cedarschema")).unwrap();
    let action = r#"action "reports:read" appliesTo { principal: [ApiKey], resource: [Org] };"#;
    fs::write(second.join("schema/authz.cedarschema"), format!("{schema}\n{action}\n")).unwrap();
    let closed = r#"@id("reports-closed") @code("REPORTS_CLOSED") forbid (principal is ApiKey, action == Action::"reports:read", resource is Org);"#;
    fs::write(second.join("policies/reports.cedar"), closed).unwrap();
    let swap = |release: &str| {
        symlink(release, directory.path().join("next")).unwrap();
        fs::rename(directory.path().join("next"), directory.path().join("current")).unwrap();
    };
    swap("first");
    let arguments =
        ["dev", "--listen", "127.0.0.1:0", "-o", "json", "--policies", "current/policies", "--schema", "current/schema"];
    let server = Program::start(command(directory.path(), &arguments));
    let key = server.bearer(&server.told("/keys/full_access"));
    assert_eq!(key.authorize("reports:read").await.expect(422).code(), "UNKNOWN_ACTION");
    swap("second");
    let moved = async || Some(key.authorize("reports:read").await).filter(|reply| reply.code() != "UNKNOWN_ACTION");
    assert_eq!(eventually("the second release", SOON, moved).await.expect(403).code(), "REPORTS_CLOSED");
    swap("first");
    let back = async || (key.authorize("reports:read").await.code() == "UNKNOWN_ACTION").then_some(());
    eventually("the first release", SOON, back).await;
    assert!(server.bearer(&server.told("/admin_token")).get("/v1/policies").await.expect(200).body["last_failure"].is_null());
}
