//! Signing in with a provider in a browser, and an MCP client that knows nothing but the API's address.

use serde_json::json;
use vestibule::protocol::ClientType;
use vestibule::settings::RegistrationMode;
use vestibule::store::application::Application;

use crate::authorize::{redeem, web_app};
use crate::harness::guest::{Guest, request_url};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

pub fn query(location: &str, name: &str) -> String {
    let query = location.split_once('?').map(|(_, query)| query).unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Follows the link of a provider on the sign-in page, up to the provider.
async fn depart(guest: &Guest<'_>, page: &Answer, backend: &str) -> String {
    let link = page
        .text
        .split("href=\"")
        .map(|part| part.split('"').next().unwrap())
        .find(|link| link.replace("&#x2f;", "/").contains(&format!("/login/{backend}")))
        .unwrap();
    let link = link.replace("&#x2f;", "/").replace("&amp;", "&");
    let answer = guest.get(&link).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location")
}

/// The provider gives its code for the challenge that came with the browser.
fn bind(t: &Test, there: &str) {
    t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", query(there, "code_challenge"))));
}

on_both_databases! {
    async fn a_person_signs_in_with_a_provider_and_goes_on_to_the_application(t: Test) { // attack 179
        t.stand_in.issue("github", "good-token", "7");
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let page = guest.authorize(&app, &[("scope", "openid read")]).await;
        assert!(page.text.contains("GitHub") && page.text.contains("Google"));
        let there = depart(&guest, &page, "github").await;
        assert!(there.starts_with("https://github.com/login/oauth/authorize?"), "{there}");
        assert_eq!((query(&there, "client_id").as_str(), query(&there, "redirect_uri")), ("github-id", t.url("complete/github/")));
        assert_eq!((query(&there, "code_challenge_method").as_str(), query(&there, "code_challenge").len()), ("S256", 43));
        let state = query(&there, "state");
        bind(&t, &there);

        // Not without this browser's cookie, not with another state, not twice.
        let stranger = Guest::new(&t);
        assert!(stranger.get(&format!("complete/github/?code=its-code&state={state}")).await.is_error_page());
        let back = guest.open(&format!("complete/github/?code=its-code&state={state}")).await;
        assert!(back.text.contains("name=\"decision\""), "{back:?}");
        assert!(guest.get(&format!("complete/github/?code=its-code&state={state}")).await.is_error_page());
        let code = guest.allow(&back).await.sent("code");
        assert_eq!(redeem(&t, &app, &code).await.status, 200);
        assert_eq!(t.people().await.len(), 1);
        assert!(guest.get("backends").await.json()["backends"].as_array().unwrap().iter().any(|backend| backend["name"] == "github" && backend["connected"] == true));
    }
}

on_both_databases! {
    async fn what_goes_wrong_on_the_way_back_is_said_in_words(t: Test) { // attacks 123, 187, 189, 191
        t.stand_in.issue("github", "good-token", "7");
        let guest = Guest::new(&t);
        let page = guest.get("/account/sign-in").await;
        for (answer, words) in [
            ("code=its-code&state=another", "another sign-in"),
            ("code=its-code", "another sign-in"),
            ("error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state=STATE", "You did not allow it at GitHub"),
            ("error=server_error&error_uri=javascript:alert(1)&state=STATE", "GitHub is down"),
            ("code=wrong-code&state=STATE", "did not prove who you are"),
            ("state=STATE", "did not prove who you are"),
        ] {
            let there = depart(&guest, &page, "github").await;
            let answer = guest.get(&format!("complete/github/?{}", answer.replace("STATE", &query(&there, "state")))).await;
            assert!(answer.text.contains("role=\"alert\"") && answer.header("location").is_empty() && answer.text.contains(words), "{words}: {answer:?}");
            assert!(!answer.text.contains("script>") && !answer.text.contains("javascript:"));
        }
        let there = depart(&guest, &page, "github").await;
        let elsewhere = format!("complete/google-oauth2/?code=its-code&state={}", query(&there, "state"));
        assert!(guest.get(&elsewhere).await.is_error_page());
        for nowhere in ["login/nonsense", "complete/nonsense?code=x&state=y", "login/facebook/../x"] {
            assert!(guest.get(nowhere).await.status == 404, "{nowhere}");
        }
        assert!(t.people().await.is_empty());
        // A provider that answers by a form: the answer goes on as a GET of our own.
        let there = depart(&guest, &page, "github").await;
        bind(&t, &there);
        let posted = guest.post("complete/github/", &[("code", "its-code"), ("state", &query(&there, "state"))]).await;
        assert_eq!(posted.status, 303);
        assert_eq!(guest.follow(posted).await.status, 200);
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn a_client_that_knows_only_the_apis_address_finds_its_way(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let t = setup.start().await;
        t.stand_in.issue("github", "good-token", "7");
        let get = |url: String| Answer::of(t.http.get(url));

        let refused = get(t.url("verify")).await;
        let metadata = refused.header("www-authenticate").split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let resource = get(metadata).await.json();
        let server = resource["authorization_servers"][0].as_str().unwrap().to_owned();
        let (origin, path) = server.split_at(t.base.len());
        let server = get(format!("{origin}/.well-known/oauth-authorization-server{path}")).await.json();
        let wanted = json!({ "client_name": "An agent", "redirect_uris": ["http://127.0.0.1:33418/"], "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"] });
        let registered = Answer::of(t.http.post(server["registration_endpoint"].as_str().unwrap()).json(&wanted)).await;
        let client_id = registered.field("client_id");
        let app = App { row: Application::new(client_id.clone(), String::new(), ClientType::Public), client_id, secret: None };
        let guest = Guest::new(&t);
        let page = guest.open(&request_url(&app, &[("redirect_uri", "http://127.0.0.1:33418/"), ("resource", resource["resource"].as_str().unwrap()), ("scope", "read")])).await;
        let there = depart(&guest, &page, "github").await;
        bind(&t, &there);
        let consent = guest.open(&format!("complete/github/?code=its-code&state={}", query(&there, "state"))).await;
        let code = guest.allow(&consent).await.sent("code");
        let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", "http://127.0.0.1:33418/"), ("code_verifier", crate::harness::guest::VERIFIER), ("resource", resource["resource"].as_str().unwrap())];
        let tokens = t.call("token", &app, &form).await;

        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert!(t.accepts(&tokens.access_token()).await);
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token()), ("resource", resource["resource"].as_str().unwrap())];
        assert_eq!(t.call("token", &app, &form).await.status, 200);
    }
}
