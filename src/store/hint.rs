//! Hints of Postgres that something was written. A hint may be lost or late: the poll is the truth.

use std::time::Duration;

use sqlx::{pool::PoolOptions, postgres::PgListener};
use tokio::time::timeout;

use super::{Engine, Store, write::CHANNEL};

/// A connection that went silent looks like a quiet one, so each is used for a while only.
const LIFETIME: Duration = Duration::from_mins(1);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// The hints of one follower.
#[derive(Debug)]
pub struct Hints {
    store: Store,
    listener: Option<PgListener>,
}

impl Store {
    /// Hints of writes by others.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints { store: self.clone(), listener: None }
    }
}

impl Hints {
    /// Returns when there may be something new: a write was announced, or announcements may have been missed. On SQLite, never.
    pub async fn next(&mut self) {
        let Engine::Postgres(pools) = &self.store.engine else { return std::future::pending().await };
        if let Some(listener) = &mut self.listener {
            // `None` and errors are gaps; a connection that was reset comes back as an error for ever.
            let told = timeout(LIFETIME, listener.try_recv()).await;
            if !matches!(told, Ok(Ok(Some(_)))) {
                self.listener = None;
            }
            while self.listener.as_mut().and_then(PgListener::next_buffered).is_some() {}
            return;
        }
        let options = PoolOptions::new().max_connections(1).acquire_timeout(PAUSE * 4);
        let pool = options.connect_lazy_with((*pools.reader.connect_options()).clone());
        let connected = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        match connected.await {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => {
                tracing::debug!(%error, "nobody announces writes; the poll finds them");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
