//! A restore below a running server.

use std::{thread, time::Duration};

use serde_json::json;

use super::on_both;
use crate::{process::eventually, support::program::Program};

/// Status and revision of an answer.
async fn ask(server: &Program, secret: &str) -> (u16, i64) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/v1/authorize", server.told("/url"))).bearer_auth(secret);
    let answer = request.json(&json!({ "action": "scan:create" })).send().await.unwrap();
    let revision = answer.headers()["claviger-revision"].to_str().unwrap().parse().unwrap();
    (answer.status().as_u16(), revision)
}

#[tokio::test]
async fn a_running_server_decides_by_the_restored_state_and_never_by_a_mixture() {
    on_both(async |house| {
        let server = house.shell.serve();
        house.create("a.backup");
        let (key, secret) = &house.first;
        let (late, late_secret) = house.shell.key("acme", "scan:create");
        house.shell.run(&["key", "revoke", key, "--reason", "leaked", "--yes"]).expect(0);
        house.shell.run(&["org", "create", "Other"]).expect(0);
        let patience = Duration::from_secs(10);
        let (server, backed_up, live) = (&server, 5, 8);
        eventually("the writes are seen", patience, async || (ask(server, secret).await == (401, live)).then_some(())).await;
        assert_eq!(ask(server, &late_secret).await, (200, live));

        let command = house.shell.command(&["backup", "restore", "a.backup", "--yes"]);
        let restoring = thread::spawn(move || super::Ran::of(command, ""));
        let (secret, late_secret) = (&secret, &late_secret);
        eventually("the restore is seen", patience, async || {
            for (secret, before, after) in [(secret.as_str(), 401, 200), (late_secret.as_str(), 200, 401)] {
                let answer = ask(server, secret).await;
                let fits = [(before, live), (after, backed_up)].contains(&answer) || answer.0 == 503;
                assert!(fits, "{answer:?}");
            }
            (ask(server, late_secret).await == (401, backed_up)).then_some(())
        })
        .await;
        restoring.join().unwrap().expect(0);
        assert_eq!(ask(server, secret).await, (200, backed_up));

        // The next write follows the restored history, and the server follows it.
        house.shell.run(&["key", "revoke", key, "--yes"]).expect(0);
        eventually("the next write is seen", patience, async || (ask(server, secret).await == (401, 6)).then_some(())).await;
        house.shell.run(&["key", "get", &late]).expect(1);
        house
    })
    .await;
}
