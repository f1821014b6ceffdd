//! Whether a provider would work, as far as it can be told without a person: client id, secret, endpoints, certificates and
//! clock. Nothing is stored, and no account is needed.
//!
//! A provider tells who we are by what it refuses: to a made-up code it says "no such code" to a client that it knows, and
//! "no such client" to others.

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::outbound::{Answer, Call};
use super::{Departure, Provider, Upstream, keys, quirk};
use crate::protocol::provider::{AudienceSource, Protocol};
use crate::protocol::{OAuthError, Params, Reason};

/// Seconds by which our clock and a provider's may differ.
const CLOCKS_DIFFER: i64 = 60;
/// Printable, and nobody's token.
const MADE_UP_TOKEN: &str = "vestibule-made-this-token-up";
/// A verifier's S256 challenge (RFC 7636 appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What was found of one provider.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The backend name.
    pub name: String,
    /// The name that people know it by.
    pub title: String,
    /// What must be registered at the provider.
    pub redirect_uri: String,
    /// In the order in which a sign-in needs them.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// What: `token endpoint`.
    pub what: &'static str,
    /// How it is.
    pub outcome: CheckOutcome,
    /// What was seen.
    pub detail: String,
    /// What to do; empty where there is nothing.
    pub advice: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It works.
    Good,
    /// It does not.
    Bad,
    /// Only a person's sign-in will tell.
    Unknown,
}

impl CheckOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "FAIL",
            Self::Unknown => "unknown",
        }
    }
}

impl Trial {
    /// As it is shown to programs.
    pub fn to_json(&self) -> Value {
        let check = |check: &Check| {
            json!({
                "what": check.what,
                "outcome": check.outcome.as_str().to_lowercase(),
                "detail": check.detail,
                "advice": check.advice,
            })
        };
        let checks: Vec<Value> = self.checks.iter().map(check).collect();
        json!({ "name": self.name, "ok": self.is_good(), "redirect_uri": self.redirect_uri, "checks": checks })
    }

    /// Whether nothing is wrong, as far as it can be told.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != CheckOutcome::Bad)
    }
}

fn good(what: &'static str, detail: impl Into<String>) -> Check {
    Check { what, outcome: CheckOutcome::Good, detail: detail.into(), advice: String::new() }
}

