//! Providers' tokens kept usable: `POST provider-token`, against a provider that rotates its refresh tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::join_all;
use serde_json::{Value, json};
use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::store::association;

use crate::harness::{Answer, App, Setup, Test, enabled, on_both_databases};

/// A provider that gives a new refresh token at each refresh, and takes every one once.
#[derive(Clone, Default)]
struct Rotating(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    refreshes: usize,
    codes: usize,
    valid: Option<String>,
    delay: Duration,
    is_broken: bool,
    scope: Option<String>,
    /// What a code gives, where it is not the usual.
    answer: Option<Value>,
}

impl Rotating {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let me = get(|| async { Json(json!({"id": "77", "login": "grace"})) });
        let router = axum::Router::new().route("/token", post(token)).route("/me", me).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        base
    }

    fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.0.lock().unwrap());
    }

    fn refreshes(&self) -> usize {
        self.0.lock().unwrap().refreshes
    }
}

async fn token(State(state): State<Rotating>, body: Bytes) -> Response {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("corp-id", "corp-secret"));
    if form["grant_type"] == "authorization_code" {
        let mut inside = state.0.lock().unwrap();
        inside.codes += 1;
        let number = inside.codes;
        inside.valid = Some(format!("refresh-of-code-{number}"));
        let usual = json!({
            "access_token": format!("access-of-code-{number}"), "token_type": "bearer", "expires_in": 3600,
            "refresh_token": inside.valid, "scope": "read mail",
        });
        return Json(inside.answer.clone().unwrap_or(usual)).into_response();
    }
    assert!(!form.contains_key("scope"), "nothing is asked for beyond what there is");
    let delay = {
        let mut inside = state.0.lock().unwrap();
        inside.refreshes += 1;
        inside.delay
    };
    tokio::time::sleep(delay).await;
    let mut inside = state.0.lock().unwrap();
    if inside.is_broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if inside.valid.is_none() || form.get("refresh_token") != inside.valid.as_ref() {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    }
    let number = inside.refreshes;
    inside.valid = Some(format!("refresh-{number}"));
    let mut answer =
        json!({"access_token": format!("access-{number}"), "expires_in": 3600, "refresh_token": inside.valid});
    if let Some(scope) = &inside.scope {
        answer["scope"] = scope.clone().into();
    }
    Json(answer).into_response()
}

/// A server with that provider, a trusted application, and a person who has signed in.
struct World {
    t: Test,
    provider: Rotating,
    api: App,
    app: App,
    user_id: String,
}

const ENTRY: &str = "
    protocol = 'oauth2'
    endpoints = { authorize = 'https://corp.example/authorize', token = 'https://corp.example/token', userinfo = 'https://corp.example/me' }
    claims = { uid = 'id', username = 'login' }
";

impl World {
    async fn new(mut setup: Setup) -> Self {
        let provider = Rotating::default();
        setup.settings.outbound.origin_map.insert("https://corp.example".into(), provider.start().await);
        let mut corp = enabled("corp-id", "corp-secret");
        corp.entry = ENTRY.parse().unwrap();
        corp.accept_unverified_audience = true;
        setup.settings.providers.insert("corp".into(), corp);
        let t = setup.start().await;
        let api = t.app_with(|app| app.metadata.provider_tokens = true).await;
        let app = t.app(&[ConvertToken, Password]).await;
        let mut world = Self { t, provider, api, app, user_id: String::new() };
        assert_eq!(world.sign_in().await.status, 200);
        world.user_id = world.t.find_person("grace").await.unwrap().id.to_string();
        world
    }

    async fn sign_in(&self) -> Answer {
        let form = [
            ("grant_type", "convert_token"),
            ("backend", "corp"),
            ("code", "a-code"),
            ("redirect_uri", "https://app.example/cb"),
        ];
        self.t.call("convert-token", &self.app, &form).await
    }

