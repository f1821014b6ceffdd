//! A page for every provider, made from the catalog: `UPDATE_REFERENCE=1 cargo nextest run provider_pages` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use vestibule::protocol::provider::{Entry, Protocol, SettingKind, Status, TokenPlace};
use vestibule::settings::Settings;
use vestibule::upstream::{self, CatalogLine};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/providers")
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Oauth2 => "OAuth 2.0",
        Protocol::Oidc => "OpenID Connect",
        Protocol::Oauth1 => "OAuth 1.0a",
        Protocol::Openid2 => "OpenID 2.0",
        Protocol::Saml => "SAML 2.0",
        Protocol::Cas => "CAS",
        Protocol::Signed => "a signed answer of its own",
        Protocol::Form => "a form of this server's own",
    }
}

/// What a client of the API can send, in the order in which it is best.
fn tokens(entry: &Entry, line: &CatalogLine) -> Vec<(&'static str, &'static str)> {
    let mut ways = Vec::new();
    let proven = entry.audience.is_some();
    if entry.takes_access_tokens() && proven {
        ways.push(("an access token", "token=ACCESS_TOKEN"));
    }
    if entry.takes_id_tokens() {
        ways.push(("an ID token", "token=ID_TOKEN"));
    }
    if entry.protocol.has_codes()
        && line.entry.endpoints.authorize.as_ref().or(entry.endpoints.token.as_ref()).is_some()
        || entry.protocol == Protocol::Oidc
    {
        ways.push(("an authorization code", "code=CODE&redirect_uri=REDIRECT_URI"));
    }
    if entry.takes_access_tokens() && !proven {
        ways.push(("an access token, with `accept_unverified_audience = true` only", "token=ACCESS_TOKEN"));
    }
    if entry.protocol == Protocol::Oauth1 && !entry.claims.uid.source().contains("token_answer") {
        ways.push(("a token and its secret", "token=oauth_token%3DTOKEN%26oauth_token_secret%3DSECRET"));
    }
    ways
}

fn configuration(line: &CatalogLine) -> String {
    let entry = &line.entry;
    let mut text = format!("[providers.{}]\n", line.name);
    for need in &line.needs {
        let value = match entry.settings.get(need).map(|rule| rule.kind) {
            Some(SettingKind::List) => "[\"…\"]",
            Some(SettingKind::Flag) => "true",
            Some(SettingKind::Url) => "\"https://…\"",
            Some(SettingKind::Table) => "{ … }",
            _ if need == "issuer" => "\"https://…\"",
            _ => "\"…\"",
        };
        let _ = writeln!(text, "{need} = {value}");
    }
    if line.needs.is_empty() {
        text.push_str("enabled = true\n");
    }
    text
}

