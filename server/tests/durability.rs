//! `kill -9` in the middle of load: whatever was answered before it is there after it. A server that is stopped writes down what
//! it has counted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use program::{PASSWORD, Place, Server};
use vestibule::Settings;
use vestibule::store::Db;
use vestibule::store::statistic::{self, By, Kind};

async fn every_answered_token_survives(place: Place) {
    // attack 251
    let (id, secret) = place.ada_and_app();
    let server = Arc::new(place.serve(&[]));
    let answered = Arc::new(Mutex::new(Vec::new()));
    let load: Vec<_> = (0..16)
        .map(|number| {
            let (server, answered, id, secret) = (server.clone(), answered.clone(), id.clone(), secret.clone());
            tokio::spawn(async move { sign_in_until_it_dies(number, &server, &id, &secret, &answered).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1500)).await;

    server.signal("KILL");

    for task in load {
        task.await.unwrap();
    }
    let tokens = std::mem::take(&mut *answered.lock().unwrap());
    assert!(tokens.len() > 100, "only {} tokens: no load to speak of", tokens.len());
    let again = place.serve(&[]);
    for token in &tokens {
        assert_eq!(again.verify(token).await, 200, "an acknowledged token is gone");
    }
    assert_eq!(again.terminate().code(), Some(0));
}

/// Machines' tokens mostly, and a person's, whose refresh tokens are used at once: what counts is the newest.
async fn sign_in_until_it_dies(number: usize, server: &Server, id: &str, secret: &str, answered: &Mutex<Vec<String>>) {
    let client = [("client_id", id), ("client_secret", secret)];
    let mut refresh: Option<String> = None;
    loop {
        let form: Vec<(&str, &str)> = match (number, refresh.as_deref()) {
            (0, None) => vec![("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)],
            (0, Some(token)) => vec![("grant_type", "refresh_token"), ("refresh_token", token)],
            _ => vec![("grant_type", "client_credentials")],
        };
        let Ok((200, tokens)) = server.post("token", &[form, client.to_vec()].concat()).await else { return };
        let mut answered = answered.lock().unwrap();
        if number == 0 {
            // The pair before is spent by this one.
            refresh = tokens["refresh_token"].as_str().map(str::to_owned);
            continue;
        }
        answered.push(tokens["access_token"].as_str().unwrap().to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_token_survives_on_sqlite() {
    every_answered_token_survives(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_token_survives_on_postgres() {
    every_answered_token_survives(Place::postgres()).await;
}

async fn what_was_counted_last_is_written_at_the_end(place: Place) {
    let (id, secret) = place.ada_and_app();
    let server = place.serve(&[]);
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let client = [("client_id", id.as_str()), ("client_secret", &secret)];
    assert_eq!(server.post("token", &[&form[..], &client].concat()).await.unwrap().0, 200);

    assert_eq!(server.terminate().code(), Some(0));

    let file = place.directory.path().join("test.db");
    let url = place.database_url.replace("sqlite://test.db", &format!("sqlite://{}", file.display()));
    let db = Db::open(&url, &Settings::default().database).await.unwrap();
    let sums = statistic::sums(&db, Kind::SignIn, By::Detail, 86_400, 0, i64::MAX).await.unwrap();
    assert_eq!(sums.iter().map(|sum| (sum.word.as_str(), sum.count)).collect::<Vec<_>>(), [("password", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_last_is_written_at_the_end_on_sqlite() {
    what_was_counted_last_is_written_at_the_end(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_last_is_written_at_the_end_on_postgres() {
    what_was_counted_last_is_written_at_the_end(Place::postgres()).await;
}
