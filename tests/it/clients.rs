//! Client authentication (RFC 6749 §2.3).

use base64::Engine as _;
use vestibule::client;
use vestibule::protocol::ClientAuthenticationMethod;
use vestibule::protocol::GrantType::{ClientCredentials, ConvertToken, Password};
use vestibule::store::application::{self, PreviousSecret};

use crate::harness::{Answer, Test, on_both_databases};

async fn basic(t: &Test, path: &str, id: &str, secret: &str, form: &[(&str, &str)]) -> Answer {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    t.post_as(path, &format!("Basic {encoded}"), form).await
}

const MACHINE: (&str, &str) = ("grant_type", "client_credentials");

on_both_databases! {
    async fn basic_and_body_are_alike(t: Test) {
        let app = t.app(&[ClientCredentials]).await;
        let secret = app.secret.clone().unwrap();

        assert_eq!(t.call("token", &app, &[MACHINE]).await.status, 200);
        assert_eq!(basic(&t, "token", &app.client_id, &secret, &[MACHINE]).await.status, 200);
        assert_eq!(basic(&t, "token", &app.client_id, &secret, &[MACHINE, ("client_id", &app.client_id)]).await.status, 200);
        let answer = basic(&t, "token/", &app.client_id, &secret, &[MACHINE]).await;
        assert_eq!(answer.json().get("refresh_token"), None);
        assert_eq!(answer.field("scope"), "read write");
    }
}

on_both_databases! {
    async fn wrong_unknown_and_missing_credentials_are_invalid_client(t: Test) { // attacks 1, 3, 7
        let app = t.app(&[ClientCredentials, ConvertToken]).await;

        let wrong = basic(&t, "token", &app.client_id, "wrong", &[MACHINE]).await;
        assert_eq!(wrong.outcome(), "401 invalid_client");
        assert_eq!(wrong.header("www-authenticate"), "Basic realm=\"api\"");
        let hash = app.row.secret_hash.clone().unwrap();
        for secret in [hash.as_str(), hash.strip_prefix("sha256$").unwrap(), ""] {
            let answer = basic(&t, "token", &app.client_id, secret, &[MACHINE]).await;
            assert_eq!(answer.outcome(), "401 invalid_client", "{secret}");
        }
        let unknown = t.post("token", &[MACHINE, ("client_id", "nobody"), ("client_secret", "x")]).await;
        assert_eq!(unknown.outcome(), "401 invalid_client");
        assert_eq!(unknown.header("www-authenticate"), "");
        assert_eq!(t.post("token", &[MACHINE]).await.outcome(), "401 invalid_client");
        let convert = [("grant_type", "convert_token"), ("backend", "github"), ("token", "x"), ("client_id", app.client_id.as_str())];
        assert_eq!(t.post("convert-token", &convert).await.outcome(), "401 invalid_client");
        assert_eq!(t.stand_in.calls().len(), 0, "the provider was not asked");
    }
}

on_both_databases! {
    async fn two_methods_or_two_clients_at_once_are_refused(t: Test) { // attack 5
        let app = t.app(&[ClientCredentials]).await;
        let secret = app.secret.clone().unwrap();

        let both = basic(&t, "token", &app.client_id, &secret, &[MACHINE, ("client_secret", &secret)]).await;
        assert_eq!(both.outcome(), "400 invalid_request");
        let two = basic(&t, "token", &app.client_id, &secret, &[MACHINE, ("client_id", "other")]).await;
        assert_eq!(two.outcome(), "400 invalid_request");
    }
}

on_both_databases! {
    async fn a_public_application_has_no_secret_to_send(t: Test) { // attack 9
        t.person("ada").await;
        let app = t.public_app(&[Password]).await;
        let form = |secret: &'static str| {
            [("grant_type", "password"), ("username", "ada"), ("password", crate::harness::PASSWORD), ("client_secret", secret)]
        };

        assert_eq!(t.call("token", &app, &form("")).await.status, 200);
        assert_eq!(t.call("token", &app, &form("wrong")).await.outcome(), "401 invalid_client");
        assert_eq!(t.call("token", &app, &[MACHINE]).await.outcome(), "400 unauthorized_client");
    }
}

