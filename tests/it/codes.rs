//! Authorization codes: redeemed once, by whom they were made for; a copy ends what the first redemption gave.

use futures_util::future::join_all;
use vestibule::protocol::GrantType::{AuthorizationCode, RefreshToken};
use vestibule::store::{application, user};

use crate::authorize::{redeem, web_app};
use crate::harness::guest::{CALLBACK, Guest, VERIFIER};
use crate::harness::{Test, on_both_databases};

on_both_databases! {
    async fn a_code_used_twice_ends_what_it_gave(t: Test) { // attack 63
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        let first = redeem(&t, &app, &code).await;
        let refreshed = t.refresh(&app, &first.refresh_token()).await;
        assert!(t.accepts(&refreshed.access_token()).await);
        t.clock.advance(30);

        let second = redeem(&t, &app, &code).await;

        assert_eq!(second.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&first.access_token()).await && !t.accepts(&refreshed.access_token()).await);
        assert_eq!(t.refresh(&app, &refreshed.refresh_token()).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn of_fifty_at_once_one_redeems_and_no_family_lives_beside_another(t: Test) { // attack 65
        t.person("ada").await;
        let app = web_app(&t).await;
        let second = t.second_node().await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;

        let answers = join_all((0..50).map(|n| redeem(if n % 2 == 0 { &t } else { &second }, &app, &code))).await;

        let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(good.len(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.outcome() == "400 invalid_grant"));
        assert!(!t.accepts(&good[0].access_token()).await); // the others were replays
    }
}

on_both_databases! {
    async fn another_clients_code_another_address_or_verifier_is_refused(t: Test) { // attacks 31, 67
        t.person("ada").await;
        let (app, other) = (web_app(&t).await, web_app(&t).await);
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;

        assert_eq!(redeem(&t, &other, &code).await.outcome(), "400 invalid_grant");
        for (redirect_uri, verifier) in [
            ("https://app.example/other", VERIFIER),
            ("", VERIFIER),
            (CALLBACK, "another-verifier-another-verifier-another-verifier"),
            (CALLBACK, ""),
            (CALLBACK, "short"),
        ] {
            let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", redirect_uri), ("code_verifier", verifier)];
            assert_eq!(t.call("token", &app, &form).await.outcome(), "400 invalid_grant", "{redirect_uri} {verifier}");
        }
        for cut in [&code[..code.len() - 1], &format!("{code}x"), "garbage", "vac_garbage"] {
            assert_eq!(redeem(&t, &app, cut).await.outcome(), "400 invalid_grant");
        }
        let missing = [("grant_type", "authorization_code")];
        assert_eq!(t.call("token", &app, &missing).await.outcome(), "400 invalid_request");
        // Nothing of that was a redemption.
        assert_eq!(redeem(&t, &app, &code).await.status, 200);
    }
}

on_both_databases! {
    async fn a_code_lives_a_minute(t: Test) {
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        t.clock.advance(61);
        assert_eq!(redeem(&t, &app, &code).await.outcome(), "400 invalid_grant");
        t.clock.advance(-3_600); // attack 261
        let late = guest.code(&app, "ada", &[("scope", "read")]).await;
        assert_eq!(redeem(&t, &app, &late).await.status, 200);
        t.clock.advance(-3_600);
        assert_eq!(redeem(&t, &app, &late).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn whoever_is_deactivated_or_disabled_meanwhile_gets_nothing(t: Test) { // attack 69
        let ada = t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let db = &t.vestibule.context().db;

        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        user::set_active(db, ada.id, false).await.unwrap();
        assert_eq!(redeem(&t, &app, &code).await.outcome(), "400 invalid_grant");
        user::set_active(db, ada.id, true).await.unwrap();
        assert_eq!(redeem(&t, &app, &code).await.outcome(), "400 invalid_grant");

        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        let row = application::find(db, &app.client_id).await.unwrap().unwrap();
        let disabled = application::Application { is_active: false, ..row };
        let disabled = application::update(db, &disabled, t.clock.now()).await.unwrap().unwrap();
        assert_eq!(redeem(&t, &app, &code).await.outcome(), "401 invalid_client");
        application::update(db, &application::Application { is_active: true, ..disabled }, t.clock.now()).await.unwrap();
        assert_eq!(redeem(&t, &app, &code).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn an_application_that_may_not_refresh_gets_no_refresh_token(t: Test) {
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, RefreshToken];
            app.redirect_uris = vec![CALLBACK.to_owned()];
        }).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read")]).await;
        assert!(!redeem(&t, &app, &code).await.refresh_token().is_empty());
    }
}

on_both_databases! {
    async fn nothing_of_the_browsers_flow_lies_in_clear(t: Test) { // attack 229
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "read"), ("state", "the-state-that-is-the-clients")]).await;
        let tokens = redeem(&t, &app, &code).await;

        let stored = t.stored().await;

        let session = guest.cookie("vestibule_session").unwrap();
        for secret in [code, session, tokens.access_token(), tokens.refresh_token(), app.secret.clone().unwrap()] {
            assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
        assert!(stored.windows(11).any(|window| window == b"app.example"), "the dump shows what is stored");
        let keys = vestibule::store::signing_key::living(&t.vestibule.context().db, t.clock.now()).await.unwrap();
        assert!(keys.len() >= 7);
    }
}
