//! Who comes in at all: the settings of `[console]`.

use serde_json::Value;

use super::{admin_app, bearer, call, desk, page, staff};
use crate::harness::guest::Guest;
use crate::harness::{PASSWORD, Setup, Test, on_both_databases};

on_both_databases! {
    async fn where_a_second_factor_is_asked_for_the_password_alone_opens_nothing(setup: Setup) {
        let mut setup = setup;
        setup.settings.console.require_second_factor = true;
        let t = setup.start().await;
        staff(&t, "root", "*").await;
        let desk = Guest::new(&t);
        desk.enter("root").await;

        let refused = desk.get("/admin/").await;

        assert_eq!(refused.status, 403);
        assert!(refused.text.contains("second factor"), "{refused:?}");
        // By a session in which one was given it opens.
        let (_, authenticator) = crate::second_factor::with_app(&t, "root").await;
        let again = Guest::new(&t);
        let form = again.get("/account/sign-in?next=%2Fadmin%2F").await.form();
        let asked = again.submit(&form, &[("username", "root"), ("password", PASSWORD)]).await;
        let code = authenticator.next(&t);
        let inside = again.submit(&asked.form(), &[("code", &code)]).await;
        assert!(inside.status == 200 && inside.text.contains("Dashboard"), "{inside:?}");
    }
}

on_both_databases! {
    async fn switched_off_there_is_neither_console_nor_admin_api(t: Test) {
        let app = admin_app(&t).await;
        let on = desk(&t, "root", "*").await;
        let token = bearer(&t, &app, "root", "admin:read").await;
        assert!(page(&on, "/account/").await.text.contains("Open the console"));
        let off = t.second_node_with(|settings| settings.console.enabled = false).await;
        let guest = Guest::new(&off);
        guest.enter("root").await;

        // As any path that is none, which the document does not know.
        for path in ["/admin/", "/admin/users/", "/admin/api/users"] {
            let request = off.http.get(off.url(path)).header("authorization", &token);
            assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
        }
        assert_eq!(call(&t, "GET", "/admin/api/users", &token, Value::Null).await.status, 200);
        assert!(!guest.get("/account/").await.text.contains("Open the console"));
        t.person("ada").await;
        let ada = Guest::new(&t);
        ada.enter("ada").await;
        assert!(!ada.get("/account/").await.text.contains("Open the console"));
    }
}
