//! The OpenAPI document: every route is in it and nothing else, and what it says of an answer is what is answered.
//!
//! The harness holds every answer of every test against it (`harness::document`); here the endpoints that programs call
//! are walked through, so that none is left out.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vestibule::openapi;
use vestibule::protocol::GrantType;
use vestibule::settings::{Hidden, RegistrationByPeople, RegistrationMode};
use vestibule::store::consent;

use crate::harness::document::{METHODS, check, operations, resolve};
use crate::harness::guest::{CALLBACK, CHALLENGE};
use crate::harness::key::ClientKey;
use crate::harness::stand_in::Mood;
use crate::harness::{Answer, App, PASSWORD, Setup, Test, on_both_databases};

on_both_databases! {
    async fn every_route_is_in_the_document_and_nothing_else_is(t: Test) {
        for mount in ["/auth", "/", "/a/b/"] {
            let t = t.second_node_with(|settings| settings.mount = mount.to_owned()).await;
            let is_under_slash = |path: &String| path.len() > 1 && path.ends_with('/');
            let (with, without): (Vec<_>, Vec<_>) = t.vestibule.paths().into_iter().partition(is_under_slash);
            let routes: BTreeSet<String> = without.iter().map(|path| path.replace("{*", "{")).collect();
            let both: BTreeSet<String> = with.iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
            assert!(routes.len() > 40 && both.is_subset(&routes), "{both:?}");

            let document = openapi::document(&t.vestibule.context().settings, &[]);

            let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(documented, routes, "under {mount}");
        }
    }
}

/// A path with something in the place of its parameters.
fn filled(path: &str, operation: &'static Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten().map(resolve);
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let name = parameter["name"].as_str().unwrap();
        let value = parameter["example"].to_string();
        let value = if value == "null" { "github" } else { value.trim_matches('"') };
        path.replace(&format!("{{{name}}}"), value)
    })
}

on_both_databases! {
    async fn every_documented_method_is_taken_and_every_other_is_405(setup: Setup) {
        let mut setup = setup;
        setup.settings.authorization.resources = vec!["https://api.example/api".to_owned()];
        let t = setup.start().await;
        let all = operations();
        for (path, _, operation) in &all {
            let address = filled(path, operation);
            assert!(!address.contains('{'), "{address}");
            for method in METHODS {
                let of_request: Method = method.to_uppercase().parse().unwrap();
                let answer = Answer::of(t.http.request(of_request, t.url(&address))).await;
                match all.iter().any(|(own, documented, _)| own == path && *documented == method) {
                    true => assert!(answer.status != 405 && answer.field("error") != "not_found", "{method} {address}: {answer:?}"),
                    false => assert_eq!(answer.status, 405, "{method} {address}"),
                }
            }
        }
        let ids: BTreeSet<_> = all.iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), all.len(), "an operation's id is there twice");
    }
}

on_both_databases! {
    async fn the_document_is_served_to_everybody_and_read_again_only_where_it_has_changed(t: Test) {
        let answer = Answer::of(t.http.get(t.url("/openapi.json")).header("origin", "https://anybody.example")).await;

        let settings = &t.vestibule.context().settings;
        assert_eq!(answer.json(), openapi::document(settings, &["facebook", "github", "google-oauth2"]));
        assert_eq!(answer.json()["servers"][0]["url"], t.base);
        assert_eq!((answer.header("access-control-allow-origin").as_str(), answer.header("cache-control").as_str()), ("*", "no-cache"));
        let tag = answer.header("etag");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = Answer::of(t.http.get(t.url("/openapi.json")).header("if-none-match", known)).await;
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.clone()));
        }
        let other = t.second_node_with(|settings| drop(settings.providers.remove("github"))).await;
        let answer = Answer::of(other.http.get(other.url("/openapi.json")).header("if-none-match", tag)).await;
        assert_eq!((answer.status, &answer.json()["components"]["schemas"]["Backend"]["enum"]), (200, &json!(["facebook", "google-oauth2"])));
    }
}

