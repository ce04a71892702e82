//! Whatever is done to a chain, its first bad row is named, and what was done to it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::audit::AuditRecord;

/// A chain of so many rows, as the store writes it.
fn chain(rows: i64) -> Vec<AuditEntry> {
    let mut previous = START;
    (1..=rows)
        .map(|revision| {
            let record = AuditRecord {
                revision,
                id: format!("evt_{revision:026}"),
                at: format!("2026-11-24T04:30:{revision:02}.000Z"),
                actor_kind: "admin".to_owned(),
                actor_id: Some("adm_1".to_owned()),
                action: "org.suspend".to_owned(),
                target: "org_1".to_owned(),
                reason: Some("unpaid".to_owned()),
                before: Some("{}".to_owned()),
                after: Some(String::new()),
                request_id: None,
                address: Some("192.0.2.7".to_owned()),
            };
            let hash = record.hash(&previous);
            let entry = AuditEntry { record, previous: previous.to_vec(), hash: hash.to_vec() };
            previous = hash;
            entry
        })
        .collect()
}

fn end_of(rows: &[AuditEntry]) -> Option<(i64, Vec<u8>)> {
    rows.last().map(|entry| (entry.record.revision, entry.hash.clone()))
}

fn head_of(rows: &[AuditEntry], revision: usize) -> AuditHead {
    let entry = &rows[revision - 1];
    AuditHead { revision: entry.record.revision, hash: entry.hash.clone().try_into().unwrap() }
}

fn walk(end: Option<(i64, Vec<u8>)>, heads: Vec<AuditHead>, rows: &[AuditEntry]) -> AuditCheck {
    let mut chain = Chain::new(end, heads);
    for entry in rows {
        chain.take(Ok(entry.clone()));
    }
    chain.end()
}

/// What is found in these rows, when the database says that all of them should be there.
fn found(rows: &[AuditEntry], all: i64) -> (i64, Fault) {
    match walk(end_of(&chain(all)), Vec::new(), rows) {
        AuditCheck::Broken(found) => (found.revision, found.fault),
        whole @ AuditCheck::Whole { .. } => panic!("{whole}"),
    }
}

/// A row that fits itself at this place, by somebody who knows how hashes are made.
fn forged(revision: i64, previous: &[u8]) -> AuditEntry {
    let mut entry = chain(1).remove(0);
    entry.record.revision = revision;
    entry.record.id = "evt_forged".to_owned();
    entry.previous = previous.to_vec();
    entry.hash = entry.record.hash(previous.try_into().unwrap()).to_vec();
    entry
}

fn renumber(rows: &mut [AuditEntry]) {
    for (at, entry) in rows.iter_mut().enumerate() {
        entry.record.revision = i64::try_from(at).unwrap() + 1;
    }
}

#[test]
fn a_chain_as_it_was_written_is_whole() {
    for length in 0..4 {
        let rows = chain(length);
        let check = walk(Some(end_of(&rows).unwrap_or((0, START.to_vec()))), Vec::new(), &rows);
        assert!(matches!(check, AuditCheck::Whole { rows, .. } if rows == length), "{check}");
    }
}

#[test]
fn a_deleted_row_is_missing_whether_or_not_the_others_are_renumbered() {
    for gone in 1..=7 {
        let mut rows = chain(7);
        rows.remove(gone - 1);
        let place = i64::try_from(gone).unwrap();
        let fault = if gone == 7 { Fault::CutOff } else { Fault::Missing };
        assert_eq!(found(&rows, 7), (place, fault));
        renumber(&mut rows);
        assert_eq!(found(&rows, 7), (place, fault), "renumbered");
    }
}

#[test]
fn swapped_rows_are_out_of_order_from_the_first_of_them() {
    for (a, b) in [(0, 1), (0, 6), (2, 3), (2, 5), (5, 6)] {
        let mut rows = chain(7);
        rows.swap(a, b);
        let place = i64::try_from(a).unwrap() + 1;
        assert_eq!(found(&rows, 7), (place, Fault::OutOfOrder), "{a} and {b}, by place");
        renumber(&mut rows);
        assert_eq!(found(&rows, 7), (place, Fault::OutOfOrder), "{a} and {b}, by revision");
    }
}

