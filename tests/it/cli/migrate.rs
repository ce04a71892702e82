//! `claviger migrate`.

use serde_json::json;

use super::Shell;
use crate::support::{
    engines::config,
    postgres::{drop_database, postgres_url},
    program::shipped_directory,
};

#[tokio::test]
async fn a_database_is_brought_up_to_date_once() {
    for url in ["sqlite:claviger.db".to_owned(), postgres_url().await] {
        let shell = Shell::on(&url);
        if url.starts_with("sqlite") {
            std::fs::write(shell.path().join("claviger.db"), "").unwrap();
        }
        let status = shell.run(&["migrate", "status"]).expect(3);
        assert!(status.out.contains("0001_init"), "{status:?}");
        shell.run(&["org", "list"]).refused(1, "claviger migrate up");
        let path = |name| shipped_directory(name).display().to_string();
        let serve =
            ["serve", "--no-migrate", "--listen", "127.0.0.1:0", "--policies", &path("policies"), "--schema", &path("schema")];
        let refused = shell.run(&serve).expect(1);
        assert!(refused.out.is_empty() && refused.err.contains("the migration `0001_init` is pending"), "{refused:?}");

        assert_eq!(shell.json(&["migrate", "up"]), json!({ "applied": ["0001_init", "0002_expand_replicas"] }));
        assert_eq!(shell.json(&["migrate", "up"]), json!({ "applied": [] }));
        assert_eq!(shell.json(&["migrate", "status"]), json!({ "pending": [] }));
        shell.run(&["org", "list"]).expect(0);
        if !url.starts_with("sqlite") {
            drop_database(&config(&url).url).await;
        }
    }
}
