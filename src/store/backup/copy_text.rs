//! The text form of Postgres' COPY: one row a line, tabs between the fields, `\N` for NULL, backslash escapes.

/// One field; `None` is NULL.
pub(super) type Field = Option<Vec<u8>>;

/// The line that ends a block of rows.
pub(super) const END: &[u8] = b"\\.";

/// The table and the columns that `COPY schema.table (a, b) FROM stdin;` announces.
pub(super) fn header(line: &[u8]) -> Option<(String, Vec<String>)> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("COPY ")?.strip_suffix(") FROM stdin;")?;
    let (name, columns) = line.rsplit_once(" (")?;
    let bare = |name: &str| name.trim_matches('"').to_owned();
    let table = name.rsplit_once('.').map_or(name, |(_schema, table)| table);
    Some((bare(table), columns.split(", ").map(bare).collect()))
}

/// The fields of a row.
pub(super) fn fields(line: &[u8]) -> Vec<Field> {
    line.split(|byte| *byte == b'\t').map(|field| (field != b"\\N").then(|| unescape(field))).collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        let plain = match byte {
            b'\\' => match rest.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        };
        bytes.push(plain);
    }
    bytes
}

/// Adds a row to the text.
pub(super) fn push_row(text: &mut Vec<u8>, fields: impl IntoIterator<Item = Field>) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            text.push(b'\t');
        }
        match field {
            None => text.extend_from_slice(b"\\N"),
            Some(bytes) => bytes.iter().for_each(|byte| push_escaped(text, *byte)),
        }
    }
    text.push(b'\n');
}

fn push_escaped(text: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' => text.extend_from_slice(b"\\\\"),
        b'\n' => text.extend_from_slice(b"\\n"),
        b'\r' => text.extend_from_slice(b"\\r"),
        b'\t' => text.extend_from_slice(b"\\t"),
        other => text.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_with_and_without_schema_and_quotes() {
        let read = |line: &str| header(line.as_bytes());
        let expected = Some(("org".to_owned(), vec!["id".to_owned(), "key".to_owned()]));
        assert_eq!(read("COPY public.org (id, key) FROM stdin;"), expected);
        assert_eq!(read("COPY org (id, \"key\") FROM stdin;"), expected);
        assert_eq!(read("COPY \"a (b.c\".\"org\" (id, key) FROM stdin;"), expected);
        assert_eq!(read("SELECT pg_catalog.set_config('search_path', '', false);"), None);
    }

    #[test]
    fn every_row_comes_back_as_it_was() {
        let rows = [
            vec![Some(b"a\tb\\n".to_vec()), None, Some(Vec::new())],
            vec![Some("\\N \n\r\u{8}\u{b}\u{c} ü".as_bytes().to_vec()), Some(b"\\.".to_vec()), Some(b"\\x00ff".to_vec())],
        ];
        for row in rows {
            let mut text = Vec::new();
            push_row(&mut text, row.clone());
            let line = text.strip_suffix(b"\n").unwrap();
            assert_eq!((fields(line), line.contains(&b'\n')), (row, false));
        }
        assert_eq!(fields(b"\\b\\f\\v\\q"), [Some(vec![8, 12, 11, b'q'])]);
    }
}
