//! Where a setting comes from: flag, environment, file, default, in this order.
//!
//! Everything is laid into one TOML table, key by key, and read at the end. A key that nobody knows stops the start and
//! names the nearest known one; a value that does not fit names its key. No value is ever repeated in a message: it could
//! be a secret.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use vestibule::settings::{KEYS, Origin, Origins, PolicySettings, Settings};
use vestibule::upstream;

/// The prefix of environment variables that are ours.
const PREFIX: &str = "VESTIBULE_";
/// The file that is read where none is named.
const DEFAULT_FILE: &str = "vestibule.toml";

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--database-url`
    pub database_url: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
}

/// The configuration, and what only its sources tell.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Whether anything named a database.
    pub names_database: bool,
    /// Whether anything said how much is logged.
    pub names_log_level: bool,
}

/// Reads the configuration of this process.
///
/// # Errors
/// One line that names the key, and where it stands.
pub fn load(flags: &Flags) -> Result<Loaded, String> {
    let file = match &flags.config {
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let text = match &file {
        Some(path) => Some((
            path.as_path(),
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        )),
        None => None,
    };
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    merge(flags, environment, text)
}

fn merge(
    flags: &Flags,
    environment: impl Iterator<Item = (String, String)>,
    file: Option<(&Path, String)>,
) -> Result<Loaded, String> {
    let mut all = Table::new();
    let mut origins = Origins::default();
    if let Some((path, text)) = file {
        let table: Table = text.parse().map_err(|error: toml::de::Error| syntax_error(path, &text, &error))?;
        check_keys(&mut Vec::new(), &table, &path.display().to_string())?;
        note(&mut origins, &table, &Origin::File(path.display().to_string()));
        all = table;
    }
    for (name, value) in environment.filter(|(name, _)| name.starts_with(PREFIX)) {
        let key = key_of_variable(&name, &all);
        let value = value_of_variable(&key, &value).map_err(|error| format!("{}: {name} {error}", key.join(".")))?;
        let mut table = value;
        for part in key.iter().rev() {
            table = Value::Table(Table::from_iter([(part.clone(), table)]));
        }
        if let Value::Table(table) = table {
            check_keys(&mut Vec::new(), &table, &name)?;
            note(&mut origins, &table, &Origin::Environment(name));
            lay_over(&mut all, table);
        }
    }
    let of_flags = [("database_url", "--database-url", &flags.database_url), ("listen", "--listen", &flags.listen)];
    for (key, flag, value) in of_flags {
        if let Some(value) = value {
            origins.note(vec![key.to_owned()], Origin::Flag(flag.to_owned()));
            all.insert(key.to_owned(), value.clone().into());
        }
    }
    let names_database = all.contains_key("database_url");
    let names_log_level = all.get("log").is_some_and(|log| log.get("level").is_some());
    let settings = Settings { origins, ..read(all)? };
    Ok(Loaded { settings, names_database, names_log_level })
}

/// Notes that every value of the table came from there.
fn note(origins: &mut Origins, table: &Table, origin: &Origin) {
    fn below(origins: &mut Origins, path: &[String], table: &Table, origin: &Origin) {
        for (key, value) in table {
            let path = [path, std::slice::from_ref(key)].concat();
            match value {
                Value::Table(inner) => below(origins, &path, inner, origin),
                _ => origins.note(path, origin.clone()),
            }
        }
    }
    below(origins, &[], table, origin);
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn read(all: Table) -> Result<Settings, String> {
    check_policies(&all)?;
    serde_path_to_error::deserialize(Value::Table(all)).map_err(|error| {
        let key = error.path().to_string();
        let secret = ["client_secret", "encryption_key", "smtp_url", ".secret"].iter().any(|name| key.ends_with(name));
        let sentence = error.inner().message().lines().next().unwrap_or_default().to_owned();
        // serde quotes what it found; of a secret nothing is repeated.
        format!("{key}: {}", if secret { "must be a text".to_owned() } else { sentence })
    })
}

/// What `[social]` and a provider both have is read in one piece, and serde would not tell which key of it is wrong.
fn check_policies(all: &Table) -> Result<(), String> {
    let providers = all.get("providers").and_then(Value::as_table);
    for (name, provider) in providers.into_iter().flatten() {
        for key in PolicySettings::NAMES {
            let Some(value) = provider.get(key) else { continue };
            let only = Value::Table(Table::from_iter([((*key).to_owned(), value.clone())]));
            if let Err(error) = only.try_into::<PolicySettings>() {
                let sentence = error.message().lines().next().unwrap_or_default().to_owned();
                return Err(format!("providers.{name}.{key}: {sentence}"));
            }
        }
    }
    Ok(())
}

/// A TOML error with its place; the line itself may hold a secret and is not shown.
fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}: {}", path.display(), error.message().lines().next().unwrap_or_default())
}

/// Refuses a key that nobody knows.
fn check_keys(path: &mut Vec<String>, table: &Table, place: &str) -> Result<(), String> {
    for (key, value) in table {
        path.push(key.clone());
        match (known(path), value) {
            (Known::Key, _) => {}
            (Known::Table, Value::Table(inner)) => check_keys(path, inner, place)?,
            (Known::Table, _) => {
                return Err(format!("{}: is a table of settings, not a value ({place})", path.join(".")));
            }
            (Known::Not, _) => {
                let nearest = nearest(path).map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
                return Err(format!("{}: unknown key ({place}){nearest}", path.join(".")));
            }
        }
        path.pop();
    }
    Ok(())
}

enum Known {
    Key,
    Table,
    Not,
}

fn known(path: &[String]) -> Known {
    if let [first, name, key, ..] = path
        && first == "providers"
        && upstream::entry_keys(name).contains(key)
    {
        return Known::Key;
    }
    let mut found = Known::Not;
    for pattern in KEYS {
        let parts: Vec<&str> = pattern.name.split('.').collect();
        let fits = path.len() <= parts.len() && path.iter().zip(&parts).all(|(own, part)| *part == "*" || own == part);
        match fits {
            true if path.len() == parts.len() => return Known::Key,
            true => found = Known::Table,
            false => {}
        }
    }
    found
}

/// The known key that is written most like this one.
fn nearest(path: &[String]) -> Option<String> {
    let mut candidates: Vec<String> = KEYS
        .iter()
        .filter(|key| !key.name.ends_with('*'))
        .map(|key| match path {
            [first, name, ..] if first == "providers" => key.name.replacen('*', name, 1),
            _ => key.name.replacen('*', "NAME", 1),
        })
        .collect();
    candidates.extend(
        [
            "tokens",
            "scopes",
            "social",
            "providers",
            "mail",
            "console",
            "hooks",
            "outbound",
            "database",
            "http",
            "log",
            "passwords",
        ]
        .map(str::to_owned),
    );
    if let [first, name, _, ..] = path
        && first == "providers"
    {
        candidates.extend(upstream::entry_keys(name).into_iter().map(|key| format!("providers.{name}.{key}")));
    }
    let own = path.join(".");
    candidates.into_iter().max_by(|a, b| strsim::jaro_winkler(&own, a).total_cmp(&strsim::jaro_winkler(&own, b)))
}

/// `VESTIBULE_PROVIDERS__GOOGLE_OAUTH2__CLIENT_ID` → `providers`, `google-oauth2`, `client_id`.
fn key_of_variable(name: &str, so_far: &Table) -> Vec<String> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let mut key: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
    if let [first, provider, ..] = key.as_mut_slice()
        && first == "providers"
    {
        let written =
            so_far.get("providers").and_then(Value::as_table).into_iter().flatten().map(|(name, _)| name.clone());
        let same = |known: &String| known.to_lowercase().replace('-', "_") == *provider;
        *provider = written.chain(upstream::catalog_names()).find(same).unwrap_or_else(|| provider.replace('_', "-"));
    }
    key
}

/// A variable's text as the value that its key takes.
fn value_of_variable(key: &[String], text: &str) -> Result<Value, String> {
    let is = |name: &str| key.join(".") == name;
    let default = KEYS.iter().find(|known| {
        let parts: Vec<&str> = known.name.split('.').collect();
        parts.len() == key.len() && parts.iter().zip(key).all(|(part, own)| *part == "*" || part == own)
    });
    let toml = || format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    match default.map(|known| known.default) {
        Some("[]") => {
            let written = if text.trim_start().starts_with('[') { toml() } else { None };
            let list = || {
                text.split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .map(|word| Value::from(word.to_owned()))
                    .collect()
            };
            Ok(written.unwrap_or_else(|| Value::Array(list())))
        }
        Some("true" | "false") => toml().filter(Value::is_bool).ok_or_else(|| "takes true or false".to_owned()),
        Some(number) if number.parse::<i64>().is_ok() => {
            toml().filter(Value::is_integer).ok_or_else(|| "takes a whole number".to_owned())
        }
        Some(_) => Ok(text.into()),
        None if is("outbound.origin_map") => {
            toml().filter(Value::is_table).ok_or_else(|| "takes a table: { \"https://a\" = \"https://b\" }".to_owned())
        }
        // A key of a provider's entry: a table, a list or a mark is written as TOML, everything else is a text.
        None if text.trim_start().starts_with(['[', '{']) || matches!(text, "true" | "false") => {
            Ok(toml().unwrap_or_else(|| text.into()))
        }
        None => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Flags, Loaded, merge};

    fn load(flags: &Flags, environment: &[(&str, &str)], file: &str) -> Result<Loaded, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        merge(flags, environment, Some((Path::new("vestibule.toml"), file.to_owned())))
    }

    #[test]
    fn flag_comes_before_environment_before_file_before_default() {
        let file = "listen = '127.0.0.1:1'\nmount = '/file'\npublic_url = 'https://file.example'\n[tokens]\nrefresh_grace = '7s'";
        let environment = [("VESTIBULE_LISTEN", "127.0.0.1:2"), ("VESTIBULE_MOUNT", "/environment"), ("PATH", "/bin")];
        let flags = Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() };

        let settings = load(&flags, &environment, file).unwrap().settings;

        assert_eq!((settings.listen.as_str(), settings.mount.as_str()), ("127.0.0.1:3", "/environment"));
        assert_eq!(settings.public_url(), "https://file.example");
        assert_eq!((settings.tokens.refresh_grace.as_secs(), settings.tokens.access_token_ttl.as_secs()), (7, 36_000));
        let lines = settings.in_force();
        let origin = |name: &str| {
            let line = lines.iter().find(|line| line.name == name).unwrap();
            format!("{} {}", line.origin.as_str(), line.origin.name()).trim().to_owned()
        };
        assert_eq!(origin("listen"), "flag --listen");
        assert_eq!(origin("mount"), "environment VESTIBULE_MOUNT");
        assert_eq!(origin("public_url"), "file vestibule.toml");
        assert_eq!(origin("tokens.refresh_grace"), "file vestibule.toml");
        assert_eq!(origin("tokens.access_token_ttl"), "default");
    }

    #[test]
    fn a_value_of_several_parts_came_from_the_strongest_of_them() {
        let file = "[providers.github]\nclient_id = 'x'\nauth_extra_arguments = { prompt = 'login' }";
        let environment = [
            ("VESTIBULE_PROVIDERS__GITHUB__AUTH_EXTRA_ARGUMENTS__HINT", "x"),
            ("VESTIBULE_PROVIDERS__GITHUB__CLIENT_SECRET", "hush-hush"),
            ("VESTIBULE_OUTBOUND__ORIGIN_MAP", "{ \"https://a.example\" = \"http://127.0.0.1:1\" }"),
        ];

        let lines = load(&Flags::default(), &environment, file).unwrap().settings.in_force();

        let seen: Vec<_> = lines
            .iter()
            .filter(|line| line.name.starts_with("providers.") || line.name.starts_with("outbound.origin_map"))
            .map(|line| format!("{} {:?} {}", line.name, line.text(), line.origin.name()))
            .collect();
        assert_eq!(
            seen,
            [
                "providers.github.client_id Some(\"x\") vestibule.toml",
                "providers.github.client_secret None VESTIBULE_PROVIDERS__GITHUB__CLIENT_SECRET",
                "providers.github.auth_extra_arguments Some(\"{\\\"hint\\\":\\\"x\\\",\\\"prompt\\\":\\\"login\\\"}\") VESTIBULE_PROVIDERS__GITHUB__AUTH_EXTRA_ARGUMENTS__HINT",
                "outbound.origin_map.https://a.example Some(\"http://127.0.0.1:1\") VESTIBULE_OUTBOUND__ORIGIN_MAP",
            ]
        );
    }

    #[test]
    fn the_environment_reaches_every_level_and_type() {
        let environment = [
            ("VESTIBULE_PROVIDERS__GOOGLE_OAUTH2__CLIENT_ID", "123"),
            ("VESTIBULE_PROVIDERS__GOOGLE_OAUTH2__CLIENT_IDS", "ios, android"),
            ("VESTIBULE_PROVIDERS__GITHUB__ALLOWED_DOMAINS", "[\"a.example\"]"),
            ("VESTIBULE_PROVIDERS__GITHUB__ACCEPT_UNVERIFIED_AUDIENCE", "true"),
            ("VESTIBULE_PROVIDERS__MY_COMPANY__PROTOCOL", "oidc"),
            ("VESTIBULE_PROVIDERS__FACEBOOK__API_VERSION", "23.0"),
            ("VESTIBULE_SCOPES__READ", "Reading"),
            ("VESTIBULE_DATABASE__MAX_CONNECTIONS", "5"),
            ("VESTIBULE_TOKENS__REFRESH_GRACE", "0s"),
            ("VESTIBULE_OUTBOUND__ORIGIN_MAP", "{ \"https://a.example\" = \"http://127.0.0.1:1\" }"),
        ];

        let settings = load(&Flags::default(), &environment, "[providers.my-company]\nissuer = 'https://x.example'")
            .unwrap()
            .settings;

        assert_eq!(settings.providers["google-oauth2"].client_id.as_deref(), Some("123"));
        assert_eq!(settings.providers["google-oauth2"].client_ids, ["ios", "android"]);
        assert_eq!(settings.providers["github"].policy.allowed_domains.as_deref(), Some(&["a.example".to_owned()][..]));
        assert!(settings.providers["github"].accept_unverified_audience);
        assert_eq!(settings.providers["my-company"].entry.len(), 2);
        assert_eq!(settings.providers["facebook"].entry["api_version"].as_str(), Some("23.0"));
        assert_eq!(settings.scopes["read"], "Reading");
        assert_eq!(settings.database.max_connections, 5);
        assert_eq!(settings.tokens.refresh_grace.as_secs(), 0);
        assert_eq!(settings.outbound.origin_map["https://a.example"], "http://127.0.0.1:1");
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        let error = |environment: &[(&str, &str)], file: &str| load(&Flags::default(), environment, file).unwrap_err();

        assert_eq!(
            error(&[], "[tokens]\nacces_token_ttl = '1h'"),
            "tokens.acces_token_ttl: unknown key (vestibule.toml); did you mean `tokens.access_token_ttl`?"
        );
        assert_eq!(error(&[], "lisen = 'x'"), "lisen: unknown key (vestibule.toml); did you mean `listen`?");
        assert_eq!(
            error(&[], "[providers.github]\nclient_scret = 'hush'"),
            "providers.github.client_scret: unknown key (vestibule.toml); did you mean `providers.github.client_secret`?"
        );
        assert_eq!(
            error(&[("VESTIBULE_TOKENS__REFRESH_GRAZE", "1s")], ""),
            "tokens.refresh_graze: unknown key (VESTIBULE_TOKENS__REFRESH_GRAZE); did you mean `tokens.refresh_grace`?"
        );
        assert_eq!(
            error(&[], "[social]\nuuid_lenght = 8"),
            "social.uuid_lenght: unknown key (vestibule.toml); did you mean `social.uuid_length`?"
        );
        assert_eq!(
            error(&[], "[providers.github]\nclean_username = false"),
            "providers.github.clean_username: unknown key (vestibule.toml); did you mean `providers.github.clean_usernames`?"
        );
        assert!(error(&[], "tokens = 'x'").starts_with("tokens: is a table"));
    }

    #[test]
    fn a_bad_value_names_its_key_and_repeats_no_secret() {
        let error = |environment: &[(&str, &str)], file: &str| load(&Flags::default(), environment, file).unwrap_err();

        assert!(
            error(&[], "[tokens]\nrefresh_grace = 'soon'")
                .starts_with("tokens.refresh_grace: `soon` is not a duration")
        );
        assert!(
            error(&[("VESTIBULE_DATABASE__MAX_CONNECTIONS", "many")], "")
                .starts_with("database.max_connections: VESTIBULE_DATABASE__MAX_CONNECTIONS takes a whole number")
        );
        assert!(
            error(&[], "[providers.github]\nclient_id = 'x'\nuuid_length = 'many'")
                .starts_with("providers.github.uuid_length: ")
        );
        assert!(error(&[], "[social]\non_taken_email = 'steal'").starts_with("social.on_taken_email: "));
        let secret = error(&[], "[providers.github]\nclient_id = 'x'\nclient_secret = 31415926");
        assert!(secret.starts_with("providers.github") && !secret.contains("31415926"), "{secret}");
        let syntax = error(&[], "listen = 'x'\nclient_secret = hush-hush");
        assert!(syntax.starts_with("vestibule.toml:2:") && !syntax.contains("hush"), "{syntax}");
    }
}
