//! Hand-made histories: for each rule some that keep it, and some that break it.

use std::time::Duration;

use super::{
    Answer, Bounds, Decide, History, Micros, Outcome, Propagated, Recorder, Report, Span, Ticker, Write, check, ticker::late,
};

const BOUNDS: Bounds = Bounds { connected: Duration::from_secs(1), max_staleness: Duration::from_secs(5) };

fn span(start: Micros, end: Micros) -> Span {
    Span { start: start * 1_000, end: end * 1_000 }
}

/// A decide about key 0 that takes a millisecond, from this one on.
fn decide(replica: usize, start: Micros, answer: Answer) -> Decide {
    Decide { client: 0, replica, key: 0, span: span(start, start + 1), answer, revision: None }
}

fn allow(replica: usize, start: Micros) -> Decide {
    decide(replica, start, Answer::Allow)
}

fn deny(replica: usize, start: Micros) -> Decide {
    decide(replica, start, Answer::Deny("KEY_REVOKED".to_owned()))
}

/// A write to key 0 on replica 0.
fn write(allowed: bool, start: Micros, end: Micros, revision: u64) -> Write {
    let outcome = Outcome::Done { revision, propagated: Propagated::Absent };
    Write { client: 1, replica: 0, switch: "revoked", keys: vec![0], allowed, span: span(start, end), outcome }
}

/// At 100 ms, answered at 110 ms with revision 7.
fn off() -> Write {
    write(false, 100, 110, 7)
}

impl Decide {
    fn naming(self, revision: u64) -> Self {
        Self { revision: Some(revision), ..self }
    }
}

