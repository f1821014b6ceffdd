//! HTML: templates of our own and of the operator's folder, in the person's language, under a strict policy.
//!
//! A page works without JavaScript, loads nothing but our style sheet, and cannot be framed (RFC 9700 §4.16).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, HtmlEscape, Value as Shown};
use serde_json::{Value, json};
use std::sync::Arc;
use vestibule_protocol::{ErrorCode, OAuthError};

use super::cookie;
use super::respond::Refused;
use super::visitor::Visitor;
use crate::context::Context;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name)))),*]
    };
}

const TEMPLATES: &[(&str, &str)] = embedded!(
    "layout.html",
    "account.html",
    "account_delete.html",
    "address.html",
    "address_change.html",
    "address_confirm.html",
    "app_add.html",
    "application.html",
    "application_delete.html",
    "application_form.html",
    "applications.html",
    "authorized.html",
    "authorized_confirm.html",
    "connect_confirm.html",
    "connections.html",
    "consent.html",
    "data.html",
    "device.html",
    "device_confirm.html",
    "email_ask.html",
    "email_confirm.html",
    "email_sent.html",
    "error.html",
    "factor_remove.html",
    "form_post.html",
    "fragment.html",
    "front_channel_logout.html",
    "mail.html",
    "message.html",
    "password.html",
    "profile.html",
    "reset_ask.html",
    "reset_new.html",
    "passkey_add.html",
    "passkey_name.html",
    "recovery_ask.html",
    "recovery_codes.html",
    "scope.html",
    "second_factor.html",
    "security.html",
    "sessions.html",
    "setback.html",
    "sign_in.html",
    "sign_out.html",
    "console/acts.html",
    "console/cell.html",
    "console/confirm.html",
    "console/dashboard.html",
    "console/field.html",
    "console/form.html",
    "console/layout.html",
    "console/list.html",
    "console/plot.html",
    "console/show.html",
    "console/table.html",
    "sign_out_everywhere.html",
    "sign_up.html",
    "sign_up_confirm.html",
    "sign_up_sent.html",
    "username.html",
);

const TRANSLATIONS: &[(&str, &str)] =
    embedded!("translations/en.toml", "translations/de.toml", "translations/fr.toml", "translations/es.toml");

/// The texts of the console, beside the others of their language.
const CONSOLE_TRANSLATIONS: &[(&str, &str)] = embedded!(
    "translations/console/en.toml",
    "translations/console/de.toml",
    "translations/console/fr.toml",
    "translations/console/es.toml",
);

type Texts = BTreeMap<String, String>;

/// The built-in texts by language.
static TEXTS: LazyLock<BTreeMap<String, Texts>> = LazyLock::new(|| {
    let language = |name: &str| name.rsplit('/').next().unwrap_or_default().trim_end_matches(".toml").to_owned();
    let mut texts: BTreeMap<String, Texts> = BTreeMap::new();
    for (name, text) in TRANSLATIONS.iter().chain(CONSOLE_TRANSLATIONS) {
        texts.entry(language(name)).or_default().extend(toml::from_str::<Texts>(text).unwrap_or_default());
    }
    texts
});

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(None));

/// A page to be shown.
pub(super) struct Page {
    /// Its template.
    pub template: &'static str,
    /// What the template is given.
    pub context: Value,
    /// 200 where nothing else is said.
    pub status: StatusCode,
    /// Where its forms may lead, beside this server: browsers follow a form's redirects only there.
    pub form_targets: Vec<String>,
    /// What it may frame.
    pub frames: Vec<String>,
    /// The languages that a client asked for, the best first; they go before the browser's.
    pub ui_locales: String,
    /// The script that makes it handier, an asset's name; without scripts it does all the same.
    pub script: Option<&'static str>,
}

impl Page {
    /// A page with this template and context.
    pub fn new(template: &'static str, context: Value) -> Self {
        Self {
            template,
            context,
            status: StatusCode::OK,
            form_targets: Vec::new(),
            frames: Vec::new(),
            ui_locales: String::new(),
            script: None,
        }
    }

    /// A page that says one thing.
    pub fn message(heading: &str, sentence: &str) -> Self {
        Self::new("message.html", json!({ "heading": heading, "sentence": sentence }))
    }

