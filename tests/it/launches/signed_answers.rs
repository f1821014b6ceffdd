//! Ways there and back that are signed with our secret, and tokens that it turns into others.

use super::{
    CLIENT_ID, SECRET, depart, form, hex, hmac_sha256, is_signed_in, md5, owner, posted, query, refuses, with,
};
use crate::harness::guest::Guest;
use crate::harness::scripted::{Asked, Told, told};
use crate::harness::{Setup, Test, on_both_databases};

/// The cookie that VK's script leaves: expiry, person, and what is signed with.
fn vk_cookie(expire: i64, person: &str, secret: &str) -> String {
    let signature = md5(&format!("expire={expire}mid={person}secret=sssid=its-session{secret}"));
    format!("expire={expire}&mid={person}&secret=ss&sid=its-session&sig={signature}")
}

on_both_databases! {
    async fn vks_cookie_says_who_it_is_and_the_page_only_how_they_are_called(setup: Setup) {
        let (t, _host) = with(setup, "vk-openapi", &[("app_id", "101010")], &[], |_| told(404, "")).await;
        let later = t.clock.now() + 3_600;
        let good = vk_cookie(later, "1", SECRET);
        let (guest, login) = (Guest::new(&t), "login/vk-openapi/?nickname=ada&first_name=Ada&id=3");
        let there = depart(&guest, login).await;
        assert!(there.starts_with(&t.url("complete/vk-openapi/?redirect_state=")), "{there}");
        refuses(&guest.get(&there).await, 400, "invalid_request", "no cookie");
        for (case, cookie) in [
            ("another secret", vk_cookie(later, "1", "another")),
            ("another person", good.replace("mid=1", "mid=2")),
            ("longer", good.replace(&later.to_string(), &(later + 1).to_string())),
            ("past", vk_cookie(t.clock.now() - 1, "1", SECRET)),
            ("no signature", good.split("&sig").next().unwrap().to_owned()),
            ("nobody", vk_cookie(later, "", SECRET)),
        ] {
            guest.set_cookie("vk_app_101010", &cookie);
            let there = depart(&guest, login).await;
            refuses(&guest.get(&there).await, 400, "code_rejected", case);
        }
        // Another application's cookie is none.
        let other = Guest::new(&t);
        other.set_cookie("vk_app_101011", &good);
        let there = depart(&other, login).await;
        refuses(&other.get(&there).await, 400, "invalid_request", "another application");
        assert!(t.people().await.is_empty());

        guest.set_cookie("vk_app_101010", &good);
        let there = depart(&guest, login).await;
        assert_eq!(guest.get(&format!("{there}&id=2&mid=2")).await.status, 303);
        assert!(is_signed_in(&guest).await);
        assert_eq!(owner(&t, "vk-openapi", "1").await.as_deref(), Some("ada"));
        assert_eq!((t.people().await.len(), t.people().await[0].first_name.as_str()), (1, "Ada"));
    }
}

