//! The catalog's own examples, and what an entry may not say.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

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
    catalog_entry("github")
        .claims
        .profile(&answer(&json!({ "id": value }), &[]), &Extra::new())
        .ok()
        .map(|profile| profile.uid)
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
            let mut further: Vec<_> = example.answers.iter().map(|(name, json)| (name.clone(), parse(json))).collect();
            let names = entry.profile.iter().map(|request| request.name.as_str()).chain(RESERVED_NAMES);
            let known: Vec<&str> = names.collect();
            assert!(further.iter().all(|(name, _)| known.contains(&name.as_str())), "{file}: an answer to no request");
            further.push(("settings".into(), shown_settings(&file, &entry, &example.settings)));
            let root = match parse(&example.answer) {
                Value::Object(root) => root,
                list => serde_json::Map::from_iter([("list".to_owned(), list)]),
            };
            let answer = Answer::new(root, further);
            for Requirement { that, otherwise } in &entry.require {
                assert!(that.is_true(&answer), "{file}: {otherwise}");
            }
            let profile = entry.claims.profile(&answer, &entry.extra);
            let profile = profile.unwrap_or_else(|error| panic!("{file}: {error}: {}", example.answer));
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

/// The settings as expressions see them, with an example's over the defaults.
fn shown_settings(file: &str, entry: &Entry, given: &toml::Table) -> Value {
    assert!(given.keys().all(|name| entry.settings.contains_key(name)), "{file}: a setting that is none");
    let value = |name: &String, rule: &SettingRule| {
        let value = given.get(name).or(rule.default.as_ref())?;
        let read = rule.kind.read(value).unwrap_or_else(|why| panic!("{file}: {name} {why}"));
        Some((name.clone(), read.shown()?))
    };
    Value::Object(entry.settings.iter().filter_map(|(name, rule)| value(name, rule)).collect())
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

    let profile = entry.claims.profile(&answer(&forged, &[("emails", Value::Null)]), &Extra::new()).unwrap();

    assert_eq!(profile.email, None);
}

#[test]
fn what_the_answer_claims_beside_is_not_read() {
    // attack 137
    let reserved = json!({"sub": "1", "id": 9, "is_superuser": true, "is_staff": true, "password": "x", "uid": "2"});

    let profile = catalog_entry("oidc").claims.profile(&answer(&reserved, &[]), &Extra::new()).unwrap();

    assert_eq!(profile, crate::Profile { uid: "1".into(), extra: profile.extra.clone(), ..Default::default() });
}

#[test]
fn an_openid_connect_provider_says_only_where_it_differs_from_the_standard() {
    let base = "name = 'x'\ntitle = 'X'\nissuer = 'https://x.example'\n";
    let told = json!({"sub": "1", "id": 2, "preferred_username": "ada", "nickname": "a", "email": "ada@example.com",
                      "email_verified": true, "name": "Ada King Lovelace", "given_name": "Ada King",
                      "family_name": "Lovelace", "picture": "https://x.example/ada.png"});
    let of = |more: &str| entry(&format!("{base}{more}")).map(|entry| (entry.scope.default.clone(), entry.claims));
    let profile = |more: &str| of(more).unwrap().1.profile(&answer(&told, &[]), &Extra::new()).unwrap();

    let (scope, _) = of("protocol = 'oidc'").unwrap();
    assert_eq!(scope, ["openid", "profile", "email"]);
    let standard = crate::Profile {
        uid: "1".into(),
        username: Some("ada".into()),
        email: Some("ada@example.com".into()),
        email_verified: true,
        first_name: Some("Ada King".into()),
        last_name: Some("Lovelace".into()),
        picture: Some("https://x.example/ada.png".into()),
        ..Default::default()
    };
    assert_eq!(profile("protocol = 'oidc'"), standard);

    let differs = profile(
        "protocol = 'oidc'\nclaims = { username = 'nickname', email_verified = '', first_name = '', last_name = '' }",
    );
    assert_eq!((differs.uid.as_str(), differs.username.as_deref()), ("1", Some("a")));
    assert_eq!((differs.email.as_deref(), differs.email_verified), (Some("ada@example.com"), false));
    assert_eq!((differs.first_name.as_deref(), differs.last_name.as_deref()), (Some("Ada"), Some("King Lovelace")));
    assert_eq!(of("protocol = 'oidc'\nscope.default = ['openid']").unwrap().0, ["openid"]);

    assert!(of("protocol = 'oauth2'").unwrap_err().to_string().contains("claims"));
    assert_eq!(
        profile("protocol = 'oauth2'\nclaims.uid = 'id'"),
        crate::Profile { uid: "2".into(), ..Default::default() }
    );
}

