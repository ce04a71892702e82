//! What a replica reads: the head, everything, and what changed since.

use claviger::{
    domain::{
        admin::Role,
        clock::Timestamp,
        id::{KeyId, SecretId},
        secret::SecretHash,
    },
    store::{Changes, Fact, Head, KeyFacts},
};

use crate::support::engines::{Bed, at, author, new_org, on_both_engines, permissions, reason};

const DAY_MS: i64 = 24 * 3_600_000;

pub(super) async fn load(bed: &Bed, at: Timestamp) -> (Head, Vec<Fact>) {
    let mut facts = Vec::new();
    let head = bed.store.load(at, &mut |fact| facts.push(fact)).await.unwrap();
    (head, facts)
}

/// The facts of an answer that must be [`Changes::Apply`].
async fn applied(bed: &Bed, since: &Head) -> Vec<Fact> {
    let changes = bed.store.changes_since(since).await.unwrap();
    let Changes::Apply { head, facts } = changes else { panic!("{changes:?}") };
    assert_eq!(head, bed.store.head().await.unwrap());
    facts
}

async fn reloads(bed: &Bed, since: &Head) -> bool {
    bed.store.changes_since(since).await.unwrap() == Changes::Reload
}

async fn diverged(bed: &Bed, since: &Head) -> bool {
    bed.store.changes_since(since).await.unwrap() == Changes::Diverged
}

fn the_key(facts: &[Fact]) -> &KeyFacts {
    let keys: Vec<_> = facts.iter().filter_map(|fact| if let Fact::Key(key) = fact { Some(key) } else { None }).collect();
    assert_eq!(keys.len(), 1, "{facts:?}");
    keys[0]
}

#[tokio::test]
async fn the_head_moves_with_every_write_and_has_a_new_tag() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        assert_eq!((start.revision, &start.tag), (0, &None));
        bed.org("a").await;
        let first = bed.store.head().await.unwrap();
        let again = bed.store.head().await.unwrap();
        bed.org("b").await;
        let second = bed.store.head().await.unwrap();
        assert_eq!((first.revision, second.revision, &again), (1, 2, &first));
        assert_eq!(first.tag.as_ref().unwrap().len(), 32);
        assert_ne!(first.tag, second.tag);
        assert_eq!((&first.epoch, &second.epoch), (&start.epoch, &start.epoch));
    })
    .await;
}

#[tokio::test]
async fn a_load_gives_every_org_and_then_every_key_as_of_one_revision() {
    on_both_engines(|bed| async move {
        let (acme, gone) = (bed.org("acme").await, bed.org("gone").await);
        let (key, revoked) = (bed.key(acme.id).await, bed.key(gone.id).await);
        bed.admin(Role::Owner).await;
        let key = bed.rotate(&key, 5, 100).await;
        bed.store.disable_key(&author(6), key.id).await.unwrap();
        bed.store.revoke_key(&author(7), revoked.id, None).await.unwrap();
        bed.store.suspend_org(&author(8), acme.id, &reason("unpaid")).await.unwrap();
        bed.store.delete_org(&author(9), gone.id).await.unwrap();
        let (head, facts) = load(&bed, at(10)).await;
        assert_eq!((head.clone(), head.revision, facts.len()), (bed.store.head().await.unwrap(), 10, 4));
        assert!(matches!(&facts[..], [Fact::Org(_), Fact::Org(_), Fact::Key(_), Fact::Key(_)]), "{facts:?}");
        for fact in &facts {
            match fact {
                Fact::Org(org) => {
                    assert_eq!((org.suspended, org.deleted), (org.id == acme.id, org.id == gone.id));
                    assert_eq!(org.revision, if org.id == acme.id { 9 } else { 10 });
                }
                Fact::Key(facts) => {
                    assert_eq!((facts.disabled, facts.revoked), (facts.id == key.id, facts.id == revoked.id));
                    assert_eq!(facts.revision, if facts.id == key.id { 7 } else { 8 });
                    assert_eq!(facts.permissions, permissions(&["scan:create", "classify:create"]));
                    assert_eq!(facts.secrets.len(), if facts.id == key.id { 2 } else { 1 });
                }
                broken => panic!("{broken:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_carries_the_hashes_of_its_secrets_and_their_ends() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let (first, second) = (bed.sealed(), bed.sealed());
        let new = crate::support::engines::new_key("CI");
        let key = bed.store.create_key(&author(1), org.id, new, &first).await.unwrap().value;
        let overlap = std::time::Duration::from_millis(100);
        bed.store.rotate_key(&author(2), key.id, overlap, &second).await.unwrap();
        let (_, facts) = load(&bed, at(3)).await;
        let secrets: Vec<(SecretHash, Option<Timestamp>)> =
            the_key(&facts).secrets.iter().map(|secret| (secret.hash, secret.expires_at)).collect();
        assert_eq!(secrets, [(first.hash, Some(at(102))), (second.hash, None)]);
    })
    .await;
}

#[tokio::test]
async fn secrets_that_ended_more_than_a_day_ago_are_not_loaded() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        bed.rotate(&key, 1_000, 0).await;
        let secrets = |facts: &[Fact]| the_key(facts).secrets.len();
        assert_eq!(secrets(&load(&bed, at(1_000 + DAY_MS - 1)).await.1), 2);
        assert_eq!(secrets(&load(&bed, at(1_000 + DAY_MS)).await.1), 1);
        bed.execute("UPDATE secret SET expires_at = created_at").await;
        assert_eq!(secrets(&load(&bed, at(1_000 + 9 * DAY_MS)).await.1), 0);
    })
    .await;
}

