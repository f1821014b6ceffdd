//! The commands, typed as a person types them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use program::{PASSWORD, Place, text};
use serde_json::{Value, json};

/// What the audit log holds, the newest first: who, by which way, what.
async fn noted(place: &Place) -> Vec<String> {
    let file = format!("sqlite://{}/test.db", place.directory.path().display());
    let url = if place.database_url.starts_with("sqlite:") { &file } else { &place.database_url };
    let db = vestibule::store::Db::open(url, &vestibule::settings::DatabaseSettings::default()).await.unwrap();
    let all =
        vestibule::store::audit::page(&db, &vestibule::store::audit::Filter::default(), i64::MAX, 50).await.unwrap();
    all.iter().map(|entry| format!("{} {} {}", entry.actor, entry.via, entry.act)).collect()
}

#[tokio::test]
async fn people_and_applications_are_made_and_sign_in() {
    for place in [Place::sqlite(), Place::postgres()] {
        let user = place.json(
            &[
                "user",
                "create",
                "--username",
                "ada",
                "--email",
                "ada@example.com",
                "--first-name",
                "Ada",
                "--last-name",
                "L",
                "--superuser",
                "--password-stdin",
            ],
            PASSWORD,
        );
        assert_eq!(
            (&user["id"], &user["username"], &user["email"], &user["is_superuser"]),
            (&json!(1), &json!("ada"), &json!("ada@example.com"), &json!(true))
        );
        let app = place.json(
            &[
                "app",
                "create",
                "--name",
                "Demo",
                "--client-type",
                "confidential",
                "--grant-type",
                "password",
                "--scope",
                "read",
                "--owner",
                "ada",
                "--skip-authorization",
                "--provider-tokens",
            ],
            "",
        );
        assert_eq!(app["metadata"]["provider_tokens"], json!(true), "{app}");
        assert_eq!(
            (&app["name"], &app["client_type"], &app["grant_types"], &app["redirect_uris"]),
            (&json!("Demo"), &json!("confidential"), &json!(["password"]), &json!([]))
        );
        let (id, secret) = (app["client_id"].as_str().unwrap(), app["client_secret"].as_str().unwrap());
        assert!(id.len() >= 22 && secret.len() >= 43, "128 and 256 bits at least");
        let server = place.serve(&[]);
        let form = [
            ("grant_type", "password"),
            ("username", "ada"),
            ("password", PASSWORD),
            ("client_id", id),
            ("client_secret", secret),
        ];

        let (status, tokens) = server.post("token", &form).await.unwrap();

        assert_eq!((status, &tokens["scope"]), (200, &json!("read")), "{tokens}");
        let token = tokens["access_token"].as_str().unwrap();
        assert_eq!(server.verify(token).await, 200);
        place.json(&["user", "deactivate", "ada"], "");
        assert_eq!(server.verify(token).await, 401, "another process's change is seen at once");
        assert_eq!(server.post("token", &form).await.unwrap().0, 400);
        place.json(&["user", "activate", "ada"], "");
        place.json(&["user", "set-password", "ada", "--password-stdin"], "another one entirely\n");
        assert_eq!(server.post("token", &form).await.unwrap().0, 400);
        let form = [form[0], form[1], ("password", "another one entirely"), form[3], form[4]];
        let (_, tokens) = server.post("token", &form).await.unwrap();
        place.json(&["app", "disable", id], "");
        assert_eq!(server.verify(tokens["access_token"].as_str().unwrap()).await, 401);
        assert_eq!(server.post("token", &form).await.unwrap().0, 401);
        place.json(&["app", "enable", id], "");
        let rotated = place.json(&["app", "rotate-secret", id, "--overlap", "1h"], "");
        assert_ne!(rotated["client_secret"].as_str(), Some(secret));
        assert_eq!(server.post("token", &form).await.unwrap().0, 200, "the old secret, for an hour");
        let shown = place.json(&["app", "show", id], "");
        assert!(!shown.to_string().contains("secret_") && !shown.to_string().contains(secret));
        assert_eq!(
            place.json(
                &[
                    "app",
                    "update",
                    id,
                    "--grant-type",
                    "client-credentials",
                    "--redirect-uri",
                    "https://app.example/cb"
                ],
                ""
            )["grant_types"],
            json!(["client-credentials"])
        );
        assert_eq!(server.post("token", &form).await.unwrap().0, 400);
        assert_eq!(place.json(&["app", "list"], "").as_array().unwrap().len(), 1);
        assert_eq!(place.json(&["user", "list"], "")[0]["username"], "ada");
        assert_eq!(place.json(&["user", "show", "ada"], "")["first_name"], "Ada");
        place.json(&["app", "delete", id], "");
        place.json(&["user", "delete", "ada"], "");
        assert_eq!(place.json(&["user", "list"], ""), json!([]));
        let acts = noted(&place).await;
        assert!(acts.iter().all(|act| act.starts_with("operator command ")), "{acts:?}");
        let acts: Vec<&str> = acts.iter().rev().filter_map(|act| act.split(' ').nth(2)).collect();
        let expected = "user.create application.create user.deactivate user.activate user.set_password application.disable \
                        application.enable application.rotate_secret application.change application.delete user.delete";
        assert_eq!(acts.join(" "), expected);
        assert_eq!(place.json(&["cleanup"], ""), json!({"deleted": 0}));
        assert_eq!(place.json(&["migrate"], ""), json!({"migrations_run": 0}));
        assert_eq!(server.terminate().code(), Some(0));
    }
}

