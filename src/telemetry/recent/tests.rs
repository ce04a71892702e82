use std::{thread, time::SystemTime};

use super::*;
use crate::{
    domain::{clock::Timestamp, key::Refusal, random::Random},
    telemetry::{EntryPoint, Outcome},
};

const ROOMY: usize = 16 * 1024 * 1024;

fn judgement(number: u64) -> Judgement {
    let (now, random) = (Timestamp::from_millis(1_795_494_626_123), Random::seeded(number));
    Judgement {
        decision_id: DecisionId::new(now, &random),
        outcome: Outcome::Refused(Refusal::Unknown),
        action: Some(number.to_string().as_str().into()),
        in_schema: true,
        resource: None,
        had_context: false,
        context: None,
    }
}

fn record(answer: Answer) -> Arc<Recorded> {
    let record = DecisionRecord {
        entry_point: EntryPoint::Api,
        start: SystemTime::UNIX_EPOCH,
        elapsed: std::time::Duration::ZERO,
        request_id: "r".into(),
        status: 401,
        parent: None,
        key: None,
        policy_set: None,
        revision: 1,
        snapshot_age: None,
        answer,
    };
    Arc::new(Recorded::new(record, None))
}

fn one(number: u64) -> Arc<Recorded> {
    record(Answer::One(judgement(number)))
}

fn batch(numbers: impl IntoIterator<Item = u64>) -> Arc<Recorded> {
    let zero = std::time::Duration::ZERO;
    let item = |number| Item { after: zero, elapsed: zero, judgement: judgement(number) };
    record(Answer::Batch(numbers.into_iter().map(item).collect()))
}

fn number(kept: &Kept) -> u64 {
    kept.judgement().action.as_ref().unwrap().clean().parse().unwrap()
}

/// What is listed, newest first.
fn listed(recent: &Recent, limit: usize, after: Option<u64>) -> (Vec<u64>, bool) {
    let after = after.map(|number| judgement(number).decision_id);
    let (kept, more) = recent.list(&RecentFilter::default(), limit, after);
    (kept.iter().map(number).collect(), more)
}

fn steps(follower: &mut Follower) -> Vec<Result<u64, Option<u64>>> {
    let mut all = Vec::new();
    loop {
        match follower.step() {
            Step::Decision(kept) => all.push(Ok(number(&kept))),
            Step::Lost(count) => all.push(Err(count)),
            Step::Passed => {}
            Step::End => return all,
        }
    }
}

