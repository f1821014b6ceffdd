//! How a request may be written, and everything that is refused before it means anything.

use serde_json::json;
use vestibule::protocol::GrantType::{ClientCredentials, Password};

use crate::harness::{Answer, PASSWORD, Test, on_both_databases};

on_both_databases! {
    async fn form_json_charset_and_slash_are_all_alike(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let body = json!({
            "grant_type": "password", "username": "ada", "password": PASSWORD,
            "client_id": app.client_id, "client_secret": app.secret,
        });

        for path in ["token", "token/"] {
            let json = t.http.post(t.url(path)).header("content-type", "application/json; charset=utf-8").body(body.to_string());
            assert_eq!(Answer::of(json).await.status, 200);
            assert_eq!(Answer::of(t.http.post(t.url(path)).form(&body)).await.status, 200);
            let charset = t.http.post(t.url(path)).form(&body).header("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
            assert_eq!(Answer::of(charset).await.status, 200);
        }
    }
}

on_both_databases! {
    async fn json_of_other_types_is_invalid_request(t: Test) { // attack 163
        let bodies = [
            r#"[]"#, r#""x""#, r#"null"#, r#"7"#, r#"{"grant_type": "password", "password": 123}"#, r#"{"grant_type": ["password"]}"#,
            r#"{"grant_type": null}"#, r#"{"grant_type": "password", "grant_type": "password"}"#, r#"{"#,
        ];
        for path in ["token", "convert-token", "revoke-token", "introspect"] {
            for body in bodies {
                let request = t.http.post(t.url(path)).header("content-type", "application/json").body(body);
                assert_eq!(Answer::of(request).await.outcome(), "400 invalid_request", "{path} {body}");
            }
        }
    }
}

on_both_databases! {
    async fn odd_bytes_in_any_field_are_invalid_request(t: Test) { // attack 167
        for path in ["token", "convert-token", "revoke-token", "introspect"] {
            for field in ["grant_type", "client_id", "client_secret", "username", "scope", "token", "backend"] {
                for odd in ["%zz", "%00", "%C0%AF", "%ED%A0%80", "%FF"] {
                    let request = t.http.post(t.url(path)).header("content-type", "application/x-www-form-urlencoded").body(format!("{field}={odd}"));
                    assert_eq!(Answer::of(request).await.outcome(), "400 invalid_request", "{path} {field}={odd}");
                }
            }
        }
    }
}

on_both_databases! {
    async fn parameters_in_the_query_string_are_refused(t: Test) { // attack 165
        let app = t.app(&[ClientCredentials]).await;
        let query = format!("token?grant_type=client_credentials&client_id={}&client_secret={}", app.client_id, app.secret.clone().unwrap());

        assert_eq!(t.post(&query, &[]).await.outcome(), "400 invalid_request");
        assert_eq!(t.call("token?x=y", &app, &[("grant_type", "client_credentials")]).await.outcome(), "400 invalid_request");
    }
}

on_both_databases! {
    async fn other_methods_are_405_with_allow(t: Test) { // attack 169
        for path in ["token", "convert-token", "revoke-token", "introspect", "invalidate-sessions", "disconnect-backend"] {
            for method in ["GET", "PUT", "HEAD", "TRACE", "DELETE", "PATCH"] {
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let answer = Answer::of(t.http.request(method.clone(), t.url(path))).await;
                assert_eq!((answer.status, answer.header("allow").as_str()), (405, "POST"), "{method} {path}");
            }
            let preflight = t.http.request(reqwest::Method::OPTIONS, t.url(path)).header("origin", "https://evil.example").header("access-control-request-method", "POST");
            let answer = Answer::of(preflight).await;
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
        }
    }
}

on_both_databases! {
    async fn grant_types_that_are_missing_unknown_or_twice(t: Test) {
        let app = t.app(&[Password]).await;

        assert_eq!(t.call("token", &app, &[]).await.outcome(), "400 invalid_request");
        assert_eq!(t.call("token", &app, &[("grant_type", "")]).await.outcome(), "400 invalid_request");
        assert_eq!(t.call("token", &app, &[("grant_type", "magic")]).await.outcome(), "400 unsupported_grant_type");
        assert_eq!(t.call("convert-token", &app, &[("grant_type", "password")]).await.outcome(), "400 unsupported_grant_type");
        assert_eq!(t.call("convert-token", &app, &[]).await.outcome(), "400 invalid_request");
        assert_eq!(t.call("token", &app, &[("grant_type", "password"), ("grant_type", "password")]).await.outcome(), "400 invalid_request");
        assert_eq!(t.call("token", &app, &[("grant_type", "client_credentials")]).await.outcome(), "400 unauthorized_client");
        let missing = t.call("token", &app, &[("grant_type", "refresh_token")]).await;
        assert_eq!((missing.outcome().as_str(), &missing.json()["refresh_token"]), ("400 invalid_request", &json!(["This field is required."])));
    }
}

on_both_databases! {
    async fn bodies_that_are_too_large_compressed_or_of_another_type_are_refused(t: Test) { // attacks 173, 177
        let head = "POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let announced = t.raw(format!("{head}content-length: 100000000\r\n\r\n{{").as_bytes()).await;
        assert!(announced.starts_with("HTTP/1.1 413"), "refused before it is read: {announced}");
        let chunk = format!("40000\r\n{}\r\n", "x".repeat(0x4_0000));
        let chunked = t.raw(format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(9)).as_bytes()).await;
        assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
        let compressed = t.http.post(t.url("token")).header("content-encoding", "gzip").header("content-type", "application/json").body("x");
        assert_eq!(Answer::of(compressed).await.outcome(), "400 invalid_request");
        let other = t.http.post(t.url("token")).header("content-type", "text/plain").body("grant_type=password");
        assert_eq!(Answer::of(other).await.outcome(), "400 invalid_request");
    }
}

on_both_databases! {
    async fn every_malformed_bearer_header_has_a_sentence_of_its_own(t: Test) { // attacks 151, 153
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let token = t.password(&app, "ada").await.access_token();
        for good in [format!("bearer {token}"), format!("BEARER {token}"), format!("Bearer  {token}"), format!("Bearer\t{token}")] {
            assert_eq!(t.get_as("verify", &good).await.status, 200, "{good}");
        }

        let shapes = ["BearerX tok", "Bearer", "Bearer github", "Bearer a b c", "Bearer  x", "Bearer nobackend token"];
        let mut sentences = std::collections::HashSet::new();
        for shape in shapes {
            let answer = t.get_as("verify", shape).await;
            assert_eq!(answer.status, 401, "{shape}");
            assert!(answer.header("www-authenticate").starts_with("Bearer realm=\"api\""), "{shape}");
            assert!(sentences.insert(answer.field("detail")), "{shape}: {answer:?}");
        }
        let nothing = Answer::of(t.http.get(t.url("verify"))).await;
        let metadata = t.url("/.well-known/oauth-protected-resource");
        let challenge = format!("Bearer realm=\"api\", resource_metadata=\"{metadata}\"");
        assert_eq!((nothing.status, nothing.header("www-authenticate")), (401, challenge));
        assert!(sentences.insert(nothing.field("detail")));
        for bad in ["Bearer x", &format!("Bearer \"{token}\""), &format!("Bearer {token},"), "Bearer eyJhbGciOiJub25lIn0.e30."] {
            assert!(t.get_as("verify", bad).await.header("www-authenticate").contains("error=\"invalid_token\""), "{bad}");
        }
        assert_eq!(Answer::of(t.http.get(t.url(&format!("verify?access_token={token}")))).await.status, 401);
    }
}

on_both_databases! {
    async fn verify_answers_from_the_token_alone(t: Test) { // attacks 157, 159
        let ada = t.person_with(vestibule::store::user::NewUser {
            username: "ada".into(), email: "ada@example.com".into(), ..Default::default()
        }).await;
        let app = t.app(&[Password]).await;
        let token = t.password_with_scope(&app, "ada", "read").await.access_token();
        let forged = t.http.get(t.url("verify?scope=read")).bearer_auth(&token)
            .header("x-auth-user", "root").header("x_auth_user", "root").header("x-auth-scopes", "admin")
            .header("x-forwarded-uri", "/?scope=write");

        let answer = Answer::of(forged).await;

        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-auth-user"), "ada");
        assert_eq!(answer.header("x-auth-user-id"), ada.id.to_string());
        assert_eq!(answer.header("x-auth-email"), "ada@example.com");
        assert_eq!(answer.header("x-auth-scopes"), "read");
        assert_eq!(answer.header("x-auth-client-id"), app.client_id);
        let bearer = format!("Bearer {token}");
        let wider = t.get_as("verify?scope=read+write", &bearer).await;
        assert_eq!(wider.outcome(), "403 insufficient_scope");
        assert!(wider.header("www-authenticate").contains("error=\"insufficient_scope\""));
        assert_eq!(t.get_as("verify?scope=read&scope=write", &bearer).await.status, 400);
        let post = Answer::of(t.http.post(t.url("verify")).bearer_auth(&token)).await;
        assert_eq!(post.status, 200, "a proxy asks with the visitor's method");
    }
}

on_both_databases! {
    async fn userinfo_tells_what_the_scope_allows(t: Test) {
        let ada = t.person_with(vestibule::store::user::NewUser {
            username: "ada".into(), email: "ada@example.com".into(), email_verified: true, first_name: "Ada".into(), ..Default::default()
        }).await;
        let app = t.app(&[Password, ClientCredentials]).await;
        let with = |scope: &'static str| {
            let (t, app) = (&t, &app);
            async move { format!("Bearer {}", t.password_with_scope(app, "ada", scope).await.access_token()) }
        };

        let plain = t.get_as("userinfo", &with("read").await).await;
        assert_eq!(plain.outcome(), "403 insufficient_scope");
        let openid = t.get_as("userinfo", &with("openid").await).await;
        assert_eq!(openid.json(), json!({"sub": ada.id.to_string()}));
        let all = t.post_as("userinfo", &with("openid profile email").await, &[]).await;
        assert_eq!(all.json(), json!({
            "sub": ada.id.to_string(), "preferred_username": "ada", "given_name": "Ada", "name": "Ada",
            "email": "ada@example.com", "email_verified": true,
        }));
        assert_eq!(all.header("cache-control"), "no-store");
        let machine = t.call("token", &app, &[("grant_type", "client_credentials"), ("scope", "openid")]).await.access_token();
        assert_eq!(t.get_as("userinfo", &format!("Bearer {machine}")).await.status, 403);
    }
}

on_both_databases! {
    async fn every_answer_carries_the_security_headers_and_an_id(t: Test) {
        for path in ["/healthz", "/readyz", "/nowhere", "/auth/token"] {
            let answer = Answer::of(t.http.get(t.url(path)).header("x-request-id", "abc-123")).await;
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("x-frame-options"), "DENY");
            assert_eq!(answer.header("x-request-id"), "abc-123");
            assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        }
        let odd = Answer::of(t.http.get(t.url("/healthz")).header("x-request-id", "a b\"<script>")).await;
        assert!(odd.header("x-request-id").chars().all(|c| c.is_ascii_hexdigit()));
    }
}

