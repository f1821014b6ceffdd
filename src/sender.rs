//! Who sends a token along: the key of a DPoP proof (RFC 9449), the certificate of a mutual TLS connection (RFC 8705).
//!
//! Not here: how a proof is built (`protocol::dpop`), how the headers are read (`http`).

use vestibule_protocol::dpop::{self, Expected, Proof};
use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{ErrorCode, OAuthError, TokenDigest};

use crate::context::Context;
use crate::store::seen;
use crate::store::token::TokenContext;

/// A client's certificate, as the proxy hands it on that has ended its TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself, DER; empty where the proxy hands on its subject only.
    pub der: Vec<u8>,
    /// The distinguished name, where the proxy has verified it.
    pub subject: Option<String>,
}

/// What a request brought along beside its parameters. No `Debug`: a proof is for this server only.
#[derive(Clone, Default)]
pub struct Presented {
    /// The `DPoP` header.
    pub proof: Option<String>,
    /// The client's certificate.
    pub certificate: Option<Certificate>,
    /// The request's method.
    pub method: String,
    /// The request's address, as clients see it.
    pub url: String,
    /// From where it came, for counting tries.
    pub address: String,
}

/// The keys that were shown to be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The thumbprint of a DPoP key.
    pub jkt: Option<String>,
    /// The SHA-256 of a certificate, in base64url (`x5t#S256`).
    pub certificate: Option<String>,
}

impl Certificate {
    /// `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> Option<String> {
        (!self.der.is_empty())
            .then(|| encode_part(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der).as_ref()))
    }
}

/// How long a nonce of ours is taken, in seconds; the one before it is taken too.
const NONCE_PERIOD: i64 = 300;

/// The nonce that the next proof should have: the same on every node, and nothing is stored for it.
pub fn nonce(cx: &Context) -> String {
    nonce_of(cx, cx.clock.now() / NONCE_PERIOD)
}

fn nonce_of(cx: &Context, period: i64) -> String {
    encode_part(cx.keys.derive("DPoP nonce", &period.to_be_bytes()).get(..18).unwrap_or_default())
}

/// Checks what a request to the token endpoint or to a protected API presents. With `access_token`, the proof must be
/// made for it.
///
/// # Errors
/// `invalid_dpop_proof` for one that does not hold or was seen before, `use_dpop_nonce` where ours is missing or old.
pub async fn check(cx: &Context, presented: &Presented, access_token: Option<&str>) -> Result<Sender, OAuthError> {
    let certificate = presented.certificate.as_ref().and_then(Certificate::thumbprint);
    let Some(text) = &presented.proof else { return Ok(Sender { jkt: None, certificate }) };
    let now = cx.clock.now();
    let expected = Expected { method: &presented.method, url: &presented.url, access_token, now };
    let proof = dpop::verify(text, &expected)?;
    check_nonce(cx, &proof, now)?;
    // The proof's key and id together are what may not come again.
    let digest = TokenDigest::of(&format!("dpop {} {}", proof.thumbprint, proof.id));
    if !seen::is_first(&cx.db, digest, proof.expires_at).await? {
        return Err(OAuthError::new(ErrorCode::InvalidDpopProof, "The DPoP proof was used before; make a new one."));
    }
    Ok(Sender { jkt: Some(proof.thumbprint), certificate })
}

fn check_nonce(cx: &Context, proof: &Proof, now: i64) -> Result<(), OAuthError> {
    let period = now / NONCE_PERIOD;
    let good = match &proof.nonce {
        None => !cx.settings.dpop.require_nonce,
        Some(nonce) => *nonce == nonce_of(cx, period) || *nonce == nonce_of(cx, period - 1),
    };
    if good {
        return Ok(());
    }
    let sentence = "The DPoP proof needs the nonce of the `DPoP-Nonce` header that comes with this answer.";
    Err(OAuthError { dpop_nonce: Some(nonce(cx)), ..OAuthError::new(ErrorCode::UseDpopNonce, sentence) })
}

impl Sender {
    /// Whether this is who the token was given to.
    ///
    /// # Errors
    /// `invalid_token` where the token is bound to a key or certificate that was not shown.
    pub fn holds(&self, context: Option<&TokenContext>) -> Result<(), OAuthError> {
        let Some(context) = context else { return Ok(()) };
        if context.jkt.is_some() && context.jkt != self.jkt {
            return Err(OAuthError::invalid_token(
                "The token is bound to a key: send it as `Authorization: DPoP <token>` with a proof by that key (RFC 9449 §7).",
            ));
        }
        if context.certificate.is_some() && context.certificate != self.certificate {
            return Err(OAuthError::invalid_token(
                "The token is bound to a certificate that did not come with the request (RFC 8705 §3).",
            ));
        }
        Ok(())
    }
}
