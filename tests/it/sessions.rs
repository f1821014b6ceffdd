//! Browser sessions: a new one at each sign-in, ended by time, by hand, and with the person.

use std::time::Duration;

use vestibule::store::user;

use crate::authorize::{redeem, web_app};
use crate::harness::guest::Guest;
use crate::harness::{PASSWORD, Setup, Test, on_both_databases};

/// Whether somebody is signed in with this browser.
async fn is_in(guest: &Guest<'_>) -> bool {
    let answer = guest.get("/account/").await;
    match answer.status {
        200 => true,
        303 => false,
        other => panic!("/account/ answered {other}"),
    }
}

on_both_databases! {
    async fn a_session_planted_before_the_sign_in_is_worth_nothing(t: Test) { // attacks 193, 195, 197
        t.person("ada").await;
        let (attacker, victim) = (Guest::new(&t), Guest::new(&t));
        t.person("eve").await;
        attacker.enter("eve").await;
        let planted = attacker.cookie("vestibule_session").unwrap();
        victim.set_cookie("vestibule_session", &planted);

        let page = victim.get("/account/sign-in").await;
        let answer = victim.submit_only(page.forms().last().unwrap(), &[("username", "ada"), ("password", PASSWORD)]).await;

        let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).find(|set| set.starts_with("vestibule_session=")).unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Secure"));
        assert_ne!(victim.cookie("vestibule_session").unwrap(), planted);
        assert!(victim.get("/account/").await.text.contains("ada"));
        assert!(!is_in(&attacker).await); // the old one is worth nothing

        let good = victim.cookie("vestibule_session").unwrap();
        let changed = format!("{}{}", &good[..good.len() - 1], if good.ends_with('x') { 'y' } else { 'x' });
        for odd in [changed.as_str(), "", "vss_garbage", &"x".repeat(5_000)] {
            let other = Guest::new(&t);
            other.set_cookie("vestibule_session", odd);
            assert!(!is_in(&other).await, "{odd}");
        }
        let many = Guest::new(&t);
        for n in 0..300 {
            many.set_cookie(&format!("cookie{n}"), "x");
        }
        many.set_cookie("vestibule_session", &good);
        assert!(is_in(&many).await);
    }
}

on_both_databases! {
    async fn over_https_the_cookies_are_bound_to_the_host(setup: Setup) { // attack 195
        let mut setup = setup;
        setup.settings.public_url = Some("https://login.example".to_owned());
        let t = setup.start().await;
        t.person("ada").await;
        let guest = Guest::new(&t);
        let page = guest.get("/account/sign-in").await;
        let answer = guest.submit_only(&page.form(), &[("username", "ada"), ("password", PASSWORD)]).await;
        let set = answer.header("set-cookie");
        assert!(set.starts_with("__Host-vestibule_session=vss_") && set.contains("; Secure"), "{set}");
        assert!(!answer.header("strict-transport-security").is_empty());
        assert!(is_in(&guest).await);
    }
}

on_both_databases! {
    async fn a_session_ends_by_idleness_and_by_age(setup: Setup) {
        let mut setup = setup;
        setup.settings.sessions.idle_ttl = Duration::from_secs(3_600);
        setup.settings.sessions.absolute_ttl = Duration::from_secs(10_000);
        let t = setup.start().await;
        t.person("ada").await;
        let (idle, busy) = (Guest::new(&t), Guest::new(&t));
        idle.enter("ada").await;
        busy.enter("ada").await;
        for _ in 0..3 {
            t.clock.advance(3_000);
            assert!(is_in(&busy).await);
        }
        assert!(!is_in(&idle).await);
        t.clock.advance(1_001);
        assert!(!is_in(&busy).await);
    }
}

on_both_databases! {
    async fn sessions_end_with_a_deactivation_and_with_a_new_password(t: Test) {
        let ada = t.person("ada").await;
        let db = &t.vestibule.context().db;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        user::set_active(db, ada.id, false).await.unwrap();
        assert!(!is_in(&guest).await);
        user::set_active(db, ada.id, true).await.unwrap();
        assert!(!is_in(&guest).await);

        guest.enter("ada").await;
        user::set_password(db, ada.id, ada.password.clone()).await.unwrap();
        assert!(!is_in(&guest).await);
    }
}

