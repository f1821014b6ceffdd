//! Every page, once: none has a barrier that axe-core knows of, and none is wider than a small telephone.
//!
//! With `TEST_SCREENSHOTS` set to a folder, pictures of all of them are put there: `tests/screenshots` does so.

use std::path::Path;

use vestibule::protocol::TokenDigest;
use vestibule::store::user::NewUser;

use super::{Walk, sign_in};
use crate::harness::browser::{Browser, Scripts};
use crate::harness::{Engine, PASSWORD};

/// Looks at pages as they come by.
pub(super) struct Viewer {
    axe: Option<String>,
    pictures: Option<String>,
    pub(super) found: Vec<String>,
    seen: usize,
}

impl Viewer {
    pub(super) fn new() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/third-party/axe/axe.min.js");
        let axe = std::fs::read_to_string(file).ok();
        assert!(axe.is_some() || std::env::var_os("CI").is_none(), "`tests/set-up test` fetches axe-core");
        let pictures = std::env::var("TEST_SCREENSHOTS").ok();
        Self { axe, pictures, found: Vec::new(), seen: 0 }
    }

    pub(super) async fn look(&mut self, browser: &Browser, name: &str) {
        browser.find("main h1").await;
        self.seen += 1;
        if let Some(axe) = &self.axe {
            browser.script(&[axe, "; window.axe = axe"].concat(), &[]).await;
        }
        for (width, scheme) in [(320, "light"), (1280, "dark")] {
            browser.look_like(width, scheme).await;
            let needed = browser.script("return document.documentElement.scrollWidth", &[]).await;
            if needed.as_u64().unwrap() > width.into() {
                self.found.push(format!("{name} at {width} needs {needed} pixels"));
            }
            if self.axe.is_none() {
                continue;
            }
            let run = "return axe.run().then(({ passes, violations }) => ({ passes: passes.length, violations: \
                violations.flatMap(({ id, nodes }) => nodes.map(node => [id, node.failureSummary, node.html])) }))";
            let result = browser.script(run, &[]).await;
            assert!(result["passes"].as_u64().unwrap() > 10, "{name}: {result}");
            for violation in result["violations"].as_array().unwrap() {
                self.found.push(format!("{name} at {width}, {scheme}: {violation}"));
            }
        }
        if let Some(folder) = &self.pictures {
            for (width, scheme) in [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")] {
                browser.look_like(width, scheme).await;
                let file = format!("{folder}/{name}-{width}-{scheme}.png");
                std::fs::write(file, browser.screenshot().await).unwrap();
            }
        }
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_has_a_barrier_or_is_wider_than_a_small_telephone() {
    let mut viewer = Viewer::new();
    let walk = Walk::with(Engine::Sqlite, Scripts::On, |app, site| {
        app.name = "The Application with a Name of Some Length that somebodychosewithoutanyblanksinit".to_owned();
        app.registration_digest = Some(TokenDigest::of("registered by itself"));
        app.redirect_uris.push(site.at("silent"));
        app.metadata.client_uri = Some("https://app.example".to_owned());
        app.metadata.policy_uri = Some("https://app.example/privacy".to_owned());
        app.metadata.tos_uri = Some("https://app.example/terms".to_owned());
        app.metadata.frontchannel_logout_uri = Some(site.at("front-channel"));
    })
    .await;
    let (t, browser) = (&walk.t, &walk.browser);
    let address = "somebody.with.a.rather.long.address@department.of.long.names.example.com".to_owned();
    t.person_with(NewUser { username: address.clone(), email: address.clone(), ..NewUser::default() }).await;
    let goto = async |path: &str| browser.goto(&t.url(path)).await;
    let look = async |viewer: &mut Viewer, name: &str| viewer.look(browser, name).await;

    walk.ask(&[]).await;
    look(&mut viewer, "sign-in").await;
    sign_in(browser, "not it").await;
    browser.find("#form-error").await;
    look(&mut viewer, "sign-in-error").await;
    browser.fill("#username", &address).await;
    browser.fill("#password", PASSWORD).await;
    browser.follow("form:has(#password) button").await;
    browser.find("button[value=allow]").await;
    look(&mut viewer, "consent").await;
    browser.follow("button[value=allow]").await;
    walk.came().await;
    walk.ask(&[("scope", "openid profile email address phone offline_access read write"), ("ui_locales", "de")]).await;
    look(&mut viewer, "consent-to-more-in-german").await;
    walk.ask(&[("prompt", "select_account")]).await;
    browser.find("button[name=continue]").await;
    look(&mut viewer, "sign-in-other").await;
    // The answer to this form is none, so its page stays.
    walk.ask(&[("response_mode", "form_post"), ("redirect_uri", &walk.site.at("silent"))]).await;
    browser.find("form[action$='/silent']").await;
    look(&mut viewer, "form-post").await;
    walk.ask(&[("client_id", "nobody")]).await;
    look(&mut viewer, "error").await;

    goto("/account/").await;
    look(&mut viewer, "account").await;
    goto("/account/sessions").await;
    look(&mut viewer, "sessions").await;
    for page in ["profile", "username", "address", "password", "sign-out-everywhere", "data", "delete"] {
        goto(&format!("/account/{page}")).await;
        look(&mut viewer, page).await;
    }
    goto("authorized_tokens/").await;
    look(&mut viewer, "authorized").await;
    browser.follow("li button").await;
    browser.find("button[name=confirm]").await;
    look(&mut viewer, "authorized-confirm").await;
    browser.follow("button[name=confirm]").await;
    browser.find(".empty").await;
    look(&mut viewer, "authorized-empty").await;

    goto("applications/").await;
    look(&mut viewer, "applications-empty").await;
    goto("applications/register/").await;
    look(&mut viewer, "application-new").await;
    browser.fill("#name", &walk.app.row.name).await;
    browser.fill("#redirect_uris", "nonsense").await;
    browser.follow("button.primary").await;
    browser.find("#form-error").await;
    look(&mut viewer, "application-new-error").await;
    let long = format!("https://app.example/{}/callback", "a-long-path-".repeat(8));
    browser.fill("#redirect_uris", &long).await;
    browser.follow("button.primary").await;
    browser.find(".secret").await;
    look(&mut viewer, "application-secret").await;
    browser.follow(".actions .primary").await;
    browser.find("#name").await;
    look(&mut viewer, "application-change").await;
    goto("applications/").await;
    look(&mut viewer, "applications").await;
    browser.follow("h2 a").await;
    browser.find("dl.details").await;
    look(&mut viewer, "application").await;
    browser.follow(".actions .danger").await;
    browser.find(".warning").await;
    look(&mut viewer, "application-delete").await;

    goto("device").await;
    look(&mut viewer, "device").await;
    browser.fill("#user_code", "WRONG").await;
    browser.follow("main button").await;
    browser.find("#form-error").await;
    look(&mut viewer, "device-error").await;
    let begun = t.call("device-authorization", &walk.app, &[("scope", "read")]).await;
    goto(&format!("device?user_code={}", begun.field("user_code"))).await;
    browser.follow("main button").await;
    browser.find("button[value=allow]").await;
    look(&mut viewer, "device-confirm").await;
    browser.follow("button[value=allow]").await;
    browser.find("[role=status]").await;
    look(&mut viewer, "message").await;

    walk.ask(&[("prompt", "consent")]).await;
    browser.follow("button[value=allow]").await;
    walk.came().await;
    goto(&format!("logout?client_id={}", walk.app.client_id)).await;
    look(&mut viewer, "sign-out").await;
    browser.follow("button[value=sign_out]").await;
    browser.find("iframe").await;
    look(&mut viewer, "front-channel-logout").await;

    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
    assert_eq!(viewer.seen, 33);
}
