//! The console in a real browser: every page that links lead to, as everybody who may and may not, with scripts and without,
//! and every act by its buttons.

use std::collections::{BTreeSet, VecDeque};

use serde_json::json;
use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::statistics;

use super::gallery::Viewer;
use crate::console::staff;
use crate::harness::browser::{Browser, Scripts};
use crate::harness::{Engine, PASSWORD, Setup, Test};

/// A server on which something has happened, so that no list is empty.
pub(super) async fn lived_in(engine: Engine) -> Test {
    let mut setup = Setup::new(engine).await;
    setup.settings.outbound.allow_private_addresses = true;
    let t = setup.start().await;
    staff(&t, "root", "*").await;
    staff(&t, "clerk", "applications.view users.view").await;
    t.person("ada").await;
    let app = t.app(&[Password, ConvertToken]).await;
    for _ in 0..3 {
        t.password(&app, "ada").await;
        t.convert(&app, "google-oauth2", "nonsense").await;
    }
    let cx = t.vestibule.context();
    statistics::flush(cx).await.unwrap();
    statistics::sample(cx).await.unwrap();
    t
}

/// A browser in which this person is signed in.
pub(super) async fn browser_of(t: &Test, username: &str, scripts: Scripts) -> Browser {
    let browser = Browser::start(scripts).await;
    browser.goto(&t.url("/account/sign-in")).await;
    browser.fill("#username", username).await;
    browser.fill("#password", PASSWORD).await;
    browser.follow("form:has(#password) button").await;
    browser
}

/// A page's kind: what differs from one thing of a kind to the next is a star.
fn kind(path: &str) -> String {
    const WORDS: [&str; 9] = ["new", "api", "grants", "consents", "codes", "export", "find", "revoke", "rotate"];
    let mut parts = path.trim_matches('/').split('/');
    let (root, area) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let rest = parts.enumerate().map(|(at, part)| if at == 0 && !WORDS.contains(&part) { "*" } else { part });
    [root, area].into_iter().chain(rest).collect::<Vec<_>>().join("/")
}

