//! OpenID Connect with something beside: Apple's client secret, Microsoft's assertions, Google's posted credential.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule::clock::Clock;
use vestibule::settings::{Hidden, ProviderSettings};
use vestibule::store::association;

use super::{converter, is_signed_in, query, redeem, refused_at_start, set_out};
use crate::harness::guest::Guest;
use crate::harness::key::{ClientKey, claims, encode, header};
use crate::harness::scripted::{Asked, Scripted, Told, told, value};
use crate::harness::{Answer, Setup, Test, enabled, on_both_databases};

fn key_set(key: &ClientKey) -> String {
    let mut jwk = key.jwk();
    jwk["kid"] = "its-key".into();
    json!({ "keys": [jwk] }).to_string()
}

fn id_token(key: &ClientKey, claims: &Value) -> String {
    key.sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": "its-key" }), claims)
}

/// A private key as Apple gives it, and the public one.
fn p8(algorithm: &'static EcdsaSigningAlgorithm) -> (String, Vec<u8>) {
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let public = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref()).unwrap().public_key().as_ref().to_vec();
    let lines: Vec<String> =
        STANDARD.encode(&der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    (format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")), public)
}

fn apple_settings(pem: &str) -> ProviderSettings {
    let mut provider = enabled("com.example.web", pem);
    provider.entry.insert("team".into(), "TEAM123456".into());
    provider.entry.insert("key".into(), "KEY1234567".into());
    provider
}

/// What Apple looks at in a client secret.
fn is_client_secret(secret: &str, public: &[u8], now: i64) -> bool {
    let Some((message, signature)) = secret.rsplit_once('.') else { return false };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    let (head, claims) = (header(secret), claims(secret));
    let expires_in = claims["exp"].as_i64().unwrap_or_default() - now;
    key.verify(message.as_bytes(), &signature).is_ok()
        && (&head["alg"], &head["kid"]) == (&json!("ES256"), &json!("KEY1234567"))
        && (&claims["iss"], &claims["sub"]) == (&json!("TEAM123456"), &json!("com.example.web"))
        && claims["aud"] == "https://appleid.apple.com"
        && claims["iat"].as_i64().is_some_and(|at| (at - now).abs() < 60)
        && (1..=15_777_000).contains(&expires_in)
}

struct Apple {
    key: ClientKey,
    public: Vec<u8>,
    nonce: String,
    challenge: String,
    secrets: BTreeSet<String>,
}

fn apple(state: &Mutex<Apple>, clock: &Clock, asked: &Asked) -> Told {
    let mut state = state.lock().unwrap();
    let form = Asked::pairs(&asked.body);
    match asked.path.as_str() {
        "/auth/keys" => told(200, key_set(&state.key)),
        "/auth/token" => {
            let secret = value(&form, "client_secret");
            let verifier = encode(digest(&SHA256, value(&form, "code_verifier").as_bytes()).as_ref());
            if !is_client_secret(&secret, &state.public, clock.now()) {
                return told(400, r#"{"error":"invalid_client"}"#);
            }
            if value(&form, "code") != "c0.x" || !state.challenge.is_empty() && verifier != state.challenge {
                return told(400, r#"{"error":"invalid_grant"}"#);
            }
            state.secrets.insert(secret);
            let claims = json!({
                "iss": "https://appleid.apple.com", "aud": "com.example.web", "sub": "001.ada.0123", "exp": clock.now() + 600,
                "iat": clock.now(), "nonce": state.nonce, "nonce_supported": true, "email": "ada@example.com",
                "email_verified": "true",
            });
            let id_token = id_token(&state.key, &claims);
            let answer = json!({
                "access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r", "id_token": id_token,
            });
            told(200, answer.to_string())
        }
        _ => told(404, ""),
    }
}

async fn with_apple(mut setup: Setup) -> (Test, Scripted, Arc<Mutex<Apple>>) {
    let (pem, public) = p8(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let host = Scripted::start(|_| told(404, "")).await;
    setup.settings.outbound.origin_map.extend(host.origin_map(&["https://appleid.apple.com"]));
    setup.settings.providers.insert("apple-id".into(), apple_settings(&pem));
    let t = setup.start().await;
    let (nonce, challenge) = (String::new(), String::new());
    let state =
        Arc::new(Mutex::new(Apple { key: ClientKey::new(), public, nonce, challenge, secrets: BTreeSet::new() }));
    let (shared, clock) = (state.clone(), t.clock.clone());
    host.turn(move |asked| apple(&shared, &clock, asked));
    (t, host, state)
}

/// Goes to Apple and comes back by its form, which another site posts, so without cookies.
async fn by_apples_form(t: &Test, guest: &Guest<'_>, state: &Mutex<Apple>, user: Option<&str>) -> Answer {
    let there = set_out(guest, "apple-id").await;
    assert!(there.starts_with("https://appleid.apple.com/auth/authorize?"), "{there}");
    assert_eq!((query(&there, "response_mode"), query(&there, "scope")), ("form_post".into(), "name email".into()));
    {
        let mut state = state.lock().unwrap();
        (state.nonce, state.challenge) = (query(&there, "nonce"), query(&there, "code_challenge"));
        assert!(!state.nonce.is_empty());
    }
    let its_state = query(&there, "state");
    let mut form = vec![("code", "c0.x"), ("state", its_state.as_str())];
    form.extend(user.map(|user| ("user", user)));
    let posted = Guest::new(t).post("complete/apple-id/", &form).await;
    assert_eq!(posted.status, 303, "{posted:?}");
    guest.get(&posted.header("location")).await
}

on_both_databases! {
    async fn apple_knows_us_by_a_secret_that_our_key_signed_just_now(setup: Setup) {
        let (t, _host, state) = with_apple(setup).await;
        let guest = Guest::new(&t);
        let user = r#"{"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "root@example.com", "sub": "root"}"#;
        let answer = by_apples_form(&t, &guest, &state, Some(user)).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let people = t.people().await;
        let ada = &people[0];
        assert_eq!((people.len(), ada.first_name.as_str(), ada.last_name.as_str()), (1, "Ada", "Lovelace"));
        // Beside the name, what the browser carried counts for nothing.
        assert_eq!((ada.username.as_str(), ada.email.as_str()), ("001.ada.0123", "ada@example.com"));

        // Later, Apple says no name any more, and a new secret is made.
        t.clock.advance(7_200);
        for user in [None, Some("no JSON"), Some(r#"{"name": "Eve"}"#), Some("{")] {
            let answer = by_apples_form(&t, &Guest::new(&t), &state, user).await;
            assert_eq!(answer.status, 303, "{user:?}: {answer:?}");
        }
        let people = t.people().await;
        assert_eq!((people.len(), people[0].first_name.as_str(), people[0].last_name.as_str()), (1, "Ada", "Lovelace"));
        let secrets = state.lock().unwrap().secrets.clone();
        assert!(secrets.len() >= 2, "each call has a secret of its own");
        let stored = t.stored().await;
        for secret in secrets {
            assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        }
    }
}

on_both_databases! {
    async fn what_apple_does_not_know_us_by_is_the_operators_matter(setup: Setup) {
        let (t, _host, state) = with_apple(setup).await;
        let (_, other) = p8(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let right = std::mem::replace(&mut state.lock().unwrap().public, other);
        let guest = Guest::new(&t);
        let answer = by_apples_form(&t, &guest, &state, None).await;
        assert!(answer.is_setback() && answer.setback().1 == "provider_misconfigured", "{answer:?}");
        state.lock().unwrap().public = right;
        // An ID token of another sign-in.
        let there = set_out(&guest, "apple-id").await;
        {
            let mut state = state.lock().unwrap();
            (state.nonce, state.challenge) = ("another".into(), String::new());
        }
        let answer = guest.get(&format!("complete/apple-id/?code=c0.x&state={}", query(&there, "state"))).await;
        assert!(answer.is_setback() && answer.setback().1 == "nonce_mismatch", "{answer:?}");
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn what_is_no_key_of_apples_is_refused_at_the_start(setup: Setup) {
        let mut setup = setup;
        let (good, _) = p8(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let (other_curve, public) = p8(&ECDSA_P384_SHA384_FIXED_SIGNING);
        let half: String = good.lines().take(2).collect::<Vec<_>>().join("\n");
        let public = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(public));
        for bad in ["AuthKey_KEY1234567.p8", "-----BEGIN PRIVATE KEY-----", &half, &public, &other_curve] {
            setup.settings.providers.insert("apple-id".into(), apple_settings(bad));
            let why = refused_at_start(&setup.settings).await;
            assert!(why.contains("apple-id") && why.contains("client_secret") && why.contains(".p8"), "{bad}: {why}");
            assert!(!why.contains(bad), "{why}");
        }
        // As an environment variable often has it: in one line, or without the first and the last.
        let bare: String = good.lines().filter(|line| !line.contains("-----")).collect();
        for fine in [good.replace('\n', " "), bare] {
            setup.settings.providers.insert("apple-id".into(), apple_settings(&fine));
            let settings = setup.settings.clone();
            vestibule::Vestibule::open_with_clock(settings, &[crate::harness::KEY], Clock::default()).await.unwrap();
        }
    }
}

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Microsoft, that knows us by this assertion alone.
async fn microsoft(key: ClientKey, assertion: Arc<Mutex<String>>) -> Scripted {
    Scripted::start(move |asked| {
        let form = Asked::pairs(&asked.body);
        match asked.path.as_str() {
            "/common/v2.0/.well-known/openid-configuration" => {
                let own = |path: &str| format!("https://login.microsoftonline.com/common/{path}");
                let document = json!({
                    "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0", "jwks_uri": own("discovery/v2.0/keys"),
                    "authorization_endpoint": own("oauth2/v2.0/authorize"), "token_endpoint": own("oauth2/v2.0/token"),
                });
                told(200, document.to_string())
            }
            "/common/discovery/v2.0/keys" => told(200, key_set(&key)),
            "/common/oauth2/v2.0/token" => {
                let has_secret = form.iter().any(|(name, _)| name == "client_secret") || !asked.authorization.is_empty();
                let is_known = value(&form, "client_assertion") == *assertion.lock().unwrap()
                    && value(&form, "client_assertion_type") == KIND
                    && value(&form, "client_id") == "our-client";
                if has_secret || !is_known {
                    return told(401, r#"{"error":"invalid_client"}"#);
                }
                let claims = json!({
                    "iss": "https://login.microsoftonline.com/72f9/v2.0", "tid": "72f9", "aud": "our-client", "sub": "ada-sub",
                    "exp": 4_102_444_800_i64, "iat": 1_700_000_000, "name": "Ada Lovelace",
                });
                told(200, json!({ "access_token": "a", "id_token": id_token(&key, &claims) }).to_string())
            }
            _ => told(404, ""),
        }
    })
    .await
}

fn azure_settings(further: &[(&str, &str)]) -> ProviderSettings {
    let mut provider =
        ProviderSettings { client_id: Some("our-client".into()), enabled: Some(true), ..ProviderSettings::default() };
    provider.entry.extend(further.iter().map(|(name, value)| ((*name).to_owned(), toml::Value::from(*value))));
    provider
}

const AZURE: &str = "azuread-oauth2-v2";

on_both_databases! {
    async fn microsoft_knows_us_by_an_assertion_in_place_of_a_secret(setup: Setup) {
        let mut setup = setup;
        let assertion = Arc::new(Mutex::new("the.configured.assertion".to_owned()));
        let host = microsoft(ClientKey::new(), assertion.clone()).await;
        setup.settings.outbound.origin_map.extend(host.origin_map(&["https://login.microsoftonline.com"]));
        let configured = azure_settings(&[("client_assertion", " the.configured.assertion\n")]);
        setup.settings.providers.insert(AZURE.into(), configured);
        let t = setup.start().await;
        let app = converter(&t).await;
        let answer = redeem(&t, &app, AZURE, "code-1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(t.people().await.len(), 1);
        *assertion.lock().unwrap() = "another".into();
        assert_eq!(redeem(&t, &app, AZURE, "code-2").await.refusal(), "502 server_error provider_misconfigured");

        // In a file that the platform writes anew.
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let path = |file: &Path| file.to_str().unwrap().to_owned();
        let node = t.second_node_with(|settings| {
            settings.providers.insert(AZURE.into(), azure_settings(&[("federated_token_file", &path(&file))]));
        });
        let node = node.await;
        let says = |text: &str| *assertion.lock().unwrap() = text.to_owned();
        for (at, text) in ["first.of.file", "second.of.file"].into_iter().enumerate() {
            std::fs::write(&file, format!("{text}\n")).unwrap();
            says(text);
            assert_eq!(redeem(&node, &app, AZURE, &format!("code-3{at}")).await.status, 200, "{text}");
        }
        let asked = host.asked.lock().unwrap().len();
        std::fs::write(&file, " \n").unwrap();
        says("");
        assert_eq!(redeem(&node, &app, AZURE, "code-4").await.refusal(), "502 server_error provider_misconfigured");
        std::fs::remove_file(&file).unwrap();
        let gone = redeem(&node, &app, AZURE, "code-5").await;
        assert_eq!(gone.refusal(), "502 server_error provider_misconfigured");
        assert!(!gone.text.contains(&path(&file)), "where the file is, is the operator's: {gone:?}");
        assert_eq!(host.asked.lock().unwrap().len(), asked, "nothing is sent without a proof");
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn microsoft_without_any_proof_of_ours_is_refused_at_the_start(setup: Setup) {
        let mut setup = setup;
        setup.settings.providers.insert(AZURE.into(), azure_settings(&[]));
        let why = refused_at_start(&setup.settings).await;
        for name in [AZURE, "client_secret", "client_assertion", "federated_token_file"] {
            assert!(why.contains(name), "{name}: {why}");
        }
    }
}

const ONE_TAP: &str = "complete/google-onetap/";
const CSRF: &str = "g_csrf_token";

/// A server that takes what Google's script posts, and what makes credentials of these claims over the good ones.
async fn with_one_tap(mut setup: Setup, ignores_missing: bool) -> (Test, impl Fn(Value) -> String) {
    let key = ClientKey::new();
    let keys = key_set(&key);
    let host = Scripted::start(move |asked| match asked.path.as_str() {
        "/oauth2/v3/certs" => told(200, keys.clone()),
        _ => told(404, ""),
    })
    .await;
    setup.settings.outbound.origin_map.extend(host.origin_map(&["https://www.googleapis.com"]));
    let mut provider = enabled("our-client", "");
    provider.client_secret = None::<Hidden>;
    provider.entry.insert("ignore_missing_csrf_cookie".into(), ignores_missing.into());
    setup.settings.providers.insert("google-onetap".into(), provider);
    let t = setup.start().await;
    let now = t.clock.now();
    let credential = move |over: Value| {
        let mut claims = json!({
            "iss": "https://accounts.google.com", "aud": "our-client", "sub": "7", "email": "ada@example.com",
            "email_verified": true, "given_name": "Ada", "iat": now, "exp": now + 3600,
        });
        claims.as_object_mut().unwrap().extend(over.as_object().cloned().unwrap_or_default());
        id_token(&key, &claims)
    };
    (t, credential)
}

/// As Google's script posts, in a browser with this cookie.
async fn tap(guest: &Guest<'_>, cookie: Option<&str>, posted: &str, credential: &str) -> Answer {
    guest.comes_from_elsewhere();
    if let Some(cookie) = cookie {
        guest.set_cookie(CSRF, cookie);
    }
    guest.post(ONE_TAP, &[("credential", credential), (CSRF, posted)]).await
}

/// The same JWT with the other signature that ECDSA has for it: `n - s` in the place of `s`.
fn signed_otherwise(jwt: &str) -> String {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrowed = 0;
    for at in (0..32).rev() {
        let digit = i32::from_str_radix(&ORDER[2 * at..2 * at + 2], 16).unwrap();
        let left = digit - i32::from(signature[32 + at]) - borrowed;
        borrowed = i32::from(left < 0);
        signature[32 + at] = u8::try_from(left + 256 * borrowed).unwrap();
    }
    format!("{message}.{}", encode(&signature))
}

on_both_databases! {
    async fn a_posted_credential_of_googles_signs_in_once(setup: Setup) {
        let (t, credential) = with_one_tap(setup, false).await;
        let guest = Guest::new(&t);
        let good = credential(json!({}));
        let answer = tap(&guest, Some("t0ken"), "t0ken", &good).await;
        assert!(answer.status == 303 && is_signed_in(&guest).await, "{answer:?}");
        let people = t.people().await;
        assert_eq!((people.len(), people[0].username.as_str(), people[0].email_verified), (1, "ada", true));
        let thief = Guest::new(&t);
        let again = tap(&thief, Some("own"), "own", &good).await;
        assert!(again.is_setback() && again.setback().1 == "code_rejected" && !is_signed_in(&thief).await, "{again:?}");

        let again = tap(&thief, Some("own"), "own", &signed_otherwise(&good)).await;
        assert!(again.is_setback() && again.setback().1 == "code_rejected" && !is_signed_in(&thief).await, "{again:?}");

        let login = Guest::new(&t).get("login/google-onetap/").await;
        assert!(login.is_setback() && login.status == 404, "{login:?}");
        assert!(login.setback().2.contains("Please sign in otherwise"), "{login:?}");
        assert!(!Guest::new(&t).get("/account/sign-in").await.text.contains("google-onetap"));
    }
}

on_both_databases! {
    async fn a_credential_that_another_site_posts_is_refused(setup: Setup) {
        let (t, credential) = with_one_tap(setup, false).await;
        let good = credential(json!({}));
        for (cookie, posted) in [(Some("mine"), "theirs"), (None, "theirs"), (None, ""), (Some(""), ""), (Some("mine"), "")] {
            let guest = Guest::new(&t);
            let answer = tap(&guest, cookie, posted, &good).await;
            assert!(answer.is_setback() && answer.status == 400 && !is_signed_in(&guest).await, "{cookie:?} {posted}: {answer:?}");
        }
        let foreign = ClientKey::new();
        let forged = id_token(&foreign, &claims(&good));
        for (case, bad) in [
            ("another key", forged),
            ("another application", credential(json!({ "aud": "another" }))),
            ("another issuer", credential(json!({ "iss": "https://accounts.example.com" }))),
            ("long over", credential(json!({ "exp": t.clock.now() - 3600 }))),
            ("an address not proven", credential(json!({ "email_verified": false }))),
            ("nothing", String::new()),
            ("an access token", "ya29.x".into()),
        ] {
            let guest = Guest::new(&t);
            let answer = tap(&guest, Some("t"), "t", &bad).await;
            assert!(answer.is_setback() && !is_signed_in(&guest).await, "{case}: {answer:?}");
        }
        assert!(t.people().await.is_empty());
        // None of that has used the good one up.
        let guest = Guest::new(&t);
        assert_eq!(tap(&guest, Some("t"), "t", &good).await.status, 303);
    }
}

on_both_databases! {
    async fn a_missing_cookie_can_be_allowed_a_wrong_one_never(setup: Setup) {
        let (t, credential) = with_one_tap(setup, true).await;
        let good = credential(json!({}));
        let guest = Guest::new(&t);
        assert!(tap(&guest, Some("mine"), "theirs", &good).await.is_setback() && t.people().await.is_empty());
        assert_eq!(tap(&Guest::new(&t), None, "theirs", &good).await.status, 303);
    }
}

on_both_databases! {
    async fn a_posted_credential_connects_nobody_who_is_signed_in(setup: Setup) {
        let (t, credential) = with_one_tap(setup, false).await;
        let grace = t.person("grace").await;
        let guest = Guest::new(&t);
        guest.enter("grace").await;
        let answer = tap(&guest, Some("t"), "t", &credential(json!({ "jti": "1" }))).await;
        assert!(answer.is_setback() && (answer.status, answer.setback().1.as_str()) == (409, "other_person"), "{answer:?}");
        let db = &t.vestibule.context().db;
        assert!(association::find(db, "google-onetap", "7").await.unwrap().is_none());
        assert_eq!((t.people().await.len(), t.people().await[0].id), (1, grace.id));
        // Whose account it is already may come again.
        let ada = Guest::new(&t);
        assert_eq!(tap(&ada, Some("t"), "t", &credential(json!({ "jti": "2" }))).await.status, 303);
        assert_eq!(tap(&ada, Some("t"), "t", &credential(json!({ "jti": "3" }))).await.status, 303);
        assert_eq!(t.people().await.len(), 2);
    }
}
