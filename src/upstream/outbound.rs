//! Every call that leaves the machine: guarded, bounded in time, size and number, and without a redirect.
//!
//! A URL of a provider may come from a discovery document, so it is not trusted: names are resolved by [`guard`], which
//! hands out public addresses only, and the connection goes to the address that was checked. An origin that the operator
//! mapped in `outbound.origin_map` is the operator's own choice and is not guarded.
//!
//! Not here: what an answer means (`by_access_token`, `by_code`, `keys`).

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Url, header};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::guard::{self, Blocked, PublicOnly};
use crate::protocol::provider::{self, Expression};
use crate::settings::OutboundSettings;

/// The client, and where its calls may go.
pub(super) struct Outbound {
    guarded: Client,
    /// For what the operator mapped.
    open: Client,
    allow_private: bool,
    origin_map: Vec<(String, Url)>,
    timeout: Duration,
    max_answer_bytes: usize,
}

/// One request.
pub(super) struct Call {
    pub method: Method,
    pub url: String,
    /// Name and value; checked for characters that end a header.
    pub headers: Vec<(String, String)>,
    /// Client id and secret for `Authorization: Basic`, form-encoded as RFC 6749 §2.3.1 says.
    pub basic: Option<(String, String)>,
    pub body: Body,
    /// What must not come up in the log, should the answer repeat it.
    pub secrets: Vec<String>,
}

pub(super) enum Body {
    None,
    Form(Vec<(String, String)>),
    Json(Value),
    /// These very bytes, of this media type.
    Text(&'static str, String),
}

impl Body {
    /// An object of texts.
    pub(super) fn json(members: Vec<(String, String)>) -> Self {
        Self::Json(members.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
    }
}

/// An answer that arrived whole.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether the provider says, by status or header, that we ask too often.
    pub exhausted: bool,
    headers: header::HeaderMap,
    host: String,
    secrets: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Not within `outbound.timeout`.
    #[error("{0}: no whole answer in time")]
    TimedOut(String),
    /// Longer than `outbound.max_answer_bytes`.
    #[error("{0}: the answer is too large")]
    TooLarge(String),
    /// The name has no public address, or the URL is none that we call.
    #[error("{0}: not called: {1}")]
    Blocked(String, String),
    /// No connection, no TLS, or the connection broke.
    #[error("{0}: {1}")]
    Unreachable(String, String),
}

impl Call {
    pub fn get(url: String) -> Self {
        Self { method: Method::GET, url, headers: Vec::new(), basic: None, body: Body::None, secrets: Vec::new() }
    }
}

impl Outbound {
    /// Builds the client once.
    ///
    /// # Errors
    /// One line that names the key of a bad origin.
    pub fn new(settings: &OutboundSettings) -> Result<Self, String> {
        // An embedder's tree may hold a second provider, and then rustls refuses to choose. Whoever chose before us stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let origin_map = settings
            .origin_map
            .iter()
            .map(|(from, to)| {
                let bad =
                    |what: &str| format!("outbound.origin_map.\"{from}\": `{what}` is not an http or https origin");
                let parse = |text: &str| http_url(text).ok_or_else(|| bad(text));
                let origin = parse(from)?;
                if origin.path() != "/" || origin.query().is_some() {
                    return Err(bad(from));
                }
                Ok((origin.origin().ascii_serialization(), parse(to)?))
            })
            .collect::<Result<_, String>>()?;
        let allow_private = settings.allow_private_addresses;
        Ok(Self {
            guarded: client(|builder| builder.dns_resolver(Arc::new(PublicOnly)))?,
            open: client(|builder| builder)?,
            allow_private,
            origin_map,
            timeout: settings.timeout,
            max_answer_bytes: settings.max_answer_bytes,
        })
    }

    /// Sends a request and reads the whole answer, all within the time-out, the wait for a free place in `lane` included.
    ///
    /// # Errors
    /// [`Failure`]; any status is an answer.
    pub async fn call(&self, lane: &Semaphore, call: Call) -> Result<Answer, Failure> {
        let (url, client) = self.target(&call.url)?;
        self.call_there(lane, call, url, client, self.timeout).await
    }