    /// Shows the page to this visitor.
    pub fn show(self, cx: &Context, visitor: &Visitor) -> Response {
        let folder = cx.settings.pages.folder.as_deref();
        let language = language(cx, folder, &[self.ui_locales.as_str(), visitor.languages.as_str()]);
        let fresh;
        let form_cookie = match &visitor.form_cookie {
            Some(cookie) => cookie,
            None => {
                fresh = cookie::new_form_value();
                &fresh
            }
        };
        let nonce = cookie::new_form_value();
        let mut context = self.context;
        let mount = cx.settings.mount.trim_end_matches('/');
        for (name, value) in [
            ("lang", language.as_str()),
            ("site_name", cx.settings.pages.site_name.as_str()),
            ("style_url", &format!("{mount}/style.css")),
            ("form_token", &cookie::form_token(cx, form_cookie, visitor.session_cookie.as_deref())),
            ("nonce", &nonce),
        ] {
            context[name] = value.into();
        }
        context["script_url"] = self.script.map(|name| format!("{mount}/{name}")).into();
        let text = match render(folder, self.template, &context) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(template = self.template, error = ?error, "a page could not be made");
                return (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made; the log tells why.")
                    .into_response();
            }
        };
        let script = match (self.template, self.script) {
            ("form_post.html" | "fragment.html", _) => format!("; script-src 'nonce-{nonce}'"),
            (_, Some(_)) => "; script-src 'self'; connect-src 'self'".to_owned(),
            _ => String::new(),
        };
        let frames = match self.frames.is_empty() {
            true => String::new(),
            false => format!(
                "; frame-src {}",
                self.frames.iter().filter_map(|uri| origin(uri)).collect::<Vec<_>>().join(" ")
            ),
        };
        let targets: Vec<String> = self.form_targets.iter().filter_map(|uri| scheme(uri)).collect();
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}{script}{frames}",
            targets.join(" ")
        );
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Other sites learn nothing. Under `no-referrer` our own forms would come with `Origin: null`, and be refused.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(policy) = HeaderValue::from_str(policy.trim_end()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if visitor.form_cookie.is_none()
            && let Some(set) = cookie::form(cx, form_cookie)
        {
            headers.append(SET_COOKIE, set);
        }
        response
    }
}

/// A refusal as a page.
pub(super) fn refuse(cx: &Context, visitor: &Visitor, error: OAuthError) -> Response {
    let heading = match error.status() {
        403 => "forbidden_heading",
        429 => "too_many_heading",
        _ => "error_heading",
    };
    // An API's 401 is no page: whoever sees this has no header to send.
    let status = StatusCode::from_u16(if error.code == ErrorCode::InvalidClient { 400 } else { error.status() });
    let context = json!({ "heading": heading, "sentence": error.description, "code": error.code.as_str() });
    let status = status.unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Page { status, ..Page::new("error.html", context) }.show(cx, visitor);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.extensions_mut().insert(Refused(Arc::new(error)));
    response
}

/// Where forms lead that go on to a provider: some are known only once they are asked, and each may send the browser on.
pub(super) fn providers(cx: &Context) -> Vec<String> {
    let mut targets = vec!["https://provider.invalid".to_owned()];
    // In development a provider may be reached without TLS.
    if !cx.settings.is_https() || cx.settings.outbound.allow_private_addresses {
        targets.push("http://provider.invalid".to_owned());
    }
    targets
}

/// The origin, as a policy names it.
fn origin(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok()?;
    url.origin().is_tuple().then(|| url.origin().ascii_serialization())
}

/// The scheme, as a policy names it. Chromium holds every redirect that follows a form to the policy, also those of an
/// application that sends the browser on to another origin of its own: no list of origins would be long enough.
fn scheme(uri: &str) -> Option<String> {
    Some(format!("{}:", url::Url::parse(uri).ok()?.scheme()))
}

pub(super) fn render(folder: Option<&str>, template: &str, context: &Value) -> Result<String, minijinja::Error> {
    match folder {
        None => ENVIRONMENT.get_template(template)?.render(Serde(context)),
        // Read at each page: whoever writes a template sees it at once.
        Some(folder) => environment(Some(folder)).get_template(template)?.render(Serde(context)),
    }
}

fn environment(folder: Option<&str>) -> Environment<'static> {
    let mut environment = Environment::new();
    let own = folder.map(str::to_owned);
    environment.set_loader(move |name| {
        let theirs = own.as_deref().and_then(|folder| read(folder, name));
        let built_in = || TEMPLATES.iter().find(|(own, _)| *own == name).map(|(_, text)| (*text).to_owned());
        Ok(theirs.or_else(built_in))
    });
    let folder = folder.map(str::to_owned);
    environment.add_function("t", move |state: &minijinja::State<'_, '_>, key: String, values: Kwargs| {
        let language = state.lookup("lang").map(|language| language.to_string()).unwrap_or_default();
        let mut text = translate(folder.as_deref(), &language, &key);
        for name in values.args() {
            let value: Shown = values.get(name)?;
            text = text.replace(&format!("{{{name}}}"), &HtmlEscape(&value.to_string()).to_string());
        }
        Ok(Shown::from_safe_string(text))
    });
    environment
}

