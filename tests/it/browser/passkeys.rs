//! Passkeys and the other second factors in a real browser, with Chromium's virtual authenticator.

use super::gallery::Viewer;
use super::sign_in;
use crate::harness::browser::{Browser, Scripts};
use crate::harness::{Engine, ON_LOCALHOST, PASSWORD, Setup, Test};
use crate::second_factor::App;

const BUTTON: &str = "[data-passkey-button]";
const PASSWORD_BUTTON: &str = "form:has(#password) button:not([type=button])";

async fn on_localhost() -> Test {
    let mut setup = Setup::new(Engine::Sqlite).await;
    setup.settings.public_url = Some(ON_LOCALHOST.to_owned());
    let t = setup.start().await;
    t.person("ada").await;
    t.person("eve").await;
    t
}

/// The address to which passkeys are bound.
fn url(t: &Test, path: &str) -> String {
    t.url(path).replace("127.0.0.1", "localhost")
}

async fn password(browser: &Browser, username: &str) {
    browser.fill("#username", username).await;
    browser.fill("#password", PASSWORD).await;
    browser.follow(PASSWORD_BUTTON).await;
}

async fn add_passkey(browser: &Browser, t: &Test, name: &str) {
    browser.goto(&url(t, "/account/security/passkeys/add")).await;
    browser.fill("#name", name).await;
    browser.follow(BUTTON).await;
    assert_eq!(browser.text("h3").await, name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_added_lets_in_alone_and_after_the_password_and_goes_again() {
    let t = on_localhost().await;
    let mut viewer = Viewer::new();
    let browser = Browser::start(Scripts::On).await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security")).await;
    browser.find(BUTTON).await;
    viewer.look(&browser, "sign-in-with-passkeys").await;
    sign_in_by_password(&browser).await;
    viewer.look(&browser, "security-empty").await;
    let authenticator = browser.plug_in_authenticator().await;
    browser.follow("a[href$='/passkeys/add']").await;
    browser.find(BUTTON).await;
    viewer.look(&browser, "passkey-add").await;
    browser.click(BUTTON).await;
    assert_eq!(browser.passkeys(&authenticator).await, 0, "without a name nothing is asked for");
    add_passkey(&browser, &t, "My phone").await;
    assert_eq!(browser.passkeys(&authenticator).await, 1);
    viewer.look(&browser, "security").await;
    browser.goto(&url(&t, "/account/security/passkeys/add")).await;
    browser.fill("#name", "The same").await;
    browser.click(BUTTON).await;
    browser.find("[data-passkey-failed]:not([hidden])").await;
    viewer.look(&browser, "passkey-add-failed").await;
    assert_eq!(browser.passkeys(&authenticator).await, 1, "one of a person's is enough in one authenticator");

    // As the second factor: known to the authenticator or not.
    browser.verify_user(&authenticator, false).await;
    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security")).await;
    password(&browser, "ada").await;
    browser.find(BUTTON).await;
    viewer.look(&browser, "second-factor").await;
    browser.fill("#code", "nonsense").await;
    browser.follow("button.primary").await;
    browser.find("#form-error").await;
    viewer.look(&browser, "second-factor-error").await;
    browser.follow(BUTTON).await;
    assert_eq!(browser.text("h3").await, "My phone");

    // Somebody else's.
    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security/app")).await;
    password(&browser, "eve").await;
    let app = App::typed(&browser.text(".secret").await);
    viewer.look(&browser, "app-add").await;
    browser.fill("#code", "000").await;
    browser.follow("button.primary").await;
    browser.find("#form-error").await;
    viewer.look(&browser, "app-add-error").await;
    browser.fill("#code", &app.next(&t)).await;
    browser.follow("button.primary").await;
    browser.find("a[href$='/app/remove']").await;
    viewer.look(&browser, "security-with-app").await;
    browser.follow("a[href$='/app/remove']").await;
    viewer.look(&browser, "app-remove").await;

    // Alone, by whoever the authenticator knows: by the button, and as the browser offers it in the field for the name,
    // where this authenticator's person says yes at once.
    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security")).await;
    browser.find(BUTTON).await;
    browser.verify_user(&authenticator, true).await;
    browser.follow(BUTTON).await;
    assert_eq!(browser.text("h3").await, "My phone");
    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security")).await;
    assert_eq!(browser.text("h3").await, "My phone");
    browser.follow("a[href$='/recovery-codes']").await;
    viewer.look(&browser, "recovery-ask").await;
    browser.follow("button.primary").await;
    browser.find(".codes li:nth-child(10)").await;
    viewer.look(&browser, "recovery-codes").await;
    browser.goto(&url(&t, "/account/security")).await;
    browser.follow("li .actions a:not(.danger)").await;
    viewer.look(&browser, "passkey-name").await;
    browser.fill("#name", "Telephone").await;
    browser.follow("button.primary").await;
    assert_eq!(browser.text("h3").await, "Telephone");
    browser.follow("li .actions a.danger").await;
    viewer.look(&browser, "passkey-remove").await;
    browser.follow("button.danger").await;
    browser.find("main h1").await;
    assert!(!browser.has("h3").await);

    // The password alone is enough again.
    browser.verify_user(&authenticator, false).await;
    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in")).await;
    password(&browser, "ada").await;
    browser.find("ul.menu").await;
    browser.was_content().await;
    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
}

async fn sign_in_by_password(browser: &Browser) {
    password(browser, "ada").await;
    browser.find("main h1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_passkey_is_not_the_second_factor() {
    let t = on_localhost().await;
    let (ada, eve) = (Browser::start(Scripts::On).await, Browser::start(Scripts::On).await);
    for (browser, name) in [(&ada, "ada"), (&eve, "eve")] {
        browser.goto(&url(&t, "/account/sign-in")).await;
        password(browser, name).await;
        let authenticator = browser.plug_in_authenticator().await;
        add_passkey(browser, &t, "Own").await;
        browser.verify_user(&authenticator, false).await;
        browser.forget().await;
    }

    // Eve knows Ada's password.
    eve.goto(&url(&t, "/account/sign-in")).await;
    password(&eve, "ada").await;
    eve.click(BUTTON).await;
    eve.find("[data-passkey-failed]:not([hidden])").await;

    eve.goto(&url(&t, "/account/")).await;
    assert!(eve.url().await.contains("/account/sign-in"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_scripts_are_off_the_page_says_so_and_an_app_does_it() {
    let t = on_localhost().await;
    let browser = Browser::start(Scripts::Off).await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security/passkeys/add")).await;
    assert!(browser.text("noscript").await.contains("Passkeys need scripts"));
    sign_in(&browser, PASSWORD).await;
    assert!(browser.text("noscript").await.contains("or use an authenticator app"));
    browser.follow("noscript a").await;
    let app = App::typed(&browser.text(".secret").await);
    browser.fill("#code", &app.next(&t)).await;
    browser.follow("button.primary").await;
    browser.find("a[href$='/app/remove']").await;

    browser.forget().await;
    browser.goto(&url(&t, "/account/sign-in?next=/account/security")).await;
    sign_in(&browser, PASSWORD).await;
    browser.fill("#code", &app.next(&t)).await;
    browser.follow("button.primary").await;
    browser.find("a[href$='/app/remove']").await;
    browser.was_content().await;
}
