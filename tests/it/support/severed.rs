//! A Postgres whose connections break at a chosen moment: the server has done what it was told, and nobody hears of it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::postgres::postgres_url;

/// A fresh database behind a relay. The relay ends when this is dropped.
pub(crate) struct Severed {
    /// By way of the relay.
    pub(crate) url: String,
    /// The answer to a message that holds this is lost, and its connection with it.
    trap: Arc<Mutex<Option<&'static str>>>,
    relay: JoinHandle<()>,
}

impl Drop for Severed {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

impl Severed {
    pub(crate) async fn new() -> Self {
        let direct = postgres_url().await;
        let address = direct.split(['@', '/']).find(|part| part.starts_with("127.0.0.1:")).unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = direct.replace(&address, &listener.local_addr().unwrap().to_string());
        let trap = Arc::new(Mutex::new(None));
        let relay = tokio::spawn(relay(listener, address, Arc::clone(&trap)));
        Self { url, trap, relay }
    }

    /// From now on, whoever sends this loses the answer and the connection.
    pub(crate) fn lose_answers_to(&self, text: &'static str) {
        *self.trap.lock().unwrap() = Some(text);
    }

    pub(crate) fn lose_nothing(&self) {
        *self.trap.lock().unwrap() = None;
    }
}

async fn relay(listener: TcpListener, address: String, trap: Arc<Mutex<Option<&'static str>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(&address).await.unwrap();
        tokio::spawn(pass(client, server, Arc::clone(&trap)));
    }
}

/// Passes bytes both ways until one side ends, or the trap closes.
async fn pass(mut client: TcpStream, mut server: TcpStream, trap: Arc<Mutex<Option<&'static str>>>) {
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let trap = *trap.lock().unwrap();
                let caught = trap.is_some_and(|text| asked[..length].windows(text.len()).any(|part| part == text.as_bytes()));
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                if caught {
                    // It has been done when the server answers; that is where the answer ends.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
