//! An address that is asked for and proven by a mail, before the account exists.

use futures_util::future::join_all;
use serde_json::Value;
use vestibule::protocol::GrantType::ConvertToken;
use vestibule::settings::OnTakenEmail;
use vestibule::store::user::NewUser;

use super::{come_back, come_back_from, issue};
use crate::harness::guest::Guest;
use crate::harness::mailbox::{Mailbox, code, link};
use crate::harness::{Answer, Setup, Test, on_both_databases};

const DAY: i64 = 86_400;

/// A server whose mails lie in a folder.
struct Post {
    t: Test,
    mails: Mailbox,
}

impl Post {
    async fn with(mut setup: Setup, change: impl FnOnce(&mut Setup)) -> Self {
        let mails = Mailbox::of(&mut setup);
        setup.settings.social.require_email = true;
        change(&mut setup);
        let t = setup.start().await;
        issue(&t, "7", |issued| issued.email = None);
        Self { t, mails }
    }

    async fn new(setup: Setup) -> Self {
        Self::with(setup, |_| {}).await
    }

    /// The mails to an address, as text.
    fn to(&self, address: &str) -> Vec<String> {
        self.mails.to(address)
    }

    fn only_to(&self, address: &str) -> String {
        self.mails.only_to(address)
    }

    /// A browser that stands before the page which asks for an address.
    async fn arrived(&self, next: &str) -> (Guest<'_>, Answer) {
        let guest = Guest::new(&self.t);
        let back = come_back(&self.t, &guest, next).await;
        assert_eq!(back.header("location"), "/account/email", "{back:?}");
        let page = guest.follow(back).await;
        assert!(page.text.contains("name=\"email\""), "{page:?}");
        (guest, page)
    }
}

async fn is_signed_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