on_both_databases! {
    async fn a_secret_of_odd_characters_is_form_encoded_in_basic(t: Test) { // attack 11
        let secret = "a:b%c+d e-ö-0123456789";
        let app = t
            .app_with(|app| {
                app.grant_types = vec![ClientCredentials];
                app.secret_hash = Some(client::hash_secret(secret));
            })
            .await;

        assert_eq!(basic(&t, "token", &app.client_id, "a%3Ab%25c%2Bd+e-%C3%B6-0123456789", &[MACHINE]).await.status, 200);
        assert_eq!(basic(&t, "token", &app.client_id, secret, &[MACHINE]).await.outcome(), "401 invalid_client");
    }
}

on_both_databases! {
    async fn odd_client_ids_are_refused(t: Test) { // attack 13
        let long = "x".repeat(10_000);
        for id in ["a\u{0}b", "' OR 1=1 --", long.as_str(), "ö\r\nX: y"] {
            let answer = t.post("token", &[MACHINE, ("client_id", id), ("client_secret", "x")]).await;
            assert!(matches!(answer.status, 400 | 401), "{answer:?}");
        }
        let body = b"grant_type=client_credentials&client_id=%ff%fe&client_secret=x".to_vec();
        let request = t.http.post(t.url("token")).header("content-type", "application/x-www-form-urlencoded").body(body);
        assert_eq!(Answer::of(request).await.outcome(), "400 invalid_request");
    }
}

on_both_databases! {
    async fn a_method_can_be_the_only_one(t: Test) {
        let app = t
            .app_with(|app| {
                app.grant_types = vec![ClientCredentials];
                app.token_endpoint_auth_method = Some(ClientAuthenticationMethod::ClientSecretBasic);
            })
            .await;
        let secret = app.secret.clone().unwrap();

        assert_eq!(basic(&t, "token", &app.client_id, &secret, &[MACHINE]).await.status, 200);
        assert_eq!(t.call("token", &app, &[MACHINE]).await.outcome(), "401 invalid_client");
    }
}

on_both_databases! {
    async fn a_replaced_secret_counts_until_its_overlap_ends(t: Test) {
        let app = t.app(&[ClientCredentials]).await;
        let mut changed = app.row.clone();
        changed.previous_secret =
            Some(PreviousSecret { hash: changed.secret_hash.take().unwrap(), expires_at: t.clock.now() + 60 });
        changed.secret_hash = Some(client::hash_secret("the new secret, long enough"));
        application::update(&t.vestibule.context().db, &changed, t.clock.now()).await.unwrap().unwrap();

        assert_eq!(t.call("token", &app, &[MACHINE]).await.status, 200);
        assert_eq!(basic(&t, "token", &app.client_id, "the+new+secret%2C+long+enough", &[MACHINE]).await.status, 200);
        t.clock.advance(61);
        assert_eq!(t.call("token", &app, &[MACHINE]).await.outcome(), "401 invalid_client");
    }
}

on_both_databases! {
    async fn a_disabled_application_and_its_tokens_end_at_once_and_for_good(t: Test) { // attack 69
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let other = t.second_node().await;
        let tokens = t.password(&app, "ada").await;
        assert!(other.accepts(&tokens.access_token()).await);
        let mut changed = app.row.clone();

        changed.is_active = false;
        application::update(&t.vestibule.context().db, &changed, t.clock.now()).await.unwrap().unwrap();
        assert!(!t.accepts(&tokens.access_token()).await && !other.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "401 invalid_client");

        changed.is_active = true;
        application::update(&t.vestibule.context().db, &changed, t.clock.now()).await.unwrap().unwrap();
        assert!(!t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(t.password(&app, "ada").await.status, 200);
    }
}
