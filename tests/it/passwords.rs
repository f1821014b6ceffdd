//! Signing in by password.

use futures_util::future::join_all;
use vestibule::protocol::GrantType::{ClientCredentials, ConvertToken, Password};
use vestibule::store::user::{self, NewUser};

use crate::harness::{Answer, App, PASSWORD, Setup, Test, on_both_databases};

async fn sign_in(t: &Test, app: &App, username: &str, password: &str) -> Answer {
    t.call("token", app, &[("grant_type", "password"), ("username", username), ("password", password)]).await
}

on_both_databases! {
    async fn the_answer_has_the_fields_that_clients_of_the_django_stack_read(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;

        let answer = t.password(&app, "ada").await;

        let keys: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        let mut expected = ["access_token", "expires_in", "token_type", "scope", "refresh_token"].map(str::to_owned).to_vec();
        expected.sort();
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
        assert_eq!(answer.json()["expires_in"], 36_000);
        assert_eq!(answer.field("token_type"), "Bearer");
        assert_eq!(answer.field("scope"), "read write");
        assert_eq!(answer.header("cache-control"), "no-store"); // attack 225
        assert!(t.accepts(&answer.access_token()).await);
    }
}

on_both_databases! {
    async fn unknown_wrong_inactive_and_without_a_password_are_one_answer(t: Test) { // attack 213
        let app = t.app(&[Password]).await;
        let inactive = t.person("inactive").await;
        user::set_active(&t.vestibule.context().db, inactive.id, false).await.unwrap();
        t.person("ada").await;
        t.person_with(NewUser { username: "nopassword".into(), password: Some("!".into()), ..NewUser::default() }).await;
        let before = t.vestibule.context().hasher.hashes();

        let answers = [
            sign_in(&t, &app, "nobody", PASSWORD).await,
            sign_in(&t, &app, "ada", "wrong").await,
            sign_in(&t, &app, "inactive", PASSWORD).await,
            sign_in(&t, &app, "nopassword", PASSWORD).await,
        ];

        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (400, &answers[0].text));
        }
        assert_eq!(answers[0].outcome(), "400 invalid_grant");
        assert_eq!(t.vestibule.context().hasher.hashes() - before, 4, "each cost a hash");
    }
}

on_both_databases! {
    async fn a_hash_of_djangos_lets_in_and_is_replaced(t: Test) {
        let app = t.app(&[Password]).await;
        let made = django_pbkdf2(PASSWORD, "c2FsdHNhbHQ", 1000);
        t.person_with(NewUser { username: "ada".into(), password: Some(made), ..NewUser::default() }).await;

        assert_eq!(sign_in(&t, &app, "ada", PASSWORD).await.status, 200);

        let password = t.find_person("ada").await.unwrap().password.unwrap();
        assert!(password.starts_with("argon2$argon2id$v=19$m=19456,t=2,p=1$"), "{password}");
        assert_eq!(sign_in(&t, &app, "ada", PASSWORD).await.status, 200);
        assert_eq!(sign_in(&t, &app, "ada", "wrong").await.outcome(), "400 invalid_grant");
        assert!(t.find_person("ada").await.unwrap().last_login.is_some());
    }
}

pub fn django_pbkdf2(password: &str, salt: &str, iterations: u32) -> String {
    use base64::Engine as _;
    let mut hash = [0; 32];
    let iterations = std::num::NonZeroU32::new(iterations).unwrap();
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt.as_bytes(),
        password.as_bytes(),
        &mut hash,
    );
    format!("pbkdf2_sha256${iterations}${salt}${}", base64::engine::general_purpose::STANDARD.encode(hash))
}

on_both_databases! {
    async fn past_the_queue_the_answer_is_503_and_nothing_else_waits(setup: Setup) {
        let mut setup = setup;
        setup.settings.passwords.hash_threads = 1;
        setup.settings.passwords.hash_queue = 4;
        let t = setup.start().await;
        t.person("ada").await;
        let app = t.app(&[Password, ClientCredentials]).await;

        let many = join_all((0..40).map(|_| sign_in(&t, &app, "ada", PASSWORD)));
        let machine = t.call("token", &app, &[("grant_type", "client_credentials")]);
        let (answers, machine) = tokio::join!(many, machine);

        assert_eq!(machine.status, 200, "{machine:?}");
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert!(!busy.is_empty());
        assert!(busy.iter().all(|answer| !answer.header("retry-after").is_empty() && answer.field("error") == "temporarily_unavailable"));
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 503)));
        assert!(answers.iter().any(|answer| answer.status == 200));
    }
}

on_both_databases! {
    async fn a_password_of_a_megabyte_is_refused_unhashed(t: Test) { // attack 175
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let before = t.vestibule.context().hasher.hashes();

        let answer = sign_in(&t, &app, "ada", &"x".repeat(1_000_000)).await;

        assert_eq!(answer.outcome(), "400 invalid_request");
        assert_eq!(t.vestibule.context().hasher.hashes(), before);
    }
}

on_both_databases! {
    async fn an_application_without_the_grant_is_refused_unhashed(t: Test) { // attack 19
        t.person("ada").await;
        let app = t.app(&[ConvertToken]).await;
        let before = t.vestibule.context().hasher.hashes();

        assert_eq!(sign_in(&t, &app, "ada", PASSWORD).await.outcome(), "400 unauthorized_client");
        assert_eq!(t.vestibule.context().hasher.hashes(), before);
    }
}

on_both_databases! {
    async fn scopes_are_judged_against_the_server_and_the_application(t: Test) { // attack 49
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let narrow = t.app_with(|app| app.scopes = ["read"].into_iter().collect()).await;
        let ask = |app: App, scope: &'static str| {
            let t = &t;
            async move {
                let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", scope)];
                t.call("token", &app, &form).await
            }
        };

        assert_eq!(ask(app.clone(), "read").await.field("scope"), "read");
        assert_eq!(ask(app.clone(), "read openid").await.field("scope"), "read openid");
        for bad in ["admin", "read admin", "re\"ad", "re\\ad", "read\u{7}"] {
            let answer = ask(app.clone(), bad).await;
            assert_eq!(answer.outcome(), "400 invalid_scope", "{bad}");
        }
        assert_eq!(ask(narrow.clone(), "").await.field("scope"), "read");
        assert_eq!(ask(narrow, "write").await.outcome(), "400 invalid_scope");
    }
}

on_both_databases! {
    async fn drf_social_oauth2s_user_stands_in_the_answer_where_asked_for(setup: Setup) {
        let mut setup = setup;
        setup.settings.tokens.user_in_response = true;
        let t = setup.start().await;
        t.person_with(NewUser { username: "ada".into(), email: "ada@example.com".into(), first_name: "Ada".into(), last_name: "L".into(), ..NewUser::default() }).await;
        let app = t.app(&[Password]).await;

        let answer = t.password(&app, "ada").await;

        assert_eq!(answer.json()["user"], serde_json::json!({"email": "ada@example.com", "first_name": "Ada", "last_name": "L"}));
    }
}
