//! From what a suite claims to single questions for one engine: names of the schema are looked up, matrices written out.

use std::collections::HashSet;

use super::{
    Asked, Case, Suite,
    cast::{Names, expand},
    cedar,
    claims::{Aim, Matrix, Scene, Single, Subject},
    fields::Reading,
    outcome::Expected,
    yaml::{Place, Word},
};
use crate::{
    domain::{
        clock::Timestamp,
        decision::{Request, Resource},
        id::AdminId,
        random::Random,
    },
    policy::{
        diagnostic::{LoadError, position},
        engine::Engine,
        guards::NOON,
        management::{Action, Target},
        schema::{ORG, SYSTEM},
    },
};

/// Every case of a suite, in the order of the text.
pub(super) fn cases(suite: &Suite, engine: &Engine) -> Result<Vec<Case>, LoadError> {
    let mut reading = Reading::new(&suite.file);
    suite.cast.check(&mut reading, engine);
    let mut bound = Vec::new();
    for matrix in &suite.matrices {
        bind_matrix(&mut reading, engine, matrix, &mut bound);
    }
    for single in &suite.singles {
        bound.extend(bind_single(&mut reading, engine, single));
    }
    cedar::bind(&mut reading, engine, &suite.cedar, &mut bound)?;
    let mut names = HashSet::new();
    for case in &bound {
        if !names.insert(case.name.as_str()) {
            let help = "give each its own name, so that a report tells which one failed";
            reading.complain(case.place, format!("two cases are named `{}`", case.name), help);
        }
    }
    reading.finish()?;
    Ok(bound)
}

fn bind_single(reading: &mut Reading<'_>, engine: &Engine, single: &Single) -> Option<Case> {
    let asked = match &single.subject {
        Subject::Key(_) => {
            let actions = expand_exactly(reading, engine, &single.action)?;
            ask(reading, engine, &single.subject, &actions, &single.scene)
        }
        Subject::Admin(_) => {
            let action = management_action(reading, engine, &single.scene.aim, &single.action)?;
            ask(reading, engine, &single.subject, action.as_str(), &single.scene)
        }
    };
    if let Some(word) = &single.missing {
        expand_exactly(reading, engine, word)?;
    }
    let place = single.name.place;
    let position = position(&reading.file.text, place.offset);
    Some(Case { name: single.name.text.clone(), position, place, asked: asked?, expected: single.expected.clone() })
}

/// One permission; a preset stands for several, and no request asks for several.
fn expand_exactly(reading: &mut Reading<'_>, engine: &Engine, word: &Word) -> Option<String> {
    let known = engine.permissions().iter().map(|info| info.name.as_str());
    if known.clone().any(|name| name == word.text) {
        return Some(word.text.clone());
    }
    reading.complain_unknown("permission of the schema", word, known);
    None
}

fn bind_matrix(reading: &mut Reading<'_>, engine: &Engine, matrix: &Matrix, bound: &mut Vec<Case>) {
    let for_admins = matches!(matrix.subjects.first(), Some((_, Subject::Admin(_))));
    let resolve = |reading: &mut Reading<'_>, names: &Names, all: &[String]| match names {
        Names::All => all.to_vec(),
        Names::Listed(words) if for_admins => {
            let actions = words.iter().filter_map(|word| management_action(reading, engine, &matrix.scene.aim, word));
            actions.map(|action| action.as_str().to_owned()).collect()
        }
        Names::Listed(words) => expand(reading, engine, words).iter().map(ToString::to_string).collect(),
    };
    let (place, names) = &matrix.actions;
    let fitting = if for_admins { all_management(engine, &matrix.scene.aim) } else { all_permissions(engine, &matrix.scene.aim) };
    let actions = resolve(reading, names, &fitting);
    if actions.is_empty() {
        reading.complain(*place, "no action is asked about", "name at least one that applies to this resource");
    }
    // Which pairs are allowed, and where that is written.
    let mut allowed: Vec<(&str, String, Place)> = Vec::new();
    for (subject, names) in &matrix.allow {
        for action in resolve(reading, names, &actions) {
            if !actions.contains(&action) {
                let message = format!("`{} × {action}` is outside of the matrix", subject.text);
                reading.complain(subject.place, message, "add the action to `actions`, or remove the expectation");
            }
            allowed.push((&subject.text, action, subject.place));
        }
    }
    for (word, subject) in &matrix.subjects {
        for action in &actions {
            let claim = allowed.iter().find(|(subject, name, _)| *subject == word.text && name == action);
            let place = claim.map_or(matrix.place, |(_, _, place)| *place);
            let expected = claim.map_or_else(|| matrix.denial.clone(), |_| Expected { allow: true, ..Expected::default() });
            if let Some(asked) = ask(reading, engine, subject, action, &matrix.scene) {
                let name = format!("{} › {} × {action}", matrix.name, word.text);
                bound.push(Case { name, position: position(&reading.file.text, place.offset), place, asked, expected });
            }
        }
    }
}

