//! What people do with their own: the applications that they register, and what they have allowed others; and scripts on
//! other origins.

use serde_json::json;
use vestibule::protocol::GrantType::{AuthorizationCode, Password, RefreshToken};
use vestibule::settings::RegistrationByPeople;
use vestibule::store::user::NewUser;

use crate::authorize::{redeem, web_app};
use crate::harness::guest::{CALLBACK, Guest};
use crate::harness::{Answer, Setup, Test, on_both_databases};

on_both_databases! {
    async fn a_person_registers_changes_and_deletes_an_application_on_their_pages(t: Test) {
        t.person("ada").await;
        t.person("eve").await;
        let (ada, eve) = (Guest::new(&t), Guest::new(&t));
        assert_eq!(ada.get("applications/").await.status, 303);
        ada.enter("ada").await;
        eve.enter("eve").await;
        let form = ada.get("applications/register/").await.form();
        assert_eq!(form.action, "/auth/applications/register/");
        let fields = [("name", "Ada's app"), ("client_type", "confidential"), ("grant_types", "authorization-code"), ("redirect_uris", "https://app.example/cb\r\nhttps://app.example/other"), ("signing_algorithm", "HS256")];
        let wrong = ada.submit(&form, &[("name", "x"), ("client_type", "confidential"), ("grant_types", "authorization-code"), ("redirect_uris", "http://app.example/cb")]).await;
        assert_eq!(wrong.status, 400);
        assert!(wrong.text.contains("must be https") && wrong.text.contains("value=\"x\""), "{wrong:?}");
        for forbidden in ["password", "jwt-bearer"] {
            let refused = ada.submit(&form, &[("name", "x"), ("client_type", "confidential"), ("grant_types", forbidden)]).await;
            assert_eq!(refused.status, 400, "{forbidden}");
        }

        let made = ada.submit(&form, &fields).await;

        assert_eq!(made.status, 200, "{made:?}");
        let between = |text: &str, before: &str| text.split(before).nth(1).unwrap().split(['<', '"']).next().unwrap().to_owned();
        let secret = format!("vcs_{}", between(&made.text, "vcs_"));
        let list = ada.get("applications/").await;
        assert!(list.text.contains("Ada&#x27;s app") && !list.text.contains("vcs_"));
        let path = between(&list.text.replace("&#x2f;", "/"), "href=\"/auth/applications/").replace("register/", "");
        let path = if path.is_empty() { list.text.replace("&#x2f;", "/").split("href=\"/auth/applications/").map(|part| part.split('"').next().unwrap().to_owned()).find(|part| part.len() > 20).unwrap() } else { path };
        let client_id = path.trim_end_matches('/').to_owned();
        assert!(!ada.get(&format!("applications/{path}")).await.text.contains("vcs_"));
        for page in ["", "update/", "delete/"] {
            assert_eq!(eve.get(&format!("applications/{path}{page}")).await.status, 404, "{page}");
        }
        let of_eve = eve.get("applications/register/").await.form();
        for act in ["update", "delete", "rotate-secret"] {
            let foreign = crate::harness::guest::Form { action: format!("applications/{path}{act}/"), ..of_eve.clone() };
            assert_eq!(eve.submit(&foreign, &fields).await.status, 404, "{act}");
        }
        let form = ada.get(&format!("applications/{path}update/")).await.form();
        let changed = ada.submit(&form, &[("name", "Renamed"), ("grant_types", "authorization-code"), ("redirect_uris", CALLBACK), ("signing_algorithm", "RS256")]).await;
        assert!(changed.text.contains("Renamed"), "{changed:?}");
        let rotated = ada.submit(&crate::harness::guest::Form { action: format!("applications/{path}rotate-secret/"), ..form.clone() }, &[]).await;
        let fresh = format!("vcs_{}", between(&rotated.text, "vcs_"));
        assert_ne!(fresh, secret);
        let try_secret = |secret: String| {
            let (t, client_id) = (&t, client_id.clone());
            async move { t.post("token", &[("grant_type", "authorization_code"), ("client_id", &client_id), ("client_secret", &secret), ("code", "x")]).await.outcome() }
        };
        assert_eq!(try_secret(secret).await, "401 invalid_client");
        assert_eq!(try_secret(fresh.clone()).await, "400 invalid_grant");
        let question = ada.get(&format!("applications/{path}delete/")).await;
        assert!(question.text.contains("Renamed"));
        ada.submit(&question.form(), &[]).await;
        assert_eq!(try_secret(fresh).await, "401 invalid_client");
        assert_eq!(ada.get(&format!("applications/{path}")).await.status, 404);
    }
}