on_both_databases! {
    async fn metrics_have_no_label_of_a_clients_making(t: Test) { // attack 227
        let app = t.app(&[Password]).await;
        for number in 0..50 {
            Answer::of(t.http.get(t.url(&format!("/odd-path-{number}")))).await;
            t.convert(&app, &format!("odd-backend-{number}"), "odd-token").await;
            t.post("token", &[("grant_type", "odd-grant"), ("client_id", &format!("odd-client-{number}"))]).await;
        }

        let metrics = Answer::of(t.http.get(t.url("/metrics"))).await;

        assert!(metrics.text.contains("vestibule_http_requests_total{method=\"POST\",route=\"/auth/token\",status=\"401\"}"), "{metrics:?}");
        assert!(!metrics.text.contains("odd-"));
        assert!(!metrics.text.contains(app.secret.as_deref().unwrap()));
    }
}

on_both_databases! {
    async fn the_host_header_appears_nowhere(t: Test) { // attack 219
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let token = t.password(&app, "ada").await.access_token();
        let secret = app.secret.clone().unwrap();
        let form = [("client_id", app.client_id.as_str()), ("client_secret", &secret), ("token", &token)];

        let answer = Answer::of(t.http.post(t.url("introspect")).header("host", "evil.example").form(&form)).await;

        assert_eq!(answer.field("iss"), format!("{}/auth", t.base));
    }
}
