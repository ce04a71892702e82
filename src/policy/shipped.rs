//! The policies, schema, tests and matrix that come with the binary.

use super::files::{PolicyFiles, SourceFile, SourceKind};

/// Every shipped file of the policy repository: path and text.
pub const SHIPPED: [(&str, &str); 10] = [
    ("policies/invariants/keys.cedar", include_str!("../../policies/invariants/keys.cedar")),
    ("policies/management.cedar", include_str!("../../policies/management.cedar")),
    ("policies/matrix.md", include_str!("../../policies/matrix.md")),
    ("policies/permissions.cedar", include_str!("../../policies/permissions.cedar")),
    ("policies/suspension.cedar", include_str!("../../policies/suspension.cedar")),
    ("policies/tests/management.yaml", include_str!("../../policies/tests/management.yaml")),
    ("policies/tests/permissions.yaml", include_str!("../../policies/tests/permissions.yaml")),
    ("policies/tests/suspension.yaml", include_str!("../../policies/tests/suspension.yaml")),
    ("schema/authz.cedarschema", include_str!("../../schema/authz.cedarschema")),
    ("schema/management.cedarschema", include_str!("../../schema/management.cedarschema")),
];

/// The live files among them.
#[must_use]
pub fn shipped() -> PolicyFiles {
    let live = SHIPPED.iter().filter_map(|(path, text)| {
        let (folder, name) = path.rsplit_once('/')?;
        let kind = match (folder, name.rsplit_once('.')?.1) {
            ("policies", "cedar") => SourceKind::Policies,
            ("schema", "cedarschema") => SourceKind::Schema,
            _ => return None,
        };
        Some(SourceFile { kind, path: (*path).to_owned(), name: name.to_owned(), text: (*text).to_owned() })
    });
    PolicyFiles::new(live.collect())
}
