//! A relying party of Web Authentication (WebAuthn Level 3): the answers of `navigator.credentials.create` and `get`, judged.
//!
//! Small and strict. Attestation is not asked for and not judged (`none`): what a statement says is passed over, as §7.1
//! allows for that. Extensions are not asked for.
//! Not here: making challenges and that each counts once, whose credential it is (`vestibule::identity::second_factor`).

mod authenticator_data;
mod cbor;
mod key;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use authenticator_data::AuthenticatorData;
use key::CredentialKey;

pub use key::ALGORITHMS;

/// The longest part of an answer, in bytes, before it is decoded.
const LONGEST_PART: usize = 64 * 1024;
/// No handle of a person is longer, in bytes (§5.4.3).
const LONGEST_USER_HANDLE: usize = 64;

/// What an answer must match.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Our origin, letter by letter.
    pub origin: &'a str,
    /// Our RP ID: the host of the origin.
    pub rp_id: &'a str,
    /// The challenge of this ceremony.
    pub challenge: &'a [u8],
    /// Whether the authenticator must have verified the person, by PIN or biometrics.
    pub must_verify_user: bool,
}

/// Why an answer counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// JSON, base64url, CBOR or authenticator data that cannot be read.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// An answer to `create` where one to `get` is due, or the other way round.
    #[error("the answer is of another kind")]
    OtherType,
    /// Of another ceremony.
    #[error("the challenge is another one")]
    OtherChallenge,
    /// Made on a page of somebody else's.
    #[error("the origin is another one")]
    OtherOrigin,
    /// Made in a frame on somebody else's page.
    #[error("it was asked for in a frame of another origin")]
    CrossOrigin,
    /// For another relying party.
    #[error("the RP ID is another one")]
    OtherRelyingParty,
    /// Nobody touched the authenticator.
    #[error("the person was not present")]
    NotPresent,
    /// The authenticator did not ask who it is.
    #[error("the person was not verified")]
    NotVerified,
    /// A key of an algorithm that was not asked for, or no key.
    #[error("the key is of no kind that was asked for")]
    KeyRefused,
    /// Whether it may be copied to other devices does not change in a credential's life (§6.1.3).
    #[error("its eligibility for backups has changed")]
    BackupChanged,
    /// Not the credential's signature over this.
    #[error("the signature is wrong")]
    BadSignature,
    /// The counter did not go up: the authenticator may have been copied.
    #[error("the signature counter went back")]
    CounterWentBack,
}

/// A credential that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// Its id.
    pub id: Vec<u8>,
    /// Its public key: a COSE_Key, as it came.
    pub public_key: Vec<u8>,
    /// 0 where the authenticator does not count.
    pub sign_count: u32,
    /// Whether it may be copied to other devices.
    pub is_backup_eligible: bool,
    /// Whether it has been.
    pub is_backed_up: bool,
    /// How it can be reached, in the words of `AuthenticatorTransport`; only those that are words.
    pub transports: Vec<String>,
}

/// What is known of a credential that is used.
#[derive(Clone, Copy, Debug)]
pub struct Credential<'a> {
    /// As [`NewCredential::public_key`].
    pub public_key: &'a [u8],
    /// As it was last.
    pub sign_count: u32,
    /// As at its making.
    pub is_backup_eligible: bool,
}

/// What a good use of a credential tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The counter from now on.
    pub sign_count: u32,
    /// Whether the authenticator verified the person.
    pub is_user_verified: bool,
    /// Whether the credential has been copied to other devices.
    pub is_backed_up: bool,
}

/// An answer of `navigator.credentials.create` (`RegistrationResponseJSON`, §5.1). Members that are not judged are passed over.
#[derive(Deserialize)]
pub struct RegistrationResponse {
    #[serde(rename = "type")]
    kind: String,
    response: AttestationResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttestationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

/// An answer of `navigator.credentials.get` (`AuthenticationResponseJSON`, §5.1). Members that are not judged are passed over.
#[derive(Deserialize)]
pub struct AuthenticationResponse {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    response: AssertionResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user_handle: Option<String>,
}

/// §5.8.1. Members that are not judged are passed over: there may be more of them any day.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

impl RegistrationResponse {
    /// Reads the JSON that a page's script has sent.
    ///
    /// # Errors
    /// [`WebauthnError::Malformed`].
    pub fn parse(json: &str) -> Result<Self, WebauthnError> {
        let read: Self = serde_json::from_str(json).map_err(|_| WebauthnError::Malformed("JSON"))?;
        is_public_key(&read.kind).map(|()| read)
    }