fn page(line: &CatalogLine) -> String {
    let entry = &line.entry;
    let name = &line.name;
    let mut page = format!("# {}\n\n", entry.title);
    let _ = writeln!(page, "Backend name `{name}`, by {}.\n", protocol(entry.protocol));
    match entry.status {
        Status::Live => {}
        Status::Legacy => page.push_str("**Legacy.** "),
        Status::ShutDown => page.push_str("**Shut down**, and cannot be enabled. "),
    }
    if let Some(note) = &entry.note {
        let _ = writeln!(page, "{note}\n");
    }
    if entry.connect_only {
        page.push_str("It only connects accounts to people who are signed in: nobody signs in with it.\n\n");
    }
    if entry.status == Status::ShutDown {
        return page;
    }
    page.push_str("## Set it up\n\n");
    let mut step = 1;
    let mut say = |page: &mut String, sentence: String| {
        let _ = writeln!(page, "{step}. {sentence}");
        step += 1;
    };
    if entry.protocol.needs_client_id() || line.needs.iter().any(|need| need == "client_id") {
        let place = entry.register.as_ref().map(|url| format!(" at <{url}>")).unwrap_or_default();
        say(&mut page, format!("Register an application{place}."));
        say(&mut page, format!("As its redirect URI enter `https://YOUR-SERVER/auth/complete/{name}/`."));
    } else if entry.protocol != Protocol::Form {
        say(&mut page, format!("People come back to `https://YOUR-SERVER/auth/complete/{name}/`."));
    }
    say(&mut page, "Write into `vestibule.toml`:".to_owned());
    let _ = writeln!(
        page,
        "\n   ```toml\n{}   ```\n",
        configuration(line).lines().fold(String::new(), |text, line| text + "   " + line + "\n")
    );
    if !entry.settings.is_empty() {
        page.push_str("| setting | kind | default | what it is |\n| --- | --- | --- | --- |\n");
        for (setting, rule) in &entry.settings {
            let default = rule.default.as_ref().map(|value| format!("`{value}`"));
            let default = default.unwrap_or_else(|| if rule.optional { "none" } else { "must be set" }.to_owned());
            let what = rule.description.as_deref().unwrap_or_default();
            let _ = writeln!(page, "| `{setting}` | {} | {default} | {what} |", rule.kind.as_str());
        }
        page.push('\n');
    }
    if entry.protocol != Protocol::Form {
        let _ = writeln!(
            page,
            "`vestibule provider test {name}` tells whether it works, as far as that can be told without a person.\n"
        );
    }
    let _ = writeln!(
        page,
        "## Sign in with it in a browser\n\nLead the browser to `https://YOUR-SERVER/auth/login/{name}/`.\n"
    );
    let ways = tokens(entry, line);
    page.push_str("## Convert its tokens\n\n");
    if ways.is_empty() {
        page.push_str("It gives an app nothing to convert: people sign in with it in a browser.\n");
    }
    for (what, form) in &ways {
        let _ = writeln!(
            page,
            "With {what}:\n\n```console\n$ curl -d 'client_id=CLIENT_ID&client_secret=CLIENT_SECRET&grant_type=convert_token&backend={name}&{form}' https://YOUR-SERVER/auth/convert-token\n```\n"
        );
    }
    let headers = entry.takes_access_tokens() && entry.audience.is_some() || entry.takes_id_tokens();
    if headers {
        let _ = writeln!(page, "Or send one straight to the API: `Authorization: Bearer {name} TOKEN`.\n");
    }
    if entry.protocol.has_codes() {
        let check = match line.audience_check {
            "none" => "It does not tell to which application it issued an access token, so one could come from anybody's. Take codes.".to_owned(),
            "ID token only" => "An ID token names your client id, and is refused if it names another. An access token does not.".to_owned(),
            "inherent" => "Its API answers only to the application that the token was issued to.".to_owned(),
            tokens => format!("A token that was issued to another application is refused ({tokens})."),
        };
        let _ = writeln!(page, "{check}\n");
    }
    page.push_str("## Who it is\n\n");
    let says = |page: &mut String, what: &str, path: Option<&str>| {
        if let Some(path) = path {
            let _ = writeln!(page, "| {what} | `{}` |", path.replace('|', "\\|"));
        }
    };
    page.push_str("| of a person | in its answer |\n| --- | --- |\n");
    let claims = &entry.claims;
    let source =
        |path: &Option<vestibule::protocol::provider::Expression>| path.as_ref().map(|path| path.source().to_owned());
    says(&mut page, "identifier", Some(claims.uid.source()));
    for (what, path) in [
        ("username", &claims.username),
        ("e-mail", &claims.email),
        ("e-mail is verified", &claims.email_verified),
        ("full name", &claims.fullname),
        ("first name", &claims.first_name),
        ("last name", &claims.last_name),
        ("groups", &claims.groups),
        ("entitlements", &claims.entitlements),
    ] {
        says(&mut page, what, source(path).as_deref());
    }
    if !entry.scope.default.is_empty() {
        let _ = writeln!(page, "\nAsked for at every sign-in: `{}`.", entry.scope.default.join(" "));
    }
    if entry.access_token.place == TokenPlace::Nowhere {
        page.push_str("\nIts access tokens say nothing about the person.\n");
    }
    let _ = writeln!(
        page,
        "\nEvery key of its entry: [catalog/{name}.toml](../../catalog/{name}.toml); what a key means: [the catalog](../../catalog/README.md)."
    );
    page
}

fn index(lines: &[CatalogLine]) -> String {
    let mut page = String::from(
        "# Providers\n\nGenerated from the catalog; `UPDATE_REFERENCE=1 cargo nextest run provider_pages` writes it. How to add one of your own: \
         [your own provider](../guide/own-provider.md).\n\n",
    );
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(protocol(line.entry.protocol)).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} by {name}")).collect();
    let _ = writeln!(page, "{} providers: {}.\n", lines.len(), counts.join(", "));
    page.push_str("| provider | backend | protocol | status | audience check |\n| --- | --- | --- | --- | --- |\n");
    for line in lines {
        let (name, entry) = (&line.name, &line.entry);
        let _ = writeln!(
            page,
            "| [{}]({name}.md) | `{name}` | {} | {} | {} |",
            entry.title,
            protocol(entry.protocol),
            entry.status.as_str(),
            line.audience_check
        );
    }
    page
}

#[test]
fn every_provider_has_its_page_and_no_page_is_of_none() {
    let lines = upstream::lines(&Settings::default()).unwrap();
    let mut pages: BTreeMap<String, String> =
        lines.iter().map(|line| (format!("{}.md", line.name), page(line))).collect();
    pages.insert("README.md".to_owned(), index(&lines));
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &pages {
            std::fs::write(folder().join(name), text).unwrap();
        }
    }

    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.collect();
    names.sort();
    assert!(names.iter().eq(pages.keys()), "a page too many or too few");
    for (name, text) in &pages {
        let written = std::fs::read_to_string(folder().join(name)).unwrap();
        assert!(written == *text, "docs/providers/{name} is not current");
    }
}
