//! Second factors over HTTP: codes of an app, recovery codes, and what a password alone is worth beside them.
//!
//! Not here: passkeys, as far as they are no code (`passkeys`), and the browser's part in them (`browser::passkeys`).

mod passkeys;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use serde_json::Value;
use vestibule::identity::second_factor;
use vestibule::protocol::GrantType;
use vestibule::store::user::{self, NewUser};

use crate::authorize::{redeem, web_app};
use crate::harness::guest::Guest;
use crate::harness::{Answer, PASSWORD, Setup, Test, on_both_databases};
use crate::passwords::django_pbkdf2;

const SECURITY: &str = "/account/security";
const APP: &str = "/account/security/app";
const CODES: &str = "/account/security/recovery-codes";
const SECOND: &str = "/account/sign-in/second-factor";

/// Somebody's authenticator app.
pub struct App(Vec<u8>);

impl App {
    fn of(page: &Answer) -> Self {
        Self::typed(page.text.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap())
    }

    /// With the key that a page shows, as a person types it.
    pub fn typed(shown: &str) -> Self {
        let mut bits = 0_u64;
        let (mut held, mut secret) = (0, Vec::new());
        for letter in shown.bytes().filter(|byte| *byte != b' ') {
            let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|own| *own == letter).unwrap();
            bits = (bits << 5 | digit as u64) & 0xFFFF;
            held += 5;
            if held >= 8 {
                held -= 8;
                secret.push((bits >> held) as u8);
            }
        }
        Self(secret)
    }

    /// The code at a moment (RFC 6238).
    fn at(&self, seconds: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &(seconds / 30).to_be_bytes());
        let offset = usize::from(tag.as_ref()[19] & 15);
        let word = u32::from_be_bytes(tag.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7FFF_FFFF;
        format!("{:06}", word % 1_000_000)
    }

    /// A code that was not used yet: time goes on first.
    pub fn next(&self, t: &Test) -> String {
        t.clock.advance(60);
        self.at(t.clock.now())
    }

    /// No code of these minutes.
    fn wrong(&self, t: &Test) -> String {
        let near: Vec<String> = (-4..=4).map(|off| self.at(t.clock.now() + off * 30)).collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

/// A person who has set up an app, and the browser in which they did.
pub async fn with_app<'t>(t: &'t Test, username: &str) -> (Guest<'t>, App) {
    let guest = Guest::new(t);
    guest.enter(username).await;
    let page = guest.get(APP).await;
    let app = App::of(&page);
    let done = guest.submit_only(&page.form(), &[("code", &app.at(t.clock.now()))]).await;
    assert_eq!((done.status, done.header("location").as_str()), (303, SECURITY), "{done:?}");
    (guest, app)
}

/// A browser whose person has given the right password, and is asked for more.
async fn half_way<'t>(t: &'t Test, username: &str) -> (Guest<'t>, Answer) {
    let guest = Guest::new(t);
    let page = guest.get("/account/sign-in?next=/account/sessions").await;
    let answer = guest.submit_only(&page.form(), &[("username", username), ("password", PASSWORD)]).await;
    assert_eq!((answer.status, answer.header("location").as_str()), (303, SECOND), "{answer:?}");
    assert_eq!(guest.cookie("vestibule_session"), None);
    let page = guest.get(SECOND).await;
    assert_eq!(page.status, 200, "{page:?}");
    (guest, page)
}

/// Gives a code on the page that asks for one.
async fn give(guest: &Guest<'_>, page: &Answer, code: &str) -> Answer {
    guest.submit_only(&page.form(), &[("code", code)]).await
}

