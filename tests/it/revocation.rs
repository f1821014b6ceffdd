//! Ending tokens: revocation (RFC 7009), introspection (RFC 7662), the old stack's invalidations, deactivated people.

use futures_util::future::join_all;
use serde_json::json;
use vestibule::protocol::GrantType::{ClientCredentials, Password};
use vestibule::store::user;

use crate::harness::{Answer, PASSWORD, Test, on_both_databases};

on_both_databases! {
    async fn revoking_a_refresh_token_ends_its_access_token_on_every_node_at_once(t: Test) { // attack 145
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let other = t.second_node().await;
        let tokens = t.password(&app, "ada").await;
        assert!(t.accepts(&tokens.access_token()).await && other.accepts(&tokens.access_token()).await);

        let answer = t.call("revoke-token", &app, &[("token", &tokens.refresh_token())]).await;

        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        assert!(!other.accepts(&tokens.access_token()).await);
        assert!(!t.accepts(&tokens.access_token()).await);
    }
}

on_both_databases! {
    async fn revoking_an_access_token_takes_its_refresh_token_along(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let tokens = t.password(&app, "ada").await;

        t.call("revoke-token/", &app, &[("token", &tokens.access_token())]).await;

        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn an_unknown_or_foreign_token_a_wrong_hint_and_a_second_time_are_the_same_answer(t: Test) { // attacks 143, 147
        t.person("ada").await;
        let (app, other) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let tokens = t.password(&app, "ada").await;

        for token in ["nonsense", &tokens.access_token(), &tokens.refresh_token()] {
            let answer = t.call("revoke-token", &other, &[("token", token)]).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        }
        assert!(t.accepts(&tokens.access_token()).await, "another client's token lives on");

        let wrong_hint = [("token", tokens.access_token()), ("token_type_hint", "refresh_token".to_owned())];
        for _ in 0..2 {
            let form: Vec<_> = wrong_hint.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(t.call("revoke-token", &app, &form).await.status, 200);
            assert!(!t.accepts(&tokens.access_token()).await);
        }
        assert_eq!(t.call("revoke-token", &app, &[]).await.outcome(), "400 invalid_request");
        assert_eq!(t.post("revoke-token", &[("token", "x")]).await.outcome(), "401 invalid_client");
    }
}

on_both_databases! {
    async fn introspection_tells_an_applications_own_access_tokens(t: Test) {
        let ada = t.person("ada").await;
        let app = t.app(&[Password, ClientCredentials]).await;
        let tokens = t.password(&app, "ada").await;
        let now = t.clock.now();

        let answer = t.call("introspect", &app, &[("token", &tokens.access_token())]).await;

        assert_eq!(answer.header("cache-control"), "no-store");
        let told = answer.json();
        assert_eq!((&told["active"], &told["scope"], &told["username"]), (&json!(true), &json!("read write"), &json!("ada")));
        assert_eq!((told["client_id"].as_str(), told["sub"].as_str()), (Some(app.client_id.as_str()), Some(ada.id.to_string().as_str())));
        assert!((told["exp"].as_i64().unwrap() - now - 36_000).abs() < 3);
        let machine = t.call("token", &app, &[("grant_type", "client_credentials")]).await;
        let told = t.call("introspect", &app, &[("token", &machine.access_token())]).await.json();
        assert_eq!((&told["active"], told.get("username"), told.get("sub")), (&json!(true), None, None));
    }
}

on_both_databases! {
    async fn introspection_of_anything_else_is_inactive_and_nothing_more(t: Test) { // attacks 139, 141
        t.person("ada").await;
        let (app, other) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let resource_server = t.app_with(|app| app.is_resource_server = true).await;
        let public = t.public_app(&[Password]).await;
        let tokens = t.password(&app, "ada").await;
        let revoked = t.password(&app, "ada").await;
        t.call("revoke-token", &app, &[("token", &revoked.access_token())]).await;

        async fn t_introspect(t: &Test, app: crate::harness::App, token: &str) -> String {
            let answer = t.call("introspect", &app, &[("token", token)]).await;
            format!("{} {}", answer.status, answer.text)
        }
        let inactive = "200 {\"active\":false}";
        assert_eq!(t_introspect(&t, other.clone(), &tokens.access_token()).await, inactive);
        for token in [tokens.refresh_token(), revoked.access_token(), "nonsense".to_owned()] {
            assert_eq!(t_introspect(&t, app.clone(), &token).await, inactive);
        }
        assert!(t_introspect(&t, resource_server, &tokens.access_token()).await.contains("\"active\":true"));
        let answer = t.call("introspect", &public, &[("token", &tokens.access_token())]).await;
        assert_eq!(answer.outcome(), "401 invalid_client");
        let bearer = t.post_as("introspect", &format!("Bearer {}", tokens.access_token()), &[("token", &tokens.access_token())]).await;
        assert_eq!(bearer.status, 401);
        assert_eq!(Answer::of(t.http.get(t.url("introspect"))).await.status, 405);
        t.clock.advance(36_001);
        assert_eq!(t_introspect(&t, app, &tokens.access_token()).await, inactive);
    }
}

on_both_databases! {
    async fn invalidate_sessions_ends_a_persons_tokens_of_one_application(t: Test) { // attack 149
        t.person("ada").await;
        t.person("grace").await;
        let (app, other_app) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let other_node = t.second_node().await;
        let (phone, tablet) = (t.password(&app, "ada").await, t.password(&app, "ada").await);
        let (elsewhere, somebody) = (t.password(&other_app, "ada").await, t.password(&app, "grace").await);
        assert!(other_node.accepts(&tablet.access_token()).await);
        let as_ada = format!("Bearer {}", phone.access_token());

        let missing = t.post_as("invalidate-sessions", &as_ada, &[]).await;
        assert_eq!((missing.status, &missing.json()["client_id"]), (400, &json!(["This field is required."])));
        let unknown = t.post_as("invalidate-sessions", &as_ada, &[("client_id", "nobody")]).await;
        assert_eq!((unknown.status, unknown.field("detail").is_empty()), (400, false));
        assert_eq!(t.post("invalidate-sessions", &[("client_id", &app.client_id)]).await.status, 401);

        let answer = t.post_as("invalidate-sessions", &as_ada, &[("client_id", &app.client_id)]).await;

        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert!(!other_node.accepts(&tablet.access_token()).await);
        assert!(!t.accepts(&phone.access_token()).await && !t.accepts(&tablet.access_token()).await);
        assert_eq!(t.refresh(&app, &tablet.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(t.accepts(&elsewhere.access_token()).await && t.accepts(&somebody.access_token()).await);
    }
}

on_both_databases! {
    async fn invalidate_refresh_tokens_leaves_access_tokens_alive(t: Test) {
        t.person("ada").await;
        t.person("grace").await;
        let (app, other_app) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let tokens = t.password(&app, "ada").await;
        let (elsewhere, somebody) = (t.password(&other_app, "ada").await, t.password(&app, "grace").await);
        let as_ada = format!("Bearer {}", tokens.access_token());

        let answer = t.post_as("invalidate-refresh-tokens", &as_ada, &[("client_id", &app.client_id)]).await;

        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert!(t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(t.refresh(&other_app, &elsewhere.refresh_token()).await.status, 200);
        assert_eq!(t.refresh(&app, &somebody.refresh_token()).await.status, 200);
    }
}

on_both_databases! {
    async fn a_deactivated_persons_tokens_stop_at_once_and_for_good(t: Test) { // attacks 36, 81
        let ada = t.person("ada").await;
        let app = t.app(&[Password]).await;
        let other = t.second_node().await;
        let tokens = t.password(&app, "ada").await;
        assert!(other.accepts(&tokens.access_token()).await);
        let db = &t.vestibule.context().db;

        assert!(user::set_active(db, ada.id, false).await.unwrap());

        assert!(!other.accepts(&tokens.access_token()).await);
        assert!(!t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(t.call("introspect", &app, &[("token", &tokens.access_token())]).await.text, "{\"active\":false}");
        user::set_active(db, ada.id, true).await.unwrap();
        assert!(!t.accepts(&tokens.access_token()).await, "what ended does not come back");
        assert!(t.accepts(&t.password(&app, "ada").await.access_token()).await);
    }
}

on_both_databases! {
    async fn no_token_survives_a_deactivation_that_races_with_fifty_sign_ins_and_refreshes(t: Test) { // attack 243
        let ada = t.person("ada").await;
        let app = t.app(&[Password]).await;
        let starts = join_all((0..8).map(|_| t.password(&app, "ada"))).await;
        let db = &t.vestibule.context().db;

        let refreshes = join_all(starts.iter().map(|start| {
            let (t, app, token) = (&t, &app, start.refresh_token());
            async move { t.refresh(app, &token).await }
        }));
        let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
        let sign_ins = join_all((0..16).map(|_| t.call("token", &app, &form)));
        let (refreshes, sign_ins, deactivated) = tokio::join!(refreshes, sign_ins, user::set_active(db, ada.id, false));

        assert!(deactivated.unwrap());
        user::set_active(db, ada.id, true).await.unwrap();
        let late: Vec<_> = sign_ins.iter().filter(|answer| answer.status == 200).collect();
        for answer in refreshes.iter().chain(late.iter().copied()).filter(|answer| answer.status == 200) {
            assert!(!t.accepts(&answer.access_token()).await, "issued before or during the deactivation");
            assert_ne!(t.refresh(&app, &answer.refresh_token()).await.status, 200);
        }
    }
}

on_both_databases! {
    async fn a_deleted_persons_tokens_are_gone(t: Test) {
        let ada = t.person("ada").await;
        let app = t.app(&[Password]).await;
        let tokens = t.password(&app, "ada").await;

        assert!(user::delete(&t.vestibule.context().db, ada.id).await.unwrap());

        assert!(!t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(t.find_person("ada").await.is_none());
    }
}
