//! The pages that ask a new person for an e-mail address, in two browsers.

use toml::{Table, Value};
use vestibule::store::user;

use super::gallery::Viewer;
use crate::harness::browser::{Browser, Scripts};
use crate::harness::issuer::Issuer;
use crate::harness::{Engine, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_proves_an_address_in_another_browser_and_goes_on_in_the_first() {
    let mut viewer = Viewer::new();
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Engine::Sqlite).await;
    let issuer = Issuer::start().await;
    setup.settings.outbound.allow_private_addresses = true;
    setup.settings.social.require_email = true;
    setup.settings.mail.folder = Some(folder.path().display().to_string());
    let provider = setup.provider("my-company");
    *provider = issuer.settings();
    // A provider that tells no address.
    let claims = Table::from_iter([("email".to_owned(), Value::from("an_absent_claim"))]);
    provider.entry.insert("claims".to_owned(), claims.into());
    let t = setup.start().await;
    let (first, second) = (Browser::start(Scripts::On).await, Browser::start(Scripts::Off).await);

    first.goto(&t.url("login/my-company?next=/account/sessions")).await;
    first.find("#email").await;
    viewer.look(&first, "email-ask").await;
    first.fill("#email", "grace@example").await;
    first.follow("main button").await;
    first.find("#form-error").await;
    assert!(first.title().await.starts_with("Error: "));
    assert_eq!(first.attribute("#email", "aria-invalid").await.as_deref(), Some("true"));
    assert_eq!(first.script("return document.activeElement.id", &[]).await, "email");
    viewer.look(&first, "email-ask-error").await;
    let address = "somebody.with.a.rather.long.address@department.of.long.names.example.com";
    first.script("document.getElementById('email').value = ''", &[]).await;
    first.fill("#email", address).await;
    first.follow("main button").await;
    first.find("#code").await;
    viewer.look(&first, "email-sent").await;
    first.fill("#code", "12").await;
    first.follow("main button").await;
    first.find("#form-error").await;
    viewer.look(&first, "email-sent-error").await;

    let mail = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mail = std::fs::read_to_string(mail).unwrap().replace("=\r\n", "").replace("=3D", "=");
    let link = mail[mail.find("http://").unwrap()..].split_whitespace().next().unwrap();
    second.goto(link).await;
    second.find("form[action$='/confirm']").await;
    assert!(second.text("main").await.contains(address));
    let third = Browser::start(Scripts::On).await;
    third.goto(link).await;
    viewer.look(&third, "email-confirm").await;
    second.follow("main button").await;
    assert!(second.text("[role=status]").await.contains("go back to the browser"));
    assert!(user::list(&t.vestibule.context().db, 0, 10).await.unwrap().is_empty());

    first.follow("a[href$='continue=1']").await;
    assert_eq!(first.url().await, t.url("/account/sessions"));
    let person = user::list(&t.vestibule.context().db, 0, 10).await.unwrap().remove(0);
    assert_eq!((person.email.as_str(), person.email_verified), (address, true));
    first.was_content().await;
    assert!(viewer.found.is_empty(), "{}", viewer.found.join("\n"));
}
