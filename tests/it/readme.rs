//! The README is true: its commands are run in order, its output is what they say, its excerpts are what the files hold.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{
    postgres::postgres_url,
    program::{Program, copy_files, run, shipped_directory},
};

static README: LazyLock<String> = LazyLock::new(|| fs::read_to_string(shipped_directory("README.md")).unwrap());

/// The commands that this test does not run, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("scripts/test", "it runs this very test"),
    ("benches/faults", "it breaks things for long"),
    ("scripts/bench", "it measures for minutes what a debug build cannot show"),
];

/// Stands for something within a line; alone on a line, for any lines.
const ELLIPSIS: &str = "…";

/// The README says "within a second" of what a running server does not know at once.
const SOON: Duration = Duration::from_secs(2);

/// A fenced block, and the prose between it and the block before.
#[derive(Debug)]
struct Block {
    prose: &'static str,
    language: &'static str,
    text: &'static str,
}

/// Every block in order; a last one without a language holds the prose at the end.
fn read_blocks() -> Vec<Block> {
    let parts: Vec<&str> = README.split("\n```").collect();
    assert!(parts.len() % 2 == 1, "a block of the README is not closed");
    let block = |pair: &[&'static str]| {
        let (language, text) = pair.get(1).map_or(("", ""), |fenced| fenced.split_once('\n').unwrap());
        Block { prose: pair[0], language, text }
    };
    let blocks: Vec<Block> = parts.chunks(2).map(block).collect();
    for Block { prose, .. } in &blocks {
        let hidden = prose.lines().find(|line| line.starts_with("    ") || line.contains("```") || line.contains("~~~"));
        assert!(hidden.is_none(), "this block would not be seen: {hidden:?}");
    }
    blocks
}

