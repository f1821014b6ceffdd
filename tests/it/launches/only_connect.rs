//! Accounts that a person connects to their own, and nobody signs in with.

use super::{CLIENT_ID, SECRET, depart, is_signed_in, md5, owner, posted, query, refuses, with};
use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Told, told};
use crate::harness::{Setup, on_both_databases};

/// Last.fm: a token that the person has said yes to is `good`, and a signed call makes a session of it.
fn lastfm(asked: &Asked) -> Told {
    let token = posted(asked, "token");
    let signature = md5(&format!("api_key{CLIENT_ID}methodauth.getSessiontoken{token}{SECRET}"));
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/2.0/") if posted(asked, "api_sig") != signature => {
            told(403, r#"{"error": 13, "message": "Invalid method signature"}"#)
        }
        ("POST", "/2.0/") if posted(asked, "format") != "json" => told(200, "<lfm/>"),
        ("POST", "/2.0/") if token == "good" => {
            told(200, r#"{"session": {"name": "ada", "key": "the-session-key", "subscriber": 0}}"#)
        }
        ("POST", "/2.0/") => told(403, r#"{"error": 14, "message": "This token has not been authorized"}"#),
        _ => told(404, ""),
    }
}

/// The way back that the provider was told.
fn way_back(there: &str, more: &str) -> String {
    format!("{}&{more}", query(there, "cb"))
}

on_both_databases! {
    async fn lastfm_is_connected_by_a_session_that_a_signed_call_makes(setup: Setup) {
        let (t, host) = with(setup, "lastfm", &[], &["https://ws.audioscrobbler.com"], lastfm).await;
        for name in ["ada", "eve"] {
            t.person(name).await;
        }
        let guest = Guest::new(&t);
        refuses(&guest.get("login/lastfm/").await, 403, "connect_only", "nobody is signed in");
        guest.enter("ada").await;
        guest.comes_from_here();
        let there = depart(&guest, "login/lastfm/").await;
        assert!(there.starts_with("https://www.last.fm/api/auth/?api_key=our-client&cb=http"), "{there}");
        assert!(query(&there, "cb").starts_with(&t.url("complete/lastfm/?redirect_state=")), "{there}");
        refuses(&guest.get(&way_back(&there, "token=bad")).await, 400, "code_rejected", "a token without a yes");
        // Another browser's way back is nobody else's.
        let there = depart(&guest, "login/lastfm/").await;
        refuses(&Guest::new(&t).get(&way_back(&there, "token=good")).await, 400, "not_begun_here", "another browser");
        assert_eq!(owner(&t, "lastfm", "ada").await, None);
        let back = guest.get(&way_back(&there, "token=good")).await;
        assert_eq!((back.status, back.header("location").as_str()), (303, "/account/connections"), "{back:?}");
        assert_eq!(owner(&t, "lastfm", "ada").await.as_deref(), Some("ada"));
        let stored = t.stored().await;
        assert!(!stored.windows(15).any(|bytes| bytes == b"the-session-key"), "the key is stored as it is");

        // It lets nobody in, and is nobody else's.
        let other = Guest::new(&t);
        refuses(&other.get("login/lastfm/").await, 403, "connect_only", "connected, and signed out");
        other.enter("eve").await;
        other.comes_from_here();
        let there = depart(&other, "login/lastfm/").await;
        refuses(&other.get(&way_back(&there, "token=good")).await, 409, "account_in_use", "eve");
        host.turn(|_| told(200, r#"{"error": 16, "message": "Try again"}"#));
        let there = depart(&other, "login/lastfm/").await;
        refuses(&other.get(&way_back(&there, "token=good")).await, 503, "provider_unreachable", "busy");
        assert_eq!(t.people().await.len(), 2);
    }
}

const ACCOUNT: &str = "ACc65ea16c9ebd4d4684edf814995b27e0";

on_both_databases! {
    async fn twilio_is_connected_by_whoever_set_out(setup: Setup) {
        let (t, host) = with(setup, "twilio", &[], &["https://www.twilio.com"], |_| told(404, "")).await;
        t.person("ada").await;
        let guest = Guest::new(&t);
        refuses(&guest.get("login/twilio/").await, 403, "connect_only", "nobody is signed in");
        guest.enter("ada").await;
        guest.comes_from_here();
        for number in ["AC1", "CNc65ea16c9ebd4d4684edf814995b27e0", "ACc65ea16c9ebd4d4684edf814995b27e0'"] {
            let there = depart(&guest, "login/twilio/").await;
            let back = guest.get(&way_back(&there, &format!("AccountSid={number}"))).await;
            refuses(&back, 400, "code_rejected", number);
        }
        let there = depart(&guest, "login/twilio/").await;
        refuses(&guest.get(&query(&there, "cb")).await, 400, "invalid_request", "no number");
        let there = depart(&guest, "login/twilio/").await;
        assert!(there.starts_with("https://www.twilio.com/authorize/our-client?cb=http"), "{there}");
        // Who set out must still be signed in: else the number would sign somebody in.
        let session = guest.cookie("vestibule_session").unwrap();
        guest.set_cookie("vestibule_session", "");
        let back = way_back(&there, &format!("AccountSid={ACCOUNT}"));
        refuses(&guest.get(&back).await, 403, "signed_in_otherwise", "the session is gone");
        assert!(!is_signed_in(&guest).await && owner(&t, "twilio", ACCOUNT).await.is_none());

        guest.set_cookie("vestibule_session", &session);
        let there = depart(&guest, "login/twilio/").await;
        assert_eq!(guest.get(&way_back(&there, &format!("AccountSid={ACCOUNT}"))).await.status, 303);
        assert_eq!(owner(&t, "twilio", ACCOUNT).await.as_deref(), Some("ada"));
        refuses(&Guest::new(&t).get("login/twilio/").await, 403, "connect_only", "connected, and signed out");
        assert!(host.asked.lock().unwrap().is_empty() && t.people().await.len() == 1);
    }
}