impl Write {
    fn ending(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    fn propagated(self, propagated: Propagated) -> Self {
        self.ending(Outcome::Done { revision: 7, propagated })
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown("503 OUTCOME_UNKNOWN".to_owned())
}

fn story(writes: &[Write], decides: &[Decide]) -> History {
    History { decides: decides.to_vec(), writes: writes.to_vec(), length: 100_000_000, ..History::default() }
}

/// The rules that are broken, by letter.
fn broken(history: &History) -> String {
    let Report { violations, .. } = check(history, BOUNDS);
    violations.iter().map(|sentence| sentence.strip_prefix('(').map_or("late", |rest| &rest[..1])).collect()
}

fn judged(writes: &[Write], decides: &[Decide]) -> String {
    broken(&story(writes, decides))
}

#[test]
fn the_replica_that_wrote_denies_from_the_answer_on() {
    assert_eq!(judged(&[off()], &[allow(0, 90), allow(0, 105), deny(0, 108), deny(0, 111)]), "");
    assert_eq!(judged(&[off()], &[allow(0, 111)]), "a");
    let again = [off(), write(true, 200, 210, 8)];
    assert_eq!(judged(&again, &[deny(0, 150), allow(0, 200), deny(0, 205), allow(0, 211)]), "");
    assert_eq!(judged(&again, &[allow(0, 198)]), "a");
}

#[test]
fn connected_replicas_deny_after_their_bound() {
    assert_eq!(judged(&[off()], &[allow(1, 1_110), deny(1, 1_111)]), "");
    assert_eq!(judged(&[off()], &[allow(1, 1_111)]), "b");
}

#[test]
fn replicas_that_were_apart_deny_after_being_back_for_the_bound_or_after_the_greatest_age() {
    let apart = |end, start| History { apart: vec![(1, span(50, end))], ..story(&[off()], &[allow(1, start)]) };
    assert_eq!((broken(&apart(3_000, 4_000)), broken(&apart(3_000, 4_001))), (String::new(), "b".to_owned()));
    assert_eq!((broken(&apart(90_000, 5_110)), broken(&apart(90_000, 5_111))), (String::new(), "b".to_owned()));
    let other = History { apart: vec![(2, span(50, 90_000))], ..story(&[off()], &[allow(1, 1_111)]) };
    assert_eq!(broken(&other), "b");
}

#[test]
fn time_in_which_the_machine_was_late_does_not_count() {
    let late = |replica, start| History { late: vec![span(200, 500)], ..story(&[off()], &[allow(replica, start)]) };
    assert_eq!((broken(&late(1, 1_410)), broken(&late(1, 1_411))), (String::new(), "b".to_owned()));
    // The replica that wrote has no such excuse.
    assert_eq!(broken(&late(0, 300)), "a");
    let during = History { late: vec![span(7_000, 7_500)], ..story(&[off()], &[allow(1, 7_200)]) };
    assert_eq!(broken(&during), "");
}

#[test]
fn nobody_allows_after_all_replicas_are_said_to_know() {
    let everywhere = off().propagated(Propagated::All);
    assert_eq!(judged(std::slice::from_ref(&everywhere), &[allow(1, 109), deny(1, 111)]), "");
    assert_eq!(judged(std::slice::from_ref(&everywhere), &[allow(1, 111)]), "c");
    let apart = History { apart: vec![(1, span(0, 90_000))], ..story(&[everywhere], &[allow(1, 111)]) };
    assert_eq!(broken(&apart), "c");
    assert_eq!(judged(&[off().propagated(Propagated::Pending)], &[allow(1, 111)]), "");
}

#[test]
fn a_deny_has_a_reason() {
    assert_eq!(judged(&[off()], &[deny(1, 99)]), "");
    assert_eq!(judged(&[off()], &[deny(1, 98)]), "d");
    assert_eq!(judged(&[], &[deny(0, 10)]), "d");
    assert_eq!(judged(&[off().ending(Outcome::Failed("STORE_UNAVAILABLE".to_owned()))], &[deny(0, 111)]), "d");
    let again = [off(), write(true, 200, 210, 8)];
    assert_eq!(judged(&again, &[deny(1, 1_210)]), "");
    assert_eq!(judged(&again, &[deny(0, 211), deny(1, 1_211)]), "dd");
    let elsewhere = Write { keys: vec![1, 2], ..off() };
    assert_eq!(judged(&[elsewhere], &[deny(0, 150)]), "d");
    let failed = [decide(0, 10, Answer::Failed("STALE_SNAPSHOT".to_owned())), decide(0, 10, Answer::Nothing)];
    assert_eq!(judged(&[], &failed), "");
}

#[test]
fn a_write_of_unknown_outcome_explains_both_answers_for_ever() {
    let maybe = off().ending(unknown());
    assert_eq!(judged(std::slice::from_ref(&maybe), &[allow(0, 111), deny(0, 111), allow(1, 9_000), deny(1, 9_001)]), "");
    assert_eq!(judged(&[off(), write(true, 120, 130, 0).ending(unknown())], &[allow(0, 5_000), deny(0, 9_000)]), "");
    assert_eq!(judged(&[maybe], &[deny(0, 98)]), "d");
}

#[test]
fn a_key_is_allowed_only_while_all_its_switches_are_on() {
    let suspend = |allowed, start, revision| Write { switch: "suspended", ..write(allowed, start, start + 10, revision) };
    let writes = [suspend(false, 100, 7), write(false, 200, 210, 8), suspend(true, 300, 9)];
    assert_eq!(judged(&writes, &[deny(0, 150), deny(0, 250), deny(0, 350), deny(1, 9_000)]), "");
    assert_eq!(judged(&writes, &[allow(0, 350), allow(1, 9_000)]), "ab");
}

#[test]
fn the_revision_orders_writes_that_overlap() {
    let overlapping = [write(false, 100, 110, 8), write(true, 100, 110, 7)];
    assert_eq!((judged(&overlapping, &[deny(0, 111)]), judged(&overlapping, &[allow(0, 111)])), (String::new(), "a".to_owned()));
    let overlapping = [write(false, 100, 110, 7), write(true, 100, 110, 8)];
    assert_eq!((judged(&overlapping, &[deny(0, 111)]), judged(&overlapping, &[allow(0, 111)])), ("d".to_owned(), String::new()));
}

#[test]
fn an_answer_fits_the_revision_that_it_names() {
    assert_eq!(judged(&[off()], &[allow(1, 200).naming(6), deny(2, 200).naming(7), deny(1, 300).naming(8)]), "");
    assert_eq!(judged(&[off()], &[allow(1, 200).naming(7)]), "d");
    assert_eq!(judged(&[off()], &[deny(1, 200).naming(6)]), "d");
    let again = [off(), write(true, 200, 210, 9)];
    assert_eq!(judged(&again, &[deny(1, 250).naming(8), allow(2, 250).naming(9)]), "");
    assert_eq!(judged(&again, &[deny(1, 250).naming(9)]), "d");
}

#[test]
fn one_revision_has_one_answer_for_a_key_on_every_replica() {
    let maybe = [off().ending(unknown())];
    assert_eq!(judged(&maybe, &[allow(1, 200).naming(7), deny(2, 200).naming(8)]), "");
    assert_eq!(judged(&maybe, &[allow(1, 200).naming(7), deny(2, 200).naming(7)]), "d");
    let other_code = decide(2, 200, Answer::Deny("ORG_SUSPENDED".to_owned())).naming(7);
    assert_eq!(judged(&maybe, &[deny(1, 200).naming(7), other_code]), "d");
    let other_key = Decide { key: 1, ..allow(2, 200).naming(7) };
    assert_eq!(judged(&maybe, &[deny(1, 200).naming(7), other_key]), "");
}

#[test]
fn a_revision_is_named_neither_too_late_nor_too_early() {
    let elsewhere = Write { keys: vec![1], ..off() };
    let judged = |decide| judged(std::slice::from_ref(&elsewhere), &[decide]);
    assert_eq!((judged(allow(0, 111).naming(7)), judged(allow(0, 111).naming(6))), (String::new(), "d".to_owned()));
    assert_eq!((judged(allow(1, 1_110).naming(6)), judged(allow(1, 1_111).naming(6))), (String::new(), "d".to_owned()));
    assert_eq!((judged(allow(1, 99).naming(8)), judged(allow(1, 98).naming(8))), (String::new(), "d".to_owned()));
}

#[test]
fn revisions_named_to_one_client_by_one_replica_never_fall() {
    let two = |one: Decide, other: Decide| judged(&[], &[other.naming(5), one.naming(6)]);
    assert_eq!(two(allow(1, 10), allow(1, 12)), "e");
    assert_eq!(two(allow(1, 10), Decide { client: 1, ..allow(1, 12) }), "");
    assert_eq!(two(allow(1, 10), allow(2, 12)), "");
    assert_eq!(two(allow(1, 10), allow(1, 11)), "", "they overlap");
    assert_eq!(judged(&[Write { client: 0, replica: 1, keys: vec![], ..off() }], &[allow(1, 50).naming(8)]), "de");
    let restored =
        |start| History { restores: vec![span(200, 300)], ..story(&[], &[allow(1, 100).naming(9), allow(1, start).naming(3)]) };
    assert_eq!((broken(&restored(6_000)), broken(&restored(150))), (String::new(), "e".to_owned()));
}

#[test]
fn a_restore_takes_old_writes_back_and_not_new_ones() {
    let restored = |writes: &[Write], decide| History { restores: vec![span(200, 300)], ..story(writes, &[decide]) };
    let early = [off()];
    assert_eq!(
        (broken(&restored(&early, allow(0, 6_000))), broken(&restored(&early, deny(0, 6_000)))),
        (String::new(), String::new())
    );
    assert_eq!(broken(&restored(&early, allow(0, 5_000))), "", "a replica may not have noticed yet");
    assert_eq!(broken(&restored(&early, allow(0, 150))), "a");
    let late = [off(), write(false, 6_000, 6_010, 3)];
    assert_eq!(
        (broken(&restored(&late, deny(0, 6_011))), broken(&restored(&late, allow(0, 6_011)))),
        (String::new(), "a".to_owned())
    );
    let late = [off(), write(true, 6_000, 6_010, 3)];
    assert_eq!(
        (broken(&restored(&late, allow(0, 6_011))), broken(&restored(&late, deny(0, 6_011)))),
        (String::new(), "d".to_owned())
    );
}

#[test]
fn a_run_that_was_late_for_more_than_a_fifth_proves_nothing() {
    let late = |end| History { late: vec![span(0, 10_000), span(50_000, end)], ..story(&[], &[allow(0, 1)]) };
    assert_eq!((broken(&late(60_000)), broken(&late(60_001))), (String::new(), "late".to_owned()));
}

#[test]
fn the_report_tells_how_long_others_went_on_allowing() {
    let again = write(true, 400, 410, 8);
    let forbids = [off(), Write { keys: vec![1], ..write(false, 500, 510, 9) }];
    let decides = [allow(1, 130), allow(2, 160), allow(0, 105), allow(1, 405), Decide { key: 1, ..allow(1, 505) }];
    let report = check(&story(&[&forbids[..], &[again]].concat(), &decides), BOUNDS);
    assert_eq!(report.honoured_after, [50_000; 3], "{report:?}");
    let line = "8 operations (5 decides, 3 writes), 0.0 % of the time left out, honoured after p50 50.0 p99 50.0 max 50.0 ms, 0 violations";
    assert_eq!(report.to_string(), line);
}

#[test]
fn a_violation_is_told_as_a_sentence() {
    let report = check(&story(&[off()], &[allow(0, 111).naming(6)]), BOUNDS);
    let expected = "(a) replica 0 answered `allow` at revision 6 to client 0 about key 0 from 111000 to 112000 µs, though the same \
         replica had answered: client 1 turned `revoked` off on replica 0 from 100000 to 110000 µs: \
         Done { revision: 7, propagated: Absent }";
    assert_eq!(report.violations[0], expected);
}

#[test]
fn answers_are_sorted_by_status_and_code() {
    let deny = Answer::Deny("KEY_REVOKED".to_owned());
    assert_eq!((Answer::of(Some(200), ""), Answer::of(Some(401), "KEY_REVOKED")), (Answer::Allow, deny));
    assert_eq!(Answer::of(Some(503), "NOT_READY"), Answer::Failed("NOT_READY".to_owned()));
    assert_eq!(Answer::of(None, ""), Answer::Nothing);
    let done = |propagated| Outcome::Done { revision: 3, propagated };
    assert_eq!(Outcome::of(Some(201), "", Some(3), None), done(Propagated::Absent));
    assert_eq!(Outcome::of(Some(200), "", Some(3), Some("pending")), done(Propagated::Pending));
    assert_eq!(Outcome::of(Some(200), "", Some(3), Some("all")), done(Propagated::All));
    for (status, code) in [(404, "NOT_FOUND"), (503, "STORE_UNAVAILABLE")] {
        assert_eq!(Outcome::of(Some(status), code, None, None), Outcome::Failed(code.to_owned()));
    }
    for (status, code) in [(Some(503), "OUTCOME_UNKNOWN"), (Some(500), "INTERNAL"), (Some(408), ""), (None, "")] {
        assert!(matches!(Outcome::of(status, code, None, None), Outcome::Unknown(_)), "{status:?}");
    }
}

#[test]
fn the_recorder_keeps_what_clients_tell_and_what_they_do_not_live_to_tell() {
    let recorder = Recorder::new();
    let (apart, restore) = (recorder.apart(2), recorder.restore());
    let decide = recorder.decide(0, 1, 5);
    let done = Outcome::Done { revision: 4, propagated: Propagated::All };
    recorder.write(0, 1, "revoked", &[5, 6], false).end(done.clone());
    drop(recorder.write(1, 0, "suspended", &[5], true));
    decide.end(Answer::Allow, Some(3));
    let open = recorder.history();
    apart.end();
    restore.end();
    let history = recorder.history();
    assert_eq!((open.apart[0].1.end, open.restores[0].end), (Micros::MAX, Micros::MAX));
    assert!(history.apart[0].1.end <= history.length && history.restores[0].end <= history.length);
    let [told, lost] = &history.writes[..] else { panic!("{history:?}") };
    assert_eq!((&told.outcome, &told.keys[..], told.allowed), (&done, &[5, 6][..], false));
    assert!(matches!(lost.outcome, Outcome::Unknown(_)) && lost.span.end == Micros::MAX && lost.allowed);
    let Decide { replica: 1, key: 5, answer: Answer::Allow, revision: Some(3), span, .. } = history.decides[0] else { panic!() };
    assert!(span.start <= told.span.start && told.span.end <= span.end);
}

#[test]
fn a_tick_is_late_when_it_comes_200_ms_after_its_time() {
    assert_eq!((late(1_000, 251_000), late(1_000, 251_001)), (None, Some(Span { start: 1_000, end: 251_001 })));
    let recorder = Recorder::new();
    drop(Ticker::start(&recorder));
    assert!(recorder.history().late.iter().all(|late| late.end - late.start > 250_000));
}
