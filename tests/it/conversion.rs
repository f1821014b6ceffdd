//! A provider's token or code for one of ours, at the providers of the catalog.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use vestibule::protocol::GrantType::{self, AuthorizationCode, ClientCredentials, ConvertToken, Password};
use vestibule::settings::OnTakenEmail;
use vestibule::store::association;
use vestibule::store::user::{self, NewUser};

use crate::harness::stand_in::{Issued, Mood};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

async fn converting(t: &Test) -> App {
    t.app(&[ConvertToken]).await
}

on_both_databases! {
    async fn a_token_of_each_provider_signs_its_owner_in(t: Test) {
        let app = converting(&t).await;
        for (number, backend) in ["google-oauth2", "facebook", "github"].into_iter().enumerate() {
            let uid = format!("100{number}");
            t.stand_in.issue(backend, "good-token", &uid);

            let answer = t.convert(&app, backend, "good-token").await;

            assert_eq!(answer.status, 200, "{backend} {answer:?}");
            let mut keys: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
            keys.sort();
            assert_eq!(keys, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
            assert_eq!(answer.header("cache-control"), "no-store");
            let verified = t.get_as("verify", &format!("Bearer {}", answer.access_token())).await;
            assert_eq!(verified.header("x-auth-email"), format!("user{uid}@example.com"), "{backend}");
            assert_eq!(t.refresh(&app, &answer.refresh_token()).await.status, 200);
            assert_eq!(t.convert(&app, backend, "good-token").await.status, 200);
        }
        let people = t.people().await;
        assert_eq!(people.len(), 3);
        assert_eq!((people[0].username.as_str(), people[0].first_name.as_str(), people[0].last_name.as_str()), ("user1000", "Grace", "Hopper"));
        assert!(people[0].email_verified && !people[1].email_verified && people[2].email_verified);
    }
}

on_both_databases! {
    async fn whoever_may_sign_people_in_may_convert_at_either_endpoint(t: Test) {
        t.stand_in.issue("github", "good-token", "1");
        for grant in [Password, AuthorizationCode, ConvertToken] {
            let app = t.app(&[grant]).await;
            assert_eq!(t.convert(&app, "github", "good-token").await.status, 200, "{grant}");
            let form = [("grant_type", "convert_token"), ("backend", "github"), ("token", "good-token")];
            assert_eq!(t.call("token", &app, &form).await.status, 200, "{grant}");
            assert_eq!(t.call("convert-token/", &app, &form).await.status, 200, "{grant}");
        }
        let machine = t.app(&[ClientCredentials]).await;
        assert_eq!(t.convert(&machine, "github", "good-token").await.outcome(), "400 unauthorized_client");
    }
}

on_both_databases! {
    async fn a_token_issued_to_another_client_is_refused_and_leaves_nothing(t: Test) { // attacks 87, 89
        let app = converting(&t).await;
        for backend in ["google-oauth2", "facebook", "github"] {
            t.stand_in.put(backend, "stolen", Issued { client_id: "somebody-elses-app".into(), uid: "1".into(), ..Issued::default() });

            let answer = t.convert(&app, backend, "stolen").await;

            assert_eq!(answer.refusal(), "400 invalid_grant foreign_audience", "{backend}");
            assert!(answer.field("error_description").contains(&format!("providers.{backend}.client_ids")));
            let header = t.get_as("verify", &format!("Bearer {backend} stolen")).await;
            assert_eq!((header.status, header.field("reason").as_str()), (401, "foreign_audience"));
        }
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn further_client_ids_of_the_same_project_count_letter_by_letter(setup: Setup) { // attack 93
        let mut setup = setup;
        setup.provider("google-oauth2").client_ids = vec!["ios-client".into()];
        let t = setup.start().await;
        let app = converting(&t).await;
        for (client_id, outcome) in [("ios-client", "200  "), ("iOS-client", "400 invalid_grant foreign_audience"), ("ios-client ", "400 invalid_grant foreign_audience")] {
            let issued = t.stand_in.issue("google-oauth2", "token", "1");
            t.stand_in.put("google-oauth2", "token", Issued { client_id: client_id.into(), ..issued });
            assert_eq!(t.convert(&app, "google-oauth2", "token").await.refusal(), outcome, "{client_id:?}");
        }
    }
}

on_both_databases! {
    async fn a_provider_that_says_no_is_told_from_one_that_is_away(t: Test) {
        let app = converting(&t).await;
        for backend in ["google-oauth2", "facebook"] {
            assert_eq!(t.convert(&app, backend, "unknown-token").await.refusal(), "400 invalid_grant token_rejected", "{backend}");
        }
        let github = t.convert(&app, "github", "unknown-token").await;
        assert_eq!(github.refusal(), "400 invalid_grant foreign_audience", "GitHub's answer is 404 for both");
        for backend in ["google-oauth2", "facebook", "github"] {
            t.stand_in.issue(backend, "good-token", "1");
            for (mood, status) in [(Mood::Broken, 503), (Mood::Html, 502), (Mood::Hanging, 504)] {
                t.stand_in.mood(mood);
                let answer = t.convert(&app, backend, "good-token").await;
                assert_eq!(answer.refusal(), format!("{status} temporarily_unavailable provider_unreachable"), "{backend} {mood:?}");
                assert!(!answer.header("retry-after").is_empty());
                assert!(!answer.text.contains("stack trace") && !answer.text.contains("<html>") && !answer.text.contains("good-token"));
            }
            t.stand_in.mood(Mood::Good);
        }
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn while_forty_conversions_hang_nothing_else_waits(t: Test) { // attack 255
        t.person("ada").await;
        let app = t.app(&[Password, ClientCredentials]).await;
        let token = t.password(&app, "ada").await.access_token();
        t.stand_in.mood(Mood::Hanging);

        let hanging = join_all((0..40).map(|_| t.convert(&app, "github", "any-token")));
        let others = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for _ in 0..20 {
                assert!(t.accepts(&token).await);
                assert_eq!(t.call("token", &app, &[("grant_type", "client_credentials")]).await.status, 200);
            }
            "done first"
        };
        let first = futures_util::future::select(Box::pin(hanging), Box::pin(others)).await;

        assert!(matches!(first, futures_util::future::Either::Right(("done first", _))), "the others were done while all forty hung");
    }
}

on_both_databases! {
    async fn what_is_missing_or_unknown_is_named(t: Test) { // attack 125
        let app = converting(&t).await;
        let ask = |form: Vec<(&'static str, &'static str)>| {
            let (t, app) = (&t, &app);
            async move {
                let mut all = vec![("grant_type", "convert_token")];
                all.extend(form);
                t.call("convert-token", app, &all).await
            }
        };
        assert_eq!(ask(vec![("backend", "github")]).await.json()["token"], json!(["This field is required."]));
        assert_eq!(ask(vec![("token", "x")]).await.json()["backend"], json!(["This field is required."]));
        for backend in ["google", "GitHub", "Django", "../github", "dev", "nobody", "git\u{a0}hub"] {
            let answer = ask(vec![("backend", backend), ("token", "x")]).await;
            assert_eq!(answer.refusal(), "400 invalid_request unknown_backend", "{backend}");
        }
        assert_eq!(ask(vec![("backend", "github"), ("token", "x"), ("code", "y")]).await.outcome(), "400 invalid_request");
        let code = ask(vec![("backend", "google-oauth2"), ("token", "4/0AbCdEf")]).await;
        assert_eq!(code.refusal(), "400 invalid_grant wrong_token_kind");
        assert!(code.field("error_description").contains("redirect_uri"));
        let id_token = ask(vec![("backend", "facebook"), ("token", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA")]).await;
        assert_eq!(id_token.refusal(), "400 invalid_grant wrong_token_kind");
        assert_eq!(t.stand_in.calls(), Vec::<String>::new(), "no provider was asked any of this");
    }
}

on_both_databases! {
    async fn our_own_token_is_recognised_and_not_sent_to_a_provider(t: Test) { // attacks 125, 155
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let token = t.password(&app, "ada").await.access_token();

        assert_eq!(t.convert(&app, "google-oauth2", &token).await.refusal(), "400 invalid_grant wrong_token_kind");
        let header = t.get_as("verify", &format!("Bearer google-oauth2 {token}")).await;
        assert_eq!((header.status, header.field("reason").as_str()), (401, "wrong_token_kind"));
        assert_eq!(t.get_as("verify", "Bearer dev token").await.status, 401);
        assert!(t.stand_in.calls().is_empty());
    }
}

on_both_databases! {
    async fn odd_tokens_are_refused_without_a_call(t: Test) { // attack 129
        let app = converting(&t).await;
        let long = "x".repeat(1_000_000);
        for odd in ["a\r\nb", "a b", "tök", long.as_str()] {
            assert_eq!(t.convert(&app, "google-oauth2", odd).await.outcome(), "400 invalid_request");
        }
        assert!(t.stand_in.calls().is_empty());
    }
}

on_both_databases! {
    async fn twenty_first_sign_ins_at_once_make_one_person_and_twenty_answers(t: Test) { // attack 135
        t.stand_in.issue("google-oauth2", "good-token", "77");
        let app = converting(&t).await;
        let other = t.second_node().await;
        let nodes = [&t, &other];

        let answers = join_all((0..64).map(|number| nodes[number % 2].convert(&app, "google-oauth2", "good-token"))).await;

        for answer in &answers {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(t.accepts(&answer.access_token()).await);
        }
        let people = t.people().await;
        assert_eq!(people.len(), 1);
        assert_eq!(association::of_user(&t.vestibule.context().db, people[0].id).await.unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn a_taken_address_is_never_a_way_in(t: Test) { // attack 109
        let ada = t.person_with(NewUser { username: "ada".into(), email: "user5@example.com".into(), email_verified: true, ..NewUser::default() }).await;
        t.stand_in.issue("github", "good-token", "5");
        let app = converting(&t).await;

        let answer = t.convert(&app, "github", "good-token").await;

        assert_eq!(answer.refusal(), "400 invalid_grant email_in_use");
        assert!(answer.field("error_description").contains("connect-backend"));
        assert_eq!(t.people().await, vec![ada]);
    }
}

async fn with_policy(setup: Setup, policy: OnTakenEmail) -> Test {
    let mut setup = setup;
    setup.provider("github").policy.on_taken_email = Some(policy);
    setup.start().await
}

on_both_databases! {
    async fn an_operator_can_associate_where_both_sides_verified(setup: Setup) { // attack 111
        let t = with_policy(setup, OnTakenEmail::Associate).await;
        let ada = t.person_with(NewUser { username: "ada".into(), email: "User5@Example.com".into(), email_verified: true, ..NewUser::default() }).await;
        t.person_with(NewUser { username: "squatter".into(), email: "user6@example.com".into(), ..NewUser::default() }).await;
        for uid in ["5", "6"] {
            t.stand_in.issue("github", &format!("token-{uid}"), uid);
        }
        let app = converting(&t).await;

        let answer = t.convert(&app, "github", "token-5").await;
        let verified = t.get_as("verify", &format!("Bearer {}", answer.access_token())).await;
        assert_eq!(verified.header("x-auth-user-id"), ada.id.to_string());
        assert_eq!(t.convert(&app, "github", "token-6").await.refusal(), "400 invalid_grant email_in_use");
        assert_eq!(t.people().await.len(), 2);
    }
}

on_both_databases! {
    async fn an_operator_can_have_a_second_account_made(setup: Setup) {
        let t = with_policy(setup, OnTakenEmail::Create).await;
        t.person_with(NewUser { username: "user5".into(), email: "user5@example.com".into(), ..NewUser::default() }).await;
        t.stand_in.issue("github", "good-token", "5");
        let app = converting(&t).await;

        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);

        let people = t.people().await;
        assert_eq!(people.len(), 2);
        assert!(people[1].username.starts_with("user5") && people[1].username.len() > 5, "a taken username is made unique");
    }
}

on_both_databases! {
    async fn a_username_or_reserved_members_of_an_answer_give_nothing_away(t: Test) { // attacks 113, 137
        let root = t.person_with(NewUser { username: "root".into(), is_superuser: true, ..NewUser::default() }).await;
        let issued = t.stand_in.issue("github", "token", "9");
        let more = json!({"is_superuser": true, "is_staff": true, "password": "x", "pk": root.id, "user_id": root.id, "is_active": false});
        t.stand_in.put("github", "token", Issued { username: "root".into(), more: Some(more), ..issued });
        let app = converting(&t).await;

        assert_eq!(t.convert(&app, "github", "token").await.status, 200);

        let person = &t.people().await[1];
        assert!(person.username.starts_with("root") && person.username != "root");
        assert!(!person.is_superuser && !person.is_staff && person.is_active && !person.has_password());
    }
}

on_both_databases! {
    async fn a_deactivated_person_stays_out(t: Test) { // attack 121
        t.stand_in.issue("google-oauth2", "good-token", "1");
        let app = converting(&t).await;
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.status, 200);
        assert_eq!(t.get_as("verify", "Bearer google-oauth2 good-token").await.status, 200);
        let id = t.people().await[0].id;

        user::set_active(&t.vestibule.context().db, id, false).await.unwrap();

        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.refusal(), "400 invalid_grant person_inactive");
        let header = t.get_as("verify", "Bearer google-oauth2 good-token").await;
        assert_eq!((header.status, header.field("reason").as_str()), (401, "person_inactive"));
        user::delete(&t.vestibule.context().db, id).await.unwrap();
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.status, 200, "a person deleted is a new one");
    }
}

on_both_databases! {
    async fn only_some_domains_and_closed_sign_up(setup: Setup) { // attack 133
        let mut setup = setup;
        setup.provider("google-oauth2").policy.allowed_domains = Some(vec!["example.com".into()]);
        setup.provider("github").policy.allow_signup = Some(false);
        let t = setup.start().await;
        let app = converting(&t).await;
        let emails = [("in@EXAMPLE.com", true), ("a@evil.com@example.com", false), ("\"a@example.com\"@evil.com", false), ("a@example.com.", false)];
        for (number, (email, good)) in emails.into_iter().enumerate() {
            let issued = t.stand_in.issue("google-oauth2", "token", &number.to_string());
            t.stand_in.put("google-oauth2", "token", Issued { email: Some(email.into()), ..issued });
            let expected = if good { "200  " } else { "400 invalid_grant person_not_allowed" };
            assert_eq!(t.convert(&app, "google-oauth2", "token").await.refusal(), expected, "{email}");
        }
        t.stand_in.issue("github", "token", "1");
        assert_eq!(t.convert(&app, "github", "token").await.refusal(), "400 invalid_grant signup_closed");
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn a_domain_that_is_refused_now_keeps_known_people_out_also_in_the_header(t: Test) { // attack 133
        t.stand_in.issue("google-oauth2", "good-token", "1");
        let app = converting(&t).await;
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.status, 200);

        let stricter = t
            .second_node_with(|settings| {
                settings.providers.get_mut("google-oauth2").unwrap().policy.allowed_domains = Some(vec!["corp.example".into()]);
            })
            .await;

        let expected = "400 invalid_grant person_not_allowed";
        assert_eq!(stricter.convert(&app, "google-oauth2", "good-token").await.refusal(), expected);
        let answer = stricter.get_as("verify", "Bearer google-oauth2 good-token").await;
        assert_eq!(answer.refusal(), "401 invalid_token person_not_allowed");
    }
}

on_both_databases! {
    async fn an_answer_without_an_identifier_makes_nobody(t: Test) { // attack 115
        let app = converting(&t).await;
        for id in [json!(null), json!(""), json!(1.5), json!(true)] {
            let issued = t.stand_in.issue("facebook", "token", "1");
            t.stand_in.put("facebook", "token", Issued { more: Some(json!({"id": id})), ..issued });
            assert_eq!(t.convert(&app, "facebook", "token").await.refusal(), "400 invalid_grant profile_incomplete", "{id}");
        }
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn fresh_details_and_tokens_come_with_every_sign_in(t: Test) {
        let issued = t.stand_in.issue("google-oauth2", "token-1", "1");
        let app = converting(&t).await;
        t.convert(&app, "google-oauth2", "token-1").await;
        t.stand_in.put("google-oauth2", "token-2", Issued { last_name: "Murray Hopper".into(), ..issued });

        t.convert(&app, "google-oauth2", "token-2").await;

        let cx = t.vestibule.context();
        let (association, person) = association::find(&cx.db, "google-oauth2", "1").await.unwrap().unwrap();
        assert_eq!(person.last_name, "Murray Hopper");
        let opened = cx.keys.open("tokens of google-oauth2 1", &association.sealed_tokens.unwrap()).unwrap();
        let opened: serde_json::Value = serde_json::from_slice(&opened).unwrap();
        assert_eq!(opened["access_token"], "token-2");
        let stored = t.stored().await; // attack 229
        assert!(!stored.windows(7).any(|window| window == b"token-1" || window == b"token-2"));
    }
}

on_both_databases! {
    async fn a_code_is_redeemed_by_the_server(t: Test) { // attack 127
        let app = converting(&t).await;
        for backend in ["google-oauth2", "facebook", "github"] {
            t.stand_in.issue(backend, "token-of-code", "1");
            let ask = |code: &'static str, verifier: &'static str| {
                let (t, app) = (&t, &app);
                async move {
                    let form = [("grant_type", "convert_token"), ("backend", backend), ("code", code), ("redirect_uri", "https://app.example/cb"), ("code_verifier", verifier)];
                    t.call("convert-token", app, &form).await
                }
            };
            let before = t.people().await.len();
            t.stand_in.code("code-1", "token-of-code", Some("verifier"));
            let wrong = ask("code-1", "another verifier").await;
            assert_eq!(wrong.outcome(), "400 invalid_request", "a verifier holds no blank");
            assert_eq!(ask("code-1", "wrong").await.refusal(), "400 invalid_grant code_rejected", "{backend}");
            assert_eq!(t.people().await.len(), before);
            t.stand_in.code("code-2", "token-of-code", Some("verifier"));
            let answer = ask("code-2", "verifier").await;
            if backend != "google-oauth2" {
                // user1@example.com is Google's person by now
                assert!(matches!(answer.refusal().as_str(), "400 invalid_grant email_in_use"), "{backend} {answer:?}");
            } else {
                assert_eq!(answer.status, 200, "{backend} {answer:?}");
            }
            assert_eq!(ask("code-2", "verifier").await.refusal(), "400 invalid_grant code_rejected", "{backend}: the second time");
        }
    }
}

on_both_databases! {
    async fn a_providers_token_in_the_header_is_asked_about_once(t: Test) {
        t.stand_in.issue("google-oauth2", "good-token", "1");
        let bearer = "Bearer google-oauth2 good-token";

        let answers = join_all((0..100).map(|_| t.get_as("verify", bearer))).await;

        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(t.stand_in.calls_to("userinfo"), 1);
        assert_eq!(t.stand_in.calls_to("tokeninfo"), 1);
        assert_eq!(answers[0].header("x-auth-user"), "user1");
        assert_eq!(answers[0].header("x-auth-scopes"), "read write openid profile email address phone");
        let userinfo = t.get_as("userinfo", "bearer google-oauth2 good-token").await;
        assert_eq!(userinfo.json()["email"], "user1@example.com");
        t.clock.advance(61);
        assert_eq!(t.get_as("verify", bearer).await.status, 200);
        assert_eq!(t.stand_in.calls_to("tokeninfo"), 2);
        t.stand_in.mood(Mood::Broken);
        assert_eq!(t.get_as("verify", bearer).await.status, 200, "remembered");
        t.clock.advance(61);
        assert_eq!(t.get_as("verify", bearer).await.status, 503);
        t.stand_in.mood(Mood::Good);
        assert_eq!(t.get_as("verify", bearer).await.status, 200, "a refusal is not remembered");
    }
}

on_both_databases! {
    async fn a_provider_taken_out_of_the_configuration_is_refused_everywhere(setup: Setup) { // attack 123
        let mut setup = setup;
        setup.stand_in.issue("github", "good-token", "1");
        setup.provider("github").client_id = None;
        let t = setup.start().await;
        let app = converting(&t).await;

        assert_eq!(t.convert(&app, "github", "good-token").await.refusal(), "400 invalid_request unknown_backend");
        assert_eq!(t.get_as("verify", "Bearer github good-token").await.status, 401);
        assert!(t.stand_in.calls().is_empty());
    }
}

on_both_databases! {
    async fn accounts_are_connected_listed_and_disconnected(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let as_ada = format!("Bearer {}", t.password(&app, "ada").await.access_token());
        t.stand_in.issue("github", "adas-github", "1");
        let connect = [("backend", "github"), ("token", "adas-github")];
        assert_eq!(t.post("connect-backend", &connect).await.status, 401);

        let connected = t.post_as("connect-backend", &as_ada, &connect).await;

        assert_eq!(connected.status, 200, "{connected:?}");
        assert_eq!((connected.field("backend").as_str(), connected.field("uid").as_str()), ("github", "1"));
        let association_id = connected.json()["association_id"].as_i64().unwrap();
        assert_eq!(t.post_as("connect-backend", &as_ada, &connect).await.json()["association_id"], association_id, "again is no harm");
        let verified = t.get_as("verify", "Bearer github adas-github").await;
        assert_eq!(verified.header("x-auth-user"), "ada");
        let listed = t.get_as("backends", &as_ada).await.json();
        let github = listed["backends"].as_array().unwrap().iter().find(|backend| backend["name"] == "github").unwrap().clone();
        assert_eq!((&github["connected"], &github["association_id"]), (&json!(true), &json!(association_id)));
        let anonymous = Answer::of(t.http.get(t.url("backends"))).await.json();
        assert!(anonymous["backends"][0].get("connected").is_none());

        let grace = t.person("grace").await;
        let as_grace = format!("Bearer {}", t.password(&app, "grace").await.access_token());
        let theirs = t.post_as("connect-backend", &as_grace, &connect).await;
        assert_eq!(theirs.refusal(), "400 invalid_grant account_in_use");
        let id = association_id.to_string();
        for (authorization, form) in [(&as_grace, [("backend", "github"), ("association_id", id.as_str())]), (&as_ada, [("backend", "facebook"), ("association_id", id.as_str())]), (&as_ada, [("backend", "github"), ("association_id", "x")])] {
            let refused = t.post_as("disconnect-backend", authorization, &form).await;
            assert_eq!((refused.status, refused.json()["association_id"].is_array()), (400, true));
        }
        let missing = t.post_as("disconnect-backend", &as_ada, &[("backend", "github")]).await;
        assert_eq!(missing.json()["association_id"], json!(["This field is required."]));

        let gone = t.post_as("disconnect-backend", &as_ada, &[("backend", "github"), ("association_id", &id)]).await;
        assert_eq!((gone.status, gone.text.as_str()), (204, ""));
        assert_ne!(t.get_as("verify", "Bearer github adas-github").await.header("x-auth-user"), "ada");
        assert_ne!(grace.id, 0);
    }
}

on_both_databases! {
    async fn the_last_way_in_is_not_taken_away(t: Test) {
        t.stand_in.issue("github", "token", "1");
        let app = converting(&t).await;
        let bearer = format!("Bearer {}", t.convert(&app, "github", "token").await.access_token());
        let associations = association::of_user(&t.vestibule.context().db, t.people().await[0].id).await.unwrap();
        let first = associations[0].id;
        let disconnect = |id: i64, backend: &'static str| {
            let (t, bearer) = (&t, &bearer);
            async move { t.post_as("disconnect-backend", bearer, &[("backend", backend), ("association_id", &id.to_string())]).await }
        };

        assert_eq!(disconnect(first, "github").await.status, 400);
        t.stand_in.put("google-oauth2", "other", Issued { client_id: "google-oauth2-id".into(), uid: "2".into(), ..Issued::default() });
        let connected = t.post_as("connect-backend", &bearer, &[("backend", "google-oauth2"), ("token", "other")]).await;
        let second = connected.json()["association_id"].as_i64().unwrap();
        let both = tokio::join!(disconnect(first, "github"), disconnect(second, "google-oauth2"));
        let mut statuses = [both.0.status, both.1.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 400], "two at once do not take both");
    }
}

on_both_databases! {
    async fn every_grant_counts_its_own_family(t: Test) {
        t.stand_in.issue("github", "token", "1");
        let app = converting(&t).await;
        let (phone, tablet) = (t.convert(&app, "github", "token").await, t.convert(&app, "github", "token").await);

        t.call("revoke-token", &app, &[("token", &phone.refresh_token())]).await;

        assert!(!t.accepts(&phone.access_token()).await);
        assert!(t.accepts(&tablet.access_token()).await);
        let grants: [GrantType; 1] = [ConvertToken];
        assert_eq!(app.row.grant_types, grants);
    }
}
