//! A directory and a database for the program under test, and a second database of the same schema for bare inserts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgPool, PgPoolOptions};
use tempfile::TempDir;
use tokio::net::TcpStream;
use vestibule::store::token::INSERT;

use crate::load;
use crate::provider::Provider;

/// Where the application's browsers are sent back to.
pub const CALLBACK: &str = "https://app.example/cb";

/// The password of `ada`.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// A database, and where the program runs on it.
pub struct Place {
    /// For people.
    pub name: &'static str,
    /// An application with every grant that is measured.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Applications whose access tokens are JWTs, by ES256 and by RS256.
    pub jwt_clients: [Client; 2],
    /// The number of the first application, and of `ada`, in the database.
    pub ids: (i64, i64),
    directory: TempDir,
    database_url: String,
    bare_url: String,
}

/// An application's credentials.
#[derive(Default)]
pub struct Client {
    id: String,
    secret: String,
}

impl Client {
    /// The form of a grant.
    pub fn form(&self, grant_type: &str) -> String {
        format!("grant_type={grant_type}&client_id={}&client_secret={}", self.id, self.secret)
    }
}

/// A row that a path stores.
#[derive(Clone, Copy)]
pub enum Row {
    /// An access token and a refresh token of a person.
    Pair,
    /// An access token of an application.
    Access,
    /// The id of a DPoP proof.
    Seen,
}

/// A running `vestibule serve`.
pub struct Server {
    /// Host and port.
    pub address: String,
    child: Child,
}

/// What the token endpoint gave.
pub struct Tokens {
    /// Access token.
    pub access_token: String,
    /// Refresh token; empty where there is none.
    pub refresh_token: String,
}

impl Place {
    /// A file in a temporary directory.
    pub fn sqlite() -> Self {
        Self::new("SQLite", "sqlite://bench.db".to_owned(), "sqlite://bare.db".to_owned())
    }

    /// Two new databases on the server that TEST_POSTGRES_URL names.
    pub fn postgres() -> Self {
        let server = std::env::var("TEST_POSTGRES_URL").expect("run it by bench/run");
        let id = std::process::id();
        let [ours, bare] = ["bench", "bare"].map(|kind| {
            let name = format!("vestibule_{kind}_{id}");
            let made =
                Command::new("psql").args([&server, "-q", "-c", &format!("CREATE DATABASE {name}")]).status().unwrap();
            assert!(made.success());
            format!("{}/{name}", server.rsplit_once('/').unwrap().0)
        });
        Self::new("PostgreSQL", ours, bare)
    }

