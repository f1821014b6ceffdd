//! Refresh tokens: used once, a lost answer given again, a copy ends the family.

use std::time::Duration;

use futures_util::future::join_all;
use vestibule::protocol::GrantType::{ClientCredentials, Password};

use crate::harness::{App, Setup, Test, on_both_databases};

async fn strict(mut setup: Setup) -> Test {
    setup.settings.tokens.refresh_grace = Duration::ZERO;
    setup.start().await
}

on_both_databases! {
    async fn a_refresh_gives_a_new_pair_and_ends_the_old_one(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;

        let second = t.refresh(&app, &first.refresh_token()).await;

        assert_eq!(second.status, 200, "{second:?}");
        assert_eq!(second.json()["expires_in"], 36_000);
        assert_eq!(second.field("scope"), "read write");
        assert_ne!(second.access_token(), first.access_token());
        assert_ne!(second.refresh_token(), first.refresh_token());
        assert!(t.accepts(&second.access_token()).await);
        assert!(!t.accepts(&first.access_token()).await);
    }
}

on_both_databases! {
    async fn a_refresh_token_used_twice_revokes_its_family(setup: Setup) { // attack 71
        let t = strict(setup).await;
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let other_device = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        assert!(t.accepts(&second.access_token()).await);

        let again = t.refresh(&app, &first.refresh_token()).await;

        assert_eq!(again.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&second.access_token()).await);
        assert_eq!(t.refresh(&app, &second.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(t.accepts(&other_device.access_token()).await, "another sign-in is a family of its own");
    }
}

on_both_databases! {
    async fn within_the_grace_the_same_new_pair_is_given_again(t: Test) { // attack 73
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        t.clock.advance(7);

        let again = t.refresh(&app, &first.refresh_token()).await;

        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.access_token(), second.access_token());
        assert_eq!(again.refresh_token(), second.refresh_token());
        let left = again.json()["expires_in"].as_i64().unwrap();
        assert!((36_000 - 9..=36_000 - 7).contains(&left), "{left}");
        assert!(t.accepts(&second.access_token()).await);
    }
}

on_both_databases! {
    async fn after_the_grace_the_same_question_is_a_replay(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        t.clock.advance(11);

        assert_eq!(t.refresh(&app, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&second.access_token()).await);
    }
}

on_both_databases! {
    async fn a_token_two_generations_old_has_no_grace(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        let third = t.refresh(&app, &second.refresh_token()).await;

        assert_eq!(t.refresh(&app, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&third.access_token()).await);
    }
}

on_both_databases! {
    async fn a_token_revoked_on_purpose_has_no_grace(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        t.call("revoke-token", &app, &[("token", &second.refresh_token())]).await;

        assert_eq!(t.refresh(&app, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(t.refresh(&app, &second.refresh_token()).await.outcome(), "400 invalid_grant");
    }
}

/// One refresh token, fifty times at once, on two nodes.
async fn fifty_at_once(t: &Test, app: &App, refresh_token: &str) -> Vec<crate::harness::Answer> {
    let other = t.second_node().await;
    let nodes = [t, &other];
    join_all((0..50).map(|number| nodes[number % 2].refresh(app, refresh_token))).await
}

on_both_databases! {
    async fn fifty_at_once_on_two_nodes_get_one_and_the_same_pair(t: Test) { // attack 73
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;

        let answers = fifty_at_once(&t, &app, &first.refresh_token()).await;

        let pair = (answers[0].access_token(), answers[0].refresh_token());
        for answer in &answers {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!((answer.access_token(), answer.refresh_token()), pair);
        }
        assert!(t.accepts(&pair.0).await);
        assert_eq!(t.refresh(&app, &pair.1).await.status, 200);
    }
}

on_both_databases! {
    async fn without_grace_exactly_one_of_fifty_wins(setup: Setup) { // attack 75
        let t = strict(setup).await;
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;

        let answers = fifty_at_once(&t, &app, &first.refresh_token()).await;

        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1);
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.outcome() == "400 invalid_grant"));
        assert!(!t.accepts(&won[0].access_token()).await, "49 replays ended the family");
    }
}

