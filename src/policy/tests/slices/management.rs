//! The same of the management rules.

use super::*;
use crate::domain::{admin::Role, id::AdminId};

#[test]
fn a_slice_of_the_management_rules_answers_what_the_whole_set_answers() {
    let engine = engine();
    let schema = &engine.schema;
    let texts = [GRANTS, SUSPENSION, ADMINS].map(text).join("\n");
    let parsed: PolicySet = texts.parse().unwrap();
    let set =
        PolicySet::from_policies(parsed.policies().map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").unwrap()))))
            .unwrap();
    for action in ManagementAction::ALL {
        let (resource, attributes, targets) = if action.is_about_org() {
            let target = Target::Org { id: own_org(), name: "Acme".into(), suspended: true };
            (
                json!({"type": "Org", "id": own_org().to_string()}),
                json!({"name": "Acme", "suspended": true}),
                vec![(target, json!({}))],
            )
        } else {
            let admins = Role::ALL.map(|role| (Target::Admin(role), json!({"role": role.as_str()}))).to_vec();
            let targets = if action.is_about_admin() { admins } else { vec![(Target::System, json!({}))] };
            (json!({"type": "Claviger::System", "id": "system"}), json!({}), targets)
        };
        for (role, (target, context)) in Role::ALL.into_iter().flat_map(|role| targets.iter().map(move |target| (role, target))) {
            let admin = AdminId::new(now(), &Random::seeded(9));
            let uid = json!({"type": "Claviger::Admin", "id": admin.to_string()});
            let entities = json!([
                {"uid": uid, "attrs": {"role": role.as_str()}, "parents": []},
                {"uid": resource, "attrs": attributes, "parents": []},
            ]);
            let entities = Entities::from_json_value(entities, Some(schema)).unwrap();
            let ask = EntityUid::from_json(json!({"type": "Claviger::Action", "id": action.as_str()})).unwrap();
            let context = Context::from_json_value(context.clone(), Some((schema, &ask))).unwrap();
            let [admin_uid, resource] = [uid, resource.clone()].map(|uid| EntityUid::from_json(uid).unwrap());
            let request = CedarRequest::new(admin_uid, ask, resource, context, Some(schema)).unwrap();
            let response = Authorizer::new().is_authorized(&request, &set, &entities);
            let decision = engine.decide_management(admin, role, action, target);
            assert_eq!(decision.is_allow(), response.decision() == Effect::Allow, "{role} {action:?} {target:?}");
            let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
            reasons.sort();
            assert_eq!(decision.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), reasons);
        }
    }
}