fn bad(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Check {
    Check { what, outcome: CheckOutcome::Bad, detail: detail.into(), advice: advice.into() }
}

fn unknown(what: &'static str, detail: impl Into<String>) -> Check {
    Check { what, outcome: CheckOutcome::Unknown, detail: detail.into(), advice: "sign in once to see".to_owned() }
}

/// What goes to the log of a refusal: the cause, or the sentence.
fn why(error: &OAuthError) -> String {
    error.cause.as_ref().map_or_else(|| error.description.to_string(), ToString::to_string)
}

/// A provider's clock, as an answer told it, and ours at that moment.
struct Clocks {
    theirs: i64,
    ours: i64,
    host: String,
}

impl Upstream {
    /// As [`Upstream::try_out`], but `None` while somebody else tries this provider.
    pub async fn try_out_alone(&self, provider: &Provider, redirect_uri: &str) -> Option<Trial> {
        let _alone = provider.trying.try_lock().ok()?;
        Some(self.try_out(provider, redirect_uri).await)
    }

    /// Tries everything of a provider that can be tried without a person. `redirect_uri` is ours.
    pub async fn try_out(&self, provider: &Provider, redirect_uri: &str) -> Trial {
        let mut checks = Vec::new();
        let mut clocks = Vec::new();
        let entry = &provider.entry;
        let discovers = provider.protocol().has_codes()
            && provider.discovery_url().is_some()
            && (provider.protocol() == Protocol::Oidc || entry.endpoints.token.is_none());
        if discovers {
            checks.push(self.try_discovery(provider).await);
        }
        if entry.takes_id_tokens() {
            checks.push(self.try_keys(provider).await);
        }
        checks.extend(try_credentials(provider, self.clock.now()));
        checks.push(self.try_departure(provider, redirect_uri, &mut clocks).await);
        if provider.protocol().has_codes() && provider.protocol() != Protocol::Oauth1 {
            checks.push(self.try_token_endpoint(provider, redirect_uri, &mut clocks).await);
        }
        if let Some(check) = &entry.audience
            && check.source == AudienceSource::Request
        {
            let asked = self.prove_audience(provider, check, MADE_UP_TOKEN).boxed().await;
            checks.push(audience(provider, asked.err()));
        }
        checks.extend(self.try_userinfo(provider, &mut clocks).await);
        checks.push(clock(&clocks));
        Trial {
            name: provider.name().to_owned(),
            title: provider.title().to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            checks,
        }
    }

    async fn try_discovery(&self, provider: &Provider) -> Check {
        let what = "discovery document";
        match keys::discovery(&self.outbound, provider, self.clock.now()).await {
            Ok(document) => good(what, format!("of the issuer {}", document.issuer)),
            Err(error) => {
                let key = if provider.entry.discovery.is_some() { "discovery" } else { "issuer" };
                bad(what, error.to_string(), format!("look at `providers.{}.{key}`", provider.name()))
            }
        }
    }

    async fn try_keys(&self, provider: &Provider) -> Check {
        let what = "signing keys";
        match keys::keys(&self.outbound, provider, self.clock.now()).await {
            Ok(keys) if keys.is_empty() => bad(what, "the key set is empty", "ask the provider"),
            Ok(keys) => good(what, format!("{} read", keys.len())),
            Err(error) => bad(what, error.to_string(), "look at the address of the keys, and at the way there"),
        }
    }

    /// Where a browser would be sent, and what it would see there.
    async fn try_departure(&self, provider: &Provider, redirect_uri: &str, clocks: &mut Vec<Clocks>) -> Check {
        let what = if provider.protocol() == Protocol::Oauth1 { "request token" } else { "authorization endpoint" };
        if !provider.has_browser_flow() {
            return unknown(what, "none is known: tokens are converted, nobody signs in by browser");
        }
        let nothing = Params::default();
        let going = Departure {
            redirect_uri,
            state: "vestibule-provider-test",
            nonce: "vestibule-provider-test",
            code_challenge: CHALLENGE,
            request: &nothing,
        };
        let url = match self.depart(provider, &going).await {
            Ok(going) => going.url,
            Err(error) => {
                return match error.reason {
                    Some(Reason::ProviderMisconfigured) => bad(what, why(&error), credentials(provider)),
                    Some(Reason::ProviderUnreachable) => bad(what, why(&error), "look at the way there"),
                    // It needs to know something of the person first: which shop, which tenant.
                    _ => unknown(what, error.description.to_string()),
                };
            }
        };
        if provider.protocol() == Protocol::Oauth1 {
            return good(what, "given for our key and secret");
        }
        if url.starts_with('/') || redirect_uri.split("/complete/").next().is_some_and(|own| url.starts_with(own)) {
            return unknown(what, "a page of this server");
        }
        let url = url.split('#').next().unwrap_or_default().to_owned();
        let mut call = Call::get(url);
        call.headers.push(("accept".to_owned(), "text/html,application/xhtml+xml".to_owned()));
        match self.outbound.call(&provider.lane, call).await {
            Ok(answer) => {
                self.note_clock(&answer, clocks);
                shown_to_browser(provider, what, &answer, redirect_uri)
            }
            Err(failure) => bad(what, failure.to_string(), "look at the way there"),
        }
    }

    async fn try_token_endpoint(&self, provider: &Provider, redirect_uri: &str, clocks: &mut Vec<Clocks>) -> Check {
        let what = "token endpoint";
        let tried = match self.try_code(provider, redirect_uri).await {
            Ok(tried) => tried,
            Err(error) if error.reason == Some(Reason::ProviderUnreachable) => {
                return bad(what, why(&error), "look at the way there");
            }
            // Its address is made of what only a sign-in brings.
            Err(error) if error.reason == Some(Reason::ProfileIncomplete) => return unknown(what, why(&error)),
            Err(error) => return bad(what, why(&error), credentials(provider)),
        };
        self.note_clock(&tried.answer, clocks);
        let says_whose_fault = provider.entry.errors.misconfigured.is_some();
        match (tried.refusal.reason, tried.word.as_str()) {
            (Some(Reason::ProviderMisconfigured), _) => bad(what, why(&tried.refusal), credentials(provider)),
            (Some(Reason::CodeRejected), "invalid_grant" | "bad_verification_code") => {
                good(what, "client id and secret are right: only the made-up code was refused")
            }
            (Some(Reason::CodeRejected), _) if says_whose_fault && !tried.answer.is_success() => {
                good(what, "client id and secret are right, as far as its refusal of a made-up code tells")
            }
            (Some(Reason::ProviderUnreachable), _) => bad(what, why(&tried.refusal), "try again later"),
            _ => unknown(what, format!("its refusal does not tell whose fault it is: {}", tried.answer.excerpt())),
        }
    }

    /// Without a token any answer will do: it shows that somebody is there.
    async fn try_userinfo(&self, provider: &Provider, clocks: &mut Vec<Clocks>) -> Option<Check> {
        let what = "user info";
        let template = provider.entry.endpoints.userinfo.as_ref()?;
        let Ok(url) = provider.fixed(template) else {
            return Some(unknown(what, "its address is made of what only a sign-in brings"));
        };
        let call = Call { headers: provider.plain_headers(), ..Call::get(url) };
        Some(match self.outbound.call(&provider.lane, call).await {
            Ok(answer) => {
                self.note_clock(&answer, clocks);
                match answer.status {
                    500.. => bad(what, answer.excerpt(), "try again later"),
                    status => good(what, format!("answers ({status})")),
                }
            }
            Err(failure) => bad(what, failure.to_string(), "look at the way there"),
        })
    }

    fn note_clock(&self, answer: &Answer, clocks: &mut Vec<Clocks>) {
        // What comes out of somebody's cache tells the time at which it went in.
        let is_fresh = answer.header("age").is_none_or(|age| age.trim() == "0");
        let theirs = answer.header("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let theirs = theirs.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        if let (true, Some(theirs)) = (is_fresh, theirs.and_then(|since| i64::try_from(since.as_secs()).ok())) {
            clocks.push(Clocks { theirs, ours: self.clock.now(), host: answer.host().to_owned() });
        }
    }
}

/// A client secret that is made at each call (Apple's) must be one that can be made.
fn try_credentials(provider: &Provider, now: i64) -> Option<Check> {
    provider.entry.quirk.as_ref()?;
    let what = "client secret";
    Some(match quirk::credentials(provider, now) {
        Ok(_) => good(what, "can be made"),
        Err(error) => bad(what, why(&error), credentials(provider)),
    })
}

fn credentials(provider: &Provider) -> String {
    let name = provider.name();
    let register = provider.entry.register.as_deref().map(|url| format!(" with those at {url}")).unwrap_or_default();
    format!("compare `providers.{name}.client_id` and `client_secret`{register}, and look at the redirect URI there")
}

/// What a page, or a redirect, says of our client id and redirect URI.
fn shown_to_browser(provider: &Provider, what: &'static str, answer: &Answer, redirect_uri: &str) -> Check {
    let location = answer.header("location").unwrap_or_default().to_owned();
    let query = location.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let error = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| matches!(&**name, "error" | "error_code" | "authError" | "oauth_error"));
    let wrong = |detail: String| bad(what, detail, credentials(provider));
    if let Some((_, word)) = error {
        // It asked nobody, so there was nobody to say yes: that is no fault of ours.
        let asks_person =
            ["login_required", "interaction_required", "access_denied", "consent_required"].contains(&&*word);
        return match location.starts_with(redirect_uri) && asks_person {
            true => good(what, "it knows our client id and redirect URI"),
            // One that is short is a word; anything else could be what an address should not show.
            false if word.len() <= 40 => wrong(format!("it sends the browser on with the error `{word}`")),
            false => wrong("it sends the browser on with an error".to_owned()),
        };
    }
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    let named = CLIENT_ERRORS.iter().find(|words| body.contains(**words));
    match (answer.status, named) {
        (400..500, Some(words)) => wrong(format!("it shows an error page ({}): {words}", answer.status)),
        (200..400, Some(words)) if answer.body.len() < 4_096 => wrong(format!("it shows an error: {words}")),
        (500.., _) => bad(what, answer.excerpt(), "try again later"),
        (200..400, _) => good(what, format!("answers ({}) without an error about our client id", answer.status)),
        (status, _) => unknown(what, format!("answers {status}, which may be because no browser asks")),
    }
}

