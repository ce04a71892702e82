//! Names that look alike: both engines compare bytes, and what is stored is what was typed.

use claviger::domain::{key::NewKey, org::NewOrg, permission::Permission};

use crate::support::engines::{at, author, name, new_key, on_both_engines, permissions};

/// Names of which people, collations and case foldings take some for the same.
const ALIKE: [&str; 16] = [
    "Key",
    "key",
    "KEY",
    "\u{212a}ey",
    "kеy",
    "ｋey",
    "k\u{200d}ey",
    "k\u{200b}ey",
    "\u{202e}key",
    "é",
    "e\u{301}",
    "ı",
    "i",
    "ſ",
    "s",
    "ß",
];

#[tokio::test]
async fn names_that_look_alike_stay_different_and_unaltered() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        for text in ALIKE {
            let key = NewKey { name: name(text), ..new_key("x") };
            let key = bed.store.create_key(&author(0), org.id, key, &bed.sealed()).await.unwrap().value;
            assert_eq!(bed.store.find_key(key.id).await.unwrap().unwrap().name.as_str(), text);
            let by_sql = bed.rows(&format!("SELECT id FROM api_key WHERE name = '{text}'")).await.concat();
            assert_eq!(by_sql, [key.id.to_string()], "{text}");
        }
        let check = bed.store.verify_audit().await.unwrap();
        assert!(matches!(check, claviger::store::AuditCheck::Whole { .. }), "{check}");
    })
    .await;
}

#[tokio::test]
async fn slugs_are_compared_as_bytes() {
    on_both_engines(|bed| async move {
        for slug in ["a-b", "ab", "a--b", "a-b-", "0a"] {
            let new = NewOrg { name: name("Acme"), slug: slug.parse().unwrap() };
            let org = bed.store.create_org(&author(0), new).await.unwrap().value;
            assert_eq!(bed.store.find_org_by_slug(&org.slug).await.unwrap(), Some(org));
        }
        let ordered = bed.rows("SELECT slug FROM org ORDER BY slug").await.concat();
        assert_eq!(ordered, ["0a", "a--b", "a-b", "a-b-", "ab"]);
    })
    .await;
}

#[tokio::test]
async fn ids_are_compared_and_ordered_as_bytes() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        bed.execute(&format!("UPDATE org SET id = upper(id) WHERE id = '{}'", org.id)).await;
        assert_eq!(bed.store.find_org(org.id).await.unwrap(), None);
        bed.execute("DELETE FROM org").await;
        for id in ["org_b", "org_B", "org_a", "org_Z", "org_0", "org_-"] {
            let now = chrono::DateTime::from(at(0)).to_rfc3339();
            let sql = format!("INSERT INTO org VALUES ('{id}', 'n', '{id}', NULL, NULL, '{now}', '{now}', NULL, 1)");
            bed.execute(&sql).await;
        }
        let ordered = bed.rows("SELECT id FROM org ORDER BY id").await.concat();
        assert_eq!(ordered, ["org_-", "org_0", "org_B", "org_Z", "org_a", "org_b"]);
    })
    .await;
}

#[tokio::test]
async fn permissions_keep_their_bytes_and_order() {
    on_both_engines(|bed| async move {
        let org = bed.org("acme").await;
        let longest = "z".repeat(128);
        let names = ["a:b", "a-b", "a.b", "a_b", "0", "scan:create", longest.as_str()];
        let new = NewKey { permissions: permissions(&names), ..new_key("x") };
        let key = bed.store.create_key(&author(0), org.id, new, &bed.sealed()).await.unwrap().value;
        let read = bed.store.find_key(key.id).await.unwrap().unwrap().permissions;
        let mut sorted = names.map(str::to_owned);
        sorted.sort();
        assert_eq!(read.iter().map(Permission::as_str).collect::<Vec<_>>(), sorted);
        let stored = bed.rows("SELECT permissions FROM api_key").await.concat().concat();
        assert_eq!(stored, serde_json::to_string(&sorted).unwrap());
    })
    .await;
}

#[tokio::test]
async fn permissions_that_only_look_like_one_are_refused_in_a_row_too() {
    on_both_engines(|bed| async move {
        let key = bed.key(bed.org("acme").await.id).await;
        let bad = [
            "\u{212a}ey:read",
            "ſcan:create",
            "jobs:reаd",
            "ｊobs:read",
            "jobs:re\u{301}ad",
            "jobs:re\u{200d}ad",
            "jobs:read ",
            "jobs:read.\\u0000",
            "Jobs:read",
            ":read",
            "",
        ];
        for text in bad.map(str::to_owned).into_iter().chain(["a".repeat(129)]) {
            bed.execute(&format!("UPDATE api_key SET permissions = '[\"{text}\"]'")).await;
            assert!(bed.store.find_key(key.id).await.is_err(), "{text}");
            let (_, facts) = super::follow::load(&bed, at(0)).await;
            assert!(matches!(facts.last(), Some(claviger::store::Fact::BrokenKey(_))), "{text}");
        }
    })
    .await;
}
