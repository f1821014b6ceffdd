//! `vestibule provider test` and `vestibule check`, against a provider by https whose certificate is good, or bad in each way
//! that it can be.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use program::{Place, text};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is wrong with a provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Expired,
    OtherHost,
    SelfSigned,
    Secret,
}

struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (socket, address) = self.0.accept().await.unwrap();
            // Whoever does not trust the certificate goes away here.
            if let Ok(stream) = self.1.accept(socket).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A provider, and a place configured for it that trusts its authority.
async fn place(wrong: Wrong) -> Place {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    // A name of its own: else whatever is self-signed would claim to be signed by it.
    authority.distinguished_name.push(DnType::CommonName, "the authority of the tests");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let host = if wrong == Wrong::OtherHost { "other.example" } else { "localhost" };
    let mut own = CertificateParams::new(vec![host.to_owned()]).unwrap();
    own.not_before = date_time_ymd(2020, 1, 1);
    own.not_after = if wrong == Wrong::Expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(4000, 1, 1) };
    let certificate = match wrong {
        Wrong::SelfSigned => own.self_signed(&key).unwrap(),
        _ => own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap(),
    };

    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(chain, private).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());

    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"), "jwks_uri": format!("{issuer}/jwks"),
    });
    // The key of RFC 7517 appendix A.1, to sign with.
    let keys = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }]});
    let refusal = if wrong == Wrong::Secret { "invalid_client" } else { "invalid_grant" };
    let router = axum::Router::new()
        .route("/.well-known/openid-configuration", get(move || async move { Json(document) }))
        .route("/jwks", get(move || async move { Json(keys) }))
        .route("/authorize", get(|| async { "<h1>Sign in</h1>" }))
        .route("/token", post(move || async move { (StatusCode::BAD_REQUEST, Json(json!({"error": refusal}))) }));
    let listener = Tls(listener, TlsAcceptor::from(Arc::new(tls)));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let place = Place::sqlite();
    std::fs::write(place.directory.path().join("authority.pem"), authority_certificate.pem()).unwrap();
    place.configure(&format!(
        "public_url = 'https://api.example'\n[outbound]\nallow_private_addresses = true\ntimeout = '3s'\n\
         [providers.corp]\nprotocol = 'oidc'\nissuer = '{issuer}'\nclient_id = 'corp-id'\nclient_secret = 'hush-hush'\n"
    ));
    place
}

/// The program's exit status and output.
async fn run(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let mut command = place.command(arguments);
    command.env("SSL_CERT_FILE", place.directory.path().join("authority.pem"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let all = (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr));
    assert!(!all.1.contains("hush-hush") && !all.2.contains("hush-hush"), "{all:?}");
    all
}

async fn tried(wrong: Wrong) -> (i32, Value) {
    let place = place(wrong).await;
    let (status, told, errors) = run(&place, &["provider", "test", "corp", "--json"]).await;
    (status, serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told} {errors}")))
}

fn check<'v>(told: &'v Value, what: &str) -> &'v Value {
    told["checks"].as_array().unwrap().iter().find(|check| check["what"] == what).unwrap_or_else(|| panic!("{told:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_works_is_told_to_work() {
    let (status, told) = tried(Wrong::Nothing).await;

    assert_eq!((status, &told["ok"], &told["name"]), (0, &json!(true), &json!("corp")), "{told:#}");
    assert_eq!(told["redirect_uri"], "https://api.example/auth/complete/corp/");
    for what in ["discovery document", "signing keys", "authorization endpoint", "token endpoint", "clock"] {
        assert_eq!(check(&told, what)["outcome"], "ok", "{told:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_bad_is_told_in_words() {
    // attack 241
    for (wrong, words) in [
        (Wrong::Expired, "its certificate has expired"),
        (Wrong::OtherHost, "its certificate is another host's"),
        (Wrong::SelfSigned, "its certificate is self-signed"),
    ] {
        let (status, told) = tried(wrong).await;

        let discovery = check(&told, "discovery document");
        assert_eq!((status, &discovery["outcome"]), (1, &json!("fail")), "{told:#}");
        assert!(discovery["detail"].as_str().unwrap().contains(words), "{discovery}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_and_so_is_what_to_do() {
    let (status, told) = tried(Wrong::Secret).await;

    let token = check(&told, "token endpoint");
    assert_eq!((status, &token["outcome"]), (1, &json!("fail")), "{told:#}");
    assert!(token["advice"].as_str().unwrap().contains("providers.corp.client_id"), "{token}");
    let place = place(Wrong::Secret).await;
    let (status, told, errors) = run(&place, &["provider", "test", "corp"]).await;
    assert!(status == 1 && errors.contains("`corp` will not work"), "{errors}");
    assert!(told.contains("redirect URI to register there: https://api.example/auth/complete/corp/"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("FAIL     token endpoint")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("ok       signing keys")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_every_enabled_provider_and_tells_how_far_it_is() {
    let place = place(Wrong::Nothing).await;
    let (status, told, errors) = run(&place, &["check", "--json"]).await;

    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["ok"]), (0, &json!(true)), "{told:#}");
    let provider = told["checks"].as_array().unwrap().iter().find(|row| row["what"] == "provider corp").unwrap();
    assert!(provider["checks"].as_array().unwrap().len() > 4, "{provider:#}");
    assert!(errors.contains("provider corp: tried (1 of 1)"), "{errors}");
    let (status, _, errors) = run(&place, &["provider", "test", "github"]).await;
    assert!(status == 1 && errors.contains("`github` is not enabled"), "{errors}");
}
