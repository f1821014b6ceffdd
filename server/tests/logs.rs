//! The logs at their most talkative hold no secret, and one line a request.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use std::process::Stdio;

use program::{PASSWORD, Place, http};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_at_any_level() {
    // attacks 165, 223
    for format in ["text", "json"] {
        let place = Place::sqlite();
        let provider_secret = "provider-secret-0123456789";
        place.configure(&format!(
            "[log]\nlevel = 'trace'\nformat = '{format}'\n[outbound]\ntimeout = '300ms'\n[outbound.origin_map]\n\
             'https://api.github.com' = 'http://127.0.0.1:1'\n'https://graph.facebook.com' = 'http://127.0.0.1:1'\n\
             [providers.github]\nclient_id = 'gid'\nclient_secret = '{provider_secret}'\n\
             [providers.facebook]\nclient_id = 'fid'\nclient_secret = '{provider_secret}'"
        ));
        let (id, secret) = place.ada_and_app();
        let log = place.directory.path().join("log");
        let server = place.serve_with(&[], Stdio::from(std::fs::File::create(&log).unwrap()));
        let client = [("client_id", &*id), ("client_secret", &*secret)];
        let with = |more: &[(&'static str, &'static str)]| [more, &client].concat();

        let (_, tokens) = server
            .post("token", &with(&[("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)]))
            .await
            .unwrap();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let refresh = token("refresh_token");
        let (_, next) = server
            .post("token", &[("grant_type", "refresh_token"), ("refresh_token", &refresh), client[0], client[1]])
            .await
            .unwrap();
        for backend in ["github", "facebook"] {
            let (status, _) = server
                .post(
                    "convert-token",
                    &[
                        ("grant_type", "convert_token"),
                        ("backend", backend),
                        ("token", "provider-token-0123456789"),
                        client[0],
                        client[1],
                    ],
                )
                .await
                .unwrap();
            assert_eq!(status, 503);
            server.verify(&format!("{backend} provider-token-0123456789")).await;
        }
        server
            .post(
                "token",
                &with(&[("grant_type", "password"), ("username", "ada"), ("password", "wrong-password-0123456789")]),
            )
            .await
            .unwrap();
        server.post("token?password=in-the-query-0123456789", &with(&[])).await.unwrap();
        http()
            .get(format!("{}/nowhere/path-token-0123456789?x=in-the-query-0123456789", server.base))
            .send()
            .await
            .unwrap();
        assert_eq!(server.verify(next["access_token"].as_str().unwrap()).await, 200);
        http()
            .get(format!("{}/auth/verify", server.base))
            .basic_auth("ada", Some("basic-0123456789"))
            .send()
            .await
            .unwrap();
        server
            .post("revoke-token", &[("token", next["refresh_token"].as_str().unwrap()), client[0], client[1]])
            .await
            .unwrap();
        assert_eq!(server.terminate().code(), Some(0));

        let log = std::fs::read_to_string(log).unwrap();
        let issued = [
            token("access_token"),
            refresh,
            next["access_token"].as_str().unwrap().to_owned(),
            next["refresh_token"].as_str().unwrap().to_owned(),
        ];
        let typed = [
            PASSWORD,
            &secret,
            provider_secret,
            "provider-token-0123456789",
            "wrong-password-0123456789",
            "in-the-query-0123456789",
            "path-token-0123456789",
            "basic-0123456789",
            "YWRhOmJhc2lj",
        ];
        for hidden in issued.iter().map(String::as_str).chain(typed) {
            assert!(
                !log.contains(hidden),
                "{format}: {hidden} is in the log:\n{}",
                log.lines().find(|line| line.contains(hidden)).unwrap_or_default()
            );
        }
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("request_id")).collect();
        assert_eq!(lines.len(), 12, "one line a request");
        assert!(lines.iter().all(|line| line.contains("status") && line.contains("route")));
        if format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(line["level"].is_string());
            }
        }
    }
}
