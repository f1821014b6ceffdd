//! The catalog and the operator's keys over it.

use super::*;

fn build(toml: &str) -> Result<Upstream, String> {
    Upstream::new(&settings(toml), Clock::default())
}

#[test]
fn what_is_configured_is_enabled_and_everything_is_listed() {
    // attack 123
    let upstream = build("[providers.github]\nclient_id = 'x'\nclient_secret = 'y'").unwrap();

    assert_eq!(upstream.providers().map(Provider::name).collect::<Vec<_>>(), ["github"]);
    for unknown in ["facebook", "GitHub", "github ", "", "nope", "../x"] {
        assert!(upstream.provider(unknown).is_none(), "{unknown}");
    }
    let all =
        crate::upstream::lines(&settings("[providers.github]\nclient_id = 'x'\nclient_secret = 'y'\ntitle = 'Ours'"))
            .unwrap();
    let line = |name: &str| {
        let line = all.iter().find(|line| line.name == name).unwrap();
        let protocol = line.entry.protocol.as_str();
        let needs = line.needs.join(" ");
        format!("{protocol} [{needs}] {} {} {:?}", line.enabled, line.audience_check, line.changed)
    };
    assert_eq!(line("facebook"), "oauth2 [client_id client_secret] false access token []");
    assert_eq!(line("github"), "oauth2 [client_id client_secret] true access token [\"title\"]");
    assert_eq!(line("google-oauth2"), "oauth2 [client_id] false access token and ID token []");
    assert_eq!(line("oidc"), "oidc [client_id issuer] false ID token only []");
}

#[test]
fn a_wrong_key_is_named() {
    for (toml, named) in [
        ("[providers.github]\nclient_id = 'x'", "providers.github: `client_secret`"),
        ("[providers.github]\nclient_id = ''\nclient_secret = 'y'", "providers.github: `client_id`"),
        ("[providers.google-oauth2]\nclient_id = 'x'\ncleint_ids = []", "providers.google-oauth2.cleint_ids"),
        ("[providers.github.audience]\nmetod = 'GET'", "providers.github.audience.metod"),
        ("[providers.github.audience]\nmethod = 'PATCH'", "providers.github: "),
        ("[providers.nope]\nclient_id = 'x'", "providers.nope.protocol"),
        ("[providers.corp]\nprotocol = 'oidc'\nclient_id = 'x'", "providers.corp: `issuer`"),
        ("[providers.corp]\nprotocol = 'carrier pigeon'\nclient_id = 'x'", "providers.corp: "),
        (
            "[outbound.origin_map]\n'https://x.example/path' = 'http://127.0.0.1:1'",
            "outbound.origin_map.\"https://x.example/path\"",
        ),
        ("[outbound.origin_map]\n'https://x.example' = 'nonsense'", "nonsense"),
    ] {
        let error = build(toml).err().unwrap_or_else(|| panic!("{toml}"));
        assert!(error.contains(named) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_setting_is_a_plain_word() {
    // attack 239
    let with = |version: &str| {
        build(&format!("[providers.facebook]\nclient_id = 'x'\nclient_secret = 'y'\napi_version = {version}"))
    };

    assert!(with("'23.0'").is_ok() && with("23.0").is_ok() && with("23").is_ok());
    for bad in
        ["'evil.com/'", "'a@evil.com'", "\"a\\r\\nHost:\"", "'..'", "'a/../b'", "'%0d'", "''", "[1]", "'a?b'", "'é'"]
    {
        assert!(with(bad).err().unwrap().contains("providers.facebook.api_version"), "{bad}");
    }
}

#[tokio::test]
async fn an_operators_key_wins_over_the_catalogs() {
    let world = World::with(
        "[providers.google-oauth2]\nclient_id = 'our-google'\nendpoints.userinfo = 'https://login.corp.example/userinfo'\n\
         claims.uid = 'uid'\ntitle = 'G'",
        "",
    )
    .await;
    world.google().json(CORP_USERINFO, 200, json!({"uid": 7, "sub": "x", "email_verified": true}));

    assert_eq!(world.token("google-oauth2", "ya29.x").await.unwrap().profile.uid, "7");
    assert_eq!(world.provider("google-oauth2").title(), "G");
}

#[test]
fn a_version_of_the_api_goes_into_every_address() {
    let upstream = build("[providers.facebook]\nclient_id = 'x'\nclient_secret = 'y'\napi_version = '25.0'").unwrap();
    let provider = upstream.provider("facebook").unwrap();

    let userinfo = provider.fixed(provider.entry.endpoints.userinfo.as_ref().unwrap()).unwrap();

    assert!(userinfo.starts_with("https://graph.facebook.com/v25.0/me?"), "{userinfo}");
}
