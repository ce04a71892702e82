//! The tables that a backup consists of. `replica` and `idempotency` are of one life of a database and are left behind.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Bytes,
    /// RFC 3339 text on SQLite, TIMESTAMPTZ on Postgres.
    Time,
}

/// A table with the statements that move it.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Every row of a backup.
    pub(super) select: &'static str,
    /// One row into SQLite.
    pub(super) insert: &'static str,
    /// Many rows into Postgres.
    pub(super) copy: &'static str,
    /// Every row of an attached SQLite file.
    pub(super) take_over: &'static str,
    pub(super) delete: &'static str,
}

macro_rules! mark {
    ($column:literal) => {
        ", ?"
    };
}

macro_rules! table {
    ($name:literal, $first:literal $first_kind:ident $(, $column:literal $kind:ident)* $(,)?) => {
        Table {
            name: $name,
            columns: &[($first, Kind::$first_kind) $(, ($column, Kind::$kind))*],
            select: concat!("SELECT ", $first $(, ", ", $column)*, " FROM ", $name),
            insert: concat!("INSERT INTO ", $name, " (", $first $(, ", ", $column)*, ") VALUES (?" $(, mark!($column))*, ")"),
            copy: concat!("COPY ", $name, " (", $first $(, ", ", $column)*, ") FROM STDIN"),
            take_over: concat!(
                "INSERT INTO main.", $name, " (", $first $(, ", ", $column)*, ") SELECT ", $first $(, ", ", $column)*,
                " FROM backup.", $name
            ),
            delete: concat!("DELETE FROM ", $name),
        }
    };
}

/// One row, which a restore does not replace but updates: writers wait for its lock.
pub(super) const META: Table = table!("meta", "only_row" Integer, "revision" Integer, "epoch" Text, "audit_head" Bytes);

/// Everything else; a table comes after those that it refers to.
pub(super) const TABLES: [Table; 7] = [
    table!(
        "org", "id" Text, "name" Text, "slug" Text, "suspended_at" Time, "suspension_reason" Text, "created_at" Time,
        "updated_at" Time, "deleted_at" Time, "revision" Integer,
    ),
    table!(
        "api_key", "id" Text, "org_id" Text, "name" Text, "environment" Text, "permissions" Text, "created_at" Time,
        "updated_at" Time, "expires_at" Time, "disabled_at" Time, "revoked_at" Time, "revocation_reason" Text,
        "revision" Integer,
    ),
    table!(
        "secret", "id" Text, "key_id" Text, "hash" Bytes, "hash_alg" Text, "pepper_id" Text, "hint" Text, "created_at" Time,
        "expires_at" Time, "revision" Integer,
    ),
    table!(
        "admin", "id" Text, "name" Text, "role" Text, "hash" Bytes, "hash_alg" Text, "pepper_id" Text, "hint" Text,
        "created_at" Time, "revoked_at" Time, "revision" Integer,
    ),
    table!(
        "audit", "revision" Integer, "id" Text, "at" Text, "actor_kind" Text, "actor_id" Text, "action" Text, "target" Text,
        "reason" Text, "before" Text, "after" Text, "request_id" Text, "address" Text, "prev_hash" Bytes, "hash" Bytes,
    ),
    table!("change", "revision" Integer, "kind" Text, "id" Text, "tag" Text),
    table!("secret_use", "secret_id" Text, "last_used_at" Time),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns that a migration file declares, table by table; later files add whole tables or `ALTER TABLE … ADD`.
    fn declared(sql: &str) -> Vec<(String, Vec<String>)> {
        let mut tables: Vec<(String, Vec<String>)> = Vec::new();
        let mut inside = false;
        for line in sql.lines() {
            assert!(!line.starts_with("ALTER TABLE"), "teach this test and the tables above about `{line}`");
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                tables.push((rest.trim_end_matches(" (").to_owned(), Vec::new()));
                inside = true;
            } else if line.starts_with(')') {
                inside = false;
            } else if inside && !line.trim_start().starts_with("PRIMARY KEY") {
                let column = line.split_whitespace().next().unwrap();
                tables.last_mut().unwrap().1.push(column.to_owned());
            }
        }
        tables
    }

    #[test]
    fn every_table_of_the_schema_is_backed_up_with_all_its_columns_or_left_behind_on_purpose() {
        let files = [
            include_str!("../../../migrations/postgres/0001_init.sql"),
            include_str!("../../../migrations/postgres/0002_expand_replicas.sql"),
        ];
        let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres")).unwrap();
        assert_eq!(migrations.count(), files.len(), "name the new migration here");
        let mut wanted = files.map(declared).concat();
        wanted.retain(|(name, _)| !["replica", "idempotency"].contains(&&**name));
        let mut known: Vec<(String, Vec<String>)> = std::iter::once(&META)
            .chain(&TABLES)
            .map(|table| (table.name.to_owned(), table.columns.iter().map(|(column, _)| (*column).to_owned()).collect()))
            .collect();
        wanted.sort();
        known.sort();
        assert_eq!(known, wanted);
    }
}