async fn recovery_codes(guest: &Guest<'_>) -> Vec<String> {
    let page = guest.get(CODES).await;
    let shown = guest.submit_only(&page.form(), &[]).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    shown.text.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

async fn is_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

on_both_databases! {
    async fn an_app_is_asked_for_after_the_password_and_each_of_its_codes_counts_once(t: Test) { // attack 217
        t.person("ada").await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let page = guest.get(APP).await;
        let app = App::of(&page);
        assert_eq!(app.0.len(), 20);
        assert!(page.text.contains("<svg class=\"qr\"") && page.link("Open the app").starts_with("otpauth://totp/Vestibule:ada?secret="), "{page:?}");

        let wrong = guest.submit_only(&page.form(), &[("code", &app.wrong(&t))]).await;
        assert_eq!((wrong.status, App::of(&wrong).0 == app.0), (400, true), "the same key is shown again");
        let first = app.at(t.clock.now());
        let done = guest.submit_only(&wrong.form(), &[("code", &first)]).await;
        assert_eq!(done.header("location"), SECURITY, "{done:?}");
        let again = guest.submit_only(&wrong.form(), &[("code", &app.next(&t))]).await;
        assert_eq!(again.header("location"), APP, "a form that was used sets up nothing");

        let (other, asked) = half_way(&t, "ada").await;
        assert_eq!(give(&other, &asked, &first).await.status, 400, "used for the set-up");
        assert_eq!(give(&other, &asked, "").await.status, 400);
        assert!(!is_in(&other).await);
        let code = app.next(&t);
        let entered = give(&other, &asked, &format!("{} {}", &code[..3], &code[3..])).await;
        assert_eq!((entered.status, entered.header("location").as_str()), (303, "/account/sessions"), "{entered:?}");
        assert!(is_in(&other).await);
        assert_eq!(other.cookie("vestibule_half_way"), None);

        let (third, asked) = half_way(&t, "ada").await;
        assert_eq!(give(&third, &asked, &code).await.status, 400, "used by another browser");
        assert!(!String::from_utf8_lossy(&t.stored().await).contains(&String::from_utf8_lossy(&app.0).into_owned()));
    }
}

on_both_databases! {
    async fn an_application_is_told_how_somebody_came_in(t: Test) {
        t.person("ada").await;
        let client = web_app(&t).await;
        let (_, app) = with_app(&t, "ada").await;
        let guest = Guest::new(&t);

        let page = guest.authorize(&client, &[("scope", "openid"), ("ui_locales", "de")]).await;
        let asked = guest.sign_in(&page, "ada").await;
        assert!(asked.text.contains("lang=\"de\"") && asked.header("content-security-policy").contains("https:"), "{asked:?}");
        let consent = guest.submit(&asked.form(), &[("code", &app.next(&t))]).await;
        let code = guest.allow(&consent).await.sent("code");
        let tokens = redeem(&t, &client, &code).await;

        assert_eq!(tokens.status, 200, "{tokens:?}");
        let claims = vestibule::protocol::jwt::Jwt::parse(&tokens.field("id_token")).unwrap().claims;
        assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
        assert!(second_factor::is_shown_by("pwd otp mfa"));
        let ada = t.find_person("ada").await.unwrap();
        let cx = t.vestibule.context();
        assert!(second_factor::has_one(cx, ada.id).await.unwrap());
        let eve = t.person("eve").await;
        assert!(!second_factor::has_one(cx, eve.id).await.unwrap());
    }
}

on_both_databases! {
    async fn fifty_guesses_at_once_all_count(t: Test) { // attack 217
        t.person("ada").await;
        let (owner, app) = with_app(&t, "ada").await;
        let codes = recovery_codes(&owner).await;
        let (guest, asked) = half_way(&t, "ada").await;
        let form = asked.form();
        let wrong = app.wrong(&t);

        let fields = [("code", wrong.as_str())];
        let answers = join_all((0..50).map(|_| guest.submit_only(&form, &fields))).await;

        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 10, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40, "{statuses:?}");
        assert_eq!(give(&guest, &asked, &app.next(&t)).await.status, 429, "the right one comes too late");
        assert_eq!(give(&guest, &asked, &codes[0]).await.status, 429);
        t.clock.advance(3_601);
        let (guest, asked) = half_way(&t, "ada").await;
        assert_eq!(give(&guest, &asked, &app.next(&t)).await.status, 303);
    }
}

