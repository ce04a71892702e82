//! The permission that a denied key lacks is the one that would do in the whole set.

use super::*;

/// Of the permissions that could make the difference, the only one that does, by the whole set.
fn lacking(engine: &Engine, set: &PolicySet, facts: &Facts, request: &Request) -> Option<String> {
    let candidates = engine.keys[request.action.as_str()].candidates.iter().map(|candidate| candidate.permission.clone());
    let granted = |name: &Permission| {
        let permissions = facts.permissions.iter().chain([name]).cloned().collect();
        whole(set, &Facts { permissions, ..facts.clone() }, request)
    };
    let would_do: Vec<Permission> = candidates
        .filter(|name| !facts.permissions.contains(name))
        .filter(|name| matches!(granted(name), (true, _, 0)))
        .collect();
    if let [only] = &*would_do { Some(only.to_string()) } else { None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn the_missing_permission_is_the_one_that_would_do_in_the_whole_set(
        policies in vec(policy(), 1..8),
        keys in vec(any_facts(), 3),
        wanted in select(&[None, Some("jobs:read"), Some("webhooks:write"), Some("deep-read")][..]),
    ) {
        let (engine, set) = (slicing(&policies), numbered(&policies));
        for request in requests(Some(3), true, wanted) {
            for facts in &keys {
                let principal = engine.principal(facts.clone());
                let decision = engine.decide(&principal, &engine.read(&request, &principal, now()).unwrap());
                if let Verdict::NotPermitted { missing } = &decision.verdict {
                    let missing = missing.as_ref().map(ToString::to_string);
                    prop_assert_eq!(missing, lacking(&engine, &set, facts, &request), "{:?} {:?}", facts, request);
                }
            }
        }
    }
}

#[test]
fn the_missing_permission_is_found_however_a_policy_asks_for_it() {
    for asked in [
        "principal.permissions.contains(action)",
        "principal.permissions.contains(Action::\"jobs:read\")",
        "principal.permissions.containsAll([Action::\"jobs:read\"])",
        "principal.permissions.containsAny([action, Action::\"read-only\"])",
        "!principal.permissions.isEmpty()",
        "action in principal.permissions",
        "context has wanted && principal.permissions.contains(context.wanted)",
        "[action].containsAll(principal.permissions) && !principal.permissions.isEmpty()",
        "!(principal.permissions == [Action::\"results:read\"])",
        "principal.permissions.containsAny(if principal.org.suspended then [action] else principal.permissions)",
        "(if principal.org.suspended then [action] else principal.permissions).contains(action)",
    ] {
        let policies = [format!("permit (principal is ApiKey, action, resource) when {{ {asked} }};")];
        assert!(is_valid(&policies[0]), "{asked}");
        let (engine, set) = (slicing(&policies), numbered(&policies));
        let mut found = 0;
        for request in requests(Some(3), true, Some("scan:create")) {
            for held in [&[][..], &["results:read"]] {
                let facts = facts(held, false);
                let principal = engine.principal(facts.clone());
                let decision = engine.decide(&principal, &engine.read(&request, &principal, now()).unwrap());
                let Verdict::NotPermitted { missing } = &decision.verdict else { continue };
                found += usize::from(missing.is_some());
                let missing = missing.as_ref().map(ToString::to_string);
                assert_eq!(missing, lacking(&engine, &set, &facts, &request), "{asked} {held:?} {request:?}");
            }
        }
        assert!(found > 0, "{asked} is never what is missing");
    }
}
