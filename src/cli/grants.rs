//! Permissions that keys were granted while the schema had them.

use std::collections::BTreeMap;

use crate::{domain::permission::Permission, policy::Engine, store::GrantedAlike};

/// What the schema no longer has: by name, how many keys hold it, and the id of one of them.
pub(super) fn gone<'a>(granted: &'a [GrantedAlike], engine: &Engine) -> BTreeMap<&'a str, (i64, &'a str)> {
    let mut gone = BTreeMap::new();
    for alike in granted {
        for permission in alike.permissions.iter().flatten().map(Permission::as_str) {
            if engine.permissions().iter().all(|info| info.name.as_str() != permission) {
                gone.entry(permission).or_insert((0, alike.example.as_str())).0 += alike.keys;
            }
        }
    }
    gone
}
