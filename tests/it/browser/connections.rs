//! Connecting and disconnecting in a real browser, and the pages of what goes wrong on the way.

use super::gallery::Viewer;
use super::{Walk, sign_in};
use crate::harness::browser::{ENTER, Scripts, TAB};
use crate::harness::{Engine, PASSWORD};

const PAGE: &str = "/account/connections";

/// The words on the element that has the focus.
async fn focused(walk: &Walk) -> String {
    let words = "const e = document.activeElement; return e.matches('a, button') ? e.textContent : ''";
    walk.browser.script(words, &[]).await.as_str().unwrap().to_owned()
}

/// Goes on by the keyboard until the focus is on these words, and presses them.
async fn press(walk: &Walk, words: &str) {
    for _ in 0..20 {
        walk.browser.press(TAB).await;
        if focused(walk).await.contains(words) {
            walk.browser.press(ENTER).await;
            return;
        }
    }
    panic!("the keyboard does not lead to {words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_connects_and_disconnects_an_account_with_the_keyboard_alone() {
    for scripts in [Scripts::On, Scripts::Off] {
        let walk = Walk::with(Engine::Sqlite, scripts, |_, _| {}).await;
        let mut viewer = Viewer::new();
        walk.home_of_ada().await;
        press(&walk, "Connected accounts").await;
        walk.browser.find(".empty").await;
        if scripts == Scripts::On {
            viewer.look(&walk.browser, "connections-empty").await;
        }

        press(&walk, "Connect my-company").await;
        walk.browser.find("ul.items").await;
        assert_eq!(walk.browser.url().await, walk.t.url(PAGE));
        assert!(walk.browser.text("ul.items").await.contains("my-company"));
        if scripts == Scripts::On {
            viewer.look(&walk.browser, "connections").await;
        }
        press(&walk, "Disconnect").await;
        walk.browser.find(".empty").await;

        assert_eq!(walk.t.people().await.len(), 1);
        walk.browser.was_content().await;
        assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_on_another_site_connects_nothing_unless_its_person_says_so() {
    let walk = Walk::new(Engine::Sqlite).await;
    let mut viewer = Viewer::new();
    walk.home_of_ada().await;
    let link = walk.t.url("login/my-company?next=/account/connections");
    let site = url::Url::parse_with_params(&walk.site.at(""), [("link", link)]).unwrap();
    walk.browser.goto(site.as_str()).await;
    walk.browser.follow("#sign-in").await;

    assert_eq!(walk.browser.text("h1").await, "Connect your my-company account to ada?");
    viewer.look(&walk.browser, "connect-confirm").await;
    walk.browser.follow(".actions a").await;
    walk.browser.find(".empty").await;
    walk.browser.goto(site.as_str()).await;
    walk.browser.follow("#sign-in").await;
    // The form's way leads over the provider's origin and back.
    walk.browser.follow(".actions button").await;

    assert!(walk.browser.text("ul.items").await.contains("my-company"));
    walk.browser.was_content().await;
    walk.browser.goto(site.as_str()).await;
    walk.browser.follow("#sign-in").await;
    walk.browser.follow(".after a").await;
    walk.browser.find("ul.items, .empty").await;
    assert_eq!(walk.t.people().await.len(), 1, "it is the same person");
    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_a_page_with_a_way_on() {
    for scripts in [Scripts::On, Scripts::Off] {
        let walk = Walk::with(Engine::Sqlite, scripts, |_, _| {}).await;
        let mut viewer = Viewer::new();
        walk.browser.goto(&walk.t.url("complete/my-company/?code=of-another-browser&state=x")).await;
        assert!(walk.browser.title().await.starts_with("Error: my-company"));
        assert!(walk.browser.text("[role=alert]").await.contains("takes no cookies"));
        if scripts == Scripts::On {
            viewer.look(&walk.browser, "setback").await;
        }
        press(&walk, "Try again with my-company").await;
        walk.browser.find("ul.menu").await;
        assert_eq!(walk.t.people().await.len(), 2, "grace is in");

        // She has no password and no other account.
        walk.browser.goto(&walk.t.url(PAGE)).await;
        assert!(walk.browser.text(".hint").await.contains("only way in"));
        if scripts == Scripts::On {
            viewer.look(&walk.browser, "connections-last").await;
        }
        walk.browser.was_content().await;
        assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_address_is_taken_signs_in_and_is_connected_at_once() {
    let walk = Walk::new(Engine::Sqlite).await;
    let mut viewer = Viewer::new();
    let ada = walk.t.find_person("ada").await.unwrap();
    let fresh = vestibule::store::user::User { email: "grace@example.com".to_owned(), ..ada };
    let db = &walk.t.vestibule.context().db;
    db.write(move |tx| Box::pin(async move { vestibule::store::user::update_details(tx, &fresh).await }))
        .await
        .unwrap();
    walk.browser.goto(&walk.t.url("/account/sign-in?next=/account/connections")).await;
    walk.browser.follow("a[href*='/login/my-company']").await;
    assert!(walk.browser.text("[role=alert]").await.contains("Sign in to that one"));
    viewer.look(&walk.browser, "setback-email-in-use").await;

    walk.browser.follow(".choices a.primary").await;
    sign_in(&walk.browser, PASSWORD).await;

    assert!(walk.browser.text("ul.items").await.contains("my-company"));
    assert_eq!((walk.browser.url().await, walk.t.people().await.len()), (walk.t.url(PAGE), 1));
    walk.browser.was_content().await;
    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
}