#[tokio::test]
async fn of_thousands_of_keys_each_is_loaded_once_with_all_its_secrets() {
    on_both_engines(|bed| async move {
        let model = bed.key(bed.org("acme").await.id).await;
        let (mut keys, mut secrets, mut expected) = (Vec::new(), Vec::new(), vec![(model.id, 1)]);
        for number in 0..3_000 {
            let key = KeyId::new(at(number), &bed.random);
            keys.push(format!("('{key}')"));
            let count = if number % 2 == 0 { 1 } else { 2 };
            for _ in 0..count {
                let hash = format!("{:064x}", secrets.len());
                let hash = if bed.is_postgres() { format!("'\\x{hash}'::bytea") } else { format!("x'{hash}'") };
                secrets.push(format!("('{}', '{key}', {hash})", SecretId::new(at(number), &bed.random)));
            }
            expected.push((key, count));
        }
        let sql = format!(
            "INSERT INTO api_key SELECT v.column1, org_id, name, environment, permissions, created_at, updated_at, expires_at, \
             disabled_at, revoked_at, revocation_reason, revision FROM (VALUES {}) v, api_key; \
             INSERT INTO secret SELECT v.column1, v.column2, v.column3, hash_alg, pepper_id, hint, created_at, expires_at, \
             revision FROM (VALUES {}) v, secret",
            keys.join(", "),
            secrets.join(", ")
        );
        bed.execute(&sql).await;
        let (_, facts) = load(&bed, at(2)).await;
        let mut loaded: Vec<_> = facts
            .iter()
            .filter_map(|fact| if let Fact::Key(key) = fact { Some((key.id, key.secrets.len())) } else { None })
            .collect();
        assert_eq!(facts.len(), 1 + expected.len());
        loaded.sort();
        expected.sort();
        assert_eq!(loaded, expected);
    })
    .await;
}

#[tokio::test]
async fn changes_give_each_changed_row_once_as_it_is_now() {
    on_both_engines(|bed| async move {
        let acme = bed.org("acme").await;
        let start = bed.store.head().await.unwrap();
        assert_eq!(bed.store.changes_since(&start).await.unwrap(), Changes::UpToDate);
        let key = bed.key(acme.id).await;
        bed.store.disable_key(&author(2), key.id).await.unwrap();
        bed.rotate(&bed.store.enable_key(&author(3), key.id).await.unwrap().value, 4, 100).await;
        bed.org("untouched").await;
        let middle = bed.store.head().await.unwrap();
        bed.store.suspend_org(&author(5), acme.id, &reason("unpaid")).await.unwrap();
        let facts = applied(&bed, &start).await;
        assert!(matches!(&facts[..], [Fact::Org(_), Fact::Org(_), Fact::Key(_)]), "{facts:?}");
        let key = the_key(&facts);
        assert_eq!((key.revision, key.disabled, key.secrets.len()), (5, false, 2));
        let facts = applied(&bed, &middle).await;
        assert!(matches!(&facts[..], [Fact::Org(org)] if org.id == acme.id && org.suspended && org.revision == 7));
    })
    .await;
}

