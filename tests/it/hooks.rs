//! Steps of the operator's own around the decision who somebody is: webhooks, against a receiver that verifies signatures by
//! itself, and functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vestibule::Vestibule;
use vestibule::hooks::{self, Arrival, Changes, Event, EventKind, Purpose, Verdict};
use vestibule::protocol::GrantType::ConvertToken;
use vestibule::settings::{Hidden, HookSettings, OnFailure, Settings, SignUp};

use crate::harness::guest::Guest;
use crate::harness::mailbox::{Mailbox, link};
use crate::harness::stand_in::Issued;
use crate::harness::{Answer, App, KEY, PASSWORD, Setup, Test, on_both_databases, register};
use crate::people::come_back;

const SECRET: &[u8; 32] = b"a secret of thirty-two bytes 012";
const NEXT_SECRET: &[u8; 32] = b"the next one of thirty-two bytes";

/// A webhook as somebody would write it who has read the specification only.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// Id and body of everything that came.
    heard: Vec<(String, Value)>,
    verdict: Option<Value>,
    delay: Duration,
    status: Option<u16>,
    text: Option<&'static str>,
}

impl Receiver {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.0.lock().unwrap());
    }

    fn answers(&self, verdict: Value) {
        self.set(|inside| inside.verdict = Some(verdict));
    }

    fn heard(&self, kind: &str) -> Vec<(String, Value)> {
        self.0.lock().unwrap().heard.iter().filter(|(_, body)| body["type"] == kind).cloned().collect()
    }

    fn kinds(&self) -> Vec<String> {
        let heard = &self.0.lock().unwrap().heard;
        let mut kinds: Vec<_> = heard.iter().map(|(_, body)| body["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    }

    /// Waits until it has heard so many of this kind: they are told beside the answer.
    async fn waits_for(&self, kind: &str, count: usize) -> Vec<(String, Value)> {
        for _ in 0..200 {
            let heard = self.heard(kind);
            if heard.len() >= count {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{count} times {kind}, and only {:?}", self.kinds());
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), &signed);
    let expected = format!("v1,{}", STANDARD.encode(tag));
    assert!(header("webhook-signature").split(' ').any(|one| one == expected), "a signature that is not ours");
    assert!(timestamp.parse::<i64>().unwrap() > 1_700_000_000 && id.starts_with("msg_") && !id.contains('.'));
    assert_eq!(header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let is_question = body["type"] == "person.arriving";
    let (verdict, delay, status, text) = {
        let mut inside = receiver.0.lock().unwrap();
        inside.heard.push((id, body));
        (inside.verdict.clone(), inside.delay, inside.status, inside.text)
    };
    tokio::time::sleep(delay).await;
    match (status, text, verdict) {
        (Some(status), ..) => StatusCode::from_u16(status).unwrap().into_response(),
        (_, Some(text), _) => text.into_response(),
        (_, _, Some(verdict)) if is_question => Json(verdict).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

fn secret(bytes: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(bytes))
}

async fn with_hook(setup: &mut Setup, change: impl FnOnce(&mut HookSettings)) -> Receiver {
    let receiver = Receiver::default();
    let mut hook =
        HookSettings { url: receiver.start().await, secret: Hidden::new(secret(SECRET)), ..HookSettings::default() };
    change(&mut hook);
    setup.settings.hooks.insert("crm".into(), hook);
    receiver
}

/// A server with a hook, an application, and somebody at GitHub.
async fn started(mut setup: Setup, change: impl FnOnce(&mut HookSettings)) -> (Test, App, Receiver) {
    let receiver = with_hook(&mut setup, change).await;
    let t = setup.start().await;
    let app = t.app(&[ConvertToken]).await;
    t.stand_in.issue("github", "good-token", "7");
    (t, app, receiver)
}

on_both_databases! {
    async fn a_webhook_is_asked_and_told_and_can_verify_both(setup: Setup) {
        let (t, app, receiver) = started(setup, |_| {}).await;

        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);

        let (_, asked) = receiver.heard("person.arriving").remove(0);
        let data = &asked["data"];
        assert_eq!((&data["backend"], &data["purpose"], &data["user"]), (&json!("github"), &json!("sign_in"), &Value::Null));
        assert_eq!((&data["profile"]["uid"], &data["profile"]["email"]), (&json!("7"), &json!("user7@example.com")));
        assert!(!asked.to_string().contains("good-token"));
        let (_, created) = receiver.waits_for("user.created", 1).await.remove(0);
        receiver.waits_for("user.signed_in", 1).await;
        let (_, tied) = receiver.waits_for("association.created", 1).await.remove(0);
        assert_eq!(created["data"]["user"]["username"], "user7");
        assert_eq!((&tied["data"]["uid"], &tied["data"]["backend"]), (&json!("7"), &json!("github")));

        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let (_, again) = receiver.waits_for("person.arriving", 2).await.remove(1);
        assert_eq!(again["data"]["user"]["username"], "user7", "whose account it is already");
        receiver.waits_for("user.signed_in", 2).await;
        let ids: BTreeSet<_> = receiver.0.lock().unwrap().heard.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids.len(), 6, "each message has an id of its own: {:?}", receiver.kinds());
    }
}

on_both_databases! {
    async fn a_webhook_keeps_somebody_out_and_nothing_is_stored(setup: Setup) {
        let (t, app, receiver) = started(setup, |_| {}).await;
        receiver.answers(json!({"verdict": "refuse", "sentence": "Only members of the club come in."}));

        let refused = t.convert(&app, "github", "good-token").await;

        assert_eq!(refused.refusal(), "400 invalid_grant person_not_allowed");
        assert_eq!(refused.field("error_description"), "Only members of the club come in.");
        assert_eq!(t.get_as("verify", "Bearer github good-token").await.status, 401);
        let guest = Guest::new(&t);
        let page = come_back(&t, &guest, "/x").await;
        assert!(page.is_error_page(), "{page:?}");
        assert!(t.people().await.is_empty());
        assert_eq!(receiver.kinds(), ["person.arriving"; 3]);
    }
}

on_both_databases! {
    async fn a_webhook_changes_what_is_stored(setup: Setup) {
        let mut setup = setup;
        setup.settings.social.extra_data = vec!["plan".into()];
        let (t, app, receiver) = started(setup, |_| {}).await;
        let changes = json!({
            "username": "staff7", "email": "seven@corp.example", "first_name": "Amazing",
            "extra": {"plan": "pro", "access_token": "x"},
        });
        receiver.answers(json!({"verdict": "change", "profile": changes}));

        let token = t.convert(&app, "github", "good-token").await.access_token();

        let person = t.people().await.remove(0);
        assert_eq!((person.username.as_str(), person.email.as_str(), person.email_verified), ("staff7", "seven@corp.example", false));
        assert_eq!((person.first_name.as_str(), person.last_name.as_str()), ("Amazing", "Hopper"));
        let backends = t.get_as("backends", &format!("Bearer {token}")).await.json();
        let all = backends["backends"].as_array().unwrap();
        let github = all.iter().find(|backend| backend["name"] == "github").unwrap();
        assert_eq!(github["associations"][0]["extra"], json!({"plan": "pro"}));
        assert_eq!(github["associations"][0]["uid"], "7");
    }
}

on_both_databases! {
    async fn nobody_comes_in_unasked_unless_the_operator_says_so(setup: Setup) {
        let (t, app, receiver) = started(setup, |hook| hook.timeout = Duration::from_millis(200)).await;
        let outcome = async || t.convert(&app, "github", "good-token").await.outcome();
        let unavailable = "503 temporarily_unavailable";

        receiver.set(|inside| inside.delay = Duration::from_secs(5));
        let started = std::time::Instant::now();
        assert_eq!(outcome().await, unavailable);
        assert!(started.elapsed() < Duration::from_secs(4));
        receiver.set(|inside| (inside.delay, inside.status) = (Duration::ZERO, Some(500)));
        assert_eq!(outcome().await, unavailable);
        receiver.set(|inside| (inside.status, inside.text) = (None, Some("<html>hello</html>")));
        assert_eq!(outcome().await, unavailable);
        receiver.set(|inside| inside.text = None);
        let with_uid = json!({"verdict": "change", "profile": {"uid": "8"}});
        for nonsense in [json!({}), json!({"verdict": "perhaps"}), json!([]), with_uid] {
            receiver.answers(nonsense);
            assert_eq!(outcome().await, unavailable);
        }
        assert!(t.people().await.is_empty());

        let lenient = t.second_node_with(|settings| {
            settings.hooks.get_mut("crm").unwrap().on_failure = OnFailure::Allow;
        }).await;
        assert_eq!(lenient.convert(&app, "github", "good-token").await.status, 200);
        receiver.answers(json!({"verdict": "refuse", "sentence": "No."}));
        assert_eq!(lenient.convert(&app, "github", "good-token").await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn what_was_not_heard_is_told_again_under_the_same_id(setup: Setup) {
        let (t, app, receiver) = started(setup, |hook| hook.events = vec!["user.created".into()]).await;
        let cx = t.vestibule.context();
        receiver.set(|inside| inside.status = Some(500));
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let first = receiver.waits_for("user.created", 1).await.remove(0);

        hooks::deliver_due(cx).await.unwrap();
        assert_eq!(receiver.kinds().len(), 1, "not at once");
        receiver.set(|inside| inside.status = None);
        // That the first try failed is noted only after the receiver has answered.
        for _ in 0..100 {
            t.clock.advance(100);
            hooks::deliver_due(cx).await.unwrap();
            if receiver.heard("user.created").len() > 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        t.clock.advance(10_000);
        hooks::deliver_due(cx).await.unwrap();

        let all = receiver.heard("user.created");
        assert_eq!(all.len(), 2, "and not again once it was heard");
        assert_eq!(all[1], first);
    }
}

on_both_databases! {
    async fn connecting_and_disconnecting_are_asked_and_told(setup: Setup) {
        let (t, app, receiver) = started(setup, |_| {}).await;
        t.stand_in.issue("google-oauth2", "google-token", "8");
        let token = t.convert(&app, "github", "good-token").await.access_token();
        let bearer = format!("Bearer {token}");
        let form = [("backend", "google-oauth2"), ("token", "google-token")];

        receiver.answers(json!({"verdict": "refuse", "sentence": "One account is enough."}));
        let refused = t.post_as("connect-backend", &bearer, &form).await;
        assert_eq!(refused.refusal(), "400 invalid_grant person_not_allowed");
        receiver.answers(json!({"verdict": "allow"}));
        let connected = t.post_as("connect-backend", &bearer, &form).await;
        assert_eq!(connected.status, 200, "{connected:?}");

        let asked = receiver.heard("person.arriving");
        let (_, last) = asked.last().unwrap();
        assert_eq!((&last["data"]["purpose"], &last["data"]["user"]["username"]), (&json!("connect"), &json!("user7")));
        receiver.waits_for("association.created", 2).await;
        let id = connected.json()["association_id"].to_string();
        let gone = [("backend", "google-oauth2"), ("association_id", id.as_str())];
        assert_eq!(t.post_as("disconnect-backend", &bearer, &gone).await.status, 204);
        let (_, told) = receiver.waits_for("association.deleted", 1).await.remove(0);
        assert_eq!((&told["data"]["uid"], &told["data"]["user"]["username"]), (&json!("8"), &json!("user7")));
        assert_eq!(receiver.heard("user.signed_in").len(), 1, "connecting is no sign-in");
    }
}

on_both_databases! {
    async fn whoever_comes_with_a_providers_token_is_asked_about_as_often_as_the_provider(setup: Setup) {
        let (t, _, receiver) = started(setup, |_| {}).await;

        for _ in 0..5 {
            assert_eq!(t.get_as("verify", "Bearer github good-token").await.status, 200);
        }
        assert_eq!(receiver.heard("person.arriving").len(), 1);

        receiver.answers(json!({"verdict": "refuse", "sentence": "Not any more."}));
        t.clock.advance(61);
        let refused = t.get_as("verify", "Bearer github good-token").await;
        assert_eq!((refused.status, refused.field("error_description")), (401, "Not any more.".to_owned()));
    }
}

on_both_databases! {
    async fn an_address_that_was_proven_is_asked_about_before_the_account_is_made(setup: Setup) {
        let mut setup = setup;
        let folder = tempfile::tempdir().unwrap();
        setup.settings.mail.folder = Some(folder.path().display().to_string());
        setup.settings.social.require_email = true;
        let (t, _, receiver) = started(setup, |_| {}).await;
        let issued = t.stand_in.issue("github", "good-token", "7");
        t.stand_in.put("github", "good-token", Issued { email: None, ..issued });
        receiver.answers(json!({"verdict": "change", "profile": {"first_name": "Amazing"}}));
        let guest = Guest::new(&t);
        let page = guest.follow(come_back(&t, &guest, "").await).await;
        let sent = guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        let mail = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let mail = std::fs::read_to_string(mail).unwrap().replace("=\r\n", "");
        let is_code = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit());
        let code = mail.split_whitespace().find(is_code).unwrap();

        guest.submit(&sent.form(), &[("code", code)]).await;

        let person = t.people().await.remove(0);
        assert_eq!((person.email.as_str(), person.first_name.as_str()), ("ada@example.com", "Amazing"));
        let asked = receiver.heard("person.arriving");
        let emails: Vec<_> = asked.iter().map(|(_, body)| body["data"]["profile"]["email"].clone()).collect();
        assert_eq!(emails, [Value::Null, json!("ada@example.com")]);
        receiver.waits_for("user.created", 1).await;
    }
}

on_both_databases! {
    async fn two_secrets_sign_while_one_is_changed(setup: Setup) {
        let both = format!("{} {}", secret(NEXT_SECRET), secret(SECRET));
        let (t, app, receiver) = started(setup, |hook| hook.secret = Hidden::new(both)).await;

        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        assert_eq!(receiver.heard("person.arriving").len(), 1);
    }
}

/// A server that an API has opened with functions of its own.
struct Embedded {
    vestibule: Vestibule,
    base: String,
    app: App,
}

impl Embedded {
    async fn serve(vestibule: Vestibule) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = vestibule.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let app = register(&vestibule, |app| app.grant_types = vec![ConvertToken]).await;
        Self { vestibule, base, app }
    }

    async fn convert(&self, token: &str) -> Answer {
        let form = [
            ("client_id", self.app.client_id.as_str()),
            ("client_secret", self.app.secret.as_deref().unwrap()),
            ("grant_type", "convert_token"),
            ("backend", "github"),
            ("token", token),
        ];
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Answer::of(http.post(format!("{}/auth/convert-token", self.base)).form(&form)).await
    }
}

/// What the function of an API says, by whom the provider says it is.
async fn judge(arrival: &Arrival) -> Result<Verdict, hooks::BoxError> {
    assert_ne!(arrival.profile.uid, "4", "it panics here");
    Ok(match arrival.profile.uid.as_str() {
        "1" => {
            let profile = Changes { username: Some("by-function".into()), ..Changes::default() };
            Verdict::Change { profile }
        }
        "2" => Verdict::Refuse { sentence: "Not you.".into() },
        "5" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Verdict::Allow
        }
        _ => return Err("out of order".into()),
    })
}

on_both_databases! {
    async fn functions_see_and_answer_what_webhooks_do(setup: Setup) {
        let mut setup = setup;
        let receiver = with_hook(&mut setup, |_| {}).await;
        for (token, uid) in [("changed", "1"), ("refused", "2"), ("failing", "3"), ("panicking", "4"), ("slow", "5")] {
            setup.stand_in.issue("github", token, uid);
        }
        let seen: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let (sees, hears) = (seen.clone(), told.clone());
        let builder = Vestibule::builder(setup.settings.clone())
            .before_sign_in(move |arrival: Arrival| {
                let seen = sees.clone();
                async move {
                    let verdict = judge(&arrival).await?;
                    seen.lock().unwrap().push(arrival);
                    Ok(verdict)
                }
            })
            .on_event(move |event| {
                let told = hears.clone();
                async move {
                    told.lock().unwrap().push(event);
                    Ok(())
                }
            });
        let api = Embedded::serve(builder.open(&[KEY]).await.unwrap()).await;

        let refused = api.convert("refused").await;
        assert_eq!(refused.refusal(), "400 invalid_grant person_not_allowed");
        assert_eq!(refused.field("error_description"), "Not you.");
        assert!(receiver.heard("person.arriving").is_empty(), "nobody further is asked");
        assert_eq!(api.convert("failing").await.status, 503);
        assert_eq!(api.convert("panicking").await.status, 503);
        assert_eq!(api.convert("changed").await.status, 200);
        let (_, asked) = receiver.heard("person.arriving").remove(0);
        assert_eq!(asked["data"]["profile"]["username"], "by-function", "webhooks see what functions left");
        assert_eq!(seen.lock().unwrap().last().unwrap().purpose, Purpose::SignIn);
        receiver.waits_for("user.signed_in", 1).await;
        for _ in 0..100 {
            if told.lock().unwrap().len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let kinds: Vec<_> = told.lock().unwrap().iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::UserCreated, EventKind::AssociationCreated, EventKind::SignedIn]);
        assert_eq!(told.lock().unwrap()[0].data.user.username, "by-function");
        let slow = std::time::Instant::now();
        assert_eq!(api.convert("slow").await.status, 503);
        assert!(slow.elapsed() < Duration::from_secs(20));
        let people = vestibule::store::user::list(&api.vestibule.context().db, 0, 10).await.unwrap();
        assert_eq!(people.len(), 1);
    }
}

#[tokio::test]
async fn a_hook_that_cannot_work_stops_the_start_and_shows_no_secret() {
    let wrong = async |change: fn(&mut HookSettings)| {
        let mut hook = HookSettings {
            url: "https://crm.example/hook".into(),
            secret: Hidden::new(secret(SECRET)),
            ..HookSettings::default()
        };
        change(&mut hook);
        let settings = Settings {
            hooks: BTreeMap::from([("crm".to_owned(), hook)]),
            database_url: "sqlite:///nowhere/at/all.db".into(),
            ..Settings::default()
        };
        Vestibule::open(settings, &[KEY]).await.err().unwrap().to_string()
    };

    assert!(wrong(|_| {}).await.starts_with("database_url: "));
    assert!(wrong(|hook| hook.url = "crm".into()).await.starts_with("hooks.crm.url: "));
    assert!(wrong(|hook| hook.events = vec!["user.gone".into()]).await.starts_with("hooks.crm.events: `user.gone`"));
    assert!(wrong(|hook| hook.timeout = Duration::ZERO).await.starts_with("hooks.crm.timeout: "));
    let secret = wrong(|hook| hook.secret = Hidden::new("whsec_hush")).await;
    assert!(secret.starts_with("hooks.crm.secret: ") && !secret.contains("hush"), "{secret}");
}

on_both_databases! {
    async fn whoever_signs_up_here_is_asked_about_and_told_of_too(setup: Setup) {
        let mut setup = setup;
        let mails = Mailbox::of(&mut setup);
        setup.settings.accounts.signup = SignUp::Open;
        let (t, _, receiver) = started(setup, |_| {}).await;
        receiver.answers(json!({"verdict": "refuse", "sentence": "Only members of the club come in."}));
        let guest = Guest::new(&t);
        let page = guest.get("/account/sign-up").await;
        let fields = [("username", "grace"), ("email", "grace@example.com"), ("new_password", PASSWORD), ("new_password_again", PASSWORD)];
        guest.submit(&page.form(), &fields).await;
        let link = link(&mails.last_to(&t, "grace@example.com").await);
        assert!(receiver.kinds().is_empty(), "nobody is asked about an address that is not proven");

        let refused = guest.get(&link).await;
        assert!(refused.is_error_page() && refused.text.contains("Only members of the club"), "{refused:?}");
        assert!(t.people().await.is_empty());
        receiver.answers(json!({"verdict": "change", "profile": {"username": "hopper", "first_name": "Grace"}}));
        assert_eq!(guest.get(&link).await.status, 303);

        let person = t.find_person("hopper").await.unwrap();
        assert_eq!((person.first_name.as_str(), person.email_verified), ("Grace", true));
        let (_, asked) = receiver.heard("person.arriving").remove(0);
        assert_eq!((&asked["data"]["backend"], &asked["data"]["profile"]["email_verified"]), (&json!("Django"), &json!(true)));
        let (_, created) = receiver.waits_for("user.created", 1).await.remove(0);
        assert_eq!((&created["data"]["user"]["username"], &created["data"]["association_id"]), (&json!("hopper"), &Value::Null));
        assert!(!receiver.kinds().contains(&"user.signed_in".to_owned()), "that is for sign-ins by a provider");
    }
}