#[test]
fn a_row_that_was_moved_to_another_revision_is_out_of_order() {
    let mut rows = chain(7);
    let mut moved = rows.remove(3);
    moved.record.revision = 4;
    rows.push(AuditEntry { record: AuditRecord { revision: 99, ..moved.record.clone() }, ..moved });
    // Its own hash still says that it is of revision 4.
    assert_eq!(found(&rows, 7), (4, Fault::OutOfOrder));
}

#[test]
fn an_inserted_row_is_found_even_when_its_hash_is_right() {
    for place in 0..=7 {
        let whole = chain(7);
        let previous = if place == 0 { START.to_vec() } else { whole[place - 1].hash.clone() };
        let revision = i64::try_from(place).unwrap() + 1;
        let mut rows = whole.clone();
        rows.insert(place, forged(revision, &previous));
        assert_eq!(found(&rows, 7), (revision, Fault::Inserted), "twice the same revision");
        renumber(&mut rows);
        assert_eq!(found(&rows, 7), (revision, Fault::Inserted), "renumbered");
        let mut rows = whole;
        rows.insert(place, forged(revision, &[7; 32]));
        renumber(&mut rows);
        assert_eq!(found(&rows, 7), (revision, Fault::Inserted), "of another chain");
    }
    let mut rows = chain(7);
    rows.insert(3, rows[2].clone());
    renumber(&mut rows);
    assert_eq!(found(&rows, 7), (4, Fault::Inserted), "a copy");
    let mut rows = chain(7);
    rows.insert(0, forged(0, &START));
    assert_eq!(found(&rows, 7), (0, Fault::Inserted), "before the first");
}

#[test]
fn a_row_that_was_written_anew_with_its_hash_is_named_and_not_its_successor() {
    for place in 1..=7 {
        let mut rows = chain(7);
        let entry = &mut rows[place - 1];
        entry.record.reason = Some("paid".to_owned());
        entry.hash = entry.record.hash(&entry.previous.clone().try_into().unwrap()).to_vec();
        assert_eq!(found(&rows, 7), (i64::try_from(place).unwrap(), Fault::Edited), "{place}");
    }
}

#[test]
fn a_history_that_was_written_anew_is_found_by_a_kept_head_alone() {
    let whole = chain(7);
    let (kept, early) = (head_of(&whole, 5), head_of(&whole, 2));
    let mut rows = whole[..2].to_vec();
    for revision in 3..=7 {
        rows.push(forged(revision, &rows.last().unwrap().hash.clone()));
    }
    assert!(matches!(walk(end_of(&rows), vec![early], &rows), AuditCheck::Whole { rows: 7, .. }));
    let AuditCheck::Broken(found) = walk(end_of(&rows), vec![kept.clone()], &rows) else { panic!("whole") };
    assert_eq!((found.revision, found.fault), (5, Fault::Edited));
    for length in 2..5 {
        let AuditCheck::Broken(found) = walk(end_of(&whole[..length]), vec![kept.clone()], &whole[..length]) else {
            panic!("whole")
        };
        assert_eq!((found.revision, found.fault, found.id), (i64::try_from(length).unwrap() + 1, Fault::CutOff, None));
    }
    assert!(matches!(walk(end_of(&whole), vec![kept], &whole), AuditCheck::Whole { rows: 7, .. }));
}

#[test]
fn what_cannot_be_read_is_named_without_speaking_to_the_terminal() {
    let rows = chain(3);
    let mut walk = Chain::new(end_of(&rows), Vec::new());
    walk.take(Ok(rows[0].clone()));
    walk.take(Err(Unreadable { revision: Some(2), id: Some("evt_\u{1b}[2J".to_owned()), why: "no text".to_owned() }));
    walk.take(Ok(rows[2].clone()));
    let check = walk.end().to_string();
    assert_eq!(check, r"the audit row of revision 2 (`evt_\u{1b}[2J`) was edited: it cannot be read: no text");
}