    async fn fetch_with(&self, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("backend", "corp"), ("user_id", self.user_id.as_str())];
        form.extend(more);
        self.t.call("provider-token", &self.api, &form).await
    }

    async fn fetch(&self) -> Answer {
        self.fetch_with(&[]).await
    }

    fn expire(&self) {
        self.t.clock.advance(3_596);
    }
}

on_both_databases! {
    async fn a_token_is_given_as_it_is_until_it_ends_and_then_a_fresh_one(setup: Setup) {
        let world = World::new(setup).await;

        let first = world.fetch().await;
        assert_eq!((first.status, first.header("cache-control")), (200, "no-store".to_owned()));
        assert_eq!(first.field("access_token"), "access-of-code-1");
        assert_eq!((first.field("token_type"), first.field("scope")), ("bearer".into(), "read mail".into()));
        assert!((3_590..=3_600).contains(&first.json()["expires_in"].as_i64().unwrap()), "{first:?}");
        assert!(first.json().get("refresh_token").is_none() && first.json().get("token_secret").is_none());
        assert_eq!(world.provider.refreshes(), 0);

        world.expire();
        assert_eq!(world.fetch().await.field("access_token"), "access-1", "four seconds are too few");
        assert_eq!(world.fetch().await.field("access_token"), "access-1");
        assert_eq!(world.provider.refreshes(), 1);
        assert_eq!(world.fetch_with(&[("refresh", "true")]).await.field("access_token"), "access-2");
        world.expire();
        assert_eq!(world.fetch().await.field("access_token"), "access-3", "each with the refresh token of the one before");
    }
}

on_both_databases! {
    async fn twenty_at_once_on_two_nodes_make_one_call(setup: Setup) {
        let world = World::new(setup).await;
        let other = world.t.second_node().await;
        world.provider.set(|inside| inside.delay = Duration::from_millis(400));
        world.expire();

        let form = [("backend", "corp"), ("user_id", world.user_id.as_str())];
        let answers = join_all((0..20).map(|number| {
            let node = if number % 2 == 0 { &world.t } else { &other };
            node.call("provider-token", &world.api, &form)
        }))
        .await;

        for answer in answers {
            assert_eq!((answer.status, answer.field("access_token")), (200, "access-1".to_owned()), "{answer:?}");
        }
        assert_eq!(world.provider.refreshes(), 1);
    }
}

on_both_databases! {
    async fn a_provider_that_is_down_is_asked_once_for_all_who_wait(setup: Setup) {
        let world = World::new(setup).await;
        world.provider.set(|inside| (inside.delay, inside.is_broken) = (Duration::from_millis(400), true));
        world.expire();

        for answer in join_all((0..10).map(|_| world.fetch())).await {
            assert_eq!(answer.refusal(), "503 temporarily_unavailable provider_unreachable", "{answer:?}");
            assert!(!answer.header("retry-after").is_empty());
        }
        assert_eq!(world.provider.refreshes(), 1);

        world.provider.set(|inside| inside.is_broken = false);
        assert_eq!(world.fetch().await.field("access_token"), "access-2", "nothing was lost");
    }
}

on_both_databases! {
    async fn an_ended_refresh_token_is_not_tried_again_until_the_person_signs_in(setup: Setup) {
        let world = World::new(setup).await;
        world.provider.set(|inside| inside.valid = None);
        assert_eq!(world.fetch_with(&[("refresh", "true")]).await.refusal(), "400 invalid_grant token_rejected");
        assert_eq!(world.fetch().await.field("access_token"), "access-of-code-1", "this one is still good");
        world.expire();

        for _ in 0..3 {
            let refused = world.fetch().await;
            assert_eq!(refused.refusal(), "400 invalid_grant token_rejected");
            assert!(refused.field("error_description").contains("sign in with it again"), "{refused:?}");
        }
        assert_eq!(world.provider.refreshes(), 1);

        assert_eq!(world.sign_in().await.status, 200);
        assert_eq!(world.fetch().await.field("access_token"), "access-of-code-2");
        world.expire();
        assert_eq!(world.fetch().await.field("access_token"), "access-2");
    }
}

