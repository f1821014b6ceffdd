//! Every way in which an identity provider's answer can be wrong, each with its sentence.
//!
//! A sentence holds nothing out of the answer but names of elements; what the answer said is in [`Refusal::cause`], for
//! the log.

/// Why a SAML response is not believed, or a request not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `?idp=` names none that is enabled.
    #[error("`idp` names no identity provider that is enabled here")]
    UnknownIdentityProvider,
    /// There are several, and none is named.
    #[error("several identity providers are enabled here: say which one by `idp`")]
    NoIdentityProvider,
    /// A request could not be signed or packed.
    #[error("the request could not be written")]
    NotWritten,
    /// Larger than what is read.
    #[error("the response is too large")]
    TooLarge,
    /// `SAMLResponse` is not Base64.
    #[error("the response is not Base64")]
    NotBase64,
    /// Not well formed, or with something that no message has.
    #[error("the response is not well-formed XML as SAML uses it")]
    NotXml(String),
    /// A document type, and so entities.
    #[error("the response has a document type, which no SAML message has")]
    DocumentType,
    /// The root is something else.
    #[error("this is not a SAML 2.0 response")]
    NotAResponse,
    /// An element or attribute is missing.
    #[error("the response has no `{0}` where it needs one")]
    Missing(&'static str),
    /// An element that may be there once is there twice.
    #[error("the response has more than one `{0}` where one may be")]
    Twice(&'static str),
    /// An element that holds text holds elements.
    #[error("`{0}` of the response is not a text")]
    NotText(&'static str),
    /// Something is where it does not belong: the mark of a signature-wrapping attack.
    #[error("the response has a `{0}` where none belongs")]
    OutOfPlace(&'static str),
    /// An instant is not one.
    #[error("`{0}` of the response is not an instant in UTC")]
    NotAnInstant(&'static str),
    /// The identity provider says no.
    #[error("the identity provider did not sign the person in: {sentence}")]
    Status {
        /// What its status code means.
        sentence: &'static str,
        /// The code, and what it said besides.
        said: String,
    },
    /// Neither response nor assertion is signed.
    #[error("the response is not signed")]
    Unsigned,
    /// The assertion itself has to be signed, or the response itself.
    #[error("`{0}` is not signed itself, as this server demands (`security_config`)")]
    PartUnsigned(&'static str),
    /// The signature is built in a way that is not taken.
    #[error("the signature is built in a way that is not taken: {0}")]
    SignatureForm(&'static str),
    /// SHA-1.
    #[error("the response is signed with SHA-1, which can be forged: let the identity provider sign with SHA-256")]
    Sha1,
    /// No configured certificate verifies it.
    #[error(
        "the signature is not by a certificate that is configured for this identity provider, or what it signs was changed"
    )]
    WrongSignature,
    /// The assertion has to be encrypted.
    #[error("the assertion is not encrypted, as this server demands (`security_config`)")]
    NotEncrypted,
    /// There is no key to decrypt with.
    #[error("the assertion is encrypted, and this server has no `sp_private_key`")]
    NoDecryptionKey,
    /// With something that is not taken.
    #[error("the assertion is encrypted in a way that is not taken: {0}")]
    EncryptionForm(&'static str),
    /// It does not decrypt.
    #[error("the assertion cannot be decrypted: it is encrypted for another certificate, or was changed")]
    NotDecrypted,
    /// Another identity provider's.
    #[error("the response was issued by another identity provider")]
    OtherIssuer,
    /// Sent to another address.
    #[error("the response was meant for another address than this server's")]
    OtherDestination,
    /// For another service provider.
    #[error("the response was issued to another service provider")]
    OtherAudience,
    /// Without `InResponseTo`.
    #[error("the response answers no request of this browser, and sign-ins that the identity provider begins are off")]
    Unsolicited,
    /// The answer to another request.
    #[error("the response answers another request")]
    OtherRequest,
    /// No bearer confirmation that holds.
    #[error("the response does not say that whoever brings it is its person")]
    NotBearer,
    /// A condition that is not known.
    #[error("the response has a condition that this server does not know")]
    UnknownCondition,
    /// Not yet.
    #[error("the response is not valid yet: compare the clocks of this server and the identity provider")]
    TooEarly,
    /// No longer.
    #[error("the response is no longer valid: sign in again, and compare the clocks if this comes at once")]
    Expired,
    /// Signed in by other means than asked for.
    #[error("the person signed in by other means than this server asked for (`requested_authn_context`)")]
    OtherContext,
    /// An attribute that the settings name, or the identifier.
    #[error("the response has no attribute `{0}`, which the settings name")]
    NoAttribute(String),
}

impl Refusal {
    /// What the other side said, for the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::NotXml(cause) | Self::Status { said: cause, .. } => Some(cause),
            _ => None,
        }
    }
}