on_both_databases! {
    async fn the_same_over_json_for_a_token_with_the_scope(t: Test) { // attack 201
        t.person("ada").await;
        t.person("eve").await;
        let app = t.app(&[Password]).await;
        let as_of = |username: &'static str, scope: &'static str| {
            let (t, app) = (&t, &app);
            async move { format!("Bearer {}", t.password_with_scope(app, username, scope).await.access_token()) }
        };
        let (ada, eve, weak) = (as_of("ada", "applications").await, as_of("eve", "applications").await, as_of("ada", "read write").await);
        let send = |method: reqwest::Method, path: String, who: String, body: serde_json::Value| {
            let request = t.http.request(method, t.url(&path)).header("authorization", who).json(&body);
            Answer::of(request)
        };
        use reqwest::Method;
        let wanted = json!({ "name": "By JSON", "redirect_uris": [CALLBACK], "grant_types": ["authorization-code", "refresh-token"] });
        assert_eq!(send(Method::POST, "applications".into(), weak.clone(), wanted.clone()).await.outcome(), "403 insufficient_scope");
        let made = send(Method::POST, "applications".into(), ada.clone(), wanted).await;
        assert_eq!((made.status, made.field("name").as_str(), made.field("client_secret").starts_with("vcs_")), (201, "By JSON", true), "{made:?}");
        let path = format!("applications/{}", made.field("client_id"));
        let listed = send(Method::GET, "applications/".into(), ada.clone(), json!({})).await.json();
        assert_eq!((listed["applications"].as_array().unwrap().len(), listed.to_string().contains("vcs_")), (1, false));
        assert_eq!(send(Method::GET, path.clone(), ada.clone(), json!({})).await.field("client_id"), made.field("client_id"));
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            assert_eq!(send(method.clone(), path.clone(), eve.clone(), json!({ "name": "x" })).await.status, 404, "{method}");
        }
        assert_eq!(send(Method::PATCH, path.clone(), ada.clone(), json!({ "name": "Renamed" })).await.field("name"), "Renamed");
        for forbidden in ["skip_authorization", "is_resource_server", "resource_server", "owner_id", "client_id", "metadata", "client_type"] {
            let refused = send(Method::PATCH, path.clone(), ada.clone(), json!({ forbidden: "public" })).await;
            assert_eq!(refused.outcome(), "400 invalid_client_metadata", "{forbidden}");
        }
        assert_eq!(send(Method::PATCH, path.clone(), ada.clone(), json!({ "grant_types": ["password"] })).await.outcome(), "400 invalid_client_metadata");
        assert_eq!(send(Method::PATCH, path.clone(), ada.clone(), json!({ "name": 7 })).await.outcome(), "400 invalid_request");
        assert_eq!(send(Method::DELETE, path.clone(), ada.clone(), json!({})).await.status, 204);
        assert_eq!(send(Method::GET, path, ada, json!({})).await.status, 404);
    }
}

on_both_databases! {
    async fn the_operator_says_who_may_register_applications(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.by_people = RegistrationByPeople::Staff;
        let t = setup.start().await;
        t.person("ada").await;
        t.person_with(NewUser { username: "root".to_owned(), is_superuser: true, ..NewUser::default() }).await;
        let (ada, root) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        root.enter("root").await;
        assert_eq!(ada.get("applications/register/").await.status, 403);
        let page = root.get("applications/register/").await;
        assert!(page.text.contains("value=\"password\""));
        let made = root.submit(&page.form(), &[("name", "x"), ("client_type", "confidential"), ("grant_types", "password")]).await;
        assert!(made.text.contains("vcs_"), "{made:?}");
    }
}

