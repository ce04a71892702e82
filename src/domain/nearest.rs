//! What somebody may have meant who typed a name that is none.

/// The known name that is most like what was typed, when at most one in `one_in` of its letters is wrong.
#[must_use]
pub fn nearest<'n>(typed: &str, known: impl IntoIterator<Item = &'n str>, one_in: usize) -> Option<&'n str> {
    let close = known.into_iter().map(|name| (strsim::osa_distance(name, typed), name)).min();
    close.filter(|(distance, name)| distance * one_in <= name.len()).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_while_most_of_it_is_right() {
        let known = ["jobs:read", "scan:create"];
        assert_eq!(nearest("jobs:raed", known, 3), Some("jobs:read"));
        assert_eq!(nearest("scan:crate", known, 3), Some("scan:create"));
        assert_eq!(nearest("jobs", known, 3), None);
        assert_eq!(nearest("jobs:", known, 2), Some("jobs:read"));
        assert_eq!(nearest("", known, 2), None);
    }
}
