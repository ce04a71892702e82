//! Whatever somebody does to the audit log by SQL, the first row that is not as it was written is named.

use claviger::{
    domain::audit::{AuditHead, Break, Fault},
    store::{AuditCheck, Store},
};

use super::busy_hour;
use crate::support::engines::{Bed, author, new_org, on_both_engines};

const ROWS: i64 = 7;
const KEEP: &str = "CREATE TABLE kept AS SELECT * FROM audit";
const RESTORE: &str = "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept";
const TEXTS: [&str; 11] =
    ["id", "at", "actor_kind", "actor_id", "action", "target", "reason", "before", "after", "request_id", "address"];

/// Everything a row holds besides its revision and its id.
const CONTENT: &str = "at, actor_kind, actor_id, action, target, reason, before, after, request_id, address, prev_hash, hash";

async fn check(store: &Store, heads: Vec<AuditHead>) -> Result<i64, Break> {
    match store.verify_audit_against(heads).await.unwrap() {
        AuditCheck::Whole { rows, .. } => Ok(rows),
        AuditCheck::Broken(found) => Err(found),
    }
}

/// Does this, sees that it is found so, and undoes it.
async fn found(bed: &Bed, sql: &str, revision: i64, fault: Fault) {
    bed.execute(sql).await;
    let broken = check(&bed.store, Vec::new()).await.expect_err(sql);
    assert_eq!((broken.revision, broken.fault), (revision, fault), "{sql}: {broken}");
    bed.execute(RESTORE).await;
}

/// Every row is as it was written.
async fn whole(bed: &Bed) {
    assert_eq!(check(&bed.store, Vec::new()).await, Ok(ROWS));
}

/// Sets a column of a row to what an expression gives, unless it is that already or the database does not take it.
async fn edit(bed: &Bed, revision: i64, column: &str, value: &str) -> bool {
    let same = format!("SELECT COUNT(*) FROM audit WHERE revision = {revision} AND {column} IS NOT DISTINCT FROM {value}");
    let is_same = bed.rows(&same).await.concat() == ["1"];
    let sql = format!("UPDATE audit SET {column} = {value} WHERE revision = {revision}");
    !is_same && bed.try_execute(&sql).await.is_ok()
}

#[tokio::test]
async fn any_edit_of_any_column_is_named() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        bed.execute(KEEP).await;
        let zeros = if bed.is_postgres() { "decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
        let byte = if bed.is_postgres() { "'\\x00'" } else { "x'00'" };
        let mut edits = 0;
        for revision in [1, 4, ROWS] {
            let text = TEXTS.iter().flat_map(|column| {
                let values = [
                    "NULL".to_owned(),
                    "''".to_owned(),
                    "' '".to_owned(),
                    "'0'".to_owned(),
                    format!("{column} || ' '"),
                    format!("' ' || {column}"),
                    format!("{column} || '\n'"),
                    format!("upper({column})"),
                    format!("replace({column}, 'Z', '+00:00')"),
                    format!("replace({column}, ':', ': ')"),
                ];
                values.map(|value| (*column, value))
            });
            let bytes = ["prev_hash", "hash"]
                .into_iter()
                .flat_map(|column| [zeros, byte, "hash", "prev_hash"].map(|value| (column, value.to_owned())));
            for (column, value) in text.chain(bytes) {
                if edit(&bed, revision, column, &value).await {
                    let broken = check(&bed.store, Vec::new()).await.expect_err(column);
                    assert_eq!((broken.revision, broken.fault), (revision, Fault::Edited), "{column} = {value}: {broken}");
                    bed.execute(RESTORE).await;
                    edits += 1;
                }
            }
        }
        assert!(edits > 150, "{edits}");
        whole(&bed).await;
    })
    .await;
}

