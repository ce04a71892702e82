//! What a restore undoes is told before it asks.

use serde_json::{Value, json};

use super::{on_both, text};
use crate::support::engines::execute;

/// What was undone, in the order of the list: the word, whose, why.
fn told(report: &Value) -> Vec<(String, String, Option<String>)> {
    let item = |item: &Value| (text(item, "/what"), text(item, "/id"), item["why"].as_str().map(str::to_owned));
    report["undone"].as_array().unwrap().iter().map(item).collect()
}

fn expected(items: &[(&str, &str, Option<&str>)]) -> Vec<(String, String, Option<String>)> {
    items.iter().map(|(what, id, why)| ((*what).to_owned(), (*id).to_owned(), why.map(str::to_owned))).collect()
}

#[tokio::test]
async fn a_restore_lists_exactly_the_revocations_that_it_undoes() {
    on_both(async |house| {
        let shell = &house.shell;
        let run = |arguments: &[&str]| shell.run(arguments).expect(0);
        let (other, initech) = (shell.org("Other"), shell.org("Initech"));
        let [revoked, early, disabled, narrowed, rotated, expired] = [(); 6].map(|()| shell.key("acme", "scan:create").0);
        let (long_revoked, _) = shell.key("acme", "scan:create");
        let (first_disabled, _) = shell.key("acme", "scan:create");
        run(&["key", "revoke", &long_revoked, "--reason", "old", "--yes"]);
        run(&["key", "disable", &first_disabled, "--yes"]);
        run(&["org", "suspend", "initech", "--reason", "before", "--yes"]);
        house.create("a.backup");
        assert_eq!(told(&house.refused_restore("a.backup")), []);

        run(&["key", "revoke", &revoked, "--reason", "leaked on a forum", "--yes"]);
        run(&["key", "disable", &early, "--yes"]);
        run(&["key", "enable", &early]);
        run(&["key", "disable", &disabled, "--yes"]);
        run(&["key", "enable", &first_disabled]);
        run(&["key", "rotate", &rotated, "--overlap", "0s", "--yes"]);
        run(&["org", "suspend", "acme", "--reason", "payment overdue", "--yes"]);
        run(&["org", "unsuspend", "initech", "--reason", "paid"]);
        run(&["org", "delete", "other", "--yes"]);
        run(&["admin", "revoke", &house.owner, "--yes"]);
        let acme = text(&shell.json(&["org", "get", "acme"]), "/id");
        let narrow = format!("UPDATE api_key SET permissions = '[\"jobs:read\"]' WHERE id = '{narrowed}'");
        let shorten = format!("UPDATE api_key SET expires_at = '2026-01-02T03:04:05.678Z' WHERE id = '{expired}'");
        for sql in [narrow, shorten] {
            execute(&house.url(), &sql).await.unwrap();
        }
        let made = [shell.org("Umbrella"), shell.key("acme", "scan:create").0];

        let before = house.state();
        let report = house.refused_restore("a.backup");
        let mut keys = [
            (revoked.as_str(), "revocation", Some("leaked on a forum")),
            (&disabled, "disabling", None),
            (&narrowed, "reduction", None),
            (&rotated, "rotation", None),
            (&expired, "expiry", None),
        ];
        keys.sort_unstable();
        let mut items = vec![("suspension", acme.as_str(), Some("payment overdue")), ("deletion", &other, None)];
        items.extend(keys.iter().map(|(id, what, why)| (*what, *id, *why)));
        items.push(("revocation", &house.owner, None));
        assert_eq!(told(&report), expected(&items), "{report:#}");
        assert_eq!(report["vanishing"], json!({ "orgs": 1, "keys": 1, "secrets": 1, "admins": 0 }));
        let of = |id: &str| report["undone"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap().clone();
        assert_eq!((&of(&revoked)["name"], &of(&revoked)["org"]), (&"CI".into(), &"Acme".into()));
        assert!(text(&of(&revoked), "/when").ends_with('Z'));
        assert_eq!(of(&narrowed)["detail"], "scan:create");
        assert!(text(&of(&rotated), "/detail").starts_with("op_live_"));
        assert_eq!(of(&expired)["detail"], "expires at 2026-01-02T03:04:05.678Z");

        let ran = shell.run_with(&["backup", "restore", "a.backup"], "y\n");
        ran.refused(2, "--yes");
        for word in [&*revoked, "leaked on a forum", "payment overdue", "1 orgs, 1 keys, 1 secrets"] {
            assert!(ran.err.contains(word), "{word}: {ran:?}");
        }
        for kept in [&early, &long_revoked, &first_disabled, &initech] {
            assert!(!ran.err.contains(kept.as_str()), "{kept}: {ran:?}");
        }
        assert_eq!(house.state(), before);

        let done = shell.run(&["backup", "restore", "a.backup", "--yes"]).expect(0);
        assert!(done.err.contains("leaked on a forum"), "{done:?}");
        assert_eq!(told(&house.refused_restore("a.backup")), []);
        for id in made {
            assert!(!house.state().iter().any(|list| list.to_string().contains(&id)), "{id}");
        }
        house
    })
    .await;
}

#[tokio::test]
async fn a_live_row_that_opens_nothing_because_it_is_broken_or_gone_is_listed() {
    on_both(async |house| {
        house.create("a.backup");
        let (first, second) = (&house.first.0, &house.second.0);
        let sql = format!(
            "UPDATE api_key SET permissions = 'all of them' WHERE id = '{first}'; \
             DELETE FROM secret WHERE key_id = '{second}'; DELETE FROM api_key WHERE id = '{second}'"
        );
        execute(&house.url(), &sql).await.unwrap();
        let report = house.refused_restore("a.backup");
        let mut items = [(first.as_str(), "unreadable"), (second, "absence")];
        items.sort_unstable();
        assert_eq!(told(&report), expected(&items.map(|(id, what)| (what, id, None))));
        house.restore("a.backup").expect(0);
        assert_eq!(house.check("jobs:read", &house.second.1), 0);
        house
    })
    .await;
}

#[tokio::test]
async fn many_keys_are_compared_page_by_page() {
    on_both(async |house| {
        let sql = |table: &str, columns: &str| {
            let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)";
            format!("{numbers} INSERT INTO {table} SELECT {columns} FROM n, api_key k WHERE k.id = '{}'", house.first.0)
        };
        let id = "substr(k.id, 1, 20) || 'zzz' || (10000000 + i)";
        let columns = format!(
            "{id}, k.org_id, k.name, k.environment, k.permissions, k.created_at, k.updated_at, k.expires_at, k.disabled_at, \
             k.revoked_at, k.revocation_reason, k.revision"
        );
        execute(&house.url(), &sql("api_key", &columns)).await.unwrap();
        house.create("a.backup");
        assert_eq!(house.verify("a.backup")["keys"], 1202);
        let revoke = "UPDATE api_key SET revoked_at = created_at WHERE id LIKE '%zzz100_______' OR id LIKE '%zzz%7'";
        execute(&house.url(), revoke).await.unwrap();
        let report = house.refused_restore("a.backup");
        assert_eq!(told(&report).len(), 120, "{:?}", told(&report).len());
        assert!(told(&report).iter().all(|(what, id, _)| what == "revocation" && id.ends_with('7')));
        house
    })
    .await;
}
