//! Providers with a way of their own (`src/upstream/quirk`), over HTTP against a host that checks what it is asked. What must be
//! signed is signed here once more, by the provider's rules and none of the server's code.

mod in_their_pages;
mod jwts;
mod only_connect;
mod signed_answers;

use aws_lc_rs::hmac;
use md5::{Digest as _, Md5};
use vestibule::store::association;

use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Scripted, Told, value};
use crate::harness::{Answer, Setup, Test, enabled};

const CLIENT_ID: &str = "our-client";
const SECRET: &str = "our-secret";

/// A server with this provider, whose origins answer what the script says.
async fn with(
    mut setup: Setup,
    backend: &str,
    own: &[(&str, &str)],
    origins: &[&str],
    script: impl FnMut(&Asked) -> Told + Send + 'static,
) -> (Test, Scripted) {
    let host = Scripted::start(script).await;
    setup.settings.outbound.origin_map.extend(host.origin_map(origins));
    let mut provider = enabled(CLIENT_ID, SECRET);
    for (name, value) in own {
        provider.entry.insert((*name).to_owned(), (*value).into());
    }
    setup.settings.providers.insert(backend.to_owned(), provider);
    (setup.start().await, host)
}

/// Sets out, and gives where the browser is sent.
async fn depart(guest: &Guest<'_>, login: &str) -> String {
    let there = guest.get(login).await;
    assert_eq!(there.status, 303, "{there:?}");
    there.header("location")
}

/// A parameter of an address.
fn query(url: &str, name: &str) -> String {
    value(&Asked::pairs(url.split_once('?').unwrap().1), name)
}

/// A parameter of a form that was posted.
fn posted(asked: &Asked, name: &str) -> String {
    value(&Asked::pairs(&asked.body), name)
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Who has this account here.
async fn owner(t: &Test, backend: &str, uid: &str) -> Option<String> {
    let found = association::find(&t.vestibule.context().db, backend, uid).await.unwrap();
    found.map(|(_, owner)| owner.username)
}

async fn is_signed_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

/// A page of ours that refuses, by this word.
fn refuses(page: &Answer, status: u16, word: &str, case: &str) {
    let (said, code, _) = page.setback();
    assert!(page.is_setback(), "{case}: {page:?}");
    assert_eq!((said, code.as_str()), (status, word), "{case}: {page:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn hmac_sha256(key: &str, text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes()).as_ref().to_vec()
}

/// `name=value` in order, without these and nothing between.
fn joined(pairs: Vec<(String, String)>, without: &[&str]) -> String {
    let pairs = pairs.into_iter().filter(|(name, _)| !without.contains(&name.as_str()));
    let mut all: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    all.sort();
    all.concat()
}