on_both_databases! {
    async fn a_scope_narrows_and_never_widens(t: Test) { // attack 77
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let refresh = |token: String, scope: &'static str| {
            let (t, app) = (&t, &app);
            async move {
                t.call("token", app, &[("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)]).await
            }
        };

        let narrow = refresh(first.refresh_token(), "read").await;
        assert_eq!(narrow.field("scope"), "read");
        assert_eq!(refresh(narrow.refresh_token(), "read write").await.outcome(), "400 invalid_scope");
        let same = t.refresh(&app, &narrow.refresh_token()).await;
        assert_eq!((same.status, same.field("scope")), (200, "read".to_owned()), "the refusal changed nothing");
    }
}

on_both_databases! {
    async fn another_applications_refresh_token_is_refused_and_lives_on(t: Test) { // attack 79
        t.person("ada").await;
        let (app, other) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let first = t.password(&app, "ada").await;

        assert_eq!(t.refresh(&other, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(t.refresh(&app, &first.refresh_token()).await.status, 200);
        let machine = t.app(&[ClientCredentials]).await;
        assert_eq!(t.refresh(&machine, &first.refresh_token()).await.outcome(), "400 unauthorized_client");
    }
}

on_both_databases! {
    async fn a_replay_is_seen_after_a_restart(t: Test) { // attack 83
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        t.clock.advance(60);

        let t = t.restarted().await;

        assert!(t.accepts(&second.access_token()).await);
        assert_eq!(t.refresh(&app, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&second.access_token()).await);
    }
}

on_both_databases! {
    async fn a_changed_token_is_refused_and_does_no_harm(t: Test) { // attack 85
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let tokens = t.password(&app, "ada").await;
        let changes: [fn(String) -> String; 4] =
            [|t| t[..t.len() - 1].to_owned(), |t| t + "A", |t| t + " ", |t| t.to_ascii_uppercase()];

        for change in changes {
            let refresh = change(tokens.refresh_token());
            assert_eq!(t.refresh(&app, &refresh).await.outcome(), "400 invalid_grant");
        }
        for change in [changes[0], changes[1], changes[3]] {
            assert!(!t.accepts(&change(tokens.access_token())).await);
        }
        assert_eq!(t.refresh(&app, &tokens.access_token()).await.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&tokens.refresh_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.status, 200);
    }
}

on_both_databases! {
    async fn it_expires_and_does_not_come_back_when_the_clock_is_set_back(t: Test) { // attack 261
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;

        t.clock.advance(-3600);
        assert_eq!(t.call("revoke-token", &app, &[("token", &second.access_token())]).await.status, 200);
        assert_eq!(t.refresh(&app, &second.refresh_token()).await.outcome(), "400 invalid_grant");
        let third = t.password(&app, "ada").await;
        t.clock.advance(3 * 3600);
        assert!(t.accepts(&third.access_token()).await);
        t.clock.advance(31 * 86_400);
        assert!(!t.accepts(&third.access_token()).await);
        assert_eq!(t.refresh(&app, &third.refresh_token()).await.outcome(), "400 invalid_grant");
    }
}

on_both_databases! {
    async fn an_operator_who_does_not_rotate_keeps_the_refresh_token(setup: Setup) {
        let mut setup = setup;
        setup.settings.tokens.rotate_refresh_tokens = false;
        let t = setup.start().await;
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;

        let second = t.refresh(&app, &first.refresh_token()).await;
        let third = t.refresh(&app, &first.refresh_token()).await;

        assert_eq!(second.refresh_token(), first.refresh_token());
        assert_ne!(second.access_token(), third.access_token());
        assert!(t.accepts(&second.access_token()).await && t.accepts(&third.access_token()).await);
        t.call("revoke-token", &app, &[("token", &first.refresh_token())]).await;
        assert!(!t.accepts(&second.access_token()).await && !t.accepts(&third.access_token()).await);
    }
}