/// A file of the operator's folder; a name never leads out of it.
pub(super) fn read(folder: &str, name: &str) -> Option<String> {
    let is_plain = !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'));
    let path = Path::new(folder).join(name);
    is_plain.then(|| std::fs::read_to_string(path).ok()).flatten()
}

/// A text in this language: the operator's, ours, ours in English, or its key.
fn translate(folder: Option<&str>, language: &str, key: &str) -> String {
    let theirs = || {
        let text = read(folder?, &format!("translations/{language}.toml"))?;
        toml::from_str::<Texts>(&text).ok()?.remove(key)
    };
    let built_in = |language: &str| TEXTS.get(language).and_then(|texts| texts.get(key)).cloned();
    theirs().or_else(|| built_in(language)).or_else(|| built_in("en")).unwrap_or_else(|| key.to_owned())
}

/// The language of this visitor's pages.
pub(super) fn language_of(cx: &Context, visitor: &Visitor) -> String {
    language(cx, cx.settings.pages.folder.as_deref(), &[visitor.languages.as_str()])
}

/// A text in this language for what is no page: nothing in it is escaped.
pub(super) fn text(cx: &Context, language: &str, key: &str, values: &[(&str, &str)]) -> String {
    let text = translate(cx.settings.pages.folder.as_deref(), language, key);
    values.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The first of the wished-for languages that there is. `wishes` are lists such as `de-AT fr` or `fr;q=0.5, de`.
fn language(cx: &Context, folder: Option<&str>, wishes: &[&str]) -> String {
    let is_there = |language: &str| {
        TEXTS.contains_key(language)
            || folder.is_some_and(|folder| read(folder, &format!("translations/{language}.toml")).is_some())
    };
    for wish in wishes {
        let mut ranges: Vec<(i32, String)> = wish
            .split([',', ' '])
            .filter(|range| !range.is_empty())
            .filter_map(|range| {
                let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
                let primary = tag.trim().split('-').next()?.to_ascii_lowercase();
                let weight: f32 = weight.parse().unwrap_or(0.0);
                #[expect(clippy::cast_possible_truncation, reason = "a weight lies between 0 and 1")]
                (weight > 0.0 && primary.len() <= 3).then_some(((weight * -1000.0) as i32, primary))
            })
            .collect();
        ranges.sort_by_key(|(weight, _)| *weight);
        if let Some((_, language)) = ranges.into_iter().find(|(_, language)| is_there(language)) {
            return language;
        }
    }
    cx.settings.pages.locale.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{TEMPLATES, TEXTS, origin, render, scheme};

    #[test]
    fn every_language_has_the_same_texts() {
        let english: Vec<_> = TEXTS["en"].keys().collect();
        assert_eq!(TEXTS.len(), 4);
        for (language, texts) in TEXTS.iter() {
            assert_eq!(texts.keys().collect::<Vec<_>>(), english, "{language}");
        }
    }

    #[test]
    fn every_template_can_be_read_and_values_are_escaped() {
        for (name, _) in TEMPLATES {
            // Those of the console are made of parts that are given each their own; its own tests show them.
            if name.starts_with("console/") {
                assert!(super::ENVIRONMENT.get_template(name).is_ok(), "{name}");
                continue;
            }
            render(None, name, &json!({ "application": {}, "scope": {}, "values": { "grant_types": [] } })).unwrap();
        }
        let page =
            render(None, "sign_in.html", &json!({ "application": "<script>", "username": "\"><b>", "lang": "de" }))
                .unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("Anmelden"));
    }

    #[test]
    fn a_policy_names_origins_and_schemes() {
        assert_eq!(origin("https://app.example:8443/cb?x").as_deref(), Some("https://app.example:8443"));
        assert_eq!(scheme("https://app.example:8443/cb?x").as_deref(), Some("https:"));
        assert_eq!(scheme("com.example.app:/cb").as_deref(), Some("com.example.app:"));
        assert_eq!((origin("com.example.app:/cb"), origin("no uri"), scheme("no uri")), (None, None, None));
    }
}
