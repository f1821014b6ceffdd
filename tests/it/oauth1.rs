//! OAuth 1.0a at a provider that checks every signature by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine as _;
use vestibule::protocol::GrantType;

use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Scripted, Told, told, value};
use crate::harness::{Answer, Setup, Test, enabled, on_both_databases};

const SECRET: &str = "c&s +ü";

/// RFC 5849 §3.6, written once more.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Who signs, as the header says, if the signature is right.
fn signed(asked: &Asked, token_secret: &str) -> Option<BTreeMap<String, String>> {
    let mut header = BTreeMap::new();
    for part in asked.authorization.strip_prefix("OAuth ")?.split(", ") {
        let (name, quoted) = part.split_once('=')?;
        let text = quoted.strip_prefix('"')?.strip_suffix('"')?.replace('+', "%2B");
        header.insert(name.to_owned(), value(&Asked::pairs(&format!("x={text}")), "x"));
    }
    let signature = header.remove("oauth_signature")?;
    let mut all: Vec<String> = Vec::new();
    let given = header.clone().into_iter().chain(Asked::pairs(&asked.query)).chain(Asked::pairs(&asked.body));
    all.extend(given.map(|(name, value)| format!("{}={}", escape(&name), escape(&value))));
    all.sort_by_key(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    let place = format!("https://{}{}", asked.host, asked.path);
    let base = format!("{}&{}&{}", asked.method, escape(&place), escape(&all.join("&")));
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{}&{}", escape(SECRET), escape(token_secret)).as_bytes(),
    );
    let signature = base64::engine::general_purpose::STANDARD.decode(signature).ok()?;
    hmac::verify(&key, base.as_bytes(), &signature).ok()?;
    (header.get("oauth_consumer_key")? == "x-key").then_some(header)
}

/// X: request tokens and verifiers are good once.
#[derive(Default)]
struct X {
    given: usize,
    open: Vec<String>,
    callback: String,
}

