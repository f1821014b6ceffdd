//! Passkeys: added, used as a way in and as the second factor, and refused for everything that is not as it should be.

use serde_json::{Value, json};
use vestibule::store::user::{self, NewUser};
use vestibule::store::{association, passkey};

use super::{SECOND, SECURITY, half_way, is_in, options, recovery_codes};
use crate::harness::authenticator::{Authenticator, ELIGIBLE, PRESENT, VERIFIED};
use crate::harness::guest::Guest;
use crate::harness::{Answer, ON_LOCALHOST, Setup, Test, on_both_databases};

const ADD: &str = "/account/security/passkeys/add";
const ADD_OPTIONS: &str = "/account/security/passkeys/options";
const SIGN_IN: &str = "/account/sign-in?next=/account/sessions";
const SIGN_IN_OPTIONS: &str = "/account/sign-in/passkey";

async fn on_localhost(setup: Setup) -> Test {
    let mut setup = setup;
    setup.settings.public_url = Some(ON_LOCALHOST.to_owned());
    setup.start().await
}

fn origin(t: &Test) -> String {
    t.base.replace("127.0.0.1", "localhost")
}

/// Sends what the authenticator says with the page's form.
async fn send(guest: &Guest<'_>, page: &Answer, ceremony: &str, answer: &str) -> Answer {
    guest.submit_only(&page.form(), &[("ceremony", ceremony), ("credential", answer), ("name", "My phone")]).await
}

async fn add(guest: &Guest<'_>, authenticator: &mut Authenticator) -> Answer {
    let page = guest.get(ADD).await;
    let (asked, ceremony) = options(&guest.get(ADD_OPTIONS).await);
    send(guest, &page, &ceremony, &authenticator.create(&asked)).await
}

/// A person who has a passkey, and the browser in which they added it.
async fn with_passkey<'t>(t: &'t Test, username: &str) -> (Guest<'t>, Authenticator) {
    let guest = Guest::new(t);
    guest.enter(username).await;
    let mut authenticator = Authenticator::new(&origin(t));
    let added = add(&guest, &mut authenticator).await;
    assert_eq!((added.status, added.header("location").as_str()), (303, SECURITY), "{added:?}");
    (guest, authenticator)
}

/// Comes in by a passkey alone.
async fn sign_in(guest: &Guest<'_>, authenticator: &mut Authenticator) -> Answer {
    let page = guest.get(SIGN_IN).await;
    let (asked, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
    send(guest, &page, &ceremony, &authenticator.get(&asked)).await
}

/// What the page says went wrong.
fn told(answer: &Answer) -> (u16, String) {
    let (status, _, sentence) = answer.setback();
    (status, sentence)
}

async fn amr(t: &Test, user_id: i64) -> String {
    let cx = t.vestibule.context();
    vestibule::session::of_user(cx, user_id).await.unwrap().remove(0).amr
}

on_both_databases! {
    async fn a_passkey_is_added_and_lets_in_alone(setup: Setup) {
        let t = on_localhost(setup).await;
        let ada = t.person_with(NewUser { username: "ada".into(), first_name: "Ada".into(), last_name: "Lovelace".into(), ..NewUser::default() }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let page = guest.get(ADD).await;
        assert!(page.header("content-security-policy").contains("script-src 'self'; connect-src 'self'"), "{page:?}");
        let (asked, ceremony) = options(&guest.get(ADD_OPTIONS).await);
        assert_eq!(asked["rp"], json!({ "id": "localhost", "name": "Vestibule" }));
        assert_eq!((&asked["user"]["name"], &asked["user"]["displayName"]), (&json!("ada"), &json!("Ada Lovelace")));
        assert_eq!(asked["user"]["id"].as_str().unwrap().len(), 43, "random, not the person's number");
        assert_eq!(asked["excludeCredentials"], json!([]));
        assert_eq!(asked["attestation"], "none");
        let selection = &asked["authenticatorSelection"];
        assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("required")));
        let mut authenticator = Authenticator::new(&origin(&t));
        let answer = authenticator.create(&asked);
        let added = send(&guest, &page, &ceremony, &answer).await;
        assert_eq!(added.header("location"), SECURITY, "{added:?}");
        let overview = guest.get(SECURITY).await.text;
        assert!(overview.contains("My phone") && overview.contains("Not yet") && overview.contains("You have no recovery codes"), "{overview}");
        let (again, _) = options(&guest.get(ADD_OPTIONS).await);
        assert_eq!(again["excludeCredentials"][0]["transports"], json!(["internal"]));
        assert_eq!(again["user"]["id"], asked["user"]["id"]);

        let last = t.find_person("ada").await.unwrap().last_login;
        t.clock.advance(100);
        let other = Guest::new(&t);
        let page = other.get(SIGN_IN).await;
        let (asked, ceremony) = options(&other.get(SIGN_IN_OPTIONS).await);
        assert_eq!((&asked["rpId"], &asked["userVerification"], &asked["allowCredentials"]), (&json!("localhost"), &json!("required"), &Value::Null));
        let entered = send(&other, &page, &ceremony, &authenticator.get(&asked)).await;
        assert_eq!((entered.status, entered.header("location").as_str()), (303, "/account/sessions"), "{entered:?}");
        assert!(is_in(&other).await);
        assert_eq!(amr(&t, ada.id).await, "hwk user mfa");
        assert!(t.find_person("ada").await.unwrap().last_login > last);
        assert!(!guest.get(SECURITY).await.text.contains("Not yet"));
    }
}

