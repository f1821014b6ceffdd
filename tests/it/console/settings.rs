//! The configuration in force, in the console and over the admin API.

use serde_json::Value;
use vestibule::settings::{Hidden, Origin};

use super::{admin_app, bearer, call, desk, page, plain, staff};
use crate::harness::{Engine, Setup, on_both_databases};

on_both_databases! {
    async fn settings_are_shown_as_they_count_with_where_they_came_from_and_no_secret(s: Setup) {
        let mut s = s;
        s.settings.registration.initial_access_token = Some(Hidden::new("hush-hush-0123456789"));
        let t = s.start().await;
        let app = admin_app(&t).await;
        let root = desk(&t, "root", "*").await;

        let list = page(&root, "/admin/settings/").await;

        assert!(list.text.contains("<code>tokens.access_token_ttl</code>") && list.text.contains("<code>10h</code>"));
        assert!(list.text.contains("<code>providers.github.client_id</code>") && list.text.contains("<code>github-id</code>"));
        for secret in ["hush-hush", "github-secret"] {
            assert!(!list.text.contains(secret), "{secret}");
        }
        let few = page(&root, "/admin/settings/?q=INITIAL_access").await;
        assert_eq!(few.text.matches("<tr").count(), 2);
        assert!(page(&root, "/admin/settings/?q=nonsense").await.text.contains("There is no such setting."));
        let itself = bearer(&t, &app, "", "admin:read").await;
        let all = call(&t, "GET", "/admin/api/settings?q=registration.", &itself, Value::Null).await;
        assert!(!all.text.contains("hush-hush"));
        let lines = all.json()["settings"].clone();
        let line = lines.as_array().unwrap().iter().find(|line| line["name"] == "registration.initial_access_token").unwrap();
        assert_eq!((line["is_set"].clone(), line["value"].clone(), line["origin"]["kind"].clone()), (true.into(), Value::Null, "program".into()));
        let line = lines.as_array().unwrap().iter().find(|line| line["name"] == "registration.mode").unwrap();
        assert_eq!((line["value"].clone(), line["origin"]["kind"].clone()), ("off".into(), "default".into()));
        if t.engine == Engine::Postgres {
            let url = call(&t, "GET", "/admin/api/settings?q=database_url", &itself, Value::Null).await;
            assert!(url.text.contains("postgres://"));
        }
    }
}

on_both_databases! {
    async fn a_value_names_the_file_that_it_stands_in_and_who_may_not_see_it_sees_nothing(s: Setup) {
        let mut s = s;
        s.settings.pages.site_name = "Example".to_owned();
        s.settings.origins.note(vec!["pages".into(), "site_name".into()], Origin::File("/etc/vestibule.toml".into()));
        let t = s.start().await;
        let viewer = desk(&t, "viewer", "settings.view").await;
        let other = desk(&t, "other", "audit.view").await;
        let list = page(&viewer, "/admin/settings/?q=site_name").await;
        assert!(plain(&list).contains("<code>/etc/vestibule.toml</code>"));
        assert_eq!(other.get("/admin/settings/").await.status, 403);
        let app = admin_app(&t).await;
        staff(&t, "third", "keys.view").await;
        let weak = bearer(&t, &app, "third", "admin:read").await;
        assert_eq!(call(&t, "GET", "/admin/api/settings", &weak, Value::Null).await.status, 403);
    }
}