#[tokio::test]
async fn text_that_was_moved_to_the_next_column_is_named() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        bed.execute(KEEP).await;
        for pair in TEXTS.windows(2) {
            let [first, second] = pair else { panic!("two columns") };
            for (to_first, to_second) in [
                (format!("{first} || coalesce({second}, '')"), "''".to_owned()),
                ("''".to_owned(), format!("{first} || coalesce({second}, '')")),
                (format!("coalesce({second}, '')"), (*first).to_owned()),
            ] {
                let sql = format!("UPDATE audit SET {first} = {to_first}, {second} = {to_second} WHERE revision = {ROWS}");
                found(&bed, &sql, ROWS, Fault::Edited).await;
            }
        }
        whole(&bed).await;
    })
    .await;
}

#[tokio::test]
async fn deleted_and_moved_rows_are_named() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        bed.execute(KEEP).await;
        for revision in 1..=ROWS {
            let fault = if revision == ROWS { Fault::CutOff } else { Fault::Missing };
            let delete = format!("DELETE FROM audit WHERE revision = {revision}");
            found(&bed, &delete, revision, fault).await;
            let close = "UPDATE audit SET revision = -revision WHERE revision > {}; \
                         UPDATE audit SET revision = -revision - 1 WHERE revision < 0";
            let renumbered = format!("{delete}; {}", close.replace("{}", &revision.to_string()));
            found(&bed, &renumbered, revision, fault).await;
            found(
                &bed,
                &format!("DELETE FROM audit WHERE revision <= {revision}"),
                1,
                if fault == Fault::CutOff { Fault::CutOff } else { Fault::Missing },
            )
            .await;
            let cut = format!("DELETE FROM audit WHERE revision >= {revision}");
            found(&bed, &cut, revision, Fault::CutOff).await;
            let moved = format!("UPDATE audit SET revision = 99 WHERE revision = {revision}");
            found(&bed, &moved, revision, Fault::OutOfOrder).await;
        }
        for (first, second) in [(1, 2), (1, 7), (3, 4), (2, 6), (6, 7)] {
            let swap = format!(
                "UPDATE audit SET revision = -1 WHERE revision = {first}; \
                 UPDATE audit SET revision = {first} WHERE revision = {second}; \
                 UPDATE audit SET revision = {second} WHERE revision = -1"
            );
            found(&bed, &swap, first, Fault::OutOfOrder).await;
        }
        whole(&bed).await;
    })
    .await;
}

#[tokio::test]
async fn inserted_rows_are_named() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        bed.execute(KEEP).await;
        let insert = |revision: i64, of: i64| {
            format!(
                "INSERT INTO audit SELECT {revision}, 'evt_7zzzzzzzzzzzzzzzzzzzzzzzzz', {CONTENT} FROM kept WHERE revision = {of}"
            )
        };
        for revision in [-5, 0, 8, 99] {
            found(&bed, &insert(revision, 4), revision, Fault::Inserted).await;
        }
        for revision in 1..=ROWS {
            let shift = format!(
                "UPDATE audit SET revision = -revision - 1 WHERE revision >= {revision}; \
                 UPDATE audit SET revision = -revision WHERE revision < 0; "
            );
            found(&bed, &(shift + &insert(revision, 4)), revision, Fault::Inserted).await;
        }
        let constraint = if bed.is_postgres() {
            "ALTER TABLE audit DROP CONSTRAINT audit_pkey".to_owned()
        } else {
            "DROP TABLE audit; CREATE TABLE audit AS SELECT * FROM kept".to_owned()
        };
        bed.execute(&constraint).await;
        for revision in 1..=ROWS {
            found(&bed, &insert(revision, revision), revision, Fault::Inserted).await;
        }
        whole(&bed).await;
    })
    .await;
}

