//! The dashboard: what has happened is in its numbers, its plots and their tables.

use serde_json::Value;
use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::statistics;

use super::{admin_app, bearer, call, desk, page, staff};
use crate::harness::guest::Guest;
use crate::harness::{Test, on_both_databases};

on_both_databases! {
    async fn what_happened_is_counted_plotted_and_tabled(t: Test) {
        let app = t.app(&[Password, ConvertToken]).await;
        let desk = desk(&t, "root", "*").await;
        let empty = page(&desk, "/admin/").await;
        assert!(empty.text.contains("Nothing was counted"));
        t.password(&app, "root").await;
        for _ in 0..3 {
            t.convert(&app, "google-oauth2", "nonsense").await;
        }
        let cx = t.vestibule.context();
        statistics::flush(cx).await.unwrap();
        statistics::sample(cx).await.unwrap();

        for range in ["hour", "day", "month"] {
            let by_provider = page(&desk, &format!("/admin/?range={range}&by=provider")).await;
            let by_application = page(&desk, &format!("/admin/?range={range}&by=application")).await;

            assert!(by_provider.text.contains("own password") && by_provider.text.contains("Google"), "{by_provider:?}");
            assert!(by_application.text.contains(&app.row.name), "{by_application:?}");
            assert!(by_provider.text.contains("<polyline") && by_provider.text.contains("<td>3</td>"));
            assert!(by_provider.text.contains("token_rejected"), "{by_provider:?}");
        }
        assert!(page(&desk, "/admin/").await.text.contains("<dd>1</dd>"));

        let api = admin_app(&t).await;
        let root = bearer(&t, &api, "root", "admin:read").await;
        let answer = call(&t, "GET", "/admin/api/dashboard?range=hour&by=provider", &root, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["refusals"]["total"], 3);
        assert_eq!(answer.json()["reasons"][0]["count"], 3);
        staff(&t, "clerk", "users.view").await;
        let clerk = bearer(&t, &api, "clerk", "admin:read").await;
        assert_eq!(call(&t, "GET", "/admin/api/dashboard", &clerk, Value::Null).await.status, 403);
    }
}

on_both_databases! {
    async fn whoever_may_not_see_it_begins_elsewhere(t: Test) {
        let clerk = desk(&t, "clerk", "applications.view").await;
        assert_eq!(clerk.get("/admin/").await.header("location"), "/admin/applications/");
        let idle = desk(&t, "idle", "").await;
        assert_eq!(idle.get("/admin/").await.status, 403);
        t.person("ada").await;
        let ada = Guest::new(&t);
        ada.enter("ada").await;
        assert_eq!(ada.get("/admin/").await.status, 403);
    }
}
