//! The built program as a process of its own, with a clean environment, and a client that speaks to it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

/// Nothing here takes this long, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a server may take to end in order.
const END: Duration = Duration::from_secs(30);

/// A command that is to run in `directory`; nothing of this process's environment reaches it.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command.args(arguments).current_dir(directory).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command that must end by itself.
pub(crate) fn run(command: Command) -> Output {
    run_with(command, "")
}

/// Runs a command that must end by itself, with a text on its standard input.
pub(crate) fn run_with(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (read_bytes(child.stdout.take().unwrap()), read_bytes(child.stderr.take().unwrap()));
    // A command that does not want it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let status = wait(&mut child, PATIENCE, &format!("{command:?} does not end"));
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn read_bytes(mut output: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Waits for the end of a process, which is killed when it does not come.
fn wait(child: &mut Child, patience: Duration, complaint: &str) -> std::process::ExitStatus {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{complaint}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The policies or the schema of this repository.
pub(crate) fn shipped_directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Copies the files of a directory, without its folders.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// A server that said it is ready. It ends when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// What the ready line says.
    pub(crate) ready: Value,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    url: String,
    client: reqwest::Client,
}

/// What a server said by the time it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a server and waits for its ready line.
    pub(crate) fn start(command: Command) -> Self {
        let shown = format!("{command:?}");
        Self::start_or_end(command)
            .unwrap_or_else(|ended| panic!("{shown} does not become ready: {}", String::from_utf8_lossy(&ended.stderr)))
    }

    /// The same, where it may end instead: then with everything that it said.
    pub(crate) fn start_or_end(mut command: Command) -> Result<Self, Output> {
        let mut child = command.spawn().unwrap();
        let (stdout, first) = read_lines(child.stdout.take().unwrap());
        let stderr = read_bytes(child.stderr.take().unwrap());
        let line = first.recv_timeout(PATIENCE);
        let Ok(line) = line else {
            if line == Err(RecvTimeoutError::Timeout) {
                child.kill().unwrap();
            }
            let status = wait(&mut child, END, "the server closed its output and does not end");
            return Err(Output { status, stdout: stdout.join().unwrap().into_bytes(), stderr: stderr.join().unwrap() });
        };
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        let client = client().build().unwrap();
        Ok(Self { child, ready, stdout: Some(stdout), stderr: Some(stderr), url, client })
    }

    /// A text of the ready line.
    pub(crate) fn told(&self, pointer: &str) -> String {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {}", self.ready)).to_owned()
    }

    /// Somebody who shows this key or token.
    pub(crate) fn bearer(&self, secret: &str) -> Visitor {
        Visitor { client: self.client.clone(), url: self.url.clone(), secret: secret.to_owned(), trace: None }
    }

    /// Asks it to stop, and tells what it said until then.
    pub(crate) fn stop(self) -> Said {
        send("TERM", self.pid());
        self.ended()
    }

    /// Waits until it has ended in order, and tells what it said until then.
    pub(crate) fn ended(mut self) -> Said {
        let status = wait(&mut self.child, END, "the server does not stop");
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = String::from_utf8(self.stderr.take().unwrap().join().unwrap()).unwrap();
        Said { code: status.code(), stdout, stderr }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in its tracks, as a machine does that sleeps.
    pub(crate) fn pause(&self) {
        send("STOP", self.pid());
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        send("CONT", self.pid());
    }

    /// Ends it as a power failure would: with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE)
}

/// Sends a signal to a process.
pub(crate) fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "SIG{signal} to {pid}");
}

/// Reads to the end, and tells of the first line at once.
fn read_lines(output: impl Read + Send + 'static) -> (JoinHandle<String>, Receiver<String>) {
    let (sender, first) = mpsc::channel();
    let mut output = BufReader::new(output);
    let reading = thread::spawn(move || {
        let mut all = String::new();
        if output.read_line(&mut all).is_ok_and(|length| length > 0) {
            let _ = sender.send(all.clone());
        }
        let _ = output.read_to_string(&mut all);
        all
    });
    (reading, first)
}

/// Somebody with a key or an admin token.
#[derive(Clone)]
pub(crate) struct Visitor {
    client: reqwest::Client,
    url: String,
    secret: String,
    trace: Option<String>,
}

/// Status and body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The revision that it names.
    pub(crate) revision: Option<u64>,
}

impl Visitor {
    /// Somebody who shows this key or token at an address that is not the server's own; with a connection for each request, if so.
    pub(crate) fn at(url: &str, secret: &str, one_connection_each: bool) -> Self {
        let client = if one_connection_each { client().pool_max_idle_per_host(0) } else { client() };
        Self { client: client.build().unwrap(), url: url.to_owned(), secret: secret.to_owned(), trace: None }
    }

    /// The same, in the middle of a trace.
    pub(crate) fn traced(mut self, parent: &str) -> Self {
        self.trace = Some(parent.to_owned());
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await.unwrap()
    }

    /// Asks for one decision on the key's own org.
    pub(crate) async fn authorize(&self, action: &str) -> Reply {
        self.post("/v1/authorize", json!({ "action": action })).await
    }

    /// An error is a request without an answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Reply> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.secret);
        if let Some(parent) = &self.trace {
            request = request.header("traceparent", parent);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let revision = answer.headers().get("claviger-revision").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Reply { status, body: answer.json().await?, revision })
    }

    /// Makes an org of this slug and returns its id.
    pub(crate) async fn create_org(&self, slug: &str) -> String {
        self.post("/v1/orgs", json!({ "name": slug, "slug": slug })).await.expect(201).text("/org/id")
    }

    /// Makes a key; returns its id and its secret.
    pub(crate) async fn create_key(&self, org: &str, permissions: &[&str]) -> (String, String) {
        let body = json!({ "name": "CI", "environment": "live", "permissions": permissions });
        let reply = self.post(&format!("/v1/orgs/{org}/keys"), body).await.expect(201);
        (reply.text("/key/id"), reply.text("/secret"))
    }
}

impl Reply {
    /// The same, when it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {}", self.body)).to_owned()
    }

    /// The code of the error.
    pub(crate) fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}
