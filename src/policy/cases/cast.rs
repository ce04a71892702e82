//! Who and what the cases of a suite are about: named organizations, keys, admins and contexts.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    fields::{Fields, Reading},
    yaml::{Kind, Node, Word},
};
use crate::{
    domain::{
        admin::Role,
        clock::Timestamp,
        facts::Facts,
        id::{Id, KeyId, OrgId},
        key::Environment,
        permission::Permission,
        random::Random,
    },
    policy::{engine::Engine, guards::NOON},
};

/// A day in milliseconds: how long before `now` a key was created, when nobody says.
const DAY: i64 = 86_400_000;

/// The fields of what a suite defines.
pub(super) const OF_ORG: [&str; 3] = ["id", "name", "suspended"];
pub(super) const OF_KEY: [&str; 6] = ["id", "org", "permissions", "environment", "created_at", "expires_at"];
pub(super) const OF_ADMIN: [&str; 1] = ["role"];

#[derive(Debug, Clone)]
pub(super) struct Org {
    pub id: OrgId,
    pub name: Arc<str>,
    pub suspended: bool,
}

/// A key as the suite describes it. Its permissions are words until an engine tells what they stand for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: KeyId,
    org: Org,
    permissions: Names,
    environment: Environment,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// `all`, or a list of names.
#[derive(Debug, Clone)]
pub(super) enum Names {
    All,
    Listed(Vec<Word>),
}

impl Names {
    pub(super) fn read(reading: &mut Reading<'_>, node: &Node) -> Self {
        match &node.kind {
            Kind::Scalar { text, .. } if text == "all" => Self::All,
            _ => Self::Listed(reading.words(node)),
        }
    }
}

/// Everything that a suite gives a name to.
#[derive(Debug, Clone, Default)]
pub(super) struct Cast {
    orgs: BTreeMap<String, Org>,
    keys: BTreeMap<String, Key>,
    admins: BTreeMap<String, Role>,
    contexts: BTreeMap<String, Map<String, Value>>,
    /// Keys and admins that are there and could not be read, which was said.
    unread: BTreeSet<String>,
}

impl Cast {
    pub(super) fn read(reading: &mut Reading<'_>, suite: &Fields<'_>) -> Self {
        let mut cast = Self::default();
        let entries = |reading: &mut Reading<'_>, name| suite.find(name).map_or(&[][..], |node| reading.named(node));
        for (index, (name, node)) in entries(reading, "orgs").iter().enumerate() {
            let org = read_org(reading, index, name, node);
            cast.orgs.insert(name.text.clone(), org);
        }
        for (index, (name, node)) in entries(reading, "keys").iter().enumerate() {
            match cast.read_key(reading, index, node) {
                Some(key) => drop(cast.keys.insert(name.text.clone(), key)),
                None => drop(cast.unread.insert(name.text.clone())),
            }
        }
        for (name, node) in entries(reading, "admins") {
            let fields = reading.fields("an admin", node, &OF_ADMIN);
            let role = fields.require(reading, "role").and_then(|node| reading.parsed(node));
            match role {
                Some(role) => drop(cast.admins.insert(name.text.clone(), role)),
                None => drop(cast.unread.insert(name.text.clone())),
            }
        }
        for (name, node) in entries(reading, "contexts") {
            let context = reading.json_map(node);
            cast.contexts.insert(name.text.clone(), context);
        }
        cast
    }

    fn read_key(&self, reading: &mut Reading<'_>, index: usize, node: &Node) -> Option<Key> {
        let fields = reading.fields("a key", node, &OF_KEY);
        let org = fields.require(reading, "org").and_then(|node| self.org(reading, node));
        let permissions = fields.require(reading, "permissions").map(|node| Names::read(reading, node));
        let environment = fields.find("environment").and_then(|node| reading.parsed(node));
        Some(Key {
            id: read_id(reading, &fields, index),
            created_at: fields.find("created_at").and_then(|node| reading.parsed(node)),
            expires_at: fields.find("expires_at").and_then(|node| reading.parsed(node)),
            environment: environment.unwrap_or(Environment::Live),
            org: org?,
            permissions: permissions?,
        })
    }

    /// The organization that a node names.
    pub(super) fn org(&self, reading: &mut Reading<'_>, node: &Node) -> Option<Org> {
        find(reading, "org of this suite", node, &self.orgs)
    }