on_both_databases! {
    async fn a_password_asks_for_the_passkey_too(setup: Setup) {
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        t.person("eve").await;
        let (owner, mut authenticator) = with_passkey(&t, "ada").await;
        let (_, mut of_eve) = with_passkey(&t, "eve").await;
        let second = format!("{SECOND}/passkey");

        let (guest, page) = half_way(&t, "ada").await;
        let (asked, ceremony) = options(&guest.get(&second).await);
        assert_eq!(asked["allowCredentials"].as_array().unwrap().len(), 1);
        let foreign = send(&guest, &page, &ceremony, &of_eve.get(&asked)).await;
        assert_eq!(told(&foreign), (400, "This passkey does not belong to an account here that it could let you in to.".into()));
        let (asked, ceremony) = options(&guest.get(&second).await);
        // Not verified is enough here: there was a password.
        authenticator.flags = PRESENT;
        let entered = send(&guest, &page, &ceremony, &authenticator.get(&asked)).await;
        assert_eq!((entered.status, entered.header("location").as_str()), (303, "/account/sessions"), "{entered:?}");
        assert_eq!(amr(&t, ada.id).await, "pwd hwk user mfa");

        // A code that stands in for it, and a challenge of the other kind that does not.
        let codes = recovery_codes(&owner).await;
        let (guest, page) = half_way(&t, "ada").await;
        let (asked, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
        assert_eq!(send(&guest, &page, &ceremony, &authenticator.get(&asked)).await.status, 400);
        assert_eq!(guest.submit_only(&page.form(), &[("code", &codes[0])]).await.status, 303);
        assert!(Guest::new(&t).get(&second).await.status == 400);
    }
}

on_both_databases! {
    async fn a_use_is_refused_for_everything_that_is_not_as_it_should_be(setup: Setup) { // attack 275
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        let db = &t.vestibule.context().db;
        let (_, mut authenticator) = with_passkey(&t, "ada").await;
        let good_origin = authenticator.origin.clone();
        let guest = Guest::new(&t);
        let refused = (400, "This passkey could not be checked. Please try again, or use another one.".to_owned());
        let unknown = (400, "This passkey does not belong to an account here that it could let you in to.".to_owned());
        let stale = (400, "This took too long, or was sent twice. Please try again.".to_owned());

        authenticator.origin = "https://evil.example".to_owned();
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), refused, "another origin");
        authenticator.origin = good_origin;
        authenticator.flags = PRESENT;
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), refused, "not verified");
        authenticator.flags = VERIFIED;
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), refused, "not present");
        authenticator.flags = PRESENT | VERIFIED | ELIGIBLE;
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), refused, "may be copied all at once");
        authenticator.flags = PRESENT | VERIFIED;
        let mut stranger = Authenticator::new(&authenticator.origin);
        stranger.user_handle = authenticator.user_handle.clone();
        assert_eq!(told(&sign_in(&guest, &mut stranger).await), unknown, "nobody's");
        stranger.id = authenticator.id.clone();
        stranger.count = 100;
        assert_eq!(told(&sign_in(&guest, &mut stranger).await), refused, "another key under its id");
        let handle = authenticator.user_handle.take();
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), unknown, "it names nobody");
        authenticator.user_handle = Some(json!("AAAA"));
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), unknown, "it names somebody else");
        authenticator.user_handle = handle;
        authenticator.count = 0;
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), refused, "its counter went back");
        authenticator.count = 10;

        // The relying party, and the challenge of another ceremony.
        let page = guest.get(SIGN_IN).await;
        let (mut asked, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
        asked["rpId"] = "evil.example".into();
        assert_eq!(told(&send(&guest, &page, &ceremony, &authenticator.get(&asked)).await), refused);
        let (asked, _) = options(&guest.get(SIGN_IN_OPTIONS).await);
        let (_, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
        assert_eq!(told(&send(&guest, &page, &ceremony, &authenticator.get(&asked)).await), refused);
        // In another browser; too late; made up.
        let (asked, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
        let other = Guest::new(&t);
        let elsewhere = other.get(SIGN_IN).await;
        assert_eq!(told(&send(&other, &elsewhere, &ceremony, &authenticator.get(&asked)).await), stale);
        t.clock.advance(301);
        assert_eq!(told(&send(&guest, &page, &ceremony, &authenticator.get(&asked)).await), stale);
        assert_eq!(told(&send(&guest, &page, "AAAA", &authenticator.get(&asked)).await), stale);
        for garbage in ["{", "[]", "{\"type\":\"public-key\"}", &"[".repeat(10_000), "\u{0}"] {
            let (_, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
            assert_eq!(send(&guest, &page, &ceremony, garbage).await.status, 400, "{garbage:.20}");
        }
        assert!(!is_in(&guest).await);

        // Once.
        let (asked, ceremony) = options(&guest.get(SIGN_IN_OPTIONS).await);
        let answer = authenticator.get(&asked);
        assert_eq!(send(&guest, &page, &ceremony, &answer).await.status, 303);
        let page = guest.get("/account/sign-in?again=1").await;
        assert_eq!(told(&send(&guest, &page, &ceremony, &answer).await), stale, "a second time");
        let later = authenticator.get(&asked);
        assert_eq!(told(&send(&guest, &page, &ceremony, &later).await), stale, "its challenge a second time");

        user::set_active(db, ada.id, false).await.unwrap();
        let guest = Guest::new(&t);
        assert_eq!(told(&sign_in(&guest, &mut authenticator).await), unknown, "deactivated");
        assert!(!is_in(&guest).await);
    }
}

on_both_databases! {
    async fn a_new_passkey_is_refused_for_everything_that_is_not_as_it_should_be(setup: Setup) { // attack 275
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        t.person("eve").await;
        let (owner, mut authenticator) = with_passkey(&t, "ada").await;
        let eve = Guest::new(&t);
        eve.enter("eve").await;

        let taken = add(&eve, &mut authenticator).await;
        assert_eq!(told(&taken), (400, "This passkey is already in use here. Please add another one.".into()));
        let new = || Authenticator::new(&origin(&t));
        let mut unverified = new();
        unverified.flags = PRESENT;
        assert_eq!(add(&eve, &mut unverified).await.status, 400);
        let mut elsewhere = Authenticator::new("https://evil.example");
        assert_eq!(add(&eve, &mut elsewhere).await.status, 400);
        // Somebody else's challenge, one for another purpose, and one that was used.
        let page = eve.get(ADD).await;
        let (asked, ceremony) = options(&owner.get(ADD_OPTIONS).await);
        assert_eq!(send(&eve, &page, &ceremony, &new().create(&asked)).await.status, 400);
        let (asked, _) = options(&eve.get(ADD_OPTIONS).await);
        let (_, ceremony) = options(&eve.get(SIGN_IN_OPTIONS).await);
        assert_eq!(send(&eve, &page, &ceremony, &new().create(&asked)).await.status, 400);
        assert_eq!(eve.submit_only(&page.form(), &[("name", "x")]).await.status, 400, "no script");
        let (asked, ceremony) = options(&eve.get(ADD_OPTIONS).await);
        let answer = new().create(&asked);
        for (name, status) in [("", 400), (" ", 400), ("a\nb", 400), ("x".repeat(65).as_str(), 400), ("<b>&ü", 303), ("again", 400)] {
            let fields = [("ceremony", ceremony.as_str()), ("credential", &answer), ("name", name)];
            assert_eq!(eve.submit_only(&page.form(), &fields).await.status, status, "{name}");
        }
        assert!(eve.get(SECURITY).await.text.contains("&lt;b&gt;&amp;ü"));
        for _ in 0..19 {
            assert_eq!(add(&owner, &mut new()).await.status, 303);
        }
        assert_eq!(told(&add(&owner, &mut new()).await).1, "You have as many passkeys as one account can have. Please remove one first.");
        assert_eq!(passkey::of_user(&t.vestibule.context().db, ada.id).await.unwrap().len(), 20);
        // Who has not proven lately who they are is given no challenge.
        t.clock.advance(901);
        assert_eq!(owner.get(ADD_OPTIONS).await.status, 403);
    }
}

on_both_databases! {
    async fn a_passkey_is_renamed_and_removed_by_its_owner_only(setup: Setup) {
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        t.person("eve").await;
        let (owner, mut authenticator) = with_passkey(&t, "ada").await;
        let (eve, _) = with_passkey(&t, "eve").await;
        recovery_codes(&owner).await;
        let db = &t.vestibule.context().db;
        let id = passkey::of_user(db, ada.id).await.unwrap()[0].id;
        let (rename, remove) = (format!("/account/security/passkeys/{id}"), format!("/account/security/passkeys/{id}/remove"));

        for path in [rename.as_str(), &remove, "/account/security/passkeys/x", "/account/security/passkeys/99999"] {
            assert_eq!(eve.get(path).await.status, 404, "{path}");
            let form = crate::harness::guest::Form { action: path.to_owned(), ..eve.get(ADD).await.form() };
            assert_eq!(eve.submit_only(&form, &[("name", "Mine")]).await.status, 404, "{path}");
        }
        let page = owner.get(&rename).await;
        assert_eq!(owner.submit_only(&page.form(), &[("name", "")]).await.status, 400);
        assert_eq!(owner.submit_only(&page.form(), &[("name", " The old one ")]).await.status, 303);
        let asked = owner.get(&remove).await;
        assert!(asked.text.contains("Remove “The old one”?"), "{asked:?}");
        assert_eq!(owner.submit_only(&asked.form(), &[]).await.status, 303);

        assert!(passkey::of_user(db, ada.id).await.unwrap().is_empty());
        assert_eq!(sign_in(&Guest::new(&t), &mut authenticator).await.status, 400);
        assert!(!owner.get(SECURITY).await.text.contains("Codes left"), "the recovery codes went with it");
        Guest::new(&t).enter("ada").await;
    }
}

on_both_databases! {
    async fn the_last_way_in_stays_and_a_passkey_is_one(setup: Setup) {
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        let (owner, mut authenticator) = with_passkey(&t, "ada").await;
        let db = &t.vestibule.context().db;
        user::set_password(db, ada.id, Some("!".to_owned())).await.unwrap();
        let guest = Guest::new(&t);
        assert_eq!(sign_in(&guest, &mut authenticator).await.status, 303);
        assert!(!is_in(&owner).await);
        let id = passkey::of_user(db, ada.id).await.unwrap()[0].id;
        let remove = format!("/account/security/passkeys/{id}/remove");

        let kept = guest.submit_only(&guest.get(&remove).await.form(), &[]).await;
        assert_eq!(kept.status, 400);
        assert!(kept.text.contains("the only way in to your account"), "{kept:?}");
        db.write(move |tx| Box::pin(async move {
            association::insert(tx, ada.id, "github", "7", Vec::new(), "{}".to_owned(), 0).await
        })).await.unwrap();
        // With a passkey the account at the provider may go, and with that the passkey.
        let connections = guest.get("/account/connections").await;
        assert!(connections.forms().iter().any(|form| form.action.contains("/disconnect/github/")), "{connections:?}");
        assert_eq!(guest.submit_only(&guest.get(&remove).await.form(), &[]).await.status, 303);
        let connections = guest.get("/account/connections").await;
        assert!(!connections.forms().iter().any(|form| form.action.contains("/disconnect/github/")), "{connections:?}");
    }
}

on_both_databases! {
    async fn a_passkey_that_may_be_copied_is_not_called_hardware(setup: Setup) {
        let t = on_localhost(setup).await;
        let ada = t.person("ada").await;
        let owner = Guest::new(&t);
        owner.enter("ada").await;
        let mut authenticator = Authenticator::new(&origin(&t));
        authenticator.flags = PRESENT | VERIFIED | ELIGIBLE;
        assert_eq!(add(&owner, &mut authenticator).await.status, 303);
        assert_eq!(sign_in(&Guest::new(&t), &mut authenticator).await.status, 303);
        assert_eq!(amr(&t, ada.id).await, "swk user mfa");
    }
}

on_both_databases! {
    async fn at_an_address_without_a_name_there_are_no_passkeys(t: Test) {
        t.person("ada").await;
        let guest = Guest::new(&t);
        let page = guest.get("/account/sign-in").await;
        assert!(!page.text.contains("passkey") && !page.text.contains("webauthn"), "{page:?}");
        assert_eq!(guest.get(SIGN_IN_OPTIONS).await.outcome(), "400 invalid_request");
        guest.enter("ada").await;
        assert!(guest.get(SECURITY).await.text.contains("Passkeys cannot be used at this address."));
        assert!(guest.get(ADD).await.is_error_page());
        assert_eq!(guest.get("passkeys.js").await.header("content-type"), "text/javascript; charset=utf-8");
    }
}