on_both_databases! {
    async fn a_person_sees_what_they_allowed_and_takes_it_back(t: Test) { // attack 81
        t.person("ada").await;
        t.person("eve").await;
        let (app, other) = (web_app(&t).await, web_app(&t).await);
        let (ada, eve) = (Guest::new(&t), Guest::new(&t));
        let code = ada.code(&app, "ada", &[("scope", "read")]).await;
        let tokens = redeem(&t, &app, &code).await;
        let waiting = ada.code(&app, "ada", &[("scope", "read")]).await;
        let of_other = redeem(&t, &other, &ada.code(&other, "ada", &[("scope", "read")]).await).await;
        eve.enter("eve").await;
        let page = ada.get("authorized_tokens/").await;
        assert!(page.text.contains(&app.row.name) && page.text.contains("Reading scope"), "{page:?}");
        let at = page.text.find(&app.row.name).unwrap();
        let id = page.text[at..].split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

        let foreign = crate::harness::guest::Form { action: "authorized_tokens/".to_owned(), ..eve.get("/account/sessions").await.form() };
        eve.submit(&foreign, &[("id", &id), ("confirm", "1")]).await;
        assert!(t.accepts(&tokens.access_token()).await);
        let question = ada.submit(&crate::harness::guest::Form { action: "authorized_tokens/".to_owned(), ..page.form() }, &[("id", &id)]).await;
        assert!(question.text.contains(&app.row.name) && t.accepts(&tokens.access_token()).await, "{question:?}");
        ada.submit(&question.form(), &[("confirm", "1")]).await;

        assert!(!t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(redeem(&t, &app, &waiting).await.outcome(), "400 invalid_grant");
        assert!(t.accepts(&of_other.access_token()).await);
        assert!(ada.authorize(&app, &[("scope", "read")]).await.text.contains("name=\"decision\""));
        assert!(!ada.get("authorized_tokens/").await.text.contains(&app.row.name));

        let by_password = t.app(&[Password]).await;
        let token = format!("Bearer {}", t.password_with_scope(&by_password, "ada", "applications").await.access_token());
        let listed = t.get_as("authorized_tokens", &token).await.json();
        assert_eq!(listed["authorized"].as_array().unwrap().len(), 1);
        let path = format!("authorized_tokens/{}", listed["authorized"][0]["id"]);
        assert_eq!(Answer::of(t.http.delete(t.url(&path)).header("authorization", &token)).await.status, 204);
        assert_eq!(Answer::of(t.http.delete(t.url(&path)).header("authorization", &token)).await.status, 404);
        assert!(!t.accepts(&of_other.access_token()).await);
    }
}

on_both_databases! {
    async fn scripts_call_for_the_applications_that_name_their_origin(t: Test) { // attack 169
        t.person("ada").await;
        let origin = "https://spa.example";
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, RefreshToken, Password];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.allowed_origins = vec!["https://other.example".to_owned(), origin.to_owned()];
        }).await;
        let closed = t.app(&[Password]).await;
        let allowed = |answer: &Answer| answer.header("access-control-allow-origin");
        let preflight = |path: &'static str, origin: &'static str| {
            let request = t.http.request(reqwest::Method::OPTIONS, t.url(path)).header("origin", origin).header("access-control-request-method", "POST");
            Answer::of(request)
        };
        for path in ["token", "userinfo", "revoke-token", "jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "token/"] {
            let known = preflight(path, origin).await;
            assert_eq!((known.status, allowed(&known).as_str()), (204, origin), "{path}");
            assert!(known.header("access-control-allow-headers").contains("DPoP"));
            for unknown in ["https://evil.example", "https://spa.example.evil.example", "https://pa.example", "https://%", "null"] {
                let answer = preflight(path, unknown).await;
                assert_eq!((answer.status, allowed(&answer).as_str()), (405, ""), "{path} {unknown}");
                assert!(!answer.header("allow").is_empty());
            }
        }
        assert_eq!(allowed(&preflight("introspect", origin).await), "");
        let password = |app: &crate::harness::App, origin: &'static str| {
            let form = [("grant_type", "password"), ("username", "ada"), ("password", crate::harness::PASSWORD), ("client_id", app.client_id.as_str()), ("client_secret", app.secret.as_deref().unwrap())];
            Answer::of(t.http.post(t.url("token")).header("origin", origin).form(&form))
        };
        let tokens = password(&app, origin).await;
        assert_eq!((tokens.status, allowed(&tokens).as_str(), tokens.header("vary").as_str()), (200, origin, "Origin"));
        assert_eq!(tokens.header("access-control-allow-credentials"), "");
        // Another application's origin is not this one's.
        assert_eq!(allowed(&password(&closed, origin).await), "");
        assert_eq!(allowed(&password(&app, "https://evil.example").await), "");
        let refused = Answer::of(t.http.post(t.url("token")).header("origin", origin).form(&[("client_id", app.client_id.as_str()), ("client_secret", "wrong"), ("grant_type", "password")])).await;
        assert_eq!((refused.status, allowed(&refused).as_str()), (401, origin));
        let info = Answer::of(t.http.get(t.url("userinfo")).header("origin", origin).bearer_auth(tokens.access_token())).await;
        assert_eq!((info.outcome().as_str(), allowed(&info).as_str()), ("403 insufficient_scope", origin));
        assert_eq!(allowed(&Answer::of(t.http.get(t.url("jwks")).header("origin", origin)).await), origin);
    }
}
