//! Making an account with a password, for whoever proves an address.

use futures_util::future::join_all;
use vestibule::settings::SignUp;

use super::{DAY, NEW, World, is_in, lets_in, says, twice};
use crate::authorize::{redeem, web_app};
use crate::harness::guest::{Guest, request_url};
use crate::harness::mailbox::{code, link, sent};
use crate::harness::{Answer, Setup, Test, on_both_databases};

const PAGE: &str = "/account/sign-up";

async fn open(setup: Setup) -> World {
    World::with(setup, |setup| setup.settings.accounts.signup = SignUp::Open).await
}

/// Sends the form, with these fields over good ones.
async fn send(guest: &Guest<'_>, fields: &[(&str, &str)]) -> Answer {
    let page = guest.get(PAGE).await;
    let usual = [("username", "grace"), ("email", "grace@example.com")];
    let usual = usual.into_iter().chain(twice(NEW));
    let mut all: Vec<(&str, &str)> = usual.filter(|(name, _)| !fields.iter().any(|(own, _)| own == name)).collect();
    all.extend(fields);
    guest.submit_only(&page.form(), &all).await
}

on_both_databases! {
    async fn nobody_signs_up_unless_the_operator_says_so(t: Test) {
        let guest = Guest::new(&t);
        let page = guest.get(PAGE).await;
        assert!(page.status == 403 && page.text.contains("cannot be made here"), "{page:?}");
        let sign_in = guest.get("/account/sign-in").await;
        assert!(!sign_in.text.contains("sign-up") && !sign_in.text.contains("password/reset"), "and no mail leaves");

        let own = &sign_in.form().fields.iter().find(|(name, _)| name == "form_token").unwrap().1.clone();
        let fields = [("form_token", own.as_str()), ("username", "eve"), ("email", "eve@example.com"), ("new_password", NEW), ("new_password_again", NEW)];
        assert_eq!(guest.post(PAGE, &fields).await.status, 403);
        assert!(t.people().await.is_empty());
    }
}

#[tokio::test]
async fn without_mails_sign_up_cannot_be_opened() {
    let mut setup = Setup::new(crate::harness::Engine::Sqlite).await;
    setup.settings.accounts.signup = SignUp::Open;
    let error = vestibule::Vestibule::open(setup.settings, &[crate::harness::KEY]).await.err().unwrap();
    assert!(error.to_string().contains("mail.smtp_url"), "{error}");
}

on_both_databases! {
    async fn the_link_in_the_same_browser_makes_the_account_and_goes_on_to_the_application(setup: Setup) {
        let world = open(setup).await;
        let app = web_app(&world.t).await;
        let guest = Guest::new(&world.t);
        let page = guest.open(&request_url(&app, &[])).await;
        let page = guest.get(&page.link("Create an account")).await;
        let fields = [("username", "grace"), ("email", "Grace@example.com"), ("new_password", NEW), ("new_password_again", NEW)];
        let waits = guest.submit(&page.form(), &fields).await;
        assert!(waits.status == 200 && waits.text.contains("Grace@example.com"), "{waits:?}");
        assert!(world.t.people().await.is_empty(), "no account yet");

        let answer = guest.open(&link(&world.last_to("Grace@example.com").await)).await;

        let code = guest.allow(&answer).await.sent("code");
        assert_eq!(redeem(&world.t, &app, &code).await.status, 200);
        let grace = world.t.find_person("grace").await.unwrap();
        assert_eq!((grace.email.as_str(), grace.email_verified, grace.is_staff), ("Grace@example.com", true, false));
        assert!(lets_in(&world.t, "grace", NEW).await);
        let stored = world.t.stored().await;
        assert!(!stored.windows(NEW.len()).any(|window| window == NEW.as_bytes()));
    }
}

