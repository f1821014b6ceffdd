//! The way to a provider and back with everything that can go wrong on it: providers that misbehave, answers of others, and
//! people who are not let in. Each is a page in words with a way on, and leaves nothing behind.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::settings::{Hidden, OnTakenEmail};
use vestibule::store::user;

use crate::browser_login::query;
use crate::connections::without_nonce;
use crate::harness::guest::Guest;
use crate::harness::issuer::{CLIENT_ID, Issuer};
use crate::harness::stand_in::Mood;
use crate::harness::{Answer, Setup, Test, on_both_databases};

/// Where a browser is sent that sets out for this provider.
async fn set_out(guest: &Guest<'_>, backend: &str) -> String {
    let there = guest.get(&format!("login/{backend}?next=/account/sessions")).await;
    assert_eq!(there.status, 303, "{there:?}");
    there.header("location")
}

/// Comes back with a code that the provider gave for the challenge that came with the browser.
async fn come_back(t: &Test, guest: &Guest<'_>, there: &str) -> Answer {
    t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", query(there, "code_challenge"))));
    guest.get(&format!("complete/github/?code=its-code&state={}", query(there, "state"))).await
}

/// Goes to GitHub and back.
async fn round_trip(t: &Test, guest: &Guest<'_>) -> Answer {
    let there = set_out(guest, "github").await;
    come_back(t, guest, &there).await
}

async fn is_signed_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

/// The page says this, by this word, and has these ways on.
fn says(page: &Answer, status: u16, word: &str, sentence: &str, ways: &[&str]) {
    let (said, code, text) = page.setback();
    assert_eq!((said, code.as_str()), (status, word), "{page:?}");
    assert!(text.contains(sentence), "{page:?}");
    for way in ways {
        assert!(page.link(way).starts_with('/'), "{page:?}");
    }
    assert_eq!(page.header("cache-control"), "no-store");
}

on_both_databases! {
    async fn an_answer_is_taken_from_the_browser_that_asked_for_it_once_and_in_time(t: Test) { // attacks 123, 179, 191
        t.stand_in.issue("github", "good-token", "7");
        let (guest, other) = (Guest::new(&t), Guest::new(&t));
        let begun = Guest::new(&t).get("complete/github/?code=its-code&setup_action=install&installation_id=1").await;
        says(&begun, 400, "not_begun_here", "takes no cookies", &["Try again with GitHub", "Sign in otherwise"]);
        assert_eq!(begun.link("Try again"), "/auth/login/github");

        let there = set_out(&guest, "github").await;
        let others = set_out(&other, "github").await;
        for wrong in [query(&others, "state"), "another".into(), String::new()] {
            let page = guest.get(&format!("complete/github/?code=its-code&state={wrong}")).await;
            says(&page, 400, "other_sign_in", "another sign-in", &["Try again with GitHub"]);
            assert_eq!(page.link("Try again"), "/auth/login/github?next=%2Faccount%2Fsessions");
        }
        let elsewhere = guest.get(&format!("complete/google-oauth2/?code=its-code&state={}", query(&there, "state"))).await;
        assert_eq!(elsewhere.setback().1, "other_sign_in");
        assert_eq!(t.stand_in.calls().len(), 0, "no provider was asked");

        // What somebody else sent ended nothing.
        let back = come_back(&t, &guest, &there).await;
        assert_eq!((back.status, back.header("location").as_str()), (303, "/account/sessions"));
        let again = come_back(&t, &guest, &there).await;
        says(&again, 400, "not_begun_here", "finished already", &["Try again with GitHub"]);

        t.clock.advance(901);
        t.stand_in.issue("github", "good-token", "8");
        says(&come_back(&t, &other, &others).await, 400, "not_begun_here", "15 minutes", &[]);
        assert!(!is_signed_in(&other).await && t.people().await.len() == 1);
    }
}

