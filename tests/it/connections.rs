//! Accounts at providers that a person connects to their own in a browser, and takes away again.

use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::store::user::NewUser;

use crate::browser_login::query;
use crate::harness::guest::Guest;
use crate::harness::stand_in::Mood;
use crate::harness::{Answer, Setup, Test, on_both_databases};

const PAGE: &str = "/account/connections";

/// The stand-in's Google gives no ID tokens, in which a nonce could be.
pub fn without_nonce(setup: &mut Setup) {
    setup.provider("google-oauth2").entry.extend("authorize = { nonce = false }".parse::<toml::Table>().unwrap());
}

/// Comes back from the provider with a code for `good-token`.
async fn come_back(t: &Test, guest: &Guest<'_>, there: &Answer, backend: &str) -> Answer {
    let there = there.header("location");
    t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", query(&there, "code_challenge"))));
    guest.get(&format!("complete/{backend}/?code=its-code&state={}", query(&there, "state"))).await
}

/// Connects an account from the page of connected accounts.
async fn connect(t: &Test, guest: &Guest<'_>, backend: &str) -> Answer {
    guest.comes_from_here();
    let there = guest.get(&format!("login/{backend}?next={PAGE}")).await;
    assert_eq!(there.status, 303, "{there:?}");
    come_back(t, guest, &there, backend).await
}

/// The names of the backends that are connected to whom this browser's session is.
async fn connected(guest: &Guest<'_>) -> Vec<String> {
    let backends = guest.get("backends").await.json()["backends"].as_array().unwrap().clone();
    let connected = backends.iter().filter(|backend| backend["connected"] == true);
    connected.map(|backend| backend["name"].as_str().unwrap().to_owned()).collect()
}

on_both_databases! {
    async fn somebody_connects_an_account_from_their_page(setup: Setup) {
        let mut setup = setup;
        setup.provider("github").policy.extra_data = Some(vec!["login".into()]);
        setup.provider("github").entry.extend("extra = { login = 'login' }".parse::<toml::Table>().unwrap());
        let t = setup.start().await;
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        assert!(guest.get(PAGE).await.header("location").starts_with("/account/sign-in?next="));
        guest.enter("ada").await;
        let session = guest.cookie("vestibule_session");
        let page = guest.get(PAGE).await;
        assert!(page.text.contains("No account") && guest.get("/account/").await.text.contains("connections"));
        let link = page.link("Connect GitHub");

        guest.comes_from_here();
        let there = guest.get(&link).await;
        let back = come_back(&t, &guest, &there, "github").await;

        assert_eq!((back.status, back.header("location").as_str()), (303, PAGE));
        let page = guest.get(PAGE).await;
        assert!(page.text.contains("user7") && page.text.contains("<dd>7</dd>"), "{page:?}");
        assert!(!page.text.contains("Connect GitHub") && page.text.contains("Connect Google"));
        assert_eq!((guest.cookie("vestibule_session"), t.people().await.len()), (session, 1));
        // Once more is no second one.
        assert_eq!(connect(&t, &guest, "github").await.status, 303);
        assert_eq!(guest.get(PAGE).await.forms().len(), 1);
        // Without a `next` the page is where one goes.
        let there = guest.get("login/github").await;
        assert_eq!(come_back(&t, &guest, &there, "github").await.header("location"), PAGE);
    }
}

on_both_databases! {
    async fn whoever_was_led_here_by_another_site_is_asked_first(t: Test) { // attacks 181, 185, 189
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        for led in [vec![], vec![("sec-fetch-site", "cross-site")], vec![("sec-fetch-site", "same-site")]] {
            *guest.headers.lock().unwrap() = led.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            let page = guest.get("login/github?next=/account/sessions").await;
            assert_eq!((page.status, guest.cookie("vestibule_journey")), (200, None), "{page:?}");
            assert!(page.text.contains("Connect your GitHub account to ada?"), "{page:?}");
        }
        for forged in [vec![], vec![("form_token", "x")]] {
            assert_eq!(guest.post("login/github", &forged).await.status, 403);
        }
        assert_eq!(guest.cookie("vestibule_journey"), None);

        guest.headers.lock().unwrap().clear();
        let page = guest.get("login/github?next=/account/sessions").await;
        assert!(page.header("content-security-policy").contains("form-action 'self' https:"));
        let there = guest.submit_only(&page.form(), &[]).await;
        assert!(there.header("location").starts_with("https://github.com/"), "{there:?}");
        let back = come_back(&t, &guest, &there, "github").await;

        assert_eq!((back.status, back.header("location").as_str()), (303, "/account/sessions"));
        assert_eq!(connected(&guest).await, ["github"]);
        let page = guest.get("login/github?next=https://evil.com").await;
        assert_eq!(page.link("Back"), PAGE);
        let there = guest.submit_only(&page.form(), &[("next", "//evil.com")]).await;
        assert_eq!(come_back(&t, &guest, &there, "github").await.header("location"), PAGE);
    }
}