on_both_databases! {
    async fn of_one_code_given_by_many_at_once_one_is_in(t: Test) { // attack 217
        t.person("ada").await;
        let (owner, app) = with_app(&t, "ada").await;
        let recovery = recovery_codes(&owner).await.remove(0);
        for code in [app.next(&t), recovery] {
            let mut browsers = Vec::new();
            for _ in 0..5 {
                browsers.push(half_way(&t, "ada").await);
            }
            let given = join_all(browsers.iter().map(|(guest, page)| give(guest, page, &code))).await;
            let mut statuses: Vec<u16> = given.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [303, 400, 400, 400, 400], "{code}");
        }
    }
}

on_both_databases! {
    async fn recovery_codes_are_shown_once_and_each_is_good_once(t: Test) {
        t.person("ada").await;
        let nobody = Guest::new(&t);
        nobody.enter("ada").await;
        assert_eq!(nobody.get(CODES).await.header("location"), SECURITY, "there is nothing to recover");
        let (owner, _) = with_app(&t, "ada").await;
        assert!(owner.get(SECURITY).await.text.contains("You have no recovery codes"));

        let codes = recovery_codes(&owner).await;

        assert_eq!(codes.len(), 10);
        assert!(codes.iter().all(|code| code.len() == 19), "{codes:?}");
        let stored = String::from_utf8_lossy(&t.stored().await).into_owned();
        let overview = owner.get(SECURITY).await.text;
        for code in &codes {
            assert!(!stored.contains(code) && !stored.contains(&code.replace('-', "")) && !overview.contains(code));
        }
        assert!(overview.contains("Codes left: 10"));
        let (guest, asked) = half_way(&t, "ada").await;
        let typed = codes[3].to_uppercase().replace('-', " ");
        assert_eq!(give(&guest, &asked, &typed).await.status, 303);
        let (guest, asked) = half_way(&t, "ada").await;
        assert_eq!(give(&guest, &asked, &codes[3]).await.status, 400);
        assert!(owner.get(SECURITY).await.text.contains("Codes left: 9"));
        // Another person's are nobody else's.
        t.person("eve").await;
        let (eve, _) = with_app(&t, "eve").await;
        let of_eve = recovery_codes(&eve).await;
        assert_eq!(give(&guest, &asked, &of_eve[0]).await.status, 400);
        let fresh = recovery_codes(&owner).await;
        assert_eq!(give(&guest, &asked, &codes[4]).await.status, 400, "new ones end the old ones");
        assert_eq!(give(&guest, &asked, &fresh[4]).await.status, 303);
    }
}

on_both_databases! {
    async fn the_password_grant_asks_for_a_code_too_once_the_password_is_right(t: Test) {
        t.person("ada").await;
        t.person("eve").await;
        let client = t.app(&[GrantType::Password]).await;
        let (owner, app) = with_app(&t, "ada").await;
        let codes = recovery_codes(&owner).await;
        let ask = async |username: &str, password: &str, otp: &str| {
            let form = [("grant_type", "password"), ("username", username), ("password", password), ("otp", otp)];
            let form = if otp.is_empty() { &form[..3] } else { &form };
            t.call("token", &client, form).await
        };

        let without = ask("ada", PASSWORD, "").await;
        assert_eq!(without.outcome(), "400 invalid_grant");
        assert!(without.field("error_description").contains("as `otp`"), "{without:?}");
        for otp in ["", &codes[0]] {
            let wrong = ask("ada", "wrong", otp).await;
            assert_eq!(wrong.field("error_description"), "Invalid credentials given.", "nobody learns of it who has not the password");
        }
        assert_eq!(ask("ada", PASSWORD, &app.wrong(&t)).await.outcome(), "400 invalid_grant");
        let code = app.next(&t);
        let good = ask("ada", PASSWORD, &code).await;
        assert_eq!(good.status, 200, "{good:?}");
        assert!(t.accepts(&good.access_token()).await);
        assert_eq!(ask("ada", PASSWORD, &code).await.outcome(), "400 invalid_grant");
        assert_eq!(ask("ada", PASSWORD, &codes[0]).await.status, 200);
        assert_eq!(ask("ada", PASSWORD, &codes[0]).await.outcome(), "400 invalid_grant");
        assert_eq!(ask("eve", PASSWORD, "123456").await.status, 200, "who has none is asked for none");
        for _ in 0..7 {
            assert_eq!(ask("ada", PASSWORD, &app.wrong(&t)).await.outcome(), "400 invalid_grant");
        }
        let limited = ask("ada", PASSWORD, &app.next(&t)).await;
        assert_eq!((limited.outcome().as_str(), limited.header("retry-after").is_empty()), ("429 invalid_grant", false));
        // Refreshing goes on.
        assert_eq!(t.refresh(&client, &good.refresh_token()).await.status, 200);
    }
}

