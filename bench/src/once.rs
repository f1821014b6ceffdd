//! Requests that can be sent once only: a code to redeem, a request with a DPoP proof.

use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::json;
use vestibule::clock::Clock;
use vestibule::context::random;
use vestibule::protocol::{PlainToken, Scope, TokenKind, pkce};
use vestibule::store::Db;
use vestibule::store::code::{self, NewCode};
use vestibule::store::token::TokenContext;

use crate::load::{self, Load};
use crate::place::{CALLBACK, Place, Server};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Codes, put into the database as the authorize endpoint would.
pub struct Codes {
    address: String,
    form: String,
    db: Db,
    ids: (i64, i64),
    ready: Mutex<Vec<String>>,
}

impl Codes {
    /// For the first application, and `ada`.
    pub async fn start(server: &Server, place: &Place) -> Self {
        let form = place.form("authorization_code", &[("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]);
        let db = place.open().await;
        Self { address: server.address.clone(), form, db, ids: place.ids, ready: Mutex::default() }
    }

    async fn insert(&self, count: usize) -> Vec<String> {
        let codes: Vec<PlainToken> =
            (0..count).map(|_| PlainToken::new(TokenKind::AuthorizationCode, &random())).collect();
        let (application_id, user_id) = self.ids;
        let until = Clock::default().now() + 36_000;
        let [challenge, _] = pkce::answered_by(Some(VERIFIER)).unwrap();
        let rows: Vec<NewCode> = codes
            .iter()
            .map(|code| NewCode {
                digest: code.digest(),
                application_id,
                application_epoch: 0,
                user_id,
                user_epoch: 0,
                redirect_uri: CALLBACK.to_owned(),
                code_challenge: challenge.clone(),
                bound_key: String::new(),
                scope: Scope::from_stored("read write"),
                context: TokenContext { auth_time: Some(until), amr: "pwd".to_owned(), ..TokenContext::default() },
                session: None,
                family: i64::from_le_bytes(random()) & i64::MAX,
                redeemable_until: until,
                expires_at: until,
            })
            .collect();
        let stored = self.db.write(move |tx| {
            Box::pin(async move {
                for row in rows {
                    code::insert(tx, row).await?;
                }
                Ok(())
            })
        });
        stored.await.unwrap();
        codes.iter().map(|code| code.reveal().to_owned()).collect()
    }
}

impl Load for Codes {
    fn make_ready(&self, count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for _ in 0..count / 1_000 {
                let more = self.insert(1_000).await;
                self.ready.lock().unwrap().extend(more);
            }
        })
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn request(&self, _connection: usize) -> String {
        let code = self.ready.lock().unwrap().pop().expect("more codes made ready than are redeemed");
        load::post("/auth/token", &format!("{}&code={code}", self.form))
    }
}

/// Requests with a bound token, each with a proof of its own.
pub struct Proofs {
    address: String,
    token: String,
    key: EcdsaKeyPair,
    ready: Mutex<Vec<String>>,
}

impl Proofs {
    /// With a token that is bound to a new key.
    pub async fn start(server: &Server, place: &Place) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut proofs = Self { address: server.address.clone(), token: String::new(), key, ready: Mutex::default() };
        let proof = proofs.proof("POST", "/auth/token");
        let form = place.form("client_credentials", &[]);
        let request = load::post("/auth/token", &form).replacen("\r\n\r\n", &format!("\r\ndpop: {proof}\r\n\r\n"), 1);
        proofs.token = server.ask(&request).await["access_token"].as_str().unwrap().to_owned();
        proofs
    }

    fn proof(&self, method: &str, path: &str) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = self.key.public_key().as_ref();
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..65]) });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let claims = json!({
            "htm": method,
            "htu": format!("http://{}{path}", self.address),
            "iat": Clock::default().now(),
            "jti": encode(&random::<16>()),
            "ath": encode(digest(&SHA256, self.token.as_bytes()).as_ref()),
        });
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", encode(signature.as_ref()))
    }
}

impl Load for Proofs {
    fn make_ready(&self, count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Made anew for each row of the table: a proof is taken for a minute.
            let fresh = (0..count).map(|_| self.proof("GET", "/auth/verify")).collect();
            *self.ready.lock().unwrap() = fresh;
        })
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn request(&self, _connection: usize) -> String {
        let proof = self.ready.lock().unwrap().pop().expect("more proofs made ready than are sent");
        load::get("/auth/verify", &format!("authorization: DPoP {}\r\ndpop: {proof}\r\n", self.token))
    }
}
