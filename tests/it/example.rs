//! The example of the README is the example that is built, and it does what the README says.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use vestibule::store::user::{self, NewUser};
use vestibule::{Settings, Vestibule};

use crate::harness::{Answer, PASSWORD, register};

/// The key that stands in the example.
const KEY: [u8; 32] = *b"keep this in a file, not in code";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_with_vestibule_inside_knows_who_calls() {
    let directory = tempfile::tempdir().unwrap();
    let example = Example::start(directory.path());
    let settings = Settings {
        database_url: format!("sqlite://{}", directory.path().join("notes.db").display()),
        ..Settings::default()
    };
    let vestibule = Vestibule::open(settings, &[KEY]).await.unwrap();
    let cx = vestibule.context();
    let password = cx.hasher.hash(PASSWORD, [7; 16]).await.unwrap();
    let ada = NewUser { username: "ada".to_owned(), password: Some(password), ..NewUser::default() };
    user::create(&cx.db, ada, cx.clock.now()).await.unwrap().unwrap();
    let app = register(&vestibule, |_| {}).await;

    let reading = example.sign_in(&app.client_id, app.secret.as_deref().unwrap(), "read").await;
    let writing = example.sign_in(&app.client_id, app.secret.as_deref().unwrap(), "write").await;

    let with_scope = example.notes(Some(&reading)).await;
    assert_eq!((with_scope.status, with_scope.text.as_str()), (200, "The notes of ada.\n"));
    assert_eq!(example.notes(Some(&writing)).await.outcome(), "403 insufficient_scope");
    assert_eq!(example.notes(None).await.status, 401);
    let garbage = example.notes(Some("vat_garbage")).await;
    assert_eq!(garbage.outcome(), "401 invalid_token");
    assert!(garbage.header("www-authenticate").starts_with("Bearer realm=\"api\", error=\"invalid_token\""));
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/axum.rs")).unwrap();

    let (_, code) = readme.split_once("```rust\n").expect("a block of Rust in the README");
    let (code, _) = code.split_once("```").unwrap();

    assert_eq!(code, example);
}

/// `examples/axum.rs`, running.
struct Example {
    process: Child,
    base: String,
    http: reqwest::Client,
}

impl Example {
    fn start(directory: &Path) -> Self {
        let mut process = Command::new(build())
            .arg("127.0.0.1:0")
            .current_dir(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").expect("the address on the first line").to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, base, http }
    }

    async fn sign_in(&self, client_id: &str, client_secret: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "password"),
            ("client_id", client_id),
            ("client_secret", client_secret),
            ("username", "ada"),
            ("password", PASSWORD),
            ("scope", scope),
        ];
        let answer = Answer::of(self.http.post(format!("{}/auth/token", self.base)).form(&form)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.access_token()
    }

    async fn notes(&self, token: Option<&str>) -> Answer {
        let request = self.http.get(format!("{}/notes", self.base));
        Answer::of(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Brings the example up to date, which a test run of one target alone would not, and says where it is.
fn build() -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--workspace", "--example", "axum", "--locked"]);
    // Beside `deps/`, where this test is; in the same profile, so that nothing is compiled twice.
    let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    if profile.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "the example does not build");
    profile.join("examples/axum")
}
