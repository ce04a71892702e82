//! Texts as they come from a disk: torn, empty, huge, in odd encodings; and the digest that names them.

use sha2::{Digest, Sha256};

use super::*;

/// A rule that denies nobody, with this before it.
fn harmless(annotation: &str) -> String {
    format!("{annotation} forbid (principal is ApiKey, action, resource) when {{ principal.org.name == \"nobody\" }};")
}

#[test]
fn every_policy_has_one_id_that_no_other_has() {
    for (annotation, why) in [
        ("", "the policy has no `@id`, or one with other characters"),
        ("@id(\"\")", "the policy has no `@id`"),
        ("@id", "the policy has no `@id`"),
        ("@name(\"x\")", "the policy has no `@id`"),
        ("@id(\"two words\")", "the policy has no `@id`"),
        ("@id(\"a/b\")", "the policy has no `@id`"),
        ("@id(\"schlüssel\")", "the policy has no `@id`"),
        ("@id(\"a\\n\")", "the policy has no `@id`"),
        ("@id(\"a\\u{202e}\")", "the policy has no `@id`"),
        (&format!("@id(\"{}\")", "a".repeat(129)), "the policy has no `@id`"),
        ("@id(\"a\") @id(\"b\")", "duplicate annotation"),
        ("@id(\"x\")", "the id `x` is used twice"),
    ] {
        let refused = refusal(&with(&[("policies/a.cedar", &harmless("@id(\"x\")")), (EXTRA, &harmless(annotation))]));
        assert!(refused.starts_with("policies/extra.cedar:1:") && refused.contains(why), "{annotation}: {refused}");
    }
    let twice = refusal(&with(&[("policies/zebra.cedar", &format!("\n\n{}", harmless("@id(\"suspended-org-denied\")")))]));
    assert!(twice.starts_with("policies/zebra.cedar:3:1: "), "{twice}");
    assert!(twice.contains("the first one is at policies/suspension.cedar:2"), "{twice}");
    assert!(load(&with(&[(EXTRA, &harmless(&format!("@id(\"{}\")", "Az0-_.:x".repeat(16))))])).is_ok());
}

#[test]
fn policies_that_read_alike_are_each_found_in_their_place() {
    let same = "@id(\"same\") forbid (principal is ApiKey, action, resource) when { principal.org.name == \"nobody\" };";
    let refused = refusal(&with(&[(EXTRA, &format!("{same}\n// between\n{same}"))]));
    assert!(refused.starts_with("policies/extra.cedar:3:1: the id `same` is used twice"), "{refused}");
    assert!(refused.contains("the first one is at policies/extra.cedar:1"), "{refused}");
    let more = (1..=12).map(|n| format!("\n{}\n", harmless(&format!("@id(\"p{n}\")")))).collect::<Vec<_>>().concat();
    let engine = load(&with(&[(EXTRA, &more)])).unwrap();
    let places: Vec<(String, usize)> = engine
        .policies()
        .iter()
        .filter(|policy| policy.file == EXTRA)
        .map(|policy| (policy.id.to_string(), policy.line))
        .collect();
    assert_eq!(places, (1..=12).map(|n| (format!("p{n}"), 2 * n)).collect::<Vec<_>>());
}

#[test]
fn a_file_without_a_policy_is_refused_as_cut_off() {
    for empty in ["", " ", "\n\n", "// only a comment", "// \"permit\"\r\n"] {
        for path in [SUSPENSION, EXTRA] {
            let refused = refusal(&with(&[(path, empty)]));
            assert!(refused.starts_with(&format!("{path}:1:1: the file holds no policy (was it cut off?")), "{refused}");
        }
    }
    let none = PolicyFiles::new(shipped().iter().filter(|file| file.kind == SourceKind::Schema).cloned().collect());
    assert!(refusal(&none).contains("there is no policy"));
    let none = PolicyFiles::new(shipped().iter().filter(|file| file.kind == SourceKind::Policies).cloned().collect());
    assert!(refusal(&none).contains("there is no schema"));
    assert!(refusal(&PolicyFiles::new(Vec::new())).contains("there is no policy"));
    for empty in ["", "// nothing"] {
        assert!(!refusal(&with(&[(AUTHZ, empty)])).is_empty());
        assert!(!refusal(&with(&[(MANAGEMENT, empty)])).is_empty());
    }
}

/// What a set must do however it came about: the suspended key is denied, and so is the key without permissions.
fn holds(engine: &Engine) {
    for name in engine.permissions().iter().map(|info| info.name.as_str()) {
        assert!(!decide(engine, facts(&[name], true), name, None).is_allow(), "{name}");
        assert!(!decide(engine, facts(&[], false), name, None).is_allow(), "{name}");
        assert!(!decide(engine, facts(&[name], false), name, Some(org("org_other"))).is_allow(), "{name}");
    }
}

