//! A provider that the catalog does not have, as the guide tells it, and files of the operator's own.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use vestibule::Vestibule;
use vestibule::protocol::GrantType;
use vestibule::protocol::provider::{Example, ExampleProfile};
use vestibule::settings::{ProviderSettings, Settings};
use vestibule::store::association;
use vestibule::upstream;

use crate::harness::guest::Guest;
use crate::harness::recorded::{CODE, Recorded, Scene};
use crate::harness::{KEY, Setup, on_both_databases};

/// The guide's block of TOML behind its mark, without the fences.
fn block(mark: &str) -> String {
    let guide =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/own-provider.md")).unwrap();
    let (_, rest) = guide.split_once(&format!("<!-- {mark} -->\n```toml\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[derive(serde::Deserialize)]
struct Written {
    providers: BTreeMap<String, ProviderSettings>,
}

on_both_databases! {
    async fn the_guides_provider_signs_people_in(setup: Setup) {
        let text = block("an-own-provider");
        assert!(text.lines().count() < 10, "{text}");
        let written: Written = toml::from_str(&text).unwrap();
        let recorded = Recorded::start().await;
        let mut setup = setup;
        setup.settings.providers.extend(written.providers);
        for host in ["id.acme.example", "api.acme.example"] {
            setup.settings.outbound.origin_map.insert(format!("https://{host}"), format!("{}/{host}", recorded.base));
        }
        let lines = upstream::lines(&setup.settings).unwrap();
        let entry = &lines.iter().find(|line| line.name == "acme").unwrap().entry;
        let example = Example {
            answer: json!({"id": 7, "login": "ada", "mail": "ada@example.com"}).to_string(),
            answers: BTreeMap::new(),
            settings: toml::Table::new(),
            profile: ExampleProfile { uid: "7".into(), ..ExampleProfile::default() },
        };
        let scene = Scene::new(entry, &example);
        let t = setup.start().await;
        let app = t.app(&[GrantType::ConvertToken]).await;
        let form = [("grant_type", "convert_token"), ("backend", "acme"), ("code", CODE), ("redirect_uri", "https://app.example/cb")];

        recorded.play(&scene, None);
        let answer = t.call("convert-token", &app, &form).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        let ada = t.find_person("ada").await.unwrap();
        assert_eq!((ada.email.as_str(), ada.email_verified), ("ada@example.com", false));
        // The code is spent, and an access token says nothing about for whom it is.
        assert_eq!(t.call("convert-token", &app, &form).await.field("reason"), "code_rejected");
        assert_eq!(t.convert(&app, "acme", "anything").await.field("reason"), "unproven_audience");
        let guest = Guest::new(&t);
        let there = url::Url::parse(&guest.get("login/acme").await.header("location")).unwrap();
        let asked: BTreeMap<String, String> = there.query_pairs().into_owned().collect();
        assert_eq!((there.host_str(), asked["client_id"].as_str()), (Some("id.acme.example"), "our-client"));
        recorded.play(&scene, None);
        let back = guest.get(&format!("complete/acme/?code={CODE}&state={}", asked["state"])).await;
        assert_eq!(back.status, 303, "{back:?}");
        assert!(guest.cookie("vestibule_session").is_some());
        let found = association::find(&t.vestibule.context().db, "acme", "7").await.unwrap().unwrap();
        assert_eq!(found.1.id, ada.id);
    }
}

/// What a start with these files in the folder says.
async fn start(files: &[(&str, &str)]) -> Result<Vestibule, String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let mut settings = Settings {
        database_url: format!("sqlite://{}", directory.path().join("test.db").display()),
        provider_folder: Some(directory.path().display().to_string()),
        ..Settings::default()
    };
    let github = crate::harness::enabled("github-id", "github-secret");
    settings.providers.insert("github".into(), github);
    Vestibule::open(settings, &[KEY]).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_lies_over_the_catalogs_entry_key_by_key() {
    let vestibule = start(&[
        ("github.toml", "title = 'Ours'\n[endpoints]\nuserinfo = 'https://github.corp.example/api/v3/user'\n"),
        ("README.md", "no entry"),
    ])
    .await
    .unwrap();

    let provider = vestibule.context().upstream.provider("github").unwrap();

    assert_eq!(provider.title(), "Ours");
    let endpoints = &provider.entry.endpoints;
    assert_eq!(endpoints.userinfo.as_ref().unwrap().source(), "https://github.corp.example/api/v3/user");
    assert_eq!(endpoints.token.as_ref().unwrap().source(), "https://github.com/login/oauth/access_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_is_refused_with_file_line_and_key() {
    let whole = "name = 'acme'\ntitle = 'Acme'\nprotocol = 'oauth2'\n";
    for (name, text, line, key) in [
        ("github.toml", "title = 'Ours'\n[endpoints]\nuserinfos = 'https://x.example'", 3, "endpoints.userinfos"),
        ("github.toml", "\n\n[claims]\nuid = 'a['", 4, "claims.uid"),
        ("github.toml", "[endpoints]\nuserinfo = 'ftp://x.example'", 2, "endpoints.userinfo"),
        ("acme.toml", whole, 1, "claims"),
        ("acme.toml", &format!("{whole}[claims]\nuid = 7"), 5, "uid"),
        ("acme.toml", "title = 'Acme'\n", 1, "protocol"),
        ("acme.toml", &format!("{whole}claims = {{ uid = 'id' }}\nquirk = 'no-such'"), 5, "quirk"),
        ("acme.toml", "title = [", 1, ""),
    ] {
        let error = start(&[(name, text)]).await.err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.contains(&format!("{name}: line {line}: ")) && error.contains(key), "{text:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_was_shut_down_is_refused_with_that_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        database_url: format!("sqlite://{}", directory.path().join("test.db").display()),
        ..Settings::default()
    };
    settings.providers.insert("instagram".into(), crate::harness::enabled("x", "y"));

    let error = Vestibule::open(settings, &[KEY]).await.err().unwrap().to_string();

    assert!(error.contains("providers.instagram") && error.contains("shut down"), "{error}");
    let lines = upstream::lines(&Settings::default()).unwrap();
    let line = lines.iter().find(|line| line.name == "instagram").unwrap();
    assert!(line.is_shut_down() && !line.enabled && line.entry.note.is_some());
}