    fn new(name: &'static str, database_url: String, bare_url: String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut place = Self {
            name,
            client_id: String::new(),
            client_secret: String::new(),
            jwt_clients: Default::default(),
            ids: (0, 0),
            directory,
            database_url,
            bare_url,
        };
        for url in [place.database_url.clone(), place.bare_url.clone()] {
            let ada = place.json(&url, &["user", "create", "--username", "ada", "--password-stdin"]);
            let grants = ["password", "client-credentials", "authorization-code"].map(|grant| ["--grant-type", grant]);
            let grants = [grants.concat(), vec!["--redirect-uri", CALLBACK]].concat();
            let app = place.json(
                &url,
                &[&["app", "create", "--name", "bench", "--client-type", "confidential"][..], &grants].concat(),
            );
            if url == place.database_url {
                place.client_id = app["client_id"].as_str().unwrap().to_owned();
                place.client_secret = app["client_secret"].as_str().unwrap().to_owned();
                place.ids = (1, ada["id"].as_i64().unwrap());
                place.jwt_clients = ["ES256", "RS256"].map(|algorithm| {
                    let flags = ["--grant-type", "client-credentials", "--access-token-format", "jwt"];
                    let create = ["app", "create", "--name", "jwt", "--client-type", "confidential"];
                    let app = place.json(&url, &[&create[..], &flags, &["--signing-algorithm", algorithm]].concat());
                    let text = |name: &str| app[name].as_str().unwrap().to_owned();
                    Client { id: text("client_id"), secret: text("client_secret") }
                });
            }
        }
        place
    }

    fn command(&self, database_url: &str, arguments: &[&str]) -> Command {
        let program = std::env::current_exe().unwrap().with_file_name("vestibule");
        let mut command = Command::new(program);
        command.args(arguments).args(["--database-url", database_url]).current_dir(self.directory.path());
        command.env("HOME", self.directory.path()).stderr(Stdio::null());
        command
    }

    fn json(&self, database_url: &str, arguments: &[&str]) -> serde_json::Value {
        let mut child = self
            .command(database_url, arguments)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// The form of a grant, with the client's credentials.
    pub fn form(&self, grant_type: &str, more: &[(&str, &str)]) -> String {
        let more: String = more.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        format!("grant_type={grant_type}&client_id={}&client_secret={}{more}", self.client_id, self.client_secret)
    }

    /// Starts the program with its normal configuration, and its log in a file.
    pub fn serve(&self, provider: &Provider) -> Server {
        self.serve_on(&self.database_url, provider)
    }

    fn serve_on(&self, database_url: &str, provider: &Provider) -> Server {
        let configuration = format!("[passwords]\nhash_queue = 1000\n{}", provider.configuration());
        std::fs::write(self.directory.path().join("vestibule.toml"), configuration).unwrap();
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let mut child = self
            .command(database_url, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { address: line.trim().strip_prefix("listening on http://").unwrap().to_owned(), child }
    }

    /// Opens the database beside the program, to put into it what is measured later.
    pub async fn open(&self) -> vestibule::store::Db {
        let url = match self.database_url.strip_prefix("sqlite://") {
            Some(file) => format!("sqlite://{}", self.directory.path().join(file).display()),
            None => self.database_url.clone(),
        };
        vestibule::store::Db::open(&url, &vestibule::settings::DatabaseSettings::default()).await.unwrap()
    }

    /// Inserts of a row that a path stores, a second, by so many at once.
    pub async fn bare_inserts(&self, row: Row, connections: usize, time: Duration) -> f64 {
        if self.database_url.starts_with("sqlite") {
            let path = self.directory.path().join("bare.db");
            return tokio::task::spawn_blocking(move || bare_sqlite(&path, row, time)).await.unwrap();
        }
        let pool =
            PgPoolOptions::new().max_connections(16).test_before_acquire(false).connect(&self.bare_url).await.unwrap();
        let started = Instant::now();
        let loops = (0..connections).map(|_| bare_postgres(&pool, row, started + time));
        let total: usize = futures_util::future::join_all(loops).await.into_iter().sum();
        total as f64 / started.elapsed().as_secs_f64()
    }

    /// From the start of the process to the first answer, and what it keeps in memory when nobody asks.
    pub async fn start_and_memory(&self, provider: &Provider, starts: usize) -> String {
        let mut times = Vec::new();
        for _ in 0..starts {
            let started = Instant::now();
            let server = self.serve(provider);
            server.get_healthz().await;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let server = self.serve(provider);
        let fresh = server.resident_mb();
        let form = self.form("client_credentials", &[]);
        let request = load::Fixed::new(&server.address, load::post("/auth/token", &form));
        load::drive(&request, 64, Duration::from_secs(2)).await;
        server.token(&self.form("password", &[("username", "ada"), ("password", PASSWORD)])).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        format!(
            "Start to first answer: {:.0} ms (median of {starts}). Resident when idle: {fresh:.1} MB after the start, {:.1} MB 15 s after load.",
            crate::median(&mut times),
            server.resident_mb()
        )
    }
}

impl Server {
    /// Asks the token endpoint.
    pub async fn token(&self, form: &str) -> Tokens {
        let answer = self.ask(&load::post("/auth/token", form)).await;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Tokens { access_token: text("access_token"), refresh_token: text("refresh_token") }
    }

    /// The JSON that answers a request.
    pub async fn ask(&self, request: &str) -> serde_json::Value {
        serde_json::from_str(&self.body(request).await).unwrap()
    }

    /// Whether there is something at this path.
    pub async fn has(&self, path: &str, headers: &str) -> bool {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, load::get(path, headers).as_bytes()).await.unwrap();
        let mut status = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut socket, &mut status).await.unwrap();
        &status == b"HTTP/1.1 200"
    }

    /// The body of a GET.
    pub async fn get(&self, path: &str, headers: &str) -> String {
        self.body(&load::get(path, headers)).await
    }

    async fn body(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
        let mut buffer = Vec::new();
        let body_at = load::read_answer(&mut socket, &mut buffer).await;
        String::from_utf8(buffer[body_at..].to_vec()).unwrap()
    }

    async fn get_healthz(&self) {
        self.get("/healthz", "").await;
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Digests that no two rows share.
fn digest() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        &[number.to_le_bytes(), u64::from(std::process::id()).to_le_bytes()].concat(),
    )
    .as_ref()
    .to_vec()
}

const NOW: i64 = 1_795_000_000;

/// The statement that remembers a proof.
const SEEN: &str = "INSERT INTO vestibule_seen (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";

async fn bare_postgres(pool: &PgPool, row: Row, end: Instant) -> usize {
    let mut count = 0;
    while Instant::now() < end {
        let insert = match row {
            Row::Seen => sqlx::query(SEEN).bind(digest()).bind(NOW + 60),
            Row::Pair | Row::Access => {
                let is_pair = matches!(row, Row::Pair);
                let refresh = is_pair.then_some(NOW + 2_592_000);
                sqlx::query(INSERT)
                    .bind(7_i64)
                    .bind(0_i64)
                    .bind(if is_pair { "password" } else { "client-credentials" })
                    .bind(1_i64)
                    .bind(0_i64)
                    .bind(is_pair.then_some(1_i64))
                    .bind(0_i64)
                    .bind("read write")
                    .bind(digest())
                    .bind(NOW + 36_000)
                    .bind(is_pair.then(digest))
                    .bind(refresh)
                    .bind(NOW)
                    .bind(refresh.unwrap_or(NOW + 36_000))
                    .bind(None::<String>)
                    .bind(None::<String>)
                    .bind("q8Zr2kVd")
            }
        };
        insert.execute(pool).await.unwrap();
        count += 1;
    }
    count
}

/// One connection, one commit an insert: what SQLite gives whoever does not group.
fn bare_sqlite(path: &std::path::Path, row: Row, time: Duration) -> f64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let mut insert = connection.prepare(if matches!(row, Row::Seen) { SEEN } else { INSERT }).unwrap();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < time {
        let is_pair = matches!(row, Row::Pair);
        let refresh = is_pair.then_some(NOW + 2_592_000);
        let done = match row {
            Row::Seen => insert.execute(rusqlite::params![digest(), NOW + 60]),
            Row::Pair | Row::Access => insert.execute(rusqlite::params![
                7,
                0,
                if is_pair { "password" } else { "client-credentials" },
                1,
                0,
                is_pair.then_some(1),
                0,
                "read write",
                digest(),
                NOW + 36_000,
                is_pair.then(digest),
                refresh,
                NOW,
                refresh.unwrap_or(NOW + 36_000),
                None::<String>,
                None::<String>,
                "q8Zr2kVd"
            ]),
        };
        done.unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// What it was measured on.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: ").map(str::to_owned))
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} cores ({cpu}), Linux {}, load generator and server on the same machine.",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