#[test]
fn a_value_that_is_not_as_the_document_says_is_seen() {
    let schema = |name: &str| {
        let (_, _, operation) = operations().into_iter().find(|(path, ..)| *path == "/auth/token").unwrap();
        let answer = resolve(&operation["responses"][name]);
        &answer["content"]["application/json"]["schema"]
    };
    let good = json!({ "access_token": "x", "expires_in": 1, "token_type": "Bearer", "scope": "" });
    assert_eq!(check(schema("200"), &good), Ok(()));
    for (name, wrong) in
        [("expires_in", json!("1")), ("token_type", json!("bearer")), ("scope", Value::Null), ("new", json!(1))]
    {
        let mut bad = good.clone();
        bad[name] = wrong;
        assert!(check(schema("200"), &bad).is_err(), "{bad}");
    }
    assert!(check(schema("200"), &json!({ "access_token": "x" })).is_err());
    assert_eq!(
        check(schema("400"), &json!({ "error": "invalid_grant", "error_description": "x", "code": ["y"] })),
        Ok(())
    );
    for bad in [
        json!({ "error": "odd", "error_description": "x" }),
        json!({ "error": "invalid_grant", "error_description": "x", "reason": "odd" }),
        json!({ "error": "invalid_grant", "error_description": "x", "code": "y" }),
        json!([]),
    ] {
        assert!(check(schema("400"), &bad).is_err(), "{bad}");
    }
}

