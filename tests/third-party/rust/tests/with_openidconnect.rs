//! `openidconnect`: all that is told by the issuer, and ID tokens.

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreClientRegistrationRequest, CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreProviderMetadata, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, LogoutRequest, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadata,
    ProviderMetadataWithLogout, RedirectUrl, Scope, TokenResponse,
};
use serde::{Deserialize, Serialize};
use third_party_clients::{Application, SERVER, http, is_taken, parameter, refusal, walk};

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

fn issuer() -> IssuerUrl {
    IssuerUrl::new(SERVER.issuer.clone()).unwrap()
}

fn client_of(client_id: &str, client_secret: Option<&str>) -> Client {
    let metadata = CoreProviderMetadata::discover(&issuer(), &http()).unwrap();
    let secret = client_secret.map(|secret| ClientSecret::new(secret.to_owned()));
    CoreClient::from_provider_metadata(metadata, ClientId::new(client_id.to_owned()), secret)
        .set_redirect_uri(RedirectUrl::new(SERVER.redirect_uri.clone()).unwrap())
}

fn client(application: &Application) -> Client {
    client_of(&application.client_id, application.client_secret.as_deref())
}

/// What came back from the server, and what it is checked against.
struct Answer {
    code: AuthorizationCode,
    verifier: PkceCodeVerifier,
    nonce: Nonce,
}

fn ask(client: &Client, prompt: &str, options: &[&str]) -> (String, PkceCodeVerifier, Nonce) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["profile", "email", "read"].map(|word| Scope::new(word.to_owned())))
        .add_extra_param("prompt", prompt)
        .set_pkce_challenge(challenge)
        .url();
    let callback = walk(address.as_str(), options);
    assert_eq!(&parameter(&callback, "state"), state.secret());
    (callback, verifier, nonce)
}

fn code(client: &Client, options: &[&str]) -> Answer {
    let (callback, verifier, nonce) = ask(client, "consent", options);
    Answer { code: AuthorizationCode::new(parameter(&callback, "code")), verifier, nonce }
}

fn signed_in(client: &Client, options: &[&str]) -> (CoreTokenResponse, Nonce) {
    let Answer { code, verifier, nonce } = code(client, options);
    let tokens = client.exchange_code(code).unwrap().set_pkce_verifier(verifier).request(&http()).unwrap();
    (tokens, nonce)
}

fn verified<'a>(
    client: &Client,
    tokens: &'a CoreTokenResponse,
    nonce: &Nonce,
) -> Result<&'a CoreIdTokenClaims, ClaimsVerificationError> {
    let id_token: &CoreIdToken = tokens.id_token().expect("an ID token");
    id_token.claims(&client.id_token_verifier(), nonce)
}

#[test]
fn an_issuer_that_is_not_the_one_asked_for_is_refused() {
    let other = IssuerUrl::new(SERVER.issuer_by_another_name.clone()).unwrap();
    let outcome = CoreProviderMetadata::discover(&other, &http());
    assert!(
        matches!(&outcome, Err(DiscoveryError::Validation(sentence)) if sentence.contains("issuer")),
        "{outcome:?}"
    );
}

#[test]
fn a_code_with_pkce_gives_a_verified_id_token_and_userinfo() {
    // Confidential with RS256, public with EdDSA.
    for application in [&SERVER.web, &SERVER.native] {
        let client = client(application);
        let (tokens, nonce) = signed_in(&client, &[]);
        let claims = verified(&client, &tokens, &nonce).unwrap();
        assert_eq!(claims.subject().as_str(), SERVER.person.id.to_string());
        let id_token = tokens.id_token().unwrap();
        let verifier = client.id_token_verifier();
        let (algorithm, key) = (id_token.signing_alg().unwrap(), id_token.signing_key(&verifier).unwrap());
        let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).unwrap();
        assert_eq!(claims.access_token_hash(), Some(&hash));
        let subject = Some(claims.subject().clone());
        let person: CoreUserInfoClaims =
            client.user_info(tokens.access_token().clone(), subject).unwrap().request(&http()).unwrap();
        assert_eq!(person.email().unwrap().as_str(), "ada@example.com");
        assert_eq!(person.preferred_username().unwrap().as_str(), SERVER.person.username);
    }
}

#[test]
fn an_id_token_with_another_nonce_is_refused() {
    let client = client(&SERVER.web);
    let (tokens, _) = signed_in(&client, &[]);
    let outcome = verified(&client, &tokens, &Nonce::new_random());
    assert!(matches!(outcome, Err(ClaimsVerificationError::InvalidNonce(_))), "{outcome:?}");
}

#[test]
fn an_id_token_of_another_client_is_refused() {
    let (tokens, nonce) = signed_in(&client(&SERVER.web), &[]);
    let outcome = verified(&client(&SERVER.native), &tokens, &nonce);
    assert!(matches!(outcome, Err(ClaimsVerificationError::InvalidAudience(_))), "{outcome:?}");
}

#[test]
fn a_replayed_code_is_refused_and_ends_what_it_gave() {
    let client = client(&SERVER.web);
    let Answer { code, verifier, .. } = code(&client, &[]);
    let again = PkceCodeVerifier::new(verifier.secret().clone());
    let tokens = client.exchange_code(code.clone()).unwrap().set_pkce_verifier(verifier).request(&http()).unwrap();
    assert!(is_taken(tokens.access_token().secret()));
    let outcome = client.exchange_code(code).unwrap().set_pkce_verifier(again).request(&http());
    assert_eq!(refusal(outcome), "invalid_grant");
    assert!(!is_taken(tokens.access_token().secret()));
}

