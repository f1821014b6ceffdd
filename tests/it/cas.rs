//! CAS 3.0: a ticket is good once, and for the service that it was made for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Scripted, Told, told, value};
use crate::harness::{Setup, Test, on_both_databases};
use vestibule::settings::ProviderSettings;

const FAILURE: &str = "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationFailure code='INVALID_TICKET'>no</cas:authenticationFailure></cas:serviceResponse>";

type Tickets = Arc<Mutex<HashMap<String, String>>>;

fn cas(tickets: &Tickets, asked: &Asked) -> Told {
    let service = tickets.lock().unwrap().remove(&asked.query("ticket"));
    if asked.path != "/cas/p3/serviceValidate" || service != Some(asked.query("service")) {
        return told(200, FAILURE);
    }
    told(
        200,
        "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationSuccess><cas:user>ada</cas:user>\
        <cas:attributes><cas:mail>ada@example.com</cas:mail></cas:attributes></cas:authenticationSuccess></cas:serviceResponse>",
    )
}

async fn with_cas(mut setup: Setup) -> (Test, Scripted, Tickets) {
    let tickets = Tickets::default();
    let shared = tickets.clone();
    let host = Scripted::start(move |asked| cas(&shared, asked)).await;
    setup.settings.outbound.origin_map.extend(host.origin_map(&["https://cas.example.com"]));
    let mut provider = ProviderSettings { enabled: Some(true), ..ProviderSettings::default() };
    provider.entry.insert("server_url".into(), "https://cas.example.com/cas".into());
    setup.settings.providers.insert("cas-ticket".into(), provider);
    (setup.start().await, host, tickets)
}

/// Sets out, and gives the service that the ticket will be for.
async fn depart(guest: &Guest<'_>) -> String {
    let answer = guest.get("login/cas-ticket/").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let there = answer.header("location");
    let (place, query) = there.split_once('?').unwrap();
    assert_eq!(place, "https://cas.example.com/cas/login");
    value(&Asked::pairs(query), "service")
}

fn way_back(service: &str, ticket: &str) -> String {
    format!("complete/cas-ticket/?{}&ticket={ticket}", service.split_once('?').unwrap().1)
}

on_both_databases! {
    async fn a_ticket_signs_in_once_and_for_its_service_only(setup: Setup) {
        let (t, _host, tickets) = with_cas(setup).await;
        let guest = Guest::new(&t);
        let service = depart(&guest).await;
        tickets.lock().unwrap().insert("ST-1".into(), service.clone());
        assert_eq!(guest.get(&way_back(&service, "ST-1")).await.status, 303);
        assert_eq!(t.people().await[0].username, "ada");

        let other = Guest::new(&t);
        let service = depart(&other).await;
        let again = other.get(&way_back(&service, "ST-1")).await;
        assert!(again.is_setback() && again.text.contains("did not prove who you are"), "{again:?}");
        let service = depart(&other).await;
        tickets.lock().unwrap().insert("ST-2".into(), "https://another.example/".into());
        assert!(other.get(&way_back(&service, "ST-2")).await.is_setback());
        assert_eq!(t.people().await.len(), 1);
    }
}

on_both_databases! {
    async fn what_is_no_answer_signs_nobody_in(setup: Setup) {
        let (t, host, _) = with_cas(setup).await;
        let guest = Guest::new(&t);
        for told in [
            told(500, "no"),
            told(0, ""),
            told(200, "<html>"),
            told(200, "x".repeat(2_000_000)),
            told(404, "<serviceResponse><authenticationSuccess><user>eve</user></authenticationSuccess></serviceResponse>"),
            (302, vec![("location", "http://127.0.0.1/".into())], String::new()),
        ] {
            let shown = format!("{:.40}", told.2);
            host.turn(move |_| told.clone());
            let service = depart(&guest).await;
            assert!(guest.get(&way_back(&service, "ST-1")).await.is_setback(), "{shown}");
        }
        assert!(t.people().await.is_empty());
    }
}