on_both_databases! {
    async fn whoever_goes_away_loses_nobodys_refresh_token(setup: Setup) {
        let world = World::new(setup).await;
        world.provider.set(|inside| inside.delay = Duration::from_millis(300));
        world.expire();
        let impatient = world.fetch();
        assert!(tokio::time::timeout(Duration::from_millis(150), impatient).await.is_err());

        assert_eq!(world.fetch().await.field("access_token"), "access-1");
        assert_eq!(world.provider.refreshes(), 1);
    }
}

on_both_databases! {
    async fn a_sign_in_during_a_refresh_goes_first_and_does_not_bring_the_spent_one_back(setup: Setup) {
        let world = World::new(setup).await;
        world.provider.set(|inside| inside.delay = Duration::from_millis(1_000));
        world.expire();

        // The new sign-in brings no refresh token, as Google's second one does.
        let bring = json!({"access_token": "access-of-sign-in", "expires_in": 60});
        let valid = world.provider.0.lock().unwrap().valid.clone();
        let sign_in = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            world.provider.set(|inside| inside.answer = Some(bring));
            let answer = world.sign_in().await;
            world.provider.set(|inside| inside.valid = valid);
            answer
        };
        let (fetched, signed_in) = tokio::join!(world.fetch(), sign_in);
        assert_eq!((fetched.status, signed_in.status), (200, 200), "{fetched:?} {signed_in:?}");

        assert_eq!(world.fetch().await.field("access_token"), "access-of-sign-in");
        world.t.clock.advance(60);
        assert_eq!(world.fetch().await.field("access_token"), "access-2", "by the refresh token that came in between");
    }
}

on_both_databases! {
    async fn a_later_sign_in_without_a_refresh_token_keeps_the_one_that_is_there(setup: Setup) {
        let world = World::new(setup).await;
        assert_eq!(world.t.convert(&world.app, "corp", "a-token-of-the-app").await.status, 200);

        assert_eq!(world.fetch().await.field("access_token"), "a-token-of-the-app");
        assert_eq!(world.fetch_with(&[("refresh", "true")]).await.field("access_token"), "access-1");
    }
}

on_both_databases! {
    async fn a_scope_never_grows(setup: Setup) {
        let world = World::new(setup).await;
        world.provider.set(|inside| inside.scope = Some("mail read admin".into()));

        assert_eq!(world.fetch_with(&[("refresh", "true")]).await.field("scope"), "mail read");
        assert_eq!(world.fetch_with(&[("scope", "mail")]).await.status, 200);
        let more = world.fetch_with(&[("scope", "mail admin")]).await;
        assert_eq!(more.outcome(), "400 invalid_scope");
    }
}

