//! The catalog in the console and over the admin API.

use serde_json::Value;

use super::{admin_app, bearer, call, desk, form_to, is_worded, noted, page, plain};
use crate::harness::guest::Form;
use crate::harness::stand_in::Mood;
use crate::harness::{Setup, Test, on_both_databases};

on_both_databases! {
    async fn the_catalog_tells_what_is_enabled_and_what_the_rest_needs(s: Setup) {
        let mut s = s;
        s.settings.social.allow_signup = false;
        s.provider("github").policy.allowed_domains = Some(vec!["example.com".to_owned()]);
        s.provider("azuread-tenant-oauth2").client_id = Some("x".to_owned());
        s.provider("azuread-tenant-oauth2").enabled = Some(false);
        let t = s.start().await;
        let app = admin_app(&t).await;
        let viewer = desk(&t, "viewer", "providers.view").await;

        let list = page(&viewer, "/admin/providers/").await;

        let place = |name: &str| list.text.find(&format!("<code>{name}</code>")).unwrap_or_else(|| panic!("{name}"));
        assert!(place("github") < place("500px") && place("google-oauth2") < place("500px"));
        assert!(list.text.matches("<tr").count() > 250);
        let few = page(&viewer, "/admin/providers/?q=GITHUB&state=enabled").await;
        assert_eq!(few.text.matches("<tr").count(), 2);
        let gone = page(&viewer, "/admin/providers/?state=shut+down&protocol=openid2").await;
        assert!(gone.text.contains("shut down") && !gone.text.contains("<code>github</code>"));
        let github = plain(&page(&viewer, "/admin/providers/github/").await);
        assert!(github.contains(&format!("{}/auth/complete/github/", t.base)));
        assert!(github.contains("docs/providers/github.md"));
        assert!(github.contains("<code>allowed_domains</code>") && github.contains("<code>providers.github</code>"));
        assert!(github.contains("<code>allow_signup</code>") && github.contains("<code>social</code>"));
        assert!(!github.contains("github-secret") && !github.contains("/admin/providers/github/test"));
        let other = page(&viewer, "/admin/providers/azuread%2Dtenant%2Doauth2/").await;
        assert!(other.text.contains("providers.azuread-tenant-oauth2.tenant_id"));
        assert!(!other.text.contains("providers.azuread-tenant-oauth2.client_id"));
        assert_eq!(viewer.get("/admin/providers/nobodys/").await.status, 404);

        let itself = bearer(&t, &app, "", "admin:read").await;
        let names = async |query: &str| -> Vec<Value> {
            let all = call(&t, "GET", &format!("/admin/api/providers?{query}"), &itself, Value::Null).await;
            all.json()["providers"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
        };
        assert_eq!(names("state=enabled").await, ["facebook", "github", "google-oauth2"]);
        assert_eq!(names("state=enabled&q=goo").await, ["google-oauth2"]);
        assert!(names("state=enabled&protocol=oidc").await.is_empty());
        let one = call(&t, "GET", "/admin/api/providers/azuread-tenant-oauth2", &itself, Value::Null).await.json();
        assert!(one["missing"].as_array().unwrap().contains(&"tenant_id".into()) && one["enabled"] == false, "{one}");
        assert_eq!(call(&t, "GET", "/admin/api/providers/github", &itself, Value::Null).await.json()["policy"]["allow_signup"], false);
        assert_eq!(call(&t, "GET", "/admin/api/providers/nobodys", &itself, Value::Null).await.status, 404);
    }
}

on_both_databases! {
    async fn a_provider_is_tried_and_each_check_is_shown(t: Test) {
        let app = admin_app(&t).await;
        let clerk = desk(&t, "clerk", "providers.change").await;
        let shown = page(&clerk, "/admin/providers/github/").await;

        let tried = clerk.submit(&form_to(&shown, "test"), &[]).await;

        assert_eq!(tried.status, 200);
        is_worded(&tried);
        assert!(tried.text.contains("token endpoint") && tried.text.contains("audience check"), "{tried:?}");
        assert!(!tried.text.contains("github-secret"));
        t.stand_in.mood(Mood::Broken);
        let bad = clerk.submit(&form_to(&shown, "test"), &[]).await;
        assert!(bad.text.contains("this will not work as it is set up"), "{bad:?}");
        let token = bearer(&t, &app, "clerk", "admin:write").await;
        let tried = call(&t, "POST", "/admin/api/providers/github/test", &token, Value::Null).await;
        assert_eq!((tried.status, tried.json()["ok"].clone()), (200, false.into()));
        assert!(tried.json()["checks"].as_array().unwrap().len() > 2);
        assert_eq!(call(&t, "POST", "/admin/api/providers/twitter/test", &token, Value::Null).await.status, 400);
        assert_eq!(call(&t, "POST", "/admin/api/providers/nobodys/test", &token, Value::Null).await.status, 404);
        assert_eq!(noted(&t).await, ["clerk api provider.test github", "clerk console provider.test github", "clerk console provider.test github"]);

        let other = desk(&t, "other", "providers.view").await;
        let form = Form { action: "/admin/providers/github/test".to_owned(), ..other.get("/account/sessions").await.form() };
        assert_eq!(other.submit_only(&form, &[]).await.status, 403);
        let reader = bearer(&t, &app, "clerk", "admin:read").await;
        assert_eq!(call(&t, "POST", "/admin/api/providers/github/test", &reader, Value::Null).await.status, 403);
        assert_eq!(desk(&t, "third", "keys.view").await.get("/admin/providers/").await.status, 403);
    }
}

on_both_databases! {
    async fn one_trial_of_a_provider_runs_at_a_time(t: Test) {
        let app = admin_app(&t).await;
        let token = bearer(&t, &app, "", "admin:write").await;
        t.stand_in.mood(Mood::Hanging);

        let path = "/admin/api/providers/github/test";
        let (one, other) = tokio::join!(call(&t, "POST", path, &token, Value::Null), call(&t, "POST", path, &token, Value::Null));

        let mut both = [one.status, other.status];
        both.sort_unstable();
        assert_eq!(both, [200, 409], "{one:?} {other:?}");
        t.stand_in.mood(Mood::Good);
        assert_eq!(call(&t, "POST", path, &token, Value::Null).await.status, 200);
    }
}
