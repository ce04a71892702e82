//! A simple system that keeps the promises, whose histories are never blamed, and always are once a lie is added.

use std::time::Duration;

use proptest::prelude::*;

use super::{Answer, Bounds, Decide, History, Micros, Outcome, Propagated, Span, Write, check, known::micros};

const BOUNDS: Bounds = Bounds { connected: Duration::from_millis(1), max_staleness: Duration::from_millis(5) };
const REPLICAS: usize = 3;
/// This one is never connected.
const FAR: usize = 2;
const KEYS: usize = 3;
/// The key that is revoked once, for certain.
const MARKED: usize = KEYS;
const SWITCHES: [&str; 2] = ["revoked", "suspended"];

/// What somebody does. The times are from the operation before, to the moment when it happens, and until the answer.
#[derive(Debug, Clone)]
struct Step {
    client: usize,
    replica: usize,
    key: usize,
    times: [Micros; 3],
    /// How far behind the replica may be, in thousandths of what is promised.
    lag: Micros,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Decide { named: bool },
    Write { switch: usize, allowed: bool, end: End },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Done(Propagated),
    Failed,
    Lost { made: bool },
}

fn any_step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(End::Done(Propagated::Absent)),
        1 => Just(End::Done(Propagated::All)),
        1 => Just(End::Done(Propagated::Pending)),
        1 => Just(End::Failed),
        1 => any::<bool>().prop_map(|made| End::Lost { made }),
    ];
    let write = (0..SWITCHES.len(), any::<bool>(), end).prop_map(|(switch, allowed, end)| What::Write { switch, allowed, end });
    let what = prop_oneof![3 => any::<bool>().prop_map(|named| What::Decide { named }), 1 => write];
    let times = (0..300_u64, 0..300_u64, 0..300_u64).prop_map(<[Micros; 3]>::from);
    (0..2_usize, 0..REPLICAS, 0..KEYS, times, 0..1_000_u64, what).prop_map(|(client, replica, key, times, lag, what)| Step {
        client,
        replica,
        key,
        times,
        lag,
        what,
    })
}

prop_compose! {
    /// One of the steps revokes the marked key.
    fn any_steps()(mut steps in prop::collection::vec(any_step(), 1..120), at in any::<prop::sample::Index>(), all in any::<bool>()) -> Vec<Step> {
        let end = End::Done(if all { Propagated::All } else { Propagated::Absent });
        let step = at.get(&steps).clone();
        let what = What::Write { switch: 0, allowed: false, end };
        steps.insert(at.index(steps.len()), Step { key: MARKED, what, ..step });
        steps
    }
}

/// A write that was made, at the revision that is its place in the order of commits.
struct Made {
    commit: Micros,
    step: Step,
    end: Micros,
}

/// Runs the steps: commits in one order, replicas that are behind by less than is promised and never go back.
fn run(steps: &[Step]) -> History {
    let mut now = 0;
    let timed = steps.iter().map(|step| {
        now += step.times[0];
        let happens = now + step.times[1];
        (step, happens, Span { start: now, end: happens + step.times[2] })
    });
    let timed: Vec<_> = timed.collect();
    let mut made: Vec<Made> = Vec::new();
    for (step, happens, span) in &timed {
        // A lost write may be made after everybody stopped waiting for it.
        let commit = match step.what {
            What::Write { end: End::Done(_), .. } => *happens,
            What::Write { end: End::Lost { made: true }, .. } => span.end + step.lag,
            _ => continue,
        };
        made.push(Made { commit, step: (*step).clone(), end: span.end });
    }
    made.sort_by_key(|made| made.commit);
    let mut history =
        History { apart: vec![(FAR, Span { start: 0, end: Micros::MAX })], length: now + 1_000, ..History::default() };
    let mut moments: Vec<_> = timed.iter().enumerate().collect();
    moments.sort_by_key(|(_, (_, happens, _))| *happens);
    let mut shown = [0; REPLICAS];
    for (_, (step, happens, span)) in moments {
        let Step { client, replica, key, .. } = **step;
        match &step.what {
            What::Decide { named } => {
                let revision = revision_at(&made, step, *happens).max(shown[replica]);
                shown[replica] = revision;
                let answer = if allowed_at(&made[..revision], key) { Answer::Allow } else { Answer::Deny("DENIED".to_owned()) };
                let revision = named.then_some(revision as u64);
                history.decides.push(Decide { client, replica, key, span: *span, answer, revision });
            }
            What::Write { switch, allowed, end } => {
                let place = made.iter().position(|made| made.commit == *happens && made.end == span.end && made.step.key == key);
                let outcome = match end {
                    End::Done(propagated) => Outcome::Done { revision: place.unwrap() as u64 + 1, propagated: *propagated },
                    End::Failed => Outcome::Failed(String::new()),
                    End::Lost { .. } => Outcome::Unknown(String::new()),
                };
                let (switch, allowed) = (SWITCHES[*switch], *allowed);
                history.writes.push(Write { client, replica, switch, keys: vec![key], allowed, span: *span, outcome });
            }
        }
    }
    history
}