#[test]
fn a_refresh_gives_new_tokens_about_the_same_sign_in_and_a_used_one_ends_them() {
    let client = client(&SERVER.web);
    let (first, nonce) = signed_in(&client, &[]);
    let refresh = || client.exchange_refresh_token(first.refresh_token().unwrap()).unwrap().request(&http());
    let second = refresh().unwrap();
    // OpenID Connect Core §12.2: the same person, without the nonce.
    let without_nonce = |nonce: Option<&Nonce>| nonce.map_or(Ok(()), |_| Err("a nonce".to_owned()));
    let claims = second.id_token().unwrap().claims(&client.id_token_verifier(), without_nonce).unwrap();
    let before = verified(&client, &first, &nonce).unwrap();
    assert_eq!((claims.subject(), claims.auth_time()), (before.subject(), before.auth_time()));
    assert!(is_taken(second.access_token().secret()));
    assert_eq!(refusal(refresh()), "invalid_grant");
    assert!(!is_taken(second.access_token().secret()));
}

#[test]
fn a_person_who_refuses_is_told_of_as_access_denied() {
    let (callback, ..) = ask(&client(&SERVER.web), "consent", &["--refuse"]);
    assert_eq!(parameter(&callback, "error"), "access_denied");
    assert_eq!(parameter(&callback, "iss"), SERVER.issuer);
}

#[test]
fn signing_out_ends_the_session_and_comes_back() {
    let cookies = std::env::temp_dir().join(format!("browser-{}", std::process::id()));
    let options = ["--cookies", cookies.to_str().unwrap()];
    let client = client(&SERVER.web);
    let (tokens, _) = signed_in(&client, &options);
    // The session is there: nobody has to sign in.
    parameter(&ask(&client, "none", &options).0, "code");
    let metadata = ProviderMetadataWithLogout::discover(&issuer(), &http()).unwrap();
    let endpoint = metadata.additional_metadata().end_session_endpoint.clone().unwrap();
    let state = CsrfToken::new_random();
    let address = LogoutRequest::from(endpoint)
        .set_id_token_hint(tokens.id_token().unwrap())
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(SERVER.post_logout_redirect_uri.clone()).unwrap())
        .set_state(state.clone())
        .http_get_url();
    // What a thief of the cookies has: it ends too, not just the browser's own memory.
    let stolen = cookies.with_extension("stolen");
    std::fs::copy(&cookies, &stolen).unwrap();
    let back = walk(address.as_str(), &options);
    assert_eq!(back, format!("{}?state={}", SERVER.post_logout_redirect_uri, state.secret()));
    for cookies in [cookies, stolen] {
        let (callback, ..) = ask(&client, "none", &["--cookies", cookies.to_str().unwrap()]);
        assert_eq!(parameter(&callback, "error"), "login_required");
        std::fs::remove_file(cookies).unwrap();
    }
    assert!(!is_taken(tokens.access_token().secret()));
}

/// What the library does not read of the metadata by itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct DeviceEndpoint {
    device_authorization_endpoint: openidconnect::DeviceAuthorizationUrl,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

type MetadataWithDevice = ProviderMetadata<
    DeviceEndpoint,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

#[test]
fn a_device_gets_an_id_token_once_somebody_has_typed_its_code() {
    let metadata = MetadataWithDevice::discover(&issuer(), &http()).unwrap();
    let endpoint = metadata.additional_metadata().device_authorization_endpoint.clone();
    let client_id = ClientId::new(SERVER.native.client_id.clone());
    let client = CoreClient::from_provider_metadata(metadata, client_id, None).set_device_authorization_url(endpoint);
    let begun: openidconnect::core::CoreDeviceAuthorizationResponse =
        client.exchange_device_code().add_scope(Scope::new("openid".to_owned())).request(&http()).unwrap();
    walk(begun.verification_uri_complete().unwrap().secret(), &[]);
    let tokens: CoreTokenResponse =
        client.exchange_device_access_token(&begun).unwrap().request(&http(), std::thread::sleep, None).unwrap();
    let without_nonce = |nonce: Option<&Nonce>| nonce.map_or(Ok(()), |_| Err("a nonce".to_owned()));
    let claims = tokens.id_token().unwrap().claims(&client.id_token_verifier(), without_nonce).unwrap();
    assert_eq!(claims.subject().as_str(), SERVER.person.id.to_string());
}

#[test]
fn a_client_registers_itself_and_signs_somebody_in() {
    let metadata = CoreProviderMetadata::discover(&issuer(), &http()).unwrap();
    let endpoint = metadata.registration_endpoint().unwrap();
    let redirect_uris = vec![RedirectUrl::new(SERVER.redirect_uri.clone()).unwrap()];
    let registered = CoreClientRegistrationRequest::new(redirect_uris, EmptyAdditionalClientMetadata::default())
        .register(endpoint, &http())
        .unwrap();
    let secret = registered.client_secret().unwrap().secret();
    let client = client_of(registered.client_id().as_str(), Some(secret));
    let (tokens, nonce) = signed_in(&client, &[]);
    assert_eq!(verified(&client, &tokens, &nonce).unwrap().subject().as_str(), SERVER.person.id.to_string());
}
