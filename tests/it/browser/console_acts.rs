//! Every act of the console beside those of applications, by its buttons: once with scripts, once without.

use serde_json::json;
use vestibule::protocol::GrantType::Password;
use vestibule::store::audit::{self, Filter};
use vestibule::store::{association, user};

use super::console::{browser_of, lived_in};
use crate::harness::browser::{Browser, Scripts};
use crate::harness::{Engine, PASSWORD, Test};

const WALKS: [(Engine, Scripts); 2] = [(Engine::Sqlite, Scripts::On), (Engine::Postgres, Scripts::Off)];

/// Goes to a page's act, and answers its question or sends its form.
async fn act(browser: &Browser, name: &str) {
    browser.click(&format!("main a[href*='/{name}']")).await;
    let form = format!("form[action*='/{name}']");
    browser.find(&form).await;
    browser.follow(&format!("{form} .actions button")).await;
}

/// What was noted of acts, the youngest first.
async fn noted(t: &Test) -> Vec<String> {
    let all = audit::page(&t.vestibule.context().db, &Filter::default(), i64::MAX, 50).await.unwrap();
    all.into_iter().map(|entry| entry.act).collect()
}

async fn status(browser: &Browser) -> String {
    browser.text("[role=status]").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_made_changed_given_rights_kept_out_and_deleted() {
    for (engine, scripts) in WALKS {
        let t = lived_in(engine).await;
        let app = t.app(&[Password]).await;
        let browser = browser_of(&t, "root", scripts).await;
        browser.goto(&t.url("/admin/users/")).await;
        browser.click("a[href='/admin/users/new']").await;
        browser.fill("#username", "grace").await;
        browser.fill("#email", "grace@example.com").await;
        browser.fill("#password", PASSWORD).await;
        browser.follow("button.primary").await;
        assert!(status(&browser).await.contains("created"));
        let grace = t.find_person("grace").await.unwrap();

        let token = t.password(&app, "grace").await.access_token();
        act_with(&browser, "change", &[("#first_name", "Grace")]).await;
        assert!(browser.text("dl.details").await.contains("Grace"));
        act_with(&browser, "set-password", &[("#password", "another one entirely")]).await;
        assert!(status(&browser).await.contains("password is set"));
        browser.click("main a[href$='/rights']").await;
        browser.click("#is_staff").await;
        browser.click("input[value='tokens.view']").await;
        browser.follow("form[action$='/rights'] .actions button").await;
        assert_eq!(user::permissions(&t.vestibule.context().db, grace.id).await.unwrap(), "tokens.view");
        assert!(t.accepts(&token).await);
        act(&browser, "end-everything").await;
        assert!(!t.accepts(&token).await);
        act(&browser, "deactivate").await;
        assert!(!t.find_person("grace").await.unwrap().is_active);
        browser.follow("[role=status] form[action$='/activate'] button").await;
        assert!(t.find_person("grace").await.unwrap().is_active);
        act(&browser, "remove-password").await;
        assert!(!t.find_person("grace").await.unwrap().has_password());
        act(&browser, "delete").await;
        assert!(t.find_person("grace").await.is_none());
        assert_eq!(
            noted(&t).await,
            [
                "user.delete",
                "user.remove_password",
                "user.activate",
                "user.deactivate",
                "user.end_everything",
                "user.set_rights",
                "user.set_password",
                "user.change",
                "user.create"
            ]
        );
        browser.was_content().await;
    }
}

/// As [`act`], with a form that is filled in first.
async fn act_with(browser: &Browser, name: &str, fields: &[(&str, &str)]) {
    browser.click(&format!("main a[href$='/{name}']")).await;
    browser.find(&format!("form[action$='/{name}']")).await;
    for (field, text) in fields {
        browser.fill(field, text).await;
    }
    browser.follow(&format!("form[action$='/{name}'] .actions button")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_sign_ins_and_associations_are_ended() {
    for (engine, scripts) in WALKS {
        let t = lived_in(engine).await;
        let app = t.app(&[Password]).await;
        let ada = t.find_person("ada").await.unwrap();
        let db = &t.vestibule.context().db;
        db.write(move |tx| {
            Box::pin(async move { association::insert(tx, ada.id, "github", "42", Vec::new(), "{}".to_owned(), 5).await })
        })
        .await
        .unwrap();
        let of_ada = browser_of(&t, "ada", Scripts::Off).await;
        let browser = browser_of(&t, "root", scripts).await;
        browser.goto(&t.url(&format!("/admin/users/{}/", ada.id))).await;
        act(&browser, "end-session").await;
        of_ada.goto(&t.url("/account/")).await;
        assert!(of_ada.url().await.contains("/account/sign-in"));
        act(&browser, "disconnect").await;
        assert!(association::of_user(db, ada.id).await.unwrap().is_empty());

        let tokens = [t.password(&app, "ada").await.access_token(), t.password(&app, "ada").await.access_token()];
        browser.goto(&t.url("/admin/tokens/?user=ada")).await;
        match scripts {
            // Of all rows at once, the newest is left.
            Scripts::On => {
                browser.click("thead input[type=checkbox]").await;
                browser.click("tbody tr:first-child input[type=checkbox]").await;
            }
            Scripts::Off => browser.click("tbody tr:nth-child(2) input[type=checkbox]").await,
        }
        browser.follow("form .actions button.danger").await;
        browser.follow("form[action$='/revoke'] .actions button").await;
        assert_eq!((t.accepts(&tokens[0]).await, t.accepts(&tokens[1]).await), (false, true));
        browser.goto(&t.url("/admin/tokens/find")).await;
        browser.fill("#token", &tokens[1]).await;
        browser.follow("main form .actions button").await;
        assert!(browser.text("dl.details").await.contains("ada"));
        browser.goto(&t.url("/admin/tokens/revoke-all?user=ada")).await;
        browser.follow("form[action*='/revoke-all'] .actions button").await;
        assert!(!t.accepts(&tokens[1]).await);
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_a_provider_is_tested_and_the_log_and_settings_are_filtered() {
    for (engine, scripts) in WALKS {
        let t = lived_in(engine).await;
        let browser = browser_of(&t, "root", scripts).await;
        browser.goto(&t.url("/admin/keys/")).await;
        let before = browser.text("tbody").await;
        act(&browser, "rotate").await;
        assert_ne!(browser.text("tbody").await, before);
        browser.goto(&t.url("/admin/providers/google-oauth2/")).await;
        assert!(browser.text("main").await.contains("token_rejected"), "its recent errors");
        browser.follow("form[action$='/test'] button").await;
        assert!(browser.text("main").await.contains("client"));
        browser.goto(&t.url("/admin/audit/")).await;
        assert!(
            browser.text("tbody").await.contains("key.rotate") && browser.text("tbody").await.contains("provider.test")
        );
        browser.fill("#act", "key.").await;
        match scripts {
            Scripts::On => drop(browser.find("tbody tr:only-child").await),
            Scripts::Off => browser.follow(".filters button").await,
        }
        assert!(!browser.text("tbody").await.contains("provider.test"));
        browser.goto(&t.url("/admin/settings/?q=refresh_grace")).await;
        assert!(browser.text("tbody").await.contains("tokens.refresh_grace"));
        assert_eq!(browser.script("return document.querySelectorAll('tbody tr').length", &[]).await, json!(1));
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_with_few_rights_have_no_button_that_they_may_not_press() {
    let t = lived_in(Engine::Sqlite).await;
    let ada = t.find_person("ada").await.unwrap();
    let clerk = browser_of(&t, "clerk", Scripts::On).await;

    clerk.goto(&t.url(&format!("/admin/users/{}/", ada.id))).await;

    assert!(clerk.text("h1").await.contains("ada"));
    assert!(!clerk.has("main form").await && !clerk.has("main .actions a[href*='/admin/users/']").await);
    clerk.goto(&t.url("/admin/users/")).await;
    assert!(!clerk.has("a[href='/admin/users/new']").await);
}
