//! Administrators: their tokens, the last owner, and writes on behalf of somebody who is gone.

use claviger::{
    domain::{
        admin::{Admin, Role},
        audit::{Actor, Author},
        id::AdminId,
        secret::{Hashing, Peppers, Plane},
    },
    store::StoreError,
};

use crate::support::engines::{at, author, changed, name, new_org, on_both_engines};

fn by(admin: &Admin, role: Role) -> Author {
    Author { actor: Actor::Admin { id: admin.id, role }, ..Author::system(at(9)) }
}

#[tokio::test]
async fn a_token_is_known_until_it_is_revoked() {
    on_both_engines(|bed| async move {
        let (owner, sealed) = bed.admin(Role::Owner).await;
        bed.admin(Role::Owner).await;
        let candidates = [bed.sealed().hash, sealed.hash];
        assert_eq!(bed.store.authenticate_admin(&candidates).await.unwrap().as_ref(), Some(&owner));
        assert_eq!(bed.store.authenticate_admin(&candidates[..1]).await.unwrap(), None);
        assert_eq!(bed.store.authenticate_admin(&[]).await.unwrap(), None);
        let revoked = changed(bed.store.revoke_admin(&author(5), owner.id).await.unwrap());
        assert_eq!(revoked.revoked_at, Some(at(5)));
        assert_eq!(bed.store.authenticate_admin(&candidates).await.unwrap(), None);
        assert_eq!(bed.store.find_admin(owner.id).await.unwrap().as_ref(), Some(&revoked));
        let again = bed.store.revoke_admin(&author(6), owner.id).await.unwrap();
        assert_eq!((again.value, again.revision, again.changed), (revoked, 3, false));
    })
    .await;
}

#[tokio::test]
async fn a_token_hashed_under_the_retired_pepper_is_still_known() {
    on_both_engines(|bed| async move {
        let (secret, _) = bed.secret(Plane::Admin);
        let pepper = |id: &str| Hashing::Peppered(format!("{id}:{}", id.repeat(32)).parse().unwrap());
        let new = claviger::domain::admin::NewAdmin { name: name("Ada"), role: Role::Auditor };
        let old = pepper("a").seal(&secret);
        let admin = changed(bed.store.create_admin(&author(1), new, &old).await.unwrap());
        let peppers = Peppers { current: pepper("b"), retired: Some(pepper("a")) };
        let candidates: Vec<_> = peppers.candidates(&secret).collect();
        assert_eq!(bed.store.authenticate_admin(&candidates).await.unwrap(), Some(admin));
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_cannot_be_revoked() {
    on_both_engines(|bed| async move {
        let (first, _) = bed.admin(Role::Owner).await;
        let (operator, _) = bed.admin(Role::Operator).await;
        let last = bed.store.revoke_admin(&author(1), first.id).await;
        assert!(matches!(last, Err(StoreError::Conflict(text)) if text.contains("last owner")));
        let (second, _) = bed.admin(Role::Owner).await;
        changed(bed.store.revoke_admin(&author(2), first.id).await.unwrap());
        assert!(matches!(bed.store.revoke_admin(&author(3), second.id).await, Err(StoreError::Conflict(_))));
        changed(bed.store.revoke_admin(&author(4), operator.id).await.unwrap());
        let unknown = AdminId::new(at(0), &bed.random);
        assert!(matches!(bed.store.revoke_admin(&author(5), unknown).await, Err(StoreError::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn two_owners_who_revoke_each_other_at_once_leave_one() {
    on_both_engines(|bed| async move {
        for _ in 0..10 {
            let ((a, _), (b, _)) = (bed.admin(Role::Owner).await, bed.admin(Role::Owner).await);
            let (by_a, by_b) = (by(&a, Role::Owner), by(&b, Role::Owner));
            let (first, second) = tokio::join!(bed.store.revoke_admin(&by_a, b.id), bed.store.revoke_admin(&by_b, a.id));
            let gone = |result: &Result<_, StoreError>| matches!(result, Err(StoreError::ActorGone));
            assert!(first.is_ok() && gone(&second) || second.is_ok() && gone(&first), "{first:?} {second:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_admin_who_is_revoked_or_has_another_role_writes_nothing() {
    on_both_engines(|bed| async move {
        bed.admin(Role::Owner).await;
        let (operator, _) = bed.admin(Role::Operator).await;
        changed(bed.store.create_org(&by(&operator, Role::Operator), new_org("a")).await.unwrap());
        let stale = bed.store.create_org(&by(&operator, Role::Owner), new_org("b")).await;
        assert!(matches!(stale, Err(StoreError::ActorGone)));
        bed.store.revoke_admin(&author(1), operator.id).await.unwrap();
        let gone = bed.store.create_org(&by(&operator, Role::Operator), new_org("b")).await;
        assert!(matches!(gone, Err(StoreError::ActorGone)));
        let stranger = Admin { id: AdminId::new(at(0), &bed.random), ..operator };
        let gone = bed.store.create_org(&by(&stranger, Role::Operator), new_org("b")).await;
        assert!(matches!(gone, Err(StoreError::ActorGone)));
        assert_eq!(bed.store.head().await.unwrap().revision, 4);
        assert_eq!(bed.rows("SELECT COUNT(*) FROM audit").await.concat(), ["4"]);
        changed(bed.store.create_org(&author(2), new_org("b")).await.unwrap());
    })
    .await;
}