on_both_databases! {
    async fn sessions_are_listed_and_ended_by_their_owner_only(t: Test) {
        t.person("ada").await;
        t.person("eve").await;
        let (desk, phone, eve) = (Guest::new(&t), Guest::new(&t), Guest::new(&t));
        *phone.headers.lock().unwrap() = vec![("user-agent", "Ada's <phone>".to_owned())];
        for (guest, who) in [(&desk, "ada"), (&phone, "ada"), (&eve, "eve")] {
            guest.enter(who).await;
        }
        let page = desk.get("/account/sessions").await;
        assert!(page.text.contains("Ada&#x27;s &lt;phone&gt;"), "{page:?}");
        let of_phone = page.text.split("<form ").skip(1).zip(page.forms()).find(|(_, form)| form.fields.iter().any(|(name, _)| name == "id")).unwrap().1;
        let ids: Vec<String> = page.forms().iter().flat_map(|form| form.fields.clone()).filter(|(name, _)| name == "id").map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 2);

        for id in &ids {
            let own = eve.get("/account/sessions").await.form();
            eve.submit(&own, &[("id", id)]).await;
        }
        assert!(is_in(&desk).await && is_in(&phone).await);
        desk.submit(&of_phone, &[("all", "1")]).await;
        assert!(is_in(&desk).await && !is_in(&phone).await);
    }
}

on_both_databases! {
    async fn no_page_can_be_framed_and_none_runs_a_script(t: Test) { // attack 53
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let sign_in = guest.get("/account/sign-in").await;
        let error = guest.get("authorize").await;
        guest.enter("ada").await;
        let pages = [
            sign_in,
            error,
            guest.authorize(&app, &[("scope", "read")]).await,
            guest.get("device").await,
            guest.get("logout").await,
            guest.get("/account/").await,
            guest.get("/account/sessions").await,
            guest.get("applications/").await,
            guest.get("applications/register/").await,
            guest.get("authorized_tokens/").await,
        ];
        for page in pages {
            let policy = page.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{page:?} {policy}");
            assert!(!policy.contains("script-src") && !page.text.contains("<script"), "{page:?}");
            assert_eq!(page.header("x-frame-options"), "DENY");
            assert_eq!(page.header("cache-control"), "no-store");
            assert!(page.text.contains("<h1>") && page.text.contains("<main id=\"main\">") && page.text.contains("lang=\"en\""), "{page:?}");
        }
    }
}

on_both_databases! {
    async fn forms_without_their_token_or_from_elsewhere_change_nothing(t: Test) { // attack 185
        t.person("ada").await;
        let guest = Guest::new(&t);
        let fields = [("username", "ada"), ("password", PASSWORD)];
        assert_eq!(guest.post("/account/sign-in", &fields).await.status, 403);
        let page = guest.get("/account/sign-in").await;
        *guest.headers.lock().unwrap() = vec![("origin", "https://evil.example".to_owned())];
        assert_eq!(guest.submit_only(&page.form(), &fields).await.status, 403);
        guest.headers.lock().unwrap().clear();
        assert!(!is_in(&guest).await);
        guest.enter("ada").await;
        for path in ["/account/sessions", "authorized_tokens", "logout/confirm", "device", "consent", "applications/register"] {
            assert_eq!(guest.post(path, &[("all", "1"), ("decision", "sign_out")]).await.status, 403, "{path}");
        }
        assert!(is_in(&guest).await);
    }
}

on_both_databases! {
    async fn next_leads_to_this_server_only(t: Test) { // attack 181
        t.person("ada").await;
        for next in ["https://evil.com", "//evil.com", "/\\evil.com", "/\t/evil.com", "javascript:alert(1)", "https:evil.com"] {
            let guest = Guest::new(&t);
            let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let page = guest.get(&format!("/account/sign-in?next={encoded}")).await;
            let answer = guest.submit_only(&page.form(), &[("username", "ada"), ("password", PASSWORD), ("next", next)]).await;
            assert_eq!((answer.status, answer.header("location").as_str()), (303, "/account/"), "{next}");
        }
    }
}

