//! The OpenAPI 3.1 document of what a server with this configuration answers.
//!
//! Its pieces are written by hand in `openapi/`, one file an area. A path that begins with a slash is as it is, any other
//! hangs below the mount, as in the route table (`http`); what the configuration decides is filled in here. Why it is
//! written by hand, and what keeps it true: `docs/decisions/0011-openapi-is-written-by-hand-and-checked.md`.

use serde_json::{Map, Value, json};

use crate::settings::Settings;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../openapi/", $name)))),*]
    };
}

const AREAS: &[(&str, &str)] = embedded!(
    "document.json",
    "oauth.json",
    "openid-connect.json",
    "discovery.json",
    "clients.json",
    "accounts-at-providers.json",
    "account.json",
    "account-pages.json",
    "applications.json",
    "operation.json",
    "console.json",
    "admin.json",
    "answers.json",
    "schemas.json",
);

/// The members of a path that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document for these settings, and the names of the providers that are enabled under them.
pub fn document(settings: &Settings, backends: &[&str]) -> Value {
    let mut document = Value::Null;
    for (_, text) in AREAS {
        merge(&mut document, serde_json::from_str(text).unwrap_or_default());
    }
    let mount = settings.mount.trim_end_matches('/');
    let values = [
        ("{issuer}", settings.issuer()),
        ("{public_url}", settings.public_url()),
        ("{site_name}", settings.pages.site_name.clone()),
        ("{session_cookie}", settings.cookie_name("session")),
        ("{version}", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    fill(&mut document, &values);
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        *paths = std::mem::take(paths)
            .into_iter()
            .map(|(path, mut item)| {
                give_common_answers(&mut item);
                (if path.starts_with('/') { path.replace("{mount}", mount) } else { format!("{mount}/{path}") }, item)
            })
            .collect();
    }
    if !backends.is_empty() {
        document["components"]["schemas"]["Backend"]["enum"] = json!(backends);
    }
    let flows = document["components"]["securitySchemes"]["oauth2"]["flows"].as_object_mut();
    for (_, flow) in flows.into_iter().flatten() {
        for (name, sentence) in settings.scopes() {
            flow["scopes"][name] = sentence.into();
        }
    }
    document
}

/// Lays a piece over what is there: members join, lists grow.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                merge(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(below), Value::Array(above)) => below.extend(above),
        (below, above) => *below = above,
    }
}