#[test]
fn the_last_ones_are_kept_and_no_more() {
    let recent = Recent::new(4, ROOMY);
    assert_eq!(listed(&recent, 9, None), (vec![], false));
    (0..3).for_each(|number| recent.keep(&one(number)));
    assert_eq!(listed(&recent, 9, None), (vec![2, 1, 0], false));
    recent.keep(&batch(3..6));
    assert_eq!(listed(&recent, 9, None), (vec![5, 4, 3, 2], false));
    recent.keep(&batch(6..16));
    assert_eq!(listed(&recent, 9, None), (vec![15, 14, 13, 12], false));
    let find = |number| recent.find(judgement(number).decision_id).map(|kept| self::number(&kept));
    assert_eq!((find(12), find(11), find(99)), (Some(12), None, None));
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_whatever_comes_in() {
    let recent = Recent::new(8, ROOMY);
    (0..6).for_each(|number| recent.keep(&one(number)));
    assert_eq!(listed(&recent, 2, None), (vec![5, 4], true));
    recent.keep(&one(6));
    assert_eq!(listed(&recent, 2, Some(4)), (vec![3, 2], true));
    recent.keep(&batch(7..10));
    assert_eq!(listed(&recent, 2, Some(2)), (vec![], false), "everything older has left with 0 and 1");
    assert_eq!(listed(&recent, 9, Some(1)), (vec![], false), "it has left itself");
    assert_eq!(listed(&recent, 9, Some(4)), (vec![3, 2], false));
}

#[test]
fn the_bound_in_bytes_holds_whatever_comes_in() {
    let recent = Recent::new(10_000, LEAST_BYTES);
    for number in 0..2_000 {
        recent.keep(&if number % 5 == 0 { batch(number..number + 40) } else { one(number) });
        assert!(recent.0.bytes.load(Ordering::Relaxed) <= LEAST_BYTES);
    }
    let (left, _) = listed(&recent, 10_000, None);
    assert!((20..1_000).contains(&left.len()), "{}", left.len());
    let bytes = recent.0.slots.iter().filter_map(|slot| slot.lock().unwrap().as_ref().map(|slot| slot.bytes)).sum::<usize>();
    assert_eq!(bytes, recent.0.bytes.load(Ordering::Relaxed));
}

#[test]
fn a_batch_lives_no_longer_than_its_last_decision() {
    let recent = Recent::new(3, ROOMY);
    let batch = batch(0..3);
    recent.keep(&batch);
    assert_eq!(Arc::strong_count(&batch), 4);
    (3..6).for_each(|number| recent.keep(&one(number)));
    assert_eq!(Arc::strong_count(&batch), 1);
}

#[test]
fn a_follower_sees_everything_that_comes_after_it() {
    let recent = Recent::new(4, ROOMY);
    recent.keep(&one(0));
    let mut follower = recent.follow(RecentFilter::default(), None).unwrap();
    assert_eq!(steps(&mut follower), []);
    recent.keep(&batch(1..3));
    recent.keep(&one(3));
    assert_eq!(steps(&mut follower), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(steps(&mut follower), []);
}

#[test]
fn a_follower_that_is_too_slow_is_told_how_many_it_lost() {
    for recent in [Recent::new(4, ROOMY), Recent::new(4, 4 * 600)] {
        let mut follower = recent.follow(RecentFilter::default(), None).unwrap();
        (0..11).for_each(|number| recent.keep(&one(number)));
        let all = steps(&mut follower);
        let Some((Err(Some(lost)), seen)) = all.split_first() else { panic!("{all:?}") };
        assert_eq!(seen, (*lost..11).map(Ok).collect::<Vec<_>>(), "{lost}");
        assert!(*lost >= 7);
    }
}

#[test]
fn a_follower_goes_on_after_a_decision_or_is_told_that_nobody_knows() {
    let recent = Recent::new(4, ROOMY);
    (0..6).for_each(|number| recent.keep(&one(number)));
    let from = |number| steps(&mut recent.follow(RecentFilter::default(), Some(judgement(number).decision_id)).unwrap());
    assert_eq!(from(3), [Ok(4), Ok(5)]);
    assert_eq!(from(5), []);
    assert_eq!(from(1), [Err(None), Ok(2), Ok(3), Ok(4), Ok(5)]);
}

#[test]
fn there_are_so_many_followers_at_a_time() {
    let recent = Recent::new(4, ROOMY);
    let follow = || recent.follow(RecentFilter::default(), None);
    let mut followers: Vec<_> = std::iter::from_fn(follow).collect();
    assert_eq!(followers.len(), 8);
    followers.pop();
    assert!(follow().is_some() && follow().is_some());
}

#[test]
fn many_threads_lose_and_double_nothing() {
    let recent = Recent::new(50_000, ROOMY * 4);
    let mut follower = recent.follow(RecentFilter::default(), None).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let recent = &recent;
            scope.spawn(move || (0..10_000).for_each(|number| recent.keep(&one(thread * 10_000 + number))));
        }
    });
    let mut seen: Vec<u64> = steps(&mut follower).into_iter().map(Result::unwrap).collect();
    assert_eq!(listed(&recent, 99_999, None).0, seen.iter().rev().copied().collect::<Vec<_>>());
    seen.sort_unstable();
    assert_eq!(seen, (0..40_000).collect::<Vec<_>>());
}

#[test]
fn a_ring_that_many_threads_overrun_stays_within_its_bounds() {
    let recent = Recent::new(8, LEAST_BYTES);
    thread::scope(|scope| {
        for thread in 0..4 {
            let recent = &recent;
            scope.spawn(move || {
                (0..5_000).for_each(|number| recent.keep(&batch(thread * 5_000 + number..thread * 5_000 + number + 3)));
            });
        }
        let mut follower = recent.follow(RecentFilter::default(), None).unwrap();
        scope.spawn(move || (0..20_000).for_each(|_| drop(follower.step())));
    });
    let (left, more) = listed(&recent, 99, None);
    assert!(left.len() <= 8 && !left.is_empty() && !more, "{left:?}");
    let bytes = recent.0.slots.iter().filter_map(|slot| slot.lock().unwrap().as_ref().map(|slot| slot.bytes)).sum::<usize>();
    assert_eq!(bytes, recent.0.bytes.load(Ordering::Relaxed));
}
