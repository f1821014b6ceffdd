//! Providers that are slow, broken or huge, and addresses that are not public.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;

use super::*;

/// 256 KiB of a JSON object in a few hundred bytes of gzip.
const GZIP_BOMB: &str = "H4sIAAAAAAACA+3FsQkAIQAEsF2utnhbx3GFRxDE3bV2hqTJyj96WmpK5v0DAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAHhkH7gCp3YSAAQA";

#[tokio::test]
async fn a_provider_that_does_not_answer_is_given_up_in_time() {
    let world = World::with(PROVIDERS, "outbound.timeout = '200ms'").await;
    world.google().on(GOOGLE_USERINFO, Reply::Hang);
    let start = Instant::now();

    world.refused("google-oauth2", "ya29.x").await.is(504, Reason::ProviderUnreachable).says("in time");

    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_the_providers_fault() {
    let world = World::new().await;
    for garbage in
        ["", "<html>hello</html>", "[]", "[{\"sub\": \"1\"}]", "\"1\"", "null", "{\"sub\": \"1\"", "\u{0}\u{1}"]
    {
        world.google().text(GOOGLE_USERINFO, 200, garbage);
        world.refused("google-oauth2", "ya29.x").await.is(502, Reason::ProviderUnreachable);
        world.google().text(GOOGLE_TOKENINFO, 200, garbage);
        world.refused("google-oauth2", "ya29.x").await.is(502, Reason::ProviderUnreachable);
    }
}

#[tokio::test]
async fn an_outage_is_not_the_tokens_fault() {
    let world = World::new().await;
    for status in [429, 500, 502, 503, 504] {
        world.google().text(GOOGLE_USERINFO, status, "oops");
        world.refused("google-oauth2", "ya29.x").await.is(503, Reason::ProviderUnreachable);
        world.google().text(GOOGLE_TOKENINFO, status, "oops");
        world.refused("google-oauth2", "ya29.x").await.is(503, Reason::ProviderUnreachable);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::new().await;
    let away = vec![("location", "https://graph.facebook.com/v24.0/me".to_owned())];
    world.google().on(GOOGLE_USERINFO, Reply::Answer(302, away, Bytes::new()));

    world.refused("google-oauth2", "ya29.x").await.is(502, Reason::ProviderUnreachable);

    assert!(world.stand.seen(FACEBOOK_ME).is_empty());
}

#[tokio::test]
async fn an_answer_is_read_up_to_the_limit_and_no_further() {
    // attack 177
    let world = World::new().await;
    let bomb = Bytes::from(STANDARD.decode(GZIP_BOMB).unwrap());
    assert!(bomb.len() < 2048);
    for reply in [
        Reply::Endless,
        Reply::Answer(200, vec![], Bytes::from(vec![b' '; 100 << 20])),
        Reply::Answer(200, vec![("content-encoding", "gzip".into())], bomb),
        Reply::Answer(200, vec![], Bytes::from(vec![b' '; 65_537])),
    ] {
        world.google().on(GOOGLE_USERINFO, reply);
        world.refused("google-oauth2", "ya29.x").await.is(502, Reason::ProviderUnreachable).says("far more");
    }
    let mut fits = br#"{"sub": "1", "email_verified": true}"#.to_vec();
    fits.resize(65_536, b' ');
    world.google().on(GOOGLE_USERINFO, Reply::Answer(200, vec![], fits.into()));
    assert!(world.token("google-oauth2", "ya29.x").await.is_ok());
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_speaks_no_http_is_unreachable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let garbage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let noise = garbage.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut socket, _)) = garbage.accept().await {
            let _ = socket.write_all(b"220 smtp.example.com ESMTP\r\n").await;
        }
    });
    for address in [closed, noise] {
        let map = format!("outbound.origin_map.\"https://www.googleapis.com\" = 'http://{address}'\n");
        let settings = settings(&format!("{map}{PROVIDERS}"));
        let upstream = Upstream::new(&settings, Clock::default()).unwrap();
        let world = World { upstream: Arc::new(upstream), stand: StandIn::default(), clock: Clock::default() };
        let provider = world.provider("google-oauth2");
        let refusal = world
            .upstream
            .person(provider, "ya29.secret", &crate::upstream::person::Known::default())
            .await
            .err()
            .unwrap();
        let refusal = Refusal(refusal);
        refusal.is(503, Reason::ProviderUnreachable).says("cannot be reached");
        assert!(!refusal.cause().contains("secret"));
    }
}

/// An OpenID Connect provider at an address of this machine, which nothing maps.
fn unmapped(origin: &str, more: &str) -> Upstream {
    let provider = format!(
        "{more}\n[providers.corp]\nprotocol = 'oidc'\nissuer = '{origin}'\nclient_id = 'x'\n\
         accept_unverified_audience = true\nendpoints.userinfo = '{origin}/userinfo'"
    );
    Upstream::new(&settings(&provider), Clock::default()).unwrap()
}

async fn ask(upstream: &Upstream) -> Result<Identified, OAuthError> {
    let presented = Presented { credential: Credential::Token("opaque".into()), nonce: None };
    upstream.identify(upstream.provider("corp").unwrap(), &presented).await
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_called() {
    // attack 235
    let stand = StandIn::default();
    stand.json("GET /userinfo", 200, json!({"sub": "1"}));
    let origin = stand.listen().await;
    let port = origin.rsplit(':').next().unwrap();
    let hosts = [
        "localhost",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "10.0.0.1",
        "169.254.169.254",
    ];
    for host in hosts {
        let upstream = unmapped(&format!("http://{host}:{port}"), "");
        let refusal = Refusal(ask(&upstream).await.unwrap_err());
        refusal.is(503, Reason::ProviderUnreachable).says("outbound.allow_private_addresses");
    }
    assert_eq!(stand.calls(), 0);

    for more in
        ["outbound.allow_private_addresses = true", &format!("outbound.origin_map.'https://x.example' = '{origin}'")]
    {
        assert_eq!(ask(&unmapped(&origin, more)).await.unwrap().profile.uid, "1");
    }
    let named = unmapped(&format!("http://localhost:{port}"), "outbound.allow_private_addresses = true");
    assert_eq!(ask(&named).await.unwrap().profile.uid, "1");
}

#[tokio::test]
async fn calls_to_one_provider_are_bounded_and_do_not_hold_up_another() {
    // attack 255
    let world = World::with(PROVIDERS, "outbound.max_concurrent_calls = 3\noutbound.timeout = '2s'").await;
    world.google().on(GOOGLE_USERINFO, Reply::Hang).on(GOOGLE_TOKENINFO, Reply::Hang);
    world.facebook();
    let start = Instant::now();

    let hanging = join_all((0..40).map(|_| world.token("google-oauth2", "ya29.x")));
    let meanwhile = async {
        tokio::task::yield_now().await;
        let other = world.token("facebook", "EAAG").await;
        let took = start.elapsed();
        // Well before the first is given up, and its place goes to the next.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let reached = world.stand.seen(GOOGLE_USERINFO).len() + world.stand.seen(GOOGLE_TOKENINFO).len();
        (other, took, reached)
    };
    let (hung, (other, took, reached)) = tokio::join!(hanging, meanwhile);

    assert!(other.is_ok() && took < Duration::from_millis(1500), "{took:?}");
    assert_eq!(reached, 3);
    assert!(hung.into_iter().all(|result| result.unwrap_err().status() == 504));
}