#[test]
fn an_unverified_address_and_another_user_flow_do_not_come_in() {
    let comes_in = |name: &str, told: Value, settings: Value| {
        let entry = catalog_entry(name);
        let answer = answer(&told, &[("settings", settings)]);
        entry.require.iter().all(|rule| rule.that.is_true(&answer)) && entry.claims.uid.identifier(&answer).is_some()
    };

    for name in ["google-openidconnect", "google-onetap"] {
        let with = |verified: Value| {
            comes_in(name, json!({"sub": "1", "email": "ada@example.com", "email_verified": verified}), json!({}))
        };
        assert!(with(json!(true)));
        for not in [json!(false), json!("true"), json!(1), Value::Null] {
            assert!(!with(not.clone()), "{name}: {not}");
        }
    }
    let b2c = |told: Value, policy: &str| comes_in("azuread-b2c-oauth2", told, json!({"policy": policy}));
    assert!(b2c(json!({"sub": "1", "tfp": "B2C_1_in"}), "b2c_1_in"));
    assert!(b2c(json!({"sub": "1", "acr": "b2c_1_in"}), "b2c_1_in"));
    assert!(!b2c(json!({"sub": "1", "tfp": "b2c_1_reset", "acr": "b2c_1_in"}), "b2c_1_in"));
    assert!(!b2c(json!({"sub": "1"}), "b2c_1_in"));
    assert!(!b2c(json!({"sub": "1", "tfp": "in"}), "in"));
    for nobody in ["Not supported currently. Use oid claim.", "Not supported currently.Use oid claim."] {
        assert!(!b2c(json!({"sub": nobody, "oid": "2", "tfp": "b2c_1_in"}), "b2c_1_in"), "{nobody}");
    }
    assert!(!comes_in("microsoft-graph", json!({"id": "1", "userPrincipalName": ""}), json!({})));
    assert!(!comes_in("microsoft-graph", json!({"id": "1"}), json!({})));
}

#[test]
fn whoever_has_a_discovery_document_has_an_issuer() {
    let takes = |more: &str| entry(&format!("name = 'x'\ntitle = 'X'\n{more}")).unwrap().takes_id_tokens();

    assert!(takes("protocol = 'oidc'\nissuer = 'https://x.example'"));
    assert!(takes("protocol = 'oidc'\ndiscovery = 'https://x.example/d'\nissuers = ['https://x.example/{=tid}/']"));
    assert!(!takes("protocol = 'oidc'"));
    assert!(!takes("protocol = 'saml'\nissuer = 'https://x.example'\nclaims.uid = 'id'"));
}

#[test]
fn texts_of_the_wrong_kind_are_left_out_and_control_characters_too() {
    let odd = json!({"sub": "1", "preferred_username": 7, "email": "no address", "email_verified": true,
                     "given_name": "A\u{0}da\r\n", "family_name": ["x"]});

    let profile = catalog_entry("oidc").claims.profile(&answer(&odd, &[]), &Extra::new()).unwrap();

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
        let profile = catalog_entry("oidc").claims.profile(&answer, &Extra::new()).unwrap();
        assert_eq!((profile.email, profile.email_verified), (None, false), "{odd:?}");
    }
    let plain = answer(&json!({"sub": "1", "email": " ada@example.com ", "email_verified": true}), &[]);
    let profile = catalog_entry("oidc").claims.profile(&plain, &Extra::new()).unwrap();
    assert_eq!((profile.email.as_deref(), profile.email_verified), (Some("ada@example.com"), true));
}

