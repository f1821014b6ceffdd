//! What people do about their own accounts, in a real browser, with scripts and without.

use vestibule::protocol::GrantType;
use vestibule::settings::SignUp;

use super::gallery::Viewer;
use crate::harness::browser::{Browser, Scripts};
use crate::harness::guest::request_url;
use crate::harness::mailbox::{Mailbox, code, link};
use crate::harness::{Engine, PASSWORD, Setup, Test};

const NEW: &str = "a new one of some length";
const ADDRESS: &str = "somebody.with.a.rather.long.address@department.of.long.names.example.com";

/// A server whose mails lie in a folder, and a browser.
struct Walk {
    t: Test,
    mails: Mailbox,
    browser: Browser,
    viewer: Option<Viewer>,
}

impl Walk {
    async fn new(scripts: Scripts) -> Self {
        let mut setup = Setup::new(Engine::Sqlite).await;
        let mails = Mailbox::of(&mut setup);
        setup.settings.accounts.signup = SignUp::Open;
        let t = setup.start().await;
        let viewer = (scripts == Scripts::On).then(Viewer::new);
        Self { t, mails, browser: Browser::start(scripts).await, viewer }
    }

    async fn goto(&self, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { self.t.url(path) };
        self.browser.goto(&url).await;
    }

    async fn look(&mut self, name: &str) {
        if let Some(viewer) = &mut self.viewer {
            viewer.look(&self.browser, name).await;
        }
    }

    async fn fill(&self, fields: &[(&str, &str)]) {
        for (field, text) in fields {
            self.browser.fill(&format!("#{field}"), text).await;
        }
    }

    /// Presses the page's main button.
    async fn send(&self) {
        self.browser.follow("button.primary, button.danger").await;
    }

    async fn says(&self, words: &str) {
        let main = self.browser.text("main").await;
        assert!(main.contains(words), "no {words} in {main}");
    }

    /// What is wrong is told, in the title too, and the focus is where it can be put right.
    async fn complains(&self, words: &str, focus: Option<&str>) {
        assert!(self.browser.text("#form-error").await.contains(words));
        assert!(self.browser.title().await.starts_with("Error: "));
        if let Some(focus) = focus {
            assert_eq!(self.browser.script("return document.activeElement.id", &[]).await, focus);
            assert_eq!(self.browser.attribute(&format!("#{focus}"), "aria-invalid").await.as_deref(), Some("true"));
        }
    }

    async fn mail(&self, address: &str) -> String {
        self.mails.last_to(&self.t, address).await
    }

    async fn sign_in(&self, username: &str, password: &str) {
        self.goto("/account/sign-in").await;
        self.fill(&[("username", username), ("password", password)]).await;
        self.browser.follow("form:has(#password) button").await;
        self.browser.find("ul.menu").await;
    }

    async fn end(self) {
        self.browser.was_content().await;
        if let Some(viewer) = self.viewer {
            assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
        }
    }
}