/// Writes values in the place of their names, in every text.
fn fill(value: &mut Value, values: &[(&str, String)]) {
    match value {
        Value::String(text) => {
            for (name, value) in values {
                if text.contains(name) {
                    *text = text.replace(name, value);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| fill(one, values)),
        Value::Object(members) => members.values_mut().for_each(|one| fill(one, values)),
        _ => {}
    }
}

/// What any request may be answered, whatever it asks for (`http::observe`, a database that is gone): a browser by a page.
fn give_common_answers(item: &mut Value) {
    for method in METHODS {
        let Some(Value::Object(answers)) = item.get_mut(method).and_then(|operation| operation.get_mut("responses"))
        else {
            continue;
        };
        let shows_pages =
            answers.values().any(|answer| *answer == reference("SeeOther") || *answer == reference("Page"));
        let names = match shows_pages {
            true => ["PageServerError", "PageUnavailable"],
            false => ["ServerError", "Unavailable"],
        };
        for (status, name) in ["500", "503"].into_iter().zip(names) {
            answers.entry(status).or_insert_with(|| reference(name));
        }
    }
}

fn reference(name: &str) -> Value {
    Value::Object(Map::from_iter([("$ref".to_owned(), format!("#/components/responses/{name}").into())]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use vestibule_protocol::authorization::{ResponseMode, ResponseType};
    use vestibule_protocol::{ClientAuthenticationMethod, GrantType};

    use super::{AREAS, document};
    use crate::settings::Settings;
    use crate::{grant, limits};

    fn texts<'a>(value: &'a Value, path: &str) -> BTreeSet<&'a str> {
        let list = value.pointer(path).unwrap_or_else(|| panic!("{path} is not there")).as_array().unwrap();
        list.iter().map(|one| one.as_str().unwrap()).collect()
    }

    #[test]
    fn every_area_can_be_read_and_none_says_again_what_another_says() {
        let mut seen = BTreeSet::new();
        for (name, text) in AREAS {
            let area: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let components = area["components"].as_object().into_iter().flatten();
            let mut groups: Vec<(String, &Value)> =
                components.map(|(kind, group)| (format!("components/{kind}"), group)).collect();
            groups.push(("paths".to_owned(), &area["paths"]));
            for (kind, group) in groups {
                for member in group.as_object().into_iter().flatten().map(|(member, _)| member) {
                    assert!(seen.insert(format!("{kind}/{member}")), "{name}: {kind}/{member} is there already");
                }
            }
        }
    }

    /// The words of a `match` in the protocol's source that knows every one of them.
    fn words_of(kind: &str) -> BTreeSet<&'static str> {
        let source = include_str!("../protocol/src/error.rs");
        let own = source.split(&format!("impl {kind} {{")).nth(1).unwrap();
        let body = own.split("pub const fn as_str").nth(1).unwrap().split("\n    }\n").next().unwrap();
        let words: BTreeSet<_> = body.split('"').skip(1).step_by(2).collect();
        assert!(words.len() > 10, "{words:?}");
        words
    }

    #[test]
    fn every_word_of_the_protocol_is_in_the_document() {
        let document = document(&Settings::default(), &[]);
        let schemas = &document["components"]["schemas"];
        assert_eq!(texts(schemas, "/ErrorCode/enum"), words_of("ErrorCode"));
        assert_eq!(texts(schemas, "/Reason/enum"), words_of("Reason"));
        let of_token_endpoint: BTreeSet<_> = grant::KNOWN.iter().map(|grant| grant.wire()).collect();
        assert_eq!(texts(schemas, "/TokenRequest/properties/grant_type/enum"), of_token_endpoint);
        let grants: BTreeSet<_> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
        assert_eq!(texts(schemas, "/GrantName/enum"), grants);
        let methods: BTreeSet<_> = ClientAuthenticationMethod::ALL.iter().map(|method| method.as_str()).collect();
        assert_eq!(texts(schemas, "/ClientAuthenticationMethod/enum"), methods);
        assert_eq!(texts(schemas, "/ResponseType/enum"), ResponseType::ALL.into_iter().collect());
        assert_eq!(texts(schemas, "/ResponseMode/enum"), ResponseMode::ALL.into_iter().collect());
    }

    #[test]
    fn the_configuration_is_filled_in() {
        let mut settings = Settings {
            mount: "/".to_owned(),
            public_url: Some("https://login.example/under/".to_owned()),
            ..Settings::default()
        };
        settings.scopes.insert("calendar".to_owned(), "Your \"calendar\"".to_owned());

        let document = document(&settings, &["github"]);

        assert_eq!(document["servers"][0]["url"], "https://login.example/under");
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes["session"]["name"], "__Host-vestibule_session");
        for (name, flow) in schemes["oauth2"]["flows"].as_object().unwrap() {
            let scopes: BTreeSet<_> = flow["scopes"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(scopes, limits::known_scopes(&settings).iter().collect(), "{name}");
            assert_eq!(flow["scopes"]["calendar"], "Your \"calendar\"");
            for address in ["authorizationUrl", "tokenUrl", "refreshUrl"] {
                assert!(flow[address].as_str().is_none_or(|url| url.starts_with("https://login.example/under/")));
            }
        }
        assert_eq!(document["components"]["schemas"]["Backend"]["enum"], serde_json::json!(["github"]));
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.contains_key("/token") && paths.keys().all(|path| path.starts_with('/') && !path.contains("//")));
        let text = document.to_string();
        for name in ["{mount}", "{issuer}", "{public_url}", "{site_name}", "{version}", "{session_cookie}"] {
            assert!(!text.contains(name), "{name}");
        }
    }
}
