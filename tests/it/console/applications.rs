//! Applications in the console and over the admin API.

use serde_json::{Value, json};
use vestibule::protocol::GrantType::Password;

use super::{admin_app, bearer, call, desk, form_to, is_worded, noted, page, staff};
use crate::harness::guest::Guest;
use crate::harness::{Test, on_both_databases};

on_both_databases! {
    async fn a_superuser_makes_changes_stops_and_deletes_an_application(t: Test) {
        let desk = desk(&t, "root", "*").await;
        let new = page(&desk, "/admin/applications/new").await;
        assert!(new.text.contains("Resource owner password-based"));
        let form = form_to(&new, "/new");
        let wrong = desk.submit(&form, &[("name", "Shop"), ("client_type", "confidential"), ("grant_types", "authorization-code"), ("redirect_uris", "http://shop.example/cb")]).await;
        assert_eq!(wrong.status, 400);
        assert!(wrong.text.contains("must be https") && wrong.text.contains("value=\"Shop\""), "{wrong:?}");

        let fields = [("name", "Shop <1>"), ("client_type", "confidential"), ("grant_types", "password"), ("owner", "root"), ("signing_algorithm", "RS256")];
        let made = desk.submit(&form, &fields).await;

        assert_eq!(made.status, 200, "{made:?}");
        is_worded(&made);
        assert!(made.text.contains("Shop &lt;1&gt;") && !made.text.contains("Shop <1>"));
        let secret = format!("vcs_{}", made.text.split("vcs_").nth(1).unwrap().split('<').next().unwrap());
        let list = page(&desk, "/admin/applications/?q=shop").await;
        assert!(!list.text.contains("vcs_"));
        let url = list.link("Shop <1>");
        let shown = page(&desk, &url).await;
        assert!(!shown.text.contains("vcs_"));
        let client_id = url.trim_matches('/').rsplit('/').next().unwrap().replace("%2D", "-").replace("%5F", "_");
        let try_secret = async |secret: &str| {
            let form = [("grant_type", "password"), ("client_id", &client_id), ("client_secret", secret), ("username", "root"), ("password", "wrong")];
            t.post("token", &form).await.outcome()
        };
        assert_eq!(try_secret(&secret).await, "400 invalid_grant");

        let rotate = page(&desk, &format!("{url}rotate-secret")).await;
        let rotated = desk.submit(&form_to(&rotate, "rotate-secret"), &[("overlap", "1h")]).await;
        let fresh = format!("vcs_{}", rotated.text.split("vcs_").nth(1).unwrap().split('<').next().unwrap());
        assert_eq!((try_secret(&secret).await, try_secret(&fresh).await), ("400 invalid_grant".into(), "400 invalid_grant".into()));
        t.clock.advance(3_601);
        desk.enter("root").await;
        assert_eq!((try_secret(&secret).await, try_secret(&fresh).await), ("401 invalid_client".into(), "400 invalid_grant".into()));

        let question = page(&desk, &format!("{url}disable")).await;
        assert!(question.text.contains("ends at once"));
        let disabled = desk.submit(&form_to(&question, "disable"), &[]).await;
        assert!(disabled.text.contains("The application is disabled"), "{disabled:?}");
        assert_eq!(try_secret(&fresh).await, "401 invalid_client");
        let undone = desk.submit(&form_to(&disabled, "enable"), &[]).await;
        assert!(undone.text.contains("The application is enabled"));
        assert_eq!(try_secret(&fresh).await, "400 invalid_grant");

        let change = page(&desk, &format!("{url}change")).await;
        let fields = [("name", "Renamed"), ("grant_types", "authorization-code"), ("redirect_uris", "https://shop.example/cb"), ("signing_algorithm", "ES256"), ("metadata", "{\"client_uri\": \"https://shop.example\"}")];
        let changed = desk.submit(&form_to(&change, "change"), &fields).await;
        assert!(changed.text.contains("Renamed") && changed.text.contains("ES256") && changed.text.contains("client_uri"), "{changed:?}");

        let question = page(&desk, &format!("{url}delete")).await;
        assert!(question.text.contains("cannot be undone"));
        let deleted = desk.submit(&form_to(&question, "delete"), &[]).await;
        assert!(deleted.text.contains("The application is deleted") && !deleted.text.contains("Renamed"));
        assert_eq!(desk.open(&url).await.status, 404);
        let acts: Vec<String> = noted(&t).await.iter().map(|line| line.replace(&client_id, "ID")).collect();
        assert_eq!(acts, [
            "root console application.delete ID",
            "root console application.change ID",
            "root console application.enable ID",
            "root console application.disable ID",
            "root console application.rotate_secret ID",
            "root console application.create ID",
        ]);
        let stored = t.stored().await;
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}

on_both_databases! {
    async fn staff_do_what_their_permissions_say_and_others_nothing(t: Test) {
        let app = t.app(&[Password]).await;
        let url = format!("/admin/applications/{}/", app.client_id.replace('-', "%2D"));
        t.person("ada").await;
        let (ada, nobody) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        let viewer = desk(&t, "viewer", "applications.view").await;
        let other = desk(&t, "other", "audit.view").await;
        let form = ada.get("/account/sessions").await.form();
        for path in ["/admin/applications/", "/admin/applications/new", &url, &format!("{url}change"), &format!("{url}delete")] {
            assert_eq!(ada.get(path).await.status, 403, "{path}");
            assert_eq!(other.get(path).await.status, 403, "{path}");
            let away = nobody.get(path).await;
            assert_eq!(away.status, 303);
            assert!(away.header("location").starts_with("/account/sign-in?next=%2Fadmin%2F"), "{}", away.header("location"));
        }
        let list = page(&viewer, "/admin/applications/").await;
        assert!(list.text.contains(&app.client_id) && !list.text.contains("/admin/applications/new"));
        let shown = page(&viewer, &url).await;
        assert!(!shown.text.contains("delete"), "{shown:?}");
        let of_viewer = viewer.get("/account/sessions").await.form();
        for act in ["new", &format!("{}/delete", app.client_id), &format!("{}/disable", app.client_id), &format!("{}/change", app.client_id), &format!("{}/rotate-secret", app.client_id)] {
            let action = format!("/admin/applications/{act}");
            let fields = [("name", "x"), ("client_type", "public"), ("grant_types", "authorization-code"), ("redirect_uris", "https://x.example")];
            let theirs = crate::harness::guest::Form { action: action.clone(), ..of_viewer.clone() };
            assert_eq!(viewer.submit_only(&theirs, &fields).await.status, 403, "{act}");
            let hers = crate::harness::guest::Form { action: action.clone(), ..form.clone() };
            assert_eq!(ada.submit_only(&hers, &fields).await.status, 403, "{act}");
            // Nor by a form of nobody's (attack 196).
            assert_eq!(viewer.post(&action, &fields).await.status, 403, "{act}");
        }
        assert!(noted(&t).await.is_empty());
    }
}

on_both_databases! {
    async fn the_same_over_json_within_scope_and_permissions(t: Test) {
        let app = admin_app(&t).await;
        staff(&t, "root", "*").await;
        staff(&t, "clerk", "applications.change").await;
        staff(&t, "viewer", "applications.view").await;
        t.person("ada").await;
        let (root, clerk) = (bearer(&t, &app, "root", "admin:write").await, bearer(&t, &app, "clerk", "admin:write").await);
        let path = "/admin/api/applications";

        let made = call(&t, "POST", path, &clerk, json!({ "name": "Shop", "client_type": "confidential", "grant_types": ["password"] })).await;

        assert_eq!(made.status, 201, "{made:?}");
        assert!(made.field("client_secret").starts_with("vcs_") && !made.field("client_id").is_empty());
        let own = format!("{path}/{}", made.field("client_id"));
        let one = call(&t, "GET", &own, &root, Value::Null).await;
        assert_eq!((one.status, one.json()["client_secret"].clone(), one.field("name")), (200, Value::Null, "Shop".to_owned()));
        let changed = call(&t, "PATCH", &own, &clerk, json!({ "name": "Renamed", "allowed_origins": ["https://shop.example"] })).await;
        assert_eq!((changed.status, changed.field("name")), (200, "Renamed".to_owned()));
        for (body, field) in [
            (json!({ "redirect_uris": "x" }), "redirect_uris"),
            (json!({ "client_type": "public" }), "client_type"),
            (json!({ "scopes": ["nonsense"] }), "scopes"),
            (json!({ "metadata": { "pkce": "sometimes" } }), "metadata"),
            (json!({ "owner": "nobody" }), "owner"),
        ] {
            let refused = call(&t, "PATCH", &own, &clerk, body).await;
            assert_eq!(refused.outcome(), "400 invalid_client_metadata", "{refused:?}");
            assert!(refused.json().get(field).is_some(), "{refused:?}");
        }
        assert_eq!(call(&t, "PATCH", &own, &clerk, json!({ "token_epoch": 0 })).await.status, 400);
        assert_eq!(call(&t, "PATCH", &own, &clerk, json!({ "scopes": ["admin:read"] })).await.status, 403);
        assert_eq!(call(&t, "PATCH", &own, &root, json!({ "scopes": ["read", "admin:read"] })).await.status, 200);
        // Whoever has the mark may change the rest.
        assert_eq!(call(&t, "PATCH", &own, &clerk, json!({ "scopes": ["admin:read"] })).await.status, 200);
        assert_eq!(call(&t, "POST", &format!("{own}/disable"), &clerk, Value::Null).await.json()["is_active"], false);
        assert_eq!(call(&t, "POST", &format!("{own}/enable"), &clerk, Value::Null).await.json()["is_active"], true);
        let rotated = call(&t, "POST", &format!("{own}/rotate-secret"), &clerk, json!({ "overlap": "1h" })).await;
        assert!(rotated.field("client_secret").starts_with("vcs_"));
        assert_eq!(call(&t, "POST", &format!("{own}/rotate-secret"), &clerk, json!({ "overlap": "soon" })).await.status, 400);
        assert_eq!(call(&t, "POST", &format!("{own}/explode"), &clerk, Value::Null).await.status, 404);

        // Who may not.
        let reader = bearer(&t, &app, "root", "admin:read").await;
        let viewer = bearer(&t, &app, "viewer", "admin:write").await;
        for weak in [&reader, &viewer] {
            assert_eq!(call(&t, "GET", path, weak, Value::Null).await.status, 200);
            for (method, path) in [("POST", path), ("PATCH", &own), ("DELETE", &own)] {
                assert_eq!(call(&t, method, path, weak, json!({})).await.status, 403, "{method}");
            }
        }
        let person = bearer(&t, &app, "ada", "admin:read").await;
        let plain = bearer(&t, &app, "root", "read write").await;
        assert_eq!(call(&t, "GET", path, &person, Value::Null).await.status, 403);
        let refused = call(&t, "GET", path, &plain, Value::Null).await;
        assert_eq!(refused.outcome(), "403 insufficient_scope");
        assert_eq!(call(&t, "GET", path, "Bearer nonsense", Value::Null).await.status, 401);
        assert_eq!(t.http.get(t.url(path)).send().await.unwrap().status(), 401);
        // An application that names no scopes gets every one but these.
        let other = t.app(&[Password]).await;
        let refused = t.call("token", &other, &[("grant_type", "password"), ("username", "root"), ("password", crate::harness::PASSWORD), ("scope", "admin:read")]).await;
        assert_eq!(refused.outcome(), "400 invalid_scope");

        let itself = bearer(&t, &app, "", "admin:write").await;
        assert_eq!(call(&t, "DELETE", &own, &itself, Value::Null).await.status, 204);
        assert_eq!(call(&t, "GET", &own, &itself, Value::Null).await.status, 404);
        assert_eq!(noted(&t).await[0], format!("client {} api application.delete {}", app.client_id, made.field("client_id")));
    }
}

on_both_databases! {
    async fn a_list_goes_on_where_its_page_ends(t: Test) {
        let app = admin_app(&t).await;
        for _ in 0..6 {
            t.app(&[Password]).await;
        }
        let root = bearer(&t, &app, "", "admin:read").await;
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let answer = call(&t, "GET", &format!("/admin/api/applications?limit=3{next}"), &root, Value::Null).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let json = answer.json();
            let page = json["applications"].as_array().unwrap();
            assert!(page.len() <= 3);
            seen.extend(page.iter().map(|one| one["client_id"].as_str().unwrap().to_owned()));
            match json["next"].as_i64() {
                Some(before) => next = format!("&before={before}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 7);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }
}