async fn signs_up(scripts: Scripts) {
    let mut walk = Walk::new(scripts).await;
    walk.goto("/account/sign-in?next=/account/sessions").await;
    walk.look("sign-in-with-ways-on").await;
    walk.browser.follow("a[href*='sign-up']").await;
    walk.browser.find("#new_password_again").await;
    walk.look("sign-up").await;
    let typed = [
        ("username", "grace"),
        ("email", ADDRESS),
        ("new_password", "password123"),
        ("new_password_again", "password123"),
    ];
    walk.fill(&typed).await;
    walk.send().await;
    walk.complains("tried first", Some("new_password")).await;
    walk.look("sign-up-error").await;
    assert_eq!(walk.browser.script("return document.getElementById('new_password').value", &[]).await, "");
    walk.fill(&[("new_password", NEW), ("new_password_again", NEW)]).await;
    walk.send().await;
    walk.browser.find("#code").await;
    walk.look("sign-up-sent").await;
    let mail = walk.mail(ADDRESS).await;
    let elsewhere = Browser::start(scripts).await;
    elsewhere.goto(&link(&mail)).await;
    elsewhere.find("#password").await;
    if let Some(viewer) = &mut walk.viewer {
        viewer.look(&elsewhere, "sign-up-confirm").await;
    }
    elsewhere.fill("#password", "not it").await;
    elsewhere.follow("button.primary").await;
    assert!(elsewhere.text("#form-error").await.contains("not right"));
    walk.fill(&[("code", "12")]).await;
    walk.send().await;
    walk.complains("not right", Some("code")).await;
    walk.fill(&[("code", &code(&mail))]).await;
    walk.send().await;

    walk.browser.find("ul.items").await;
    assert_eq!(walk.browser.url().await, walk.t.url("/account/sessions"));
    walk.look("sessions-with-last-address").await;
    let grace = walk.t.find_person("grace").await.unwrap();
    assert_eq!((grace.email.as_str(), grace.email_verified), (ADDRESS, true));
    elsewhere.goto(&link(&mail)).await;
    assert!(elsewhere.text("main").await.contains("used already"));
    walk.end().await;
}

async fn resets_a_password(scripts: Scripts) {
    let mut walk = Walk::new(scripts).await;
    walk.t.person_with(person()).await;
    walk.goto("/account/sign-in").await;
    walk.browser.follow("a[href$='password/reset']").await;
    walk.browser.find("#email").await;
    walk.look("reset-ask").await;
    walk.fill(&[("email", "ada@nowhere")]).await;
    walk.send().await;
    walk.complains("cannot write to this address", Some("email")).await;
    walk.look("reset-ask-error").await;
    walk.fill(&[("email", ADDRESS)]).await;
    walk.send().await;
    walk.browser.find("[role=status]").await;
    walk.look("reset-sent").await;

    walk.goto(&link(&walk.mail(ADDRESS).await)).await;
    walk.browser.find("#new_password").await;
    assert_eq!(walk.browser.url().await, walk.t.url("/account/password/new"), "no secret stays in the address");
    walk.look("reset-new").await;
    walk.fill(&[("new_password", NEW), ("new_password_again", "another")]).await;
    walk.send().await;
    walk.complains("not the same", None).await;
    walk.look("reset-new-error").await;
    walk.fill(&[("new_password", NEW), ("new_password_again", NEW)]).await;
    walk.send().await;
    walk.browser.find("[role=status]").await;
    walk.look("reset-done").await;
    walk.browser.follow(".after a").await;
    walk.sign_in("ada", NEW).await;
    walk.goto("/account/password/new").await;
    walk.says("good no more").await;
    walk.look("reset-spent").await;
    walk.end().await;
}

fn person() -> vestibule::store::user::NewUser {
    vestibule::store::user::NewUser { username: "ada".to_owned(), email: ADDRESS.to_owned(), ..Default::default() }
}

