//! What lies in the database, and how it behaves under many hands.

use futures_util::future::join_all;
use vestibule::protocol::GrantType::{ClientCredentials, Password};
use vestibule::store::migrate;
use vestibule::{Vestibule, cleanup};

use crate::harness::{KEY, PASSWORD, Setup, Test, on_both_databases};

on_both_databases! {
    async fn no_token_password_or_secret_lies_in_clear(t: Test) { // attack 229
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;

        let stored = t.stored().await;

        let tokens = [first.access_token(), first.refresh_token(), second.access_token(), second.refresh_token()];
        for secret in tokens.iter().map(String::as_str).chain([PASSWORD, app.secret.as_deref().unwrap()]) {
            let random_part = secret.get(4..40).unwrap_or(secret);
            assert!(!stored.windows(random_part.len()).any(|window| window == random_part.as_bytes()));
        }
        assert!(stored.windows(3).any(|window| window == b"ada"), "the search finds what is there");
    }
}

on_both_databases! {
    async fn ten_nodes_start_at_once_on_an_empty_database(setup: Setup) { // attack 245
        let starts = (0..10).map(|_| Vestibule::open(setup.settings.clone(), &[KEY]));

        let nodes = join_all(starts).await;

        for node in nodes {
            let node = node.unwrap();
            assert_eq!(migrate::migrate(&node.context().db, 0).await.unwrap(), 0, "nothing is left to do");
        }
    }
}

on_both_databases! {
    async fn a_database_sealed_under_another_key_is_not_served(setup: Setup) { // attack 231
        Vestibule::open(setup.settings.clone(), &[KEY]).await.unwrap();

        let wrong = Vestibule::open(setup.settings.clone(), &[[1; 32]]).await.err().unwrap().to_string();
        assert!(wrong.starts_with("encryption_key: "), "{wrong}");
        assert!(!wrong.contains("\n"));
        Vestibule::open(setup.settings.clone(), &[[1; 32], KEY]).await.expect("the old key as a further one");
        assert!(Vestibule::open(setup.settings.clone(), &[KEY]).await.is_err(), "now both are needed");
        assert!(Vestibule::open(setup.settings.clone(), &[]).await.is_err());
    }
}

on_both_databases! {
    async fn clean_up_removes_what_has_expired_and_keeps_evidence(t: Test) { // attack 273
        t.person("ada").await;
        let app = t.app(&[Password, ClientCredentials]).await;
        for _ in 0..30 {
            t.call("token", &app, &[("grant_type", "client_credentials")]).await;
        }
        let first = t.password(&app, "ada").await;
        let second = t.refresh(&app, &first.refresh_token()).await;
        t.clock.advance(36_001);

        assert_eq!(cleanup::run(t.vestibule.context()).await.unwrap(), 30, "a machine's tokens have no refresh token to wait for");
        let third = t.refresh(&app, &second.refresh_token()).await;
        assert_eq!(third.status, 200);
        assert_eq!(t.refresh(&app, &first.refresh_token()).await.outcome(), "400 invalid_grant");
        assert!(!t.accepts(&third.access_token()).await, "the replay was seen");
        t.clock.advance(40 * 86_400);
        assert_eq!(cleanup::run(t.vestibule.context()).await.unwrap(), 3);
    }
}

on_both_databases! {
    async fn two_hundred_writers_at_once_are_all_answered(t: Test) {
        let app = t.app(&[ClientCredentials]).await;

        let answers = join_all((0..200).map(|_| t.call("token", &app, &[("grant_type", "client_credentials")]))).await;

        let tokens: std::collections::HashSet<_> = answers.iter().map(|answer| answer.access_token()).collect();
        assert_eq!(tokens.len(), 200);
        for token in tokens {
            assert!(t.accepts(&token).await);
        }
    }
}

on_both_databases! {
    async fn one_failed_write_of_a_group_undoes_only_itself(t: Test) {
        let db = &t.vestibule.context().db;
        let new = |name: String| vestibule::store::user::NewUser { username: name, ..Default::default() };

        let writes = join_all((0..40).map(|number| {
            let (db, new) = (db.clone(), new(format!("person{number}")));
            async move {
                db.write(move |tx| {
                    Box::pin(async move {
                        vestibule::store::user::insert(tx, &new, 0).await?;
                        if number % 2 == 0 { Ok(()) } else { Err(vestibule::store::Error::broken("changed my mind")) }
                    })
                })
                .await
            }
        }))
        .await;

        assert_eq!(writes.iter().filter(|outcome| outcome.is_ok()).count(), 20);
        let names: Vec<_> = t.people().await.into_iter().map(|user| user.username).collect();
        assert_eq!(names.len(), 20);
        assert!(names.iter().all(|name| name.trim_start_matches("person").parse::<u32>().unwrap() % 2 == 0));
    }
}
