//! What an entry cannot say as data: each provider here is a host that makes and checks every signature by itself.

mod calls;
mod openid;
mod signed;

use aws_lc_rs::hmac;
use md5::{Digest as _, Md5};
use vestibule::Vestibule;
use vestibule::clock::Clock;
use vestibule::protocol::GrantType;
use vestibule::settings::Settings;

use crate::browser_login::query;
use crate::harness::guest::Guest;
use crate::harness::{Answer, App, KEY, Test};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn hmac_hex(key: &[u8], text: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref())
}

/// A query of these pairs.
fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Where a browser is sent that sets out for this provider.
async fn set_out(guest: &Guest<'_>, backend: &str) -> String {
    let there = guest.get(&format!("login/{backend}/")).await;
    assert_eq!(there.status, 303, "{there:?}");
    there.header("location")
}

async fn is_signed_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

/// An application's server redeems a code that its own page got.
async fn redeem(t: &Test, app: &App, backend: &str, code: &str) -> Answer {
    let form = [
        ("grant_type", "convert_token"),
        ("backend", backend),
        ("code", code),
        ("redirect_uri", "https://app.example/cb"),
    ];
    t.call("convert-token", app, &form).await
}

async fn converter(t: &Test) -> App {
    t.app(&[GrantType::ConvertToken]).await
}

/// Why a server with these settings does not start.
async fn refused_at_start(settings: &Settings) -> String {
    let opened = Vestibule::open_with_clock(settings.clone(), &[KEY], Clock::default()).await;
    opened.err().expect("it does not start").to_string()
}