/// The revision of a replica at a moment, as far as the promises hold it.
fn revision_at(made: &[Made], step: &Step, moment: Micros) -> usize {
    let bound = if step.replica == FAR { BOUNDS.max_staleness } else { BOUNDS.connected };
    let lag = micros(bound) * step.lag / 1_000;
    let followed = made.iter().take_while(|made| made.commit + lag < moment).count();
    let told = |made: &Made| {
        let What::Write { end: End::Done(propagated), .. } = made.step.what else { return false };
        made.end <= moment && (made.step.replica == step.replica || propagated == Propagated::All)
    };
    followed.max(made.iter().rposition(told).map_or(0, |place| place + 1))
}

fn allowed_at(made: &[Made], key: usize) -> bool {
    (0..SWITCHES.len()).all(|of| {
        let mut positions = made.iter().rev().filter(|made| made.step.key == key).filter_map(|made| match made.step.what {
            What::Write { switch, allowed, .. } if switch == of => Some(allowed),
            _ => None,
        });
        positions.next().unwrap_or(true)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_system_that_keeps_its_promises_is_never_blamed(steps in any_steps()) {
        let report = check(&run(&steps), BOUNDS);
        prop_assert!(report.violations.is_empty(), "{:#?}", report.violations);
    }

    #[test]
    fn a_stale_allow_is_always_found(steps in any_steps(), replica in 0..REPLICAS, late in 1..1_000_u64) {
        let mut history = run(&steps);
        let revoked = history.writes.iter().find(|write| write.keys == [MARKED]).unwrap();
        let all = matches!(revoked.outcome, Outcome::Done { propagated: Propagated::All, .. });
        let (rule, bound) = match replica {
            _ if replica == revoked.replica => ("(a)", 0),
            _ if all => ("(c)", 0),
            FAR => ("(b)", 5_000),
            _ => ("(b)", 1_000),
        };
        let start = revoked.span.end + bound + late;
        let span = Span { start, end: start + late };
        history.decides.push(Decide { client: 9, replica, key: MARKED, span, answer: Answer::Allow, revision: None });
        let violations = check(&history, BOUNDS).violations;
        prop_assert_eq!(violations.len(), 1);
        prop_assert!(violations[0].starts_with(rule), "{}", violations[0]);
    }

    #[test]
    fn a_turned_answer_is_always_found_when_it_names_its_revision(steps in any_steps(), at in any::<prop::sample::Index>()) {
        let mut history = run(&steps);
        let unsure = |key| history.writes.iter().any(|write| write.keys == [key] && matches!(write.outcome, Outcome::Unknown(_)));
        let sure: Vec<_> = (0..history.decides.len())
            .filter(|at| history.decides[*at].revision.is_some() && !unsure(history.decides[*at].key))
            .collect();
        prop_assume!(!sure.is_empty());
        let decide = &mut history.decides[*at.get(&sure)];
        decide.answer = if decide.answer == Answer::Allow { Answer::Deny("DENIED".to_owned()) } else { Answer::Allow };
        prop_assert!(!check(&history, BOUNDS).violations.is_empty());
    }
}
