//! Replicas agree, and each can say by what it decides.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    fleet::Fleet,
    postgres::{drop_database, postgres_url},
};

async fn digests(fleet: &Fleet) -> Vec<Value> {
    let mut all = Vec::new();
    for member in 0..fleet.members.len() {
        all.push(fleet.key_at(member, "").get("/internal/digest").await.expect(200).body);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_quiet_all_replicas_hold_the_same_whichever_way_it_came() {
    let url = postgres_url().await;
    let mut fleet = Fleet::start(&url, 2, &[]).await;
    let keys = fleet.keys(30).await;
    let before = digests(&fleet).await;
    for (turn, (key, _)) in keys.iter().enumerate() {
        let owner = fleet.owner_at(turn % 2);
        let call = ["revoke", "disable", "rotate"][turn % 3];
        owner.post(&format!("/v1/keys/{key}/{call}"), serde_json::json!({})).await.expect(200);
    }
    // One that read everything at once, beside two that followed.
    let member = fleet.launch().await;
    fleet.members.push(member);
    for _ in 0..100 {
        let all = digests(&fleet).await;
        if all.iter().all(|digest| *digest == all[0]) {
            assert_ne!(all[0]["rows"], before[0]["rows"]);
            assert_eq!((&all[0]["keys"], &all[0]["orgs"]), (&Value::from(30), &Value::from(1)));
            let listed = fleet.owner_at(2).get("/v1/replicas").await.expect(200);
            let listed = listed.body["data"].as_array().unwrap().clone();
            assert!(
                listed.len() == 3 && listed.iter().all(|replica| replica["policy_set"] == all[0]["policy_set"]),
                "{listed:?}"
            );
            drop(fleet);
            return drop_database(&url).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", digests(&fleet).await);
}