/// Every kind of page of the console that links lead to from its first one. `look` is called on each.
async fn walk(t: &Test, browser: &Browser, mut look: impl AsyncFnMut(&str)) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut waiting = VecDeque::from(["/admin/".to_owned()]);
    while let Some(path) = waiting.pop_front() {
        if !seen.insert(kind(&path)) {
            continue;
        }
        browser.goto(&t.url(&path)).await;
        let text = browser.text("body").await;
        assert!(!text.contains("console_"), "a text is missing at {path}: {text}");
        look(&path).await;
        let links = "return [...document.querySelectorAll('a[href]')].filter(a => !a.hasAttribute('download'))
            .map(a => new URL(a.href).pathname).filter(path => path.startsWith('/admin'))";
        for link in browser.script(links, &[]).await.as_array().unwrap() {
            waiting.push_back(link.as_str().unwrap().to_owned());
        }
        browser.was_content().await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_sees_every_page_and_none_has_a_barrier() {
    let t = lived_in(Engine::Sqlite).await;
    let browser = browser_of(&t, "root", Scripts::On).await;
    let mut viewer = Viewer::new();

    let seen = walk(&t, &browser, async |path| {
        let name = kind(path).replace("admin", "console").replace('/', "-").replace('*', "one");
        viewer.look(&browser, name.trim_end_matches('-')).await;
    })
    .await;

    for area in ["applications", "applications/new", "applications/*", "applications/*/change"] {
        assert!(seen.contains(&format!("admin/{area}")), "{area} is not reached: {seen:?}");
    }
    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_there_without_scripts_and_staff_with_few_rights_see_theirs() {
    let t = lived_in(Engine::Postgres).await;
    let root = browser_of(&t, "root", Scripts::Off).await;
    let clerk = browser_of(&t, "clerk", Scripts::Off).await;
    let alert = async |browser: &Browser, path: &str| {
        assert!(!browser.has("[role=alert]").await, "{path}");
    };

    let all = walk(&t, &root, async |path| alert(&root, path).await).await;
    let few = walk(&t, &clerk, async |path| alert(&clerk, path).await).await;

    assert!(few.is_subset(&all) && few.len() < all.len(), "{few:?}");
    assert!(few.contains("admin/applications/*") && !few.contains("admin/applications/new"), "{few:?}");
    assert!(!few.iter().any(|kind| kind.starts_with("admin/audit") || kind.starts_with("admin/keys")), "{few:?}");
    // What no link leads to is not there for them either, nor for others.
    let ada = browser_of(&t, "ada", Scripts::On).await;
    let nobody = Browser::start(Scripts::On).await;
    for kind in &all {
        let url = t.url(&format!("/{}", kind.replace('*', "1")));
        ada.goto(&url).await;
        assert!(ada.text("[role=alert]").await.contains("for staff"), "{kind}");
        nobody.goto(&url).await;
        assert!(nobody.url().await.contains("/account/sign-in?next="), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_made_stopped_and_deleted_by_its_buttons() {
    for (engine, scripts) in [(Engine::Sqlite, Scripts::On), (Engine::Postgres, Scripts::Off)] {
        let t = lived_in(engine).await;
        let browser = browser_of(&t, "root", scripts).await;
        browser.goto(&t.url("/admin/applications/")).await;
        browser.click("a[href='/admin/applications/new']").await;
        browser.fill("#name", "Shop").await;
        browser.click("input[value=authorization-code]").await;
        browser.click("input[value=password]").await;
        browser.follow("button.primary").await;

        let secret = browser.text(".secret").await;
        let client_id = browser.text("dd code").await;

        let sign_in = [
            ("grant_type", "password"),
            ("client_id", &client_id),
            ("client_secret", &secret),
            ("username", "ada"),
            ("password", PASSWORD),
        ];
        let outcome = async || t.post("token", &sign_in).await.outcome();
        assert_eq!(outcome().await, "200");
        browser.click("a[href$='/disable']").await;
        browser.find("form[action$='/disable']").await;
        assert_eq!(outcome().await, "200", "only asked so far");
        browser.follow("form[action$='/disable'] button").await;
        assert!(browser.text("[role=status]").await.contains("disabled"));
        assert_eq!(outcome().await, "401 invalid_client");
        browser.follow("[role=status] form[action$='/enable'] button").await;
        assert_eq!(outcome().await, "200");
        browser.click("a[href$='/rotate-secret']").await;
        browser.find("#overlap option").await;
        browser.click("#overlap option[value='0s']").await;
        browser.follow("form[action$='/rotate-secret'] button").await;
        assert_ne!(browser.text(".secret").await, secret);
        assert_eq!(outcome().await, "401 invalid_client");
        browser.click("a[href$='/change']").await;
        browser.fill("#name", "Renamed").await;
        browser.follow("button.primary").await;
        assert!(browser.text("h1").await.contains("Renamed"));
        browser.click("a[href$='/delete']").await;
        browser.find("form[action$='/delete']").await;
        browser.follow("form[action$='/delete'] button").await;
        assert!(browser.text("[role=status]").await.contains("deleted"));
        assert!(!browser.text("table").await.contains("Renamed"));
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_scripts_pages_change_in_place_and_tables_filter_as_one_types() {
    let t = lived_in(Engine::Sqlite).await;
    t.app_with(|app| app.name = "Greenhouse".to_owned()).await;
    let browser = browser_of(&t, "root", Scripts::On).await;
    browser.goto(&t.url("/admin/")).await;
    // What a whole new page would not have.
    browser.script("window.same = true", &[]).await;

    browser.click(".tabs a[href='/admin/applications/']").await;
    browser.find("a[href='/admin/applications/new']").await;
    assert_eq!(browser.url().await, t.url("/admin/applications/"));
    assert_eq!(browser.script("return document.activeElement.tagName", &[]).await, "H1");
    assert!(browser.title().await.starts_with("Applications"));
    browser.fill("#q", "greenh").await;
    browser.find("tbody tr:only-child").await;
    assert!(browser.text("tbody").await.contains("Greenhouse"));
    assert_eq!(browser.script("return document.activeElement.id", &[]).await, "q");
    browser.find("tbody tr:only-child a").await;
    browser.click("tbody a").await;
    browser.find("dl.details").await;
    browser.script("history.back()", &[]).await;
    browser.find("tbody tr:only-child").await;
    assert!(browser.url().await.ends_with("/admin/applications/?q=greenh"));
    assert_eq!(browser.script("return window.same", &[]).await, json!(true));
    browser.was_content().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_comes_late_takes_no_letter_away() {
    let t = lived_in(Engine::Sqlite).await;
    let browser = browser_of(&t, "root", Scripts::On).await;
    browser.goto(&t.url("/admin/users/")).await;
    let hold = "const ask = fetch; const held = new Promise(done => { window.release = done });
        window.fetch = async (...all) => { window.asked = true; await held; return ask(...all) };
        document.getElementById('q').focus()";
    browser.script(hold, &[]).await;
    browser.press("a").await;
    let asked =
        "return new Promise(done => { const look = () => window.asked ? done() : setTimeout(look, 5); look() })";
    browser.script(asked, &[]).await;

    browser.press("d").await;
    browser.script("window.release()", &[]).await;
    browser.find("tbody tr:only-child").await;

    let value = "return document.getElementById('q').value";
    assert_eq!(browser.script(value, &[]).await, "ad");
    browser.script("history.back()", &[]).await;
    browser.find("tbody tr + tr").await;
    assert!(browser.url().await.ends_with("/admin/users/"), "the late list was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_stays_current_by_itself() {
    let t = lived_in(Engine::Sqlite).await;
    let app = t.app(&[Password]).await;
    let browser = browser_of(&t, "root", Scripts::On).await;
    browser.goto(&t.url("/admin/?range=hour")).await;
    let number = "return document.querySelector('#table-of-sign-ins tbody td').textContent";
    browser.click("#table-of-sign-ins summary").await;
    browser.script("document.activeElement.blur()", &[]).await;
    let before: i64 = browser.script(number, &[]).await.as_str().unwrap().parse().unwrap();

    for _ in 0..7 {
        t.password(&app, "ada").await;
    }
    statistics::flush(t.vestibule.context()).await.unwrap();

    let wait = "return new Promise(done => { const look = () => { const now = [...document.querySelectorAll('#table-of-sign-ins tbody tr')]
        .slice(0, 2).reduce((sum, row) => sum + Number(row.querySelector('td').textContent), 0);
        now >= arguments[0] + 7 ? done(now) : setTimeout(look, 200) }; look() })";
    browser.script(wait, &[before.into()]).await;
    assert!(browser.has("#table-of-sign-ins[open]").await, "an open table stays open");
}
