//! OpenID Connect: discovery, keys, ID tokens, user info, subjects, sign-out.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use vestibule::admin::{self, Actor};
use vestibule::protocol::GrantType::{AuthorizationCode, RefreshToken};
use vestibule::protocol::client_metadata::SubjectType;
use vestibule::protocol::jwt::Jwt;
use vestibule::protocol::key_set::KeySet;
use vestibule::store::application::{self, Application};
use vestibule::store::user::{self, NewUser};
use vestibule::{client, signing};

use crate::authorize::{redeem, web_app};
use crate::harness::guest::{CALLBACK, Guest};
use crate::harness::key::{claims, header};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

async fn get(t: &Test, path: &str) -> Answer {
    Answer::of(t.http.get(t.url(path))).await
}

/// An application with its secret sealed where it must be.
pub async fn app_with(t: &Test, change: impl FnOnce(&mut Application)) -> App {
    let secret = "a-secret-that-signs-0123456789";
    let cx = t.vestibule.context();
    let app = t
        .app_with(|app| {
            app.grant_types = vec![AuthorizationCode, RefreshToken];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
            change(app);
            if app.client_type == vestibule::protocol::ClientType::Confidential {
                client::set_secret(cx, app, secret).unwrap();
            }
        })
        .await;
    App { secret: app.secret.as_ref().map(|_| secret.to_owned()), ..app }
}

pub async fn id_token(t: &Test, guest: &Guest<'_>, app: &App) -> (Answer, String) {
    let code = guest.code(app, "ada", &[("scope", "openid email profile"), ("nonce", "n")]).await;
    let tokens = redeem(t, app, &code).await;
    let id_token = tokens.field("id_token");
    assert!(!id_token.is_empty(), "{tokens:?}");
    (tokens, id_token)
}

on_both_databases! {
    async fn discovery_lists_exactly_what_is_there(t: Test) { // attacks 55, 219
        let documents = [
            "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration/auth", "/.well-known/oauth-authorization-server/auth",
            ".well-known/openid-configuration", ".well-known/oauth-authorization-server",
        ];
        let document = get(&t, documents[0]).await;
        for path in documents {
            let answer = Answer::of(t.http.get(t.url(path)).header("host", "evil.example")).await;
            assert_eq!((answer.status, answer.text), (200, document.text.clone()), "{path}");
        }
        let document = document.json();
        assert_eq!(document["issuer"], t.url("/auth"));
        assert!(document.get("registration_endpoint").is_none());
        let mut endpoints = 0;
        for (name, value) in document.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                let answer = Answer::of(t.http.get(value.as_str().unwrap())).await;
                assert_ne!(answer.status, 404, "{name}");
                endpoints += 1;
            }
        }
        assert!(endpoints >= 9);
        let listed = |name: &str| -> Vec<String> { document[name].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect() };
        let refused = |outcome: String| outcome == "400 unsupported_grant_type";
        let app = t.app(&[vestibule::protocol::GrantType::Password]).await;
        for grant in listed("grant_types_supported").iter().filter(|grant| *grant != "implicit") {
            assert!(!refused(t.call("token", &app, &[("grant_type", grant)]).await.outcome()), "{grant}");
        }
        assert!(refused(t.call("token", &app, &[("grant_type", "nonsense")]).await.outcome()));
        assert!(!listed("token_endpoint_auth_methods_supported").contains(&"tls_client_auth".to_owned()));
        assert_eq!(get(&t, "/auth/.well-known/nonsense").await.status, 404);
    }
}

on_both_databases! {
    async fn a_server_may_hang_at_the_root(setup: Setup) {
        let mut setup = setup;
        setup.settings.mount = "/".to_owned();
        let t = setup.start().await;
        let document = get(&t, "/.well-known/openid-configuration").await.json();
        assert_eq!((document["issuer"].as_str(), document["token_endpoint"].as_str()), (Some(t.base.as_str()), Some(t.url("/token").as_str())));
        assert_eq!(get(&t, "/jwks").await.status, 200);
    }
}

