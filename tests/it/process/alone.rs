//! An SQLite file has one server, whatever the file is called; commands work beside it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
    time::Duration,
};

use tempfile::TempDir;

use super::serve::Place;
use crate::support::program::{Program, command, run};

/// Nothing on stdout, and one sentence that names the file and says what to do.
#[track_caller]
pub(super) fn assert_taken(output: &Output, file: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stdout), (Some(1), ""), "{stderr}");
    let told: Vec<_> = stderr.lines().filter(|line| !line.starts_with('{')).collect();
    let words = format!("error: a server already runs on the database file `{file}`; stop it first");
    assert!(told.len() == 1 && told[0].starts_with(&words), "{stderr}");
}

fn file_of(place: &Place) -> &str {
    place.url.strip_prefix("sqlite:").unwrap()
}

#[test]
fn a_second_server_on_the_file_is_refused_by_whatever_path_it_comes() {
    let place = Place::sqlite();
    let server = place.serve();
    let (database, elsewhere) = (Path::new(file_of(&place)), TempDir::new().unwrap());
    let (link, folder) = (elsewhere.path().join("linked.db"), elsewhere.path().join("folder"));
    symlink(database, &link).unwrap();
    symlink(place.path(), &folder).unwrap();
    let paths = [
        file_of(&place).to_owned(),
        "claviger.db".to_owned(),
        "./claviger.db".to_owned(),
        link.display().to_string(),
        folder.join("claviger.db").display().to_string(),
    ];
    for path in &paths {
        let mut second = place.command(&[]);
        second.env("CLAVIGER_DATABASE__URL", format!("sqlite:{path}"));
        assert_taken(&run(second), path);
    }
    let mode = fs::metadata(place.path().join("claviger.db.lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(server);
    // By another name of the file, and after a kill: the lock is the process's.
    let mut second = place.command(&[]);
    second.env("CLAVIGER_DATABASE__URL", format!("sqlite:{}", link.display()));
    let second = Program::start(second);
    assert_taken(&run(place.command(&[])), file_of(&place));
    assert_eq!(second.stop().code, Some(0));
    drop(place.serve());
}

#[tokio::test]
async fn commands_write_beside_the_server_which_sees_it_within_a_second() {
    let place = Place::sqlite();
    let server = place.serve();
    let owner = server.bearer(&place.owner().await);
    let org = owner.create_org("acme").await;
    let (_, secret) = owner.create_key(&org, &["scan:create"]).await;
    server.bearer(&secret).authorize("scan:create").await.expect(200);
    let suspended =
        run(command(place.path(), &["org", "suspend", "acme", "--reason", "unpaid", "--yes", "--database", &place.url]));
    assert!(suspended.status.success(), "{}", String::from_utf8_lossy(&suspended.stderr));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let denied = server.bearer(&secret).authorize("scan:create").await.expect(403);
    assert_eq!(denied.code(), "ORGANIZATION_SUSPENDED");
}

#[tokio::test]
async fn a_reset_beside_a_server_deletes_nothing() {
    let directory = TempDir::new().unwrap();
    let dev = |more: &[&str]| {
        command(directory.path(), &[&["dev", "--listen", "127.0.0.1:0", "--data-dir", "data", "-o", "json"], more].concat())
    };
    let server = Program::start(dev(&[]));
    let admin = server.bearer(&server.told("/admin_token"));
    admin.create_org("kept").await;
    for more in [&["--reset"][..], &[]] {
        assert_taken(&run(dev(more)), "data/claviger.db");
    }
    let serve = run(command(directory.path(), &["serve", "--listen", "127.0.0.1:0", "--database", "sqlite:data/claviger.db"]));
    assert_taken(&serve, "data/claviger.db");
    server.bearer(&server.told("/keys/full_access")).authorize("jobs:read").await.expect(200);
    server.kill();
    // A server goes on with a file that was deleted under it; the next one shows what is left.
    let orgs = async |server: &Program| {
        let listed = server.bearer(&server.told("/admin_token")).get("/v1/orgs").await.expect(200);
        listed.body["data"].as_array().unwrap().len()
    };
    let next = Program::start(dev(&[]));
    assert_eq!(orgs(&next).await, 2);
    next.kill();
    assert_eq!(orgs(&Program::start(dev(&["--reset"]))).await, 1);
}

#[test]
fn a_lock_that_cannot_be_had_is_told_in_one_sentence() {
    let place = Place::sqlite();
    fs::create_dir(place.path().join("claviger.db.lock")).unwrap();
    drop(fs::File::create(place.path().join("claviger.db")).unwrap());
    let refused = run(place.command(&[]));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!((refused.status.code(), &*refused.stdout), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.contains("claviger.db.lock`, by which no second server starts"), "{stderr}");

    let mut nowhere = place.command(&[]);
    nowhere.env("CLAVIGER_DATABASE__URL", "sqlite:none/claviger.db");
    let stderr = String::from_utf8(run(nowhere).stderr).unwrap();
    assert!(stderr.contains("the directory `none` does not exist; create it"), "{stderr}");
}