    /// Judges a new credential (§7.1).
    ///
    /// # Errors
    /// [`WebauthnError`], in the order of the section's steps.
    pub fn judge(&self, expected: &Expected<'_>) -> Result<NewCredential, WebauthnError> {
        let client_data = decode(&self.response.client_data, "clientDataJSON")?;
        check_client_data(&client_data, "webauthn.create", expected)?;
        let object = decode(&self.response.attestation_object, "attestationObject")?;
        let object = cbor::whole(&object).ok_or(WebauthnError::Malformed("attestationObject"))?;
        let statement = (object.named("fmt").and_then(cbor::Value::text), object.named("attStmt"));
        let (Some(_), Some(cbor::Value::Map(_))) = statement else {
            return Err(WebauthnError::Malformed("attestationObject"));
        };
        let data = object.named("authData").and_then(cbor::Value::bytes).and_then(AuthenticatorData::read);
        let data = data.ok_or(WebauthnError::Malformed("authenticatorData"))?;
        check_data(&data, expected)?;
        let (id, public_key) = data.attested.ok_or(WebauthnError::Malformed("attestedCredentialData"))?;
        CredentialKey::read(public_key).ok_or(WebauthnError::KeyRefused)?;
        let is_word = |word: &&String| {
            (1..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        Ok(NewCredential {
            id: id.to_vec(),
            public_key: public_key.to_vec(),
            sign_count: data.sign_count,
            is_backup_eligible: data.is_backup_eligible(),
            is_backed_up: data.is_backed_up(),
            transports: self.response.transports.iter().filter(is_word).take(8).cloned().collect(),
        })
    }
}

impl AuthenticationResponse {
    /// Reads the JSON that a page's script has sent.
    ///
    /// # Errors
    /// [`WebauthnError::Malformed`].
    pub fn parse(json: &str) -> Result<Self, WebauthnError> {
        let read: Self = serde_json::from_str(json).map_err(|_| WebauthnError::Malformed("JSON"))?;
        is_public_key(&read.kind).map(|()| read)
    }

    /// The id of the credential that was used.
    ///
    /// # Errors
    /// [`WebauthnError::Malformed`].
    pub fn credential_id(&self) -> Result<Vec<u8>, WebauthnError> {
        decode(&self.id, "id")
    }

    /// The handle of the person whose it is, as far as the authenticator tells.
    ///
    /// # Errors
    /// [`WebauthnError::Malformed`].
    pub fn user_handle(&self) -> Result<Option<Vec<u8>>, WebauthnError> {
        let handle = self.response.user_handle.as_deref().map(|handle| decode(handle, "userHandle")).transpose()?;
        match &handle {
            Some(handle) if handle.len() > LONGEST_USER_HANDLE => Err(WebauthnError::Malformed("userHandle")),
            _ => Ok(handle),
        }
    }

    /// Judges the use of this credential (§7.2). Whose it is is the caller's to judge.
    ///
    /// # Errors
    /// [`WebauthnError`], in the order of the section's steps.
    pub fn judge(&self, expected: &Expected<'_>, credential: &Credential<'_>) -> Result<Use, WebauthnError> {
        let client_data = decode(&self.response.client_data, "clientDataJSON")?;
        check_client_data(&client_data, "webauthn.get", expected)?;
        let bytes = decode(&self.response.authenticator_data, "authenticatorData")?;
        let data = AuthenticatorData::read(&bytes).ok_or(WebauthnError::Malformed("authenticatorData"))?;
        check_data(&data, expected)?;
        // §6.1: only a new credential is attested.
        if data.attested.is_some() {
            return Err(WebauthnError::Malformed("authenticatorData"));
        }
        if data.is_backup_eligible() != credential.is_backup_eligible {
            return Err(WebauthnError::BackupChanged);
        }
        let signature = decode(&self.response.signature, "signature")?;
        let key = CredentialKey::read(credential.public_key).ok_or(WebauthnError::KeyRefused)?;
        let signed = [bytes.as_slice(), digest(&SHA256, &client_data).as_ref()].concat();
        if !key.verifies(&signed, &signature) {
            return Err(WebauthnError::BadSignature);
        }
        let counts = data.sign_count != 0 || credential.sign_count != 0;
        if counts && data.sign_count <= credential.sign_count {
            return Err(WebauthnError::CounterWentBack);
        }
        Ok(Use {
            sign_count: data.sign_count,
            is_user_verified: data.is_user_verified(),
            is_backed_up: data.is_backed_up(),
        })
    }
}

fn is_public_key(kind: &str) -> Result<(), WebauthnError> {
    if kind == "public-key" { Ok(()) } else { Err(WebauthnError::OtherType) }
}

fn decode(text: &str, name: &'static str) -> Result<Vec<u8>, WebauthnError> {
    let text = Some(text).filter(|text| text.len() <= LONGEST_PART);
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(WebauthnError::Malformed(name))
}

/// What §7.1 and §7.2 ask of the client data.
fn check_client_data(json: &[u8], kind: &str, expected: &Expected<'_>) -> Result<(), WebauthnError> {
    let data: ClientData = serde_json::from_slice(json).map_err(|_| WebauthnError::Malformed("clientDataJSON"))?;
    if data.kind != kind {
        return Err(WebauthnError::OtherType);
    }
    let challenge = URL_SAFE_NO_PAD.encode(expected.challenge);
    if verify_slices_are_equal(challenge.as_bytes(), data.challenge.as_bytes()).is_err() {
        return Err(WebauthnError::OtherChallenge);
    }
    if data.origin != expected.origin {
        return Err(WebauthnError::OtherOrigin);
    }
    // Our pages cannot be framed, so nothing of ours is asked in a frame.
    if data.cross_origin || data.top_origin.is_some() {
        return Err(WebauthnError::CrossOrigin);
    }
    Ok(())
}

/// What §7.1 and §7.2 ask of the authenticator data.
fn check_data(data: &AuthenticatorData<'_>, expected: &Expected<'_>) -> Result<(), WebauthnError> {
    if digest(&SHA256, expected.rp_id.as_bytes()).as_ref() != data.rp_id_hash {
        return Err(WebauthnError::OtherRelyingParty);
    }
    if !data.is_user_present() {
        return Err(WebauthnError::NotPresent);
    }
    if expected.must_verify_user && !data.is_user_verified() {
        return Err(WebauthnError::NotVerified);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