/// What prose puts between backticks.
fn quoted(prose: &'static str) -> impl Iterator<Item = &'static str> {
    prose.split('`').skip(1).step_by(2)
}

/// The second terminal of somebody who follows the README, in a copy of the part of the repository that the program reads.
struct Newcomer {
    home: TempDir,
    servers: Vec<Program>,
    /// What the README says, and what it is here.
    places: Vec<(&'static str, String)>,
}

impl Newcomer {
    fn new(postgres: String) -> Self {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("terminal"), "").unwrap();
        let places = vec![
            ("postgres://claviger@localhost/claviger", postgres),
            ("http://localhost:4318", "http://127.0.0.1:9".to_owned()),
            ("--listen 0.0.0.0:8080", "--listen 127.0.0.1:0".to_owned()),
            ("cargo run --release -- dev", format!("{} dev --listen 127.0.0.1:0 -o json", env!("CARGO_BIN_EXE_claviger"))),
        ];
        let newcomer = Self { home, servers: Vec::new(), places };
        for folder in ["policies", "policies/tests", "schema"] {
            copy_files(&shipped_directory(folder), &newcomer.repository().join(folder));
        }
        let built = newcomer.repository().join("target/release");
        fs::create_dir_all(&built).unwrap();
        symlink(env!("CARGO_BIN_EXE_claviger"), built.join("claviger")).unwrap();
        newcomer
    }

    fn repository(&self) -> PathBuf {
        self.home.path().join("repository")
    }

    /// A shell that knows the variables of the commands before, and stops at the first command that fails.
    fn shell(&self, commands: &str) -> Command {
        let commands = self.places.iter().fold(commands.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -aeo pipefail\n. ../terminal\n{commands}")]);
        shell.current_dir(self.repository()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }

    /// Types commands; what they say, on both streams, in its order.
    #[track_caller]
    fn types(&self, commands: &str) -> String {
        let output = run(self.shell(&format!("trap 'export -p > ../terminal' EXIT\nexec 2>&1\n{commands}")));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{commands}\nends with {} and says\n{said}", output.status);
        said
    }

    /// Types commands that must say what is shown; a question may need a moment until its answer is that.
    #[track_caller]
    fn types_and_sees(&self, commands: &str, shown: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let said = self.types(commands);
            if is_shown(shown, &said) {
                return said;
            }
            let may_change = commands.starts_with("curl ") && Instant::now() < deadline;
            assert!(may_change, "{commands}\nshould say\n{shown}\n\nand says\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn starts(&mut self, command: &str) {
        self.servers.push(Program::start(self.shell(&format!("exec {command}"))));
        let url = self.servers.last().unwrap().told("/url");
        self.places.push(("http://127.0.0.1:8080", url));
    }

    /// Follows the README up to the end of a block; what its commands say.
    #[track_caller]
    fn follows(&mut self, block: &Block, next: Option<&Block>) -> String {
        for command in quoted(block.prose).filter(|text| text.starts_with("claviger ")) {
            self.types(command);
        }
        if block.language != "sh" || is_excused(block.text) {
            return String::new();
        }
        let (commands, server) = split_server(block.text);
        let said = match next.filter(|next| next.language == "text") {
            Some(shown) => self.types_and_sees(commands, shown.text),
            None => self.types(commands),
        };
        if let Some(server) = server {
            self.starts(server);
        }
        said
    }
}

/// The command that ends a block when it is a server, which does not end by itself.
fn split_server(commands: &'static str) -> (&'static str, Option<&'static str>) {
    let (before, last) = commands.rsplit_once('\n').unwrap_or(("", commands));
    let is_server = ["cargo run --release -- dev", "claviger dev", "claviger serve"].iter().any(|name| last.starts_with(name));
    if is_server { (before, Some(last)) } else { (commands, None) }
}

/// Whether each of the lines is on the list of what is not run.
fn is_excused(commands: &str) -> bool {
    commands.lines().all(|line| NOT_RUN.iter().any(|(name, _)| line.split_whitespace().next() == Some(name)))
}

/// Whether the output is what the README shows of it.
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

#[tokio::test]
async fn every_command_of_the_readme_works_and_says_what_is_shown() {
    let blocks = read_blocks();
    let mut newcomer = Newcomer::new(postgres_url().await);
    let mut said = String::new();
    for (index, block) in blocks.iter().enumerate() {
        said += &newcomer.follows(block, blocks.get(index + 1));
    }
    let [dev, production] = &*newcomer.servers else { panic!("the README starts two servers") };
    let refused = dev.bearer("op_live_nobody").authorize("jobs:read").await.expect(401);
    assert!(README.contains(&format!("`401 {}`", refused.code())));
    let token = said.lines().find(|line| line.starts_with("op_admin_")).expect("an admin token");
    production.bearer(token).get("/v1/orgs").await.expect(200);
    for (place, _) in newcomer.places {
        assert!(README.contains(place), "the README does not speak of {place}");
    }
}

#[test]
fn the_page_of_dev_holds_commands_that_do_what_it_says() {
    let newcomer = Newcomer::new(String::new());
    let (dev, page) = Dev::start(&newcomer);
    let paragraphs: Vec<_> = page.split("\n\n").filter(|paragraph| paragraph.starts_with("    ")).map(str::trim_start).collect();
    let [allowed, denied, suspension, _token] = *paragraphs else { panic!("{page}") };
    let (suspend, unsuspend) = suspension.split_once('\n').unwrap();
    newcomer.types_and_sees(allowed, r#"{"decision":"allow",…}"#);
    newcomer
        .types_and_sees(denied, r#"{"decision":"deny",…"code":"PERMISSION_DENIED",…"missing_permission":"classify:create"}}}"#);
    newcomer.types(suspend);
    newcomer.types_and_sees(allowed, r#"{"decision":"deny",…"code":"ORGANIZATION_SUSPENDED",…}"#);
    newcomer.types(unsuspend);
    newcomer.types_and_sees(allowed, r#"{"decision":"allow",…}"#);
    drop(dev);
}

/// A demo server that printed its page. It ends when this is dropped.
struct Dev(Child);

impl Dev {
    fn start(newcomer: &Newcomer) -> (Self, String) {
        let path = newcomer.home.path().join("page");
        let mut shell = newcomer.shell(concat!("exec ", env!("CARGO_BIN_EXE_claviger"), " dev --listen 127.0.0.1:0"));
        let dev = Self(shell.stdout(fs::File::create(&path).unwrap()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let page = fs::read_to_string(&path).unwrap();
            if page.contains("op_admin_") && page.ends_with("\n\n") {
                return (dev, page);
            }
            assert!(Instant::now() < deadline, "the page stays\n{page}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_block_of_the_readme_is_proved_or_excused() {
    let blocks = read_blocks();
    for (index, block) in blocks.iter().enumerate() {
        let answers = |command: &Block| command.language == "sh" && !is_excused(command.text);
        let is_proved = match block.language {
            "text" => index > 0 && answers(&blocks[index - 1]) && block.prose.is_empty(),
            // Commands are run or excused by name, excerpts are looked up: see the other claims.
            "sh" | "cedar" | "yaml" => true,
            other => other.is_empty() && index + 1 == blocks.len(),
        };
        assert!(is_proved, "nothing proves this block of `{}`:\n{}", block.language, block.text);
    }
}

#[test]
fn the_readme_quotes_the_files_that_it_names() {
    let blocks = read_blocks();
    let excerpts: Vec<_> = blocks.iter().filter(|block| ["cedar", "yaml"].contains(&block.language)).collect();
    assert!(excerpts.len() >= 2, "the README shows a policy and a test of it");
    for block in excerpts {
        let name = quoted(block.prose).last().unwrap();
        let file = fs::read_to_string(shipped_directory(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(file.contains(&format!("{}\n", block.text)), "{name} does not hold\n{}", block.text);
    }
}

#[test]
fn the_readme_names_only_what_is_there() {
    assert!(README.contains(&format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"))));
    let prose: Vec<_> = read_blocks().iter().map(|block| block.prose).collect();
    let links = prose.iter().flat_map(|prose| prose.split("](").skip(1)).map(|rest| rest.split(')').next().unwrap());
    let files = prose
        .iter()
        .flat_map(|prose| quoted(prose))
        .filter(|text| ["policies/", "schema/", "scripts/", "docs/"].iter().any(|folder| text.starts_with(folder)));
    let scripts = NOT_RUN.iter().map(|(script, _)| *script);
    let named: Vec<_> = links.chain(files).chain(scripts).collect();
    assert!(named.len() >= 7, "{named:?}");
    for name in named {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "there is no {name}");
        assert!(README.contains(name), "the README does not speak of {name}");
    }
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