#[tokio::test]
async fn rows_that_were_cut_off_together_with_the_databases_own_head_are_missed_by_a_kept_head() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let kept = bed.store.audit_head().await.unwrap();
        for revision in (1..ROWS).rev() {
            bed.execute(&format!(
                "UPDATE meta SET revision = {revision}, audit_head = (SELECT hash FROM audit WHERE revision = {revision}); \
                 DELETE FROM audit WHERE revision > {revision}; DELETE FROM change WHERE revision > {revision}"
            ))
            .await;
            assert_eq!(check(&bed.store, Vec::new()).await, Ok(revision));
            let broken = check(&bed.store, vec![kept.clone()]).await.unwrap_err();
            assert_eq!((broken.revision, broken.fault), (revision + 1, Fault::CutOff), "{broken}");
        }
        // Other writes take the places of those that were cut off.
        for number in 1..=ROWS {
            bed.store.create_org(&author(9), new_org(&format!("o{number}"))).await.unwrap();
        }
        assert_eq!(check(&bed.store, Vec::new()).await, Ok(ROWS + 1));
        let broken = check(&bed.store, vec![kept]).await.unwrap_err();
        assert_eq!((broken.revision, broken.fault), (ROWS, Fault::Edited), "{broken}");
    })
    .await;
}

#[tokio::test]
async fn what_the_database_keeps_as_its_head_agrees_with_the_last_row() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        let byte = if bed.is_postgres() { "'\\x00'" } else { "x'00'" };
        for (column, value, revision, fault) in [
            ("audit_head", byte, ROWS, Fault::Edited),
            ("audit_head", "(SELECT hash FROM audit WHERE revision = 6)", ROWS, Fault::Edited),
            ("revision", "6", 7, Fault::Inserted),
            ("revision", "8", 8, Fault::CutOff),
        ] {
            bed.execute(&format!("CREATE TABLE before AS SELECT * FROM meta; UPDATE meta SET {column} = {value}")).await;
            let broken = check(&bed.store, Vec::new()).await.unwrap_err();
            assert_eq!((broken.revision, broken.fault), (revision, fault), "{column} = {value}: {broken}");
            bed.execute(&format!("UPDATE meta SET {column} = (SELECT {column} FROM before); DROP TABLE before")).await;
        }
        whole(&bed).await;
    })
    .await;
}

#[tokio::test]
async fn values_of_another_type_are_edits_and_never_a_failure() {
    on_both_engines(|bed| async move {
        busy_hour(&bed).await;
        bed.execute(KEEP).await;
        if bed.is_postgres() {
            for (column, change) in [
                ("at", "timestamptz USING at::timestamptz"),
                ("hash", "text USING encode(hash, 'hex')"),
                ("revision", "text"),
                ("before", "jsonb USING before::jsonb"),
            ] {
                bed.execute(&format!("ALTER TABLE audit ALTER COLUMN {column} TYPE {change}")).await;
                let store = bed.second_store().await;
                // The first row creates something, so its `before` is NULL, which every type has.
                let broken = check(&store, Vec::new()).await.expect_err(column);
                assert!((1..=2).contains(&broken.revision) || column == "before", "{column}: {broken}");
                store.close().await;
                bed.execute("DROP TABLE audit; CREATE TABLE audit AS SELECT * FROM kept").await;
            }
        } else {
            let columns = format!("revision, id, {CONTENT}");
            let loose = format!("DROP TABLE audit; CREATE TABLE audit ({columns}); INSERT INTO audit SELECT * FROM kept");
            bed.execute(&loose).await;
            whole(&bed).await;
            for (column, value) in [
                ("revision", "'4'"),
                ("revision", "4.0"),
                ("revision", "x'34'"),
                ("revision", "NULL"),
                ("id", "7"),
                ("at", "CAST(at AS BLOB)"),
                ("reason", "CAST(reason AS BLOB)"),
                ("reason", "x''"),
                ("before", "0"),
                ("after", "1.5"),
                ("target", "CAST(x'ff' AS TEXT)"),
                ("target", "target || char(0) || 'x'"),
                ("actor_kind", "NULL"),
                ("hash", "hex(hash)"),
                ("hash", "NULL"),
                ("prev_hash", "CAST(x'00' AS TEXT)"),
            ] {
                bed.execute(&format!("UPDATE audit SET {column} = {value} WHERE revision = 4")).await;
                let broken = check(&bed.store, Vec::new()).await.expect_err(column);
                assert_eq!(broken.revision, 4, "{column} = {value}: {broken}");
                bed.execute(RESTORE).await;
            }
            whole(&bed).await;
        }
    })
    .await;
}