    /// The key that a word names.
    pub(super) fn key(&self, reading: &mut Reading<'_>, word: &Word) -> Option<Key> {
        if self.unread.contains(&word.text) { None } else { find_word(reading, "key of this suite", word, &self.keys) }
    }

    /// The role of the admin that a word names.
    pub(super) fn admin(&self, reading: &mut Reading<'_>, word: &Word) -> Option<Role> {
        if self.unread.contains(&word.text) { None } else { find_word(reading, "admin of this suite", word, &self.admins) }
    }

    /// A context by name, or written out on the spot.
    pub(super) fn context(&self, reading: &mut Reading<'_>, node: &Node) -> Option<Map<String, Value>> {
        match node.kind {
            Kind::Scalar { .. } => find(reading, "context of this suite", node, &self.contexts),
            _ => Some(reading.json_map(node)),
        }
    }

    /// Complains about every permission that the schema does not have, of keys that no case uses, too.
    pub(super) fn check(&self, reading: &mut Reading<'_>, engine: &Engine) {
        for key in self.keys.values() {
            key.granted(reading, engine);
        }
    }
}

impl Key {
    fn granted(&self, reading: &mut Reading<'_>, engine: &Engine) -> Arc<[Permission]> {
        match &self.permissions {
            Names::All => engine.permissions().iter().map(|info| info.name.clone()).collect(),
            Names::Listed(words) => expand(reading, engine, words).into(),
        }
    }

    /// What the server would know about the key at `now`.
    pub(super) fn facts(&self, engine: &Engine, now: Timestamp, reading: &mut Reading<'_>) -> Facts {
        Facts {
            key: self.id,
            org: self.org.id,
            org_name: self.org.name.clone(),
            org_suspended: self.org.suspended,
            environment: self.environment,
            permissions: self.granted(reading, engine),
            created_at: self.created_at.unwrap_or_else(|| Timestamp::from_millis(now.as_millis() - DAY)),
            expires_at: self.expires_at,
        }
    }
}

/// The permissions that words stand for, presets expanded, each once and sorted.
pub(super) fn expand(reading: &mut Reading<'_>, engine: &Engine, words: &[Word]) -> Vec<Permission> {
    let mut permissions = Vec::new();
    for word in words {
        if let Ok(names) = engine.expand([word.text.as_str()]) {
            permissions.extend(names);
        } else {
            let presets = engine.presets().iter().map(|preset| preset.name.as_str());
            let known = engine.permissions().iter().map(|info| info.name.as_str()).chain(presets);
            reading.complain_unknown("permission or preset of the schema", word, known);
        }
    }
    permissions.sort();
    permissions.dedup();
    permissions
}

fn read_org(reading: &mut Reading<'_>, index: usize, name: &Word, node: &Node) -> Org {
    let fields = reading.fields("an org", node, &OF_ORG);
    let shown = fields.find("name").and_then(|node| reading.word(node));
    Org {
        id: read_id(reading, &fields, index),
        name: shown.map_or_else(|| name.text.clone(), |word| word.text).into(),
        suspended: fields.find("suspended").and_then(|node| reading.truth(node)).unwrap_or(false),
    }
}

/// The id that is written, for rules about one org or key; else one that stays the same from run to run.
fn read_id<K: crate::domain::id::Kind>(reading: &mut Reading<'_>, fields: &Fields<'_>, index: usize) -> Id<K>
where
    Id<K>: FromStr<Err: std::fmt::Display>,
{
    let written = fields.find("id").and_then(|node| reading.parsed(node));
    written.unwrap_or_else(|| Id::new(Timestamp::from_millis(NOON), &Random::seeded(index as u64)))
}

fn find<T: Clone>(reading: &mut Reading<'_>, what: &str, node: &Node, all: &BTreeMap<String, T>) -> Option<T> {
    let word = reading.word(node)?;
    find_word(reading, what, &word, all)
}

fn find_word<T: Clone>(reading: &mut Reading<'_>, what: &str, word: &Word, all: &BTreeMap<String, T>) -> Option<T> {
    let found = all.get(&word.text).cloned();
    if found.is_none() {
        reading.complain_unknown(what, word, all.keys().map(String::as_str));
    }
    found
}