#[test]
fn a_row_that_does_not_say_where_it_belongs_is_what_became_of_the_one_that_is_missing() {
    let whole = chain(3);
    let stray = || Err(Unreadable { revision: None, id: None, why: "no number".to_owned() });
    let found = |end: Option<(i64, Vec<u8>)>, rows: Vec<Result<AuditEntry, Unreadable>>| {
        let mut walk = Chain::new(end, Vec::new());
        for row in rows {
            walk.take(row);
        }
        let AuditCheck::Broken(found) = walk.end() else { panic!("whole") };
        (found.revision, found.fault)
    };
    let row = |place: usize| Ok(whole[place - 1].clone());
    let end = || end_of(&whole);
    assert_eq!(found(end(), vec![row(1), stray(), row(3)]), (2, Fault::Edited), "in its place");
    assert_eq!(found(end(), vec![stray(), row(1), row(3)]), (2, Fault::Missing), "before all others");
    assert_eq!(found(end(), vec![row(1), row(3), stray()]), (2, Fault::Missing), "after all others");
    assert_eq!(found(end(), vec![row(1), row(2), stray()]), (3, Fault::Edited), "the last one");
    assert_eq!(found(None, vec![row(1), row(2), stray()]), (3, Fault::Edited), "the last one of a file");
    assert_eq!(found(end(), vec![row(1), stray(), row(2), row(3)]), (2, Fault::Inserted), "one more");
    assert_eq!(found(end(), vec![row(1), row(2), row(3), stray()]), (4, Fault::Inserted), "one more at the end");
    assert_eq!(found(end(), vec![stray(), stray(), stray()]), (1, Fault::Edited), "all of them");
}

/// Every text of a row.
fn texts(entry: &mut AuditEntry) -> [&mut Option<String>; 6] {
    let record = &mut entry.record;
    let AuditRecord { actor_id, reason, before, after, request_id, address, .. } = record;
    [actor_id, reason, before, after, request_id, address]
}

#[test]
fn no_two_different_rows_have_one_hash() {
    // Texts of the very bytes that stand between the fields.
    let texts = ["", "\0", "\u{1}", "\0\0", "\0\u{1}", "\u{1}\0", "\u{1}\u{1}"];
    let values: Vec<Option<&str>> = std::iter::once(None).chain(texts.map(Some)).collect();
    let mut hashes = BTreeSet::new();
    for reason in &values {
        for before in &values {
            for after in &values {
                let mut record = chain(1).remove(0).record;
                let text = |value: Option<&str>| value.map(str::to_owned);
                (record.reason, record.before, record.after) = (text(*reason), text(*before), text(*after));
                hashes.insert(record.hash(&START));
            }
        }
    }
    assert_eq!(hashes.len(), values.len().pow(3));
}

proptest! {
    #[test]
    fn any_edit_of_any_row_is_named(place in 0usize..7, column in 0usize..6, value in prop::option::of(".{0,4}")) {
        let mut rows = chain(7);
        let columns = texts(&mut rows[place]);
        prop_assume!(*columns[column] != value);
        *columns[column] = value;
        prop_assert_eq!(found(&rows, 7), (i64::try_from(place).unwrap() + 1, Fault::Edited));
    }

    #[test]
    fn any_edit_of_a_hash_is_named(place in 0usize..7, at in 0usize..64, bit in 0u8..8, length in 0usize..33) {
        let mut rows = chain(7);
        let entry = &mut rows[place];
        let bytes = if at < 32 { &mut entry.hash } else { &mut entry.previous };
        bytes[at % 32] ^= 1 << bit;
        prop_assert_eq!(found(&rows, 7), (i64::try_from(place).unwrap() + 1, Fault::Edited));
        let mut rows = chain(7);
        rows[place].hash.truncate(length);
        prop_assume!(length < 32);
        prop_assert_eq!(found(&rows, 7), (i64::try_from(place).unwrap() + 1, Fault::Edited));
    }
}
