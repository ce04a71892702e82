//! The rows of a Postgres archive, as `pg_restore` prints them, put into an SQLite database.

use std::{collections::BTreeSet, io::BufRead};

use sqlx::{Sqlite, Transaction, query::Query, sqlite::SqliteArguments};

use super::{
    BackupError, Engine, Store, StoreError,
    copy_text::{self, Field},
    file::time_text,
    migration::{Applied, EXPAND, migrations_of_postgres},
    not_whole,
    table::{Kind, META, TABLES, Table},
};

/// The driver's table of migrations.
const MIGRATIONS: &str = "_sqlx_migrations";

impl Store {
    /// Fills this fresh, migrated SQLite database with the rows of an archive: what `pg_restore --data-only` prints. SQL in it
    /// is not run but skipped. Returns the names of the migrations that came after it.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] when a table is missing or a row cannot be one, [`BackupError::Schema`] when the archive is of
    /// a release whose tables are not these.
    pub async fn load_archive(&self, text: &mut (dyn BufRead + Send)) -> Result<Vec<String>, BackupError> {
        let Engine::Sqlite(pools) = &self.engine else {
            return Err(StoreError::conflict("an archive is read into an SQLite file").into());
        };
        let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *tx).await?;
        sqlx::query(META.delete).execute(&mut *tx).await?;
        let mut blocks = Blocks { text, seen: BTreeSet::new(), applied: Vec::new() };
        blocks.load(&mut tx).await?;
        let pending = blocks.check()?;
        match tx.commit().await {
            Err(error) if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) => {
                not_whole("a row refers to one that is not there")
            }
            done => Ok(done.map(|()| pending)?),
        }
    }
}

/// The blocks of rows of an archive's text.
struct Blocks<'a> {
    text: &'a mut (dyn BufRead + Send),
    seen: BTreeSet<String>,
    applied: Vec<Applied>,
}

impl Blocks<'_> {
    /// A line without its end; `None` at the end of the text.
    fn line(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let mut line = Vec::new();
        match self.text.read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Ok(Some(line))
            }
            Err(error) => not_whole(format!("the archive cannot be read: {error}")),
        }
    }

    async fn load(&mut self, tx: &mut Transaction<'static, Sqlite>) -> Result<(), BackupError> {
        while let Some(line) = self.line()? {
            let Some((name, columns)) = copy_text::header(&line) else { continue };
            let table = std::iter::once(&META).chain(&TABLES).find(|table| table.name == name);
            while let Some(fields) = self.row(&name, columns.len())? {
                match table {
                    Some(table) => insert(tx, table, &columns, &fields).await?,
                    None if name == MIGRATIONS => self.applied.push(migration(&columns, &fields)?),
                    // `replica` and `idempotency`, or what is none of ours.
                    None => {}
                }
            }
            self.seen.insert(name);
        }
        Ok(())
    }

    /// The next row of the open block; `None` at its end.
    fn row(&mut self, table: &str, columns: usize) -> Result<Option<Vec<Field>>, BackupError> {
        let Some(line) = self.line()? else { return not_whole(format!("it ends in the middle of the table `{table}`")) };
        if line == copy_text::END {
            return Ok(None);
        }
        let fields = copy_text::fields(&line);
        if fields.len() == columns { Ok(Some(fields)) } else { not_whole(format!("a row of the table `{table}` is damaged")) }
    }

    /// Everything was there, and it is of a schema that these tables hold.
    fn check(&mut self) -> Result<Vec<String>, BackupError> {
        if !self.seen.contains(MIGRATIONS) {
            return not_whole("it holds no database of claviger");
        }
        let (pending, unknown) = migrations_of_postgres(std::mem::take(&mut self.applied))?;
        if let Some(version) = unknown.first() {
            return Err(BackupError::Schema(format!(
                "the backup has migration {version:04}, which this claviger does not know; use the newer claviger that made it"
            )));
        }
        // After an expansion the rows of before are still rows; after anything else only that release can read them.
        if let Some(name) = pending.iter().find(|name| !name.get(5..).is_some_and(|name| name.starts_with(EXPAND))) {
            return Err(BackupError::Schema(format!(
                "the backup is from before the migration `{name}`; restore it with the claviger that made it, then upgrade"
            )));
        }
        let missing = std::iter::once(&META).chain(&TABLES).find(|table| !self.seen.contains(table.name));
        match missing {
            Some(table) if pending.is_empty() || table.name != "secret_use" => {
                not_whole(format!("the table `{}` is missing", table.name))
            }
            _ => Ok(pending),
        }
    }
}

fn migration(columns: &[String], fields: &[Field]) -> Result<Applied, BackupError> {
    let field = |name: &str| {
        let at = columns.iter().position(|column| column == name)?;
        Some(String::from_utf8_lossy(fields.get(at)?.as_ref()?).into_owned())
    };
    let read = || {
        let version = field("version")?.parse().ok()?;
        Some(Applied { version, description: field("description")?, checksum: bytes(&field("checksum")?)? })
    };
    read().map_or_else(|| not_whole("its list of migrations cannot be read"), Ok)
}

async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    table: &'static Table,
    columns: &[String],
    fields: &[Field],
) -> Result<(), BackupError> {
    let damaged = |why: &str| BackupError::NotWhole(format!("a row of the table `{}` is damaged: {why}", table.name));
    let mut query = sqlx::query(table.insert);
    for (column, kind) in table.columns {
        let at = columns.iter().position(|name| name == column);
        let field = at.and_then(|at| fields.get(at)).and_then(Option::as_deref);
        query = bind(query, *kind, field).ok_or_else(|| damaged(column))?;
    }
    match query.execute(&mut **tx).await {
        Ok(_) => Ok(()),
        Err(error) => match error.as_database_error() {
            Some(error) => Err(damaged(error.message())),
            None => Err(error.into()),
        },
    }
}

type Insert<'q> = Query<'q, Sqlite, SqliteArguments>;

/// `None` when the field cannot be of this kind.
fn bind<'q>(query: Insert<'q>, kind: Kind, field: Option<&[u8]>) -> Option<Insert<'q>> {
    let text = field.map(std::str::from_utf8).transpose().ok()?;
    Some(match (kind, text) {
        (Kind::Integer, text) => query.bind(text.map(str::parse::<i64>).transpose().ok()?),
        (Kind::Bytes, None) => query.bind(None::<Vec<u8>>),
        (Kind::Bytes, Some(text)) => query.bind(bytes(text)?),
        (Kind::Time, text) => query.bind(text.map(time_text)),
        (Kind::Text, text) => query.bind(text.map(str::to_owned)),
    })
}

/// The bytes that `\x0aff` writes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
