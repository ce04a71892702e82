//! Backups and databases that are torn, altered or garbage.

use std::fs;

use super::{House, config, drop_database, on_both, postgres_url};
use crate::support::engines::execute;

#[tokio::test]
async fn a_torn_or_garbage_file_is_refused_and_the_database_untouched() {
    on_both(async |house| {
        house.create("a.backup");
        let whole = fs::read(house.file("a.backup")).unwrap();
        let before = house.state();
        fs::write(house.file("empty"), "").unwrap();
        fs::write(house.file("garbage"), "this is no backup, it is prose ".repeat(500)).unwrap();
        fs::write(house.file("header"), [&whole[..16], &[7; 9_000][..]].concat()).unwrap();
        for part in 1..8 {
            fs::write(house.file(&format!("torn-{part}")), &whole[..whole.len() * part / 8]).unwrap();
        }
        let torn = (1..8).map(|part| (format!("torn-{part}"), 3)).chain([("header".to_owned(), 3)]);
        for (name, code) in torn.chain([("empty".to_owned(), 1), ("garbage".to_owned(), 1), ("nothing".to_owned(), 1)]) {
            for command in [&["backup", "verify", &name][..], &["backup", "restore", &name, "--yes"]] {
                let ran = house.shell.run(command);
                assert_eq!((ran.code, &*ran.out), (code, ""), "{name}: {ran:?}");
                assert!(ran.err.starts_with("error: "), "{ran:?}");
            }
        }
        assert_eq!(house.state(), before);
        house
    })
    .await;
}

#[tokio::test]
async fn a_flipped_byte_is_found_or_harmless_and_never_a_crash() {
    on_both(async |house| {
        house.create("a.backup");
        let whole = fs::read(house.file("a.backup")).unwrap();
        for at in (0..24).map(|step| 100 + step * (whole.len() - 200) / 24) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            fs::write(house.file("flipped"), &bytes).unwrap();
            let ran = house.shell.run(&["backup", "verify", "flipped"]);
            assert!(matches!(ran.code, 0 | 1 | 3) && !ran.err.contains("panicked"), "byte {at}: {ran:?}");
        }
        house
    })
    .await;
}

#[tokio::test]
async fn an_archive_that_pg_restore_reads_for_ever_is_refused_and_the_database_untouched() {
    let url = postgres_url().await;
    let house = House::on(&url);
    let before = house.state();
    house.create("a.backup");
    let mut bytes = fs::read(house.file("a.backup")).unwrap();
    // In the custom format, a block is its length, lowest byte first, and then what zlib made. One byte after its end is never read.
    let block = bytes.windows(6).rposition(|window| window[2..] == [0, 0, 0x78, 0x9c]).unwrap();
    bytes[block] += 1;
    fs::write(house.file("longer"), &bytes).unwrap();
    let ran = house.shell.run(&["backup", "restore", "longer", "--yes"]);
    // Of Postgres 15: `pg_restore finds no row in it for 20 s`. A later one may have a sentence of its own.
    ran.refused(3, "pg_restore");
    assert_eq!(house.state(), before);
    drop_database(&config(&url).url).await;
}

#[tokio::test]
async fn an_altered_audit_row_fails_the_check_and_names_the_row() {
    on_both(async |house| {
        let before = house.state();
        let sql = "UPDATE audit SET action = 'org.rename' WHERE revision = 2";
        execute(&house.url(), sql).await.unwrap();
        house.create("altered.backup");
        let ran = house.shell.run(&["backup", "verify", "altered.backup", "-o", "json"]).expect(3);
        assert!(ran.err.contains("the audit row of revision 2 (`evt_"), "{ran:?}");
        assert!(ran.out.contains("\"audit_whole\": false"), "{ran:?}");
        let refused = house.shell.run(&["backup", "restore", "altered.backup", "--yes"]);
        refused.refused(3, "the audit row of revision 2 (`evt_");
        let anyway = house.shell.run(&["backup", "restore", "altered.backup", "--yes", "--broken-audit"]).expect(0);
        assert!(anyway.err.contains("the audit log of the backup was altered"), "{anyway:?}");
        assert_eq!(house.state(), before);
        house
    })
    .await;
}

#[test]
fn a_database_that_cannot_be_read_is_put_aside_and_nobody_claims_to_know_what_is_undone() {
    let house = House::on("sqlite:claviger.db");
    let before = house.state();
    house.create("a.backup");
    fs::write(house.file("claviger.db"), "these are notes, not a database ".repeat(900)).unwrap();
    let report = house.refused_restore("a.backup");
    assert_eq!((&report["compared"], &report["undone"]), (&false.into(), &serde_json::Value::Null));
    let asked = house.shell.run(&["backup", "restore", "a.backup"]).expect(2);
    assert!(asked.err.contains("nobody can say which revocations this undoes"), "{asked:?}");
    assert!(fs::read(house.file("claviger.db")).unwrap().starts_with(b"these are notes"));
    let done = house.restore("a.backup").expect(0);
    assert!(done.err.contains("the damaged file is now `claviger.db.damaged-"), "{done:?}");
    assert_eq!(house.state(), before);
}
