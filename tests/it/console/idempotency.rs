//! A call that is sent again with its `Idempotency-Key` is not done twice.

use serde_json::{Value, json};

use super::{admin_app, bearer, call, noted, staff};
use crate::harness::{Answer, Test, on_both_databases};

async fn send(t: &Test, authorization: &str, key: &str, body: &Value) -> Answer {
    let request = t.http.post(t.url("/admin/api/applications")).header("authorization", authorization);
    Answer::of(request.header("idempotency-key", key).json(body)).await
}

on_both_databases! {
    async fn the_same_call_is_answered_as_before_and_another_one_refused(t: Test) {
        let app = admin_app(&t).await;
        staff(&t, "root", "*").await;
        staff(&t, "clerk", "applications.change").await;
        let root = bearer(&t, &app, "root", "admin:write").await;
        let body = json!({ "name": "Shop", "client_type": "confidential" , "grant_types": ["password"] });

        let first = send(&t, &root, "a-key", &body).await;
        // Also with a token that was refreshed meanwhile.
        let again = send(&t, &bearer(&t, &app, "root", "admin:write").await, "a-key", &body).await;

        assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
        assert_eq!(first.text, again.text);
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (String::new(), "true".to_owned()));
        assert_eq!(noted(&t).await.len(), 1);
        assert_eq!(send(&t, &root, "a-key", &json!({ "name": "Other", "client_type": "public" })).await.status, 422);
        // Another person's same word is another key.
        let clerk = bearer(&t, &app, "clerk", "admin:write").await;
        assert_eq!(send(&t, &clerk, "a-key", &body).await.header("idempotency-replayed"), "");
        // A refusal is kept too; without a key everything is done anew.
        let wrong = json!({ "client_type": "public" });
        assert_eq!((send(&t, &root, "b", &wrong).await.status, send(&t, &root, "b", &wrong).await.header("idempotency-replayed")), (400, "true".to_owned()));
        assert_eq!(call(&t, "POST", "/admin/api/applications", &root, body.clone()).await.status, 201);
        let secret = first.field("client_secret");
        let stored = t.stored().await;
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()));
        t.clock.advance(86_401);
        let root = bearer(&t, &app, "root", "admin:write").await;
        assert_eq!(send(&t, &root, "a-key", &body).await.header("idempotency-replayed"), "");
    }
}

on_both_databases! {
    async fn of_calls_at_the_same_moment_one_is_done(t: Test) {
        let app = admin_app(&t).await;
        let itself = bearer(&t, &app, "", "admin:write").await;
        let body = json!({ "name": "Shop", "client_type": "public" , "redirect_uris": ["https://shop.example/cb"] });
        let calls = (0..8).map(|_| send(&t, &itself, "one", &body));

        let answers = futures_util::future::join_all(calls).await;

        assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)), "{answers:?}");
        assert!(answers.iter().any(|answer| answer.status == 201));
        assert_eq!(noted(&t).await.len(), 1);
    }
}
