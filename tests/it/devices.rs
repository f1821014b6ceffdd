//! Devices without a browser (RFC 8628).

use vestibule::protocol::ClientType;
use vestibule::protocol::GrantType::DeviceCode;

use crate::harness::guest::Guest;
use crate::harness::key::claims;
use crate::harness::{Answer, App, Test, on_both_databases};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn device(t: &Test) -> App {
    t.app_with(|app| {
        app.grant_types = vec![DeviceCode];
        app.client_type = ClientType::Public;
    })
    .await
}

async fn begin(t: &Test, app: &App) -> Answer {
    let begun = t.call("device-authorization", app, &[("scope", "openid read")]).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    begun
}

async fn poll(t: &Test, app: &App, begun: &Answer) -> Answer {
    t.call("token", app, &[("grant_type", GRANT), ("device_code", &begun.field("device_code"))]).await
}

/// Types a code and says yes or no.
async fn decide(guest: &Guest<'_>, user_code: &str, decision: &str) -> Answer {
    let page = guest.get("device").await;
    let question = guest.submit(&page.form(), &[("user_code", user_code)]).await;
    assert!(question.text.contains("name=\"decision\""), "{question:?}");
    guest.submit(&question.form(), &[("decision", decision)]).await
}

on_both_databases! {
    async fn a_device_shows_a_code_and_gets_tokens_when_somebody_has_approved(t: Test) {
        t.person("ada").await;
        let app = device(&t).await;
        let begun = begin(&t, &app).await;
        assert_eq!((begun.json()["interval"].as_i64(), begun.json()["expires_in"].as_i64()), (Some(5), Some(600)));
        assert_eq!(begun.field("verification_uri"), t.url("device"));
        assert_eq!(begun.field("verification_uri_complete"), format!("{}?user_code={}", t.url("device"), begun.field("user_code")));
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 authorization_pending");
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 slow_down");
        t.clock.advance(6);
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 slow_down"); // ten seconds now
        t.clock.advance(16);
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 authorization_pending");

        let guest = Guest::new(&t);
        let link = guest.open(&begun.field("verification_uri_complete")).await;
        let page = guest.sign_in(&link, "ada").await;
        assert!(page.text.contains(&begun.field("user_code")) && !page.text.contains("name=\"decision\""), "{page:?}");
        // However it is typed.
        let typed = begun.field("user_code").to_lowercase().replace('-', " ");
        let done = decide(&guest, &typed, "allow").await;
        assert_eq!(done.status, 200, "{done:?}");
        t.clock.advance(20);
        let tokens = poll(&t, &app, &begun).await;

        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert!(t.accepts(&tokens.access_token()).await);
        assert!(claims(&tokens.field("id_token"))["auth_time"].is_i64());
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.status, 200);
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn a_no_an_end_and_another_client_give_nothing(t: Test) {
        t.person("ada").await;
        let (app, other) = (device(&t).await, device(&t).await);
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let begun = begin(&t, &app).await;
        decide(&guest, &begun.field("user_code"), "deny").await;
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 access_denied");

        let begun = begin(&t, &app).await;
        decide(&guest, &begun.field("user_code"), "allow").await;
        assert_eq!(poll(&t, &other, &begun).await.outcome(), "400 invalid_grant");
        assert_eq!(t.call("token", &app, &[("grant_type", GRANT), ("device_code", "garbage")]).await.outcome(), "400 invalid_grant");
        t.clock.advance(601);
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 expired_token");

        let without = t.public_app(&[vestibule::protocol::GrantType::Password]).await;
        assert_eq!(t.call("device-authorization", &without, &[]).await.outcome(), "400 unauthorized_client");
        assert_eq!(t.call("device-authorization", &app, &[("scope", "nonsense")]).await.outcome(), "400 invalid_scope");
    }
}

on_both_databases! {
    async fn codes_cannot_be_guessed_and_belong_to_whoever_typed_them_first(t: Test) { // attack 215
        t.person("ada").await;
        t.person("eve").await;
        let app = device(&t).await;
        let (ada, eve) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        eve.enter("eve").await;
        let begun = begin(&t, &app).await;
        let typed = |guest: &'static str| guest;
        let _ = typed("ada");
        let form = ada.get("device").await.form();
        assert!(ada.submit(&form, &[("user_code", &begun.field("user_code"))]).await.text.contains("name=\"decision\""));

        // Claimed: for somebody else it is as good as unknown, also straight to the decision.
        let form = eve.get("device").await.form();
        let answer = eve.submit_only(&form, &[("user_code", &begun.field("user_code")), ("decision", "allow")]).await;
        assert_eq!(answer.status, 400);
        t.clock.advance(6);
        assert_eq!(poll(&t, &app, &begun).await.outcome(), "400 authorization_pending");

        for n in 0..4 {
            let answer = eve.submit_only(&form, &[("user_code", &format!("BBBB-BBB{n}"))]).await;
            assert_eq!(answer.status, 400, "{n}");
        }
        let fresh = begin(&t, &app).await;
        let limited = eve.submit_only(&form, &[("user_code", &fresh.field("user_code"))]).await;
        assert_eq!(limited.status, 429);
        let answer = decide(&ada, &begun.field("user_code"), "allow").await;
        assert_eq!(answer.status, 200);
        t.clock.advance(301);
        assert!(eve.submit(&form, &[("user_code", &fresh.field("user_code"))]).await.text.contains("name=\"decision\""));
    }
}

on_both_databases! {
    async fn nothing_of_a_device_lies_in_clear(t: Test) { // attack 229
        let app = device(&t).await;
        let begun = begin(&t, &app).await;
        let stored = t.stored().await;
        for secret in [begun.field("device_code"), begun.field("user_code"), begun.field("user_code").replace('-', "")] {
            assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}
