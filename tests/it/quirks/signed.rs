//! Providers that sign their answer: Telegram and Discourse.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use vestibule::settings::ProviderSettings;

use super::{converter, form, hmac_hex, is_signed_in, query, refused_at_start, set_out};
use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Scripted, told, value};
use crate::harness::{Setup, Test, enabled, on_both_databases};

type Members = Vec<(String, String)>;

const BOT: &str = "42:AAF-the-bots-own";
const FORUM_SECRET: &str = "the-forums-secret";

fn with_telegram(setup: &mut Setup, starts_there: bool) {
    let mut provider = ProviderSettings { enabled: Some(true), ..ProviderSettings::default() };
    provider.entry.insert("bot_token".into(), BOT.into());
    if starts_there {
        provider.entry.insert("starts_there".into(), true.into());
    }
    setup.settings.providers.insert("telegram".into(), provider);
}

/// The members with the hash that this key makes of them.
fn hashed(members: &[(&str, &str)], key: &[u8]) -> Members {
    let mut lines: Vec<String> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    let hash = hmac_hex(key, &lines.join("\n"));
    let members = members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    members.chain([("hash".to_owned(), hash)]).collect()
}

fn bots_key(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

/// What the bot's Telegram signs for this second.
fn ada(at: i64) -> Members {
    let at = at.to_string();
    hashed(&[("id", "101"), ("first_name", "Ada"), ("username", "ada"), ("auth_date", &at)], &bots_key(BOT))
}

fn with(mut members: Members, name: &str, value: &str) -> Members {
    members.retain(|(own, _)| own != name);
    members.push((name.to_owned(), value.to_owned()));
    members
}

/// In one piece, the numbers as numbers, as Telegram puts it behind the `#`.
fn in_one_piece(members: &[(String, String)]) -> String {
    let value = |name: &str, text: &str| match name {
        "id" | "auth_date" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        _ => Value::from(text),
    };
    let object: Map<String, Value> = members.iter().map(|(name, text)| (name.clone(), value(name, text))).collect();
    URL_SAFE_NO_PAD.encode(Value::Object(object).to_string())
}

/// The way back that Telegram is told, with this answer behind it.
fn way_back(there: &str, answer: &str) -> String {
    let back = query(there, "return_to");
    format!("{back}&tgAuthResult={answer}")
}

on_both_databases! {
    async fn telegrams_answer_signs_in_who_it_names(setup: Setup) {
        let mut setup = setup;
        with_telegram(&mut setup, false);
        let t = setup.start().await;
        let guest = Guest::new(&t);
        let there = set_out(&guest, "telegram").await;
        assert!(there.starts_with("https://oauth.telegram.org/auth?") && !there.contains("AAF"), "{there}");
        assert_eq!((query(&there, "bot_id"), query(&there, "origin")), ("42".into(), t.base.clone()));
        let back = query(&there, "return_to");
        assert!(back.starts_with(&t.url("complete/telegram/?redirect_state=")), "{back}");

        // The answer is still behind the `#`: a page moves it, and nothing has ended.
        let page = guest.get(&back).await;
        assert!(page.status == 200 && page.text.contains("tgAuthResult"), "{page:?}");
        let answer = guest.get(&way_back(&there, &in_one_piece(&ada(t.clock.now())))).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(is_signed_in(&guest).await);
        let people = t.people().await;
        assert_eq!((people.len(), people[0].username.as_str(), people[0].first_name.as_str()), (1, "ada", "Ada"));
    }
}

on_both_databases! {
    async fn what_the_bots_telegram_did_not_sign_now_is_refused(setup: Setup) {
        let mut setup = setup;
        with_telegram(&mut setup, false);
        let t = setup.start().await;
        let (guest, stranger) = (Guest::new(&t), Guest::new(&t));
        let now = t.clock.now();
        let at = now.to_string();
        let members = [("id", "101"), ("first_name", "Ada"), ("auth_date", at.as_str())];
        let no_date = hashed(&members[..2], &bots_key(BOT));
        let no_hash: Vec<_> = ada(now).into_iter().filter(|(name, _)| name != "hash").collect();
        // One signed text, two sets of members.
        let folded = "Ada\nid=101\nusername=ada".to_owned();
        let two_ways = hashed(&[("auth_date", &at), ("first_name", "Ada"), ("id", "101"), ("username", "ada")], &bots_key(BOT));
        let hash = value(&two_ways, "hash");
        let two_ways = vec![("auth_date".into(), at.clone()), ("first_name".into(), folded), ("hash".into(), hash)];
        let cases: [(&str, Members, &str); 12] = [
            ("a hash of nothing", with(ada(now), "hash", &"0".repeat(64)), "code_rejected"),
            ("no hash", no_hash, "invalid_request"),
            ("another bot's key", hashed(&members, &bots_key("43:other")), "code_rejected"),
            ("the bot's token as the key", hashed(&members, BOT.as_bytes()), "code_rejected"),
            ("another person", with(ada(now), "id", "102"), "code_rejected"),
            ("another name", with(ada(now), "username", "admin"), "code_rejected"),
            ("one member more", with(ada(now), "photo_url", "https://t.me/x.jpg"), "code_rejected"),
            ("a younger date", with(ada(now - 100_000), "auth_date", &at), "code_rejected"),
            ("a line feed", two_ways, "code_rejected"),
            ("yesterday's", ada(now - 86_500), "code_rejected"),
            ("tomorrow's", ada(now + 3_600), "code_rejected"),
            ("no date", no_date, "invalid_request"),
        ];
        for (case, members, word) in cases {
            let there = set_out(&guest, "telegram").await;
            let answer = guest.get(&way_back(&there, &in_one_piece(&members))).await;
            assert!(answer.is_setback() && answer.setback().1 == word, "{case}: {answer:?}");
        }
        for (result, word) in [("false", "access_denied"), ("***", "invalid_request"), ("bnVsbA", "invalid_request")] {
            let there = set_out(&guest, "telegram").await;
            assert_eq!(guest.get(&way_back(&there, result)).await.setback().1, word, "{result}");
        }
        // Another state within: it cannot stand in for the browser's own.
        let (there, others) = (set_out(&guest, "telegram").await, set_out(&stranger, "telegram").await);
        let good = in_one_piece(&ada(now));
        assert_eq!(guest.get(&way_back(&others, &good)).await.setback().1, "other_sign_in");
        let state = query(&query(&there, "return_to"), "redirect_state");
        let within = in_one_piece(&with(ada(now), "redirect_state", &state));
        assert!(guest.get(&way_back(&others, &within)).await.is_setback());
        // Nobody asked for it, and `starts_there` is not set.
        let query: Members = ada(now);
        let pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(Guest::new(&t).get(&format!("complete/telegram/?{}", form(&pairs))).await.setback().1, "not_begun_here");
        assert!(t.people().await.is_empty() && !is_signed_in(&guest).await);
    }
}

on_both_databases! {
    async fn telegrams_widget_signs_in_once_and_for_ten_minutes(setup: Setup) {
        let mut setup = setup;
        with_telegram(&mut setup, true);
        let t = setup.start().await;
        let now = t.clock.now();
        let from_widget = async |guest: &Guest<'_>, members: Members| {
            let pairs: Vec<(&str, &str)> = members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            guest.get(&format!("complete/telegram/?{}", form(&pairs))).await
        };
        let guest = Guest::new(&t);
        for bad in [ada(now - 700), with(ada(now), "id", "102"), with(ada(now), "hash", "")] {
            assert!(from_widget(&guest, bad).await.is_setback());
        }
        assert!(t.people().await.is_empty());
        let answer = from_widget(&guest, ada(now - 500)).await;
        assert!(answer.status == 303 && is_signed_in(&guest).await, "{answer:?}");
        let thief = Guest::new(&t);
        let again = from_widget(&thief, ada(now - 500)).await;
        assert!(again.is_setback() && !is_signed_in(&thief).await, "{again:?}");
        // The hash in other letters is the same proof.
        let shouted = value(&ada(now - 500), "hash").to_uppercase();
        let again = from_widget(&thief, with(ada(now - 500), "hash", &shouted)).await;
        assert!(again.is_setback() && !is_signed_in(&thief).await, "{again:?}");
    }
}