/// Every permission that applies to the resource's type.
fn all_permissions(engine: &Engine, aim: &Aim) -> Vec<String> {
    let kind = if let Aim::Resource(Resource { kind, .. }) = aim { kind.as_str() } else { ORG };
    let applies = |name: &str| engine.keys.get(name).is_some_and(|slice| slice.resources.iter().any(|(valid, _)| valid == kind));
    engine.permissions().iter().map(|info| info.name.as_str()).filter(|name| applies(name)).map(str::to_owned).collect()
}

/// Every management action that is about such a thing.
fn all_management(engine: &Engine, aim: &Aim) -> Vec<String> {
    let fits = Action::ALL.iter().filter(|action| misfit(engine, aim, **action).is_none());
    fits.map(|action| action.as_str().to_owned()).collect()
}

fn management_action(reading: &mut Reading<'_>, engine: &Engine, aim: &Aim, word: &Word) -> Option<Action> {
    let Some(action) = Action::ALL.into_iter().find(|action| action.as_str() == word.text) else {
        reading.complain_unknown("management action", word, Action::ALL.iter().map(|action| action.as_str()));
        return None;
    };
    let Some((message, help)) = misfit(engine, aim, action) else { return Some(action) };
    reading.complain(word.place, format!("`{}` {message}", word.text), help);
    None
}

/// Why an action cannot be asked about such a thing: a denial of nonsense would prove nothing.
fn misfit(engine: &Engine, aim: &Aim, action: Action) -> Option<(&'static str, &'static str)> {
    let Some(slice) = engine.admins.get(action.as_str()) else {
        return Some(("is not declared for admins", "declare it in schema/management.cedarschema"));
    };
    let applies = |kind: &str| slice.resources.iter().any(|(valid, _)| valid == kind);
    let wants_role = slice.context.contains_key("role");
    match aim {
        Aim::Role(_) if wants_role => None,
        _ if wants_role => Some(("is about an admin of some role", "add `role: owner`, `operator` or `auditor`")),
        Aim::Org(_) if applies(ORG) => None,
        Aim::Unsaid if applies(SYSTEM) => None,
        Aim::Unsaid => Some(("is about an organization", "add `org: NAME`")),
        Aim::Org(_) => Some(("is about the installation, not an organization", "remove `org`")),
        Aim::Role(_) | Aim::Resource(_) => Some(("has no role in its context", "remove `role`")),
    }
}

fn ask(reading: &mut Reading<'_>, engine: &Engine, subject: &Subject, action: &str, scene: &Scene) -> Option<Asked> {
    match subject {
        Subject::Key(key) => {
            let resource = match &scene.aim {
                Aim::Org(org) => Some(Resource { kind: ORG.to_owned(), id: org.id.to_string() }),
                Aim::Resource(resource) => Some(resource.clone()),
                Aim::Unsaid | Aim::Role(_) => None,
            };
            let request = Request { action: action.to_owned(), resource, context: scene.context.clone() };
            Some(Asked::Key { facts: key.facts(engine, scene.now, reading), request, now: scene.now })
        }
        Subject::Admin(role) => {
            let target = match &scene.aim {
                Aim::Org(org) => Target::Org { id: org.id, name: org.name.to_string(), suspended: org.suspended },
                Aim::Role(role) => Target::Admin(*role),
                Aim::Unsaid | Aim::Resource(_) => Target::System,
            };
            let admin = AdminId::new(Timestamp::from_millis(NOON), &Random::seeded(0));
            let action = Action::ALL.into_iter().find(|known| known.as_str() == action)?;
            Some(Asked::Admin { admin, role: *role, action, target })
        }
    }
}
