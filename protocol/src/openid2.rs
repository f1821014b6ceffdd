//! OpenID Authentication 2.0, the relying party's side, without I/O: what somebody typed, what its page says (`discovery`),
//! what is asked, and what must hold of an answer (§11).
//!
//! No associations: whoever answers is asked whether the answer is theirs (§11.4.2), so nothing is stored.

mod discovery;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use url::Url;

pub use discovery::{Document, Service, Target, read};

use crate::{Params, instant};

/// The version of the protocol, and the namespace of its messages.
pub const NAMESPACE: &str = "http://specs.openid.net/auth/2.0";
/// §9.1: the identifier that the person chooses at the provider.
pub const IDENTIFIER_SELECT: &str = "http://specs.openid.net/auth/2.0/identifier_select";
const REGISTRATION: &str = "http://openid.net/extensions/sreg/1.1";
const EXCHANGE: &str = "http://openid.net/srv/ax/1.0";

/// §10.1: what a positive assertion must sign.
const SIGNED: [&str; 4] = ["op_endpoint", "return_to", "response_nonce", "assoc_handle"];

/// The URL that somebody meant (§7.2). `None`: an XRI, which nobody resolves any more, or nothing that can be one.
pub fn normalized(typed: &str) -> Option<Url> {
    let typed = typed.trim();
    let typed = typed.strip_prefix("xri://").unwrap_or(typed);
    if typed.is_empty() || typed.len() > 2048 || typed.starts_with(['=', '@', '+', '$', '!', '(']) {
        return None;
    }
    let has_scheme = ["http://", "https://"]
        .iter()
        .any(|scheme| typed.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let mut url = Url::parse(&if has_scheme { typed.to_owned() } else { format!("http://{typed}") }).ok()?;
    url.set_fragment(None);
    (url.has_host() && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// An identifier without its fragment, which only tells apart who had it when (§11.5.1).
pub fn without_fragment(identifier: &str) -> &str {
    identifier.split_once('#').map_or(identifier, |(before, _)| before)
}

/// What is asked beside who it is.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Attribute Exchange 1.0: a name of ours and the attribute's type.
    pub attributes: &'a BTreeMap<String, String>,
    /// Simple Registration 1.1: names of fields.
    pub registration: &'a [String],
}

/// The parameters of an authentication request (§9.1). `claimed` and `local` are `None` where the person chooses there.
pub fn request(
    claimed: Option<&str>,
    local: Option<&str>,
    return_to: &str,
    realm: &str,
    wanted: Wanted<'_>,
) -> Vec<(String, String)> {
    let claimed = claimed.unwrap_or(IDENTIFIER_SELECT);
    let mut all = vec![
        ("openid.ns".to_owned(), NAMESPACE.to_owned()),
        ("openid.mode".into(), "checkid_setup".into()),
        ("openid.claimed_id".into(), claimed.into()),
        ("openid.identity".into(), local.unwrap_or(claimed).into()),
        ("openid.return_to".into(), return_to.into()),
        ("openid.realm".into(), realm.into()),
    ];
    if !wanted.registration.is_empty() {
        all.push(("openid.ns.sreg".into(), REGISTRATION.into()));
        all.push(("openid.sreg.optional".into(), wanted.registration.join(",")));
    }
    if !wanted.attributes.is_empty() {
        all.push(("openid.ns.ax".into(), EXCHANGE.into()));
        all.push(("openid.ax.mode".into(), "fetch_request".into()));
        let names: Vec<&str> = wanted.attributes.keys().map(String::as_str).collect();
        all.push(("openid.ax.if_available".into(), names.join(",")));
        let types = wanted.attributes.iter();
        all.extend(types.map(|(name, kind)| (format!("openid.ax.type.{name}"), kind.clone())));
    }
    all
}

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is no positive assertion of this version.
    #[error("it is not an answer of OpenID 2.0")]
    NotAnAssertion,
    /// A field that must be there is not.
    #[error("`openid.{0}` is missing")]
    Missing(&'static str),
    /// A field that must be signed is not (§10.1).
    #[error("`openid.{0}` is not signed")]
    Unsigned(&'static str),
    /// It was made for another address (§11.1).
    #[error("it was made for another address than this one")]
    OtherAddress,
    /// Its nonce is no nonce, or not of now (§11.3).
    #[error("it is not of now")]
    NotOfNow,
}

/// A positive assertion that is meant for us and of now. Whether the provider made it, and may speak for the identifier, is
/// still open.
#[derive(Clone, Copy)]
pub struct Assertion<'a> {
    params: &'a Params,
    /// Who answers.
    pub endpoint: &'a str,
    /// Whom the answer is about, with a fragment perhaps.
    pub claimed_id: &'a str,
    /// The name of the same at the provider.
    pub identity: &'a str,
    /// To be taken once.
    pub nonce: &'a str,
}

impl<'a> Assertion<'a> {
    /// Reads an answer and makes the checks of §11 that need nobody else.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn read(params: &'a Params, return_to: &str, now: i64, leeway: i64) -> Result<Self, Wrong> {
        if params.get("openid.mode") != Some("id_res") || params.get("openid.ns") != Some(NAMESPACE) {
            return Err(Wrong::NotAnAssertion);
        }
        let signed: BTreeSet<&str> = params.get("openid.signed").ok_or(Wrong::Missing("signed"))?.split(',').collect();
        let field = |name: &'static str| {
            let (_, value) =
                params.iter().find(|(own, _)| own.strip_prefix("openid.") == Some(name)).ok_or(Wrong::Missing(name))?;
            match name == "sig" || signed.contains(name) {
                true => Ok(value),
                false => Err(Wrong::Unsigned(name)),
            }
        };
        for name in SIGNED {
            field(name)?;
        }
        field("sig")?;
        if field("return_to")? != return_to || !is_this_address(return_to, params) {
            return Err(Wrong::OtherAddress);
        }
        let nonce = field("response_nonce")?;
        let made = nonce_time(nonce).ok_or(Wrong::NotOfNow)?;
        if nonce.len() > 255 || made.abs_diff(now) > leeway.unsigned_abs() {
            return Err(Wrong::NotOfNow);
        }
        Ok(Self {
            params,
            endpoint: field("op_endpoint")?,
            claimed_id: field("claimed_id")?,
            identity: field("identity")?,
            nonce,
        })
    }

    /// The question whether the answer is the provider's own (§11.4.2.1).
    pub fn question(&self) -> Vec<(String, String)> {
        let own = self.params.iter().filter(|(name, _)| name.starts_with("openid."));
        own.map(|(name, value)| {
            let value = if name == "openid.mode" { "check_authentication" } else { value };
            (name.to_owned(), value.to_owned())
        })
        .collect()
    }

    /// A field that was signed, by its name without `openid.`.
    fn signed(&self, name: &str) -> Option<&'a str> {
        let signed = self.params.get("openid.signed")?;
        let is_signed = signed.split(',').any(|one| one == name);
        self.params.get(&format!("openid.{name}")).filter(|_| is_signed)
    }

    /// The prefix of an extension's fields, if its declaration was signed.
    fn prefix(&self, namespaces: &[&str]) -> Option<&'a str> {
        let declared = self.params.iter().filter_map(|(name, value)| Some((name.strip_prefix("openid.ns.")?, value)));
        let mut ours = declared.filter(|(_, value)| namespaces.contains(value)).map(|(prefix, _)| prefix);
        ours.find(|prefix| self.signed(&format!("ns.{prefix}")).is_some())
    }

    /// What the claims of an entry read: only what was signed.
    pub fn claims(&self, wanted: Wanted<'_>) -> Map<String, Value> {
        let mut registration = Map::new();
        if let Some(prefix) = self.prefix(&[REGISTRATION, "http://openid.net/sreg/1.0"]) {
            let found =
                wanted.registration.iter().filter_map(|name| Some((name, self.signed(&format!("{prefix}.{name}"))?)));
            registration.extend(found.map(|(name, value)| (name.clone(), value.into())));
        }
        let mut attributes = Map::new();
        if let Some(prefix) = self.prefix(&[EXCHANGE]) {
            let types = format!("openid.{prefix}.type.");
            for (name, kind) in self.params.iter() {
                let Some(alias) = name.strip_prefix(&types) else { continue };
                let Some((ours, _)) = wanted.attributes.iter().find(|(_, wanted)| *wanted == kind) else { continue };
                let value = self.signed(&format!("{prefix}.value.{alias}"));
                let value = value.or_else(|| self.signed(&format!("{prefix}.value.{alias}.1")));
                // The type must be signed too: it says what the value is.
                if self.signed(&format!("{prefix}.type.{alias}")).is_some()
                    && let Some(value) = value.filter(|value| !value.is_empty())
                {
                    attributes.insert(ours.clone(), value.into());
                }
            }
        }
        Map::from_iter([
            ("identity".to_owned(), self.claimed_id.into()),
            ("attributes".to_owned(), attributes.into()),
            ("registration".to_owned(), registration.into()),
            ("endpoint".to_owned(), self.endpoint.into()),
        ])
    }
}

/// Whether the answer to a question of §11.4.2 says yes: `key:value` lines (§4.1.1).
pub fn is_valid(answer: &str) -> bool {
    let mut said = answer.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| *key == "is_valid");
    matches!((said.next(), said.next()), (Some((_, "true")), None))
}

/// §11.1: what stands in the query of `return_to` must have come with the same values.
fn is_this_address(return_to: &str, params: &Params) -> bool {
    let Ok(url) = Url::parse(return_to) else { return false };
    url.query_pairs().all(|(name, value)| params.iter().any(|(own, came)| own == name && came == value))
}

/// `2005-05-15T17:11:51ZUNIQUE` (§10.1), in seconds since 1970.
fn nonce_time(nonce: &str) -> Option<i64> {
    nonce.get(..20).and_then(instant::read)
}

#[cfg(test)]
mod tests;
