//! The seven curl commands of the old package's manual, as they stand there, against a stand-in for the providers.

use std::process::Command;

use serde_json::Value;
use vestibule::protocol::GrantType::Password;

use crate::harness::{PASSWORD, Test, on_both_databases};

/// Runs a line of the manual in a shell; `<…>` and the address are all that is filled in.
async fn curl(t: &Test, line: &str, values: &[(&str, &str)]) -> (String, Value) {
    let mut line = line.replace("http://localhost:8000", &t.base);
    for (place, value) in values {
        line = line.replace(place, value);
    }
    assert!(!line.contains('<'), "{line}");
    let line = format!("{line} --silent --show-error --write-out '\\n%{{http_code}}'");
    let output =
        tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(line).output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn fields(answer: &Value) -> Vec<&str> {
    let mut names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const FIELDS: [&str; 5] = ["access_token", "expires_in", "refresh_token", "scope", "token_type"];

on_both_databases! {
    async fn the_old_manuals_seven_commands_work_as_they_stand(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        t.stand_in.issue("facebook", "facebook-token", "1001");
        t.stand_in.issue("google-oauth2", "google-token", "1002");
        let secret = app.secret.clone().unwrap();
        let client = [("<client_id>", app.client_id.as_str()), ("<client_secret>", &secret), ("<user_name>", "ada"), ("<password>", PASSWORD)];
        let with = |place: &'static str, value: &str| -> Vec<(String, String)> {
            client.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).chain([(place.to_owned(), value.to_owned())]).collect()
        };
        let run = |line: &'static str, values: Vec<(String, String)>| {
            let t = &t;
            async move {
                let values: Vec<_> = values.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
                curl(t, line, &values).await
            }
        };

        let line = r#"curl -X POST -d "client_id=<client_id>&client_secret=<client_secret>&grant_type=password&username=<user_name>&password=<password>" http://localhost:8000/auth/token"#;
        let (status, token) = run(line, with("", "")).await;
        assert_eq!((status.as_str(), fields(&token)), ("200", FIELDS.to_vec()));

        let line = r#"curl -X POST -d "grant_type=refresh_token&client_id=<client_id>&client_secret=<client_secret>&refresh_token=<your_refresh_token>" http://localhost:8000/auth/token"#;
        let (status, token) = run(line, with("<your_refresh_token>", token["refresh_token"].as_str().unwrap())).await;
        assert_eq!((status.as_str(), fields(&token)), ("200", FIELDS.to_vec()));

        let line = r#"curl -X POST -d "grant_type=convert_token&client_id=<client_id>&client_secret=<client_secret>&backend=facebook&token=<facebook_token>" http://localhost:8000/auth/convert-token"#;
        let (status, facebook) = run(line, with("<facebook_token>", "facebook-token")).await;
        assert_eq!((status.as_str(), fields(&facebook)), ("200", FIELDS.to_vec()));

        let line = r#"curl -X POST -d "grant_type=convert_token&client_id=<client_id>&client_secret=<client_secret>&backend=google-oauth2&token=<google_token>" http://localhost:8000/auth/convert-token"#;
        let (status, google) = run(line, with("<google_token>", "google-token")).await;
        assert_eq!((status.as_str(), fields(&google)), ("200", FIELDS.to_vec()));
        assert_eq!((&google["token_type"], &google["expires_in"], &google["scope"]), (&"Bearer".into(), &36_000.into(), &"read write".into()));

        let line = r#"curl -X POST -d "client_id=<client_id>&client_secret=<client_secret>&token=<your_token>" http://localhost:8000/auth/revoke-token"#;
        let (status, _) = run(line, with("<your_token>", google["access_token"].as_str().unwrap())).await;
        assert_eq!(status, "200");
        assert!(!t.accepts(google["access_token"].as_str().unwrap()).await);

        let line = r#"curl -H "Authorization: Bearer <user_access_token>" http://localhost:8000/auth/verify"#;
        let (status, _) = run(line, with("<user_access_token>", token["access_token"].as_str().unwrap())).await;
        assert_eq!(status, "200");
        let line = r#"curl -H "Authorization: Bearer facebook <facebook_token>" http://localhost:8000/auth/verify"#;
        assert_eq!(run(line, with("<facebook_token>", "facebook-token")).await.0, "200");

        let line = r#"curl -H "Authorization: Bearer <user_access_token>" -X POST -d "client_id=<client_id>" http://localhost:8000/auth/invalidate-sessions"#;
        let (status, _) = run(line, with("<user_access_token>", token["access_token"].as_str().unwrap())).await;
        assert_eq!(status, "204");
        assert!(!t.accepts(token["access_token"].as_str().unwrap()).await);
        assert!(t.accepts(facebook["access_token"].as_str().unwrap()).await, "somebody else's");
    }
}
