//! The pages in a real browser: the flows as a person walks them, from an application's page on another site and back.
//!
//! Not here: what the pages hold and refuse, as far as that needs no browser.

mod account;
mod connections;
mod console;
mod console_acts;
mod email;
mod gallery;
mod passkeys;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::{Query, Request};
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use vestibule::protocol::ClientType;
use vestibule::protocol::GrantType::{AuthorizationCode, DeviceCode};
use vestibule::settings::RegistrationByPeople;
use vestibule::store::application::Application;

use crate::harness::browser::{Browser, ENTER, Scripts, TAB};
use crate::harness::issuer::Issuer;
use crate::harness::{App, Engine, PASSWORD, Setup, Test, on_both_databases};

const VERIFIER: &str = "a-verifier-of-43-characters-or-more-0123456789";

/// An application's pages. Their address is `localhost`: to a browser another site than the server's `127.0.0.1`.
struct Site {
    base: String,
    signed_out: Arc<AtomicUsize>,
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let signed_out = Arc::new(AtomicUsize::new(0));
        let told = signed_out.clone();
        let count = async move || {
            told.fetch_add(1, Ordering::Relaxed);
            ""
        };
        let elsewhere = async move |request: Request| {
            Redirect::to(&format!("http://127.0.0.1:{port}/callback?{}", request.uri().query().unwrap_or_default()))
        };
        let router = Router::new()
            .route("/", get(home))
            .route("/callback", get(arrived).post(arrived))
            .route("/moved", get(elsewhere))
            .route("/posting", get(posting))
            .route("/silent", post(async || StatusCode::NO_CONTENT))
            .route("/framing", get(framing))
            .route("/front-channel", get(count));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base: format!("http://localhost:{port}"), signed_out }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// A page with a link.
async fn home(Query(query): Query<HashMap<String, String>>) -> Html<String> {
    let link = query.get("link").map(|link| escaped(link)).unwrap_or_default();
    Html(format!("<!DOCTYPE html><title>An application</title><a id=sign-in href=\"{link}\">Sign in</a>"))
}

/// A page with a form that posts to the query of `to` what is there.
async fn posting(Query(query): Query<HashMap<String, String>>) -> Html<String> {
    let to = url::Url::parse(&query["to"]).unwrap();
    let mut fields = String::new();
    for (name, value) in to.query_pairs() {
        fields += &format!("<input type=hidden name={name} value=\"{}\">", escaped(&value));
    }
    let action = escaped(&to[..url::Position::AfterPath]);
    let form = format!("<form method=post action=\"{action}\">{fields}<button>Go</button></form>");
    Html(["<!DOCTYPE html><title>Posting</title>", &form].concat())
}

/// Shows what has come, and whether scripts run.
async fn arrived(request: Request) -> Html<String> {
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 100_000).await.unwrap();
    let came = escaped(&(query + std::str::from_utf8(&body).unwrap()));
    Html(format!(
        "<!DOCTYPE html><title>Back</title><p id=method>{method}</p><p id=came>{came}</p><p id=scripts>off</p>\
         <script>document.getElementById('scripts').textContent = 'on'</script>"
    ))
}

/// A page that frames another.
async fn framing(Query(query): Query<HashMap<String, String>>) -> Html<String> {
    Html(format!("<!DOCTYPE html><title>Framing</title><iframe src=\"{}\"></iframe>", escaped(&query["page"])))
}

/// A server, an application with its pages, and a browser.
struct Walk {
    t: Test,
    app: App,
    site: Site,
    browser: Browser,
}

impl Walk {
    async fn new(engine: Engine) -> Self {
        Self::with(engine, Scripts::On, |_, _| {}).await
    }

    async fn with(engine: Engine, scripts: Scripts, change: impl FnOnce(&mut Application, &Site)) -> Self {
        let mut setup = Setup::new(engine).await;
        let issuer = Issuer::start().await;
        setup.settings.outbound.allow_private_addresses = true;
        setup.settings.registration.by_people = RegistrationByPeople::Everybody;
        *setup.provider("my-company") = issuer.settings();
        let (t, site) = (setup.start().await, Site::start().await);
        t.person("ada").await;
        let app = t
            .app_with(|app| {
                app.client_type = ClientType::Public;
                app.grant_types = vec![AuthorizationCode, DeviceCode];
                app.redirect_uris = vec![site.at("callback"), site.at("moved"), "com.example.app:/callback".to_owned()];
                app.post_logout_redirect_uris = vec![site.at("callback")];
                change(app, &site);
            })
            .await;
        Self { t, app, site, browser: Browser::start(scripts).await }
    }