    /// As [`Outbound::call`], for an address that stands in the configuration: it is the operator's own choice, and not
    /// guarded.
    ///
    /// # Errors
    /// As [`Outbound::call`].
    pub async fn call_operators(&self, lane: &Semaphore, call: Call, timeout: Duration) -> Result<Answer, Failure> {
        let blocked = || Failure::Blocked("a URL of the configuration".into(), "not an http or https URL".into());
        let url = self.mapped(http_url(&call.url).ok_or_else(blocked)?);
        self.call_there(lane, call, url, &self.open, timeout).await
    }

    async fn call_there(
        &self,
        lane: &Semaphore,
        call: Call,
        url: Url,
        client: &Client,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let sent = tokio::time::timeout(timeout, async {
            // The semaphore is never closed.
            let _place = lane.acquire().await;
            self.send(client, url, &host, call).await
        });
        sent.await.unwrap_or(Err(Failure::TimedOut(host.clone())))
    }

    /// Whether this address's origin is one that the operator mapped.
    pub fn is_mapped(&self, url: &str) -> bool {
        http_url(url).is_some_and(|url| {
            let origin = url.origin().ascii_serialization();
            self.origin_map.iter().any(|(from, _)| *from == origin)
        })
    }

    /// Where a call really goes, and by which client.
    fn target(&self, url: &str) -> Result<(Url, &Client), Failure> {
        let blocked = |host: &str, why: &str| Failure::Blocked(host.to_owned(), why.to_owned());
        let target = http_url(url).ok_or_else(|| blocked("a provider's URL", "not an http or https URL"))?;
        let target = self.mapped(target);
        let chosen_by_operator = self.origin_map.iter().any(|(_, to)| to.origin() == target.origin());
        if self.allow_private || chosen_by_operator {
            return Ok((target, &self.open));
        }
        // A literal address is not resolved, so the resolver does not see it.
        let literal = match target.host() {
            Some(url::Host::Ipv4(ip)) => Some(ip.into()),
            Some(url::Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if literal.is_some_and(|ip| !guard::is_public(ip)) {
            return Err(blocked(target.host_str().unwrap_or_default(), "not a public address"));
        }
        Ok((target, &self.guarded))
    }

    /// Where the operator's map leads.
    fn mapped(&self, target: Url) -> Url {
        let origin = target.origin().ascii_serialization();
        match self.origin_map.iter().find(|(from, _)| *from == origin) {
            None => target,
            Some((_, base)) => {
                let mut mapped = base.clone();
                mapped.set_path(&format!("{}{}", base.path().trim_end_matches('/'), target.path()));
                mapped.set_query(target.query());
                mapped
            }
        }
    }

    async fn send(&self, client: &Client, url: Url, host: &str, call: Call) -> Result<Answer, Failure> {
        let Call { method, headers, basic, body, secrets, .. } = call;
        let mut request = client.request(method, url);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header(header::ACCEPT, "application/json");
        }
        if let Some((id, secret)) = basic {
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encode(&id), Some(encode(&secret)));
        }
        request = match body {
            Body::None => request,
            Body::Form(fields) => request.form(&fields),
            Body::Json(json) => request.json(&json),
            Body::Text(media_type, text) => request.header(header::CONTENT_TYPE, media_type).body(text),
        };
        let failed = |error: reqwest::Error| failure(host, error);
        let mut response = request.send().await.map_err(failed)?;
        let too_large = || Failure::TooLarge(host.to_owned());
        if response.content_length().is_some_and(|length| length > self.max_answer_bytes as u64) {
            return Err(too_large());
        }
        let spent = response.headers().get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let told_to_wait = spent || response.headers().contains_key(header::RETRY_AFTER);
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let exhausted = status == 429 || status == 403 && told_to_wait;
        Ok(Answer { status, body, exhausted, headers, host: host.to_owned(), secrets })
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// JSON, also wrapped in a call: `callback( {…} );`.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().or_else(|| {
            let text = std::str::from_utf8(&self.body).ok()?.trim();
            let (function, rest) = text.split_once('(')?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ' ');
            let inner = rest.trim_end_matches(';').trim_end().strip_suffix(')')?;
            function.chars().all(is_name).then(|| serde_json::from_str(inner).ok())?
        })
    }

    /// A JSON object.
    pub fn object(&self) -> Option<Map<String, Value>> {
        match self.json()? {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// `a=b&c=d`, by a text that looks like it.
    pub fn form(&self) -> Option<Map<String, Value>> {
        let text = std::str::from_utf8(&self.body).ok()?.trim();
        let plain = text.contains('=') && !text.contains(['<', '{', ' ', '\n']);
        let pairs = || url::form_urlencoded::parse(text.as_bytes()).into_owned();
        plain.then(|| pairs().map(|(name, value)| (name, Value::String(value))).collect())
    }

    /// XML, as JSON.
    pub fn xml(&self) -> Option<Value> {
        crate::protocol::provider::xml::to_value(std::str::from_utf8(&self.body).ok()?)
    }

    /// Who answered.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether an expression of the entry's says that this answer means something.
    pub fn meaning(&self) -> impl Fn(&Option<Expression>) -> bool {
        let read = self.object().map(|members| provider::Answer::new(members, []));
        move |rule| read.as_ref().is_some_and(|read| rule.as_ref().is_some_and(|rule| rule.is_true(read)))
    }

    /// Host, status and the beginning of the body for the log, without anything that could be a token.
    pub fn excerpt(&self) -> String {
        let mut text = String::from_utf8_lossy(self.body.get(..4096).unwrap_or(&self.body)).into_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret.as_str(), "…");
        }
        format!("{} answered {}: {}", self.host, self.status, shorten(&without_tokens(&text)))
    }
}

