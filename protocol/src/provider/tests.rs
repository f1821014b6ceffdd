//! The catalog's own examples, and what an entry may not say.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::claims::Answer;
use super::*;

fn catalog() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn entry(toml: &str) -> Result<Entry, EntryError> {
    Entry::from_table(toml.parse().unwrap())
}

fn catalog_entry(name: &str) -> Entry {
    let (_, text) = catalog().into_iter().find(|(file, _)| file == name).unwrap();
    entry(&text).unwrap()
}

fn answer(root: &Value, further: &[(&str, Value)]) -> Answer {
    let further = further.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Answer::new(root.as_object().unwrap().clone(), further)
}

fn uid(value: &Value) -> Option<String> {
    catalog_entry("github").claims.profile(&answer(&json!({ "id": value }), &[])).ok().map(|profile| profile.uid)
}

#[test]
fn every_example_of_the_catalog_gives_its_profile() {
    for (file, text) in catalog() {
        let entry = entry(&text).unwrap_or_else(|error| panic!("catalog/{file}.toml: {error}"));
        assert_eq!(entry.name, file);
        assert!(!entry.example.is_empty(), "{file} has no example");
        for example in &entry.example {
            let parse =
                |json: &str| serde_json::from_str::<Value>(json).unwrap_or_else(|error| panic!("{file}: {error}"));
            let further = example.answers.iter().map(|(name, json)| (name.clone(), parse(json)));
            let root = parse(&example.answer).as_object().unwrap().clone();
            let profile = entry.claims.profile(&Answer::new(root, further)).unwrap();
            let told = ExampleProfile {
                uid: profile.uid,
                username: profile.username,
                email: profile.email,
                email_verified: profile.email_verified,
                first_name: profile.first_name,
                last_name: profile.last_name,
            };
            assert_eq!(told, example.profile, "{file}: {}", example.answer);
        }
    }
}

