//! Questions as Cedar is asked them, to be looked at piece by piece.

use cedar_policy::{Entities, Entity, Request};

use super::{cases::Asked, decide, diagnostic::Diagnostic, engine::Engine, management, slice::Slice};

/// What the server would ask Cedar, and everything that Cedar may look at.
#[derive(Debug)]
pub(super) struct Situation<'e> {
    pub slice: &'e Slice,
    pub request: Request,
    /// Those that a decision has, and the action with its groups: a scope that a slice leaves out can be asked, too.
    pub entities: Entities,
}

/// Makes the situations of one engine.
pub(super) struct Situations<'e> {
    engine: &'e Engine,
    actions: Entities,
    /// Every action, when a condition somewhere asks for the groups of one that is not the request's own.
    every: Vec<Entity>,
}

impl<'e> Situations<'e> {
    pub(super) fn new(engine: &'e Engine) -> Result<Self, Diagnostic> {
        let actions = engine.schema.action_entities().map_err(|error| Diagnostic::general(error.to_string()))?;
        let asked = engine.keys.values().chain(engine.admins.values()).any(|slice| !slice.hierarchy.is_empty());
        let every = if asked { actions.iter().cloned().collect() } else { Vec::new() };
        Ok(Self { engine, actions, every })
    }

    /// The situation of a question.
    ///
    /// # Errors
    /// Why Cedar is never asked: the request does not fit the schema, or the target not the action.
    pub(super) fn of(&self, asked: &Asked) -> Result<Situation<'e>, String> {
        let engine = self.engine;
        match asked {
            Asked::Key { facts, request, now } => {
                let principal = engine.principal(facts.clone());
                let question = engine.read(request, &principal, *now).map_err(|error| error.to_string())?;
                let object = decide::object_entity(engine, &question)?;
                let others = object.into_iter().chain(self.actions(question.slice));
                let entities = principal.entities_with(engine, None, others)?;
                Ok(Situation { slice: question.slice, request: decide::request(&principal, &question), entities })
            }
            Asked::Cedar(asked) => {
                let mut slices = engine.keys.values().chain(engine.admins.values());
                let slice = slices.find(|slice| Some(&slice.action) == asked.request.action());
                let slice = slice.ok_or("the server never asks about such an action")?;
                Ok(Situation { slice, request: asked.request.clone(), entities: (*asked.entities).clone() })
            }
            Asked::Admin { admin, role, action, target } => {
                if !action.fits(target) {
                    return Err(format!("`{}` is not about such a target", action.as_str()));
                }
                let slice = management::find_slice(engine, action.as_str())?;
                let actions = self.actions(slice);
                let (request, entities) = management::situation(engine, &admin.to_string(), *role, slice, target, &actions)?;
                Ok(Situation { slice, request, entities })
            }
        }
    }

    fn actions(&self, slice: &Slice) -> Vec<Entity> {
        if self.every.is_empty() { self.actions.get(&slice.action).cloned().into_iter().collect() } else { self.every.clone() }
    }
}