/// Loads a shipped file cut off after each of its bytes; how often that was a set, and how often only space was lost.
fn tear(path: &str) -> (usize, usize) {
    let whole = text(path);
    let ends = (0..whole.len()).filter(|end| whole.is_char_boundary(*end));
    let loaded = ends.filter_map(|end| load(&with(&[(path, &whole[..end])])).ok()).inspect(holds).count();
    (loaded, whole.len() - whole.trim_end().len())
}

#[test]
fn a_policy_file_torn_at_any_byte_never_opens_a_door() {
    for path in [GRANTS, SUSPENSION] {
        let (loaded, complete) = tear(path);
        assert_eq!(loaded, complete, "{path}");
    }
}

#[test]
fn management_rules_torn_at_any_byte_never_open_a_door() {
    let (loaded, complete) = tear(ADMINS);
    assert!(loaded > complete, "torn between two rules it is a smaller set that still obeys the guards");
}

#[test]
fn a_schema_torn_at_any_byte_never_opens_a_door() {
    let (loaded, complete) = tear(AUTHZ);
    assert!(loaded > complete, "torn between two actions it is a smaller schema that still obeys the guards");
}

#[test]
fn a_management_schema_torn_at_any_byte_never_opens_a_door() {
    let (loaded, complete) = tear(MANAGEMENT);
    assert_eq!(loaded, complete);
}

#[test]
fn line_ends_of_windows_load_and_count_as_one() {
    let windows: Vec<SourceFile> =
        shipped().iter().map(|file| SourceFile { text: file.text.replace('\n', "\r\n"), ..file.clone() }).collect();
    let engine = load(&PolicyFiles::new(windows)).unwrap();
    assert_eq!(engine.policies(), self::engine().policies());
    assert_ne!(engine.digest(), self::engine().digest());
    holds(&engine);
    let refused = refusal(&with(&[(EXTRA, "// one\r\n\r\npermit (principal, action, resource) when { nonsense };")]));
    assert!(refused.starts_with("policies/extra.cedar:3:"), "{refused}");
}

#[test]
fn bytes_that_no_editor_shows_are_refused_with_their_place() {
    for path in [SUSPENSION, AUTHZ] {
        let marked = refusal(&with(&[(path, &format!("\u{feff}{}", text(path)))]));
        assert!(marked.starts_with(&format!("{path}:1:1: the file begins with a byte order mark")), "{marked}");
        for odd in ["\0", "\u{202e}", "\u{200b}", "\u{1b}"] {
            let refused = refusal(&with(&[(path, &format!("{}\n{odd}", text(path).trim_end()))]));
            assert!(refused.starts_with(&format!("{path}:")), "{odd:?}: {refused}");
        }
    }
    let nul = SUSPENDED_RULE.replace("NAME", "no\0body");
    assert!(refusal(&with(&[(EXTRA, &nul)])).starts_with("policies/extra.cedar:1:89: the file holds a NUL byte"));
    let turned = SUSPENDED_RULE.replace("NAME", "no\u{202e}body");
    assert!(refusal(&with(&[(EXTRA, &turned)])).starts_with("policies/extra.cedar:1:"), "text that reads right to left");
    let lookalike = SUSPENDED_RULE.replace("NAME", "n\u{43e}body");
    assert!(refusal(&with(&[(EXTRA, &lookalike)])).starts_with("policies/extra.cedar:1:"), "letters of two scripts");
}

const SUSPENDED_RULE: &str = "@id(\"x\") forbid (principal is ApiKey, action, resource) when { principal.org.name == \"NAME\" };";

#[test]
fn binary_noise_is_refused_with_few_words() {
    let noise: String =
        (0..200_000_u32).map(|n| char::from(u8::try_from(n.wrapping_mul(2_654_435_761) >> 25).unwrap())).collect();
    let bracket = "permit garbage ;\n".repeat(20_000);
    for text in [noise, bracket, ";".repeat(20_000), "}".repeat(100_000), "\"".repeat(99_999), "@id(\"x\")".repeat(1_900)] {
        for path in [EXTRA, "schema/extra.cedarschema"] {
            let Err(error) = load(&with(&[(path, &text)])) else { panic!("noise loads") };
            assert!(error.diagnostics().count() <= 100 && error.first().file() == Some(path), "{error}");
        }
    }
}

