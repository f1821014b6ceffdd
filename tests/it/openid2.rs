//! OpenID 2.0: an identifier, who answers for it, and what is believed of an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use vestibule::settings::ProviderSettings;

use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Scripted, Told, told, value};
use crate::harness::{Answer, Setup, Test, on_both_databases};

const OP: &str = "https://op.example.com/endpoint";

/// What the provider made, by signature; it confirms nothing else.
type Made = Arc<Mutex<BTreeMap<String, Vec<(String, String)>>>>;

/// `ada.example.com` is a page with links, `op.example.com` the provider, `other.example.com` another one.
fn world(made: &Made, asked: &Asked) -> Told {
    let page = |endpoint: &str, local: &str| {
        told(
            200,
            format!(
                "<head><link rel='openid2.provider' href='{endpoint}'><link rel='openid2.local_id' href='{local}'></head>"
            ),
        )
    };
    match (asked.host.as_str(), asked.path.as_str()) {
        ("ada.example.com", "/") => page(OP, "https://op.example.com/ada"),
        ("eve.example.com", "/") => page("https://other.example.com/endpoint", "https://op.example.com/ada"),
        ("moved.example.com", "/") => (301, vec![("location", "http://ada.example.com/".into())], String::new()),
        ("inner.example.com", "/") => (302, vec![("location", "http://127.0.0.1:1/".into())], String::new()),
        ("loop.example.com", "/") => (302, vec![("location", "/".into())], String::new()),
        ("huge.example.com", "/") => told(200, "x".repeat(3_000_000)),
        ("slow.example.com", "/") => told(0, ""),
        ("down.example.com", "/") => told(500, ""),
        ("op.example.com", "/endpoint") => {
            let mut sent = Asked::pairs(&asked.body);
            let made = made.lock().unwrap();
            let own = made.get(&value(&sent, "openid.sig"));
            for (name, value) in &mut sent {
                if name == "openid.mode" {
                    assert_eq!(value, "check_authentication");
                    *value = "id_res".into();
                }
            }
            sent.sort();
            told(200, format!("ns:http://specs.openid.net/auth/2.0\nis_valid:{}\n", own == Some(&sent)))
        }
        // Another provider confirms everything.
        ("other.example.com", "/endpoint") => told(200, "ns:http://specs.openid.net/auth/2.0\nis_valid:true\n"),
        _ => told(404, ""),
    }
}

async fn with_openid(mut setup: Setup) -> (Test, Made) {
    let made = Made::default();
    let shared = made.clone();
    let host = Scripted::start(move |asked| world(&shared, asked)).await;
    let pages = ["ada", "eve", "moved", "inner", "loop", "huge", "slow", "down"]
        .map(|name| format!("http://{name}.example.com"));
    let mut origins: Vec<&str> = pages.iter().map(String::as_str).collect();
    origins.extend(["https://op.example.com", "https://other.example.com"]);
    setup.settings.outbound.origin_map.extend(host.origin_map(&origins));
    setup
        .settings
        .providers
        .insert("openid".into(), ProviderSettings { enabled: Some(true), ..ProviderSettings::default() });
    (setup.start().await, made)
}

type Fields = BTreeMap<String, String>;