    /// The address of an authorization request; `more` goes over what it says.
    fn request(&self, more: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let callback = self.site.at("callback");
        let usual = [
            ("response_type", "code"),
            ("client_id", &self.app.client_id),
            ("redirect_uri", &callback),
            ("scope", "openid read"),
            ("state", "the-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let usual = usual.iter().filter(|(name, _)| !more.iter().any(|(own, _)| own == name));
        url::Url::parse_with_params(&self.t.url("authorize"), usual.chain(more)).unwrap().to_string()
    }

    /// Follows the link on the application's page.
    async fn ask(&self, more: &[(&str, &str)]) {
        let page = url::Url::parse_with_params(&self.site.at(""), [("link", self.request(more))]).unwrap();
        self.browser.goto(page.as_str()).await;
        self.browser.follow("#sign-in").await;
    }

    /// Posts a form to this address, from the application's page.
    async fn post(&self, to: &str) {
        let page = url::Url::parse_with_params(&self.site.at("posting"), [("to", to)]).unwrap();
        self.browser.goto(page.as_str()).await;
        self.browser.follow("button").await;
    }

    fn logout(&self) -> String {
        let back = self.site.at("callback");
        let more = [("client_id", self.app.client_id.as_str()), ("post_logout_redirect_uri", &back), ("state", "bye")];
        url::Url::parse_with_params(&self.t.url("logout"), more).unwrap().to_string()
    }

    async fn sign_in(&self) {
        sign_in(&self.browser, PASSWORD).await;
    }

    /// What the application's page was told, once the browser is there.
    async fn came(&self) -> HashMap<String, String> {
        let came = self.browser.text("#came").await;
        url::form_urlencoded::parse(came.as_bytes()).into_owned().collect()
    }

    /// Redeems the code that came, for the person's ID token.
    async fn redeem(&self, redirect_uri: &str) -> Value {
        let came = self.came().await;
        assert_eq!((came["state"].as_str(), came["iss"].as_str()), ("the-state", self.t.url("").trim_end_matches('/')));
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &came["code"]),
            ("redirect_uri", redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        let answer = self.t.call("token", &self.app, &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(self.t.accepts(&answer.access_token()).await);
        let id_token = answer.field("id_token");
        let claims = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    /// From the application's page through sign-in and consent back to it.
    async fn sign_in_for_the_application(&self) -> Value {
        self.ask(&[]).await;
        self.sign_in().await;
        self.browser.follow("button[value=allow]").await;
        self.redeem(&self.site.at("callback")).await
    }

    async fn home_of_ada(&self) {
        self.browser.goto(&self.t.url("/account/")).await;
        self.sign_in().await;
        self.browser.find("ul.menu").await;
    }
}

async fn sign_in(browser: &Browser, password: &str) {
    browser.fill("#username", "ada").await;
    browser.fill("#password", password).await;
    browser.follow("form:has(#password) button").await;
}

on_both_databases! {
    async fn somebody_signs_in_agrees_and_is_back_at_the_application(walk: Walk) {
        walk.ask(&[]).await;
        assert!(walk.browser.url().await.starts_with(&walk.t.url("/account/sign-in?next=")));
        assert_eq!(walk.browser.title().await, "Sign in – Vestibule");
        walk.sign_in().await;
        assert!(walk.browser.text("h1").await.starts_with("Allow Application"));
        assert!(walk.browser.text("main").await.contains("Know who you are"));
        walk.browser.follow("button[value=allow]").await;

        let claims = walk.redeem(&walk.site.at("callback")).await;

        assert_eq!(claims["aud"], walk.app.client_id.as_str());
        assert_eq!(walk.browser.text("#scripts").await, "on");
        walk.browser.was_content().await;

        walk.ask(&[]).await;
        assert!(walk.came().await.contains_key("code"), "who is signed in and has agreed is asked nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_works_without_javascript() {
    let walk = Walk::with(Engine::Sqlite, Scripts::Off, |_, _| {}).await;

    walk.sign_in_for_the_application().await;

    assert_eq!(walk.browser.text("#scripts").await, "off");
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_at_the_field_and_the_right_one_goes_on() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.ask(&[]).await;

    sign_in(&walk.browser, "not it").await;

    assert!(walk.browser.text("#form-error").await.contains("not right"));
    assert!(walk.browser.title().await.starts_with("Error: "));
    for field in ["#username", "#password"] {
        let attribute = async |name| walk.browser.attribute(field, name).await;
        assert_eq!(attribute("aria-describedby").await.as_deref(), Some("form-error"));
        assert_eq!(attribute("aria-invalid").await.as_deref(), Some("true"));
    }
    assert_eq!(walk.browser.script("return document.activeElement.id", &[]).await, "username");
    assert_eq!(walk.browser.script("return document.getElementById('username').value", &[]).await, "ada");
    walk.sign_in().await;
    walk.browser.follow("button[value=allow]").await;
    walk.redeem(&walk.site.at("callback")).await;
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_denies_is_back_at_the_application_which_is_told() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.ask(&[]).await;
    walk.sign_in().await;

    walk.browser.follow("button[value=deny]").await;

    let came = walk.came().await;
    assert_eq!((came["error"].as_str(), came["state"].as_str()), ("access_denied", "the-state"));
    assert!(!came.contains_key("code"));
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_to_the_application_goes_by_itself_or_by_its_button() {
    for scripts in [Scripts::On, Scripts::Off] {
        let walk = Walk::with(Engine::Sqlite, scripts, |_, _| {}).await;
        walk.ask(&[("response_mode", "form_post")]).await;
        walk.sign_in().await;
        walk.browser.follow("button[value=allow]").await;
        if scripts == Scripts::Off {
            walk.browser.follow("form[action$='/callback'] button").await;
        }

        walk.redeem(&walk.site.at("callback")).await;

        assert_eq!(walk.browser.text("#method").await, "POST");
        walk.browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_may_send_the_browser_on_to_another_origin() {
    let walk = Walk::new(Engine::Sqlite).await;
    let moved = walk.site.at("moved");

    walk.ask(&[("redirect_uri", &moved)]).await;
    walk.sign_in().await;
    walk.browser.follow("button[value=allow]").await;
    walk.redeem(&moved).await;

    assert!(walk.browser.url().await.starts_with("http://127.0.0.1:"));
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheme_of_the_applications_own_is_not_blocked() {
    let walk = Walk::new(Engine::Sqlite).await;

    walk.ask(&[("redirect_uri", "com.example.app:/callback")]).await;
    walk.sign_in().await;
    walk.browser.click("button[value=allow]").await;

    // Nothing here opens this scheme, so the browser stays where it is; only a policy would have complained.
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_login_asks_whoever_is_signed_in_again() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.sign_in_for_the_application().await;
    walk.t.clock.advance(60);

    walk.ask(&[("prompt", "login")]).await;

    walk.sign_in().await;
    let claims = walk.redeem(&walk.site.at("callback")).await;
    assert!(claims["auth_time"].as_i64().unwrap() >= walk.t.clock.now() - 30);
    walk.browser.was_content().await;
}

on_both_databases! {
    async fn a_providers_button_leads_to_the_provider_and_on_to_the_application(walk: Walk) {
        walk.ask(&[]).await;
        walk.browser.follow("a[href*='/login/my-company']").await;
        assert!(walk.browser.text("main").await.contains("account grace"));
        walk.browser.follow("button[value=allow]").await;

        walk.redeem(&walk.site.at("callback")).await;

        let people = walk.t.people().await;
        assert!(people.iter().any(|person| person.email == "grace@example.com"));
        walk.browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_connected_by_typing_its_code() {
    let walk = Walk::new(Engine::Sqlite).await;
    let begun = walk.t.call("device-authorization", &walk.app, &[("scope", "read")]).await;
    let code = begun.field("device_code");
    let redeem = async || {
        let grant_type = "urn:ietf:params:oauth:grant-type:device_code";
        walk.t.call("token", &walk.app, &[("grant_type", grant_type), ("device_code", &code)]).await
    };
    assert_eq!(redeem().await.outcome(), "400 authorization_pending");

    walk.browser.goto(&begun.field("verification_uri")).await;
    walk.sign_in().await;
    walk.browser.fill("#user_code", "WRONG").await;
    walk.browser.follow("main button").await;
    assert!(walk.browser.text("#form-error").await.contains("not known"));
    walk.browser.fill("#user_code", &begun.field("user_code").to_lowercase()).await;
    walk.browser.follow("main button").await;
    walk.browser.follow("button[value=allow]").await;

    assert_eq!(walk.browser.text("h1").await, "Your device is connected");
    walk.t.clock.advance(10);
    let answer = redeem().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(walk.t.accepts(&answer.access_token()).await);
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_sessions_ends_another_browsers() {
    let walk = Walk::new(Engine::Sqlite).await;
    let other = Browser::start(Scripts::On).await;
    other.goto(&walk.t.url("/account/")).await;
    sign_in(&other, PASSWORD).await;
    other.find("ul.menu").await;
    walk.home_of_ada().await;

    walk.browser.goto(&walk.t.url("/account/sessions")).await;
    walk.browser.follow("li:not(:has(.badge)) button").await;

    assert_eq!(walk.browser.text("li h2 .badge").await, "this one");
    assert!(!walk.browser.has("li:not(:has(.badge)) h2").await);
    other.goto(&walk.t.url("/account/")).await;
    assert!(other.url().await.contains("/account/sign-in"));
    walk.browser.was_content().await;
    other.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_signs_out_gets_the_browser_back_without_its_session() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.sign_in_for_the_application().await;

    walk.browser.goto(&walk.logout()).await;
    assert_eq!(walk.browser.text("h1").await, "Sign out?");
    walk.browser.follow("button[value=sign_out]").await;

    assert_eq!(walk.came().await["state"], "bye");
    walk.browser.goto(&walk.t.url("/account/")).await;
    assert!(walk.browser.url().await.contains("/account/sign-in"));
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_from_the_applications_page_finds_the_session() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.sign_in_for_the_application().await;

    walk.post(&walk.request(&[("state", "posted")])).await;
    assert_eq!(walk.came().await["state"], "posted", "nobody is asked to sign in again");
    walk.post(&walk.logout()).await;
    assert_eq!(walk.browser.text("h1").await, "Sign out?");
    walk.browser.follow("button[value=sign_out]").await;

    assert_eq!(walk.came().await["state"], "bye");
    walk.browser.goto(&walk.t.url("/account/")).await;
    assert!(walk.browser.url().await.contains("/account/sign-in"));
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_loads_the_frames_of_applications_and_then_goes_on() {
    let walk = Walk::with(Engine::Sqlite, Scripts::Off, |app, site| {
        app.metadata.frontchannel_logout_uri = Some(site.at("front-channel"));
    })
    .await;
    walk.sign_in_for_the_application().await;
    walk.browser.goto(&walk.logout()).await;

    walk.browser.follow("button[value=sign_out]").await;
    walk.browser.find("#came").await;

    assert_eq!(walk.site.signed_out.load(Ordering::Relaxed), 1);
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_alone_is_enough() {
    let walk = Walk::new(Engine::Sqlite).await;
    walk.ask(&[]).await;
    let focused =
        async || walk.browser.script("return document.activeElement.id || document.activeElement.value", &[]).await;
    walk.browser.find("#password").await;

    walk.browser.press(TAB).await;
    assert_eq!(focused().await, "username");
    walk.browser.press(&["ada", TAB].concat()).await;
    assert_eq!(focused().await, "password");
    walk.browser.press(&[PASSWORD, ENTER].concat()).await;
    walk.browser.find("button[value=allow]").await;
    walk.browser.press(TAB).await;
    assert_eq!(focused().await, "allow");
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(walk.browser.script(outline, &[]).await, "solid", "where the focus is can be seen");
    walk.browser.press(ENTER).await;

    walk.redeem(&walk.site.at("callback")).await;
    walk.browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_can_be_framed() {
    // attack 53
    let walk = Walk::new(Engine::Sqlite).await;
    let shown = async |page: &str| {
        let framing = url::Url::parse_with_params(&walk.site.at("framing"), [("page", page)]).unwrap();
        walk.browser.goto(framing.as_str()).await;
        walk.browser.enter_frame().await;
        walk.browser.has("main, #came").await
    };
    assert!(shown(&walk.site.at("callback")).await, "what may be framed is");

    for page in ["/account/sign-in", "authorize", "device", "logout"] {
        assert!(!shown(&walk.t.url(page)).await, "{page}");
    }
    assert!(!shown(&walk.request(&[])).await);
    let refused = |line: &&String| line.contains("frame-ancestors 'none'");
    assert_eq!(walk.browser.console().await.iter().filter(refused).count(), 5);
}
