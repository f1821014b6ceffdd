//! ID tokens, and whatever else a provider of the operator's own issues.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use vestibule::protocol::GrantType::ConvertToken;

use crate::harness::issuer::{Issuer, unsigned};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

/// A server with `my-company` and, at the same issuer's neighbour, `other-company`.
struct Company {
    t: Test,
    app: App,
    issuer: Issuer,
    other: Issuer,
}

impl Company {
    async fn new(engine: crate::harness::Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    async fn with(engine: crate::harness::Engine, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::new(engine).await;
        let (issuer, other) = (Issuer::start().await, Issuer::start().await);
        setup.settings.outbound.allow_private_addresses = true;
        *setup.provider("my-company") = issuer.settings();
        *setup.provider("other-company") = other.settings();
        change(&mut setup);
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        Self { t, app, issuer, other }
    }

    async fn convert(&self, token: &str) -> Answer {
        self.t.convert(&self.app, "my-company", token).await
    }

    /// What becomes of a good token with these claims changed.
    async fn changed(&self, changes: Value) -> String {
        let mut claims = self.issuer.claims("grace");
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.convert(&self.issuer.sign(&claims)).await.refusal()
    }
}

const GOOD: &str = "200  ";
const WRONG_KIND: &str = "400 invalid_grant wrong_token_kind";
const REJECTED: &str = "400 invalid_grant token_rejected";
const FOREIGN: &str = "400 invalid_grant foreign_audience";

on_both_databases! {
    async fn a_good_one_signs_in_and_is_verified_without_a_call(c: Company) {
        let answer = c.convert(&c.issuer.id_token("grace")).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        let person = c.t.find_person("grace").await.unwrap();
        assert_eq!((person.email.as_str(), person.email_verified, person.first_name.as_str()), ("grace@example.com", true, "Grace"));
        for _ in 0..5 {
            assert_eq!(c.convert(&c.issuer.id_token("grace")).await.status, 200);
        }
        assert_eq!((c.issuer.key_fetches(), c.issuer.other_calls()), (1, 0));
        let header = c.t.get_as("verify", &format!("Bearer my-company {}", c.issuer.id_token("grace"))).await;
        assert_eq!(header.header("x-auth-user"), "grace");
    }
}

on_both_databases! {
    async fn another_audience_or_issuer_is_refused(c: Company) { // attacks 91, 95
        assert_eq!(c.changed(json!({"aud": "other-client"})).await, FOREIGN);
        assert_eq!(c.changed(json!({"aud": ["other-client", "third"]})).await, FOREIGN);
        assert_eq!(c.changed(json!({"aud": "Our-Client"})).await, FOREIGN);
        assert_eq!(c.changed(json!({"aud": ["our-client", "other"], "azp": "other"})).await, FOREIGN);
        assert_eq!(c.changed(json!({"aud": ["our-client", "other"], "azp": "our-client"})).await, GOOD);
        assert_eq!(c.changed(json!({"aud": null})).await, REJECTED);
        for issuer in [format!("{}/", c.issuer.url), c.issuer.url.replace("http:", "https:"), format!("{}.evil.com", c.issuer.url), c.other.url.clone()] {
            assert_eq!(c.changed(json!({ "iss": issuer })).await, WRONG_KIND);
        }
        assert_eq!(c.t.people().await.len(), 1, "only the good one made somebody");
    }
}

on_both_databases! {
    async fn times_are_checked(c: Company) { // attack 101
        let now = c.t.clock.now();
        assert_eq!(c.changed(json!({"exp": now - 61})).await, "400 invalid_grant token_expired");
        assert_eq!(c.changed(json!({"exp": now - 30})).await, GOOD, "within the leeway");
        assert_eq!(c.changed(json!({"exp": null})).await, REJECTED);
        assert_eq!(c.changed(json!({"exp": "4102444800"})).await, REJECTED);
        assert_eq!(c.changed(json!({"nbf": now + 3600})).await, REJECTED);
        assert_eq!(c.changed(json!({"iat": now + 3600})).await, REJECTED);
    }
}

on_both_databases! {
    async fn the_algorithm_and_the_key_are_ours_to_choose(c: Company) { // attacks 97, 99, 105
        let claims = c.issuer.claims("grace");
        for alg in ["none", "None", "nOnE"] {
            let head = unsigned(&json!({"alg": alg, "kid": "key-1"}), &claims);
            for token in [format!("{head}."), head.clone(), format!("{head}.AAAA")] {
                assert_ne!(c.convert(&token).await.status, 200, "{token}");
            }
        }
        for secret in ["", "our-secret", "key-1"] {
            let head = unsigned(&json!({"alg": "HS256", "kid": "key-1"}), &claims);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), head.as_bytes());
            let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
            assert_eq!(c.convert(&token).await.refusal(), REJECTED, "{secret}");
        }
        let good = c.issuer.id_token("grace");
        let (signed, _) = good.rsplit_once('.').unwrap();
        for token in [format!("{signed}."), format!("{signed}.AAAA"), signed.to_owned()] {
            assert_ne!(c.convert(&token).await.status, 200);
        }
        let theirs = json!({
            "alg": "ES256", "kid": "key-1", "jku": format!("{}/evil-jwks", c.other.url), "x5u": format!("{}/evil", c.other.url),
            "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "x5c": ["AA"],
        });
        let signed_by_other = c.other.sign_as(&theirs, &claims);
        assert_eq!(c.convert(&signed_by_other).await.refusal(), REJECTED);
        assert_eq!((c.other.key_fetches(), c.other.other_calls()), (0, 0), "nothing that the header names was called");
        assert!(c.t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn an_unknown_key_is_worth_one_fetch(c: Company) { // attack 103
        assert_eq!(c.convert(&c.issuer.id_token("grace")).await.status, 200);
        c.t.clock.advance(60);
        let unknown = |number: usize| c.issuer.sign_as(&json!({"alg": "ES256", "kid": format!("no-{number}")}), &c.issuer.claims("grace"));

        let answers = join_all((0..100).map(|number| { let token = unknown(number); let c = &c; async move { c.convert(&token).await } })).await;

        assert!(answers.iter().all(|answer| answer.refusal() == REJECTED));
        assert_eq!(c.issuer.key_fetches(), 2);
    }
}

on_both_databases! {
    async fn new_keys_are_found_by_two_hundred_at_once_with_one_fetch(c: Company) { // attack 263
        assert_eq!(c.convert(&c.issuer.id_token("grace")).await.status, 200);
        c.t.clock.advance(60);
        c.issuer.rotate("key-2");
        let token = c.issuer.id_token("grace");

        let answers = join_all((0..200).map(|_| c.convert(&token))).await;

        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(c.issuer.key_fetches(), 2);
    }
}

on_both_databases! {
    async fn keys_at_hand_outlive_an_outage_for_a_day(c: Company) { // attack 257
        let token = c.issuer.id_token("grace");
        assert_eq!(c.convert(&token).await.status, 200);
        c.issuer.down(true);
        c.t.clock.advance(3 * 3600);
        assert_eq!(c.convert(&token).await.status, 200);
        c.t.clock.advance(22 * 3600);
        assert_eq!(c.convert(&token).await.refusal(), "503 temporarily_unavailable provider_unreachable");
        c.issuer.down(false);
        assert_eq!(c.convert(&token).await.status, 200);
    }
}

on_both_databases! {
    async fn a_nonce_that_is_sent_must_be_the_tokens(c: Company) { // attack 107
        let mut claims = c.issuer.claims("grace");
        claims["nonce"] = json!("n-1");
        let (with, without) = (c.issuer.sign(&claims), c.issuer.id_token("grace"));
        let ask = |token: String, nonce: &'static str| {
            let c = &c;
            async move {
                let form = [("grant_type", "convert_token"), ("backend", "my-company"), ("token", &token), ("nonce", nonce)];
                c.t.call("convert-token", &c.app, &form).await.refusal()
            }
        };

        assert_eq!(ask(with.clone(), "n-1").await, GOOD);
        assert_eq!(ask(with.clone(), "n-2").await, "400 invalid_grant nonce_mismatch");
        assert_eq!(ask(without, "n-1").await, "400 invalid_grant nonce_mismatch");
        assert_eq!(ask(with, "").await, GOOD, "a nonce in the token alone is its client's own business");
    }
}

