use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;
use vestibule::clock::Clock;

use super::{CODE_TTL, Provider, TOKEN_TTL};

const ISSUER: &str = "http://127.0.0.1:8000/dev-provider";
/// RFC 7636 Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Test {
    clock: Clock,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.text)).to_owned()
    }

    fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.text("error"))
    }
}

impl Test {
    fn start() -> Self {
        let clock = Clock::default();
        let provider = Provider::new(ISSUER.into(), "vestibule-dev".into(), "hush".into(), clock.clone()).unwrap();
        Self { clock, router: provider.router() }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(format!("/dev-provider{path}")).body(Body::empty()).unwrap()).await
    }

    async fn token(&self, form: &str) -> Answer {
        self.send(Request::post("/dev-provider/token").body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn userinfo(&self, authorization: &str) -> Answer {
        let request = Request::get("/dev-provider/userinfo").header(AUTHORIZATION, authorization);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn code(&self, query: &str) -> String {
        self.get(&format!("/authorize?{query}")).await.text.trim().to_owned()
    }

    async fn redeem(&self, code: &str, more: &str) -> Answer {
        let client = "grant_type=authorization_code&client_id=vestibule-dev&client_secret=hush";
        self.token(&format!("{client}&code={code}{more}")).await
    }
}

#[tokio::test]
async fn an_id_token_verifies_against_the_published_keys_and_says_what_was_asked() {
    let t = Test::start();
    let discovery = t.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        (discovery["issuer"].as_str(), discovery["jwks_uri"].as_str()),
        (Some(ISSUER), Some("http://127.0.0.1:8000/dev-provider/jwks"))
    );

    let id_token = t.token("username=grace&nonce=n-1&family_name=Hopper").await.text("id_token");

    let keys: JwkSet = serde_json::from_str(&t.get("/jwks").await.text).unwrap();
    let kid = jsonwebtoken::decode_header(&id_token).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["vestibule-dev"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&id_token, &key, &validation).unwrap().claims;
    assert_eq!((claims["nonce"].as_str(), claims["name"].as_str()), (Some("n-1"), Some("Grace Hopper")));
    assert_eq!((claims["email"].as_str(), claims["email_verified"].as_bool()), (Some("grace@example.com"), Some(true)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), TOKEN_TTL);

    let other = Test::start();
    let foreign: JwkSet = serde_json::from_str(&other.get("/jwks").await.text).unwrap();
    let foreign = DecodingKey::from_jwk(&foreign.keys[0]).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&id_token, &foreign, &validation).is_err());
}

#[tokio::test]
async fn an_access_token_opens_userinfo_and_tells_whom_it_was_issued_to_until_it_expires() {
    let t = Test::start();
    let ours = t.token("grant_type=password&username=grace").await;
    let foreign = t.token("username=grace&client_id=somebody-else").await.text("access_token");
    let token = ours.text("access_token");

    let userinfo = t.userinfo(&format!("bearer {token}")).await;
    let info = t.get(&format!("/tokeninfo?access_token={token}")).await;

    assert_eq!(userinfo.text("preferred_username"), "grace");
    assert_eq!((info.text("aud"), info.text("sub")), ("vestibule-dev".into(), userinfo.text("sub")));
    assert!((TOKEN_TTL - 5..=TOKEN_TTL).contains(&info.json()["expires_in"].as_i64().unwrap()));
    assert_eq!(t.get(&format!("/tokeninfo?access_token={foreign}")).await.text("aud"), "somebody-else");

    for refused in ["Bearer", "Bearer dev_unknown", &format!("Basic {token}"), &format!("Bearer dev {token}")] {
        let answer = t.userinfo(refused).await;
        assert_eq!(answer.error(), (401, "invalid_token".into()), "{refused}");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    t.clock.advance(TOKEN_TTL + 1);
    assert_eq!(t.userinfo(&format!("Bearer {token}")).await.error(), (401, "invalid_token".into()));
    assert_eq!(t.get(&format!("/tokeninfo?access_token={token}")).await.error(), (400, "invalid_token".into()));
}

#[tokio::test]
async fn a_code_is_redeemed_once_and_within_its_minute() {
    let t = Test::start();
    let code = t.code("username=grace&nonce=n-2").await;

    assert_eq!(t.redeem(&code, "").await.status, StatusCode::OK);
    assert_eq!(t.redeem(&code, "").await.error(), (400, "invalid_grant".into()));

    let late = t.code("username=grace").await;
    t.clock.advance(CODE_TTL);
    assert_eq!(t.redeem(&late, "").await.error(), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_code_with_a_challenge_needs_its_verifier_and_one_without_takes_none() {
    let t = Test::start();
    let challenged = format!("username=grace&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let right = format!("&code_verifier={VERIFIER}");

    assert_eq!(t.redeem(&t.code(&challenged).await, &right).await.status, StatusCode::OK);
    for wrong in ["", "&code_verifier=another", &format!("&code_verifier={CHALLENGE}")] {
        assert_eq!(t.redeem(&t.code(&challenged).await, wrong).await.error(), (400, "invalid_grant".into()), "{wrong}");
    }
    assert_eq!(t.redeem(&t.code("username=grace").await, &right).await.error(), (400, "invalid_grant".into()));
    let plain = t.get(&format!("/authorize?code_challenge={VERIFIER}&code_challenge_method=plain")).await;
    assert_eq!(plain.error(), (400, "invalid_request".into()));
}

#[tokio::test]
async fn a_code_is_for_its_client_and_its_redirect_uri() {
    let t = Test::start();
    let query = "redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&state=s%261&login_hint=grace";
    let redirected = || async {
        let answer = t.get(&format!("/authorize?{query}")).await;
        assert_eq!(answer.status, StatusCode::FOUND);
        let location: Url = answer.headers[LOCATION].to_str().unwrap().parse().unwrap();
        let pairs: Vec<(String, String)> = location.query_pairs().into_owned().collect();
        assert_eq!(pairs[0], ("x".into(), "1".into()));
        assert_eq!(&pairs[2..], [("iss".into(), ISSUER.into()), ("state".into(), "s&1".into())]);
        pairs[1].1.clone()
    };
    let same = "&redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1";

    assert_eq!(t.redeem(&redirected().await, same).await.status, StatusCode::OK);
    assert_eq!(t.redeem(&redirected().await, "").await.error(), (400, "invalid_grant".into()));

    let code = t.code("username=grace").await;
    let no_secret = t.token(&format!("grant_type=authorization_code&client_id=vestibule-dev&code={code}")).await;
    assert_eq!(no_secret.error(), (401, "invalid_client".into()));
    let other = t.token(&format!("grant_type=authorization_code&client_id=other&code={code}")).await;
    assert_eq!(other.error(), (400, "invalid_grant".into()));
    let without_pkce = t.code("username=grace&client_id=other").await;
    let answer = t.token(&format!("grant_type=authorization_code&client_id=other&code={without_pkce}")).await;
    assert_eq!(answer.error(), (400, "invalid_grant".into()));
}