/// What was answered on the way: operations with their statuses.
#[derive(Default)]
struct Walk(BTreeSet<(&'static str, u16)>);

impl Walk {
    fn note(&mut self, answer: Answer, outcome: &str) -> Answer {
        let operation = answer.operation.unwrap_or_else(|| panic!("{answer:?} is of no operation"));
        assert_eq!(answer.refusal().trim(), outcome, "{operation}: {answer:?}");
        self.0.insert((operation, answer.status));
        answer
    }

    async fn send(&mut self, request: RequestBuilder, outcome: &str) -> Answer {
        self.note(Answer::of(request).await, outcome)
    }

    async fn call(&mut self, t: &Test, path: &str, app: &App, form: &[(&str, &str)], outcome: &str) -> Answer {
        self.note(t.call(path, app, form).await, outcome)
    }
}

async fn world(mut setup: Setup) -> Test {
    setup.settings.registration.mode = RegistrationMode::Token;
    setup.settings.registration.initial_access_token = Some(Hidden::new("the-initial-access-token"));
    setup.settings.tokens.user_in_response = true;
    let t = setup.start().await;
    t.person("ada").await;
    t
}

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

on_both_databases! {
    async fn what_programs_are_answered_is_what_the_document_says(setup: Setup) {
        let t = world(setup).await;
        let mut walk = Walk::default();
        let app = t.app_with(|app| {
            app.grant_types = GrantType::ALL.to_vec();
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.metadata.provider_tokens = true;
        }).await;
        oauth(&t, &app, &mut walk).await;
        accounts(&t, &app, &mut walk).await;
        discovery_and_operation(&t, &mut walk).await;
        registration(&t, &mut walk).await;
        applications(&t, &app, &mut walk).await;

        let is_done = |operation: &Value| {
            let id = operation["operationId"].as_str().unwrap();
            walk.0.iter().any(|(own, status)| *own == id && (200..300).contains(status))
        };
        // What a program calls gives something else than a page where it does what was asked for.
        let is_for_programs = |operation: &'static Value| {
            let answers = operation["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
            let mut contents = answers.map(|(_, answer)| resolve(answer)["content"].as_object());
            contents.any(|content| content.is_none_or(|content| content.keys().any(|name| name != "text/html")))
        };
        let left: Vec<_> = operations().into_iter().filter(|(.., operation)| is_for_programs(operation) && !is_done(operation)).map(|(path, method, _)| format!("{method} {path}")).collect();
        // The admin API, passkeys and SAML have tests of their own, whose answers are held against the document as well.
        let elsewhere = |path: &String| path.contains("/admin/") || path.contains("passkey") || path.ends_with("/account/data");
        let left: Vec<_> = left.into_iter().filter(|path| !elsewhere(path)).collect();
        assert_eq!(left, ["get /auth/metadata/{backend}"]);
    }
}

async fn oauth(t: &Test, app: &App, walk: &mut Walk) {
    let password = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", "openid read")];
    let tokens = walk.call(t, "token", app, &password, "200").await;
    assert!(tokens.json()["user"].is_object());
    let key = ClientKey::new();
    let proof = key.proof("POST", &t.url("token"), t.clock.now(), None);
    let bound = t.http.post(t.url("token")).header("dpop", proof).basic_auth(&app.client_id, app.secret.as_deref());
    let bound = walk.send(bound.form(&[("grant_type", "client_credentials")]), "200").await;
    assert_eq!(bound.field("token_type"), "DPoP");
    let proof = t.http.post(t.url("token")).header("dpop", "odd").basic_auth(&app.client_id, app.secret.as_deref());
    walk.send(proof.form(&[("grant_type", "client_credentials")]), "400 invalid_dpop_proof").await;
    let exchange =
        [("grant_type", EXCHANGE), ("subject_token", &tokens.access_token()), ("subject_token_type", ACCESS_TOKEN)];
    assert_eq!(walk.call(t, "token", app, &exchange, "200").await.field("issued_token_type"), ACCESS_TOKEN);
    for (form, outcome) in [
        (vec![], "400 invalid_request"),
        (vec![("grant_type", "refresh_token")], "400 invalid_request"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x")], "400 invalid_grant"),
        (vec![("grant_type", "magic")], "400 unsupported_grant_type"),
        (vec![("grant_type", "client_credentials"), ("scope", "odd")], "400 invalid_scope"),
        (vec![("grant_type", "client_credentials"), ("resource", "https://odd.example")], "400 invalid_target"),
    ] {
        walk.call(t, "token", app, &form, outcome).await;
    }
    let basic = t.http.post(t.url("token")).basic_auth(&app.client_id, Some("wrong")).form(&password);
    assert!(!walk.send(basic, "401 invalid_client").await.header("www-authenticate").is_empty());
    let small = t.second_node_with(|settings| settings.http.max_body_bytes = 1_000).await;
    walk.send(small.http.post(small.url("token")).form(&[("x", "x".repeat(2_000))]), "413 invalid_request").await;
    let narrow = t.app(&[GrantType::ClientCredentials]).await;
    walk.call(t, "token", &narrow, &password, "400 unauthorized_client").await;
    for _ in 0..20 {
        t.call("token", app, &[("grant_type", "password"), ("username", "ada"), ("password", "wrong")]).await;
    }
    walk.call(t, "token", app, &password, "429 invalid_grant").await;
    t.clock.advance(3_600);

    walk.call(t, "introspect", app, &[("token", &tokens.access_token())], "200").await;
    walk.call(t, "introspect", app, &[("token", &bound.access_token())], "200").await;
    walk.call(t, "introspect", app, &[("token", "odd")], "200").await;
    let signed = t.http.post(t.url("introspect")).header("accept", "application/token-introspection+jwt");
    let form = [("token", tokens.access_token())];
    walk.send(signed.basic_auth(&app.client_id, app.secret.as_deref()).form(&form), "200").await;
    walk.call(t, "introspect", app, &[], "400 invalid_request").await;
    let public = t.public_app(&[GrantType::Password, GrantType::DeviceCode]).await;
    walk.call(t, "introspect", &public, &[("token", "x")], "401 invalid_client").await;

    let begun = walk.call(t, "device-authorization", &public, &[("scope", "read")], "200").await;
    let poll = [("grant_type", DEVICE), ("device_code", &begun.field("device_code"))];
    walk.call(t, "token", &public, &poll, "400 authorization_pending").await;
    walk.call(t, "token", &public, &poll, "400 slow_down").await;
    t.clock.advance(700);
    walk.call(t, "token", &public, &poll, "400 expired_token").await;
    walk.call(t, "device-authorization", &narrow, &[], "400 unauthorized_client").await;

    let request = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    walk.call(t, "par", app, &request, "201").await;
    walk.call(t, "par", app, &request[..2], "400 invalid_request").await;
    walk.call(
        t,
        "par",
        app,
        &[("response_type", "magic"), ("redirect_uri", CALLBACK)],
        "400 unsupported_response_type",
    )
    .await;

    let bearer = |path: &str, token: &str| t.http.post(t.url(path)).bearer_auth(token);
    let (client, token) = ([("client_id", app.client_id.clone())], tokens.access_token());
    walk.send(t.http.get(t.url("userinfo")).bearer_auth(&token), "200").await;
    walk.send(t.http.post(t.url("userinfo")).form(&[("access_token", &token)]), "200").await;
    walk.send(t.http.get(t.url("userinfo")), "401 invalid_request").await;
    walk.send(bearer("invalidate-refresh-tokens", &token).form(&client), "204").await;
    walk.send(bearer("invalidate-refresh-tokens", &token).form(&[("client_id", "odd")]), "400 invalid_request").await;
    walk.send(bearer("invalidate-sessions", &token).body("odd"), "400 invalid_request").await;
    let own = t.call("token", app, &[("grant_type", "client_credentials")]).await.access_token();
    walk.send(bearer("invalidate-sessions", &own).form(&client), "403 insufficient_scope").await;
    walk.send(bearer("invalidate-sessions", &token).form(&client), "204").await;
    walk.send(bearer("invalidate-sessions", &token).form(&client), "401 invalid_token").await;
    walk.call(t, "revoke-token", app, &[("token", &own)], "200").await;
    walk.call(t, "revoke-token", app, &[], "400 invalid_request").await;
}

async fn accounts(t: &Test, app: &App, walk: &mut Walk) {
    let convert = |token: &'static str| [("grant_type", "convert_token"), ("backend", "github"), ("token", token)];
    t.stand_in.issue("github", "good-token", "7");
    t.stand_in.issue("github", "other-token", "8");
    let tokens = walk.call(t, "convert-token", app, &convert("good-token"), "200").await;
    walk.call(t, "convert-token", app, &convert("odd"), "400 invalid_grant foreign_audience").await;
    walk.call(
        t,
        "convert-token",
        app,
        &[("grant_type", "convert_token"), ("backend", "odd"), ("token", "x")],
        "400 invalid_request unknown_backend",
    )
    .await;
    walk.call(t, "convert-token", app, &[("grant_type", "password")], "400 unsupported_grant_type").await;
    t.stand_in.mood(Mood::Broken);
    let down = walk
        .call(t, "convert-token", app, &convert("third-token"), "503 temporarily_unavailable provider_unreachable")
        .await;
    assert!(!down.header("retry-after").is_empty());
    t.stand_in.mood(Mood::Good);

    let token = tokens.access_token();
    walk.send(t.http.get(t.url("backends")), "200").await;
    let listed = walk.send(t.http.get(t.url("backends")).bearer_auth(&token), "200").await;
    assert!(listed.text.contains("\"associations\""));
    walk.send(t.http.get(t.url("backends")).bearer_auth("odd"), "401 invalid_token").await;
    walk.send(
        t.http.get(t.url("backends")).header("authorization", "Bearer odd x"),
        "401 invalid_request unknown_backend",
    )
    .await;
    walk.send(t.http.get(t.url("backends")).header("authorization", "Bearer github good-token"), "200").await;

    let post = |path: &str, body: Value| t.http.post(t.url(path)).bearer_auth(&token).json(&body);
    let connected =
        walk.send(post("connect-backend", json!({ "backend": "github", "token": "other-token" })), "200").await;
    let id = connected.json()["association_id"].as_i64().unwrap();
    walk.send(post("connect-backend", json!({ "backend": "github" })), "400 invalid_request").await;
    walk.send(
        post("connect-backend", json!({ "backend": "github", "token": "odd" })),
        "400 invalid_grant foreign_audience",
    )
    .await;
    walk.send(t.http.post(t.url("connect-backend")), "401 invalid_request").await;
    walk.send(post("disconnect-backend", json!({ "backend": "github", "association_id": 0 })), "400 invalid_request")
        .await;

    let wanted = [("backend", "github"), ("subject_token", &token), ("association_id", &id.to_string())];
    walk.call(t, "provider-token", app, &wanted, "200").await;
    walk.call(t, "provider-token", app, &wanted[..1], "400 invalid_request").await;
    walk.call(t, "provider-token", app, &[("backend", "github"), ("username", "ada")], "400 invalid_grant").await;
    let untrusted = t.app(&[GrantType::Password]).await;
    walk.call(t, "provider-token", &untrusted, &wanted, "403 unauthorized_client").await;
    walk.send(post("disconnect-backend", json!({ "backend": "github", "association_id": id })), "204").await;

    for method in METHODS {
        let verify =
            |query: &str| t.http.request(method.to_uppercase().parse().unwrap(), t.url(&format!("verify{query}")));
        walk.send(verify("").bearer_auth(&token), "200").await;
        walk.send(verify("?scope=openid").bearer_auth(&token), "403 insufficient_scope").await;
        walk.send(verify("?scope=%zz").bearer_auth(&token), "400 invalid_request").await;
        walk.send(verify(""), "401 invalid_request").await;
    }
}

async fn discovery_and_operation(t: &Test, walk: &mut Walk) {
    for document in ["openid-configuration", "oauth-authorization-server"] {
        for path in [
            format!("/auth/.well-known/{document}"),
            format!("/.well-known/{document}"),
            format!("/.well-known/{document}/auth"),
        ] {
            walk.send(t.http.get(t.url(&path)), "200").await;
        }
    }
    walk.send(t.http.get(t.url("/.well-known/oauth-protected-resource")), "200").await;
    walk.send(t.http.get(t.url("/.well-known/oauth-protected-resource/api")), "404 not_found").await;
    let api =
        t.second_node_with(|settings| settings.authorization.resources = vec!["https://api.example/a/b".into()]).await;
    walk.send(api.http.get(api.url("/.well-known/oauth-protected-resource/a/b")), "200").await;
    for path in ["jwks", "style.css", "console.js", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
        walk.send(t.http.get(t.url(path)), "200").await;
    }
}

async fn registration(t: &Test, walk: &mut Walk) {
    let wanted = json!({ "client_name": "Its name", "redirect_uris": [CALLBACK], "policy_uri": "https://app.example/policy", "contacts": ["a@app.example"], "require_auth_time": true });
    let register = || t.http.post(t.url("register")).json(&wanted);
    walk.send(register(), "401 invalid_token").await;
    let made = walk.send(register().bearer_auth("the-initial-access-token"), "201").await;
    let bad =
        t.http.post(t.url("register")).json(&json!({ "redirect_uris": 7 })).bearer_auth("the-initial-access-token");
    walk.send(bad, "400 invalid_client_metadata").await;
    let (own, token) = (made.field("registration_client_uri"), made.field("registration_access_token"));
    walk.send(t.http.get(&own).bearer_auth(&token), "200").await;
    walk.send(t.http.get(&own).bearer_auth("odd"), "401 invalid_token").await;
    walk.send(t.http.put(&own).bearer_auth(&token).json(&wanted), "400 invalid_client_metadata").await;
    let mut replacement = wanted.clone();
    replacement["client_id"] = made.field("client_id").into();
    walk.send(t.http.put(&own).bearer_auth(&token).json(&replacement), "200").await;
    walk.send(t.http.delete(&own).bearer_auth(&token), "204").await;
    let off = t.second_node_with(|settings| settings.registration.mode = RegistrationMode::Off).await;
    walk.send(off.http.post(off.url("register")).json(&wanted), "403 access_denied").await;
}

async fn applications(t: &Test, app: &App, walk: &mut Walk) {
    let token = t.password_with_scope(app, "ada", "applications openid").await.access_token();
    let weak = t.password_with_scope(app, "ada", "read").await.access_token();
    let send = |method: Method, path: &str| t.http.request(method, t.url(path)).bearer_auth(&token);
    let wish = json!({ "name": "Hers", "redirect_uris": [CALLBACK] });
    let closed = t.second_node_with(|settings| settings.registration.by_people = RegistrationByPeople::Off).await;
    let refused = closed.http.post(closed.url("applications")).bearer_auth(&token).json(&wish);
    walk.send(refused, "403 access_denied").await;
    let made = walk.send(send(Method::POST, "applications").json(&wish), "201").await;
    let own = format!("applications/{}", made.field("client_id"));
    walk.send(send(Method::GET, "applications"), "200").await;
    walk.send(t.http.get(t.url("applications")).bearer_auth(&weak), "403 insufficient_scope").await;
    walk.send(send(Method::GET, &own), "200").await;
    walk.send(send(Method::PATCH, &own).json(&json!({ "name": "Renamed" })), "200").await;
    walk.send(send(Method::PATCH, &own).json(&json!({ "owner_id": 7 })), "400 invalid_client_metadata").await;
    walk.send(t.http.patch(t.url(&own)), "401 invalid_request").await;
    walk.send(send(Method::DELETE, &own), "204").await;
    walk.send(send(Method::DELETE, &own), "404 invalid_request").await;

    let (cx, other) = (t.vestibule.context(), t.app(&[GrantType::Password]).await);
    let person = t.find_person("ada").await.unwrap();
    consent::add(&cx.db, person.id, other.row.id, &"read".split(' ').collect(), t.clock.now()).await.unwrap();
    let listed = walk.send(send(Method::GET, "authorized_tokens"), "200").await;
    let id = listed.json()["authorized"][0]["id"].as_i64().unwrap();
    walk.send(send(Method::DELETE, &format!("authorized_tokens/{id}")), "204").await;
    walk.send(send(Method::DELETE, &format!("authorized_tokens/{id}")), "404 invalid_request").await;
    walk.send(send(Method::DELETE, "authorized_tokens/odd"), "404 invalid_request").await;
}