on_both_databases! {
    async fn one_subject_at_two_issuers_is_two_people(c: Company) { // attack 119
        assert_eq!(c.convert(&c.issuer.id_token("1")).await.status, 200);
        let mut claims = c.other.claims("1");
        claims["email"] = json!("another@example.com");

        assert_eq!(c.t.convert(&c.app, "other-company", &c.other.sign(&claims)).await.status, 200);

        assert_eq!(c.t.people().await.len(), 2);
    }
}

on_both_databases! {
    async fn an_access_token_proves_no_audience_unless_the_operator_says_so(c: Company) {
        let answer = c.convert("access-of-grace").await;
        assert_eq!(answer.refusal(), "400 invalid_grant unproven_audience");
        assert!(answer.field("error_description").contains("providers.my-company.accept_unverified_audience"));
        assert_eq!(c.issuer.other_calls(), 0);

        let trusting = Company::with(c.t.engine, |setup| setup.provider("my-company").accept_unverified_audience = true).await;
        assert_eq!(trusting.convert("access-of-grace").await.refusal(), GOOD);
        assert_eq!(trusting.convert("somebody-elses").await.refusal(), REJECTED);
    }
}

on_both_databases! {
    async fn a_code_is_redeemed_and_its_id_token_verified(c: Company) {
        let ask = |code: &'static str, nonce: &'static str| {
            let c = &c;
            async move {
                let form = [("grant_type", "convert_token"), ("backend", "my-company"), ("code", code), ("redirect_uri", "https://app.example/cb"), ("nonce", nonce)];
                c.t.call("convert-token", &c.app, &form).await.refusal()
            }
        };
        let mut claims = c.issuer.claims("grace");
        claims["nonce"] = json!("n-1");
        let answer = json!({"access_token": "access-of-grace", "id_token": c.issuer.sign(&claims), "refresh_token": "more", "token_type": "Bearer"});
        c.issuer.code("code-1", answer.clone());

        assert_eq!(ask("code-1", "n-1").await, GOOD);
        assert_eq!(ask("code-1", "n-1").await, "400 invalid_grant code_rejected");
        c.issuer.code("code-2", answer);
        assert_eq!(ask("code-2", "n-2").await, "400 invalid_grant nonce_mismatch");
        c.issuer.code("code-3", json!({"access_token": "access-of-grace", "token_type": "Bearer"}));
        assert_eq!(ask("code-3", "").await, GOOD, "without an ID token the profile is asked for");
        c.issuer.code("code-4", json!({"access_token": "x", "id_token": c.other.id_token("grace")}));
        assert_eq!(ask("code-4", "").await, WRONG_KIND);
    }
}

