//! A throw-away Postgres: one cluster for the test process, gone with it, however it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Makes and starts the cluster, says so, and waits for the end of its standard input, which comes with the end of the test
/// process. ICU's collation makes the tests see what depends on a collation; releases before 15 cannot have it as default.
const SCRIPT: &str = r#"
    bin=$1 port=$2
    dir=$(mktemp -d "${TMPDIR:-/tmp}/claviger-postgres.XXXXXX") || exit 1
    trap 'rm -rf "$dir"' EXIT
    make() { "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-sync "$@" >>"$dir/log" 2>&1; }
    make --locale-provider=icu --icu-locale=en-US --locale=C || make --locale=C || { cat "$dir/log"; exit 1; }
    options="-h 127.0.0.1 -p $port -k $dir -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_connections=300 -c shared_buffers=32MB"
    "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "$options" -w start >/dev/null 2>&1 || { cat "$dir/log"; exit 1; }
    echo ready
    while read -r order; do
        main=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null)
        case $order in
            stop) "$bin/pg_ctl" -D "$dir/data" -m fast -w stop ;;
            start) "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "$options" -w start ;;
            kill) kill -9 "$main" $(pgrep -P "$main"); while kill -0 "$main"; do sleep 0.05; done ;;
        esac >/dev/null 2>&1
        echo "$order: $?"
    done
    "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
"#;

/// A running cluster. Dropping its child's standard input ends it.
pub(crate) struct Cluster {
    port: u16,
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// One for a single claim, which may stop and kill it.
    pub(crate) fn own() -> Self {
        start()
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:unasked@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends all connections and stops it in order.
    pub(crate) fn stop(&mut self) {
        self.order("stop");
    }

    /// Starts it again, after either end.
    pub(crate) fn start(&mut self) {
        assert_eq!(self.order("start"), "start: 0\n");
    }

    /// Ends all its processes at once, as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.order("kill");
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(answer.starts_with(order), "{order}: {answer}");
        answer
    }
}

/// A fresh, empty database, as a URL.
pub(crate) async fn postgres_url() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("claviger_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&format!("CREATE DATABASE {name}")).await;
    server_url(&name)
}

/// Ends every connection to the database of this URL and deletes it.
pub(crate) async fn drop_database(url: &str) {
    let name = url.rsplit('/').next().unwrap();
    execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn execute(sql: &str) {
    let mut connection = PgConnection::connect(&server_url("postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// The URL of a database of the cluster, which starts with the first call. The password is none: every connection is trusted.
pub(crate) fn server_url(database: &str) -> String {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let port = CLUSTER.get_or_init(|| Mutex::new(start())).lock().unwrap().port;
    format!("postgres://postgres:unasked@127.0.0.1:{port}/{database}")
}

fn start() -> Cluster {
    let bin = newest_binaries().expect(
        "these tests need a real Postgres and found none under /usr/lib/postgresql or in PATH: \
         install one, for example with `apt-get install postgresql`",
    );
    let mut log = String::new();
    // A free port can be taken by somebody else before Postgres gets it.
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match start_on(&bin, port) {
            Ok((child, answers)) => return Cluster { port, child, answers },
            Err(text) => log = text,
        }
    }
    panic!("Postgres in {} does not start:\n{log}", bin.display());
}

fn start_on(bin: &Path, port: u16) -> Result<(Child, BufReader<ChildStdout>), String> {
    let mut command = unprivileged();
    command.args(["sh", "-c", SCRIPT, "sh"]).arg(bin).arg(port.to_string());
    // Ctrl-C is for the tests; the script must live on to clean up.
    command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    if first == "ready\n" {
        return Ok((child, output));
    }
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    Err(first + &rest)
}

/// Postgres refuses to run as root: then everything is done by the user `postgres`.
fn unprivileged() -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        command
    } else {
        Command::new("env")
    }
}

fn newest_binaries() -> Option<PathBuf> {
    let mut packaged: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        packaged.extend(version.map(|version| (version, entry.path().join("bin"))));
    }
    packaged.sort();
    let packaged = packaged.into_iter().rev().map(|(_, bin)| bin);
    let path = std::env::var_os("PATH").unwrap_or_default();
    packaged.chain(std::env::split_paths(&path)).find(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
}
