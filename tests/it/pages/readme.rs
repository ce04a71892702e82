//! The README: its commands are run in order, its output is what they say, its excerpts are what the files hold.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Page, Reader, quoted};
use crate::support::{
    postgres::postgres_url,
    program::{copy_files, shipped_directory},
};

/// The commands that this test does not run, and why.
const NOT_RUN: [(&str, &str); 4] = [
    ("scripts/observe", "tests/it/deploy runs it on other ports"),
    ("scripts/test", "it runs this very test"),
    ("benches/faults", "it breaks things for long"),
    ("scripts/bench", "it measures for minutes what a debug build cannot show"),
];

/// The README says "within a second" of what a running server does not know at once.
const SOON: Duration = Duration::from_secs(2);

fn readme() -> Page {
    Page::read("README.md", &NOT_RUN)
}

/// The second terminal of somebody who follows the README, in a copy of the part of the repository that the program reads.
fn newcomer(postgres: String) -> Reader {
    let mut newcomer = Reader::new(SOON);
    newcomer.places = vec![
        ("postgres://claviger@localhost/claviger", postgres),
        ("http://localhost:4318", "http://127.0.0.1:9".to_owned()),
        ("--listen 0.0.0.0:8080", "--listen 127.0.0.1:0".to_owned()),
        ("cargo run --release -- dev", format!("{} dev --listen 127.0.0.1:0 -o json", env!("CARGO_BIN_EXE_claviger"))),
    ];
    for folder in ["policies", "policies/tests", "schema"] {
        copy_files(&shipped_directory(folder), &newcomer.repository().join(folder));
    }
    let built = newcomer.repository().join("target/release");
    fs::create_dir_all(&built).unwrap();
    symlink(env!("CARGO_BIN_EXE_claviger"), built.join("claviger")).unwrap();
    newcomer
}

#[tokio::test]
async fn every_command_of_the_readme_works_and_says_what_is_shown() {
    let readme = readme();
    let mut newcomer = newcomer(postgres_url().await);
    let mut said = String::new();
    for (block, next) in readme.steps() {
        for command in quoted(block.prose).filter(|text| text.starts_with("claviger ")) {
            newcomer.types(command);
        }
        said += &newcomer.follows(&readme, block, next);
    }
    let [dev, production] = &*newcomer.servers else { panic!("the README starts two servers") };
    let refused = dev.bearer("op_live_nobody").authorize("jobs:read").await.expect(401);
    assert!(readme.text.contains(&format!("`401 {}`", refused.code())));
    let token = said.lines().find(|line| line.starts_with("op_admin_")).expect("an admin token");
    production.bearer(token).get("/v1/orgs").await.expect(200);
    for (place, _) in newcomer.places {
        assert!(readme.text.contains(place), "the README does not speak of {place}");
    }
}

#[test]
fn the_page_of_dev_holds_commands_that_do_what_it_says() {
    let newcomer = newcomer(String::new());
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
    fn start(newcomer: &Reader) -> (Self, String) {
        let path = newcomer.home().join("page");
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
    readme().is_proved_block_by_block(&["cedar", "yaml"]);
}

#[test]
fn the_readme_quotes_the_files_that_it_names() {
    let readme = readme();
    let excerpts: Vec<_> = readme.blocks.iter().filter(|block| ["cedar", "yaml"].contains(&block.language)).collect();
    assert!(excerpts.len() >= 2, "the README shows a policy and a test of it");
    for block in excerpts {
        let name = quoted(block.prose).last().unwrap();
        let file = fs::read_to_string(shipped_directory(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(file.contains(&format!("{}\n", block.text)), "{name} does not hold\n{}", block.text);
    }
}

#[test]
fn the_readme_names_only_what_is_there() {
    let readme = readme();
    assert!(readme.text.contains(&format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"))));
    let files = readme
        .blocks
        .iter()
        .flat_map(|block| quoted(block.prose))
        .filter(|text| ["policies/", "schema/", "scripts/", "docs/"].iter().any(|folder| text.starts_with(folder)));
    let scripts = NOT_RUN.iter().map(|(script, _)| *script);
    let named: Vec<_> = readme.links().into_iter().chain(files.chain(scripts).map(str::to_owned)).collect();
    assert!(named.len() >= 7, "{named:?}");
    for name in named {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name).exists(), "there is no {name}");
        assert!(readme.text.contains(&name), "the README does not speak of {name}");
    }
}