on_both_databases! {
    async fn whoever_wants_to_be_somebody_else_signs_in_and_connects_nothing(t: Test) {
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let session = guest.cookie("vestibule_session").unwrap();
        let page = guest.get("login/github?next=/account/sessions").await;

        let there = guest.get(&page.link("Sign in as somebody else")).await;
        let back = come_back(&t, &guest, &there, "github").await;

        assert_eq!(back.header("location"), "/account/sessions");
        assert!(guest.get("/account/").await.text.contains("user7"));
        let planted = Guest::new(&t);
        planted.set_cookie("vestibule_session", &session);
        assert_eq!(planted.get("/account/").await.status, 303, "the session of before is worth nothing");
        // So do the buttons of the sign-in page, where one who is signed in comes to be asked again.
        let page = guest.get("/account/sign-in").await;
        assert!(page.link("GitHub").ends_with("&prompt=login"), "{page:?}");
    }
}

on_both_databases! {
    async fn a_session_from_before_a_sign_in_with_a_provider_is_worth_nothing_after_it(t: Test) { // attack 193
        t.person("eve").await;
        t.stand_in.issue("github", "good-token", "7");
        let (attacker, victim) = (Guest::new(&t), Guest::new(&t));
        let there = victim.get("login/github").await;
        attacker.enter("eve").await;
        let planted = attacker.cookie("vestibule_session").unwrap();
        victim.set_cookie("vestibule_session", &planted);

        assert_eq!(come_back(&t, &victim, &there, "github").await.status, 303);

        assert_ne!(victim.cookie("vestibule_session").unwrap(), planted);
        assert!(victim.get("/account/").await.text.contains("user7"));
        assert_eq!(attacker.get("/account/").await.status, 303);
    }
}

on_both_databases! {
    async fn somebody_disconnects_one_account_or_all_of_a_provider(setup: Setup) { // attack 185
        let mut setup = setup;
        without_nonce(&mut setup);
        let t = setup.start().await;
        t.person("ada").await;
        t.person("eve").await;
        let (ada, eve) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        eve.enter("eve").await;
        for uid in ["7", "8"] {
            t.stand_in.issue("github", "good-token", uid);
            connect(&t, &ada, "github").await;
        }
        t.stand_in.issue("google-oauth2", "good-token", "9");
        connect(&t, &ada, "google-oauth2").await;
        let forms = ada.get(PAGE).await.forms();
        assert_eq!(forms.len(), 3);
        let of_eve = eve.get("/account/sessions").await.form();

        // Not without the form's token, not by a link, not from elsewhere, not somebody else's.
        assert_eq!(ada.post(&forms[0].action, &[]).await.status, 403);
        assert_eq!(ada.get(&forms[0].action).await.status, 405);
        *ada.headers.lock().unwrap() = vec![("origin", "https://evil.example".to_owned())];
        assert_eq!(ada.submit_only(&forms[0], &[]).await.status, 403);
        ada.comes_from_here();
        let theirs = crate::harness::guest::Form { action: forms[0].action.clone(), ..of_eve.clone() };
        assert_eq!(eve.submit_only(&theirs, &[]).await.setback().1, "not_connected");
        let nonsense = crate::harness::guest::Form { action: "disconnect/github/x".to_owned(), ..of_eve };
        assert_eq!(eve.submit_only(&nonsense, &[]).await.status, 404);
        assert_eq!(ada.get(PAGE).await.forms().len(), 3);

        let gone = ada.submit_only(&forms[0], &[]).await;
        assert_eq!((gone.status, gone.header("location").as_str()), (303, PAGE));
        assert_eq!(ada.get(PAGE).await.forms().len(), 2);
        t.stand_in.issue("github", "good-token", "10");
        connect(&t, &ada, "github").await;
        let all = crate::harness::guest::Form { action: "disconnect/github".to_owned(), ..forms[0].clone() };
        let gone = ada.submit_only(&all, &[("next", "/account/sessions")]).await;
        assert_eq!(gone.header("location"), "/account/sessions");
        assert_eq!(connected(&ada).await, ["google-oauth2"]);
        let google = ada.get(PAGE).await.form();
        assert_eq!(ada.submit_only(&google, &[("next", "https://evil.com")]).await.header("location"), PAGE);
    }
}

