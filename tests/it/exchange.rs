//! Token exchange (RFC 8693): our own tokens narrowed or used on somebody's behalf, and providers' tokens under the rules of
//! conversion.

use vestibule::protocol::GrantType::{ClientCredentials, Password, TokenExchange};
use vestibule::settings::AccessTokenFormat;

use crate::harness::key::claims;
use crate::harness::stand_in::Issued;
use crate::harness::{Answer, App, Test, on_both_databases};

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn exchange(t: &Test, app: &App, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![GRANT, ("subject_token", token), ("subject_token_type", ACCESS)];
    form.extend(more);
    t.call("token", app, &form).await
}

on_both_databases! {
    async fn a_token_is_narrowed_and_ends_with_the_one_it_was_made_of(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password, TokenExchange]).await;
        let subject = t.password(&app, "ada").await;

        let narrow = exchange(&t, &app, &subject.access_token(), &[("scope", "read")]).await;

        assert_eq!((narrow.status, narrow.field("scope").as_str(), narrow.field("issued_token_type").as_str()), (200, "read", ACCESS), "{narrow:?}");
        assert!(narrow.refresh_token().is_empty() && t.accepts(&narrow.access_token()).await);
        assert_eq!(exchange(&t, &app, &narrow.access_token(), &[("scope", "read write")]).await.outcome(), "400 invalid_scope");
        t.clock.advance(35_000);
        let late = exchange(&t, &app, &subject.access_token(), &[]).await;
        assert!(late.json()["expires_in"].as_i64().unwrap() <= 1_000); // not beyond the subject's
        t.call("revoke-token", &app, &[("token", &subject.access_token())]).await;
        assert!(!t.accepts(&narrow.access_token()).await && !t.accepts(&late.access_token()).await);
        assert_eq!(exchange(&t, &app, &subject.access_token(), &[]).await.outcome(), "400 invalid_request");
    }
}

on_both_databases! {
    async fn an_admin_scope_does_not_pass_to_an_application_that_is_not_registered_with_it(t: Test) {
        t.person("ada").await;
        let web = t.app_with(|app| app.scopes = "read admin:write".split(' ').collect()).await;
        let api = t.app_with(|app| {
            app.grant_types = vec![TokenExchange];
            app.is_resource_server = true;
        }).await;
        let subject = t.password_with_scope(&web, "ada", "read admin:write").await.access_token();

        let exchanged = exchange(&t, &api, &subject, &[]).await;

        assert_eq!((exchanged.status, exchanged.field("scope").as_str()), (200, "read"), "{exchanged:?}");
        assert_eq!(exchange(&t, &api, &subject, &[("scope", "admin:write")]).await.outcome(), "400 invalid_scope");
    }
}

on_both_databases! {
    async fn an_api_acts_for_the_person_and_says_so(t: Test) {
        let ada = t.person("ada").await;
        let web = t.app(&[Password]).await;
        let api = t.app_with(|app| {
            app.grant_types = vec![TokenExchange, ClientCredentials];
            app.is_resource_server = true;
            app.metadata.access_token_format = Some(AccessTokenFormat::Jwt);
        }).await;
        let stranger = t.app(&[TokenExchange]).await;
        let subject = t.password(&web, "ada").await.access_token();
        let own = t.call("token", &api, &[("grant_type", "client_credentials")]).await.access_token();

        let acting = exchange(&t, &api, &subject, &[("actor_token", &own), ("actor_token_type", ACCESS)]).await;

        assert_eq!(acting.status, 200, "{acting:?}");
        let told = claims(&acting.access_token());
        assert_eq!((told["sub"].as_str(), told["act"]["sub"].as_str()), (Some(ada.id.to_string().as_str()), Some(api.client_id.as_str())));
        assert_eq!(t.call("introspect", &api, &[("token", &acting.access_token())]).await.json()["act"]["client_id"], api.client_id.as_str());
        let nested = exchange(&t, &api, &acting.access_token(), &[("actor_token", &own), ("actor_token_type", ACCESS)]).await;
        assert!(claims(&nested.access_token())["act"]["act"]["sub"].is_string());
        assert_eq!(exchange(&t, &stranger, &subject, &[]).await.refusal(), "400 invalid_grant foreign_audience");
        assert_eq!(exchange(&t, &web, &subject, &[]).await.outcome(), "400 unauthorized_client");
    }
}

on_both_databases! {
    async fn a_providers_token_is_exchanged_under_the_rules_of_conversion(t: Test) { // attack 131
        let app = t.app(&[TokenExchange]).await;
        t.stand_in.issue("google-oauth2", "good-token", "1");
        let foreign = t.stand_in.issue("google-oauth2", "foreign-token", "2");
        t.stand_in.put("google-oauth2", "foreign-token", Issued { client_id: "somebody-elses-client".to_owned(), ..foreign });

        let good = exchange(&t, &app, "good-token", &[("backend", "google-oauth2")]).await;

        assert_eq!((good.status, good.field("issued_token_type").as_str()), (200, ACCESS), "{good:?}");
        assert_eq!(t.people().await.len(), 1);
        for (token, more, refusal) in [
            ("foreign-token", vec![("backend", "google-oauth2")], "400 invalid_grant foreign_audience"),
            ("good-token", vec![("backend", "nonsense")], "400 invalid_request unknown_backend"),
            ("good-token", vec![], "400 invalid_request "),
            ("good-token", vec![("backend", "google-oauth2"), ("audience", "x")], "400 invalid_target "),
            ("good-token", vec![("backend", "google-oauth2"), ("resource", "https://elsewhere.example/")], "400 invalid_target "),
            ("good-token", vec![("backend", "google-oauth2"), ("requested_token_type", "urn:ietf:params:oauth:token-type:saml2")], "400 invalid_request "),
            ("good-token", vec![("backend", "google-oauth2"), ("actor_token", "x")], "400 invalid_request "),
        ] {
            assert_eq!(exchange(&t, &app, token, &more).await.refusal(), refusal, "{token} {more:?}");
        }
        let form = [GRANT, ("subject_token", "good-token"), ("subject_token_type", "urn:nonsense")];
        assert_eq!(t.call("token", &app, &form).await.outcome(), "400 invalid_request");
        assert_eq!(t.people().await.len(), 1);
    }
}
