//! SAML 2.0, the service provider's side of Web Browser SSO (SAML Profiles §4.1): a request by redirect, a response by
//! post. It calls nobody and keeps nothing: the browser carries both.
//!
//! Several identity providers stand behind one backend; `?idp=NAME` says which. What is believed of a response is read
//! from the bytes that were signed, and from nothing else (`signature`); whether it is meant for us is in `response`.
//!
//! Not here: artifact binding, single logout, and metadata of others: an identity provider is what the settings say.

mod canonical;
mod certificate;
mod encryption;
pub(super) mod journey;
mod metadata;
mod person;
mod refusal;
mod request;
mod response;
mod settings;
mod signature;
mod xml;

use std::collections::BTreeMap;

use certificate::{OwnKey, VerifyingKey};
pub use person::SignedIn;
pub use refusal::Refusal;
pub use request::Request;
use response::Expected;
pub use settings::{
    Contact, IdentityProviderSettings, OneOrSeveral, Organization, SamlSettings, SecurityConfig, ServiceProviderExtra,
};

use serde_json::{Value, json};

use crate::protocol::Profile;

const POST_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";

/// Us, towards all identity providers of one backend. Built once.
pub struct ServiceProvider {
    settings: SamlSettings,
    own_key: Option<OwnKey>,
    keys: BTreeMap<String, Vec<VerifyingKey>>,
}

/// What a response must answer.
#[derive(Clone, Copy)]
pub struct Answering<'a> {
    /// The identity provider that the browser was sent to, by its name in the settings.
    pub idp: &'a str,
    /// The id of the request that it took there.
    pub request_id: &'a str,
}