on_both_databases! {
    async fn what_is_no_bots_token_is_refused_at_the_start(setup: Setup) {
        let mut setup = setup;
        with_telegram(&mut setup, false);
        for bad in ["AAF-secret-half", "x:AAF-secret-half", ":AAF-secret-half", "42:"] {
            setup.provider("telegram").entry.insert("bot_token".into(), bad.into());
            let why = refused_at_start(&setup.settings).await;
            assert!(why.contains("telegram") && why.contains("bot_token") && !why.contains("secret-half"), "{bad}: {why}");
        }
    }
}

/// The forum's answer in this form, signed with this secret.
fn from_forum(there: &str, payload: &str, secret: &str) -> String {
    let back = value(&Asked::pairs(&asked_of_forum(there)), "return_sso_url");
    format!("{back}&{}", form(&[("sso", payload), ("sig", &hmac_hex(secret.as_bytes(), payload))]))
}

/// The form that the forum is asked with, after the look at its signature.
fn asked_of_forum(there: &str) -> String {
    let (place, _) = there.split_once('?').unwrap();
    assert_eq!(place, "https://forum.example.com/session/sso_provider");
    let payload = query(there, "sso");
    assert_eq!(query(there, "sig"), hmac_hex(FORUM_SECRET.as_bytes(), &payload));
    String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap()
}

