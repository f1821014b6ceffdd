//! Signing keys in the console and over the admin API.

use serde_json::{Value, json};

use super::{admin_app, bearer, call, desk, form_to, noted, page, staff};
use crate::harness::{Test, on_both_databases};

/// The names of the keys in this state.
fn kids(keys: &Value, state: &str) -> Vec<String> {
    let of_state = keys["keys"].as_array().unwrap().iter().filter(|key| key["state"] == state);
    let mut kids: Vec<_> = of_state.map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    kids.sort();
    kids
}

on_both_databases! {
    async fn keys_are_rotated_after_a_question_and_what_they_signed_goes_on_counting(t: Test) {
        let app = admin_app(&t).await;
        let root = desk(&t, "root", "*").await;
        let itself = bearer(&t, &app, "", "admin:read").await;
        let before = call(&t, "GET", "/admin/api/keys", &itself, Value::Null).await;
        assert_eq!((kids(&before.json(), "signing").len(), kids(&before.json(), "next").len()), (3, 3));
        assert!(!before.text.contains("pairwise") && !before.text.contains("sealed"));
        t.clock.advance(10);
        let list = page(&root, "/admin/keys/").await;
        assert!(kids(&before.json(), "next").iter().all(|kid| list.text.contains(kid)));

        let question = page(&root, "/admin/keys/rotate").await;
        assert!(question.text.contains("stay valid until they end"));
        assert!(noted(&t).await.is_empty());
        let rotated = root.submit(&form_to(&question, "rotate"), &[]).await;

        assert!(rotated.text.contains("The next keys sign from now on."), "{rotated:?}");
        let after = call(&t, "GET", "/admin/api/keys", &itself, Value::Null).await.json();
        assert_eq!(kids(&after, "signing"), kids(&before.json(), "next"));
        assert_eq!(kids(&after, "retired"), kids(&before.json(), "signing"));
        assert_eq!(kids(&after, "next").len(), 3);
        for key in after["keys"].as_array().unwrap() {
            assert_eq!(key["state"] == "retired", key["expires_at"].is_i64(), "{key}");
        }
        let published = t.http.get(t.url("jwks")).send().await.unwrap().json::<Value>().await.unwrap();
        assert_eq!(published["keys"].as_array().unwrap().len(), 9);
        let entry = &noted(&t).await[0];
        assert!(entry.starts_with("root console key.rotate ") && kids(&after, "signing").iter().all(|kid| entry.contains(kid)), "{entry}");
    }
}

on_both_databases! {
    async fn only_who_may_change_keys_rotates_them(t: Test) {
        let app = admin_app(&t).await;
        let viewer = desk(&t, "viewer", "keys.view").await;
        let other = desk(&t, "other", "audit.view").await;
        staff(&t, "clerk", "keys.change").await;
        let list = page(&viewer, "/admin/keys/").await;
        assert!(!list.text.contains("/admin/keys/rotate"));
        assert_eq!(other.get("/admin/keys/").await.status, 403);
        for guest in [&viewer, &other] {
            assert_eq!(guest.get("/admin/keys/rotate").await.status, 403);
            let form = crate::harness::guest::Form { action: "/admin/keys/rotate".to_owned(), ..guest.get("/account/sessions").await.form() };
            assert_eq!(guest.submit_only(&form, &[]).await.status, 403);
        }
        for (username, scope) in [("viewer", "admin:write"), ("clerk", "admin:read")] {
            let weak = bearer(&t, &app, username, scope).await;
            assert_eq!(call(&t, "POST", "/admin/api/keys/rotate", &weak, Value::Null).await.status, 403, "{username}");
            assert_eq!(call(&t, "GET", "/admin/api/keys", &weak, Value::Null).await.status, 200);
        }
        assert!(noted(&t).await.is_empty());

        let clerk = bearer(&t, &app, "clerk", "admin:write").await;
        t.clock.advance(10);
        let rotated = call(&t, "POST", "/admin/api/keys/rotate", &clerk, json!({})).await;

        assert_eq!((rotated.status, kids(&rotated.json(), "retired").len()), (200, 3));
        assert!(noted(&t).await[0].starts_with("clerk api key.rotate "));
    }
}
