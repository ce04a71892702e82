//! Lists: by ascending id, page by page, complete.

use std::collections::BTreeSet;

use claviger::{
    domain::admin::Role,
    store::{Listing, Page},
};

use crate::support::engines::{author, new_key, new_org, on_both_engines};

#[tokio::test]
async fn pages_of_any_size_give_every_org_once_in_order() {
    on_both_engines(|bed| async move {
        let mut all = BTreeSet::new();
        for n in 0..23 {
            // Half of them in one millisecond, where only the random bits order the ids.
            all.insert(bed.store.create_org(&author(n / 12), new_org(&format!("o{n}"))).await.unwrap().value.id);
        }
        let deleted = *all.iter().nth(5).unwrap();
        bed.store.delete_org(&author(99), deleted).await.unwrap();
        all.remove(&deleted);
        for limit in [1, 7, 22, 23, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let Listing { items, has_more } = bed.store.list_orgs(Page { limit, after }).await.unwrap();
                seen.extend(items.iter().map(|org| org.id));
                after = seen.last().copied();
                assert!(items.len() <= limit as usize);
                if !has_more {
                    break;
                }
            }
            assert!(seen.iter().eq(&all), "limit {limit}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_org_that_is_made_meanwhile_moves_no_page() {
    on_both_engines(|bed| async move {
        for n in 0..4 {
            bed.store.create_org(&author(n), new_org(&format!("o{n}"))).await.unwrap();
        }
        let first = bed.store.list_orgs(Page { limit: 2, after: None }).await.unwrap();
        bed.store.create_org(&author(-1), new_org("earlier")).await.unwrap();
        bed.store.create_org(&author(9), new_org("later")).await.unwrap();
        let after = first.items.last().map(|org| org.id);
        let second = bed.store.list_orgs(Page { limit: 2, after }).await.unwrap();
        let slugs: Vec<_> = first.items.iter().chain(&second.items).map(|org| org.slug.as_str()).collect();
        assert_eq!((slugs, second.has_more), (vec!["o0", "o1", "o2", "o3"], true));
    })
    .await;
}

#[tokio::test]
async fn keys_are_listed_by_org_with_their_secrets_and_tombstones() {
    on_both_engines(|bed| async move {
        let (acme, other) = (bed.org("acme").await.id, bed.org("other").await.id);
        let mut keys = Vec::new();
        for n in 0..5 {
            let new = new_key(&format!("k{n}"));
            keys.push(bed.store.create_key(&author(n), acme, new, &bed.sealed()).await.unwrap().value);
        }
        bed.key(other).await;
        keys[1] = bed.store.revoke_key(&author(9), keys[1].id, None).await.unwrap().value;
        keys[2] = bed.rotate(&keys[2], 9, 100).await;
        keys[2] = bed.rotate(&keys[2], 10, 100).await;
        let page = |limit, after| bed.store.list_keys(acme, Page { limit, after });
        let (first, rest) = (page(3, None).await.unwrap(), page(3, Some(keys[2].id)).await.unwrap());
        assert_eq!((first.items.as_slice(), first.has_more), (&keys[..3], true));
        assert_eq!((rest.items.as_slice(), rest.has_more), (&keys[3..], false));
        assert_eq!(first.items[2].secrets.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn admins_are_listed_with_revoked_ones() {
    on_both_engines(|bed| async move {
        let mut admins = vec![bed.admin(Role::Owner).await.0, bed.admin(Role::Auditor).await.0];
        let auditor = admins.pop().unwrap();
        admins.push(bed.store.revoke_admin(&author(1), auditor.id).await.unwrap().value);
        admins.sort_by_key(|admin| admin.id);
        let listing = bed.store.list_admins(Page { limit: 50, after: None }).await.unwrap();
        assert_eq!((listing.items, listing.has_more), (admins, false));
    })
    .await;
}
