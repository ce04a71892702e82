//! The redactor: texts from callers pass here before they are logged, traced or echoed.

use std::borrow::Cow;

/// The word between the prefix and the random characters of a secret.
const PLANES: [&str; 3] = ["live", "test", "admin"];
/// So many base62 characters after `<prefix>_<plane>_` count as a secret, or a part of one.
const SHORTEST: usize = 8;

/// And so many of them in a row, wherever they stand: a key whose prefix was left out, encoded or typed otherwise, or Base64 of one.
/// Capitals, small letters and digits must be among them, which ids and digests in hexadecimal never have.
const BARE: usize = 32;

/// Replaces everything shaped like a secret, whole or cut off, whatever its prefix: `op_live_…`.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let Some(first) = find_secret(text, 0) else { return Cow::Borrowed(text) };
    let mut clean = String::with_capacity(text.len());
    let (mut told, mut found) = (0, Some(first));
    while let Some((start, end)) = found {
        clean.push_str(text.get(told..start).unwrap_or_default());
        clean.push('…');
        told = end;
        found = find_secret(text, told);
    }
    clean.push_str(text.get(told..).unwrap_or_default());
    Cow::Owned(clean)
}

/// Whether the text holds something shaped like a secret.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    find_secret(text, 0).is_some()
}

/// A text that was cut, without the first characters of a secret at its end that are too few to be seen as one.
#[must_use]
pub fn without_cut_secret(text: &str) -> &str {
    let before = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    let is_secret = PLANES.iter().any(|plane| before.strip_suffix('_').is_some_and(|before| before.ends_with(plane)));
    if is_secret && text.len() - before.len() < SHORTEST { before } else { text }
}

/// Byte range of the first run of secret characters from a place on: what follows `_live_`, `_test_` or `_admin_`, or is long.
/// What stands before the place still counts as a prefix: a secret may follow another one at once.
fn find_secret(text: &str, from: usize) -> Option<(usize, usize)> {
    find_prefixed(text, from).into_iter().chain(find_bare(text, from)).min()
}

fn find_prefixed(text: &str, from: usize) -> Option<(usize, usize)> {
    text.match_indices('_').filter(|(at, _)| at + 1 >= from).find_map(|(at, _)| {
        let prefixed = text.get(..at)?.ends_with(|c: char| c.is_ascii_alphanumeric());
        let rest = text.get(at + 1..)?;
        let after = PLANES.iter().find_map(|plane| rest.strip_prefix(plane)?.strip_prefix('_'))?;
        let run = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let start = text.len() - after.len();
        (prefixed && run >= SHORTEST).then_some((start, start + run))
    })
}

fn find_bare(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = from;
    for run in text.get(from..).filter(|rest| rest.len() >= BARE)?.split(|c: char| !c.is_ascii_alphanumeric()) {
        let holds = |kind: fn(&u8) -> bool| run.bytes().any(|b| kind(&b));
        let is_random = || holds(u8::is_ascii_uppercase) && holds(u8::is_ascii_lowercase) && holds(u8::is_ascii_digit);
        if run.len() >= BARE && is_random() {
            return Some((start, start + run.len()));
        }
        let end = start + run.len();
        start = end + text.get(end..)?.chars().next().map_or(0, char::len_utf8);
    }
    None
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
    fn a_key_that_follows_another_at_once_is_hidden_too() {
        let key = "op_live_8ngdJuHmahs5l6OKFeS6DL0DUpPQ8AQs2G5oDl";
        assert_eq!(redact(&format!("{key}{key}")), "op_live_…_live_…");
        assert_eq!(redact(&format!("op_admin_AAAAAAAAAAAA{key}{key} ok")), "op_admin_…_live_…_live_… ok");
    }

    #[test]
    fn a_key_with_another_prefix_or_none_and_base64_of_one_are_hidden() {
        let random = "8ngdJuHmahs5l6OKFeS6DL0DUpPQ8AQs2G5oDl";
        for prefix in ["OP_LIVE_", "op-live-", "op＿live＿", "op%5Flive%5F", "live_", "", "é"] {
            assert!(!redact(&format!("{prefix}{random} é")).contains(&random[..12]), "{prefix}");
        }
        let base64 = "b3BfbGl2ZV84bmdkSnVIbWFoczVsNk9LRmVTNkRMMERVcFBROEFRczJHNW9EbA";
        assert_eq!(redact(&format!("Basic {base64}== x")), "Basic …== x");
        for text in ["dec_01kaw9m3gz5v8r7q2n4c6x0b1d", &"0123456789abcdef".repeat(4), &"x".repeat(256), &"Aa".repeat(40)] {
            assert_eq!(redact(text), text);
        }
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
