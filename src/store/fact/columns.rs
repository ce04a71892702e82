//! The rows as `rusqlite` hands them out, column by column in the order of the `SELECT`s: by name, it would look for each.

use rusqlite::{Error, Row};

use super::{KeyFactRow, OrgFactRow};

impl TryFrom<&Row<'_>> for OrgFactRow {
    type Error = Error;

    fn try_from(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self { id: row.get(0)?, name: row.get(1)?, suspended_at: row.get(2)?, deleted_at: row.get(3)?, revision: row.get(4)? })
    }
}

impl TryFrom<&Row<'_>> for KeyFactRow {
    type Error = Error;

    fn try_from(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            org_id: row.get(1)?,
            name: row.get(2)?,
            environment: row.get(3)?,
            permissions: row.get(4)?,
            created_at: row.get(5)?,
            expires_at: row.get(6)?,
            disabled_at: row.get(7)?,
            revoked_at: row.get(8)?,
            revision: row.get(9)?,
            secret_id: row.get(10)?,
            secret_hash: row.get(11)?,
            secret_expires_at: row.get(12)?,
        })
    }
}
