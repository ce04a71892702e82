//! Commands beside a running server, on the same database.

use std::time::Duration;

use super::Shell;
use crate::support::postgres::{drop_database, postgres_url};

#[tokio::test]
async fn a_command_is_honoured_by_a_running_server_within_a_second() {
    for url in ["sqlite:claviger.db".to_owned(), postgres_url().await] {
        let shell = Shell::on(&url);
        shell.org("Acme");
        let server = shell.serve();
        let (revoked, secret) = shell.key("acme", "scan:create");
        let (disabled, other) = shell.key("acme", "scan:create");
        let (key, other) = (server.bearer(&secret), server.bearer(&other));
        let second = || tokio::time::sleep(Duration::from_secs(1));
        second().await;
        key.authorize("scan:create").await.expect(200);
        other.authorize("scan:create").await.expect(200);

        shell.run(&["org", "suspend", "acme", "--reason", "unpaid", "--yes"]).expect(0);
        second().await;
        assert_eq!(key.authorize("scan:create").await.expect(403).code(), "ORGANIZATION_SUSPENDED");
        shell.run(&["org", "unsuspend", "acme", "--reason", "paid"]).expect(0);
        second().await;
        key.authorize("scan:create").await.expect(200);

        shell.run(&["key", "revoke", &revoked, "--yes"]).expect(0);
        shell.run(&["key", "disable", &disabled, "--yes"]).expect(0);
        second().await;
        key.authorize("scan:create").await.expect(401);
        other.authorize("scan:create").await.expect(401);
        shell.run(&["key", "enable", &disabled]).expect(0);
        second().await;
        other.authorize("scan:create").await.expect(200);
        drop(server);
        if url.starts_with("postgres") {
            drop_database(&url).await;
        }
    }
}