#[test]
fn sixteen_mebibytes_load_and_one_byte_more_does_not() {
    let used: usize = shipped().iter().map(|file| file.text.len()).sum();
    let policy = harmless("@id(\"x\")");
    let line = format!("// {}\n", "x".repeat(1_020));
    let mut text = line.repeat((MOST_BYTES - used - policy.len()) / line.len());
    text.push_str(&"\n".repeat(MOST_BYTES - used - policy.len() - text.len()));
    text.push_str(&policy);
    assert!(load(&with(&[(EXTRA, &text)])).is_ok());
    text.push('\n');
    let refused = refusal(&with(&[(EXTRA, &text)]));
    assert!(refused.contains("the policy files hold 16777217 bytes, more than the 16777216 that are allowed"), "{refused}");
}

#[test]
fn ten_thousand_policies_load_and_each_of_them_counts() {
    let policy = |n: usize| {
        format!(
            "@id(\"n{n}\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\nwhen {{ principal.org.name == \"org {n}\" }};\n"
        )
    };
    let text: String = (0..10_000).map(policy).collect();
    let engine = load(&with(&[(EXTRA, &text)])).unwrap();
    assert_eq!(engine.policies().len(), 10_000 + self::engine().policies().len());
    let last = engine.policies().iter().find(|policy| &*policy.id == "n9999").unwrap();
    assert_eq!(last.line, 9_999 * 3 + 1);
    let ask =
        |name: &str| decide(&engine, Facts { org_name: name.into(), ..facts(&["scan:create"], false) }, "scan:create", None);
    assert!(ask("Acme").is_allow());
    assert_eq!(ask("org 9999").policies, ["n9999".into()]);
}

#[test]
fn templates_are_refused_in_their_place() {
    for scope in ["principal == ?principal, action, resource", "principal is ApiKey, action, resource == ?resource"] {
        let refused = refusal(&with(&[(EXTRA, &format!("{}\n\n@id(\"t\") permit ({scope});", harmless("@id(\"x\")")))]));
        assert!(refused.starts_with("policies/extra.cedar:3:1: templates are not supported"), "{refused}");
    }
}

fn small() -> Vec<SourceFile> {
    vec![file("policies/b.cedar", "B"), file("policies/a.cedar", ""), file("schema/a.cedarschema", "é")]
}

#[test]
fn the_digest_is_the_one_that_anybody_can_compute() {
    let mut bytes = Vec::new();
    for (name, text) in [("a.cedar", ""), ("a.cedarschema", "é"), ("b.cedar", "B")] {
        for part in [name, text] {
            bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0]);
            bytes.push(u8::try_from(part.len()).unwrap());
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    let hex = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(PolicyFiles::new(small()).digest(), format!("sha256:{hex}"));
    assert_eq!(PolicyFiles::new(small()).digest(), "sha256:472090f4a405045a045dd4eb18abce8a38cfba30015cf8d7f16410fca835f404");
    assert_eq!(**engine().digest(), *shipped().digest());
}

#[test]
fn the_digest_is_the_same_in_whatever_order_and_folder_files_are_read() {
    let expected = PolicyFiles::new(small()).digest();
    let mut turned = small();
    for _ in 0..3 {
        turned.rotate_left(1);
        assert_eq!(PolicyFiles::new(turned.clone()).digest(), expected);
    }
    turned.reverse();
    for file in &mut turned {
        file.path = format!("/etc/claviger/{}", file.path);
    }
    assert_eq!(PolicyFiles::new(turned).digest(), expected);
}

#[test]
fn the_digest_changes_with_every_byte_of_every_file_and_name() {
    let all: Vec<SourceFile> = shipped().iter().cloned().collect();
    let mut seen = std::collections::HashSet::from([PolicyFiles::new(all.clone()).digest()]);
    let mut is_new = |files: Vec<SourceFile>, what: &str| assert!(seen.insert(PolicyFiles::new(files).digest()), "{what}");
    for n in 0..all.len() {
        let (name, text) = (all[n].name.clone(), all[n].text.clone());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let mut files = all.clone();
            files[n].text = changed;
            is_new(files, &format!("{name} at {at}"));
        }
        let mut renamed = all.clone();
        renamed[n].name = name.replacen('.', "_.", 1);
        is_new(renamed, &name);
        let mut moved = all.clone();
        moved[n].text.push('x');
        moved[n].name.pop();
        is_new(moved, "a byte from the name into the text");
        let mut fewer = all.clone();
        fewer.remove(n);
        is_new(fewer, &format!("without {name}"));
    }
    let mut guarded = all;
    guarded.push(SourceFile {
        kind: SourceKind::Guards,
        path: "policies/guards.yaml".into(),
        name: "guards.yaml".into(),
        text: String::new(),
    });
    is_new(guarded, "an empty guards.yaml");
}
