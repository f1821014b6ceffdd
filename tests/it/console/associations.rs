//! Associations in the console and over the admin API.

use serde_json::{Value, json};
use vestibule::protocol::GrantType::{ConvertToken, Password};

use super::{admin_app, bearer, call, desk, form_to, noted, page, staff};
use crate::harness::guest::Guest;
use crate::harness::{Setup, Test, on_both_databases};

on_both_databases! {
    async fn staff_see_and_disconnect_an_account(setup: Setup) {
        let mut setup = setup;
        setup.provider("github").policy.extra_data = Some(vec!["login".into()]);
        setup.provider("github").entry.extend("extra = { login = 'login' }".parse::<toml::Table>().unwrap());
        let t = setup.start().await;
        let app = t.app(&[ConvertToken, Password]).await;
        t.stand_in.issue("github", "good-token", "7");
        t.stand_in.issue("facebook", "other-token", "8");
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        assert_eq!(t.convert(&app, "facebook", "other-token").await.status, 200);
        let root = desk(&t, "root", "*").await;

        let list = page(&root, "/admin/associations/").await;
        assert!(list.text.contains("github") && list.text.contains("facebook"));
        let only = page(&root, "/admin/associations/?provider=github&uid=7").await;
        assert!(only.text.contains("<code>7</code>") && !only.text.contains("<code>8</code>"), "{only:?}");
        assert!(page(&root, "/admin/associations/?uid=70").await.text.contains("no such association"));
        let url = only.link("github");
        let shown = page(&root, &url).await;
        assert!(shown.text.contains("login") && !shown.text.contains("good-token"), "{shown:?}");
        let question = page(&root, &format!("{url}disconnect")).await;
        assert!(question.text.contains("last way in"), "{question:?}");
        let done = root.submit(&form_to(&question, "disconnect"), &[]).await;

        assert!(done.text.contains("is disconnected") && !done.text.contains("<code>7</code>"), "{done:?}");
        assert_eq!(root.open(&url).await.status, 404);
        assert!(noted(&t).await[0].starts_with("root console association.delete "));
    }
}

on_both_databases! {
    async fn who_may_not_disconnects_nothing(t: Test) {
        let app = t.app(&[ConvertToken, Password]).await;
        let admin = admin_app(&t).await;
        t.stand_in.issue("github", "good-token", "7");
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        t.person("ada").await;
        let ada = Guest::new(&t);
        ada.enter("ada").await;
        let viewer = desk(&t, "viewer", "associations.view").await;
        let clerk = staff(&t, "clerk", "associations.change").await;
        let root = bearer(&t, &admin, "", "admin:write").await;
        let all = call(&t, "GET", "/admin/api/associations", &root, Value::Null).await.json();
        let own = all["associations"][0].clone();
        let (id, username) = (own["id"].clone(), own["user"].as_str().unwrap().to_owned());
        let url = format!("/admin/associations/{id}/");
        assert_eq!(ada.get(&url).await.status, 403);
        assert!(!page(&viewer, &url).await.text.contains("disconnect"));
        assert_eq!(viewer.open(&format!("{url}disconnect")).await.status, 403);
        let form = viewer.get("/account/sessions").await.form();
        let form = crate::harness::guest::Form { action: format!("{url}disconnect"), ..form };
        assert_eq!(viewer.submit_only(&form, &[]).await.status, 403);
        let api = format!("/admin/api/associations/{id}");
        let weak = bearer(&t, &admin, "viewer", "admin:write").await;
        assert_eq!(call(&t, "DELETE", &api, &weak, Value::Null).await.status, 403);
        // Not of staff either, for whoever is no superuser.
        let person = t.find_person(&username).await.unwrap();
        let db = &t.vestibule.context().db;
        db.write(move |tx| Box::pin(async move { vestibule::store::user::set_rights(tx, person.id, true, false, "").await })).await.unwrap();
        let theirs = bearer(&t, &admin, &clerk.username, "admin:write").await;
        assert_eq!(call(&t, "DELETE", &api, &theirs, Value::Null).await.status, 403);
        assert!(noted(&t).await.is_empty());

        let one = call(&t, "GET", &api, &theirs, Value::Null).await.json();
        assert_eq!((one["provider"].clone(), one["uid"].clone(), one["extra"].clone()), ("github".into(), "7".into(), json!({})));
        assert!(!one.to_string().contains("good-token"));
        assert_eq!(call(&t, "DELETE", &api, &root, Value::Null).await.status, 204);
        assert_eq!(call(&t, "DELETE", &api, &root, Value::Null).await.status, 404);
        assert_eq!(call(&t, "GET", &format!("/admin/api/associations?user={username}"), &root, Value::Null).await.json()["associations"], json!([]));
    }
}