on_both_databases! {
    async fn a_discovery_document_of_another_issuer_is_not_believed(c: Company) { // attack 237
        c.issuer.claim_to_be("https://login.example.com");

        assert_eq!(c.convert(&c.issuer.id_token("grace")).await.refusal(), "502 server_error provider_misconfigured");
    }
}

on_both_databases! {
    async fn a_private_address_is_not_called(c: Company) { // attack 235
        let guarded = Company::with(c.t.engine, |setup| setup.settings.outbound.allow_private_addresses = false).await;
        assert_eq!(guarded.convert(&guarded.issuer.id_token("grace")).await.refusal(), "503 temporarily_unavailable provider_unreachable");
        assert_eq!(guarded.issuer.key_fetches(), 0);
        let by_name = Company::with(c.t.engine, |setup| {
            setup.settings.outbound.allow_private_addresses = false;
            let entry = &mut setup.provider("my-company").entry;
            let url = entry["issuer"].as_str().unwrap().replace("127.0.0.1", "localhost");
            entry.insert("issuer".into(), url.into());
        })
        .await;
        let mut claims = by_name.issuer.claims("grace");
        claims["iss"] = json!(by_name.issuer.url.replace("127.0.0.1", "localhost"));
        assert_eq!(by_name.convert(&by_name.issuer.sign(&claims)).await.refusal(), "503 temporarily_unavailable provider_unreachable");
    }
}