/// Sets out for Ada, and gives the provider's good answer, not signed yet.
async fn depart(t: &Test, guest: &Guest<'_>, nonce: &str) -> Fields {
    let answer = guest.get("login/openid/?openid_identifier=ada.example.com").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let there = answer.header("location");
    let (place, query) = there.split_once('?').unwrap();
    let asked = Asked::pairs(query);
    assert_eq!(place, OP);
    assert_eq!(value(&asked, "openid.claimed_id"), "http://ada.example.com/");
    assert_eq!(value(&asked, "openid.identity"), "https://op.example.com/ada");
    assert_eq!(value(&asked, "openid.realm"), format!("{}/", t.base));
    [
        ("openid.ns", "http://specs.openid.net/auth/2.0"),
        ("openid.mode", "id_res"),
        ("openid.op_endpoint", OP),
        ("openid.claimed_id", "http://ada.example.com/"),
        ("openid.identity", "https://op.example.com/ada"),
        ("openid.return_to", &value(&asked, "openid.return_to")),
        ("openid.response_nonce", &format!("{}{nonce}", now(t))),
        ("openid.assoc_handle", "h"),
        ("openid.ns.sreg", "http://openid.net/extensions/sreg/1.1"),
        ("openid.sreg.nickname", "ada"),
        (
            "openid.signed",
            "op_endpoint,claimed_id,identity,return_to,response_nonce,assoc_handle,ns.sreg,sreg.nickname",
        ),
        ("openid.sig", nonce),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// RFC 3339, by the calendar of the server's clock.
fn now(t: &Test) -> String {
    let seconds = t.clock.now();
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", days + 1, rest / 3600, rest / 60 % 60, rest % 60)
}

fn sign(made: &Made, fields: &Fields) {
    let all = fields.clone().into_iter().collect();
    made.lock().unwrap().insert(fields["openid.sig"].clone(), all);
}

async fn back(guest: &Guest<'_>, return_to: &str, fields: &Fields) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    guest.get(&format!("{return_to}&{query}")).await
}

on_both_databases! {
    async fn a_person_signs_in_by_a_page_of_their_own(setup: Setup) {
        let (t, made) = with_openid(setup).await;
        let guest = Guest::new(&t);
        let fields = depart(&t, &guest, "first").await;
        sign(&made, &fields);
        let answer = back(&guest, &fields["openid.return_to"], &fields).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(t.people().await[0].username, "ada");
    }
}

on_both_databases! {
    async fn a_nonce_is_taken_once_on_any_node(setup: Setup) {
        let (t, made) = with_openid(setup).await;
        let guest = Guest::new(&t);
        let fields = depart(&t, &guest, "once").await;
        sign(&made, &fields);
        let cookie = guest.cookie("vestibule-journey").or_else(|| guest.cookie("__Host-vestibule-journey"));
        assert_eq!(back(&guest, &fields["openid.return_to"], &fields).await.status, 303);
        // The same browser with its cookie put back, and the nonce in an answer to another sign-in.
        let (other, cookie_is_known) = (Guest::new(&t), cookie.is_some());
        let mut again = depart(&t, &other, "once").await;
        again.insert("openid.response_nonce".into(), fields["openid.response_nonce"].clone());
        sign(&made, &again);
        let answer = back(&other, &again["openid.return_to"], &again).await;
        assert!(answer.is_setback() && answer.text.contains("did not prove who you are"), "{cookie_is_known} {answer:?}");
    }
}

on_both_databases! {
    async fn an_answer_that_proves_nothing_signs_nobody_in(setup: Setup) {
        let (t, made) = with_openid(setup).await;
        let guest = Guest::new(&t);
        let unsigned = |fields: &mut Fields, name: &str| {
            let signed = fields.get_mut("openid.signed").unwrap();
            *signed = signed.split(',').filter(|own| *own != name).collect::<Vec<_>>().join(",");
        };
        type Change<'a> = &'a dyn Fn(&mut Fields);
        let set = |fields: &mut Fields, name: &str, value: &str| drop(fields.insert(format!("openid.{name}"), value.into()));
        let changes: [(Change<'_>, &str); 9] = [
            (&|fields| unsigned(fields, "claimed_id"), "did not prove who you are"),
            (&|fields| unsigned(fields, "return_to"), "did not prove who you are"),
            (&|fields| set(fields, "return_to", "https://evil.example/"), "did not prove who you are"),
            (&|fields| set(fields, "response_nonce", "2005-05-15T17:11:51Z"), "did not prove who you are"),
            (&|fields| set(fields, "op_endpoint", "https://other.example.com/endpoint"), "did not prove who you are"),
            (&|fields| set(fields, "claimed_id", "http://eve.example.com/"), "did not prove who you are"),
            (&|fields| set(fields, "identity", "https://op.example.com/eve"), "did not prove who you are"),
            (&|fields| set(fields, "mode", "cancel"), "You did not allow it"),
            (&|fields| set(fields, "ns", "http://openid.net/signon/1.1"), "did not prove who you are"),
        ];
        for (number, (change, words)) in changes.into_iter().enumerate() {
            let mut fields = depart(&t, &guest, &format!("n{number}")).await;
            let return_to = fields["openid.return_to"].clone();
            change(&mut fields);
            sign(&made, &fields);
            let answer = back(&guest, &return_to, &fields).await;
            assert!(answer.is_setback() && answer.text.contains(words), "{words}: {answer:?}");
        }
        // The provider never made it.
        let fields = depart(&t, &guest, "forged").await;
        let answer = back(&guest, &fields["openid.return_to"], &fields).await;
        assert!(answer.is_setback() && answer.text.contains("did not prove who you are"), "{answer:?}");
        assert!(t.people().await.is_empty());
    }
}

on_both_databases! {
    async fn what_somebody_types_leads_to_a_provider_or_to_a_sentence(setup: Setup) {
        let (t, _) = with_openid(setup).await;
        let guest = Guest::new(&t);
        let moved = guest.get("login/openid/?openid_identifier=http://moved.example.com").await;
        assert!(moved.header("location").contains("openid.claimed_id=http%3A%2F%2Fada.example.com%2F"), "{moved:?}");
        for typed in ["", "%3Dxri", "inner.example.com", "127.0.0.1", "[::1]", "loop.example.com", "huge.example.com", "slow.example.com", "down.example.com", "ada.example.com/nothing"] {
            let answer = guest.get(&format!("login/openid/?openid_identifier={typed}")).await;
            assert!(answer.is_setback(), "{typed}: {answer:?}");
        }
    }
}