on_both_databases! {
    async fn an_id_token_is_signed_as_the_application_wants_it(t: Test) {
        t.person_with(NewUser { username: "ada".to_owned(), email: "ada@example.com".to_owned(), ..NewUser::default() }).await;
        let guest = Guest::new(&t);
        let keys = get(&t, "jwks").await;
        let set = KeySet::parse(keys.text.as_bytes()).unwrap();
        assert!(!keys.text.contains("\"d\""));
        for algorithm in ["RS256", "ES256", "EdDSA", "HS256"] {
            let app = app_with(&t, |app| app.signing_algorithm = algorithm.to_owned()).await;
            let (tokens, text) = id_token(&t, &guest, &app).await;
            let jwt = Jwt::parse(&text).unwrap();
            match algorithm {
                "HS256" => assert!(jwt.is_signed_with_secret(app.secret.as_deref().unwrap())),
                _ => assert!(jwt.is_signed_by(&set, vestibule::protocol::key_set::DEFAULT_ALGORITHMS), "{algorithm}"),
            }
            let told = claims(&text);
            assert_eq!(header(&text)["alg"], algorithm);
            assert_eq!((told["iss"].as_str(), told["aud"].as_str(), told["azp"].as_str()), (Some(t.url("/auth").as_str()), Some(app.client_id.as_str()), Some(app.client_id.as_str())));
            assert_eq!((told["nonce"].as_str(), told["exp"].as_i64()), (Some("n"), Some(told["iat"].as_i64().unwrap() + 3_600)));
            assert!(told["auth_time"].is_i64() && told["sid"].is_string() && told["amr"] == json!(["pwd"]), "{told}");
            let hash = match algorithm {
                "EdDSA" => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, tokens.access_token().as_bytes()),
                _ => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, tokens.access_token().as_bytes()),
            };
            assert_eq!(told["at_hash"], crate::harness::key::encode(&hash.as_ref()[..hash.as_ref().len() / 2]));
            let refreshed = t.refresh(&app, &tokens.refresh_token()).await;
            let again = claims(&refreshed.field("id_token"));
            assert_eq!((&again["sub"], &again["auth_time"], &again["sid"]), (&told["sub"], &told["auth_time"], &told["sid"]));
            assert!(again.get("nonce").is_none());
        }
        let none = app_with(&t, |app| app.signing_algorithm = "none".to_owned()).await;
        let code = guest.code(&none, "ada", &[("scope", "openid")]).await;
        assert_eq!(redeem(&t, &none, &code).await.field("id_token"), "");
        let plain = app_with(&t, |_| {}).await;
        let code = guest.code(&plain, "ada", &[("scope", "read")]).await;
        assert_eq!(redeem(&t, &plain, &code).await.field("id_token"), "");
    }
}

on_both_databases! {
    async fn user_info_tells_what_the_scope_and_the_request_name(t: Test) {
        let ada = t.person_with(NewUser {
            username: "ada".to_owned(), email: "ada@example.com".to_owned(), email_verified: true,
            first_name: "Ada".to_owned(), last_name: "Lovelace".to_owned(), ..NewUser::default()
        }).await;
        let extra = json!({ "phone_number": "+44 20 7946 0000", "phone_number_verified": true, "address": { "locality": "London" }, "picture": "https://example.com/ada.png", "sub": "999", "is_superuser": true });
        user::set_claims(&t.vestibule.context().db, ada.id, extra.to_string()).await.unwrap();
        let app = app_with(&t, |_| {}).await;
        let guest = Guest::new(&t);
        for (scope, expected) in [
            ("openid", vec![]),
            ("openid profile", vec!["family_name", "given_name", "name", "picture", "preferred_username"]),
            ("openid email", vec!["email", "email_verified"]),
            ("openid phone", vec!["phone_number", "phone_number_verified"]),
            ("openid address", vec!["address"]),
        ] {
            let code = guest.code(&app, "ada", &[("scope", scope)]).await;
            let token = redeem(&t, &app, &code).await.access_token();
            let by_get = t.get_as("userinfo", &format!("Bearer {token}")).await.json();
            let by_header = t.post_as("userinfo", &format!("Bearer {token}"), &[]).await.json();
            let by_body = t.post("userinfo", &[("access_token", &token)]).await.json();
            let mut names: Vec<&String> = by_get.as_object().unwrap().keys().collect();
            names.sort();
            let mut wanted = [vec!["sub"], expected].concat();
            wanted.sort_unstable();
            assert_eq!(names, wanted, "{scope}");
            assert_eq!((by_get["sub"].as_str(), &by_get, &by_get), (Some(ada.id.to_string().as_str()), &by_header, &by_body));
        }
        let wish = r#"{"userinfo": {"name": {"essential": true}}, "id_token": {"email": null}}"#;
        let code = guest.code(&app, "ada", &[("scope", "openid"), ("claims", wish)]).await;
        let tokens = redeem(&t, &app, &code).await;
        assert_eq!(t.get_as("userinfo", &format!("Bearer {}", tokens.access_token())).await.json(), json!({ "name": "Ada Lovelace", "sub": ada.id.to_string() }));
        assert_eq!(claims(&tokens.field("id_token"))["email"], "ada@example.com");
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        let token = redeem(&t, &app, &code).await.access_token();
        assert_eq!(t.get_as("userinfo", &format!("Bearer {token}")).await.outcome(), "403 insufficient_scope");
        assert_eq!(t.post("userinfo", &[("access_token", "garbage")]).await.outcome(), "401 invalid_token");
    }
}