/// Replaces every run of 24 and more characters that tokens are made of: also tokens that we never saw before.
fn without_tokens(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '%' | '|');
    let mut clean = String::new();
    let mut run = String::new();
    for c in text.chars().chain(Some('\n')) {
        if of_token(c) {
            run.push(c);
            continue;
        }
        clean.push_str(if run.len() < 24 { &run } else { "…" });
        run.clear();
        clean.push(if c.is_control() { ' ' } else { c });
    }
    clean
}

fn shorten(text: &str) -> &str {
    let text = text.trim();
    let end = (0..=200.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn client(options: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Result<Client, String> {
    let builder = || {
        let common = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        options(common)
    };
    builder().build().or_else(|error| {
        // A machine without ca-certificates still serves its own tokens, and providers on plain http.
        tracing::warn!(error = ?error, "no certificate authorities on this machine: calls to https will fail");
        builder().tls_certs_only([]).build().map_err(|error| format!("the outbound client cannot be built: {error}"))
    })
}

fn http_url(text: &str) -> Option<Url> {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    };
    Url::parse(text).ok().filter(plain)
}

/// reqwest's error without its URL, which has tokens in it, but with every cause: the last one says what it was.
fn failure(host: &str, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<Blocked>().is_some() {
            return Failure::Blocked(host.to_owned(), cause.to_string());
        }
        let tls = tls_error(cause);
        if let Some(words) = tls.and_then(certificate_in_words) {
            return Failure::Unreachable(host.to_owned(), format!("{words} ({causes}: {cause})"));
        }
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    if error.is_timeout() { Failure::TimedOut(host.to_owned()) } else { Failure::Unreachable(host.to_owned(), causes) }
}

/// The TLS error in this one. An io::Error's source is its inner error's source, so the inner one itself must be asked for;
/// and some wrap one io::Error into another.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut error = error;
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// What is wrong with a certificate, as an operator would say it.
fn certificate_in_words(error: &rustls::Error) -> Option<&'static str> {
    use rustls::CertificateError as Wrong;
    let rustls::Error::InvalidCertificate(wrong) = error else { return None };
    Some(match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => "its certificate has expired",
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "its certificate is not valid yet",
        Wrong::Revoked => "its certificate was revoked",
        Wrong::UnknownIssuer => "its certificate is self-signed, or of an authority that this machine does not trust",
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => "its certificate is another host's",
        _ => "its certificate cannot be trusted",
    })
}

#[cfg(test)]
mod tests {
    use super::{shorten, without_tokens};

    #[test]
    fn the_log_shows_words_and_no_tokens() {
        let body = "{\"error\":\"invalid_token\",\"token\":\"ya29.a0AfH6SMBxxxxxxxxxxxxxxxx\"}\r\nnext";

        assert_eq!(without_tokens(body).trim(), "{\"error\":\"invalid_token\",\"token\":\"…\"}  next");
        assert_eq!(shorten(&"ä".repeat(150)), "ä".repeat(100));
    }
}
