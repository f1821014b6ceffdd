//! The real program in an empty directory, on a database of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Where the program runs: a directory with its configuration, and a database.
pub struct Place {
    pub directory: TempDir,
    pub database_url: String,
}

/// A `vestibule serve` that runs.
pub struct Server {
    pub child: Child,
    pub base: String,
}

pub const PASSWORD: &str = "correct horse battery staple";

impl Place {
    pub fn sqlite() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), database_url: "sqlite://test.db".to_owned() }
    }

    pub fn postgres() -> Self {
        let server = std::env::var("TEST_POSTGRES_URL")
            .expect("TEST_POSTGRES_URL names no PostgreSQL: run the tests by `./test`");
        let name =
            format!("vestibule_program_{:x}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1));
        let made =
            Command::new("psql").args([&server, "-q", "-c", &format!("CREATE DATABASE {name}")]).status().unwrap();
        assert!(made.success());
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self { directory: tempfile::tempdir().unwrap(), database_url: url.to_string() }
    }

    pub fn configure(&self, text: &str) {
        std::fs::write(self.directory.path().join("vestibule.toml"), text).unwrap();
    }

    /// The program with nothing of this process's environment but what it needs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.directory.path());
        command.current_dir(self.directory.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command on this place's database to its end, with this on stdin.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = self.command(arguments);
        command.args(["--database-url", &self.database_url]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The one JSON value that a command prints.
    pub fn json(&self, arguments: &[&str], stdin: &str) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat(), stdin);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with(arguments, Stdio::null())
    }

    pub fn serve_with(&self, arguments: &[&str], log: Stdio) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--database-url", &self.database_url]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it printed {line:?}")).to_owned();
        Server { child, base }
    }

    /// A person `ada` and a confidential application: its id and secret.
    pub fn ada_and_app(&self) -> (String, String) {
        self.json(&["user", "create", "--username", "ada", "--email", "ada@example.com", "--password-stdin"], PASSWORD);
        let create = [
            "app",
            "create",
            "--name",
            "Demo",
            "--client-type",
            "confidential",
            "--grant-type",
            "password",
            "--grant-type",
            "client-credentials",
        ];
        let app = self.json(&create, "");
        (app["client_id"].as_str().unwrap().to_owned(), app["client_secret"].as_str().unwrap().to_owned())
    }
}

impl Server {
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// An answer's status and body.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, Value), reqwest::Error> {
        let response = http().post(format!("{}/auth/{path}", self.base)).form(form).send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_str(&response.text().await?).unwrap_or(Value::Null)))
    }

    pub async fn verify(&self, bearer: &str) -> u16 {
        let request =
            http().get(format!("{}/auth/verify", self.base)).header("authorization", format!("Bearer {bearer}"));
        request.send().await.unwrap().status().as_u16()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn http() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()).clone()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
