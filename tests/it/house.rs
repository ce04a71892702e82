//! The house keeps its floor plan: imports point down the stairs, files stay small, names say something.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room, the rooms below it that it may import, and what it must not touch at all.
const ROOMS: [(&str, &[&str], &[&str]); 9] = [
    ("domain", &[], &["tokio", "sqlx", "axum", "cedar_policy", "std::fs"]),
    ("policy", &["domain"], &["tokio", "sqlx", "axum", "std::fs", "std::net", "SystemTime", "Instant::now"]),
    ("prove", &["domain", "policy"], &["sqlx", "axum", "std::fs", "std::net", "SystemTime", "Instant::now"]),
    ("store", &["domain"], &["axum", "cedar_policy"]),
    ("telemetry", &["domain"], &["axum", "sqlx::", "cedar_policy"]),
    ("snapshot", &["domain", "policy", "store"], &["axum", "sqlx", "cedar_policy"]),
    ("http", &["domain", "policy", "store", "snapshot", "telemetry"], &["sqlx", "cedar_policy", "std::fs"]),
    ("config", &["domain", "policy", "store", "snapshot", "telemetry"], &["tokio", "axum", "sqlx", "cedar_policy"]),
    ("cli", &["domain", "policy", "prove", "store", "snapshot", "http", "config", "telemetry"], &["sqlx"]),
];

const LONGEST: usize = 500;
const EMPTY_NAMES: [&str; 8] = ["util", "helper", "common", "misc", "manager", "service", "impl", "types"];

/// Every Rust file below a folder of the repository.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    assert!(!files.is_empty(), "there are no sources in {folder}");
    files.sort();
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string()
}

/// The room that a file of `src` belongs to; `lib.rs` and `main.rs` are the stairwell.
fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    let room = first.trim_end_matches(".rs").to_owned();
    (!matches!(room.as_str(), "lib" | "main")).then_some(room)
}

/// The code without its comments: prose may name any room.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms that a file names: `crate::room`, also inside `use crate::{ … }`.
fn imported(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.push(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    rooms.push(word(item.trim_start()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                rooms.push(word(item.trim_start()));
                break;
            }
            item.push(c);
        }
    }
    rooms.retain(|room| ROOMS.iter().any(|(known, ..)| known == room));
    rooms
}

#[test]
fn imports_point_down_the_stairs() {
    let mut wrong = Vec::new();
    for path in sources("src") {
        let Some(room) = room(&path) else { continue };
        let Some((_, below, banned)) = ROOMS.iter().find(|(known, ..)| *known == room) else {
            panic!("{}: the room `{room}` is not in the floor plan of tests/it/house.rs", shown(&path));
        };
        let code = code(&fs::read_to_string(&path).unwrap());
        let up = imported(&code).into_iter().filter(|other| *other != room && !below.contains(&other.as_str()));
        wrong.extend(up.map(|other| format!("{}: `{room}` must not import `{other}`", shown(&path))));
        let touched = banned.iter().filter(|name| code.contains(*name));
        wrong.extend(touched.map(|name| format!("{}: `{room}` must not touch `{name}`", shown(&path))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn status_codes_are_known_to_one_file() {
    for path in sources("src").into_iter().filter(|path| !path.ends_with("http/error.rs")) {
        let code = code(&fs::read_to_string(&path).unwrap());
        assert!(!code.contains("StatusCode"), "{}: status codes belong into http/error.rs", shown(&path));
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    for path in ["src", "crates", "tests", "benches"].into_iter().flat_map(sources) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", shown(&path));
    }
}

#[test]
fn names_of_files_say_something() {
    for path in ["src", "crates", "tests", "benches"].into_iter().flat_map(sources) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name != "mod", "{}: write foo.rs beside foo/", shown(&path));
        let empty = EMPTY_NAMES.iter().find(|word| name.split('_').any(|part| part.trim_end_matches('s') == **word));
        assert!(empty.is_none(), "{}: the name says nothing", shown(&path));
    }
}

#[test]
fn the_repository_speaks_of_the_product_alone() {
    let root = env!("CARGO_MANIFEST_DIR");
    let absolute = ["/work/", "/home/", "/root/"];
    for path in ["src", "crates", "benches", "tests"].into_iter().flat_map(sources) {
        let text = fs::read_to_string(&path).unwrap();
        let found = absolute.iter().find(|place| text.contains(&place.to_string()) && !path.ends_with("house.rs"));
        assert!(found.is_none() && (root.len() < 3 || !text.contains(root)), "{} names a place of one machine", shown(&path));
    }
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn everything_shipped_is_in_the_binary() {
    let shipped: Vec<&str> = claviger::policy::SHIPPED.iter().map(|(path, _)| *path).collect();
    let mut found = Vec::new();
    for folder in ["policies", "policies/invariants", "policies/tests", "schema"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push(shown(&path));
            }
        }
    }
    found.sort();
    assert_eq!(found, shipped);
}