on_both_databases! {
    async fn half_a_sign_in_is_worth_nothing(t: Test) {
        let ada = t.person("ada").await;
        let db = &t.vestibule.context().db;
        let (_, app) = with_app(&t, "ada").await;
        let stranger = Guest::new(&t);
        assert!(stranger.get(SECOND).await.is_error_page());

        // In another browser there is nothing to go on with.
        let (guest, asked) = half_way(&t, "ada").await;
        let own = stranger.get("/account/sign-in").await.form();
        let fields = [("code", app.next(&t))];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, code)| (*name, code.as_str())).collect();
        let form = crate::harness::guest::Form { action: SECOND.to_owned(), ..own };
        assert!(stranger.submit_only(&form, &fields).await.is_error_page());
        assert!(!is_in(&stranger).await);
        // Without the form's token neither.
        assert_eq!(guest.post(SECOND, &fields).await.status, 403);
        // It waits for ten minutes.
        t.clock.advance(601);
        assert!(give(&guest, &asked, &app.next(&t)).await.is_error_page());

        // Once it is finished it is gone.
        let (guest, asked) = half_way(&t, "ada").await;
        let secret = guest.cookie("vestibule_half_way").unwrap();
        assert_eq!(give(&guest, &asked, &app.next(&t)).await.status, 303);
        let copy = Guest::new(&t);
        copy.set_cookie("vestibule_half_way", &secret);
        assert!(copy.get(SECOND).await.is_error_page());

        let (guest, asked) = half_way(&t, "ada").await;
        user::set_active(db, ada.id, false).await.unwrap();
        assert!(give(&guest, &asked, &app.next(&t)).await.is_error_page());
        user::set_active(db, ada.id, true).await.unwrap();
        let (guest, asked) = half_way(&t, "ada").await;
        let other = t.vestibule.context().hasher.hash("another password", [9; 16]).await.unwrap();
        user::set_password(db, ada.id, Some(other)).await.unwrap();
        assert!(give(&guest, &asked, &app.next(&t)).await.is_error_page(), "a new password ends it");
        assert!(!is_in(&guest).await);
    }
}

on_both_databases! {
    async fn an_app_is_removed_after_a_question_and_its_codes_with_it(t: Test) {
        t.person("ada").await;
        let (owner, _) = with_app(&t, "ada").await;
        recovery_codes(&owner).await;

        let asked = owner.get("/account/security/app/remove").await;
        assert!(asked.text.contains("Its codes do not count any more"), "{asked:?}");
        assert_eq!(owner.submit_only(&asked.form(), &[]).await.header("location"), SECURITY);

        let guest = Guest::new(&t);
        guest.enter("ada").await;
        assert!(is_in(&guest).await);
        let overview = owner.get(SECURITY).await.text;
        assert!(overview.contains("Set up an authenticator app") && !overview.contains("Codes left"), "{overview}");
        let (_, again) = with_app(&t, "ada").await;
        let (guest, asked) = half_way(&t, "ada").await;
        assert_eq!(give(&guest, &asked, &again.next(&t)).await.status, 303);
    }
}