on_both_databases! {
    async fn only_a_trusted_application_and_only_for_somebody_who_is_there(setup: Setup) {
        let world = World::new(setup).await;
        let t = &world.t;
        let form = [("backend", "corp"), ("user_id", world.user_id.as_str())];
        let server = t.app_with(|app| app.is_resource_server = true).await;
        assert_eq!(t.call("provider-token", &server, &form).await.outcome(), "403 unauthorized_client");
        assert_eq!(t.call("provider-token", &world.app, &form).await.outcome(), "403 unauthorized_client");
        let public = t.public_app(&[Password]).await;
        assert_eq!(t.call("provider-token", &public, &form).await.outcome(), "401 invalid_client");
        let wrong = App { secret: Some("a-wrong-secret-of-some-length".into()), ..world.api.clone() };
        assert_eq!(t.call("provider-token", &wrong, &form).await.outcome(), "401 invalid_client");

        let ask = async |form: &[(&str, &str)]| t.call("provider-token", &world.api, form).await.outcome();
        assert_eq!(ask(&[("backend", "corp"), ("username", "grace")]).await, "200");
        assert_eq!(ask(&[("backend", "corp")]).await, "400 invalid_request");
        assert_eq!(ask(&[("backend", "corp"), ("username", "grace"), ("user_id", "1")]).await, "400 invalid_request");
        assert_eq!(ask(&[("backend", "nobody"), ("username", "grace")]).await, "400 invalid_request");
        assert_eq!(ask(&[("username", "grace")]).await, "400 invalid_request");
        assert_eq!(ask(&[("backend", "corp"), ("username", "nobody")]).await, "400 invalid_request");
        assert_eq!(ask(&[("backend", "corp"), ("user_id", "x")]).await, "400 invalid_request");
        assert_eq!(ask(&[("backend", "github"), ("username", "grace")]).await, "400 invalid_grant");
        assert_eq!(world.fetch_with(&[("refresh", "perhaps")]).await.outcome(), "400 invalid_request");
        assert_eq!(world.fetch_with(&[("association_id", "999")]).await.outcome(), "400 invalid_request");
        let id = world.fetch().await.json()["association_id"].to_string();
        assert_eq!(world.fetch_with(&[("association_id", &id)]).await.status, 200);

        let own = world.sign_in().await.access_token();
        assert_eq!(ask(&[("backend", "corp"), ("subject_token", &own)]).await, "200");
        assert_eq!(ask(&[("backend", "corp"), ("subject_token", "vat_nonsense")]).await, "400 invalid_request");

        let user = t.find_person("grace").await.unwrap();
        let cx = t.vestibule.context();
        vestibule::store::user::set_active(&cx.db, user.id, false).await.unwrap();
        assert_eq!(world.fetch().await.refusal(), "400 invalid_grant person_inactive");
        assert_eq!(ask(&[("backend", "corp"), ("subject_token", &own)]).await, "400 invalid_request");
    }
}

on_both_databases! {
    async fn what_was_never_given_is_not_invented(setup: Setup) {
        let world = World::new(setup).await;
        let cx = world.t.vestibule.context();
        let found = association::find(&cx.db, "corp", "77").await.unwrap().unwrap().0;
        let read = found.sealed_tokens.clone().unwrap();
        let put = async |tokens: Value| {
            let sealed = cx.keys.seal("tokens of corp 77", tokens.to_string().as_bytes()).unwrap();
            let now_stored = association::find_by_id(&cx.db, found.id).await.unwrap().unwrap().0.sealed_tokens.unwrap();
            assert!(association::refreshed(&cx.db, found.id, now_stored, sealed, cx.clock.now()).await.unwrap());
        };
        assert!(!read.windows(6).any(|window| window == b"access"), "sealed");

        put(json!({"id_token": "x.y.z"})).await;
        let refused = world.fetch().await;
        assert_eq!(refused.refusal(), "400 invalid_grant token_rejected");
        assert!(refused.field("error_description").contains("ID token"), "{refused:?}");
        put(json!({"access_token": "old", "expires_at": 5})).await;
        assert_eq!(world.fetch().await.refusal(), "400 invalid_grant token_expired");
        put(json!({"access_token": "a", "token_secret": "s"})).await;
        let oauth1 = world.fetch().await.json();
        assert_eq!(oauth1, json!({"access_token": "a", "token_secret": "s", "token_type": "OAuth", "association_id": found.id}));
        assert_eq!(world.provider.refreshes(), 0);
    }
}

on_both_databases! {
    async fn no_application_gives_itself_the_mark(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = vestibule::settings::RegistrationMode::Open;
        let t = setup.start().await;
        let wanted = json!({"redirect_uris": ["https://app.example/cb"], "provider_tokens": true});

        let answer = Answer::of(t.http.post(t.url("register")).json(&wanted)).await;

        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(answer.json().get("provider_tokens").is_none());
        let cx = t.vestibule.context();
        let stored = vestibule::store::application::find(&cx.db, &answer.field("client_id")).await.unwrap().unwrap();
        assert!(!stored.metadata.provider_tokens);
    }
}
