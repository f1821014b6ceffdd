//! Every provider of the catalog that has codes and tokens, over HTTP: its examples, converted by code, converted by access
//! token, and signed in with by a browser, against its own recorded answers.

use std::collections::BTreeMap;

use vestibule::protocol::GrantType;
use vestibule::protocol::provider::{AudienceSource, Entry, Example, Status, TokenPlace};
use vestibule::settings::{OnTakenEmail, ProviderSettings, Settings};
use vestibule::store::association;
use vestibule::store::user::User;
use vestibule::upstream;

use crate::harness::guest::Guest;
use crate::harness::recorded::{CLIENT_ID, CODE, Recorded, SECRET, Scene, TOKEN};
use crate::harness::{Setup, Test, enabled, on_both_databases};

/// Those whose way is not only data have tests of their own.
fn entries() -> Vec<Entry> {
    // The generic one is nobody's without an issuer.
    let mut settings = Settings::default();
    settings.providers.insert("oidc".into(), generic());
    let lines = upstream::lines(&settings).unwrap();
    let all = lines.into_iter().map(|line| line.entry);
    let by_data = |entry: &Entry| {
        entry.quirk.is_none() && !entry.settings.contains_key("public_key") && entry.status != Status::ShutDown
    };
    all.filter(|entry| entry.protocol.has_codes() && by_data(entry)).collect()
}

fn generic() -> ProviderSettings {
    ProviderSettings { entry: toml::toml! { issuer = "https://login.example.com" }, ..ProviderSettings::default() }
}

/// An example with what makes its entry a provider of one of the test's: two examples with other settings are two.
fn enable(setup: &mut Setup, recorded: &Recorded, name: &str, scene: &Scene<'_>) {
    let mut provider = enabled(CLIENT_ID, SECRET);
    provider.policy.on_taken_email = Some(OnTakenEmail::Create);
    provider.accept_unverified_audience = true;
    provider.entry = scene.written();
    if name == "oidc" {
        provider.entry.extend(generic().entry);
    }
    provider.is_written = true;
    setup.settings.providers.insert(name.to_owned(), provider);
    for origin in scene.origins() {
        let host = origin.split_once("://").unwrap().1.split(':').next().unwrap().to_owned();
        setup.settings.outbound.origin_map.insert(origin, format!("{}/{host}", recorded.base));
    }
}

fn told(example: &Example) -> (String, bool, String, String) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let profile = &example.profile;
    (text(&profile.email), profile.email_verified, text(&profile.first_name), text(&profile.last_name))
}

fn stored(user: &User) -> (String, bool, String, String) {
    (user.email.clone(), user.email_verified, user.first_name.clone(), user.last_name.clone())
}

async fn person(t: &Test, provider: &str, uid: &str) -> Option<User> {
    association::find(&t.vestibule.context().db, provider, uid).await.unwrap().map(|(_, user)| user)
}

async fn forget(t: &Test, user: &User) {
    assert!(vestibule::store::user::delete(&t.vestibule.context().db, user.id).await.unwrap());
}