on_both_databases! {
    async fn every_page_wants_a_fresh_sign_in(t: Test) {
        t.person("ada").await;
        let guest = Guest::new(&t);
        let pages = [SECURITY, APP, "/account/security/app/remove", CODES, "/account/security/passkeys/add", "/account/security/passkeys/1", "/account/security/passkeys/1/remove"];
        for page in pages {
            assert!(guest.get(page).await.header("location").starts_with("/account/sign-in?next="), "{page}");
        }
        guest.enter("ada").await;
        let form = guest.get(APP).await;
        t.clock.advance(901);
        for page in pages {
            assert!(guest.get(page).await.header("location").starts_with("/account/sign-in?again=1&next="), "{page}");
        }
        let late = guest.submit_only(&form.form(), &[("code", &App::of(&form).at(t.clock.now()))]).await;
        assert!(late.header("location").starts_with("/account/sign-in?again=1"), "{late:?}");
        let ada = t.find_person("ada").await.unwrap();
        assert!(!second_factor::has_one(t.vestibule.context(), ada.id).await.unwrap());
        // Proving it again asks for the second factor again.
        guest.sign_in(&guest.open(APP).await, "ada").await;
        let page = guest.get(APP).await;
        let app = App::of(&page);
        guest.submit_only(&page.form(), &[("code", &app.at(t.clock.now()))]).await;
        t.clock.advance(901);
        let again = guest.open(SECURITY).await;
        let asked = guest.sign_in(&again, "ada").await;
        assert!(asked.text.contains("One more step"), "{asked:?}");
        let overview = guest.submit(&asked.form(), &[("code", &app.next(&t))]).await;
        assert!(overview.text.contains("Codes left: 0"), "{overview:?}");
    }
}

on_both_databases! {
    async fn a_mail_tells_the_person_of_every_change(setup: Setup) {
        let mut setup = setup;
        let folder = tempfile::tempdir().unwrap();
        setup.settings.mail.folder = Some(folder.path().display().to_string());
        let t = setup.start().await;
        t.person_with(NewUser { username: "ada".into(), email: "ada@example.com".into(), ..NewUser::default() }).await;
        t.person("eve").await;
        with_app(&t, "eve").await; // who has no address is told nothing

        let (owner, _) = with_app(&t, "ada").await;
        recovery_codes(&owner).await;
        let asked = owner.get("/account/security/app/remove").await;
        owner.submit_only(&asked.form(), &[]).await;

        let mails: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(|mail| {
            std::fs::read_to_string(mail.unwrap().path()).unwrap().replace("=\r\n", "")
        }).collect();
        assert_eq!(mails.len(), 3);
        for sentence in ["was set up for your account ada", "New recovery codes were made", "was removed from your account ada"] {
            let told: Vec<_> = mails.iter().filter(|mail| mail.contains(sentence)).collect();
            assert_eq!(told.len(), 1, "{sentence}: {mails:?}");
            assert!(told[0].contains("To: ada@example.com") && told[0].contains("A change to how you sign in"));
        }
    }
}

on_both_databases! {
    async fn a_hash_that_is_replaced_on_the_way_does_not_end_the_sign_in(t: Test) {
        t.person("ada").await;
        let (_, app) = with_app(&t, "ada").await;
        let ada = t.find_person("ada").await.unwrap();
        let outdated = django_pbkdf2(PASSWORD, "c2FsdHNhbHQ", 1000);
        user::set_password(&t.vestibule.context().db, ada.id, Some(outdated)).await.unwrap();

        let (guest, asked) = half_way(&t, "ada").await;

        assert!(t.find_person("ada").await.unwrap().password.unwrap().starts_with("argon2$"));
        assert_eq!(give(&guest, &asked, &app.next(&t)).await.status, 303);
    }
}

/// Of the JSON that a page's script is given.
fn options(answer: &Answer) -> (Value, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json();
    (json["publicKey"].clone(), json["ceremony"].as_str().unwrap().to_owned())
}
