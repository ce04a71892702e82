//! Administrators: rows, reads and writes.

use serde_json::{Map, Value, json};
use sqlx::FromRow;

use super::{
    Attempt, Engine, Listing, Page, Store, StoreError, Written,
    audit::{difference, text},
    moment::Moment,
    stored::{Problem, Stored, expect_one, time},
    tx::Tx,
    write::{ADMIN, Event},
};
use crate::domain::{
    admin::{Admin, NewAdmin, Role},
    audit::Author,
    id::AdminId,
    secret::{SealedSecret, SecretHash},
};

macro_rules! select_admin {
    ($rest:literal) => {
        concat!("SELECT id, name, role, hint, created_at, revoked_at FROM admin ", $rest)
    };
}

#[derive(FromRow)]
struct AdminRow {
    id: String,
    name: String,
    role: String,
    hint: String,
    created_at: Moment,
    revoked_at: Option<Moment>,
}

impl TryFrom<AdminRow> for Admin {
    type Error = Problem;

    fn try_from(row: AdminRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.id.parse()?,
            name: row.name.parse()?,
            role: row.role.parse()?,
            hint: row.hint,
            created_at: row.created_at.0,
            revoked_at: row.revoked_at.map(|at| at.0),
        })
    }
}

/// The admin as the audit log shows it.
fn view(admin: &Admin) -> Map<String, Value> {
    [
        ("name", json!(admin.name)),
        ("role", json!(admin.role)),
        ("hint", json!(admin.hint)),
        ("revoked_at", time(admin.revoked_at)),
    ]
    .into_iter()
    .map(|(member, value)| (member.to_owned(), value))
    .collect()
}

impl Store {
    /// The unrevoked admin whose token has one of these hashes ([`crate::domain::secret::Peppers::candidates`]).
    pub async fn authenticate_admin(&self, candidates: &[SecretHash]) -> Result<Option<Admin>, StoreError> {
        for hash in candidates {
            if let Some((stored, id)) = self.find_token(hash).await?
                && SecretHash(stored) == *hash
            {
                let admin = self.one_admin(&id).await?;
                return Ok(admin.filter(|admin| admin.revoked_at.is_none()));
            }
        }
        Ok(None)
    }

    /// The hash as stored, for a comparison in constant time, and whose it is.
    async fn find_token(&self, hash: &SecretHash) -> Result<Option<([u8; 32], String)>, StoreError> {
        const FIND: &str = "SELECT hash, id FROM admin WHERE hash = $1";
        let row: Option<(Vec<u8>, String)> =
            on!(Engine, &self.engine, pools => sqlx::query_as(FIND).bind(&hash.0[..]).fetch_optional(&pools.reader).await)?;
        Ok(row.and_then(|(stored, id)| Some((stored.try_into().ok()?, id))))
    }

    /// The admin of this id, also when revoked.
    pub async fn find_admin(&self, id: AdminId) -> Result<Option<Admin>, StoreError> {
        self.one_admin(&id.to_string()).await
    }

    async fn one_admin(&self, id: &str) -> Result<Option<Admin>, StoreError> {
        const FIND: &str = select_admin!("WHERE id = $1");
        let row: Option<Stored<AdminRow>> =
            on!(Engine, &self.engine, pools => sqlx::query_as(FIND).bind(id).fetch_optional(&pools.reader).await)?;
        row.map(|row| row.read("admin")).transpose()
    }

    /// All admins, also revoked ones, by ascending id.
    pub async fn list_admins(&self, page: Page<AdminId>) -> Result<Listing<Admin>, StoreError> {
        const LIST: &str = select_admin!("WHERE id > $1 ORDER BY id LIMIT $2");
        let rows: Vec<Stored<AdminRow>> = on!(Engine, &self.engine, pools => {
            sqlx::query_as(LIST).bind(page.after_text()).bind(page.fetched()).fetch_all(&pools.reader).await
        })?;
        let admins: Result<Vec<Admin>, StoreError> = rows.into_iter().map(|row| row.read("admin")).collect();
        Ok(page.listing(admins?))
    }

    /// Makes an admin with a token that the caller has minted.
    pub async fn create_admin(
        &self,
        attempt: impl Into<Attempt<Admin>>,
        new: NewAdmin,
        secret: &SealedSecret,
    ) -> Result<Written<Admin>, StoreError> {
        let mut write = self.begin(attempt).await?;
        let admin = Admin {
            id: write.mint(),
            name: new.name,
            role: new.role,
            hint: secret.hint.clone(),
            created_at: write.author.at,
            revoked_at: None,
        };
        write.tx.insert_admin(&admin, secret, write.revision).await?;
        let target = admin.id.to_string();
        let after = Some(text(view(&admin)));
        write.finish(Event { action: "admin.create", kind: ADMIN, target, reason: None, before: None, after }, admin).await
    }

    /// Ends an admin's token. The last owner stays, or nobody could make another.
    pub async fn revoke_admin(&self, author: &Author, id: AdminId) -> Result<Written<Admin>, StoreError> {
        let mut write = self.begin(author).await?;
        let before = write.tx.find_admin(id).await?.ok_or(StoreError::NotFound)?;
        if before.revoked_at.is_some() {
            return write.unchanged(before).await;
        }
        if before.role == Role::Owner && write.tx.count_other_owners(id).await? == 0 {
            return Err(StoreError::conflict("the last owner cannot be revoked; create another owner first"));
        }
        let after = Admin { revoked_at: Some(author.at), ..before.clone() };
        write.tx.revoke_admin(&after, write.revision).await?;
        let target = id.to_string();
        let (old, new) = difference(view(&before), view(&after));
        let event = Event { action: "admin.revoke", kind: ADMIN, target, reason: None, before: old, after: new };
        write.finish(event, after).await
    }
}

impl Tx {
    async fn find_admin(&mut self, id: AdminId) -> Result<Option<Admin>, StoreError> {
        const FIND: &str = select_admin!("WHERE id = $1");
        let row: Option<Stored<AdminRow>> =
            on!(Self, self, tx => sqlx::query_as(FIND).bind(id.to_string()).fetch_optional(&mut **tx).await)?;
        row.map(|row| row.read("admin")).transpose()
    }

    async fn count_other_owners(&mut self, id: AdminId) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM admin WHERE role = $1 AND revoked_at IS NULL AND id <> $2";
        Ok(on!(Self, self, tx => {
            sqlx::query_scalar(COUNT).bind(Role::Owner.as_str()).bind(id.to_string()).fetch_one(&mut **tx).await
        })?)
    }

    async fn insert_admin(&mut self, admin: &Admin, secret: &SealedSecret, revision: i64) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO admin (id, name, role, hash, hash_alg, pepper_id, hint, created_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT)
                .bind(admin.id.to_string())
                .bind(admin.name.as_str())
                .bind(admin.role.as_str())
                .bind(&secret.hash.0[..])
                .bind(secret.algorithm)
                .bind(&secret.pepper_id)
                .bind(&admin.hint)
                .bind(Moment(admin.created_at))
                .bind(revision);
            query.execute(&mut **tx).await.map(|done| done.rows_affected())
        });
        let rows = rows.map_err(|error| StoreError::of_insert(error, || "the token is in use already".to_owned()))?;
        expect_one(rows, "admin", &admin.id.to_string())
    }

    async fn revoke_admin(&mut self, admin: &Admin, revision: i64) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE admin SET revoked_at = $2, revision = $3 WHERE id = $1 AND revoked_at IS NULL";
        let id = admin.id.to_string();
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(UPDATE).bind(&id).bind(Moment::of(admin.revoked_at)).bind(revision);
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "admin", &id)
    }
}