on_both_databases! {
    async fn user_info_and_introspection_are_signed_for_whoever_wants_it(t: Test) {
        t.person("ada").await;
        let app = app_with(&t, |app| app.metadata.userinfo_signed_response_alg = Some("RS256".to_owned())).await;
        let guest = Guest::new(&t);
        let (tokens, _) = id_token(&t, &guest, &app).await;
        let set = KeySet::parse(get(&t, "jwks").await.text.as_bytes()).unwrap();
        let is_signed = |text: &str| Jwt::parse(text).unwrap().is_signed_by(&set, vestibule::protocol::key_set::DEFAULT_ALGORITHMS);

        let told = t.get_as("userinfo", &format!("Bearer {}", tokens.access_token())).await;
        assert_eq!(told.header("content-type"), "application/jwt");
        assert!(is_signed(&told.text));
        assert_eq!((claims(&told.text)["iss"].clone(), claims(&told.text)["aud"].clone()), (json!(t.url("/auth")), json!(app.client_id)));

        let form = [("client_id", app.client_id.as_str()), ("client_secret", app.secret.as_deref().unwrap()), ("token", &tokens.access_token())];
        let request = t.http.post(t.url("introspect")).header("accept", "application/token-introspection+jwt").form(&form);
        let introspected = Answer::of(request).await;
        assert_eq!(introspected.header("content-type"), "application/token-introspection+jwt");
        assert!(is_signed(&introspected.text) && header(&introspected.text)["typ"] == "token-introspection+jwt");
        let told = claims(&introspected.text);
        assert_eq!((told["aud"].as_str(), told["token_introspection"]["active"].as_bool()), (Some(app.client_id.as_str()), Some(true)));
        assert_eq!(t.post("introspect", &form).await.json()["active"], true);
    }
}

on_both_databases! {
    async fn a_pairwise_subject_is_the_same_within_its_sector_and_another_outside(t: Test) {
        let ada = t.person("ada").await;
        let guest = Guest::new(&t);
        let pairwise = |uri: &'static str| move |app: &mut Application| {
            app.metadata.subject_type = SubjectType::Pairwise;
            app.redirect_uris.push(uri.to_owned());
            app.redirect_uris.rotate_right(1);
        };
        let subject = |app: App| {
            let (t, guest) = (&t, &guest);
            async move {
                let (tokens, text) = id_token(t, guest, &app).await;
                let subject = claims(&text)["sub"].as_str().unwrap().to_owned();
                let told = t.get_as("userinfo", &format!("Bearer {}", tokens.access_token())).await.json();
                assert_eq!(told["sub"], subject.as_str());
                let introspected = t.call("introspect", &app, &[("token", &tokens.access_token())]).await.json();
                assert_eq!(introspected["sub"], subject.as_str());
                subject
            }
        };
        let one = subject(app_with(&t, pairwise("https://one.example/a")).await).await;
        let same = subject(app_with(&t, pairwise("https://one.example/b")).await).await;
        let other = subject(app_with(&t, pairwise("https://other.example/")).await).await;
        let public = subject(app_with(&t, |_| {}).await).await;
        assert_eq!(one, same);
        assert!(one != other && one != public && public == ada.id.to_string());
    }
}