#[test]
fn signing_keys_are_listed_and_rotated() {
    let place = Place::sqlite();
    let states = |keys: &Value, state: &str| -> Vec<String> {
        let of_state = keys.as_array().unwrap().iter().filter(|key| key["state"] == state);
        of_state.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let before = place.json(&["key", "list"], "");
    assert_eq!((states(&before, "signing").len(), states(&before, "next").len()), (3, 3));
    std::thread::sleep(std::time::Duration::from_millis(1_100)); // dates are in seconds

    let after = place.json(&["key", "rotate"], "");

    let sorted = |mut kids: Vec<String>| {
        kids.sort();
        kids
    };
    assert_eq!(sorted(states(&after, "signing")), sorted(states(&before, "next")));
    assert_eq!(sorted(states(&after, "retired")), sorted(states(&before, "signing")));
    assert_eq!(states(&after, "next").len(), 3);
    assert_eq!(place.json(&["key", "list"], ""), after);
}

#[test]
fn settings_are_told_with_where_they_came_from_and_no_secret() {
    let place = Place::sqlite();
    place.configure("mount = '/o'\n[providers.github]\nclient_id = 'x'\nclient_secret = 'hush-hush'");

    let all = place.json(&["settings"], "");

    let line = |name: &str| all.as_array().unwrap().iter().find(|line| line["name"] == name).unwrap().clone();
    assert_eq!(
        (&line("mount")["value"], &line("mount")["origin"]),
        (&json!("/o"), &json!({"kind": "file", "name": "vestibule.toml"}))
    );
    assert_eq!(line("database_url")["origin"], json!({"kind": "flag", "name": "--database-url"}));
    assert_eq!(line("listen")["origin"], json!({"kind": "default"}));
    let secret = line("providers.github.client_secret");
    assert_eq!((&secret["is_set"], &secret["value"]), (&json!(true), &Value::Null));
    let output = text(&place.run(&["settings"], "").stdout);
    assert!(output.contains("mount = /o   [vestibule.toml]\n"), "{output}");
    assert!(output.contains("providers.github.client_secret = (set)   [vestibule.toml]"), "{output}");
    assert!(!output.contains("hush") && !all.to_string().contains("hush"));
}

#[test]
fn what_an_application_says_of_itself_is_set_changed_and_checked() {
    let place = Place::sqlite();
    let create =
        ["app", "create", "--name", "x", "--client-type", "confidential", "--grant-type", "authorization-code"];
    let flags = ["--redirect-uri", "https://app.example/cb", "--access-token-format", "jwt", "--require-par"];
    let made = place
        .json(&[&create[..], &flags[..], &["--metadata", r#"{"policy_uri": "https://app.example/p"}"#]].concat(), "");
    let metadata = &made["metadata"];
    assert_eq!(
        (metadata["access_token_format"].as_str(), metadata["policy_uri"].as_str()),
        (Some("jwt"), Some("https://app.example/p"))
    );
    assert_eq!(
        (metadata["require_pushed_authorization_requests"].as_bool(), made["signing_algorithm"].as_str()),
        (Some(true), Some("RS256"))
    );
    let id = made["client_id"].as_str().unwrap();
    // With the hash of a secret nothing can be signed, so a new one is made and shown.
    let changed = place.json(&["app", "update", id, "--signing-algorithm", "HS256", "--require-par=false"], "");
    assert!(
        changed["client_secret"]
            .as_str()
            .is_some_and(|secret| secret.starts_with("vcs_") && secret != made["client_secret"])
    );
    assert!(changed["metadata"].get("require_pushed_authorization_requests").is_none());
    for bad in [
        ["--metadata", "{"],
        ["--metadata", r#"{"policy_uri": "javascript:x"}"#],
        ["--token-endpoint-auth-method", "private_key_jwt"],
    ] {
        let output = place.run(&["app", "update", id, bad[0], bad[1]], "");
        assert_eq!(output.status.code(), Some(1), "{bad:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let place = Place::sqlite();
    let app = |more: &[&str]| place.run(&[&["app", "create", "--name", "x"], more].concat(), "");
    for (arguments, hint) in [
        (vec!["--client-type", "public", "--grant-type", "client-credentials"], "confidential"),
        (vec!["--client-type", "public", "--client-secret", "0123456789abcdef"], "no client secret"),
        (vec!["--client-type", "confidential", "--client-secret", ""], "not empty"),
        (vec!["--client-type", "confidential", "--client-secret", "pbkdf2_sha256$1000$salt$hash"], "hash of a secret"),
        (vec!["--client-type", "confidential", "--redirect-uri", "http://app.example/cb"], "must be https"),
        (vec!["--client-type", "confidential", "--grant-type", "authorization-code"], "redirect URI"),
        (vec!["--client-type", "confidential", "--scope", "nonsense"], "read write"),
        (vec!["--client-type", "confidential", "--owner", "nobody"], "nobody"),
        (
            vec!["--client-type", "public", "--token-endpoint-auth-method", "client_secret_basic"],
            "authentication method is `none`",
        ),
    ] {
        let output = app(&arguments);
        let errors = text(&output.stderr);
        let last = errors.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(last.starts_with("vestibule: ") && last.contains(hint), "{arguments:?}: {errors}");
    }
    for arguments in [["user", "show", "nobody"], ["app", "show", "nobody"], ["provider", "show", "nobody"]] {
        assert_eq!(place.run(&arguments, "").status.code(), Some(1));
    }
    assert_eq!(place.run(&["user", "create", "--username", "ada"], "").status.code(), Some(0));
    assert_eq!(place.run(&["user", "create", "--username", "ada"], "").status.code(), Some(1), "taken");
}

#[test]
fn a_wrong_configuration_stops_the_start_with_one_line_that_names_the_key() {
    let place = Place::sqlite();
    let start = |file: &str, variables: &[(&str, &str)], arguments: &[&str]| {
        place.configure(file);
        let output = place
            .command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(output.stdout.is_empty());
        errors
    };

    assert!(
        start("[tokens]\nrefresh_grase = '1s'", &[], &[])
            .contains("tokens.refresh_grase: unknown key (vestibule.toml); did you mean `tokens.refresh_grace`?")
    );
    assert!(start("", &[("VESTIBULE_LISTENN", "x")], &[]).contains("listenn: unknown key"));
    assert!(start("[tokens]\nrefresh_grace = 'soon'", &[], &[]).contains("tokens.refresh_grace: "));
    assert!(start("[tokens]\naccess_token_format = 'paper'", &[], &[]).contains("tokens.access_token_format: "));
    assert!(start("mount = 'auth'", &[], &[]).contains("mount: "));
    assert!(start("public_url = 'nowhere'", &[], &[]).contains("public_url: "));
    assert!(start("", &[("VESTIBULE_LOG__LEVEL", "loud=very=much")], &[]).contains("log.level: "));
    assert!(start("", &[], &["--database-url", "mysql://x/y"]).contains("database_url: "));
    let unreachable = start("", &[], &["--database-url", "postgres://ada:hush-hush@127.0.0.1:1/x"]);
    assert!(unreachable.contains("database_url: ") && !unreachable.contains("hush-hush"), "{unreachable}");
    assert!(
        start("[providers.github]\nclient_id = 'x'\ntenant = 'y'", &[], &[])
            .contains("providers.github.tenant: unknown key")
    );
    assert!(start("listen = [", &[], &[]).contains("vestibule.toml:1:"));
    assert!(start("encryption_key = 'hush-hush'", &[], &[]).contains("encryption_key: "));
    assert!(start("", &[], &["--config", "nowhere.toml"]).contains("nowhere.toml"));
}

#[test]
fn secrets_of_the_configuration_are_shown_nowhere() {
    // attack 233
    let place = Place::sqlite();
    place.configure("[providers.github]\nclient_id = 'our-id'\nclient_secret = 'hush-hush-1'\n[outbound]\ntimeout = '500ms'\n[outbound.origin_map]\n'https://api.github.com' = 'http://127.0.0.1:1'");

    for arguments in [
        vec!["provider", "list"],
        vec!["provider", "show", "github"],
        vec!["provider", "show", "github", "--json"],
        vec!["check"],
        vec!["check", "--json"],
        vec!["--help"],
        vec!["app", "create", "--help"],
    ] {
        let output = place
            .command(&arguments)
            .env("VESTIBULE_PROVIDERS__FACEBOOK__CLIENT_SECRET", "hush-hush-2")
            .output()
            .unwrap();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("hush-hush"), "{arguments:?}: {all}");
        assert!(!output.stdout.is_empty());
    }
    let check = place.command(&["check", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!((check.status.code(), &told["ok"]), (Some(1), &json!(false)), "GitHub's address does not answer");
    assert!(
        told["checks"].as_array().unwrap().iter().any(|line| line["what"] == "provider github" && line["ok"] == false)
    );
}

#[test]
fn the_environment_comes_before_the_file_and_a_flag_before_both() {
    let place = Place::sqlite();
    place.configure("[providers.github]\nclient_id = 'x'\nclient_secret = 'y'");
    let list = place
        .command(&["provider", "list", "--json"])
        .env("VESTIBULE_PROVIDERS__GOOGLE_OAUTH2__CLIENT_ID", "z")
        .output()
        .unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let enabled: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["enabled"] == true)
        .map(|line| line["name"].as_str().unwrap())
        .collect();

    assert_eq!(enabled, ["github", "google-oauth2"]);
}

#[test]
fn ten_start_at_once_on_one_empty_database() {
    // attack 245
    for place in [Place::sqlite(), Place::postgres()] {
        let servers: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..10).map(|_| scope.spawn(|| place.serve(&[]))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });

        for server in servers {
            assert_eq!(server.terminate().code(), Some(0));
        }
    }
}

/// What a server answers to these bytes within so many seconds; `None`: nothing, and it did not hang up either.
fn answer_to(base: &str, bytes: &[u8], seconds: u64) -> Option<String> {
    let mut socket = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(seconds))).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok().map(|_| text(&answer))
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused_and_their_connection_closed() {
    // attack 171
    let place = Place::sqlite();
    let server = place.serve(&[]);
    let head = "POST /auth/token HTTP/1.1\r\nhost: x\r\n";
    for odd in [
        format!("{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}content-length: 4\r\ncontent-length: 5\r\n\r\nabcd"),
        "POST /auth/token HTTP/1.1\nhost: x\ncontent-length: 0\n\n".to_owned(),
        format!("{head}x-folded: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ] {
        let answer = answer_to(&server.base, odd.as_bytes(), 5).expect("the connection is closed");
        assert!(answer.starts_with("HTTP/1.1 400"), "{odd:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    }
}

#[test]
fn whoever_sends_a_head_too_slowly_is_hung_up_on() {
    let place = Place::sqlite();
    place.configure("[http]\nheader_timeout = '300ms'");
    let server = place.serve(&[]);

    for slow in [&b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "[..], b"GET /hea", b"G", b""] {
        assert!(answer_to(&server.base, slow, 5).is_some(), "it hung up after {slow:?}");
    }
    assert!(
        answer_to(&server.base, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 5)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn the_end_waits_for_what_is_running() {
    let place = Place::sqlite();
    let (id, secret) = place.ada_and_app();
    let server = place.serve(&[]);
    let form = [
        ("grant_type", "password"),
        ("username", "ada"),
        ("password", PASSWORD),
        ("client_id", &*id),
        ("client_secret", &*secret),
    ];
    let running = futures_of(&server, &form, 20);
    let ((), answers) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            server.signal("TERM");
        },
        running
    );

    let answered: Vec<_> = answers.into_iter().flatten().collect();
    assert!(!answered.is_empty() && answered.iter().all(|(status, _)| *status == 200), "{answered:?}");
    assert_eq!(server.terminate_waiting().code(), Some(0));
}

async fn futures_of(
    server: &program::Server,
    form: &[(&str, &str)],
    count: usize,
) -> Vec<Option<(u16, serde_json::Value)>> {
    let mut set = Vec::new();
    for _ in 0..count {
        set.push(async { server.post("token", form).await.ok() });
    }
    futures_util::future::join_all(set).await
}

impl program::Server {
    fn terminate_waiting(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn a_database_without_its_key_is_not_served() {
    // attack 231
    let place = Place::sqlite();
    place.json(&["user", "create", "--username", "ada"], "");
    let key = place.directory.path().join("test.db.key");
    assert!(key.exists());
    std::fs::remove_file(&key).unwrap();

    let output = place.run(&["user", "list"], "");

    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).lines().last().unwrap().contains("encryption_key: "), "{}", text(&output.stderr));
}

#[test]
fn the_openapi_document_is_printed_without_a_database() {
    let place = Place::sqlite();
    place.configure(
        "database_url = \"sqlite://test.db\"\npublic_url = \"https://login.example\"\n[providers.github]\nclient_id = \"x\"\nclient_secret = \"hush-hush\"\n",
    );
    for arguments in [&["openapi"][..], &["openapi", "--json"]] {
        let output = place.command(arguments).output().unwrap();

        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(
            (&document["openapi"], &document["servers"][0]["url"]),
            (&json!("3.1.0"), &json!("https://login.example"))
        );
        assert_eq!(document["components"]["schemas"]["Backend"]["enum"], json!(["github"]));
        assert!(!document.to_string().contains("hush-hush"));
    }
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 1, "no database was made");

    let wrong = place.command(&["openapi"]).env("VESTIBULE_PROVIDERS__NOPE__CLIENT_ID", "x").output().unwrap();
    assert_eq!((wrong.status.code(), text(&wrong.stderr).starts_with("vestibule: providers.nope")), (Some(2), true));
}