impl ServiceProvider {
    /// Reads keys and certificates.
    ///
    /// # Errors
    /// One line that names the key that is wrong. It shows no value.
    pub fn new(settings: SamlSettings) -> Result<Self, String> {
        if settings.sp_entity_id.trim().is_empty() {
            return Err("sp_entity_id: must not be empty".into());
        }
        let given = settings.sp_private_key.as_ref().map(|key| key.reveal()).filter(|key| !key.trim().is_empty());
        let own_key = match given {
            Some(key) => Some(OwnKey::read(key).ok_or("sp_private_key: not an RSA key in PEM (PKCS#8 or PKCS#1)")?),
            None => None,
        };
        if let Some(certificate) = settings.sp_public_cert.as_deref().filter(|text| !text.trim().is_empty()) {
            VerifyingKey::of_certificate(certificate).ok_or("sp_public_cert: not an X.509 certificate")?;
        }
        let config = &settings.security_config;
        if own_key.is_none() && (config.authn_requests_signed || config.want_assertions_encrypted) {
            return Err("sp_private_key: not set, and `security_config` demands what needs it".into());
        }
        if settings.enabled_idps.is_empty() {
            return Err("enabled_idps: has no identity provider".into());
        }
        let mut keys = BTreeMap::new();
        for (name, idp) in &settings.enabled_idps {
            keys.insert(name.clone(), keys_of(name, idp)?);
        }
        let mut entity_ids: Vec<&str> = settings.enabled_idps.values().map(|idp| idp.entity_id.as_str()).collect();
        entity_ids.sort_unstable();
        if let Some(twice) = entity_ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("enabled_idps: two have the entity_id `{}`", twice[0]));
        }
        Ok(Self { settings, own_key, keys })
    }

    /// The identity provider that `?idp=` names; without it, the only one.
    ///
    /// # Errors
    /// It is not enabled, or none is named and there are several.
    pub fn named<'s>(&'s self, idp: Option<&str>) -> Result<&'s str, Refusal> {
        match idp {
            Some(idp) => {
                let (name, _) = self.keys.get_key_value(idp).ok_or(Refusal::UnknownIdentityProvider)?;
                Ok(name)
            }
            None => {
                let mut names = self.keys.keys();
                names.next().filter(|_| names.next().is_none()).map(String::as_str).ok_or(Refusal::NoIdentityProvider)
            }
        }
    }

    /// The address that a browser is sent to, to sign in at this identity provider.
    ///
    /// # Errors
    /// It is not enabled, or the request cannot be signed.
    pub fn address(&self, idp: &str, request: Request<'_>) -> Result<String, Refusal> {
        let provider = self.settings.enabled_idps.get(idp).ok_or(Refusal::UnknownIdentityProvider)?;
        let key = self.own_key.as_ref().filter(|_| self.settings.security_config.authn_requests_signed);
        request::address(&self.settings, provider, key, request)
    }

    /// Our metadata, for the identity providers.
    pub fn metadata(&self, consumer_url: &str) -> String {
        metadata::document(&self.settings, consumer_url)
    }

    /// Who signed in, by a posted `SAMLResponse`. `None` for `answering`: no request of this browser is known, so only
    /// one that the identity provider sent of its own accord can hold, and only where the settings allow that.
    ///
    /// # Errors
    /// Everything about it that is not as it has to be.
    pub fn judge(
        &self,
        posted: &str,
        answering: Option<Answering<'_>>,
        consumer_url: &str,
        now: i64,
    ) -> Result<SignedIn, Refusal> {
        if answering.is_none() && !self.settings.allow_idp_initiated {
            return Err(Refusal::Unsolicited);
        }
        let text = response::decoded(posted)?;
        let idp = match answering {
            Some(answering) => answering.idp.to_owned(),
            None => self.of_issuer(&response::claimed_issuer(&text)?)?,
        };
        let provider = self.settings.enabled_idps.get(&idp).ok_or(Refusal::UnknownIdentityProvider)?;
        let keys = self.keys.get(&idp).ok_or(Refusal::UnknownIdentityProvider)?;
        let expected = Expected {
            settings: &self.settings,
            own_key: self.own_key.as_ref(),
            idp: &idp,
            entity_id: &provider.entity_id,
            keys,
            consumer_url,
            request_id: answering.map(|answering| answering.request_id),
            now,
        };
        response::judged(&text, &expected)
    }

    /// The person that signed in.
    ///
    /// # Errors
    /// An attribute that the settings name is not there, or nothing identifies the person.
    pub fn profile(&self, signed_in: &SignedIn) -> Result<Profile, Refusal> {
        let provider = self.settings.enabled_idps.get(&signed_in.idp).ok_or(Refusal::UnknownIdentityProvider)?;
        signed_in.profile(provider)
    }

    /// The answer that a catalog entry's claims read: all that was said, and under `person` what it means by the
    /// identity provider's settings.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub fn answer(&self, signed_in: &SignedIn) -> Result<Value, Refusal> {
        let Profile { uid, username, email, first_name, last_name, .. } = self.profile(signed_in)?;
        let mut answer = signed_in.to_json();
        answer["person"] = json!({
            "uid": uid,
            "username": username,
            "email": email,
            "first_name": first_name,
            "last_name": last_name,
        });
        Ok(answer)
    }

    fn of_issuer(&self, issuer: &str) -> Result<String, Refusal> {
        let found = self.settings.enabled_idps.iter().find(|(_, idp)| idp.entity_id == issuer);
        found.map(|(name, _)| name.clone()).ok_or(Refusal::OtherIssuer)
    }
}

fn keys_of(name: &str, idp: &IdentityProviderSettings) -> Result<Vec<VerifyingKey>, String> {
    // It stands before the `:` of every uid.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(format!("enabled_idps.{name}: a name is made of letters, digits, `-`, `_` and `.`"));
    }
    if idp.entity_id.trim().is_empty() {
        return Err(format!("enabled_idps.{name}.entity_id: must not be empty"));
    }
    let is_web = |url: &url::Url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none();
    if !url::Url::parse(&idp.url).is_ok_and(|url| is_web(&url)) {
        return Err(format!("enabled_idps.{name}.url: not an address that a browser can be sent to"));
    }
    let keys: Option<Vec<VerifyingKey>> = idp.x509cert.iter().map(VerifyingKey::of_certificate).collect();
    keys.filter(|keys| !keys.is_empty())
        .ok_or_else(|| format!("enabled_idps.{name}.x509cert: not an X.509 certificate"))
}