fn nonce(there: &str) -> String {
    value(&Asked::pairs(&asked_of_forum(there)), "nonce")
}

fn told_of_ada(nonce: &str) -> String {
    form(&[
        ("nonce", nonce),
        ("external_id", "42"),
        ("username", "ada"),
        ("name", "Ada Lovelace"),
        ("email", "ada@example.com"),
        ("admin", "true"),
        ("groups", "trust_level_0,staff"),
    ])
}

async fn with_forum(mut setup: Setup) -> Test {
    let mut provider = enabled("", FORUM_SECRET);
    provider.client_id = None;
    provider.enabled = Some(true);
    provider.entry.insert("server_url".into(), "https://forum.example.com".into());
    setup.settings.providers.insert("discourse".into(), provider);
    setup.start().await
}

on_both_databases! {
    async fn question_and_answer_of_a_forum_are_signed(setup: Setup) {
        let t = with_forum(setup).await;
        let guest = Guest::new(&t);
        let there = set_out(&guest, "discourse").await;
        let back = value(&Asked::pairs(&asked_of_forum(&there)), "return_sso_url");
        assert!(back.starts_with(&t.url("complete/discourse/?redirect_state=")), "{back}");
        assert!(nonce(&there).len() >= 22);

        let payload = STANDARD.encode(told_of_ada(&nonce(&there)));
        let answer = guest.get(&from_forum(&there, &payload, FORUM_SECRET)).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let people = t.people().await;
        assert_eq!((people.len(), people[0].username.as_str(), people[0].email.as_str()), (1, "ada", "ada@example.com"));
        assert!(!people[0].is_staff && !people[0].is_superuser, "an administrator of the forum is none here");

        // Ruby's lines of 60 characters, each with its end.
        let other = Guest::new(&t);
        let there = set_out(&other, "discourse").await;
        let payload = STANDARD.encode(told_of_ada(&nonce(&there)));
        let folded: String =
            payload.as_bytes().chunks(60).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
        assert_eq!(other.get(&from_forum(&there, &folded, FORUM_SECRET)).await.status, 303);
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn what_the_forum_did_not_sign_for_this_browser_is_refused(setup: Setup) {
        let t = with_forum(setup).await;
        let (guest, attacker) = (Guest::new(&t), Guest::new(&t));
        let others = set_out(&attacker, "discourse").await;
        let encode = |text: String| STANDARD.encode(text);
        let there = set_out(&guest, "discourse").await;
        let stale = nonce(&there);
        for nonce_of in ["other", "stale", "none", "empty"] {
            let there = set_out(&guest, "discourse").await;
            let told = match nonce_of {
                "other" => told_of_ada(&nonce(&others)),
                "stale" => told_of_ada(&stale),
                "none" => form(&[("external_id", "42"), ("username", "ada")]),
                _ => told_of_ada(""),
            };
            let answer = guest.get(&from_forum(&there, &encode(told), FORUM_SECRET)).await;
            assert!(answer.is_setback() && answer.setback().1 == "nonce_mismatch", "{nonce_of}: {answer:?}");
        }
        // A secret of somebody else's; our own question as an answer; another payload under a good signature.
        let there = set_out(&guest, "discourse").await;
        let answer = guest.get(&from_forum(&there, &encode(told_of_ada(&nonce(&there))), "guessed")).await;
        assert_eq!(answer.setback().1, "code_rejected", "{answer:?}");
        let there = set_out(&guest, "discourse").await;
        let good = encode(told_of_ada(&nonce(&there)));
        let changed = encode(told_of_ada(&nonce(&there)).replace("external_id=42", "external_id=1"));
        let address = from_forum(&there, &good, FORUM_SECRET).replace(&form(&[("sso", &good)]), &form(&[("sso", &changed)]));
        assert_eq!(guest.get(&address).await.setback().1, "code_rejected");
        let there = set_out(&guest, "discourse").await;
        let echo = guest.get(&from_forum(&there, &query(&there, "sso"), FORUM_SECRET)).await;
        assert!(echo.is_setback(), "{echo:?}");
        let there = set_out(&guest, "discourse").await;
        let unsigned = from_forum(&there, &good, FORUM_SECRET);
        let (unsigned, _) = unsigned.split_once("&sig=").unwrap();
        assert_eq!(guest.get(unsigned).await.setback().1, "invalid_request");
        // What the attacker's forum account got, in the victim's browser.
        let there = from_forum(&others, &encode(told_of_ada(&nonce(&others))), FORUM_SECRET);
        set_out(&guest, "discourse").await;
        assert_eq!(guest.get(&there).await.setback().1, "other_sign_in");
        assert!(t.people().await.is_empty() && !is_signed_in(&guest).await);
        let app = converter(&t).await;
        assert_eq!(t.convert(&app, "discourse", &json!({"external_id": "42"}).to_string()).await.status, 400);
    }
}

on_both_databases! {
    async fn facebooks_signed_request_is_good_once_however_its_signature_is_written(setup: Setup) {
        let mut setup = setup;
        let host = Scripted::start(|asked| match (asked.path.as_str(), asked.query("access_token").as_str()) {
            ("/v24.0/me", "its-token") => told(200, r#"{"id": "110", "name": "Ada Lovelace"}"#),
            _ => told(400, r#"{"error": {"code": 190}}"#),
        });
        let host = host.await;
        setup.settings.outbound.origin_map.extend(host.origin_map(&["https://graph.facebook.com"]));
        setup.settings.providers.insert("facebook-app".into(), enabled("our-app", "our-secret"));
        let t = setup.start().await;
        let request = json!({
            "algorithm": "HMAC-SHA256", "issued_at": t.clock.now(), "user_id": "110", "oauth_token": "its-token",
        });
        let payload = URL_SAFE_NO_PAD.encode(request.to_string());
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"our-secret");
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, payload.as_bytes()));
        let launch = async |guest: &Guest<'_>, signature: &str| {
            guest.comes_from_elsewhere();
            guest.post("complete/facebook-app/", &[("signed_request", &format!("{signature}.{payload}"))]).await
        };
        let guest = Guest::new(&t);
        let answer = launch(&guest, &signature).await;
        assert!(answer.status == 303 && is_signed_in(&guest).await, "{answer:?}");
        for again in [signature.clone(), format!("{signature}="), format!("{signature}==")] {
            let thief = Guest::new(&t);
            let answer = launch(&thief, &again).await;
            assert!(answer.is_setback() && !is_signed_in(&thief).await, "{again}: {answer:?}");
            assert_eq!(answer.setback().1, "code_rejected");
        }
    }
}
