//! What a solver makes up, as people and test files can use it: checked against the schema, without what no policy reaches,
//! and with names for ids like `""`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityId, EntityUid, PolicySet, Request, Schema};
use cedar_policy_symcc::Env;
use serde_json::{Map, Value, json};

use super::{Counterexample, Decided, encode::is_action};

/// A request and its entities that fit the schema.
pub(super) struct Witness {
    request: Request,
    entities: Entities,
    /// The entities without actions, which the schema brings.
    listed: Value,
    context: Value,
}

impl Witness {
    /// What the authorizer decides on it.
    pub(super) fn decide(&self, policies: &PolicySet) -> Decided {
        let response = Authorizer::new().is_authorized(&self.request, policies, &self.entities);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        let mut errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
        errors.sort();
        Decided { allowed: response.decision() == Decision::Allow, policies: reasons, errors }
    }

    /// Everything that a report says about it.
    pub(super) fn counterexample(&self, decided: Decided, before: Option<Decided>, expected: Option<bool>) -> Counterexample {
        let shown = |uid: Option<&EntityUid>| uid.map(ToString::to_string).unwrap_or_default();
        let (principal, action) = (shown(self.request.principal()), shown(self.request.action()));
        let resource = shown(self.request.resource());
        let mut entities: Vec<_> = self.entities.iter().filter(|entity| !is_action(&entity.uid())).collect();
        entities.sort_by_key(|entity| entity.uid());
        let line = |entity: &&cedar_policy::Entity| {
            let mut parents: Vec<String> =
                self.entities.ancestors(&entity.uid()).into_iter().flatten().map(ToString::to_string).collect();
            parents.sort();
            let parents = if parents.is_empty() { String::new() } else { format!(" in [{}]", parents.join(", ")) };
            let value = |(name, value): (&str, Result<cedar_policy::EvalResult, _>)| {
                format!("{name}: {}", value.map_or_else(|_| "?".to_owned(), |value| value.to_string()))
            };
            let mut attributes: Vec<String> = entity.attrs().map(value).collect();
            attributes.sort();
            let attributes = if attributes.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", attributes.join(", ")) };
            format!("{}{parents} {attributes}", entity.uid())
        };
        Counterexample {
            context: self.request.context().map(ToString::to_string).unwrap_or_default(),
            shown: entities.iter().map(line).collect(),
            request: json!({"principal": principal, "action": action, "resource": resource, "context": self.context}),
            entities: self.listed.clone(),
            action,
            principal,
            resource,
            decided,
            before,
            expected,
        }
    }
}

/// The most readable form of what the solver made up for which `holds` is still true; ids in `named` stay as they are.
pub(super) fn tidy(env: &Env, schema: &Schema, named: &HashSet<EntityUid>, holds: impl Fn(&Witness) -> bool) -> Option<Witness> {
    let draft = Draft::read(env, named)?;
    [draft.renamed(named), draft].iter().filter_map(|draft| draft.check(schema)).find(holds)
}

/// A type and an id.
type Uid = (String, String);

struct Draft {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    context: Value,
    entities: Vec<Value>,
}

impl Draft {
    /// The entities that the request or a policy's text reaches; actions are left out.
    fn read(env: &Env, named: &HashSet<EntityUid>) -> Option<Self> {
        let (principal, action, resource) = (env.request.principal()?, env.request.action()?, env.request.resource()?);
        let context = env.request.context()?.to_json_value().ok()?;
        let Ok(Value::Array(all)) = env.entities.to_json_value() else { return None };
        let all: BTreeMap<Uid, Value> =
            all.into_iter().filter_map(|entity| Some((uid_of(entity.get("uid")?)?, entity))).collect();
        let mut reached: BTreeSet<Uid> = [principal, resource].into_iter().chain(named).map(pair).collect();
        mentions(&context, &mut reached);
        let mut pending: Vec<Uid> = reached.iter().cloned().collect();
        while let Some(uid) = pending.pop() {
            let mut next = BTreeSet::new();
            all.get(&uid).inspect(|entity| mentions(entity, &mut next));
            pending.extend(next.difference(&reached).cloned());
            reached.append(&mut next);
        }
        let kept = all.into_iter().filter(|(uid, _)| reached.contains(uid) && uid.0.rsplit("::").next() != Some("Action"));
        let entities = kept.map(|(_, entity)| entity).collect();
        Some(Self { principal: principal.clone(), action: action.clone(), resource: resource.clone(), context, entities })
    }

    /// The same with ids such as `apikey-1`.
    fn renamed(&self, named: &HashSet<EntityUid>) -> Self {
        let fixed: HashSet<Uid> = named.iter().map(pair).collect();
        let listed = self.entities.iter().filter_map(|entity| uid_of(entity.get("uid")?));
        let (mut fresh, mut counts) = (BTreeMap::new(), BTreeMap::<String, usize>::new());
        for uid in [pair(&self.principal), pair(&self.resource)].into_iter().chain(listed) {
            if fixed.contains(&uid) || fresh.contains_key(&uid) {
                continue;
            }
            let kind = uid.0.rsplit("::").next().unwrap_or_default().to_lowercase();
            let mut next = || {
                let count = counts.entry(kind.clone()).or_default();
                *count += 1;
                format!("{kind}-{count}")
            };
            let mut name = next();
            while fixed.contains(&(uid.0.clone(), name.clone())) {
                name = next();
            }
            fresh.insert(uid, name);
        }
        let renamed = |uid: &EntityUid| match fresh.get(&pair(uid)) {
            Some(name) => EntityUid::from_type_name_and_id(uid.type_name().clone(), EntityId::new(name)),
            None => uid.clone(),
        };
        let (mut context, mut entities) = (self.context.clone(), self.entities.clone());
        rename(&mut context, &fresh);
        for entity in &mut entities {
            rename(entity, &fresh);
        }
        let (principal, resource) = (renamed(&self.principal), renamed(&self.resource));
        Self { principal, action: self.action.clone(), resource, context, entities }
    }

    /// Only what fits the schema is a request that the server could be asked.
    fn check(&self, schema: &Schema) -> Option<Witness> {
        let listed = Value::Array(self.entities.clone());
        let entities = Entities::from_json_value(listed.clone(), Some(schema)).ok()?;
        let context = Context::from_json_value(self.context.clone(), Some((schema, &self.action))).ok()?;
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        let request = Request::new(principal, action, resource, context, Some(schema)).ok()?;
        Some(Witness { request, entities, listed, context: self.context.clone() })
    }
}

fn pair(uid: &EntityUid) -> Uid {
    (uid.type_name().to_string(), uid.id().unescaped().to_owned())
}

/// `{"type": …, "id": …}`, which is how Cedar writes an entity wherever it stands.
fn uid_of(value: &Value) -> Option<Uid> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    value.as_object().filter(|fields| fields.len() == 2)?;
    Some((text("type")?, text("id")?))
}

fn mentions(value: &Value, found: &mut BTreeSet<Uid>) {
    found.extend(uid_of(value));
    match value {
        Value::Object(fields) => fields.values().for_each(|value| mentions(value, found)),
        Value::Array(values) => values.iter().for_each(|value| mentions(value, found)),
        _ => {}
    }
}

fn rename(value: &mut Value, names: &BTreeMap<Uid, String>) {
    if let Some(name) = uid_of(value).and_then(|uid| names.get(&uid))
        && let Some(fields) = value.as_object_mut()
    {
        set_id(fields, name);
        return;
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, names)),
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

fn set_id(fields: &mut Map<String, Value>, name: &str) {
    fields.insert("id".to_owned(), name.into());
}