#[tokio::test]
async fn changes_of_many_rows_are_all_there() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        for n in 0..37 {
            let org = bed.org(&format!("o{n}")).await;
            bed.key(org.id).await;
        }
        let facts = applied(&bed, &start).await;
        assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::Org(_))).count(), 37);
        assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::Key(_))).count(), 37);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_an_admin_moves_the_head_and_no_fact() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        bed.admin(Role::Owner).await;
        assert_eq!(applied(&bed, &start).await, []);
    })
    .await;
}

#[tokio::test]
async fn another_history_is_told_from_a_gap() {
    on_both_engines(|bed| async move {
        bed.org("a").await;
        bed.org("b").await;
        let head = bed.store.head().await.unwrap();
        let other = "0".repeat(32);
        assert!(diverged(&bed, &Head { epoch: other.clone(), ..head.clone() }).await);
        assert!(diverged(&bed, &Head { epoch: other.clone(), revision: 1, ..head.clone() }).await);
        assert!(diverged(&bed, &Head { epoch: other.clone(), revision: 0, tag: None }).await);
        assert!(diverged(&bed, &Head { revision: 3, ..head.clone() }).await);
        assert!(diverged(&bed, &Head { tag: Some(other.clone()), ..head.clone() }).await);
        assert!(diverged(&bed, &Head { revision: 1, tag: Some(other), ..head.clone() }).await);
        assert!(diverged(&bed, &Head { revision: 1, tag: None, ..head.clone() }).await);
        assert!(reloads(&bed, &Head { revision: i64::MIN, tag: None, ..head }).await);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_kind_of_change_or_a_gap_means_a_reload() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        for slug in ["a", "b", "c"] {
            bed.org(slug).await;
        }
        assert_eq!(applied(&bed, &start).await.len(), 3);
        bed.execute("UPDATE change SET kind = 'quota' WHERE revision = 2").await;
        assert!(reloads(&bed, &start).await);
        bed.execute("UPDATE change SET kind = 'org', id = 'org_garbage' WHERE revision = 2").await;
        assert!(reloads(&bed, &start).await);
        bed.execute("DELETE FROM change WHERE revision = 2").await;
        assert!(reloads(&bed, &start).await);
    })
    .await;
}

#[tokio::test]
async fn more_than_five_thousand_changes_mean_a_reload() {
    on_both_engines(|bed| async move {
        let start = bed.store.head().await.unwrap();
        let org = bed.org("a").await;
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)";
        bed.execute(&format!("INSERT INTO change {numbers} SELECT i, 'org', '{}', 'tag' FROM n", org.id)).await;
        bed.execute("UPDATE meta SET revision = 5000").await;
        assert_eq!(applied(&bed, &start).await.len(), 1);
        bed.store.create_org(&author(1), new_org("b")).await.unwrap();
        assert!(reloads(&bed, &start).await);
    })
    .await;
}

#[tokio::test]
async fn a_write_on_postgres_notifies_with_the_revision_alone() {
    let [_, bed] = crate::support::engines::engines().await;
    let mut listener = sqlx::postgres::PgListener::connect(&bed.url).await.unwrap();
    listener.listen("claviger").await.unwrap();
    let org = bed.org("acme").await;
    assert_eq!(listener.recv().await.unwrap().payload(), "1");
    bed.store.unsuspend_org(&author(1), org.id, &reason("nothing to do")).await.unwrap();
    bed.key(org.id).await;
    assert_eq!(listener.recv().await.unwrap().payload(), "2");
}
