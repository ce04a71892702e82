//! A write of which nobody knows whether it happened is told as such, with what to do about it.

use crate::support::app::{Setup, TestApp};

/// Ends the connection of whoever commits a new organization, at the last moment.
const BREAK: &str = "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; \
     CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON org DEFERRABLE INITIALLY DEFERRED \
     FOR EACH ROW EXECUTE FUNCTION at_commit()";

/// A server on Postgres whose commits of new organizations are never answered.
pub(super) async fn unsure() -> TestApp {
    let app = TestApp::with(Setup { postgres: true, ..Setup::default() }).await;
    app.execute(BREAK).await;
    app
}