async fn changes_everything(scripts: Scripts) {
    let mut walk = Walk::new(scripts).await;
    let ada = walk.t.person_with(person()).await;
    walk.t.person("grace").await;
    walk.t.app_with(|app| app.owner_id = Some(ada.id)).await;
    walk.sign_in("ada", PASSWORD).await;
    walk.look("account-in-groups").await;

    walk.browser.follow("a[href='/account/profile']").await;
    walk.fill(&[("first_name", "Ada"), ("last_name", "Lovelace")]).await;
    walk.look("profile").await;
    walk.send().await;
    walk.says("Your name is saved").await;
    walk.look("message-with-a-way-back").await;

    walk.browser.follow(".after a").await;
    walk.browser.follow("a[href='/account/username']").await;
    walk.fill(&[("username", "grace")]).await;
    walk.send().await;
    walk.complains("has this username already", Some("username")).await;
    walk.look("username-error").await;
    walk.fill(&[("username", "countess")]).await;
    walk.send().await;
    walk.says("Your username is changed").await;

    walk.browser.follow(".after a").await;
    walk.browser.follow("a[href='/account/address']").await;
    walk.says("not confirmed").await;
    walk.look("address-unconfirmed").await;
    walk.send().await;
    walk.browser.find("#code").await;
    walk.look("address-waiting").await;
    walk.goto(&link(&walk.mail(ADDRESS).await)).await;
    walk.browser.find("form[action$='/confirm']").await;
    walk.look("address-confirm").await;
    walk.send().await;
    walk.says("Your address is confirmed").await;
    walk.goto("/account/address").await;
    walk.browser.follow("a[href$='/change']").await;
    walk.fill(&[("email", "ada@nowhere")]).await;
    walk.send().await;
    walk.complains("cannot write to this address", Some("email")).await;
    walk.look("address-change-error").await;
    walk.fill(&[("email", "new@example.com")]).await;
    walk.send().await;
    walk.fill(&[("code", &code(&walk.mail("new@example.com").await))]).await;
    walk.send().await;
    walk.says("Your address is confirmed").await;

    walk.goto("/account/password").await;
    walk.look("password").await;
    walk.fill(&[("password", "not it"), ("new_password", NEW), ("new_password_again", NEW)]).await;
    walk.send().await;
    walk.complains("not right", Some("password")).await;
    walk.look("password-error").await;
    walk.fill(&[("password", PASSWORD), ("new_password", NEW), ("new_password_again", NEW)]).await;
    walk.send().await;
    walk.says("Your password is changed").await;

    walk.goto("/account/sign-out-everywhere").await;
    walk.look("sign-out-everywhere").await;
    walk.send().await;
    walk.says("signed out everywhere else").await;
    walk.goto("/account/sign-out-everywhere").await;
    walk.browser.click("#this_too").await;
    walk.send().await;
    walk.says("You are signed out everywhere").await;

    walk.sign_in("countess", NEW).await;
    walk.browser.follow("a[href='/account/data']").await;
    walk.look("data").await;
    walk.browser.click("button.primary").await;
    walk.goto("/account/").await;
    walk.browser.follow("a[href='/account/delete']").await;
    walk.says("Application").await;
    walk.fill(&[("username", "ada")]).await;
    walk.send().await;
    walk.complains("not your username", Some("username")).await;
    walk.look("account-delete-error").await;
    walk.fill(&[("username", "countess")]).await;
    walk.send().await;
    walk.says("Your account is deleted").await;
    assert_eq!(walk.t.people().await.len(), 1, "grace is still there");
    walk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_makes_an_account_and_is_where_they_wanted_to_be() {
    for scripts in [Scripts::On, Scripts::Off] {
        signs_up(scripts).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_up_for_an_application_is_sent_on_to_it_by_the_form_that_makes_the_account() {
    let walk = Walk::new(Scripts::On).await;
    // Nothing listens there: where the browser went is enough.
    let callback = "http://localhost:9/cb";
    let app = walk
        .t
        .app_with(|app| {
            app.grant_types = vec![GrantType::AuthorizationCode];
            app.redirect_uris = vec![callback.to_owned()];
            app.skip_authorization = true;
        })
        .await;
    walk.goto(&request_url(&app, &[("redirect_uri", callback)])).await;
    walk.browser.follow("a[href*='sign-up']").await;
    let typed = [("username", "grace"), ("email", ADDRESS), ("new_password", NEW), ("new_password_again", NEW)];
    walk.fill(&typed).await;
    walk.send().await;
    walk.fill(&[("code", &code(&walk.mail(ADDRESS).await))]).await;

    walk.send().await;

    assert!(walk.browser.url().await.starts_with(&format!("{callback}?code=")), "{}", walk.browser.url().await);
    walk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_has_forgotten_the_password_sets_a_new_one() {
    for scripts in [Scripts::On, Scripts::Off] {
        resets_a_password(scripts).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_walks_through_all_of_their_account_to_its_end() {
    for scripts in [Scripts::On, Scripts::Off] {
        changes_everything(scripts).await;
    }
}
