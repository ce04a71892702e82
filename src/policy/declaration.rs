//! Where a schema file declares something. Cedar's own schema does not tell, and a diagnostic wants a place.

use super::{
    diagnostic::Diagnostic,
    files::{PolicyFiles, SourceFile, SourceKind},
};

/// A diagnostic about an entity type, a common type or an action (by its bare name), at its attribute if one is named.
pub(super) fn diagnostic(files: &PolicyFiles, name: &str, attribute: Option<&str>, message: impl Into<String>) -> Diagnostic {
    let name = name.rsplit("::").next().unwrap_or(name);
    match files.of(SourceKind::Schema).find_map(|file| Some((file, locate(file, name, attribute)?))) {
        Some((file, (offset, length))) => Diagnostic::at(file, offset, length, message),
        None => Diagnostic::general(message),
    }
}

/// A diagnostic about a name: in the last file that declares it, or else names it.
pub(super) fn mention(files: &PolicyFiles, name: &str, message: impl Into<String>) -> Diagnostic {
    let sources: Vec<&SourceFile> = files.of(SourceKind::Schema).collect();
    let declared = sources.iter().rev().find_map(|file| Some((*file, locate(file, name, None)?)));
    let named = |file: &SourceFile| {
        let (offset, word) = Words { text: &file.text, at: 0 }.find(|(_, word)| unquoted(word) == name)?;
        Some((offset, word.len()))
    };
    let place = declared.or_else(|| sources.iter().rev().find_map(|file| Some((*file, named(file)?))));
    match place {
        Some((file, (offset, length))) => Diagnostic::at(file, offset, length, message),
        None => Diagnostic::general(message),
    }
}

fn locate(file: &SourceFile, name: &str, attribute: Option<&str>) -> Option<(usize, usize)> {
    let mut words = Words { text: &file.text, at: 0 };
    let mut names = false;
    let declaration = words.find(|(_, word)| {
        // A declaration is a keyword and names with commas between; anything else ends the names.
        let found = names && unquoted(word) == name;
        names = matches!(*word, "entity" | "type" | "action") || (names && (*word == "," || is_name(word)));
        found
    })?;
    let inside = words.take_while(|(_, word)| *word != ";");
    let place = attribute.and_then(|attribute| inside.into_iter().find(|(_, word)| unquoted(word) == attribute));
    let (offset, word) = place.unwrap_or(declaration);
    Some((offset, word.len()))
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(word)
}

fn is_name(word: &str) -> bool {
    word.bytes().next().is_some_and(|b| b == b'"' || b == b'_' || b.is_ascii_alphabetic()) && word != "in"
}

/// Words, strings with their quotes, and single characters, each with its place; comments are left out.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.text.get(self.at..)?;
            let first = rest.chars().next()?;
            let length = match first {
                '"' => string_length(rest),
                '/' if rest.starts_with("//") => {
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                    continue;
                }
                c if c.is_ascii_alphanumeric() || c == '_' => {
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                other => other.len_utf8(),
            };
            let offset = self.at;
            self.at += length;
            if !first.is_whitespace() {
                return Some((offset, rest.get(..length)?));
            }
        }
    }
}

fn string_length(text: &str) -> usize {
    let mut escaped = true; // the opening quote
    let end = text.char_indices().find(|(_, c)| {
        let ends = !escaped && *c == '"';
        escaped = !escaped && *c == '\\';
        ends
    });
    end.map_or(text.len(), |(quote, _)| quote + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_found_where_it_is_declared_and_not_where_it_is_named() {
        let text = "// entity Org\nentity A in [Org] = { org: Org };\r\nentity B, Org = {\n  \"suspended\": Bool };\naction \"a:b\", c in [Org];";
        let file =
            SourceFile { kind: SourceKind::Schema, path: "schema/a".into(), name: "a.cedarschema".into(), text: text.into() };
        let files = PolicyFiles::new(vec![file]);
        let position = |name, attribute| diagnostic(&files, name, attribute, "").position();
        assert_eq!(position("Org", None), Some((3, 11)));
        assert_eq!(position("X::Org", Some("suspended")), Some((4, 3)));
        assert_eq!(position("A", Some("missing")), Some((2, 8)));
        assert_eq!(position("a:b", None), Some((5, 8)));
        assert_eq!(position("c", None), Some((5, 15)));
        assert_eq!(position("nothing", None), None);
    }
}
