//! Secrets: no table, no error and no debug text ever holds one; the audit log holds no hash either.

use std::time::Duration;

use claviger::domain::{
    admin::{NewAdmin, Role},
    hex::hex,
    secret::{Hashing, Plane, SealedSecret, Secret},
};

use crate::support::engines::{Bed, author, name, new_key, on_both_engines};

fn pepper() -> Hashing {
    Hashing::Peppered(format!("pepper-of-2026:{}", "p".repeat(40)).parse().unwrap())
}

async fn secrets_in_use(bed: &Bed) -> Vec<(Secret, SealedSecret)> {
    let secrets: Vec<Secret> = [Plane::Live, Plane::Live, Plane::Admin].map(|plane| bed.secret(plane).0).into_iter().collect();
    let all: Vec<_> = secrets.into_iter().map(|secret| (secret.clone(), pepper().seal(&secret))).collect();
    let org = bed.org("acme").await;
    let key = bed.store.create_key(&author(1), org.id, new_key("CI"), &all[0].1).await.unwrap().value;
    bed.store.rotate_key(&author(2), key.id, Duration::from_secs(1), &all[1].1).await.unwrap();
    bed.store.finish_rotation(&author(3), key.id).await.unwrap();
    bed.store.revoke_key(&author(4), key.id, None).await.unwrap();
    let new = NewAdmin { name: name("Ada"), role: Role::Owner };
    bed.store.create_admin(&author(5), new, &all[2].1).await.unwrap();
    all
}

#[tokio::test]
async fn no_table_holds_a_secret_or_the_pepper() {
    on_both_engines(|bed| async move {
        let secrets = secrets_in_use(&bed).await;
        let dump = bed.dump().await;
        assert!(dump.contains("pepper-of-2026") && dump.contains("hmac-sha256"), "{dump}");
        assert!(!dump.contains(&"p".repeat(40)));
        for (secret, sealed) in &secrets {
            assert!(dump.contains(&hex(&sealed.hash.0)), "the dump misses the hash: {dump}");
            // The hint shows four characters; eight in a row cannot be there by chance.
            let random = &secret.expose()[secret.expose().len() - 38..];
            for start in 0..=30 {
                assert!(!dump.contains(&random[start..start + 8]), "{}", &random[start..start + 8]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_and_the_changes_hold_no_hash_no_algorithm_and_no_pepper_id() {
    on_both_engines(|bed| async move {
        let secrets = secrets_in_use(&bed).await;
        let dump = bed.dump().await;
        let public: String = dump.lines().filter(|line| line.starts_with("audit:") || line.starts_with("change:")).collect();
        assert!(public.contains("key.rotate"), "{public}");
        for word in ["hmac", "sha256", "pepper"] {
            assert!(!public.contains(word), "{word}: {public}");
        }
        for (_, sealed) in &secrets {
            assert!(!public.contains(&hex(&sealed.hash.0)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_prints_no_more_than_its_engine() {
    on_both_engines(|bed| async move {
        assert_eq!(format!("{:?}", bed.store), format!("Store({})", bed.name));
    })
    .await;
}
