//! What the schema says: which permissions and presets exist, and what an action may be asked about.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema, SchemaFragment};
use cedar_policy_core::ast::{EntityUID, EntityUIDEntry};
use serde_json::Value;

use super::{
    declaration,
    diagnostic::{Diagnostic, LoadError},
    engine::{PermissionInfo, Preset},
    files::{PolicyFiles, SourceFile, SourceKind},
    sample::Types,
    size,
};
use crate::domain::permission::Permission;

pub(super) const KEY: &str = "ApiKey";
pub(super) const ORG: &str = "Org";
pub(super) const ADMIN: &str = "Claviger::Admin";
pub(super) const SYSTEM: &str = "Claviger::System";
/// Where the management API's actions are declared.
const MANAGEMENT: &str = "Claviger";

/// The schema, and what the engine reads out of it.
pub(super) struct Vocabulary {
    pub schema: Schema,
    pub types: Types,
    pub permissions: Vec<PermissionInfo>,
    pub presets: Vec<Preset>,
    pub actions: Vec<ActionShape>,
}

/// An action that is no group: who may do it, to what, in which context.
pub(super) struct ActionShape {
    /// The id alone, for example `jobs:read`.
    pub name: String,
    pub uid: EntityUid,
    /// The groups it is in, directly or not.
    pub groups: Vec<EntityUid>,
    pub for_keys: bool,
    pub for_admins: bool,
    /// Resource types by their full names.
    pub resources: Vec<(String, EntityTypeName)>,
    /// Attributes of the context, by name.
    pub context: BTreeMap<String, Attribute>,
}

/// A declared attribute: its type in Cedar's JSON schema form, and the namespace to resolve names in.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub kind: Value,
    pub namespace: String,
    pub required: bool,
}

impl Vocabulary {
    pub(super) fn read(files: &PolicyFiles) -> Result<Self, LoadError> {
        let fragments = parse(files)?;
        let mut namespaces: Vec<(String, Value)> = Vec::new();
        for (file, fragment) in &fragments {
            let json = fragment.clone().to_json_value().map_err(|error| Diagnostic::cedar(file, &error))?;
            if let Value::Object(map) = json {
                namespaces.extend(map);
            }
        }
        let types = Types::new(&namespaces);
        size::check(files, &types, &namespaces)?;
        let schema = Schema::from_schema_fragments(fragments.iter().map(|(_, fragment)| fragment.clone()))
            .map_err(|error| LoadError::from(link_error(files, &error)))?;
        let mut vocabulary = Self { schema, types, permissions: Vec::new(), presets: Vec::new(), actions: Vec::new() };
        let mut problems = Vec::new();
        for (namespace, definition) in &namespaces {
            vocabulary.read_actions(files, namespace, definition, &mut problems)?;
        }
        LoadError::check(problems)?;
        vocabulary.read_presets(&namespaces)?;
        if vocabulary.permissions.is_empty() {
            let problem = Diagnostic::general("the schema declares no permission");
            return Err(problem.help("add an action with `appliesTo { principal: [ApiKey], resource: [Org] }`").into());
        }
        Ok(vocabulary)
    }

