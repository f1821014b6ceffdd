//! XML signatures as SAML restricts them (SAML Core §5.4), and nothing else of what XML-DSig allows.
//!
//! What is believed is read from the very bytes that were hashed: an element is brought into its canonical form, the
//! digest of that form is compared with the signed one, and only that form goes on, to be read anew. So there is no
//! second place that could hold something else than what was signed, wherever it stands in the document, and no second
//! reader that could see it otherwise. The same goes for `SignedInfo`.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::{constant_time, signature};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::canonical::canonical;
use super::certificate::VerifyingKey;
use super::refusal::Refusal;
use super::xml::{self, SIGNATURE};

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// The canonical form of this element, if it has a signature of its own. `None`: it has none.
///
/// # Errors
/// It has one that is not by one of these keys, or not of this element.
pub(super) fn signed_form(element: Node<'_, '_>, keys: &[VerifyingKey]) -> Result<Option<String>, Refusal> {
    let Some(own) = xml::child(element, SIGNATURE, "Signature")? else { return Ok(None) };
    let id = xml::attribute(element, "ID")?;

    let signed_info = xml::the(own, SIGNATURE, "SignedInfo")?;
    let prefixes = canonicalization(xml::the(signed_info, SIGNATURE, "CanonicalizationMethod")?)?;
    let signed_info = canonical(signed_info, None, &prefixes);
    let signature = bytes(&xml::text(xml::the(own, SIGNATURE, "SignatureValue")?, "SignatureValue")?)?;

    let signed_info_read = xml::parse(&signed_info)?;
    let root = signed_info_read.root_element();
    let method = xml::attribute(xml::the(root, SIGNATURE, "SignatureMethod")?, "Algorithm")?;
    let algorithm = signature_algorithm(method)?;
    if !keys.iter().any(|key| key.verifies(algorithm, signed_info.as_bytes(), &signature)) {
        return Err(Refusal::WrongSignature);
    }

    let reference = xml::the(root, SIGNATURE, "Reference")?;
    if id.is_empty() || xml::attribute(reference, "URI")?.strip_prefix('#') != Some(id) {
        return Err(Refusal::SignatureForm("it signs another element than the one that it stands in"));
    }
    let prefixes = transforms(xml::the(reference, SIGNATURE, "Transforms")?)?;
    let algorithm = digest_algorithm(xml::attribute(xml::the(reference, SIGNATURE, "DigestMethod")?, "Algorithm")?)?;
    let expected = bytes(&xml::text(xml::the(reference, SIGNATURE, "DigestValue")?, "DigestValue")?)?;

    let form = canonical(element, Some(own.id()), &prefixes);
    let found = digest::digest(algorithm, form.as_bytes());
    constant_time::verify_slices_are_equal(found.as_ref(), &expected).map_err(|_| Refusal::WrongSignature)?;
    Ok(Some(form))
}

/// Enveloped signature, then exclusive canonicalization: its prefixes.
fn transforms(transforms: Node<'_, '_>) -> Result<Vec<String>, Refusal> {
    let all: Vec<Node<'_, '_>> = transforms.children().filter(Node::is_element).collect();
    match all[..] {
        [first, second]
            if xml::is(first, SIGNATURE, "Transform")
                && xml::is(second, SIGNATURE, "Transform")
                && first.attribute("Algorithm") == Some(ENVELOPED) =>
        {
            canonicalization(second)
        }
        _ => Err(Refusal::SignatureForm(
            "its transforms must be the enveloped signature and then exclusive canonicalization",
        )),
    }
}

/// The prefixes that exclusive canonicalization keeps. No other canonicalization is taken: SAML Core §5.4.3.
fn canonicalization(method: Node<'_, '_>) -> Result<Vec<String>, Refusal> {
    if method.attribute("Algorithm") != Some(EXCLUSIVE) {
        return Err(Refusal::SignatureForm("its canonicalization must be the exclusive one without comments"));
    }
    let list = xml::child(method, EXCLUSIVE, "InclusiveNamespaces")?;
    let prefixes = list.and_then(|list| list.attribute("PrefixList")).unwrap_or_default();
    Ok(prefixes.split_ascii_whitespace().map(str::to_owned).collect())
}

fn bytes(text: &str) -> Result<Vec<u8>, Refusal> {
    let compact: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| Refusal::SignatureForm("a value of it is not Base64"))
}

/// From our list, by the whole identifier (RFC 9231 §2.3). The key decides nothing but whether it fits.
fn signature_algorithm(identifier: &str) -> Result<&'static dyn signature::VerificationAlgorithm, Refusal> {
    Ok(match identifier {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1" => &signature::RSA_PSS_2048_8192_SHA256,
        "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1" => &signature::RSA_PSS_2048_8192_SHA384,
        "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1" => &signature::RSA_PSS_2048_8192_SHA512,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => &signature::ECDSA_P256_SHA256_FIXED,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => &signature::ECDSA_P384_SHA384_FIXED,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => &signature::ECDSA_P521_SHA512_FIXED,
        other if other.ends_with("-sha1") => return Err(Refusal::Sha1),
        _ => return Err(Refusal::SignatureForm("its algorithm must be RSA or ECDSA with SHA-256, SHA-384 or SHA-512")),
    })
}

fn digest_algorithm(identifier: &str) -> Result<&'static digest::Algorithm, Refusal> {
    Ok(match identifier {
        "http://www.w3.org/2001/04/xmlenc#sha256" => &SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => &SHA384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => &SHA512,
        other if other.ends_with("#sha1") => return Err(Refusal::Sha1),
        _ => return Err(Refusal::SignatureForm("its digest must be SHA-256, SHA-384 or SHA-512")),
    })
}
