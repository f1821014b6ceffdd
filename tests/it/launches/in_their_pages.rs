//! Applications inside a page of the provider's, which starts them with an answer that nobody here asked for.

use serde_json::{Value, json};

use super::{
    CLIENT_ID, SECRET, depart, form, hex, hmac_sha256, is_signed_in, joined, md5, owner, posted, query, refuses, with,
};
use crate::harness::guest::Guest;
use crate::harness::key::encode;
use crate::harness::scripted::{Asked, Told, told};
use crate::harness::{Setup, Test, on_both_databases};

/// Facebook's Graph API: takes calls that have the proof of our secret.
fn facebook(asked: &Asked) -> Told {
    let token = asked.query("access_token");
    let proof = hex(&hmac_sha256(SECRET, &token));
    if asked.path != "/v24.0/me" || asked.query("appsecret_proof") != proof {
        return told(400, r#"{"error": {"code": 100, "message": "Invalid appsecret_proof"}}"#);
    }
    match token.as_str() {
        "adas-token" => told(200, r#"{"id": "1100", "name": "Ada Lovelace", "email": "ada@example.com"}"#),
        _ => told(400, r#"{"error": {"code": 190, "type": "OAuthException"}}"#),
    }
}

fn signed_request(secret: &str, members: &Value) -> String {
    let payload = encode(members.to_string().as_bytes());
    format!("{}.{payload}", encode(&hmac_sha256(secret, &payload)))
}

/// What Facebook signs about Ada, as it is this second.
fn about_ada(t: &Test) -> Value {
    json!({ "algorithm": "HMAC-SHA256", "issued_at": t.clock.now(), "user_id": "1100", "oauth_token": "adas-token", "expires": 0 })
}

const FACEBOOK: &[&str] = &["https://graph.facebook.com"];

on_both_databases! {
    async fn facebook_starts_a_sign_in_once(setup: Setup) {
        let (t, _host) = with(setup, "facebook-app", &[], FACEBOOK, facebook).await;
        let guest = Guest::new(&t);
        guest.comes_from_elsewhere();
        let signed = signed_request(SECRET, &about_ada(&t));
        let answer = guest.post("complete/facebook-app/", &[("signed_request", &signed)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(is_signed_in(&guest).await && owner(&t, "facebook-app", "1100").await.is_some());
        let stored = t.stored().await;
        assert!(!stored.windows(10).any(|bytes| bytes == b"adas-token"), "the token is stored as it is");

        let thief = Guest::new(&t);
        refuses(&thief.post("complete/facebook-app/", &[("signed_request", &signed)]).await, 400, "code_rejected", "again");
        assert!(!is_signed_in(&thief).await);

        // A token beside what is signed, for the person who is.
        let mut members = about_ada(&t);
        members["oauth_token"] = Value::Null;
        let signed = signed_request(SECRET, &members);
        let beside = [("signed_request", signed.as_str()), ("access_token", "adas-token")];
        assert_eq!(Guest::new(&t).post("complete/facebook-app/", &beside).await.status, 303);
        assert_eq!(t.people().await.len(), 1);
        // Nobody can be sent there.
        assert!(Guest::new(&t).get("login/facebook-app/").await.is_setback());
    }
}

on_both_databases! {
    async fn what_facebook_did_not_sign_for_us_and_now_signs_nobody_in(setup: Setup) {
        let (t, host) = with(setup, "facebook-app", &[], FACEBOOK, facebook).await;
        let changed = |name: &str, value: Value| {
            let mut members = about_ada(&t);
            members[name] = value;
            signed_request(SECRET, &members)
        };
        let now = t.clock.now();
        let good = signed_request(SECRET, &about_ada(&t));
        let (signature, payload) = good.split_once('.').unwrap();
        let other = encode(json!({ "algorithm": "HMAC-SHA256", "issued_at": now, "user_id": "2" }).to_string().as_bytes());
        for (case, signed) in [
            ("another application's secret", signed_request("another", &about_ada(&t))),
            ("another person under this signature", format!("{signature}.{other}")),
            ("no signature", format!(".{payload}")),
            ("no dot", payload.to_owned()),
            ("another algorithm", changed("algorithm", "none".into())),
            ("too old", changed("issued_at", (now - 700).into())),
            ("of tomorrow", changed("issued_at", (now + 86_400).into())),
            ("of no time", changed("issued_at", Value::Null)),
        ] {
            let answer = Guest::new(&t).post("complete/facebook-app/", &[("signed_request", &signed)]).await;
            refuses(&answer, 400, "code_rejected", case);
        }
        assert!(host.asked.lock().unwrap().is_empty(), "Facebook is asked about nothing that it did not sign");
        for (case, word, name, value) in [
            ("another person's token", "token_rejected", "user_id", "2".into()),
            ("a token that Facebook does not know", "token_rejected", "oauth_token", "another".into()),
            ("not allowed yet", "profile_incomplete", "oauth_token", Value::Null),
        ] {
            let signed = changed(name, value);
            refuses(&Guest::new(&t).post("complete/facebook-app/", &[("signed_request", &signed)]).await, 400, word, case);
        }
        // Nobody is signed in over somebody else by a page of another site.
        t.person("eve").await;
        let eve = Guest::new(&t);
        eve.enter("eve").await;
        refuses(&eve.post("complete/facebook-app/", &[("signed_request", &good)]).await, 409, "other_person", "eve");
        assert_eq!((t.people().await.len(), owner(&t, "facebook-app", "1100").await), (1, None));
    }
}

/// VK: one token of Ada's (1), and one of Eve's (2), who does not use the application.
fn vk(asked: &Asked) -> Told {
    let id = match asked.query("access_token").as_str() {
        "adas-token" => "1",
        "eves-token" => "2",
        _ => return told(200, r#"{"error": {"error_code": 5, "error_msg": "User authorization failed"}}"#),
    };
    match asked.path.as_str() {
        "/method/users.get" => told(
            200,
            format!(
                r#"{{"response": [{{"id": {id}, "screen_name": "vk{id}", "first_name": "Ada", "last_name": "Lovelace"}}]}}"#
            ),
        ),
        "/method/users.isAppUser" => {
            told(200, format!(r#"{{"response": {}}}"#, u8::from(asked.query("user_id") == "1")))
        }
        _ => told(404, ""),
    }
}

fn vk_launch(viewer: &str, secret: &str, token: &str) -> String {
    let key = md5(&format!("{CLIENT_ID}_{viewer}_{secret}"));
    let pairs = [("api_id", CLIENT_ID), ("viewer_id", viewer), ("auth_key", &key), ("access_token", token)];
    format!("complete/vk-app/?{}", form(&pairs))
}

on_both_databases! {
    async fn vk_starts_a_sign_in_with_a_key_and_a_token_of_the_same_person(setup: Setup) {
        let (t, host) = with(setup, "vk-app", &[], &["https://api.vk.ru"], vk).await;
        for (case, word, launch) in [
            ("another secret", "code_rejected", vk_launch("1", "another", "adas-token")),
            ("no key", "code_rejected", vk_launch("1", SECRET, "adas-token").replace("auth_key=", "auth_key=0")),
            ("another person", "code_rejected", vk_launch("1", SECRET, "adas-token").replace("viewer_id=1", "viewer_id=2")),
            ("another application", "code_rejected", vk_launch("1", SECRET, "adas-token").replace("api_id=our", "api_id=an")),
        ] {
            refuses(&Guest::new(&t).get(&launch).await, 400, word, case);
        }
        assert!(host.asked.lock().unwrap().is_empty());
        for (case, word, launch) in [
            ("another person's token", "token_rejected", vk_launch("1", SECRET, "eves-token")),
            ("an old token", "token_expired", vk_launch("1", SECRET, "old-token")),
            ("no token", "invalid_request", vk_launch("1", SECRET, "").replace("&access_token=", "")),
        ] {
            refuses(&Guest::new(&t).get(&launch).await, 400, word, case);
        }
        assert!(t.people().await.is_empty());
        let guest = Guest::new(&t);
        assert_eq!(guest.get(&vk_launch("1", SECRET, "adas-token")).await.status, 303);
        assert!(is_signed_in(&guest).await);
        assert_eq!(owner(&t, "vk-app", "1").await.as_deref(), Some("vk1"));
        assert!(Guest::new(&t).get("login/vk-app/").await.is_setback());
    }
}

on_both_databases! {
    async fn vk_says_who_uses_the_application(setup: Setup) {
        let (t, _host) = with(setup, "vk-app", &[("usermode", "2")], &["https://api.vk.ru"], vk).await;
        let (ada, eve) = (vk_launch("1", SECRET, "adas-token"), vk_launch("2", SECRET, "eves-token"));
        // What the parameter says does not count.
        let refused = Guest::new(&t).get(&format!("{eve}&is_app_user=1")).await;
        refuses(&refused, 403, "person_not_allowed", "eve");
        assert_eq!(Guest::new(&t).get(&format!("{ada}&is_app_user=0")).await.status, 303);

        let by_parameter = t.second_node_with(|settings| {
            settings.providers.get_mut("vk-app").unwrap().entry.insert("usermode".into(), "1".into());
        }).await;
        for (more, status) in [("", 403), ("&is_app_user=0", 403), ("&is_app_user=1", 303)] {
            assert_eq!(Guest::new(&by_parameter).get(&format!("{eve}{more}")).await.status, status, "{more}");
        }
    }
}

const OK: &[(&str, &str)] = &[("public_name", "CBACBA")];

/// Odnoklassniki: the session `adas-session` lives, and its secret is `ssk`.
fn odnoklassniki(asked: &Asked) -> Told {
    let wrong = || told(200, r#"{"error_code": 104, "error_msg": "PARAM_SIGNATURE : Invalid signature"}"#);
    if asked.path != "/fb.do" {
        return told(404, "");
    }
    if asked.method == "POST" {
        let of_session = md5(&format!("{}ssk", joined(Asked::pairs(&asked.body), &["sig", "session_key"])));
        let is_signed = posted(asked, "sig") == of_session && posted(asked, "application_key") == "CBACBA";
        return match (posted(asked, "method").as_str(), posted(asked, "session_key").as_str()) {
            _ if !is_signed => wrong(),
            ("users.getLoggedInUser", "adas-session") => told(200, r#""7553""#),
            _ => told(200, r#"{"error_code": 102, "error_msg": "PARAM_SESSION_EXPIRED"}"#),
        };
    }
    let ours = md5(&format!("{}{SECRET}", joined(Asked::pairs(&asked.query), &["sig"])));
    match (asked.query("method").as_str(), asked.query("uids").as_str()) {
        _ if asked.query("sig") != ours => wrong(),
        ("users.getInfo", "7553") => told(
            200,
            r#"[{"uid": "7553", "first_name": "%D0%90%D0%B4%D0%B0", "last_name": "", "name": "%D0%90%D0%B4%D0%B0"}]"#,
        ),
        _ => told(200, "[]"),
    }
}

fn ok_launch(user: &str, session: &str, session_secret: &str, secret: &str) -> String {
    let signature = md5(&format!("{user}{session}{secret}"));
    let pairs = [
        ("logged_user_id", user),
        ("session_key", session),
        ("session_secret_key", session_secret),
        ("auth_sig", &signature),
    ];
    format!("complete/odnoklassniki-app/?{}", form(&pairs))
}

on_both_databases! {
    async fn odnoklassniki_says_whose_session_it_started(setup: Setup) {
        let (t, host) = with(setup, "odnoklassniki-app", OK, &["https://api.ok.ru"], odnoklassniki).await;
        for (case, launch) in [
            ("another secret", ok_launch("7553", "adas-session", "ssk", "another")),
            ("another person", ok_launch("7553", "adas-session", "ssk", SECRET).replace("id=7553", "id=7554")),
            ("no signature", ok_launch("7553", "adas-session", "ssk", SECRET).replace("auth_sig=", "auth_sig=0")),
        ] {
            refuses(&Guest::new(&t).get(&launch).await, 400, "code_rejected", case);
        }
        assert!(host.asked.lock().unwrap().is_empty());
        for (case, word, launch) in [
            ("another person's session", "token_rejected", ok_launch("7554", "adas-session", "ssk", SECRET)),
            ("without the session's secret", "token_rejected", ok_launch("7553", "adas-session", "guessed", SECRET)),
            ("an old session", "token_expired", ok_launch("7553", "old-session", "ssk", SECRET)),
        ] {
            refuses(&Guest::new(&t).get(&launch).await, 400, word, case);
        }
        assert!(t.people().await.is_empty());
        let guest = Guest::new(&t);
        let answer = guest.get(&ok_launch("7553", "adas-session", "ssk", SECRET)).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(is_signed_in(&guest).await && owner(&t, "odnoklassniki-app", "7553").await.is_some());
        assert_eq!(t.people().await[0].first_name, "Ада");
        assert!(Guest::new(&t).get("login/odnoklassniki-app/").await.is_setback());
    }
}

/// GitHub: `our-code` is a code of a sign-in, and `installed` that of an installation.
fn github(asked: &Asked) -> Told {
    match (asked.host.as_str(), asked.path.as_str()) {
        ("github.com", "/login/oauth/access_token")
            if ["our-code", "installed"].contains(&posted(asked, "code").as_str()) =>
        {
            told(200, r#"{"access_token": "adas-token", "token_type": "bearer"}"#)
        }
        ("api.github.com", "/user") if asked.authorization == "token adas-token" => {
            told(200, r#"{"id": 7, "login": "ada", "name": "Ada", "email": null}"#)
        }
        ("api.github.com", "/user/emails") => told(200, "[]"),
        _ => told(404, "{}"),
    }
}

on_both_databases! {
    async fn an_installation_at_github_begins_the_sign_in_anew(setup: Setup) {
        let origins = ["https://github.com", "https://api.github.com"];
        let (t, host) = with(setup, "github-app", &[], &origins, github).await;
        let guest = Guest::new(&t);
        let installed = "complete/github-app/?code=installed&installation_id=1&setup_action=install";
        let again = guest.get(installed).await;
        assert_eq!((again.status, again.header("location").as_str()), (303, "/auth/login/github-app/"));
        // Whoever's code that is: it is not redeemed.
        assert!(host.asked.lock().unwrap().is_empty() && !is_signed_in(&guest).await);
        let there = depart(&guest, "/auth/login/github-app/").await;
        assert!(there.starts_with("https://github.com/login/oauth/authorize?"), "{there}");
        let back = format!("complete/github-app/?code=our-code&state={}", query(&there, "state"));
        assert_eq!(guest.get(&back).await.status, 303);
        assert_eq!(owner(&t, "github-app", "7").await.as_deref(), Some("ada"));
        // With a state it is an answer like any other, and of no use without the sign-in that it names.
        let stranger = Guest::new(&t);
        refuses(&stranger.get(&format!("{installed}&state=x")).await, 400, "not_begun_here", "a state");
        refuses(&stranger.get("complete/github-app/?code=installed").await, 400, "not_begun_here", "no installation");
        assert!(!is_signed_in(&stranger).await);
    }
}