    fn read_actions(
        &mut self,
        files: &PolicyFiles,
        namespace: &str,
        definition: &Value,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let groups: Vec<EntityUid> = self.schema.action_groups().cloned().collect();
        let hierarchy = self.schema.action_entities().map_err(|error| Diagnostic::general(error.to_string()))?;
        for (name, action) in entries(definition, "actions") {
            let uid = action_uid(namespace, name)?;
            let applies = |of: &str| -> Vec<String> {
                let names = action.get("appliesTo").and_then(|applies| applies.get(of)).and_then(Value::as_array);
                names.into_iter().flatten().filter_map(Value::as_str).map(|kind| self.types.entity(namespace, kind)).collect()
            };
            let (principals, resources) = (applies("principalTypes"), applies("resourceTypes"));
            if groups.contains(&uid) || principals.is_empty() {
                continue;
            }
            let for_keys = principals.iter().any(|kind| kind == KEY);
            let context = action.get("appliesTo").and_then(|applies| applies.get("context"));
            self.actions.push(ActionShape {
                name: name.clone(),
                groups: hierarchy.ancestors(&uid).map(|all| all.cloned().collect()).unwrap_or_default(),
                uid,
                for_keys,
                // Elsewhere an action of the same name is not the server's, and must not take its place.
                for_admins: namespace == MANAGEMENT && principals.iter().any(|kind| kind == ADMIN),
                resources: resources.into_iter().filter_map(|kind| Some((kind.clone(), kind.parse().ok()?))).collect(),
                context: context.map(|context| self.types.attributes(namespace, context)).unwrap_or_default(),
            });
            if for_keys {
                match permission(files, namespace, name) {
                    Ok(name) => self.permissions.push(PermissionInfo { name, doc: doc(action), presets: Vec::new() }),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        self.permissions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Presets are the groups of the permissions' own namespace that hold at least one permission.
    fn read_presets(&mut self, namespaces: &[(String, Value)]) -> Result<(), Diagnostic> {
        for (namespace, definition) in namespaces {
            for (name, action) in entries(definition, "actions") {
                let uid = action_uid(namespace, name)?;
                let members = self.actions.iter().filter(|action| action.for_keys && action.groups.contains(&uid));
                let permissions: Vec<Permission> = members.filter_map(|action| action.name.parse().ok()).collect();
                if let (false, Ok(preset)) = (permissions.is_empty() || !namespace.is_empty(), name.parse::<Permission>()) {
                    for info in self.permissions.iter_mut().filter(|info| permissions.contains(&info.name)) {
                        info.presets.push(preset.clone());
                    }
                    self.presets.push(Preset { name: preset, doc: doc(action), permissions });
                }
            }
        }
        Ok(())
    }
}

fn permission(files: &PolicyFiles, namespace: &str, name: &str) -> Result<Permission, Diagnostic> {
    if !namespace.is_empty() {
        let message = format!("the permission `{name}` is declared in the namespace `{namespace}`");
        let problem = declaration::diagnostic(files, name, None, message);
        return Err(problem.help("declare actions that apply to `ApiKey` outside of any namespace"));
    }
    let named = |error| format!("the action `{name}` cannot be a permission: {error}");
    Permission::from_str(name).map_err(|error| declaration::diagnostic(files, name, None, named(error)))
}

/// The members of an object that is itself a member: name and value.
pub(super) fn entries<'a>(definition: &'a Value, of: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    definition.get(of).and_then(Value::as_object).into_iter().flatten()
}

fn doc(action: &Value) -> Option<String> {
    action.get("annotations")?.get("doc")?.as_str().map(str::to_owned)
}

/// `Action::"name"`, in a namespace or in none.
fn action_uid(namespace: &str, name: &str) -> Result<EntityUid, Diagnostic> {
    let kind = if namespace.is_empty() { "Action".to_owned() } else { format!("{namespace}::Action") };
    Ok(uid(&type_name(&kind)?, name))
}

/// A type by its full name.
pub(super) fn type_name(name: &str) -> Result<EntityTypeName, Diagnostic> {
    EntityTypeName::from_str(name).map_err(|error| Diagnostic::general(error.to_string()))
}

/// A uid from a type and any id at all: user text is a value here, never policy text.
pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// A name as requests hold it, which copy it by counting.
pub(super) fn shared(uid: EntityUid) -> Arc<EntityUID> {
    Arc::new(uid.into())
}

/// A name in its place in a request.
pub(super) fn entry(uid: &Arc<EntityUID>) -> EntityUIDEntry {
    EntityUIDEntry::Known { euid: Arc::clone(uid), loc: None }
}

fn parse(files: &PolicyFiles) -> Result<Vec<(&SourceFile, SchemaFragment)>, LoadError> {
    let mut fragments = Vec::new();
    let mut problems = Vec::new();
    for file in files.of(SourceKind::Schema) {
        match SchemaFragment::from_cedarschema_str(&file.text) {
            Ok((fragment, warnings)) => {
                problems.extend(warnings.map(|warning| Diagnostic::cedar(file, &warning)));
                fragments.push((file, fragment));
            }
            Err(error) => problems.push(Diagnostic::cedar(file, &error)),
        }
    }
    LoadError::check(problems)?;
    if fragments.is_empty() {
        let problem = Diagnostic::general("there is no schema");
        return Err(problem.help("put at least one `*.cedarschema` file into the schema directory").into());
    }
    Ok(fragments)
}

/// Cedar places such an error by offset, if at all, and does not say in which fragment: it is the one that has the named
/// thing there. Without a place, the last file that declares or names it: what was added later is what broke.
fn link_error(files: &PolicyFiles, error: &(impl miette::Diagnostic + ?Sized)) -> Diagnostic {
    let message = error.to_string();
    let quoted = message.trim_end_matches('`').rsplit('`').next().filter(|_| message.ends_with('`'));
    let named = quoted.or_else(|| message.rsplit(": ").next()).unwrap_or_default();
    // An action's id stands in quotes, a type's name behind its namespace.
    let id = named.strip_suffix('"').and_then(|named| named.rsplit_once('"')).map(|(_, id)| id);
    let named = id.or_else(|| named.rsplit("::").next()).unwrap_or_default();
    let label = error.labels().and_then(|mut labels| labels.next());
    let place = label.map(|label| (label.offset(), label.offset().saturating_add(label.len())));
    let has = |file: &&SourceFile| {
        place.and_then(|(start, end)| file.text.get(start..end)).is_some_and(|text| !text.is_empty() && text.contains(named))
    };
    if let Some(file) = files.of(SourceKind::Schema).find(has) {
        return Diagnostic::cedar(file, error);
    }
    let mut diagnostic = declaration::mention(files, named, message.clone());
    diagnostic.help = error.help().map(|help| help.to_string());
    diagnostic
}