on_both_databases! {
    async fn the_code_does_the_same_and_guessing_is_limited(setup: Setup) {
        let world = open(setup).await;
        let guest = Guest::new(&world.t);
        let page = guest.follow(send(&guest, &[]).await).await;
        let right = code(&world.last_to("grace@example.com").await);
        let wrong = if right == "00000000" { "11111111" } else { "00000000" };

        assert!(says(&guest.submit_only(&page.form(), &[("code", wrong)]).await, 400, "not right"));
        assert_eq!(Guest::new(&world.t).get("/account/sign-up/confirm").await.status, 400, "no account waits elsewhere");
        let answer = guest.submit_only(&page.form(), &[("code", &right)]).await;
        assert_eq!((answer.status, answer.header("location").as_str()), (303, "/account/"));
        assert!(is_in(&guest).await);
        assert_eq!(guest.submit_only(&page.form(), &[("code", &right)]).await.status, 403, "the form was nobody's");

        let other = Guest::new(&world.t);
        let page = other.follow(send(&other, &[("username", "eve"), ("email", "eve@example.com")]).await).await;
        for _ in 0..10 {
            assert_eq!(other.submit_only(&page.form(), &[("code", wrong)]).await.status, 400);
        }
        let right = code(&world.last_to("eve@example.com").await);
        assert_eq!(other.submit_only(&page.form(), &[("code", &right)]).await.status, 429);
        assert_eq!(world.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn elsewhere_the_link_asks_for_the_password_so_that_nobody_is_led_into_a_strangers_account(setup: Setup) {
        let world = open(setup).await;
        let eve = Guest::new(&world.t);
        send(&eve, &[("email", "victim@example.com")]).await;
        let link = link(&world.last_to("victim@example.com").await);
        let elsewhere = Guest::new(&world.t);

        let page = elsewhere.get(&link).await;
        assert!(page.text.contains("victim@example.com") && page.text.contains("type=\"password\""), "{page:?}");
        assert!(world.t.people().await.is_empty(), "whoever looks through mails uses nothing up");
        assert!(says(&elsewhere.submit_only(&page.form(), &[("password", "not it at all")]).await, 400, "not right"));
        assert!(world.t.people().await.is_empty());

        let answer = elsewhere.submit_only(&page.form(), &[("password", NEW)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(is_in(&elsewhere).await && !is_in(&eve).await);
        assert_eq!(Guest::new(&world.t).get(&link).await.status, 400, "once");
    }
}

on_both_databases! {
    async fn nobody_learns_whether_an_address_has_an_account(setup: Setup) {
        let world = open(setup).await;
        world.ada().await;
        let (known, free) = (Guest::new(&world.t), Guest::new(&world.t));

        let (one, other) = (send(&known, &[("email", "ADA@example.com")]).await, send(&free, &[]).await);

        assert_eq!((one.status, one.header("location")), (other.status, other.header("location")));
        let shape = |page: &Answer| {
            let form = page.form();
            let token = form.fields.into_iter().find(|(name, _)| name == "form_token").unwrap().1;
            page.text.replace(&token, "")
        };
        let (one, other) = (known.follow(one).await, free.follow(other).await);
        assert_eq!(shape(&one).replace("ADA@example.com", ""), shape(&other).replace("grace@example.com", ""));
        let mail = world.last_to("ADA@example.com").await;
        assert!(mail.contains("Subject: You already have an account") && !mail.contains("token"), "{mail}");
        assert_eq!(known.submit_only(&one.form(), &[("code", "12345678")]).await.status, 400);
        assert_eq!(world.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn what_is_unfit_is_said_and_no_mail_leaves(setup: Setup) {
        let world = World::with(setup, |setup| {
            setup.settings.accounts.signup = SignUp::Open;
            setup.settings.accounts.password_min_length = 10;
            setup.settings.social.allowed_domains = vec!["example.com".to_owned()];
        }).await;
        world.ada().await;
        let guest = Guest::new(&world.t);
        for (fields, sentence) in [
            (vec![("username", "ada")], "has this username already"),
            (vec![("username", "")], "cannot be used"),
            (vec![("username", "a b")], "cannot be used"),
            (vec![("username", "<script>")], "cannot be used"),
            (vec![("username", "ada@example.com")], "cannot be used"),
            (vec![("email", "grace")], "cannot write to this address"),
            (vec![("email", "grace@elsewhere.example")], "not let in here"),
            (vec![("new_password_again", "another one of length")], "not the same"),
            (twice("ninechars").to_vec(), "too short"),
            (twice("1234567890").to_vec(), "tried first"),
            (twice("grace@example.com").to_vec(), "no good password"),
            (twice(&"x".repeat(4097)).to_vec(), "too long"),
        ] {
            let answer = send(&guest, &fields).await;
            assert!(says(&answer, 400, sentence), "{fields:?} {answer:?}");
            assert!(!answer.text.contains(NEW), "no password is shown again");
        }
        assert_eq!(world.count_to("grace@example.com").await, 0);
        let own = send(&guest, &[("username", "grace@example.com")]).await;
        assert_eq!(own.status, 303, "one's own address is a good name");
    }
}

on_both_databases! {
    async fn many_at_once_with_one_name_and_address_are_one_account(setup: Setup) { // attack 249
        let world = open(setup).await;
        let guests: Vec<_> = (0..5).map(|_| Guest::new(&world.t)).collect();
        for guest in &guests {
            assert_eq!(send(guest, &[]).await.status, 303);
        }
        sent(&world.t).await;
        let links: Vec<_> = world.mails.to("grace@example.com").iter().map(|mail| link(mail)).collect();
        assert_eq!(links.len(), 5);

        // Each link belongs to one of the browsers; elsewhere it wants the password.
        let answers = join_all(links.iter().map(async |link| {
            let guest = Guest::new(&world.t);
            let page = guest.get(link).await;
            match page.status {
                200 => guest.submit_only(&page.form(), &[("password", NEW)]).await.status,
                other => other,
            }
        })).await;

        assert_eq!(answers.iter().filter(|status| **status == 303).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 303 | 400)), "{answers:?}");
        assert_eq!(world.t.people().await.len(), 1);
        assert!(says(&send(&guests[0], &[("username", "another")]).await, 429, "Too many mails"), "floods are stopped");
    }
}

on_both_databases! {
    async fn a_link_is_good_for_a_day_and_leads_nowhere_else(setup: Setup) { // attacks 181, 219
        let world = open(setup).await;
        let guest = Guest::new(&world.t);
        guest.headers.lock().unwrap().push(("host", "evil.example".to_owned()));
        send(&guest, &[("next", "https://evil.example/")]).await;
        let mail = world.last_to("grace@example.com").await;
        let first = link(&mail);
        assert!(first.starts_with(&world.t.base) && !mail.contains("evil.example"), "{first}");
        guest.headers.lock().unwrap().clear();

        world.t.clock.advance(DAY + 1);
        assert_eq!(guest.get(&first).await.status, 400);
        send(&guest, &[("next", "//evil.example/")]).await;
        let answer = guest.get(&link(&world.last_to("grace@example.com").await)).await;
        assert_eq!((answer.status, answer.header("location").as_str()), (303, "/account/"));
    }
}

on_both_databases! {
    async fn the_mail_server_may_be_down_for_a_while(setup: Setup) { // attack 259
        let world = World::with(setup, |setup| {
            setup.settings.accounts.signup = SignUp::Open;
            let folder = std::path::PathBuf::from(setup.settings.mail.folder.as_ref().unwrap()).join("later");
            std::fs::write(&folder, "in the way").unwrap();
            setup.settings.mail.folder = Some(folder.display().to_string());
        }).await;
        let guest = Guest::new(&world.t);
        assert_eq!(send(&guest, &[]).await.status, 303, "the answer is the same");
        let folder = world.mails.path().join("later");
        // Only once the first try has failed is it the second one that succeeds.
        crate::harness::mailbox::was_put_off(&world.t).await;
        std::fs::remove_file(&folder).unwrap();

        world.t.clock.advance(60);
        vestibule::outbox::deliver_due(world.t.vestibule.context()).await.unwrap();

        sent(&world.t).await;
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is lost");
    }
}