on_both_databases! {
    async fn the_last_way_in_is_kept_and_said_so(setup: Setup) {
        let mut setup = setup;
        without_nonce(&mut setup);
        let t = setup.start().await;
        t.stand_in.issue("github", "good-token", "7");
        t.stand_in.issue("google-oauth2", "good-token", "9");
        let guest = Guest::new(&t);
        let there = guest.get("login/github").await;
        come_back(&t, &guest, &there, "github").await;
        let page = guest.get(PAGE).await;
        assert!(page.forms().is_empty() && page.text.contains("only way in"), "{page:?}");
        let token = guest.get("/account/sessions").await.form();
        let form = crate::harness::guest::Form { action: "disconnect/github".to_owned(), ..token };

        let refused = guest.submit_only(&form, &[]).await;
        let (status, word, sentence) = refused.setback();
        assert_eq!((status, word.as_str()), (409, "last_way_in"));
        assert!(sentence.contains("only way in") && refused.link("Connected accounts") == PAGE);
        assert_eq!(connected(&guest).await, ["github"]);

        connect(&t, &guest, "google-oauth2").await;
        assert_eq!(guest.submit_only(&form, &[]).await.status, 303);
        assert_eq!(connected(&guest).await, ["google-oauth2"]);
    }
}

on_both_databases! {
    async fn the_provider_is_told_first_where_the_operator_wants_it(setup: Setup) {
        let mut setup = setup;
        setup.settings.social.revoke_tokens_on_disconnect = true;
        without_nonce(&mut setup);
        let t = setup.start().await;
        t.person("ada").await;
        let app = t.app(&[Password, ConvertToken]).await;
        t.stand_in.issue("google-oauth2", "good-token", "9");
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        connect(&t, &guest, "google-oauth2").await;
        let form = guest.get(PAGE).await.form();
        let bearer = format!("Bearer {}", t.password(&app, "ada").await.access_token());
        let id = form.action.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
        let by_json = async || t.post_as("disconnect-backend", &bearer, &[("backend", "google-oauth2"), ("association_id", &id)]).await;

        t.stand_in.mood(Mood::Broken);
        let refused = guest.submit_only(&form, &[]).await;
        let (status, word, sentence) = refused.setback();
        assert_eq!((status, word.as_str()), (503, "tokens_not_ended"), "{refused:?}");
        assert!(sentence.contains("nothing was disconnected") && !refused.text.contains("stack trace"));
        let answer = by_json().await;
        assert_eq!(answer.refusal(), "503 temporarily_unavailable provider_unreachable");
        assert!(answer.field("error_description").contains("still connected"));
        assert_eq!(connected(&guest).await, ["google-oauth2"]);

        t.stand_in.mood(Mood::Good);
        assert_eq!(t.stand_in.calls_to("revoke"), 2);
        assert_eq!(by_json().await.status, 204);
        assert_eq!((t.stand_in.calls_to("revoke"), connected(&guest).await.len()), (3, 0));
        assert_eq!(by_json().await.status, 400);
        assert_eq!(t.stand_in.calls_to("revoke"), 3, "nobody is told of what is not connected");
        // One that the catalog knows no way to tell is disconnected all the same.
        t.stand_in.issue("github", "good-token", "7");
        connect(&t, &guest, "github").await;
        let form = guest.get(PAGE).await.form();
        assert_eq!(guest.submit_only(&form, &[]).await.status, 303);
        assert!(connected(&guest).await.is_empty());
    }
}