on_both_databases! {
    async fn every_example_signs_its_person_in_by_code_by_token_and_by_browser(setup: Setup) {
        let (entries, connecting): (Vec<_>, Vec<_>) = entries().into_iter().partition(|entry| !entry.connect_only);
        let recorded = Recorded::start().await;
        // One server for every first example: all of the catalog is enabled at once.
        let mut setup = setup;
        for entry in entries.iter().chain(&connecting) {
            enable(&mut setup, &recorded, &entry.name, &Scene::new(entry, &entry.example[0]));
        }
        let t = setup.start().await;
        let app = t.app(&[GrantType::ConvertToken]).await;
        let mut by = BTreeMap::from([("code", 0), ("token", 0), ("browser", 0)]);
        let mut wrong = Vec::new();
        for entry in &entries {
            let (name, example) = (entry.name.as_str(), &entry.example[0]);
            let scene = Scene::new(entry, example);
            recorded.play(&scene, None);
            let beside = scene.beside();
            let mut form = vec![("grant_type", "convert_token"), ("backend", name), ("code", CODE), ("redirect_uri", "https://app.example/cb")];
            form.extend(beside.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let answer = t.call("convert-token", &app, &form).await;
            match person(&t, name, &example.profile.uid).await {
                Some(user) if answer.status == 200 && stored(&user) == told(example) => {
                    *by.get_mut("code").unwrap() += 1;
                    forget(&t, &user).await;
                }
                user => wrong.push(format!("{name} by code: {} {:?} {:?}", answer.text, user.map(|user| stored(&user)), recorded.take_wrong())),
            }
            let by_token = entry.takes_access_tokens() && entry.access_token.place != TokenPlace::Itself;
            let readable = entry.audience.as_ref().is_none_or(|check| matches!(check.source, AudienceSource::Request | AudienceSource::Calls));
            if by_token && readable {
                recorded.play(&scene, None);
                let answer = t.convert(&app, name, TOKEN).await;
                match person(&t, name, &example.profile.uid).await {
                    Some(user) if answer.status == 200 => {
                        *by.get_mut("token").unwrap() += 1;
                        forget(&t, &user).await;
                    }
                    _ => wrong.push(format!("{name} by token: {} {:?}", answer.text, recorded.take_wrong())),
                }
            }
            let asks = entry.audience.as_ref().is_some_and(|check| check.source == AudienceSource::Request && check.is_setting.is_none() && check.only_with.is_none());
            if by_token && asks {
                recorded.play(&scene, None);
                recorded.say_audience(&scene, "somebody-else");
                let answer = t.convert(&app, name, TOKEN).await;
                let refused = answer.status == 400 && answer.field("reason") == "foreign_audience";
                if !refused || person(&t, name, &example.profile.uid).await.is_some() {
                    wrong.push(format!("{name}: somebody else's token: {}", answer.text));
                }
            }
            let guest = Guest::new(&t);
            let mut start = url::Url::parse(&t.url(&format!("login/{name}"))).unwrap();
            start.query_pairs_mut().extend_pairs(&beside);
            let there = guest.get(start.as_str()).await.header("location");
            let Ok(there) = url::Url::parse(&there) else {
                wrong.push(format!("{name} by browser: {there:?}"));
                continue;
            };
            let asked: BTreeMap<String, String> = there.query_pairs().into_owned().collect();
            let named = |own: &str| asked.get(entry.authorize.names.get(own).map_or(own, String::as_str)).cloned();
            recorded.play(&scene, named("nonce").as_deref());
            let mut back = url::Url::parse(&named("redirect_uri").unwrap_or_default()).unwrap_or_else(|error| panic!("{name}: {error}: {there}"));
            back.query_pairs_mut().append_pair(entry.authorize.code.as_deref().unwrap_or("code"), CODE).extend_pairs(&beside);
            if let Some(state) = named("state") {
                back.query_pairs_mut().append_pair("state", &state);
            }
            let answer = guest.get(back.as_str()).await;
            match person(&t, name, &example.profile.uid).await {
                Some(user) if answer.status == 303 && guest.cookie("vestibule_session").is_some() => {
                    *by.get_mut("browser").unwrap() += 1;
                    forget(&t, &user).await;
                }
                _ => wrong.push(format!("{name} by browser: {} {:?}", answer.status, recorded.take_wrong())),
            }
        }

        let own = t.password(&t.app(&[GrantType::Password]).await, &t.person("ada").await.username).await.access_token();
        for entry in &connecting {
            let (name, example) = (entry.name.as_str(), &entry.example[0]);
            recorded.play(&Scene::new(entry, example), None);
            assert_eq!(t.convert(&app, name, TOKEN).await.field("reason"), "person_not_allowed", "{name}");
            let form = [("backend", name), ("code", CODE), ("redirect_uri", "https://app.example/cb")];
            let answer = t.post_as("connect-backend", &format!("Bearer {own}"), &form).await;
            assert_eq!((answer.status, person(&t, name, &example.profile.uid).await.unwrap().username), (200, "ada".to_owned()));
        }
        assert!(wrong.is_empty(), "{by:?}\n{}", wrong.join("\n"));
        assert!(by["code"] == entries.len() && by["browser"] == entries.len() && by["token"] > 80, "{by:?}");
    }
}
