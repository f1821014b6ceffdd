//! The request that a browser takes to an identity provider (SAML Profiles §4.1.4.1), by the HTTP-Redirect binding (SAML
//! Bindings §3.4).

use std::io::Write;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use url::form_urlencoded;

use super::POST_BINDING;
use super::certificate::OwnKey;
use super::refusal::Refusal;
use super::settings::{IdentityProviderSettings, SamlSettings};
use super::xml::{ASSERTION, PROTOCOL, escaped};
use crate::protocol::instant;

const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

/// What one request is made of.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its id, which the response names: an XML name, so it begins with a letter or `_`.
    pub id: &'a str,
    /// Where the response is to be posted.
    pub consumer_url: &'a str,
    /// Comes back beside the response; at most 80 bytes (SAML Bindings §3.4.3).
    pub relay_state: &'a str,
    /// In seconds since 1970.
    pub now: i64,
}

/// The address that the browser is sent to.
pub(super) fn address(
    settings: &SamlSettings,
    provider: &IdentityProviderSettings,
    key: Option<&OwnKey>,
    request: Request<'_>,
) -> Result<String, Refusal> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(document(settings, provider, request).as_bytes()).map_err(|_| Refusal::NotWritten)?;
    let packed = STANDARD.encode(encoder.finish().map_err(|_| Refusal::NotWritten)?);

    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &packed).append_pair("RelayState", request.relay_state);
    let query = match key {
        Some(key) => {
            // The signature is over the very octets of the query (§3.4.4.1).
            let signed = query.append_pair("SigAlg", RSA_SHA256).finish();
            let mut signature = vec![0; key.signing.public_modulus_len()];
            key.signing
                .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
                .map_err(|_| Refusal::NotWritten)?;
            let mut signature_member = form_urlencoded::Serializer::new(String::new());
            format!("{signed}&{}", signature_member.append_pair("Signature", &STANDARD.encode(signature)).finish())
        }
        None => query.finish(),
    };
    let separator = if provider.url.contains('?') { '&' } else { '?' };
    Ok(format!("{}{separator}{query}", provider.url))
}

fn document(settings: &SamlSettings, provider: &IdentityProviderSettings, request: Request<'_>) -> String {
    let policy = match &settings.sp_extra.name_id_format {
        Some(format) => format!("<samlp:NameIDPolicy Format=\"{}\" AllowCreate=\"true\"/>", escaped(format)),
        None => "<samlp:NameIDPolicy AllowCreate=\"true\"/>".to_owned(),
    };
    let classes = &settings.security_config.requested_authn_context;
    let context = if classes.is_empty() {
        String::new()
    } else {
        let reference =
            |class: &String| format!("<saml:AuthnContextClassRef>{}</saml:AuthnContextClassRef>", escaped(class));
        let references: String = classes.iter().map(reference).collect();
        format!("<samlp:RequestedAuthnContext Comparison=\"exact\">{references}</samlp:RequestedAuthnContext>")
    };
    format!(
        "<samlp:AuthnRequest xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" Version=\"2.0\" \
         IssueInstant=\"{instant}\" Destination=\"{destination}\" ProtocolBinding=\"{POST_BINDING}\" \
         AssertionConsumerServiceURL=\"{consumer}\"><saml:Issuer>{issuer}</saml:Issuer>{policy}{context}\
         </samlp:AuthnRequest>",
        id = escaped(request.id),
        instant = instant::write(request.now),
        destination = escaped(&provider.url),
        consumer = escaped(request.consumer_url),
        issuer = escaped(&settings.sp_entity_id),
    )
}
