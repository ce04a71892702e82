//! Engines share nothing: one answers while another loads.

use super::*;

#[test]
fn engines_answer_alike_on_all_threads_while_others_load() {
    let open = load(&shipped()).unwrap();
    let closed =
        load(&with(&[(EXTRA, "@id(\"no-reads\") forbid (principal is ApiKey, action in Action::\"read-only\", resource);")]))
            .unwrap();
    let ask = |engine: &Engine| decide(engine, facts(&["jobs:read"], false), "jobs:read", None);
    let (expected_open, expected_closed) = (ask(&open), ask(&closed));
    assert!(expected_open.is_allow() && !expected_closed.is_allow());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let principal = open.principal(facts(&["jobs:read"], false));
                let request = Request { action: "jobs:read".into(), resource: None, context: Map::new() };
                for _ in 0..100 {
                    let question = open.read(&request, &principal, now()).unwrap();
                    assert_eq!(*open.decide(&principal, &question), expected_open);
                    assert_eq!(ask(&closed), expected_closed);
                }
            });
        }
        for bad in [false, true, false, true] {
            scope.spawn(move || assert_eq!(load(&if bad { without(SUSPENSION) } else { shipped() }).is_err(), bad));
        }
    });
}

#[test]
fn an_engine_may_be_dropped_on_a_small_thread_while_its_twin_answers() {
    let (first, second) = (load(&shipped()).unwrap(), load(&shipped()).unwrap());
    assert_eq!(first.digest(), second.digest());
    std::thread::Builder::new().stack_size(256 * 1024).spawn(move || drop(first)).unwrap().join().unwrap();
    assert!(decide(&second, facts(&["jobs:read"], false), "jobs:read", None).is_allow());
}