#[test]
fn values_go_into_a_url_encoded() {
    // attack 129
    let settings = BTreeMap::from([("version".to_owned(), Setting::Text("../1".to_owned()))]);
    let answer = answer(&json!({"me": {"id": "../7"}, "up": "..", "none": null}), &[]);
    let (token, client_id) = ("a&b=c#\r\n é|", "i/d");
    let variables = Variables { token, client_id, client_secret: "s", settings: &settings, answer: &answer };
    let url = |source: &str| Template::parse(source).unwrap().url(&variables);

    assert_eq!(
        url("https://x.example/{version}/{client_id}?t={token}").unwrap(),
        "https://x.example/..%2F1/i%2Fd?t=a%26b%3Dc%23%0D%0A%20%C3%A9%7C"
    );
    assert_eq!(url("https://x.example/{=me.id}").unwrap(), "https://x.example/..%2F7");
    for nothing in ["https://x.example/{=up}/me", "https://x.example/{=none}", "https://x.example/{=no.such}"] {
        assert!(url(nothing).is_err(), "{nothing}");
    }
    assert_eq!(url("https://x.example/me?u={=up}").unwrap(), "https://x.example/me?u=..");
    assert_eq!(Template::parse("{token}").unwrap().plain(&variables).unwrap(), token);
    assert_eq!(
        Template::parse(r#"{{"id_token":{{"email":null}}}} {client_id}"#).unwrap().plain(&variables).unwrap(),
        r#"{"id_token":{"email":null}} i/d"#
    );
    assert_eq!(template::with_query("https://x/?a=1", "t", "é &"), "https://x/?a=1&t=%C3%A9%20%26");
}

#[test]
fn a_host_that_an_answer_brings_is_told_from_one_that_the_operator_set() {
    let from_answer = |source: &str| Template::parse(source).unwrap().host_is_from_answer();

    for answers in
        ["{=id}", "https://{=shop}/me", "https://{=prefix}.x.example/me", "https://x.example:{=port}/", "{url}{=id}"]
    {
        assert!(from_answer(answers), "{answers}");
    }
    for ours in ["https://x.example/{=id}", "{url}/users/{=id}", "https://{host}/{=id}", "{url}?user={=id}", "{url}"] {
        assert!(!from_answer(ours), "{ours}");
    }
}

#[test]
fn the_proof_is_the_hmac_of_the_token_under_our_secret() {
    let settings = BTreeMap::new();
    let answer = answer(&json!({}), &[]);
    let (token, client_id, client_secret) = ("Hi There", "1", "key");
    let variables = Variables { token, client_id, client_secret, settings: &settings, answer: &answer };
    let value = |name: &str| Template::parse(name).unwrap().plain(&variables).unwrap();

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
        ("endpoints.token = 'https://x/client_id}'", "brace"),
        ("authorize.params.claims = '{{{client_id}}'", "brace"),
        ("endpoints.token = 'ftp://x/'", "ftp://x/"),
        ("endpoints.userinfo = 'https://x/{client_secret}/me'", "endpoints.userinfo"),
        ("endpoints.userinfo = 'https://{token}.x/me'", "{token}"),
        ("endpoints.userinfo = 'https://{=token_answer.host}/me'", "endpoints.hosts"),
        ("settings.a.kind = 'flag'\nendpoints.userinfo = 'https://x/{a}'", "{a}"),
        ("settings.a.default = 'b c'", "settings.a.default"),
        ("[[profile]]\nname = 'settings'\nurl = 'https://x'", "profile.name"),
        ("headers.x = \"a\\nb\"", "headers.x"),
        ("id_token.algorithms = ['none']", "none"),
        ("id_token.algorithms = []", "id_token.algorithms"),
        ("token.auth = 'carrier pigeon'", "carrier pigeon"),
        ("issuer = 1", "issuer"),
        ("audience.url = 'https://x'", "audience.audience"),
        ("userinfo.json.a = 'b'\nuserinfo.form.a = 'b'", "userinfo.json"),
        ("revoke.url = 'https://x'\nrevoke.json.a = 'b'\nrevoke.form.a = 'b'", "revoke.json"),
        ("revoke.url = 'https://x'\nrevoke.json.a = '{nope}'", "revoke.json"),
        ("status = 'shut down'", "note"),
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

#[test]
fn a_mistake_in_a_file_names_its_line() {
    let base = "name = 'x'\ntitle = 'X'\nprotocol = 'oauth2'\n[claims]\nuid = 'id'\n";
    let line = |more: &str| {
        let text = format!("{base}{more}");
        match source::parse_source(&text) {
            Ok(table) => source::locate(&text, &Entry::from_table(table).unwrap_err()),
            Err(error) => error,
        }
    };
    for (more, at, named) in [
        ("email = 'a['", 6, "a["),
        ("colour = 1", 6, "claims.colour"),
        ("[headers]\nx = 1", 7, "x"),
        ("[endpoints]\n\ntoken = 'ftp://x/'", 8, "endpoints.token"),
        ("[scope", 6, ""),
    ] {
        let error = line(more);
        assert_eq!(error.line, at, "{more}: {error}");
        assert!(error.what.contains(named), "{more}: {error}");
    }
}

#[test]
fn expressions_cut_and_join_texts() {
    let answer =
        answer(&json!({"id": 7, "token": "12.abc", "name": "김철수", "url": "https://x/u/ada", "mail": "A@B"}), &[]);
    let find = |source: &str| Expression::parse(source).unwrap().identifier(&answer);

    assert_eq!(find("split(token, '.')[0]").as_deref(), Some("12"));
    assert_eq!(find("split(url, '/')[-1]").as_deref(), Some("ada"));
    assert_eq!(find("join('', split(name, '')[1:])").as_deref(), Some("철수"));
    assert_eq!(find("join(':', [to_string(id), local_part(lower(mail))])").as_deref(), Some("7:a"));
    assert_eq!(find("replace(token, '.', '-')").as_deref(), Some("12-abc"));
    for nothing in ["join(':', [to_string(id), to_string(none)])", "split(id, '.')[0]", "lower(none)"] {
        assert_eq!(find(nothing), None, "{nothing}");
    }
}

#[test]
fn a_member_is_found_by_a_name_that_the_answer_brings_and_percent_signs_are_decoded() {
    let name =
        json!({"localized": {"de_DE": "Grete", "en_US": "Margaret"}, "locale": "de_DE", "city": "Z%C3%BCrich+%FF"});
    let answer = answer(&name, &[]);
    let find = |source: &str| Expression::parse(source).unwrap().identifier(&answer);

    assert_eq!(find("member(localized, locale)").as_deref(), Some("Grete"));
    assert_eq!(find("percent_decoded(city)").as_deref(), Some("Zürich+\u{fffd}"));
    for nothing in
        ["member(localized, city)", "member(locale, locale)", "member(localized, none)", "percent_decoded(none)"]
    {
        assert_eq!(find(nothing), None, "{nothing}");
    }
}
