//! Calls with something beside: VK ID's device and state, and the signatures of Mail.ru and Odnoklassniki.

use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{converter, form, md5_hex, query, redeem, set_out};
use crate::harness::guest::Guest;
use crate::harness::key::encode;
use crate::harness::scripted::{Asked, Scripted, Told, told, value};
use crate::harness::{Answer, Setup, Test, enabled, on_both_databases};

/// VK ID, and what it says beside the usual.
#[derive(Default)]
struct Vk {
    challenge: String,
    states: Vec<String>,
    /// What of the token endpoint's answer is other than it should be.
    over: Value,
}

fn vk(state: &Mutex<Vk>, asked: &Asked) -> Told {
    let mut state = state.lock().unwrap();
    let form = Asked::pairs(&asked.body);
    let get = |name: &str| value(&form, name);
    match asked.path.as_str() {
        "/oauth2/auth" => {
            let challenge = encode(digest(&SHA256, get("code_verifier").as_bytes()).as_ref());
            let has_secret = form.iter().any(|(name, _)| name == "client_secret") || !asked.authorization.is_empty();
            let known = [get("grant_type"), get("code"), get("device_id"), get("client_id")];
            if has_secret
                || known != ["authorization_code", "vk2.a.x", "its-device", "our-client"]
                || challenge != state.challenge
            {
                return told(400, r#"{"error":"invalid_grant"}"#);
            }
            state.states.push(get("state"));
            let mut answer = json!({
                "access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600, "user_id": 77,
                "state": get("state"),
            });
            for (name, value) in state.over.as_object().into_iter().flatten() {
                answer[name] = value.clone();
            }
            told(200, answer.to_string())
        }
        "/oauth2/user_info" if (get("access_token"), get("client_id")) == ("at".into(), "our-client".into()) => told(
            200,
            r#"{"user": {"user_id": "77", "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com"}}"#,
        ),
        _ => told(404, ""),
    }
}

async fn with_vk(mut setup: Setup) -> (Test, Scripted, Arc<Mutex<Vk>>) {
    let state = Arc::new(Mutex::new(Vk::default()));
    let shared = state.clone();
    let host = Scripted::start(move |asked| vk(&shared, asked)).await;
    setup.settings.outbound.origin_map.extend(host.origin_map(&["https://id.vk.ru"]));
    setup.settings.providers.insert("vk-id".into(), enabled("our-client", "our-secret"));
    (setup.start().await, host, state)
}

/// Goes to VK and comes back with these parameters, in which `STATE` is the browser's.
async fn round_trip(guest: &Guest<'_>, state: &Mutex<Vk>, back: &[(&str, &str)]) -> (Answer, String) {
    let there = set_out(guest, "vk-id").await;
    assert!(there.starts_with("https://id.vk.ru/authorize?"), "{there}");
    assert_eq!(query(&there, "code_challenge_method"), "S256");
    state.lock().unwrap().challenge = query(&there, "code_challenge");
    let own = query(&there, "state");
    let back = form(back).replace("STATE", &own);
    (guest.get(&format!("complete/vk-id/?{back}")).await, own)
}

const GOOD: [(&str, &str); 3] = [("code", "vk2.a.x"), ("state", "STATE"), ("device_id", "its-device")];

on_both_databases! {
    async fn vk_id_gets_the_device_and_a_state_of_each_request(setup: Setup) {
        let (t, _host, state) = with_vk(setup).await;
        let guest = Guest::new(&t);
        let (answer, own) = round_trip(&guest, &state, &GOOD).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let people = t.people().await;
        assert_eq!((people.len(), people[0].first_name.as_str(), people[0].email.as_str()), (1, "Ada", "ada@example.com"));
        // As VK's script sends it: in one piece.
        let payload = r#"{"code": "vk2.a.x", "state": "STATE", "device_id": "its-device", "type": "code_v2"}"#;
        let (answer, _) = round_trip(&Guest::new(&t), &state, &[("payload", payload)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let states = state.lock().unwrap().states.clone();
        assert!(states.len() == 2 && states[0] != states[1] && !states.contains(&own), "{states:?}");
        assert!(states.iter().all(|state| state.len() >= 32));
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn vk_ids_answer_to_another_request_is_refused(setup: Setup) {
        let (t, host, state) = with_vk(setup).await;
        let guest = Guest::new(&t);
        for (over, word) in [
            (json!({ "state": "another" }), "code_rejected"),
            (json!({ "state": null }), "code_rejected"),
            (json!({ "state": "" }), "code_rejected"),
            (json!({ "state": 7 }), "code_rejected"),
            (json!({ "user_id": 78 }), "person_not_allowed"),
        ] {
            state.lock().unwrap().over = over.clone();
            let (answer, _) = round_trip(&guest, &state, &GOOD).await;
            assert!(answer.is_setback() && answer.setback().1 == word, "{over}: {answer:?}");
        }
        state.lock().unwrap().over = Value::Null;
        let (answer, _) = round_trip(&guest, &state, &[GOOD[0], GOOD[1], ("device_id", "another-device")]).await;
        assert_eq!(answer.setback().1, "code_rejected", "{answer:?}");

        // What cannot be right is not even sent.
        let before = host.asked.lock().unwrap().len();
        let long = "x".repeat(100_000);
        for back in [
            vec![GOOD[0], GOOD[1]],
            vec![GOOD[0], GOOD[1], ("device_id", "")],
            vec![GOOD[0], GOOD[1], ("device_id", "a\r\nb")],
            vec![GOOD[0], ("state", "another"), GOOD[2]],
            vec![GOOD[0], GOOD[1], GOOD[2], ("payload", r#"{"code": "another"}"#)],
            vec![GOOD[0], GOOD[1], GOOD[2], ("payload", r#"{"device_id": "another"}"#)],
            vec![GOOD[0], GOOD[1], ("payload", r#"{"device_id": 7}"#)],
            vec![GOOD[0], GOOD[1], ("payload", "[]")],
            vec![("payload", r#"{"state": "STATE", "error": "access_denied"}"#)],
        ] {
            let (answer, _) = round_trip(&guest, &state, &back).await;
            assert!(answer.is_setback() && answer.status < 500, "{back:?}: {answer:?}");
        }
        let posted = guest.post("complete/vk-id/", &[("payload", &long)]).await;
        assert!(posted.status < 500);
        assert_eq!(host.asked.lock().unwrap().len(), before);
        assert!(t.people().await.is_empty());
    }
}

/// With what a signature could be made wrongly of.
const TOKEN: &str = "t.o-k~e+n/=";
const SECRET: &str = "s&cr=t";

/// `name=value` in the order of the names, without the signature and these.
fn text(asked: &Asked, without: &[&str]) -> String {
    let mut pairs = Asked::pairs(&asked.query);
    pairs.retain(|(name, _)| name != "sig" && !without.contains(&name.as_str()));
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn given(code: &str) -> Told {
    match code {
        "good" => told(200, json!({ "access_token": TOKEN, "token_type": "bearer", "expires_in": 3600 }).to_string()),
        _ => told(400, r#"{"error":"invalid_grant"}"#),
    }
}

fn my_world(asked: &Asked) -> Told {
    match (asked.host.as_str(), asked.path.as_str()) {
        ("connect.mail.ru", "/oauth/token") => given(&value(&Asked::pairs(&asked.body), "code")),
        ("www.appsmail.ru", "/platform/api") => {
            let members =
                [asked.query("method"), asked.query("app_id"), asked.query("secure"), asked.query("session_key")];
            let is_right = members == ["users.getInfo", "our-client", "1", TOKEN]
                && asked.query("sig") == md5_hex(&format!("{}{SECRET}", text(asked, &[])));
            match is_right {
                true => told(
                    200,
                    r#"[{"uid": "154", "nick": "%61da", "email": "ada@mail.ru", "first_name": "%D0%90%D0%B4%D0%B0", "last_name": "L"}]"#,
                ),
                false => told(403, r#"{"error": {"error_code": 104, "error_msg": "Incorrect signature"}}"#),
            }
        }
        _ => told(404, ""),
    }
}

fn odnoklassniki(asked: &Asked) -> Told {
    match (asked.host.as_str(), asked.path.as_str()) {
        ("api.ok.ru", "/oauth/token.do") => given(&value(&Asked::pairs(&asked.body), "code")),
        ("api.ok.ru", "/fb.do") => {
            let members = [asked.query("method"), asked.query("application_key"), asked.query("access_token")];
            let session_secret = md5_hex(&format!("{TOKEN}{SECRET}"));
            let is_right = members == ["users.getCurrentUser", "PUBLIC-KEY", TOKEN]
                && asked.query("sig") == md5_hex(&format!("{}{session_secret}", text(asked, &["access_token"])));
            match is_right {
                true => {
                    told(200, r#"{"uid": "755", "name": "Ada Lovelace", "first_name": "Ada", "last_name": "Lovelace"}"#)
                }
                // With 200, as it does.
                false => told(
                    200,
                    r#"{"error_code": 104, "error_msg": "PARAM_SIGNATURE : Invalid signature", "error_data": null}"#,
                ),
            }
        }
        _ => told(404, ""),
    }
}

on_both_databases! {
    async fn calls_to_mail_ru_and_odnoklassniki_are_signed_with_our_secret(setup: Setup) {
        let mut setup = setup;
        let (world, ok) = (Scripted::start(my_world).await, Scripted::start(odnoklassniki).await);
        let origins = world.origin_map(&["https://connect.mail.ru", "https://www.appsmail.ru"]);
        setup.settings.outbound.origin_map.extend(origins);
        setup.settings.outbound.origin_map.extend(ok.origin_map(&["https://api.ok.ru"]));
        setup.settings.providers.insert("mailru-oauth2".into(), enabled("our-client", SECRET));
        setup.settings.providers.insert("odnoklassniki-oauth2".into(), enabled("our-client", SECRET));
        setup.provider("odnoklassniki-oauth2").entry.insert("public_name".into(), "PUBLIC-KEY".into());
        let t = setup.start().await;
        let app = converter(&t).await;
        let wrong = t.second_node_with(|settings| {
            for name in ["mailru-oauth2", "odnoklassniki-oauth2"] {
                let known = settings.providers.get_mut(name).unwrap();
                known.client_secret = enabled("", "another").client_secret;
            }
        });
        let wrong = wrong.await;
        for (backend, username, name) in [("mailru-oauth2", "ada", "Ада"), ("odnoklassniki-oauth2", "755", "Ada")] {
            // The host takes no other signature.
            let refused = redeem(&wrong, &app, backend, "good").await;
            assert_eq!((refused.status, refused.field("error").as_str()), (400, "invalid_grant"), "{backend}: {refused:?}");
            assert!(t.find_person(username).await.is_none());

            let answer = redeem(&t, &app, backend, "good").await;
            assert_eq!(answer.status, 200, "{backend}: {answer:?}");
            assert!(t.find_person(username).await.is_some_and(|person| person.first_name == name), "{backend}");
            // The same by a token that the application got: nothing but a signature of ours reads it.
            let converted = t.convert(&app, backend, TOKEN).await;
            assert_eq!(converted.status, 200, "{backend}: {converted:?}");
            assert_eq!(t.convert(&app, backend, "another-token").await.refusal(), "400 invalid_grant token_rejected");
        }
        assert_eq!(t.people().await.len(), 2);
        for asked in world.asked.lock().unwrap().iter().chain(ok.asked.lock().unwrap().iter()) {
            assert!(!asked.query.contains("s%26cr"), "{asked:?}");
        }
    }
}
