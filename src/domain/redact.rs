//! The redactor: texts from callers pass here before they are logged, traced or echoed.

use std::borrow::Cow;

/// The word between the prefix and the random characters of a secret.
const PLANES: [&str; 3] = ["live", "test", "admin"];
/// So many base62 characters after `<prefix>_<plane>_` count as a secret, or a part of one.
const SHORTEST: usize = 8;

/// Replaces everything shaped like a secret, whole or cut off, whatever its prefix: `op_live_…`.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let Some(first) = find_secret(text) else { return Cow::Borrowed(text) };
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, Some(first));
    while let Some((start, end)) = found {
        clean.push_str(rest.get(..start).unwrap_or_default());
        clean.push('…');
        rest = rest.get(end..).unwrap_or_default();
        found = find_secret(rest);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Whether the text holds something shaped like a secret.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    find_secret(text).is_some()
}

/// A text that was cut, without the first characters of a secret at its end that are too few to be seen as one.
#[must_use]
pub fn without_cut_secret(text: &str) -> &str {
    let before = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    let is_secret = PLANES.iter().any(|plane| before.strip_suffix('_').is_some_and(|before| before.ends_with(plane)));
    if is_secret && text.len() - before.len() < SHORTEST { before } else { text }
}

/// Byte range of the first run of secret characters: what follows `_live_`, `_test_` or `_admin_`.
fn find_secret(text: &str) -> Option<(usize, usize)> {
    PLANES.iter().filter_map(|plane| find_after(text, plane)).min()
}

fn find_after(text: &str, plane: &str) -> Option<(usize, usize)> {
    text.match_indices(plane).find_map(|(at, _)| {
        let before = text.get(..at)?;
        let after = text.get(at + plane.len()..)?.strip_prefix('_')?;
        let prefixed = before.strip_suffix('_')?.ends_with(|c: char| c.is_ascii_alphanumeric());
        let run = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let start = text.len() - after.len();
        (prefixed && run >= SHORTEST).then_some((start, start + run))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_and_partial_keys_of_any_prefix_are_hidden() {
        assert_eq!(redact("key op_live_0123456789abc, ok"), "key op_live_…, ok");
        assert_eq!(redact("acme_admin_AAAAAAAA op_test_BBBBBBBBB"), "acme_admin_… op_test_…");
    }

    #[test]
    fn ordinary_words_stay() {
        for text in ["run_test_now", "op_live_", "live_abcdefghijkl", "classify:create", "op_test_1234567"] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn a_cut_leaves_no_beginning_of_a_secret() {
        assert_eq!(without_cut_secret("key op_live_0123456"), "key op_live_");
        for text in ["", "key", "op_live", "live 0123456", "op_live_01234567", "é_test_é"] {
            assert_eq!(without_cut_secret(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_secret(before in ".{0,20}", secret in "[0-9A-Za-z]{38}", plane in "live|test|admin", after in "[^0-9A-Za-z]?.{0,20}") {
            let text = format!("{before}op_{plane}_{secret}{after}");
            prop_assert!(!redact(&text).contains(&secret[..12]));
        }
    }
}
