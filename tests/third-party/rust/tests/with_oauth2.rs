//! `oauth2`: plain OAuth, its endpoints given by hand.

use std::thread::sleep;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl,
    EndpointSet, IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RevocationUrl, Scope,
    StandardDeviceAuthorizationResponse, TokenIntrospectionResponse, TokenResponse, TokenUrl,
};
use third_party_clients::{Application, SERVER, by_http_instead, http, is_taken, parameter, refusal, walk};

type Client = BasicClient<EndpointSet, EndpointSet, EndpointSet, EndpointSet, EndpointSet>;

fn client(application: &Application) -> Client {
    let at = |path: &str| format!("{}/{path}", SERVER.issuer);
    let client = BasicClient::new(ClientId::new(application.client_id.clone()))
        .set_auth_uri(AuthUrl::new(at("authorize")).unwrap())
        .set_token_uri(TokenUrl::new(at("token")).unwrap())
        .set_redirect_uri(RedirectUrl::new(SERVER.redirect_uri.clone()).unwrap())
        .set_introspection_url(IntrospectionUrl::new(at("introspect")).unwrap())
        .set_revocation_url(RevocationUrl::new(at("revoke-token").replacen("http:", "https:", 1)).unwrap())
        .set_device_authorization_url(DeviceAuthorizationUrl::new(at("device-authorization")).unwrap());
    match &application.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
        None => client,
    }
}

/// Somebody agrees: what a code is, with what proves that it was asked for here.
fn code(client: &Client) -> (AuthorizationCode, PkceCodeVerifier) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scopes(["openid", "read"].map(|word| Scope::new(word.to_owned())))
        .add_extra_param("prompt", "consent")
        .set_pkce_challenge(challenge)
        .url();
    let callback = walk(address.as_str(), &[]);
    assert_eq!(&parameter(&callback, "state"), state.secret());
    (AuthorizationCode::new(parameter(&callback, "code")), verifier)
}

fn signed_in(client: &Client) -> BasicTokenResponse {
    let (code, verifier) = code(client);
    client.exchange_code(code).set_pkce_verifier(verifier).request(&http()).unwrap()
}

fn is_active(client: &Client, token: &AccessToken) -> bool {
    client.introspect(token).request(&http()).unwrap().active()
}

#[test]
fn a_code_with_pkce_gives_tokens() {
    for application in [&SERVER.web, &SERVER.native] {
        let tokens = signed_in(&client(application));
        assert!(is_taken(tokens.access_token().secret()));
        assert!(tokens.refresh_token().is_some() && tokens.expires_in().is_some());
    }
}

#[test]
fn a_code_with_another_verifier_is_refused() {
    let client = client(&SERVER.web);
    let (code, _) = code(&client);
    let (_, other) = PkceCodeChallenge::new_random_sha256();
    let outcome = client.exchange_code(code).set_pkce_verifier(other).request(&http());
    assert_eq!(refusal(outcome), "invalid_grant");
}

#[test]
fn a_replayed_code_is_refused_and_ends_what_it_gave() {
    let client = client(&SERVER.web);
    let (code, verifier) = code(&client);
    let again = PkceCodeVerifier::new(verifier.secret().clone());
    let tokens = client.exchange_code(code.clone()).set_pkce_verifier(verifier).request(&http()).unwrap();
    assert!(is_taken(tokens.access_token().secret()));
    assert_eq!(refusal(client.exchange_code(code).set_pkce_verifier(again).request(&http())), "invalid_grant");
    assert!(!is_taken(tokens.access_token().secret()));
}

#[test]
fn a_refresh_gives_new_tokens_and_a_used_one_ends_them() {
    for application in [&SERVER.web, &SERVER.native] {
        let client = client(application);
        let first = signed_in(&client);
        let refresh = || client.exchange_refresh_token(first.refresh_token().unwrap()).request(&http());
        let second = refresh().unwrap();
        assert_ne!(first.refresh_token().unwrap().secret(), second.refresh_token().unwrap().secret());
        assert!(is_taken(second.access_token().secret()));
        assert_eq!(refusal(refresh()), "invalid_grant");
        assert!(!is_taken(second.access_token().secret()));
    }
}

#[test]
fn client_credentials_give_a_token_by_either_way_and_a_wrong_secret_none() {
    for way in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = client(&SERVER.web).set_auth_type(way.clone());
        let scope = || Scope::new("read".to_owned());
        let tokens = client.exchange_client_credentials().add_scope(scope()).request(&http()).unwrap();
        assert_eq!(tokens.scopes().unwrap(), &vec![scope()]);
        let wrong = client.set_client_secret(ClientSecret::new("not the secret".to_owned()));
        assert_eq!(refusal(wrong.exchange_client_credentials().request(&http())), "invalid_client");
    }
}

#[test]
fn a_device_gets_tokens_once_somebody_has_typed_its_code() {
    for application in [&SERVER.web, &SERVER.native] {
        let client = client(application);
        let begun: StandardDeviceAuthorizationResponse = client.exchange_device_code().request(&http()).unwrap();
        let address = begun.verification_uri_complete().unwrap().secret();
        // Nobody has decided at the first poll; before the second somebody does.
        let wait = |duration: Duration| {
            walk(address, &[]);
            sleep(duration);
        };
        let tokens = client.exchange_device_access_token(&begun).request(&http(), wait, None).unwrap();
        assert!(tokens.refresh_token().is_some());
    }
}

#[test]
fn a_device_whose_code_is_refused_is_told_so() {
    let client = client(&SERVER.native);
    let begun: StandardDeviceAuthorizationResponse = client.exchange_device_code().request(&http()).unwrap();
    walk(begun.verification_uri_complete().unwrap().secret(), &["--refuse"]);
    let outcome = client.exchange_device_access_token(&begun).request(&http(), sleep, None);
    assert_eq!(refusal(outcome), "access_denied");
}

#[test]
fn a_token_is_active_until_it_is_revoked() {
    let client = client(&SERVER.web);
    let tokens = signed_in(&client);
    let about = client.introspect(tokens.access_token()).request(&http()).unwrap();
    assert!(about.active());
    assert_eq!(about.username(), Some(SERVER.person.username.as_str()));
    assert_eq!(about.client_id().unwrap().as_str(), SERVER.web.client_id);
    client.revoke_token(tokens.access_token().into()).unwrap().request(&by_http_instead).unwrap();
    assert!(!is_active(&client, tokens.access_token()));
}

#[test]
fn a_revoked_refresh_token_ends_its_access_token() {
    let client = client(&SERVER.web);
    let tokens = signed_in(&client);
    assert!(is_active(&client, tokens.access_token()));
    client.revoke_token(tokens.refresh_token().unwrap().into()).unwrap().request(&by_http_instead).unwrap();
    assert!(!is_active(&client, tokens.access_token()));
    let outcome = client.exchange_refresh_token(tokens.refresh_token().unwrap()).request(&http());
    assert_eq!(refusal(outcome), "invalid_grant");
}
