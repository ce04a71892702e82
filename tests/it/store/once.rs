//! A write that is asked for twice is made once, whoever of several servers is asked.

use claviger::{
    domain::{
        admin::{Admin, Role},
        audit::{Actor, Author},
        org::Org,
    },
    store::{Attempt, Once, Store, StoreError, Written},
};
use serde_json::{Value, json};

use crate::support::engines::{Bed, at, author, changed, new_org, on_both_engines};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn answer(org: &Org, revision: i64) -> Value {
    json!({ "id": org.id, "revision": revision })
}

fn attempt(ms: i64, key: &str) -> Attempt<Org> {
    let once = Once { route: "POST /v1/orgs".to_owned(), key: key.to_owned(), request: [7; 32], answer };
    Attempt { author: author(ms), once: Some(once) }
}

/// The answer of before and the revision that was read for it.
#[track_caller]
fn before(result: Result<Written<Org>, StoreError>) -> (Value, i64) {
    match result {
        Err(StoreError::AnsweredBefore { answer, revision }) => (answer, revision),
        other => panic!("{other:?}"),
    }
}

async fn kept(bed: &Bed) -> Vec<String> {
    bed.rows("SELECT key FROM idempotency ORDER BY key").await.concat()
}

#[tokio::test]
async fn the_answer_is_that_of_the_first_time_and_the_revision_that_of_now() {
    on_both_engines(|bed| async move {
        let made = bed.store.create_org(attempt(0, "k"), new_org("a")).await.unwrap();
        let first = answer(&made.value, made.revision);
        changed(bed.store.create_org(&author(1), new_org("b")).await.unwrap());
        assert_eq!(before(bed.store.create_org(attempt(2, "k"), new_org("a")).await), (first, 2));
        let mut other = attempt(3, "k");
        other.once.as_mut().unwrap().request = [8; 32];
        assert!(matches!(bed.store.create_org(other, new_org("c")).await, Err(StoreError::AnotherRequest)));
        assert_eq!(bed.store.head().await.unwrap().revision, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_are_asked_at_once_make_one_org() {
    on_both_engines(|bed| async move {
        let other = bed.second_store().await;
        for n in 0..10 {
            let (slug, key) = (format!("o{n}"), format!("k{n}"));
            let ask = |store: Store| {
                let (attempt, new) = (attempt(n, &key), new_org(&slug));
                tokio::spawn(async move { store.create_org(attempt, new).await })
            };
            let (here, there) = (ask(bed.store.clone()), ask(other.clone()));
            let (made, told) = match (here.await.unwrap(), there.await.unwrap()) {
                (Ok(made), told) | (told, Ok(made)) => (made, before(told)),
                neither => panic!("{neither:?}"),
            };
            assert_eq!(told, (answer(&made.value, made.revision), n + 1));
        }
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_admin_who_is_revoked_is_told_nothing_of_before() {
    on_both_engines(|bed| async move {
        bed.admin(Role::Owner).await;
        let (operator, _) = bed.admin(Role::Operator).await;
        let by = |admin: &Admin| {
            let actor = Actor::Admin { id: admin.id, role: admin.role };
            Attempt { author: Author { actor, ..author(1) }, ..attempt(1, "k") }
        };
        changed(bed.store.create_org(by(&operator), new_org("a")).await.unwrap());
        before(bed.store.create_org(by(&operator), new_org("a")).await);
        changed(bed.store.revoke_admin(&author(2), operator.id).await.unwrap());
        assert!(matches!(bed.store.create_org(by(&operator), new_org("a")).await, Err(StoreError::ActorGone)));
    })
    .await;
}

/// Answers of long ago, past the store.
async fn keep_old(bed: &Bed, count: i64) {
    let digest = if bed.is_postgres() { "''::bytea" } else { "x''" };
    let row = |n: i64| {
        let created_at = at(n).to_string().replace('Z', "+00:00");
        format!("('command_line', 'POST /v1/orgs', 'old{n:03}', {digest}, 1, '{{}}', '{created_at}')")
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    bed.execute(&format!("INSERT INTO idempotency VALUES {}", rows.join(", "))).await;
}

#[tokio::test]
async fn answers_that_are_over_go_a_few_hundred_at_a_time_and_never_stand_in_the_way() {
    on_both_engines(|bed| async move {
        keep_old(&bed, 250).await;
        // The youngest of those that are over is replaced, though its turn to go has not come.
        changed(bed.store.create_org(attempt(DAY + 249, "old249"), new_org("a")).await.unwrap());
        assert_eq!(kept(&bed).await.len(), 50);
        before(bed.store.create_org(attempt(DAY + 249, "old249"), new_org("a")).await);
        changed(bed.store.create_org(attempt(DAY + 249, "next"), new_org("b")).await.unwrap());
        assert_eq!(kept(&bed).await, ["next", "old249"]);
        // An attempt without a key neither keeps nor takes anything.
        changed(bed.store.create_org(&author(9 * DAY), new_org("c")).await.unwrap());
        assert_eq!(kept(&bed).await, ["next", "old249"]);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_somebody_has_spoilt_is_not_given_and_nothing_is_made() {
    on_both_engines(|bed| async move {
        changed(bed.store.create_org(attempt(0, "k"), new_org("a")).await.unwrap());
        bed.execute("UPDATE idempotency SET answer = 'no JSON'").await;
        let result = bed.store.create_org(attempt(1, "k"), new_org("b")).await;
        assert!(matches!(result, Err(StoreError::Corrupt { table: "idempotency", .. })), "{result:?}");
        assert_eq!(bed.store.head().await.unwrap().revision, 1);
    })
    .await;
}
