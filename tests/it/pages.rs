//! The pages are true: their commands are run in order, their output is what they say.

mod observability;
#[cfg(feature = "prove")]
mod policies;
mod reader;
mod readme;

use std::{fs, path::Path};

use reader::Reader;

use crate::support::program::shipped_directory;

/// Stands for something within a line; alone on a line, for any lines.
const ELLIPSIS: &str = "…";

/// A page of the documentation.
#[derive(Debug)]
struct Page {
    /// The file.
    name: &'static str,
    text: &'static str,
    /// In order; a last one without a language holds the prose at the end.
    blocks: Vec<Block>,
    /// The commands that nothing runs, and why.
    not_run: &'static [(&'static str, &'static str)],
}

/// A fenced block, and the prose between it and the block before.
#[derive(Debug)]
struct Block {
    prose: &'static str,
    language: &'static str,
    text: &'static str,
}

impl Page {
    fn read(name: &'static str, not_run: &'static [(&'static str, &'static str)]) -> Self {
        let text: &'static str = fs::read_to_string(shipped_directory(name)).unwrap().leak();
        let parts: Vec<&str> = text.split("\n```").collect();
        assert!(parts.len() % 2 == 1, "a block of {name} is not closed");
        let block = |pair: &[&'static str]| {
            let (language, text) = pair.get(1).map_or(("", ""), |fenced| fenced.split_once('\n').unwrap());
            Block { prose: pair[0], language, text }
        };
        let blocks: Vec<Block> = parts.chunks(2).map(block).collect();
        for Block { prose, .. } in &blocks {
            let hidden = prose.lines().find(|line| line.starts_with("    ") || line.contains("```") || line.contains("~~~"));
            assert!(hidden.is_none(), "this block would not be seen: {hidden:?}");
        }
        Self { name, text, blocks, not_run }
    }

    /// Each block with the next one.
    fn steps(&self) -> impl Iterator<Item = (&Block, Option<&Block>)> {
        self.blocks.iter().enumerate().map(|(index, block)| (block, self.blocks.get(index + 1)))
    }

    /// Whether a block holds commands that are run.
    fn is_run(&self, block: &Block) -> bool {
        let is_excused = |line: &str| self.not_run.iter().any(|(name, _)| line.split_whitespace().next() == Some(name));
        block.language == "sh" && !block.text.lines().all(is_excused)
    }

    /// Where the links of the prose lead to, as paths in the repository.
    fn links(&self) -> Vec<String> {
        let links = self.blocks.iter().flat_map(|block| block.prose.split("](").skip(1));
        let folder = Path::new(self.name).parent().unwrap();
        links.map(|rest| folder.join(rest.split(')').next().unwrap()).display().to_string()).collect()
    }

    /// Claims that each block is one of commands that are run or excused by name, the output of such a one, or an excerpt in a
    /// language whose blocks another claim looks up.
    #[track_caller]
    fn is_proved_block_by_block(&self, excerpts: &[&str]) {
        for (index, block) in self.blocks.iter().enumerate() {
            let is_proved = match block.language {
                "text" => index > 0 && self.is_run(&self.blocks[index - 1]) && block.prose.is_empty(),
                "sh" => true,
                other => excerpts.contains(&other) || (other.is_empty() && index + 1 == self.blocks.len()),
            };
            assert!(is_proved, "nothing proves this block of `{}`:\n{}", block.language, block.text);
        }
    }
}

/// What prose puts between backticks.
fn quoted(prose: &'static str) -> impl Iterator<Item = &'static str> {
    prose.split('`').skip(1).step_by(2)
}

/// Whether the output is what a page shows of it.
fn is_shown(shown: &str, said: &str) -> bool {
    let (shown, said): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), said.lines().collect());
    are_shown(&shown, &said)
}

fn are_shown(shown: &[&str], said: &[&str]) -> bool {
    match (shown, said) {
        ([], _) => said.is_empty(),
        ([first, rest @ ..], _) if *first == ELLIPSIS => (0..=said.len()).any(|skipped| are_shown(rest, &said[skipped..])),
        ([..], []) => false,
        ([first, rest @ ..], [line, more @ ..]) => is_line(first, line) && are_shown(rest, more),
    }
}

fn is_line(shown: &str, said: &str) -> bool {
    let Some((before, after)) = shown.split_once(ELLIPSIS) else { return shown == said };
    let Some(rest) = said.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.into_iter().any(|end| is_line(after, &rest[end..]))
}

#[test]
fn an_ellipsis_stands_for_something_within_a_line_or_for_lines() {
    for (shown, said) in [
        ("a", "a\n"),
        ("id_…", "id_1"),
        ("{\"id\":\"…\",…,\"code\":\"A\"}", "{\"id\":\"1\",\"b\":2,\"code\":\"A\"}"),
        ("a\n…\nz", "a\nb\nc\nz\n"),
        ("a\n…\nz", "a\nz"),
        ("ä…ü", "äöü"),
    ] {
        assert!(is_shown(shown, said), "{shown} is {said}");
    }
    for (shown, said) in [
        ("a", "b"),
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("id_…", "id_"),
        ("id_…", "id_1\n2"),
        ("…\"code\":\"A\"}", "{\"code\":\"B\"}"),
        ("a\n…\nz", "a\nb\nc"),
        ("200", "403"),
        ("", "a"),
    ] {
        assert!(!is_shown(shown, said), "{shown} is not {said}");
    }
}