fn x(state: &Mutex<X>, asked: &Asked) -> Told {
    let mut state = state.lock().unwrap();
    match asked.path.as_str() {
        "/oauth/request_token" => match signed(asked, "") {
            Some(header) => {
                state.given += 1;
                state.callback = header["oauth_callback"].clone();
                let token = format!("request-{}", state.given);
                state.open.push(token.clone());
                told(200, format!("oauth_token={token}&oauth_token_secret=rs%26{token}&oauth_callback_confirmed=true"))
            }
            None => told(401, "Invalid signature"),
        },
        "/oauth/access_token" => {
            let open = state.open.clone();
            let good = open.iter().find(|token| {
                signed(asked, &format!("rs&{token}"))
                    .is_some_and(|header| header["oauth_token"] == **token && header["oauth_verifier"] == "yes")
            });
            match good {
                Some(token) => {
                    state.open.retain(|own| own != token);
                    told(200, "oauth_token=7-token&oauth_token_secret=t%2Bs&user_id=7&screen_name=ada")
                }
                None => told(401, "Invalid request token"),
            }
        }
        "/1.1/account/verify_credentials.json" => match signed(asked, "t+s") {
            Some(header) if header["oauth_token"] == "7-token" => {
                told(200, r#"{"id": 7, "screen_name": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}"#)
            }
            _ => told(401, r#"{"errors":[{"code":89,"message":"Invalid or expired token."}]}"#),
        },
        _ => told(404, ""),
    }
}

async fn with_x(mut setup: Setup) -> (Test, Scripted, Arc<Mutex<X>>) {
    let state = Arc::new(Mutex::new(X::default()));
    let shared = state.clone();
    let host = Scripted::start(move |asked| x(&shared, asked)).await;
    setup.settings.outbound.origin_map.extend(host.origin_map(&["https://api.twitter.com"]));
    setup.settings.providers.insert("twitter".into(), enabled("x-key", SECRET));
    setup.settings.outbound.max_answer_bytes = 64 * 1024;
    (setup.start().await, host, state)
}

/// Sets out, and gives where the provider would send the browser back to, with its request token.
async fn depart(guest: &Guest<'_>, state: &Mutex<X>) -> (String, String) {
    let answer = guest.get("login/twitter/").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let there = answer.header("location");
    let (place, query) = there.split_once('?').unwrap();
    assert_eq!(place, "https://api.twitter.com/oauth/authenticate");
    (state.lock().unwrap().callback.clone(), value(&Asked::pairs(query), "oauth_token"))
}

async fn back(guest: &Guest<'_>, callback: &str, answer: &str) -> Answer {
    let query = callback.split_once('?').unwrap().1;
    guest.get(&format!("complete/twitter/?{query}&{answer}")).await
}

const PAIR: &str = "oauth_token=7-token&oauth_token_secret=t%2Bs";

on_both_databases! {
    async fn a_person_signs_in_by_a_request_token(setup: Setup) {
        let (t, _host, state) = with_x(setup).await;
        let guest = Guest::new(&t);
        let (callback, token) = depart(&guest, &state).await;
        assert!(callback.starts_with(&t.url("complete/twitter/?redirect_state=")), "{callback}");

        let answer = back(&guest, &callback, &format!("oauth_token={token}&oauth_verifier=yes")).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let people = t.people().await;
        assert_eq!((people.len(), people[0].username.as_str(), people[0].email.as_str()), (1, "ada", "ada@example.com"));
        let stored = t.stored().await;
        assert!(!stored.windows(7).any(|bytes| bytes == b"7-token"), "the token is stored as it is");
    }
}

on_both_databases! {
    async fn an_answer_of_another_sign_in_is_refused(setup: Setup) {
        let (t, _host, state) = with_x(setup).await;
        let (victim, attacker) = (Guest::new(&t), Guest::new(&t));
        let (_, foreign) = depart(&attacker, &state).await;
        for (answer, words) in [
            (format!("oauth_token={foreign}&oauth_verifier=yes"), "did not prove who you are"),
            ("oauth_token=&oauth_verifier=yes".into(), "did not prove who you are"),
            ("oauth_token=OWN&oauth_verifier=no".into(), "did not prove who you are"),
            ("oauth_token=OWN".into(), "You did not allow it"),
            ("denied=OWN".into(), "You did not allow it"),
        ] {
            let (callback, own) = depart(&victim, &state).await;
            let answer = back(&victim, &callback, &answer.replace("OWN", &own)).await;
            assert!(answer.is_setback() && answer.text.contains(words), "{words}: {answer:?}");
        }
        let (callback, own) = depart(&victim, &state).await;
        let (_, cookie) = (own.clone(), callback.clone());
        let good = format!("oauth_token={own}&oauth_verifier=yes");
        assert!(back(&attacker, &cookie, &good).await.is_setback());
        assert!(t.people().await.is_empty());
        assert_eq!(back(&victim, &callback, &good).await.status, 303);
        // The verifier again: the cookie is gone.
        assert!(back(&victim, &callback, &good).await.is_setback());
    }
}

on_both_databases! {
    async fn a_token_with_its_secret_is_converted(setup: Setup) {
        let (t, host, _) = with_x(setup).await;
        let app = t.app(&[GrantType::ConvertToken]).await;
        let answer = t.convert(&app, "twitter", PAIR).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(t.accepts(&answer.access_token()).await);

        for (token, refusal) in [
            ("oauth_token=7-token&oauth_token_secret=wrong", "400 invalid_grant token_rejected"),
            ("oauth_token=other&oauth_token_secret=t%2Bs", "400 invalid_grant token_rejected"),
            ("7-token", "400 invalid_grant wrong_token_kind"),
            ("oauth_token=7-token", "400 invalid_grant wrong_token_kind"),
            ("oauth_token=a&oauth_token=7-token&oauth_token_secret=t%2Bs", "400 invalid_grant wrong_token_kind"),
            ("oauth_token=a%0D%0Ab&oauth_token_secret=s", "400 invalid_grant wrong_token_kind"),
        ] {
            assert_eq!(t.convert(&app, "twitter", token).await.refusal(), refusal, "{token}");
        }
        for (told, refusal) in [
            (told(500, "a secret stack trace"), "503 temporarily_unavailable provider_unreachable"),
            (told(0, ""), "504 temporarily_unavailable provider_unreachable"),
            (told(200, "<html>"), "502 temporarily_unavailable provider_unreachable"),
            (told(200, "x".repeat(100_000)), "502 temporarily_unavailable provider_unreachable"),
            ((302, vec![("location", "http://127.0.0.1/".into())], String::new()), "502 temporarily_unavailable provider_unreachable"),
            (told(200, "{}"), "400 invalid_grant profile_incomplete"),
        ] {
            let shown = format!("{:.40}", told.2);
            host.turn(move |_| told.clone());
            let fresh = format!("oauth_token=fresh-{}&oauth_token_secret=s", shown.len());
            assert_eq!(t.convert(&app, "twitter", &fresh).await.refusal(), refusal, "{shown}");
        }
    }
}

on_both_databases! {
    async fn a_request_token_that_is_none_leads_nowhere(setup: Setup) {
        let (t, host, _) = with_x(setup).await;
        let guest = Guest::new(&t);
        for told in [
            told(401, "no"),
            told(500, "no"),
            told(200, "oauth_token=a&oauth_token_secret=b"),
            told(200, "oauth_token=a&oauth_callback_confirmed=true"),
            told(200, "oauth_token=a%0D%0Ab&oauth_token_secret=b&oauth_callback_confirmed=true"),
            told(200, "<html>"),
        ] {
            let shown = told.2.clone();
            host.turn(move |_| told.clone());
            assert!(guest.get("login/twitter/").await.is_setback(), "{shown}");
        }
    }
}