#[test]
fn the_readme_of_the_catalog_tells_every_key() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog/README.md")).unwrap();
    for key in ENTRY_KEYS {
        assert!(readme.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn an_identifier_is_a_text_or_a_whole_number() {
    // attack 115
    assert_eq!(uid(&json!(1)).as_deref(), Some("1"));
    assert_eq!(uid(&json!("1")).as_deref(), Some("1"));
    assert_eq!(uid(&json!("01")).as_deref(), Some("01"));
    assert_eq!(uid(&json!(0)).as_deref(), Some("0"));
    assert_eq!(uid(&json!(u64::MAX)), Some(u64::MAX.to_string()));
    let beyond: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
    for nobody in [
        json!(1.0),
        json!(true),
        json!(false),
        json!([1]),
        json!({"id": 1}),
        json!(""),
        json!("  "),
        json!("1\0"),
        json!("x".repeat(256)),
        Value::Null,
        beyond,
    ] {
        assert_eq!(uid(&nobody), None, "{nobody}");
    }
}

#[test]
fn to_string_makes_no_identifier_of_nothing() {
    let path = Expression::parse("to_string(id)").unwrap();

    assert_eq!(path.identifier(&answer(&json!({"id": 7}), &[])).as_deref(), Some("7"));
    for nobody in [json!({}), json!({"id": null}), json!({"id": {}}), json!({"id": 1.0}), json!({"id": false})] {
        assert_eq!(path.identifier(&answer(&nobody, &[])), None, "{nobody}");
    }
}

#[test]
fn a_further_answer_is_not_forged_by_a_member_of_the_root() {
    let entry = catalog_entry("github");
    let forged = json!({"id": 1, "emails": [{"email": "ada@example.com", "primary": true, "verified": true}]});

    let profile = entry.claims.profile(&answer(&forged, &[("emails", Value::Null)])).unwrap();

    assert_eq!(profile.email, None);
}

#[test]
fn what_the_answer_claims_beside_is_not_read() {
    // attack 137
    let reserved = json!({"sub": "1", "id": 9, "is_superuser": true, "is_staff": true, "password": "x", "uid": "2"});

    let profile = catalog_entry("oidc").claims.profile(&answer(&reserved, &[])).unwrap();

    assert_eq!(profile, crate::Profile { uid: "1".into(), extra: profile.extra.clone(), ..Default::default() });
}

#[test]
fn texts_of_the_wrong_kind_are_left_out_and_control_characters_too() {
    let odd = json!({"sub": "1", "preferred_username": 7, "email": "no address", "email_verified": true,
                     "given_name": "A\u{0}da\r\n", "family_name": ["x"]});

    let profile = catalog_entry("oidc").claims.profile(&answer(&odd, &[])).unwrap();

    assert_eq!((profile.username, profile.email, profile.email_verified), (None, None, false));
    assert_eq!((profile.first_name.as_deref(), profile.last_name), (Some("Ada"), None));
}

#[test]
fn an_address_is_never_cut_or_cleaned_into_somebody_elses() {
    // attacks 109, 133
    let cut = format!("{}@corp.example.evil.example", "x".repeat(242));
    assert_eq!(cut.find(".evil"), Some(255), "what 255 characters would leave is an address at corp.example");
    for odd in
        [&cut, "ada\u{0}@example.com", "ada@example.com\r\nBcc: x", "ada@exam ple.com", "ada@example.com\u{2028}"]
    {
        let answer = answer(&json!({"sub": "1", "email": odd, "email_verified": true}), &[]);
        let profile = catalog_entry("oidc").claims.profile(&answer).unwrap();
        assert_eq!((profile.email, profile.email_verified), (None, false), "{odd:?}");
    }
    let plain = answer(&json!({"sub": "1", "email": " ada@example.com ", "email_verified": true}), &[]);
    let profile = catalog_entry("oidc").claims.profile(&plain).unwrap();
    assert_eq!((profile.email.as_deref(), profile.email_verified), (Some("ada@example.com"), true));
}

#[test]
fn values_go_into_a_url_encoded() {
    // attack 129
    let settings = BTreeMap::from([("version".to_owned(), "../1".to_owned())]);
    let variables = Variables { token: "a&b=c#\r\n é|", client_id: "i/d", client_secret: "s", settings: &settings };
    let template = Template::parse("https://x.example/{version}/{client_id}?t={token}").unwrap();

    assert_eq!(template.url(&variables), "https://x.example/..%2F1/i%2Fd?t=a%26b%3Dc%23%0D%0A%20%C3%A9%7C");
    assert_eq!(Template::parse("{token}").unwrap().plain(&variables), "a&b=c#\r\n é|");
    assert_eq!(template::with_query("https://x/?a=1", "t", "é &"), "https://x/?a=1&t=%C3%A9%20%26");
}

#[test]
fn the_proof_is_the_hmac_of_the_token_under_our_secret() {
    let settings = BTreeMap::new();
    let variables = Variables { token: "Hi There", client_id: "1", client_secret: "key", settings: &settings };
    let value = |name: &str| Template::parse(name).unwrap().plain(&variables);

    // python3 -c 'import hmac; print(hmac.new(b"key", b"Hi There", "sha256").hexdigest())'
    assert_eq!(value("{appsecret_proof}"), "e75865ac3fe73a8074997001fcdf339dbb878200ace6efa70f0ee1b2df3a3cf6");
    assert_eq!(value("{app_token}"), "1|key");
    assert_eq!(value("{app_token_proof}"), "51e53d5d9bf5a523784a164f5020b2582079f8079232d396e536aabae04dec7d");
}

#[test]
fn a_mistake_in_an_entry_names_its_key() {
    let base = "name = 'x'\ntitle = 'X'\nprotocol = 'oauth2'\nclaims.uid = 'id'\n";
    let error = |more: &str| entry(&format!("{base}{more}")).unwrap_err().to_string();

    assert!(entry(base).is_ok());
    for (more, named) in [
        ("colour = 1", "colour"),
        ("endpoints.userinfos = ''", "endpoints.userinfos"),
        ("[[profile]]\nname = 'e'\nurl = 'https://x'\noptinal = true", "profile.optinal"),
        ("claims.email = 'a['", "a["),
        ("endpoints.token = 'https://x/{nope}'", "nope"),
        ("endpoints.token = 'https://x/{client_id'", "brace"),
        ("endpoints.token = 'ftp://x/'", "ftp://x/"),
        ("endpoints.userinfo = 'https://x/{token}/me'", "{token}"),
        ("headers.x = \"a\\nb\"", "headers.x"),
        ("id_token.algorithms = ['none']", "none"),
        ("id_token.algorithms = []", "id_token.algorithms"),
        ("token_request = 'carrier pigeon'", "carrier pigeon"),
        ("issuer = 1", "issuer"),
        ("audience.url = 'https://x'", "audience"),
    ] {
        assert!(error(more).contains(named), "{more}: {}", error(more));
        assert!(!error(more).contains('\n'), "one line: {}", error(more));
    }
    assert!(entry("title = 'X'\nprotocol = 'oauth2'\nclaims.uid = 'id'").unwrap_err().to_string().contains("name"));
}

#[test]
fn an_operators_keys_lie_over_the_catalogs() {
    let mut table: toml::Table = "a = 1\nb.c = 2\nb.d = [1, 2]\ne.f = 1".parse().unwrap();

    merge(&mut table, "b.d = [3]\nb.g = 4\ne = 5".parse().unwrap());

    assert_eq!(table, "a = 1\nb.c = 2\nb.d = [3]\nb.g = 4\ne = 5".parse().unwrap());
}