on_both_databases! {
    async fn an_account_that_is_taken_is_not_connected_and_whose_it_is_is_not_said(t: Test) {
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let (owner, ada) = (Guest::new(&t), Guest::new(&t));
        let there = owner.get("login/github").await;
        come_back(&t, &owner, &there, "github").await;
        ada.enter("ada").await;

        let refused = connect(&t, &ada, "github").await;

        let (status, word, sentence) = refused.setback();
        assert_eq!((status, word.as_str()), (409, "account_in_use"), "{refused:?}");
        assert!(sentence.contains("already connected to another account") && !refused.text.contains("user7"));
        assert!(refused.link("another account").contains("prompt=login"));
        assert!(connected(&ada).await.is_empty());
    }
}

on_both_databases! {
    async fn whose_address_is_in_use_signs_in_and_connects(t: Test) {
        t.person_with(NewUser { username: "ada".into(), email: "user7@example.com".into(), ..NewUser::default() }).await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        let there = guest.get("login/github?next=/account/sessions").await;
        let refused = come_back(&t, &guest, &there, "github").await;
        let (status, word, sentence) = refused.setback();
        assert_eq!((status, word.as_str()), (409, "email_in_use"), "{refused:?}");
        assert!(sentence.contains("Sign in to that one") && !refused.text.contains(">ada<"));

        let page = guest.get(&refused.link("Sign in and connect GitHub")).await;
        assert!(page.header("content-security-policy").contains("form-action 'self' https:"));
        guest.comes_from_here();
        let there = guest.sign_in(&page, "ada").await;
        assert!(there.header("location").starts_with("https://github.com/"), "{there:?}");
        let back = come_back(&t, &guest, &there, "github").await;

        assert_eq!(back.header("location"), "/account/sessions");
        assert_eq!(connected(&guest).await, ["github"]);
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn redirects_of_the_operators_are_followed(setup: Setup) {
        let mut setup = setup;
        setup.settings.social.new_association_redirect_url = "https://app.example/connected".into();
        setup.settings.social.disconnect_redirect_url = "/disconnected".into();
        setup.settings.social.login_error_url = "https://app.example/failed".into();
        setup.settings.social.allowed_redirect_hosts = vec!["app.example".into()];
        let t = setup.start().await;
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        guest.comes_from_here();
        let there = guest.get("login/github").await;
        assert_eq!(come_back(&t, &guest, &there, "github").await.header("location"), "https://app.example/connected");
        let there = guest.get("login/github?next=https://app.example/x").await;
        assert_eq!(come_back(&t, &guest, &there, "github").await.header("location"), "https://app.example/x");
        let form = guest.get(PAGE).await.form();
        assert_eq!(guest.submit_only(&form, &[]).await.header("location"), "/disconnected");
        let refused = guest.submit_only(&form, &[]).await;
        assert_eq!((refused.status, refused.setback().1.as_str()), (404, "not_connected"), "a page of ours says it");
        let there = guest.get("login/github").await.header("location");
        let back = guest.get(&format!("complete/github/?error=access_denied&state={}", query(&there, "state"))).await;
        assert_eq!(back.header("location"), "https://app.example/failed?error=access_denied");
    }
}

on_both_databases! {
    async fn nobody_signs_in_with_a_provider_that_only_connects(setup: Setup) {
        let mut setup = setup;
        setup.provider("github").entry.insert("connect_only".to_owned(), true.into());
        without_nonce(&mut setup);
        let t = setup.start().await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        assert!(!guest.get("/account/sign-in").await.text.contains("GitHub"));
        let refused = guest.get("login/github?next=/account/sessions").await;
        assert_eq!((refused.status, refused.setback().1.as_str()), (403, "connect_only"), "{refused:?}");
        t.stand_in.issue("google-oauth2", "good-token", "9");
        let there = guest.get("login/google-oauth2").await;
        come_back(&t, &guest, &there, "google-oauth2").await;
        connect(&t, &guest, "github").await;
        assert_eq!(connected(&guest).await, ["github", "google-oauth2"]);
        // What nobody signs in with is no way in: Google is the last one.
        let forms = guest.get(PAGE).await.forms();
        assert!(forms.len() == 1 && forms[0].action.contains("/disconnect/github/"), "{forms:?}");
        assert_eq!(guest.submit_only(&forms[0], &[]).await.status, 303);
        assert_eq!(connected(&guest).await, ["google-oauth2"]);
    }
}
