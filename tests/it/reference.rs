//! Pages that are made from the code, and links that lead somewhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use vestibule::settings::{KEYS, Settings};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The reference page as the code has it. `UPDATE_REFERENCE=1` writes it.
#[test]
fn the_configuration_reference_is_what_the_code_says() {
    let mut page = String::from(
        "# Configuration\n\nGenerated from `src/settings/keys.rs`; a test fails where it is not current, and `UPDATE_REFERENCE=1 cargo nextest run \
         reference` writes it.\n\nEvery key can stand in `vestibule.toml` (or the file that `--config` names), or in the environment as \
         `VESTIBULE_` and the key in upper case, with `__` between levels and `-` written as `_`: `VESTIBULE_TOKENS__REFRESH_GRACE=0s`, \
         `VESTIBULE_PROVIDERS__GOOGLE_OAUTH2__CLIENT_ID=…`. A flag comes before the environment, the environment before the file, and the \
         file before the default. An unknown key stops the start.\n\nDurations are a number and a unit: `250ms`, `90s`, `10m`, `10h`, `30d`. \
         `*` stands for a name of yours. What a provider needs beside these keys (a tenant, an API version) and every key of its catalog \
         entry stand in `providers.*` too: see [the catalog](../../catalog/README.md).\n\n| key | default | what it does |\n| --- | --- | --- |\n",
    );
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        writeln!(page, "| `{}` | {default} | {} |", key.name, key.sentence).unwrap();
    }
    let path = root().join("docs/reference/configuration.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }

    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/reference/configuration.md is not current"
    );
}

/// Every key of the table is one that the settings take, with the default that the table tells.
#[test]
fn every_default_in_the_reference_is_the_default() {
    let written: String = KEYS
        .iter()
        .filter(|key| !key.name.contains('*') && !key.default.is_empty() && key.name != "public_url")
        .map(|key| format!("{} = {}\n", key.name, key.default))
        .collect();

    let settings: Settings = toml::from_str(&written).unwrap();

    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

/// The acts that the code notes, and those that the page tells of.
#[test]
fn the_audit_logs_page_has_every_act_that_there_is() {
    let is_act = |word: &&str| {
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        word.split_once('.').is_some_and(|(area, verb)| plain(area) && plain(verb))
    };
    let mut noted = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/admin")).unwrap() {
        let path = entry.unwrap().path();
        // There are the words of permissions, which look the same.
        if path.is_dir() || path.file_name().is_some_and(|name| name == "actor.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        noted.extend(code.split('"').skip(1).step_by(2).filter(is_act).map(str::to_owned));
    }
    let page = std::fs::read_to_string(root().join("docs/reference/audit.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: std::collections::BTreeSet<_> = rows.map(str::to_owned).collect();

    assert!(noted.len() > 8);
    assert_eq!(told, noted);
}

fn pages(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_conformance_table_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let mut named = 0;
    for (file, test) in page.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::")) {
        let source = root().join(format!("tests/it/{file}.rs"));
        let source = std::fs::read_to_string(&source).unwrap_or_else(|_| panic!("there is no {}", source.display()));
        assert!(source.contains(&format!("async fn {test}(")), "{file}::{test} is not a test");
        named += 1;
    }
    assert!(named > 100);
}

#[test]
fn every_link_to_a_file_of_ours_leads_somewhere() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    assert!(found.len() > 5);
    for page in found {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            assert!(page.parent().unwrap().join(file).exists(), "{}: {link} leads nowhere", page.display());
        }
    }
}
