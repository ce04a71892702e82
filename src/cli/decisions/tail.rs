//! `claviger decisions tail`: the stream of events, line by line.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use reqwest::Response;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::view;
use crate::cli::{
    exit::Exit,
    failure::Failure,
    output::{Output, cell, say},
    remote::AdminServer,
};

/// A stream speaks at least every ten seconds; one that does not has lost its server.
const SILENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of one event; a decision has far fewer.
const LONGEST: usize = 1024 * 1024;

/// Prints decisions until the server cannot be reached any more or the reader has gone away. A stream that ended is taken up
/// again where it was.
pub(super) async fn follow(server: &AdminServer, output: Output, query: &str) -> Result<Exit, Failure> {
    let path = format!("/v1/decisions/stream?{}", query.trim_start_matches('&'));
    let mut last = None;
    let mut response = server.stream(&path, None).await?;
    loop {
        let mut events = Events { response, bytes: Vec::new() };
        let failure = loop {
            match events.next(server).await {
                Ok(Some(event)) => {
                    if !tell(&event, output)? {
                        return Ok(Exit::Ok);
                    }
                    last = event.id.or(last);
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        say(&failure
            .map_or_else(|| "the stream has ended; trying again".to_owned(), |failure| format!("{failure}; trying again")));
        sleep(PAUSE).await;
        response = server.stream(&path, last.as_deref()).await?;
    }
}

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

struct Events {
    response: Response,
    bytes: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end.
    async fn next(&mut self, server: &AdminServer) -> Result<Option<Event>, Failure> {
        loop {
            while let Some(block) = take_block(&mut self.bytes) {
                if let Some(event) = parse(&block) {
                    return Ok(Some(event));
                }
            }
            if self.bytes.len() > LONGEST {
                return Err(Failure::failed("the answer is no stream of decisions"));
            }
            let silent = |_| Failure::new(Exit::Unreachable, format!("nothing was heard for {} s", SILENCE.as_secs()));
            let chunk = timeout(SILENCE, self.response.chunk()).await.map_err(silent)?;
            match chunk.map_err(|error| server.broken(&error))? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Takes the lines up to an empty one.
fn take_block(bytes: &mut Vec<u8>) -> Option<String> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let block: Vec<u8> = bytes.drain(..end + 2).collect();
    Some(String::from_utf8_lossy(&block).into_owned())
}

/// An event; a comment is none.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("data", data)) => event.data.push_str(data),
            _ => {}
        }
    }
    (!event.data.is_empty()).then_some(event)
}

/// Prints an event; false when nobody reads any more.
fn tell(event: &Event, output: Output) -> Result<bool, Failure> {
    let data: Value = serde_json::from_str(&event.data).map_err(|_| Failure::failed("the answer is no stream of decisions"))?;
    if event.name == "lost" {
        let count = data.get("lost").filter(|count| !count.is_null());
        say(&format!("{} decisions were lost", count.map_or_else(|| "some".to_owned(), |count| cell(Some(count)))));
        return Ok(true);
    }
    let line = match output {
        Output::Json => event.data.clone(),
        Output::Id => cell(data.get("id")),
        Output::Table => columns(&data),
    };
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(format!("the output cannot be written: {error}"))),
        Ok(()) => Ok(true),
    }
}

/// A line of a table that has no end: each column is as wide as it mostly needs to be.
fn columns(data: &Value) -> String {
    let row = view::row(data);
    let texts = view::COLUMNS.map(|name| cell(row.get(name)));
    let [time, decision, action, key, org, why, id] = texts;
    format!("{time}  {decision:<5}  {action:<18}  {key:<30}  {org:<30}  {why:<26}  {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": hello\n\nid: dec_1\ndata: {\"a\":1}\n\nevent: lost\ndata: {\"lost\":3}\n\n: nothing new\n\n";
        for cut in 0..text.len() {
            let mut bytes = text.as_bytes()[..cut].to_vec();
            let mut events: Vec<_> = std::iter::from_fn(|| take_block(&mut bytes)).filter_map(|block| parse(&block)).collect();
            bytes.extend_from_slice(&text.as_bytes()[cut..]);
            events.extend(std::iter::from_fn(|| take_block(&mut bytes)).filter_map(|block| parse(&block)));
            let decision = Event { id: Some("dec_1".to_owned()), name: String::new(), data: "{\"a\":1}".to_owned() };
            let lost = Event { id: None, name: "lost".to_owned(), data: "{\"lost\":3}".to_owned() };
            assert_eq!(events, [decision, lost], "{cut}");
        }
    }
}