/// A shop: `its-code` is good for our client.
fn shopify(asked: &Asked) -> Told {
    let sent = ["client_id", "client_secret", "code"].map(|name| posted(asked, name));
    match asked.path.as_str() {
        "/admin/oauth/access_token" if sent == [CLIENT_ID, SECRET, "its-code"] => {
            told(200, r#"{"access_token": "the-shops-token", "scope": "read_products"}"#)
        }
        _ => told(400, r#"{"error": "invalid_request"}"#),
    }
}

/// What a shop comes back with.
fn from_shop(t: &Test, there: &str, shop: &str, age: i64, secret: &str) -> String {
    let at = (t.clock.now() - age).to_string();
    let state = query(there, "state");
    // In the order of their names, as they are signed.
    let pairs = [("code", "its-code"), ("host", "YWRtaW4="), ("shop", shop), ("state", &state), ("timestamp", &at)];
    let text = pairs.map(|(name, value)| format!("{name}={value}")).join("&");
    format!("complete/shopify/?{}&hmac={}", form(&pairs), hex(&hmac_sha256(secret, &text)))
}

const SHOP: &str = "engines.myshopify.com";
const SHOPS: &[&str] = &["https://engines.myshopify.com", "https://looms.myshopify.com"];

on_both_databases! {
    async fn a_shop_signs_in_that_was_asked(setup: Setup) {
        let (t, host) = with(setup, "shopify", &[], SHOPS, shopify).await;
        let guest = Guest::new(&t);
        for (case, shop, age, secret) in [
            ("another application's secret", SHOP, 0, "another"),
            ("another shop", "looms.myshopify.com", 0, SECRET),
            ("another host", "evil.example", 0, SECRET),
            ("too old", SHOP, 90_000, SECRET),
            ("of tomorrow", SHOP, -86_400, SECRET),
        ] {
            let there = depart(&guest, "login/shopify/?shop=engines").await;
            refuses(&guest.get(&from_shop(&t, &there, shop, age, secret)).await, 400, "code_rejected", case);
        }
        for (from, to) in [("its-code", "eves-code"), ("host=", "more=x&host="), ("YWRtaW4", "ZXZl"), ("hmac=", "hmac=0")] {
            let there = depart(&guest, "login/shopify/?shop=engines").await;
            let back = from_shop(&t, &there, SHOP, 0, SECRET).replace(from, to);
            refuses(&guest.get(&back).await, 400, "code_rejected", to);
        }
        assert!(host.asked.lock().unwrap().is_empty() && t.people().await.is_empty());

        let there = depart(&guest, "login/shopify/?shop=https://Engines.myshopify.com/").await;
        assert!(there.starts_with("https://engines.myshopify.com/admin/oauth/authorize?client_id=our-client&"), "{there}");
        assert_eq!(query(&there, "redirect_uri"), t.url("complete/shopify/"));
        let back = guest.get(&from_shop(&t, &there, SHOP, 0, SECRET)).await;
        assert_eq!(back.status, 303, "{back:?}");
        assert!(is_signed_in(&guest).await);
        assert_eq!(owner(&t, "shopify", SHOP).await.as_deref(), Some("engines"));
        assert_eq!(host.asked.lock().unwrap()[0].host, SHOP);
    }
}

on_both_databases! {
    async fn nobody_is_sent_to_a_host_that_is_no_shop(setup: Setup) {
        let (t, host) = with(setup, "shopify", &[], SHOPS, shopify).await;
        for shop in [
            "evil.example",
            "https://evil.example",
            "engines.myshopify.com.evil.example",
            "evil.example/.myshopify.com",
            "evil.example%23.myshopify.com",
            "a@evil.example",
            "..",
            ".myshopify.com",
            "",
        ] {
            let answer = Guest::new(&t).get(&format!("login/shopify/?shop={shop}")).await;
            refuses(&answer, 400, "invalid_request", shop);
        }
        refuses(&Guest::new(&t).get("login/shopify/").await, 400, "invalid_request", "no shop");
        assert!(host.asked.lock().unwrap().is_empty());
    }
}

/// LoginRadius: `its-token` is good for our secret.
fn loginradius(asked: &Asked) -> Told {
    match asked.path.as_str() {
        "/api/v2/access_token" if asked.query("token") == "its-token" && asked.query("secret") == SECRET => {
            told(200, r#"{"access_token": "adas-token", "expires_in": "2026-01-01"}"#)
        }
        "/api/v2/access_token" => told(400, r#"{"ErrorCode": 905, "Message": "The token is invalid"}"#),
        "/api/v2/userprofile" if asked.query("access_token") == "adas-token" => told(
            200,
            r#"{"ID": "76b4", "Provider": "google", "NickName": "ada", "FullName": "Ada Lovelace",
                "Email": [{"Type": "Primary", "Value": "ada@example.com"}]}"#,
        ),
        _ => told(404, "{}"),
    }
}

on_both_databases! {
    async fn our_secret_makes_an_access_token_of_loginradius_token(setup: Setup) {
        let origins = ["https://api.loginradius.com"];
        let (t, host) = with(setup, "loginradius", &[("site_name", "example")], &origins, loginradius).await;
        let guest = Guest::new(&t);
        let back = |there: &str, more: &str| format!("{}{more}", query(there, "return_url"));
        for (word, more) in [("code_rejected", "&token=another"), ("invalid_request", "")] {
            let there = depart(&guest, "login/loginradius/").await;
            refuses(&guest.get(&back(&there, more)).await, 400, word, more);
        }
        let there = depart(&guest, "login/loginradius/").await;
        assert!(there.starts_with("https://example.hub.loginradius.com/auth.aspx?action=login&return_url=http"), "{there}");
        let (other, calls) = (Guest::new(&t), host.asked.lock().unwrap().len());
        let others = depart(&other, "login/loginradius/").await;
        refuses(&guest.get(&back(&others, "&token=its-token")).await, 400, "other_sign_in", "another browser's answer");
        assert_eq!(host.asked.lock().unwrap().len(), calls);
        assert!(t.people().await.is_empty());
        assert_eq!(guest.get(&back(&there, "&token=its-token")).await.status, 303);
        assert!(is_signed_in(&guest).await);
        assert_eq!(owner(&t, "loginradius", "google-76b4").await.as_deref(), Some("ada"));
    }
}

/// Draugiem: redeems `its-code` with our secret under the name of the application.
fn draugiem(asked: &Asked) -> Told {
    let sent = ["app", "action", "code"].map(|name| asked.query(name));
    match asked.path.as_str() {
        "/json" if sent == [SECRET, "authorize", "its-code"] => told(
            200,
            r#"{"apikey": "adas-key", "uid": "42", "users": {"42": {"uid": "42", "name": "Ada", "surname": "Lovelace"}}}"#,
        ),
        _ => told(200, r#"{"error": {"code": 140, "description": "Invalid auth code"}}"#),
    }
}

on_both_databases! {
    async fn the_way_to_draugiem_has_a_hash_of_the_way_back(setup: Setup) {
        let (t, _host) = with(setup, "draugiem", &[], &["https://api.draugiem.lv"], draugiem).await;
        let guest = Guest::new(&t);
        let there = depart(&guest, "login/draugiem/").await;
        assert!(there.starts_with("https://api.draugiem.lv/authorize?"), "{there}");
        let back = query(&there, "redirect");
        assert!(back.starts_with(&t.url("complete/draugiem/?redirect_state=")), "{back}");
        assert_eq!((query(&there, "app").as_str(), query(&there, "hash")), (CLIENT_ID, md5(&format!("{SECRET}{back}"))));
        assert!(!there.contains(SECRET) && query(&there, "state").is_empty());

        let refused = guest.get(&format!("{back}&dr_auth_status=ok&dr_auth_code=another")).await;
        refuses(&refused, 400, "code_rejected", "another code");
        let back = query(&depart(&guest, "login/draugiem/").await, "redirect");
        let stranger = Guest::new(&t).get(&format!("{back}&dr_auth_code=its-code")).await;
        refuses(&stranger, 400, "not_begun_here", "another browser");
        assert_eq!(guest.get(&format!("{back}&dr_auth_status=ok&dr_auth_code=its-code")).await.status, 303);
        assert!(is_signed_in(&guest).await && owner(&t, "draugiem", "42").await.is_some());
        assert_eq!(t.people().await[0].last_name, "Lovelace");
    }
}