on_both_databases! {
    async fn a_cookie_that_is_not_ours_is_none(t: Test) {
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        let there = set_out(&guest, "github").await;
        let good = guest.cookie("vestibule_journey").unwrap();
        for bad in ["", "x", "%00", &good[..good.len() - 2], &format!("{good}AA"), &"A".repeat(3_000)] {
            guest.set_cookie("vestibule_journey", bad);
            assert_eq!(come_back(&t, &guest, &there).await.setback().1, "not_begun_here", "{bad}");
        }
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn a_victim_that_opens_the_attackers_callback_is_connected_to_nothing(t: Test) { // attacks 179, 189
        t.person("victim").await;
        t.person("attacker").await;
        t.stand_in.issue("github", "good-token", "7");
        let (attacker, victim) = (Guest::new(&t), Guest::new(&t));
        attacker.enter("attacker").await;
        victim.enter("victim").await;
        attacker.comes_from_here();
        victim.comes_from_elsewhere();
        let there = set_out(&attacker, "github").await;

        assert_eq!(come_back(&t, &victim, &there).await.setback().1, "not_begun_here");
        // Not with his cookie either, should he be able to set it.
        victim.set_cookie("vestibule_journey", &attacker.cookie("vestibule_journey").unwrap());
        let page = come_back(&t, &victim, &there).await;
        says(&page, 403, "signed_in_otherwise", "nothing was connected", &["Connected accounts"]);
        assert_eq!(t.stand_in.calls().len(), 0, "no code was redeemed");
        // Nor with one of a browser in which nobody had signed in.
        attacker.get("logout").await;
        let alone = Guest::new(&t);
        let there = set_out(&alone, "github").await;
        victim.comes_from_here();
        set_out(&victim, "github").await;
        assert_eq!(come_back(&t, &victim, &there).await.setback().1, "other_sign_in");
        assert!(victim.get("/account/connections").await.text.contains("No account"));
    }
}

on_both_databases! {
    async fn whoever_signs_out_on_the_way_connects_nothing(t: Test) {
        t.person("ada").await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        guest.comes_from_here();
        let there = set_out(&guest, "github").await;
        guest.set_cookie("vestibule_session", "");

        let page = come_back(&t, &guest, &there).await;

        says(&page, 403, "signed_in_otherwise", "sign in", &["Sign in"]);
        assert_eq!((t.people().await.len(), t.stand_in.calls().len()), (1, 0));
    }
}

on_both_databases! {
    async fn what_the_provider_says_is_never_shown(t: Test) { // attacks 187, 221
        let guest = Guest::new(&t);
        let beside = "error_description=%3Cscript%3Ealert(1)%3C/script%3E&error_uri=javascript:alert(1)&error_code=%0d%0aSet-Cookie:+x";
        for (error, status, word, sentence) in [
            ("access_denied", 403, "access_denied", "did not allow it at GitHub"),
            ("user_cancelled_login", 403, "access_denied", "did not allow"),
            ("temporarily_unavailable", 503, "provider_unreachable", "GitHub is down"),
            ("invalid_scope", 400, "provider_refused", "did not let you in"),
            ("%3Cscript%3Ealert(1)%3C/script%3E", 400, "provider_refused", "did not let you in"),
            ("%0d%0aX-Evil:1", 400, "provider_refused", "did not let you in"),
        ] {
            let there = set_out(&guest, "github").await;
            let page = guest.get(&format!("complete/github/?error={error}&{beside}&state={}", query(&there, "state"))).await;
            says(&page, status, word, sentence, &["Try again with GitHub", "Sign in otherwise", "Go back"]);
            assert_eq!(page.link("Go back"), "/account/sessions");
            for secret in ["<script", "alert(", "javascript:", "Evil"] {
                assert!(!page.text.contains(secret), "{page:?}");
            }
            assert!(page.headers.get("x-evil").is_none() && !page.header("set-cookie").contains(" x"));
            assert_eq!(guest.cookie("vestibule_journey"), None);
        }
        for next in ["/%0d%0aSet-Cookie:x", "/%E2%98%83", "%2F%2Fevil.com", "https%3A%2F%2Fevil.com"] {
            let there = guest.get(&format!("login/github?next={next}")).await.header("location");
            let page = guest.get(&format!("complete/github/?error=access_denied&state={}", query(&there, "state"))).await;
            assert!(page.status == 403 && !page.text.contains("Go back") && !page.text.contains("evil"), "{page:?}");
        }
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn a_provider_that_misbehaves_is_said_to_be_down(setup: Setup) {
        let mut setup = setup;
        setup.settings.outbound.timeout = Duration::from_millis(300);
        let t = setup.start().await;
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        for (mood, status) in [
            (Mood::Hanging, 504),
            (Mood::Broken, 503),
            (Mood::Html, 502),
            (Mood::Malformed, 502),
            (Mood::Huge, 502),
            (Mood::Redirecting, 502),
        ] {
            t.stand_in.mood(mood);
            let page = round_trip(&t, &guest).await;
            let ways = ["Try again with GitHub", "Sign in otherwise", "Go back"];
            says(&page, status, "provider_unreachable", "GitHub is down, or does not answer", &ways);
            assert!(!page.header("retry-after").is_empty() && !page.text.contains("stack trace"), "{mood:?}");
            assert!(!is_signed_in(&guest).await);
        }
        t.stand_in.mood(Mood::Good);
        assert!(t.people().await.is_empty());
        assert_eq!(round_trip(&t, &guest).await.status, 303);
    }
}

on_both_databases! {
    async fn people_who_are_not_let_in_are_told_why_and_where_to_go(setup: Setup) {
        let mut setup = setup;
        setup.provider("github").policy.allowed_domains = Some(vec!["example.com".into()]);
        setup.provider("google-oauth2").policy.allow_signup = Some(false);
        without_nonce(&mut setup);
        let t = setup.start().await;
        let guest = Guest::new(&t);
        let mut issued = t.stand_in.issue("github", "good-token", "7");
        issued.email = Some("user7@evil.com".into());
        t.stand_in.put("github", "good-token", issued);
        says(&round_trip(&t, &guest).await, 403, "person_not_allowed", "may not come in", &["Sign in otherwise", "Go back"]);

        t.stand_in.issue("google-oauth2", "good-token", "9");
        let there = set_out(&guest, "google-oauth2").await;
        t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", query(&there, "code_challenge"))));
        let page = guest.get(&format!("complete/google-oauth2/?code=its-code&state={}", query(&there, "state"))).await;
        says(&page, 403, "signup_closed", "New accounts are not made with Google", &["Sign in otherwise"]);
        assert!(t.people().await.is_empty());

        t.stand_in.issue("github", "good-token", "8");
        assert_eq!(round_trip(&t, &guest).await.status, 303);
        let person = t.people().await.remove(0);
        user::set_active(&t.vestibule.context().db, person.id, false).await.unwrap();
        says(&round_trip(&t, &guest).await, 403, "person_inactive", "was deactivated", &["Sign in otherwise"]);

        for nowhere in ["login/nonsense", "complete/nonsense?code=x&state=y"] {
            let page = guest.get(nowhere).await;
            says(&page, 404, "unknown_backend", "this provider", &["Sign in otherwise"]);
            assert!(!page.text.contains("nonsense"));
        }
        for twice in ["login/github?next=/a&next=/b", "complete/github?state=a&state=b"] {
            assert_eq!(guest.get(twice).await.setback().1, "invalid_request", "{twice}");
        }
    }
}

on_both_databases! {
    async fn the_words_are_in_the_persons_language(t: Test) {
        let guest = Guest::new(&t);
        for (language, words) in [
            ("de", "Sie haben es bei GitHub nicht erlaubt"),
            ("fr", "Vous ne l’avez pas autorisé chez GitHub"),
            ("es", "No lo ha permitido en GitHub"),
        ] {
            *guest.headers.lock().unwrap() = vec![("accept-language", language.to_owned())];
            let there = set_out(&guest, "github").await;
            let page = guest.get(&format!("complete/github/?error=access_denied&state={}", query(&there, "state"))).await;
            assert!(page.setback().2.starts_with(words) && page.text.contains(&format!("lang=\"{language}\"")), "{page:?}");
            assert!(!page.text.contains("lang=\"en\""));
        }
    }
}

/// A server with a provider of the operator's own beside.
async fn with_issuer(mut setup: Setup) -> (Test, Issuer) {
    let issuer = Issuer::start().await;
    setup.settings.outbound.allow_private_addresses = true;
    *setup.provider("my-company") = issuer.settings();
    (setup.start().await, issuer)
}

/// Comes back from the issuer with a code for an answer with this ID token.
async fn with_id_token(guest: &Guest<'_>, issuer: &Issuer, there: &str, id_token: &str, beside: &str) -> Answer {
    let answer = json!({ "access_token": "access-of-grace", "token_type": "Bearer", "id_token": id_token });
    issuer.code("a-code", answer);
    guest.get(&format!("complete/my-company/?code=a-code&state={}{beside}", query(there, "state"))).await
}

on_both_databases! {
    async fn an_id_token_of_somebody_else_proves_nothing(setup: Setup) { // attack 191
        let (t, issuer) = with_issuer(setup).await;
        let (other, guest) = (Issuer::start().await, Guest::new(&t));
        let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": "key-1"});
        let with = |claims: &Value, name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims
        };
        for case in ["another key", "another issuer", "another client", "another nonce", "no nonce", "none", "expired"] {
            let there = set_out(&guest, "my-company").await;
            let claims = with(&issuer.claims("grace"), "nonce", query(&there, "nonce").into());
            let id_token = match case {
                "another key" => other.sign_as(&header("ES256"), &claims),
                "another issuer" => issuer.sign(&with(&claims, "iss", other.url.as_str().into())),
                "another client" => issuer.sign(&with(&claims, "aud", "somebody-else".into())),
                "another nonce" => issuer.sign(&with(&claims, "nonce", "another".into())),
                "no nonce" => issuer.sign(&issuer.claims("grace")),
                "none" => format!("{}.", crate::harness::issuer::unsigned(&header("none"), &claims)),
                _ => issuer.sign(&with(&claims, "exp", 1_700_000_001.into())),
            };
            let page = with_id_token(&guest, &issuer, &there, &id_token, "").await;
            let (status, _, sentence) = page.setback();
            assert_eq!(status, 400, "{case} {page:?}");
            assert!(sentence.contains("did not prove who you are"), "{case} {page:?}");
            assert!(page.link("Try again").starts_with("/auth/login/my-company"));
        }
        // The answer of another issuer (RFC 9207), which does not get the code.
        let there = set_out(&guest, "my-company").await;
        let claims = with(&issuer.claims("grace"), "nonce", query(&there, "nonce").into());
        let iss: String = url::form_urlencoded::byte_serialize(other.url.as_bytes()).collect();
        let page = with_id_token(&guest, &issuer, &there, &issuer.sign(&claims), &format!("&iss={iss}")).await;
        assert_eq!((page.status, page.setback().1.as_str()), (400, "code_rejected"), "{page:?}");
        assert!(t.people().await.is_empty());

        let there = set_out(&guest, "my-company").await;
        let claims = with(&issuer.claims("grace"), "nonce", query(&there, "nonce").into());
        let iss: String = url::form_urlencoded::byte_serialize(issuer.url.as_bytes()).collect();
        let back = with_id_token(&guest, &issuer, &there, &issuer.sign(&claims), &format!("&iss={iss}")).await;
        assert_eq!((back.status, t.people().await.len()), (303, 1), "{back:?}");
    }
}

on_both_databases! {
    async fn one_subject_at_two_issuers_is_two_people(setup: Setup) {
        let mut setup = setup;
        let second = Issuer::start().await;
        *setup.provider("their-company") = second.settings();
        setup.settings.social.on_taken_email = OnTakenEmail::Create;
        let (t, first) = with_issuer(setup).await;
        let guest = Guest::new(&t);
        // A code that the second gave is none at the first.
        second.code("a-code", json!({ "access_token": "access-of-grace", "token_type": "Bearer" }));
        let there = set_out(&guest, "my-company").await;
        let page = guest.get(&format!("complete/my-company/?code=a-code&state={}", query(&there, "state"))).await;
        assert_eq!(page.setback().1, "code_rejected", "{page:?}");

        for (issuer, backend) in [(&first, "my-company"), (&second, "their-company")] {
            let guest = Guest::new(&t);
            let there = set_out(&guest, backend).await;
            let mut claims = issuer.claims("grace");
            claims["nonce"] = query(&there, "nonce").into();
            claims["email"] = format!("grace@{backend}.example").into();
            issuer.code("a-code", json!({ "access_token": "access-of-grace", "token_type": "Bearer", "id_token": issuer.sign(&claims) }));
            let back = guest.get(&format!("complete/{backend}/?code=a-code&state={}", query(&there, "state"))).await;
            assert_eq!(back.status, 303, "{back:?}");
        }
        assert_eq!(t.people().await.len(), 2);
    }
}

on_both_databases! {
    async fn a_provider_that_is_set_up_wrongly_or_not_to_be_called_is_said_so(setup: Setup) {
        let (mut setup, issuer) = (setup, Issuer::start().await);
        *setup.provider("internal") = issuer.settings();
        let closed = setup.start().await;
        let guest = Guest::new(&closed);
        let page = guest.get("login/internal?next=/account/sessions").await;
        says(&page, 503, "provider_unreachable", "is down", &["Try again with", "Sign in otherwise", "Go back"]);
        assert!(!page.text.contains("127.0.0.1") && !page.text.contains("private"), "{page:?}");
        assert_eq!((issuer.other_calls(), guest.cookie("vestibule_journey")), (0, None));

        let open = closed.second_node_with(|settings| {
            settings.outbound.allow_private_addresses = true;
            settings.providers.get_mut("internal").unwrap().client_secret = Some(Hidden::new("another-secret"));
        }).await;
        let guest = Guest::new(&open);
        let there = set_out(&guest, "internal").await;
        assert_eq!(query(&there, "client_id"), CLIENT_ID);
        let page = guest.get(&format!("complete/internal/?code=a-code&state={}", query(&there, "state"))).await;
        says(&page, 502, "provider_misconfigured", "tell whoever runs this site", &["Sign in otherwise"]);
        assert!(!page.text.contains("invalid_client") && !page.text.contains("another-secret"));
        issuer.down(true);
        let page = open.restarted().await;
        let guest = Guest::new(&page);
        assert_eq!(guest.get("login/internal").await.setback().1, "provider_unreachable");
    }
}