on_both_databases! {
    async fn the_link_in_the_same_browser_makes_the_account_and_goes_on(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("/auth/device").await;
        assert!(post.t.people().await.is_empty(), "no account yet");

        let sent = guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        assert!(sent.status == 200 && sent.text.contains("ada@example.com") && sent.text.contains("name=\"code\""), "{sent:?}");
        assert!(post.t.people().await.is_empty());
        let early = guest.get("/account/email?continue=1").await;
        assert!(early.text.contains("not confirmed yet"), "{early:?}");
        let mail = post.only_to("ada@example.com");
        assert!(mail.contains("Subject: Confirm your e-mail address for Vestibule") && mail.contains("text/html"), "{mail}");
        let confirmed = guest.get(&link(&mail)).await;
        assert_eq!(confirmed.header("location"), "/account/email", "{confirmed:?}");
        let answer = guest.get("/account/email").await;

        assert_eq!(answer.header("location"), "/auth/device");
        assert!(is_signed_in(&guest).await);
        let person = post.t.people().await.remove(0);
        assert_eq!((person.username.as_str(), person.email.as_str(), person.email_verified), ("user7", "ada@example.com", true));
        assert_eq!(guest.cookie("vestibule_waiting"), None);
        assert!(guest.get(&link(&mail)).await.text.contains("used already"), "once");
        // Known from now on, without a question.
        let again = Guest::new(&post.t);
        assert_eq!(come_back(&post.t, &again, "/x").await.header("location"), "/x");
        assert_eq!(post.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn a_link_that_is_opened_elsewhere_confirms_by_a_button_and_signs_nobody_in_there(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("").await;
        guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        let link = link(&post.only_to("ada@example.com"));
        let elsewhere = Guest::new(&post.t);

        // Programs that look through mails open links: that alone proves nothing.
        let question = elsewhere.get(&link).await;
        assert!(question.text.contains("ada@example.com") && question.text.contains("GitHub"), "{question:?}");
        assert!(guest.get("/account/email").await.text.contains("name=\"code\""), "not proven by a GET");
        let forged = elsewhere.post("/account/email/confirm", &[("token", link.split('=').next_back().unwrap())]).await;
        assert_eq!(forged.status, 403, "not without the page's token");
        let confirmed = elsewhere.submit(&question.form(), &[]).await;
        assert!(confirmed.text.contains("go back to the browser in which you began"), "{confirmed:?}");

        assert!(!is_signed_in(&elsewhere).await);
        assert!(post.t.people().await.is_empty(), "the first browser makes the account");
        assert!(elsewhere.submit(&question.form(), &[]).await.is_error_page(), "once");
        assert_eq!(guest.get("/account/email?continue=1").await.header("location"), "/account/");
        assert!(is_signed_in(&guest).await);
        assert_eq!(post.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn a_code_that_is_typed_does_the_same_and_guessing_is_limited(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("").await;
        let sent = guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        let right = code(&post.only_to("ada@example.com"));
        let wrong = if right == "00000000" { "11111111" } else { "00000000" };

        let answer = guest.submit_only(&sent.form(), &[("code", wrong)]).await;
        assert!(answer.status == 400 && answer.text.contains("This code is not right"), "{answer:?}");
        let stranger = Guest::new(&post.t);
        let refused = stranger.post("/account/email", &[("code", &right), ("form_token", "x")]).await;
        assert_eq!(refused.status, 403);
        let spaced = format!("{} {}", &right[..4], &right[4..]);
        assert_eq!(guest.submit_only(&sent.form(), &[("code", &spaced)]).await.header("location"), "/account/");
        assert_eq!(post.t.people().await.len(), 1);

        issue(&post.t, "8", |issued| issued.email = None);
        let (guest, page) = post.arrived("").await;
        let sent = guest.submit(&page.form(), &[("email", "grace@example.com")]).await;
        for _ in 0..10 {
            assert_eq!(guest.submit_only(&sent.form(), &[("code", wrong)]).await.status, 400);
        }
        let right = code(&post.only_to("grace@example.com"));
        assert_eq!(guest.submit_only(&sent.form(), &[("code", &right)]).await.status, 429, "the right one neither");
        assert_eq!(post.t.people().await.len(), 1);
        post.t.clock.advance(3_601);
        assert_eq!(guest.submit_only(&sent.form(), &[("code", &right)]).await.status, 303);
    }
}

on_both_databases! {
    async fn an_address_that_has_an_account_is_told_so_by_mail_only(setup: Setup) {
        let post = Post::with(setup, |setup| setup.settings.social.on_taken_email = OnTakenEmail::Associate).await;
        let owner = NewUser { username: "ada".into(), email: "Ada@Example.com".into(), email_verified: true, ..NewUser::default() };
        post.t.person_with(owner).await;
        let (guest, page) = post.arrived("").await;
        let taken = guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        let change = guest.get("/account/email?change=1").await;
        let free = guest.submit(&change.form(), &[("email", "new@example.com")]).await;

        let without_token = |page: &Answer| {
            let token = page.form().fields.into_iter().find(|(name, _)| name == "form_token").unwrap().1;
            page.text.replace(&token, "").replace("ada@example.com", "").replace("new@example.com", "")
        };
        assert_eq!((taken.status, without_token(&taken)), (free.status, without_token(&free)));
        let mail = post.only_to("ada@example.com");
        assert!(mail.contains("You already have an account at Vestibule") && mail.contains("/account/sign-in"), "{mail}");
        assert!(!mail.contains("confirm?token") && !mail.split_whitespace().any(|word| word.len() == 8 && word.bytes().all(|b| b.is_ascii_digit())), "{mail}");
        assert!(post.only_to("new@example.com").contains("confirm?token"));

        // A second account, where the operator wants it so.
        let t = &post.t;
        assert_eq!(t.people().await.len(), 1);
        assert_eq!(guest.get(&link(&post.only_to("new@example.com"))).await.status, 303);
        assert_eq!(guest.get("/account/email").await.status, 303);
        assert_eq!(t.people().await.len(), 2);
    }
}

on_both_databases! {
    async fn an_address_that_somebody_took_meanwhile_is_refused_at_the_end(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("").await;
        guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        post.t.person_with(NewUser { username: "ada".into(), email: "ada@example.com".into(), ..NewUser::default() }).await;

        let answer = guest.open(&link(&post.only_to("ada@example.com"))).await;

        assert!(answer.is_error_page() && answer.text.contains("belongs to an account that is here already"), "{answer:?}");
        assert!(!is_signed_in(&guest).await);
        assert_eq!(post.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn wrong_used_replaced_and_old_links_are_refused_in_words(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("").await;
        guest.submit(&page.form(), &[("email", "one@example.com")]).await;
        let first = link(&post.only_to("one@example.com"));
        let change = guest.get("/account/email?change=1").await;
        guest.submit(&change.form(), &[("email", "two@example.com")]).await;
        let second = link(&post.only_to("two@example.com"));

        for bad in [first.as_str(), "/account/email/confirm?token=nonsense"] {
            let answer = guest.get(bad).await;
            assert!(answer.is_error_page() && answer.text.contains("ask for another mail"), "{answer:?}");
        }
        assert!(guest.get("/account/email/confirm").await.is_error_page());
        post.t.clock.advance(7 * DAY + 1);
        let old = Guest::new(&post.t).get(&second).await;
        assert!(old.is_error_page() && old.text.contains("older than 7 days"), "{old:?}");
        let gone = guest.get("/account/email").await;
        assert!(gone.is_error_page() && gone.text.contains("sign in again"), "{gone:?}");
        let cx = post.t.vestibule.context();
        vestibule::cleanup::run(cx).await.unwrap();
        assert!(post.t.people().await.is_empty());
        let left = cx.db.optional("SELECT COUNT(*) FROM vestibule_pending", Vec::new(), |row| row.int(0)).await.unwrap();
        assert_eq!(left, Some(0));
    }
}

on_both_databases! {
    async fn of_many_that_finish_one_sign_in_at_once_one_does(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("/x").await;
        guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        assert_eq!(guest.get(&link(&post.only_to("ada@example.com"))).await.status, 303);
        let secret = guest.cookie("vestibule_waiting").unwrap();
        let windows: Vec<Guest<'_>> = (0..16).map(|_| Guest::new(&post.t)).collect();
        for window in &windows {
            window.set_cookie("vestibule_waiting", &secret);
        }

        let answers = join_all(windows.iter().map(|window| window.get("/account/email"))).await;

        let signed_in = answers.iter().filter(|answer| answer.header("location") == "/x").count();
        assert_eq!(signed_in, 1, "{answers:?}");
        assert!(answers.iter().all(|answer| answer.status < 500), "{answers:?}");
        assert_eq!(post.t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn what_waits_is_sealed(setup: Setup) {
        let post = Post::new(setup).await;
        let (guest, page) = post.arrived("").await;
        guest.submit(&page.form(), &[("email", "ada@example.com")]).await;
        let mail = post.only_to("ada@example.com");
        let token = link(&mail).split('=').next_back().unwrap().to_owned();
        let secret = guest.cookie("vestibule_waiting").unwrap();

        let stored = post.t.stored().await;

        let holds = |what: &str| stored.windows(what.len()).any(|window| window == what.as_bytes());
        for hidden in [token.as_str(), &secret, "ada@example.com", &code(&mail), "good-token"] {
            assert!(!holds(hidden), "{hidden}");
        }
        assert!(holds("sign-in"), "the rows are there");
    }
}

on_both_databases! {
    async fn odd_addresses_are_refused_on_the_page_and_mails_are_limited(setup: Setup) {
        let post = Post::with(setup, |setup| setup.settings.social.allowed_emails = vec![]).await;
        let (guest, page) = post.arrived("").await;
        for odd in ["", "nobody", "a@b", "ada@example.com\r\nBcc: eve@example.com", "ada@example.com,eve@example.com", "\"a b\"@example.com"] {
            let answer = guest.submit_only(&page.form(), &[("email", odd)]).await;
            assert!(answer.status == 400 && answer.text.contains("id=\"form-error\""), "{odd:?} {answer:?}");
        }
        for _ in 0..5 {
            assert_eq!(guest.submit_only(&page.form(), &[("email", "Ada@example.com")]).await.status, 303);
        }
        let sixth = guest.submit_only(&page.form(), &[("email", "ada@Example.com")]).await;
        assert!(sixth.status == 429 && sixth.text.contains("Too many mails"), "{sixth:?}");
        assert_eq!(post.to("Ada@example.com").len(), 5);
        assert_eq!(guest.submit_only(&page.form(), &[("email", "other@example.com")]).await.status, 303);
    }
}

on_both_databases! {
    async fn an_address_that_the_provider_did_not_verify_is_proven_first(setup: Setup) {
        let post = Post::with(setup, |setup| {
            setup.settings.social.require_email = false;
            setup.settings.social.force_email_validation = true;
        })
        .await;
        let t = &post.t;
        // Facebook says nothing of whether it verified an address.
        t.stand_in.issue("facebook", "good-token", "9");
        let app = t.app(&[ConvertToken]).await;
        let api = t.convert(&app, "facebook", "good-token").await;
        assert_eq!(api.refusal(), "400 invalid_grant profile_incomplete");
        assert!(api.field("error_description").contains("GET login/facebook"), "{api:?}");

        let guest = Guest::new(t);
        let page = guest.follow(come_back_from(t, &guest, "facebook", "").await).await;
        assert!(page.text.contains("value=\"user9@example.com\""), "{page:?}");
        guest.submit(&page.form(), &[("email", "user9@example.com")]).await;
        guest.open(&link(&post.only_to("user9@example.com"))).await;

        let person = t.people().await.remove(0);
        assert!(person.email_verified && person.email == "user9@example.com");
        assert_eq!(t.convert(&app, "facebook", "good-token").await.status, 200, "known now");
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200, "without an address nothing is to be proven");
        t.stand_in.issue("google-oauth2", "good-token", "11");
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.status, 200, "verified by the provider");
    }
}

on_both_databases! {
    async fn an_api_is_told_what_to_do_about_a_missing_address(setup: Setup) {
        let post = Post::new(setup).await;
        let app = post.t.app(&[ConvertToken]).await;

        let answer = post.t.convert(&app, "github", "good-token").await;
        let header = post.t.get_as("verify", "Bearer github good-token").await;

        assert_eq!(answer.refusal(), "400 invalid_grant profile_incomplete");
        assert!(answer.field("error_description").contains("GET login/github"));
        assert_eq!((header.status, header.json()["reason"].clone()), (401, Value::from("profile_incomplete")));
        assert!(post.t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn a_mail_that_cannot_leave_is_told_and_can_be_asked_for_again(setup: Setup) {
        let post = Post::with(setup, |setup| {
            let folder = std::path::PathBuf::from(setup.settings.mail.folder.as_ref().unwrap()).join("a-file");
            std::fs::write(&folder, "in the way").unwrap();
            setup.settings.mail.folder = Some(folder.display().to_string());
        })
        .await;
        let (guest, page) = post.arrived("").await;

        let answer = guest.submit_only(&page.form(), &[("email", "ada@example.com")]).await;

        assert!(answer.status == 503 && answer.text.contains("could not be sent"), "{answer:?}");
        std::fs::remove_file(post.mails.path().join("a-file")).unwrap();
        assert_eq!(guest.submit_only(&answer.form(), &[("email", "ada@example.com")]).await.status, 303);
    }
}

on_both_databases! {
    async fn the_mail_speaks_the_persons_language(setup: Setup) {
        let post = Post::new(setup).await;
        let guest = Guest::new(&post.t);
        guest.headers.lock().unwrap().push(("accept-language", "de-AT, en;q=0.5".to_owned()));
        let page = guest.follow(come_back(&post.t, &guest, "").await).await;
        assert!(page.text.contains("Ihre E-Mail-Adresse"), "{page:?}");

        guest.submit(&page.form(), &[("email", "ada@example.com")]).await;

        assert!(post.only_to("ada@example.com").contains("Sie melden sich bei Vestibule mit GitHub an."));
    }
}

on_both_databases! {
    async fn the_form_of_our_own_takes_an_address_and_a_mailed_code(setup: Setup) {
        let post = Post::with(setup, |setup| {
            for form in ["email", "username"] {
                setup.provider(form).enabled = Some(true);
            }
        })
        .await;
        let enter = async |address: &str, mails: usize| {
            let guest = Guest::new(&post.t);
            let page = guest.open("login/email?next=/account/sessions").await;
            assert!(page.text.contains("with your e-mail address"), "{page:?}");
            guest.submit(&page.form(), &[("email", address)]).await;
            let sent = post.to(address);
            assert_eq!(sent.len(), mails);
            (guest, sent)
        };

        // Whoever has no account gets one, and comes back to it.
        let (guest, sent) = enter("Ada@example.com", 1).await;
        let page = guest.open("/account/email").await;
        let wrong = guest.submit(&page.form(), &[("code", "00000000")]).await;
        assert_eq!((wrong.status, guest.cookie("vestibule_session")), (400, None), "{wrong:?}");
        let there = guest.submit_only(&page.form(), &[("code", &code(&sent[0]))]).await;
        assert_eq!(there.header("location"), "/account/sessions", "{there:?}");
        let ada = post.t.people().await.remove(0);
        assert_eq!((ada.email.as_str(), ada.email_verified), ("Ada@example.com", true));
        let (again, sent) = enter("Ada@example.com", 2).await;
        let codes: Vec<String> = sent.iter().map(|mail| code(mail)).collect();
        let page = again.open("/account/email").await;
        for code in codes {
            again.submit(&page.form(), &[("code", &code)]).await;
        }
        assert!(again.cookie("vestibule_session").is_some());
        assert_eq!(post.t.people().await.len(), 1);
        // An account that came to be otherwise is not opened by a mail alone.
        post.t.person_with(NewUser { username: "eve".into(), email: "eve@example.com".into(), email_verified: true, ..NewUser::default() }).await;
        let (_, sent) = enter("eve@example.com", 1).await;
        assert!(!sent[0].contains("/account/email/confirm"), "{sent:?}");
        // The other form is the page that has a password.
        let guest = Guest::new(&post.t);
        let page = guest.get("login/username?next=/account/sessions").await;
        assert_eq!(page.header("location"), "/account/sign-in?next=%2Faccount%2Fsessions");
        let app = post.t.app(&[ConvertToken]).await;
        assert_eq!(post.t.convert(&app, "email", "ada@example.com").await.field("reason"), "wrong_token_kind");
    }
}