on_both_databases! {
    async fn keys_are_rotated_with_the_next_one_known_to_every_node(setup: Setup) { // attack 267
        let mut setup = setup;
        setup.settings.public_url = Some("http://login.example".to_owned()); // one issuer, two nodes
        let t = setup.start().await;
        t.person("ada").await;
        let second = t.second_node().await;
        let app = app_with(&t, |app| app.metadata.access_token_format = Some(vestibule::settings::AccessTokenFormat::Jwt)).await;
        let guest = Guest::new(&t);
        let (before, text) = id_token(&t, &guest, &app).await;
        let published = |answer: Answer| answer.json()["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let early = published(get(&second, "jwks").await);
        assert_eq!(early.len(), 6); // the one that signs and the next, of three algorithms
        assert!(early.contains(&header(&text)["kid"].as_str().unwrap().to_owned()));

        t.clock.advance(2);
        admin::keys::rotate(t.vestibule.context(), &Actor::operator()).await.unwrap();

        let there = Guest::new(&second);
        let (after, text) = id_token(&second, &there, &app).await;
        let kid = header(&text)["kid"].as_str().unwrap().to_owned();
        assert!(early.contains(&kid), "it was published before it signed");
        assert_ne!(kid, header(&before.field("id_token"))["kid"].as_str().unwrap());
        assert_eq!(published(get(&t, "jwks").await).len(), 9);
        for node in [&t, &second] {
            for tokens in [&before, &after] {
                assert!(node.accepts(&tokens.access_token()).await);
            }
        }
        t.clock.advance(30 * 86_400 + 61);
        signing::maintain(t.vestibule.context()).await.unwrap();
        t.clock.advance(5);
        assert_eq!(published(get(&t, "jwks").await).len(), 6);
        assert!(!published(get(&t, "jwks").await).contains(&header(&before.field("id_token"))["kid"].as_str().unwrap().to_owned()));
    }
}

on_both_databases! {
    async fn keys_change_on_schedule(setup: Setup) {
        let mut setup = setup;
        setup.settings.signing_keys.rotate_every = std::time::Duration::from_secs(86_400);
        let t = setup.start().await;
        let cx = t.vestibule.context();
        let signs = || async { signing::keys(cx).await.unwrap().current(signing::Algorithm::Es256, t.clock.now()).unwrap().kid.clone() };
        let first = signs().await;
        t.clock.advance(86_400 + 1);
        let second = signs().await;
        assert_ne!(first, second);
        signing::maintain(cx).await.unwrap();
        let keys = vestibule::store::signing_key::living(&cx.db, t.clock.now()).await.unwrap();
        let es256: Vec<_> = keys.iter().filter(|key| key.algorithm == "ES256").collect();
        assert_eq!(es256.len(), 3); // retired, signing, next
        assert!(es256.iter().any(|key| key.kid == first && key.expires_at.is_some()));
        assert_eq!(signs().await, second);
        signing::maintain(cx).await.unwrap();
        assert_eq!(vestibule::store::signing_key::living(&cx.db, t.clock.now()).await.unwrap().len(), keys.len());
    }
}

on_both_databases! {
    async fn an_application_signs_a_person_out_and_gets_them_back(t: Test) { // attack 183
        t.person("ada").await;
        let done = "https://app.example/done";
        let app = app_with(&t, |app| app.post_logout_redirect_uris = vec![done.to_owned(), "https://app.example/q?a=1".to_owned()]).await;
        let other = app_with(&t, |_| {}).await;
        let guest = Guest::new(&t);
        let (tokens, hint) = id_token(&t, &guest, &app).await;
        let (_, foreign) = id_token(&t, &guest, &other).await;
        let query = |members: &[(&str, &str)]| format!("logout?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish());
        let at = hint.len() - 20;
        let other_letter = if hint[at..].starts_with('x') { 'y' } else { 'x' };
        let changed = format!("{}{other_letter}{}", &hint[..at], &hint[at + 1..]);
        for bad in [
            vec![("post_logout_redirect_uri", done)],
            vec![("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://evil.example/")],
            vec![("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://app.example/done?x=1")],
            vec![("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://app.example/q")],
            vec![("id_token_hint", changed.as_str()), ("post_logout_redirect_uri", done)],
            vec![("id_token_hint", "garbage"), ("post_logout_redirect_uri", done)],
            vec![("id_token_hint", tokens.access_token().as_str())],
            vec![("id_token_hint", foreign.as_str()), ("client_id", app.client_id.as_str()), ("post_logout_redirect_uri", done)],
            vec![("client_id", "unknown")],
        ].iter() {
            let answer = guest.get(&query(bad)).await;
            assert!(answer.is_error_page(), "{bad:?}: {answer:?}");
            assert_eq!(guest.get("/account/").await.status, 200, "{bad:?}");
        }
        let only_state = guest.get(&query(&[("state", "s")])).await;
        assert!(only_state.text.contains("name=\"decision\""));
        let by_client = guest.get(&query(&[("client_id", &app.client_id), ("post_logout_redirect_uri", done)])).await;
        assert!(by_client.text.contains("name=\"decision\"")); // anybody could have written that: ask

        let out = guest.get(&query(&[("id_token_hint", &hint), ("post_logout_redirect_uri", done), ("state", "a b")])).await;

        assert_eq!((out.status, out.header("location").as_str()), (303, "https://app.example/done?state=a+b"));
        assert_eq!(guest.get("/account/").await.status, 303);
        assert!(!t.accepts(&tokens.access_token()).await);
        let again = guest.get(&query(&[("id_token_hint", &hint), ("post_logout_redirect_uri", "https://app.example/q?a=1"), ("state", "s")])).await;
        assert_eq!(again.header("location"), "https://app.example/q?a=1&state=s");
        // By a form from another site, with which a browser sends no cookie: it goes on as a GET, with one.
        let (_, hint) = id_token(&t, &guest, &app).await;
        let posted = Guest::new(&t).post("logout", &[("id_token_hint", &hint), ("post_logout_redirect_uri", done)]).await;
        assert_eq!((posted.status, guest.get("/account/").await.status), (303, 200));
        assert_eq!(guest.get(&posted.header("location")).await.header("location"), done);
        assert_eq!(guest.get("/account/").await.status, 303);
    }
}

/// A client's end of back-channel logout: it collects what it is told, and can be out of order.
pub struct Backchannel {
    pub url: String,
    told: Arc<Mutex<Vec<String>>>,
    is_down: Arc<std::sync::atomic::AtomicBool>,
}

impl Backchannel {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/logout", listener.local_addr().unwrap());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let is_down: Arc<std::sync::atomic::AtomicBool> = Arc::default();
        let (heard, down) = (told.clone(), is_down.clone());
        let router = axum::Router::new().route(
            "/logout",
            axum::routing::post(move |body: String| {
                let (heard, down) = (heard.clone(), down.clone());
                async move {
                    if down.load(std::sync::atomic::Ordering::SeqCst) {
                        return axum::http::StatusCode::BAD_GATEWAY;
                    }
                    let token = url::form_urlencoded::parse(body.as_bytes())
                        .find(|(name, _)| name == "logout_token")
                        .unwrap()
                        .1
                        .into_owned();
                    heard.lock().unwrap().push(token);
                    axum::http::StatusCode::OK
                }
            }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, told, is_down }
    }

    pub async fn heard(&self) -> Vec<String> {
        for _ in 0..100 {
            if !self.told.lock().unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.told.lock().unwrap().clone()
    }
}

on_both_databases! {
    async fn applications_are_told_of_a_sign_out_behind_the_browsers_back(setup: Setup) {
        let mut setup = setup;
        setup.settings.outbound.allow_private_addresses = true;
        let t = setup.start().await;
        t.person("ada").await;
        let channel = Backchannel::start().await;
        // One that cannot be told, for want of its secret, is in nobody's way.
        let broken = app_with(&t, |app| app.metadata.backchannel_logout_uri = Some(channel.url.clone())).await;
        let told = app_with(&t, |app| app.metadata.backchannel_logout_uri = Some(channel.url.clone())).await;
        let quiet = app_with(&t, |_| {}).await;
        let guest = Guest::new(&t);
        let (_, hint) = id_token(&t, &guest, &quiet).await;
        id_token(&t, &guest, &broken).await;
        let row = Application { signing_algorithm: "HS256".to_owned(), sealed_secret: None, ..broken.row.clone() };
        application::update(&t.vestibule.context().db, &row, t.clock.now()).await.unwrap();
        let (_, of_told) = id_token(&t, &guest, &told).await;

        guest.get(&format!("logout?id_token_hint={hint}")).await;

        let heard = channel.heard().await;
        assert_eq!(heard.len(), 1);
        let token = claims(&heard[0]);
        let set = KeySet::parse(get(&t, "jwks").await.text.as_bytes()).unwrap();
        assert!(Jwt::parse(&heard[0]).unwrap().is_signed_by(&set, vestibule::protocol::key_set::DEFAULT_ALGORITHMS));
        assert_eq!(header(&heard[0])["typ"], "logout+jwt");
        assert_eq!((&token["aud"], &token["sid"], &token["sub"]), (&json!(told.client_id), &claims(&of_told)["sid"], &claims(&of_told)["sub"]));
        assert_eq!(token["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(token["jti"].is_string() && token.get("nonce").is_none() && token["exp"].is_i64());
    }
}

on_both_databases! {
    async fn a_sign_out_that_does_not_arrive_is_told_again(setup: Setup) {
        let mut setup = setup;
        setup.settings.outbound.allow_private_addresses = true;
        let t = setup.start().await;
        t.person("ada").await;
        let channel = Backchannel::start().await;
        channel.is_down.store(true, std::sync::atomic::Ordering::SeqCst);
        let app = app_with(&t, |app| app.metadata.backchannel_logout_uri = Some(channel.url.clone())).await;
        let guest = Guest::new(&t);
        let (_, hint) = id_token(&t, &guest, &app).await;
        guest.get(&format!("logout?id_token_hint={hint}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        channel.is_down.store(false, std::sync::atomic::Ordering::SeqCst);

        t.clock.advance(120);
        vestibule::logout::deliver_due(t.vestibule.context()).await.unwrap();

        assert_eq!(channel.heard().await.len(), 1);
        t.clock.advance(7_200);
        vestibule::logout::deliver_due(t.vestibule.context()).await.unwrap();
        assert_eq!(channel.heard().await.len(), 1);
    }
}

on_both_databases! {
    async fn applications_are_told_of_a_sign_out_by_the_browser(t: Test) {
        t.person("ada").await;
        let app = app_with(&t, |app| {
            app.metadata.frontchannel_logout_uri = Some("https://app.example/out?x=1".to_owned());
            app.metadata.frontchannel_logout_session_required = true;
            app.post_logout_redirect_uris = vec!["https://app.example/done".to_owned()];
        }).await;
        let guest = Guest::new(&t);
        let (_, hint) = id_token(&t, &guest, &app).await;
        let sid = claims(&hint)["sid"].as_str().unwrap().to_owned();

        let page = guest.get(&format!("logout?id_token_hint={hint}&post_logout_redirect_uri=https://app.example/done")).await;

        assert_eq!(page.status, 200);
        let plain = page.text.replace("&#x2f;", "/").replace("&amp;", "&");
        assert!(plain.contains(&format!("sid={sid}")) && plain.contains("https://app.example/out?x=1&iss=") && plain.contains("url=https://app.example/done"), "{page:?}");
        assert!(page.header("content-security-policy").contains("frame-src https://app.example"));
    }
}

on_both_databases! {
    async fn an_application_whose_owner_changed_nothing_sees_a_new_secret_where_hs256_needs_one(t: Test) {
        let cx = t.vestibule.context();
        let app = web_app(&t).await;
        let mut row = application::find(&cx.db, &app.client_id).await.unwrap().unwrap();
        assert!(row.sealed_secret.is_none());
        row.signing_algorithm = "HS256".to_owned();
        assert!(client::needs_secret_itself(&row) && client::secret(cx, &row).is_err());
        client::set_secret(cx, &mut row, "another-secret-0123456789").unwrap();
        assert_eq!(client::secret(cx, &row).unwrap(), "another-secret-0123456789");
        let value: Value = vestibule::registration::described(&row);
        assert!(!value.to_string().contains("another-secret"));
    }
}
