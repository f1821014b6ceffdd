//! `vestibule dev` as a person meets it: started, its lines pasted one after the other, ended by a signal.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A running `vestibule dev` in an empty directory, with another for its temporary files.
struct Dev {
    child: Child,
    printed: Vec<String>,
    _home: TempDir,
    tmp: TempDir,
}

struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Dev {
    /// Starts it, and reads what it prints up to the line that says how to end it.
    fn start(arguments: &[&str], last: fn(&str) -> bool) -> Self {
        let (home, tmp) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(["dev", "--listen", "127.0.0.1:0"]).args(arguments).current_dir(home.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VESTIBULE_")) {
            command.env_remove(name);
        }
        let mut child = command.env("TMPDIR", tmp.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            printed.push(line.unwrap());
            if printed.last().is_some_and(|line| last(line)) {
                break;
            }
        }
        assert!(printed.last().is_some_and(|line| last(line)), "it ended before its tour: {printed:#?}");
        Self { child, printed, _home: home, tmp }
    }

    fn tour(arguments: &[&str]) -> Self {
        Self::start(arguments, |line| line.starts_with("# Ctrl-C"))
    }

    fn curl_lines(&self) -> Vec<String> {
        self.printed.iter().filter(|line| line.starts_with("curl ")).cloned().collect()
    }

    /// As a terminal would run the line; only where the answer goes is ours.
    fn paste(&self, line: &str) -> Answer {
        let body = self.tmp.path().join("answer");
        let command = format!("{line} -sS -o '{}' -w '%{{http_code}}'", body.display());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let status = String::from_utf8(output.stdout).unwrap().parse().unwrap();
        let text = std::fs::read_to_string(&body).unwrap_or_default();
        let _ = std::fs::remove_file(&body);
        Answer { status, text }
    }

    fn paste_all(&self, lines: &[String]) {
        for line in lines {
            let answer = self.paste(line);
            assert!((200..300).contains(&answer.status), "{line}\n{} {}", answer.status, answer.text);
            check(line, &answer);
        }
    }

    fn terminate(&mut self) -> ExitStatus {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What each line is there to show.
fn check(line: &str, answer: &Answer) {
    let path = line.split_whitespace().last().unwrap().split_once("//").unwrap().1.split_once('/').unwrap().1;
    let has = |wanted: &[&str]| {
        let json = answer.json();
        for field in wanted {
            assert!(json.get(field).is_some(), "no {field}: {line}\n{json}");
        }
    };
    let header = |wanted: &str| {
        assert!(answer.text.to_ascii_lowercase().contains(wanted), "no {wanted}: {line}\n{}", answer.text);
    };
    match path {
        "auth/token" | "auth/convert-token" => {
            has(&["access_token", "expires_in", "token_type", "scope", "refresh_token"]);
        }
        "dev-provider/token" => has(&["access_token", "id_token", "expires_in"]),
        "auth/userinfo" => {
            let json = answer.json();
            assert_eq!((json["given_name"].as_str(), json["email"].as_str()), (Some("Ada"), Some("ada@example.com")));
        }
        "auth/verify" if line.contains("Bearer dev ") => header("x-auth-user: grace"),
        "auth/verify" => header("x-auth-email: ada@example.com"),
        "auth/introspect" => assert_eq!(answer.json()["active"], true),
        "auth/revoke-token" => assert_eq!(answer.status, 200),
        "auth/invalidate-sessions" => assert_eq!(answer.status, 204),
        "auth/backends" => {
            let json = answer.json();
            assert_eq!(
                (&json["backends"][0]["name"], &json["backends"][0]["connected"]),
                (&"dev".into(), &true.into())
            );
        }
        unexpected => panic!("nothing is known of {unexpected}: {line}"),
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn every_line_of_the_tour_works_as_printed_and_nothing_is_left_behind() {
    let mut dev = Dev::tour(&[]);
    let lines = dev.curl_lines();
    assert_eq!(lines.len(), 12, "{:#?}", dev.printed);
    assert!(dev.printed[0].starts_with("listening on http://127.0.0.1:"), "{}", dev.printed[0]);
    let pasteable = |line: &String| line.is_empty() || line.starts_with('#') || line.starts_with("curl ");
    assert!(dev.printed[1..].iter().all(pasteable), "{:#?}", dev.printed);
    assert!(!is_empty(dev.tmp.path()));

    dev.paste_all(&lines);

    assert!(dev.terminate().success());
    assert!(is_empty(dev.tmp.path()));
}

#[test]
fn no_line_of_the_tour_spoils_another() {
    let dev = Dev::tour(&[]);
    let mut lines = dev.curl_lines();
    lines.reverse();

    dev.paste_all(&lines);
}

/// Tours this database twice, and gives both tours' lines.
fn tour_twice(url: &str) -> [Vec<String>; 2] {
    [1, 2].map(|_| {
        let mut dev = Dev::tour(&["--database-url", url]);
        assert!(dev.printed.iter().any(|line| line.contains("vestibule-dev-ada")), "{:#?}", dev.printed);
        let lines = dev.curl_lines();
        dev.paste_all(&lines);
        assert!(dev.terminate().success());
        lines
    })
}

#[test]
fn a_database_that_is_named_is_kept_and_toured_again_with_new_secrets() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("kept.db");

    let [first, second] = tour_twice(&format!("sqlite://{}", file.display()));

    assert!(file.exists());
    assert_ne!(first[0], second[0]);
}

#[test]
fn the_tour_runs_on_postgresql_too_and_does_not_print_its_password() {
    let server =
        std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL names no PostgreSQL: run the tests by `./test`");
    let name = format!("vestibule_tour_{}", std::process::id());
    let psql = |statement: String| Command::new("psql").args(["-q", "-d", &server, "-c", &statement]).status().unwrap();
    assert!(psql(format!("CREATE DATABASE {name}")).success());
    let (address, _) = server.rsplit_once('/').unwrap();

    let [first, second] = tour_twice(&format!("{address}/{name}"));

    assert_ne!(first[0], second[0]);
    let dev = Dev::tour(&["--database-url", &format!("{address}/{name}")]);
    if let Some(password) = url::Url::parse(&server).unwrap().password() {
        assert!(!dev.printed.iter().any(|line| line.contains(password)), "{:#?}", dev.printed);
    }
    drop(dev);
    assert!(psql(format!("DROP DATABASE {name} WITH (FORCE)")).success());
}

#[test]
fn what_the_provider_issued_to_somebody_else_is_refused_and_a_code_of_its_own_is_taken() {
    let dev = Dev::tour(&[]);
    let convert = dev.curl_lines().into_iter().find(|line| line.contains("/auth/convert-token")).unwrap();
    let (before, after) = (convert.split_once("&token=").unwrap().0, convert.split_once("' ").unwrap().1);
    let base = after.split_once("/auth").unwrap().0;

    for kind in ["access_token", "id_token"] {
        let foreign = dev.paste(&format!("curl -d 'username=grace&client_id=other' {base}/dev-provider/token")).json();
        let answer = dev.paste(&format!("{before}&token={}' {after}", foreign[kind].as_str().unwrap()));
        assert_eq!((answer.status, &answer.json()["reason"]), (400, &"foreign_audience".into()), "{}", answer.text);
    }

    // RFC 7636 Appendix B.
    let challenge = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    let callback = "redirect_uri=https://app.example/callback";
    let authorize = format!("curl -i '{base}/dev-provider/authorize?{callback}&{challenge}&login_hint=alan&nonce=n-3'");
    let redirect = dev.paste(&authorize);
    assert_eq!(redirect.status, 302, "{}", redirect.text);
    let code = redirect.text.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned();
    let verifier = "code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let answer = dev.paste(&format!("{before}&code={code}&{callback}&{verifier}&nonce=n-3' {after}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[test]
fn with_json_it_prints_one_object_and_nothing_else() {
    let dev = Dev::start(&["--json"], |_| true);

    let object: Value = serde_json::from_str(&dev.printed[0]).unwrap();
    let first = object["commands"][0]["command"].as_str().unwrap();
    assert!(first.contains(object["base_url"].as_str().unwrap()));
    assert!(first.contains(object["application"]["client_secret"].as_str().unwrap()));
    dev.paste_all(&[first.to_owned()]);
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (home, address) = (TempDir::new().unwrap(), taken.local_addr().unwrap().to_string());

    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["dev", "--listen", &address])
        .current_dir(home.path())
        .env("TMPDIR", home.path())
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(is_empty(home.path()), "the throw-away file is left behind");
}