/// What error pages say of a client that is not known, or of a redirect URI that is not registered.
const CLIENT_ERRORS: &[&str] = &[
    "invalid_client",
    "invalid client",
    "unauthorized_client",
    "client not found",
    "unknown client",
    "client_id is invalid",
    "invalid client_id",
    "invalid app id",
    "application not found",
    "redirect_uri_mismatch",
    "invalid redirect",
    "invalid_redirect_uri",
    "redirect uri is not",
    "redirect_uri is not",
    "aadsts700016",
    "aadsts50011",
];

fn audience(provider: &Provider, refusal: Option<OAuthError>) -> Check {
    let what = "audience check";
    let Some(error) = refusal else {
        return bad(
            what,
            "it takes a token that was made up",
            format!("look at `providers.{}.audience`", provider.name()),
        );
    };
    match error.reason {
        Some(Reason::TokenRejected | Reason::TokenExpired | Reason::ForeignAudience | Reason::UnprovenAudience) => {
            good(what, "it refuses a token that was made up, as it should")
        }
        Some(Reason::ProviderMisconfigured) => bad(what, why(&error), credentials(provider)),
        _ if error.status() == 502 => unknown(what, why(&error)),
        _ => bad(what, why(&error), "look at the way there"),
    }
}

fn clock(clocks: &[Clocks]) -> Check {
    let what = "clock";
    let Some(seen) = clocks.iter().min_by_key(|seen| (seen.ours - seen.theirs).abs()) else {
        return unknown(what, "no answer said what time it is");
    };
    let ahead = seen.ours - seen.theirs;
    let word = if ahead > 0 { "ahead of" } else { "behind" };
    if ahead.abs() > CLOCKS_DIFFER {
        let detail = format!("this machine's clock is {} s {word} that of {}", ahead.abs(), seen.host);
        return bad(what, detail, "set it (NTP): tokens would count as expired, or as not valid yet");
    }
    good(what, format!("within {CLOCKS_DIFFER} s of that of {}", seen.host))
}