on_both_databases! {
    async fn guessing_is_limited_by_name_and_the_owner_stays_in(t: Test) { // attacks 209, 211
        t.person("ada").await;
        t.person("grace").await;
        let app = t.app(&[vestibule::protocol::GrantType::Password]).await;
        let try_one = |username: &'static str, password: &'static str| {
            let (t, app) = (&t, &app);
            async move {
                let form = [("grant_type", "password"), ("username", username), ("password", password)];
                t.call("token", app, &form).await
            }
        };
        for _ in 0..20 {
            assert_eq!(try_one("ada", "wrong").await.status, 400);
        }
        let limited = try_one("ada", PASSWORD).await;
        assert_eq!((limited.outcome().as_str(), limited.header("retry-after").is_empty()), ("429 invalid_grant", false));
        // A good sign-in of another account changes nothing for this one.
        assert_eq!(try_one("grace", PASSWORD).await.status, 200);
        assert_eq!(try_one("ada", PASSWORD).await.status, 429);
        // The same for a name that nobody has.
        for _ in 0..20 {
            assert_eq!(try_one("nobody", "wrong").await.status, 400);
        }
        assert_eq!(try_one("nobody", "wrong").await.status, 429);
        let guest = Guest::new(&t);
        let page = guest.get("/account/sign-in").await;
        let answer = guest.submit_only(&page.form(), &[("username", "ada"), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, 429);
        t.clock.advance(301);
        assert_eq!(try_one("ada", PASSWORD).await.status, 200);
    }
}

on_both_databases! {
    async fn whoever_guesses_from_many_addresses_does_not_shut_the_owner_out(setup: Setup) { // attack 209
        let mut setup = setup;
        setup.settings.http.client_address_header = Some("X-Forwarded-For".to_owned());
        setup.settings.passwords.hash_queue = 1_000;
        let t = setup.start().await;
        t.person("ada").await;
        let app = t.app(&[vestibule::protocol::GrantType::Password]).await;
        let try_from = |address: String, password: &'static str| {
            let (t, app) = (&t, &app);
            async move {
                let form = [
                    ("grant_type", "password"), ("username", "ada"), ("password", password),
                    ("client_id", app.client_id.as_str()), ("client_secret", app.secret.as_deref().unwrap()),
                ];
                let request = t.http.post(t.url("token")).header("x-forwarded-for", format!("6.6.6.6, {address}")).form(&form);
                crate::harness::Answer::of(request).await.status
            }
        };
        assert_eq!(try_from("10.0.0.1".to_owned(), PASSWORD).await, 200);
        for n in 0..200 {
            assert_eq!(try_from(format!("10.1.0.{n}"), "wrong").await, 400, "{n}");
        }
        assert_eq!(try_from("10.2.0.1".to_owned(), "wrong").await, 429);
        assert_eq!(try_from("10.0.0.1".to_owned(), PASSWORD).await, 200); // where the owner has been before
    }
}

on_both_databases! {
    async fn pages_speak_the_persons_language_and_the_operators_words(setup: Setup) {
        let mut setup = setup;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("translations")).unwrap();
        std::fs::write(folder.path().join("translations/de.toml"), "sign_in_button = \"Hereinspaziert\"\n").unwrap();
        std::fs::write(folder.path().join("message.html"), "{% extends \"layout.html\" %}{% block main %}<h1>Unser {{ t(heading) }}</h1>{% endblock %}").unwrap();
        setup.settings.pages.folder = Some(folder.path().display().to_string());
        let t = setup.start().await;
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let button = |page: &crate::harness::Answer| page.text.contains("Hereinspaziert");

        assert!(!button(&guest.get("/account/sign-in").await));
        *guest.headers.lock().unwrap() = vec![("accept-language", "nl, fr;q=0.2, de-AT;q=0.8".to_owned())];
        let german = guest.get("/account/sign-in").await;
        assert!(button(&german) && german.text.contains("lang=\"de\"") && german.text.contains("Passwort"), "{german:?}");
        let french = guest.authorize(&app, &[("ui_locales", "xx fr-CA de")]).await;
        assert!(french.text.contains("lang=\"fr\"") && french.text.contains("Mot de passe"), "{french:?}");
        guest.headers.lock().unwrap().clear();
        let out = guest.get("logout").await;
        assert!(out.text.contains("<h1>Unser "), "{out:?}");
    }
}

on_both_databases! {
    async fn whoever_signs_out_is_out_and_their_tokens_with_that_application_too(t: Test) { // attack 197
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "openid read")]).await;
        let tokens = redeem(&t, &app, &code).await;
        let cookie = guest.cookie("vestibule_session").unwrap();

        let asked = guest.get("logout").await;
        assert!(asked.text.contains("ada") && is_in(&guest).await);
        guest.submit(&asked.form(), &[("decision", "stay")]).await;
        assert!(is_in(&guest).await);
        let out = guest.submit_only(&asked.form(), &[("decision", "sign_out")]).await;

        assert_eq!((out.status, guest.cookie("vestibule_session")), (200, None));
        guest.set_cookie("vestibule_session", &cookie);
        assert!(!is_in(&guest).await);
        assert!(t.accepts(&tokens.access_token()).await); // no application asked
    }
}
