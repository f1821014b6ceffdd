//! A SAML identity provider with a key of its own. It writes what it signs in the canonical form at once, so it needs no
//! canonicalization, and shares none with what is tested.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// Where a signature goes.
pub const HERE: &str = "[signature]";

/// A key and its certificate.
pub struct SigningKey {
    key: KeyPair,
    /// The Base64 of a certificate.
    pub certificate: String,
}

impl SigningKey {
    pub fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let certificate = STANDARD.encode(certificate(public.as_ref()));
        Self { key, certificate }
    }

    /// PKCS#8 in PEM.
    pub fn pem(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.key.as_der().unwrap();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
    }

    /// The public key, as aws-lc-rs verifies with.
    pub fn public(&self) -> Vec<u8> {
        let public: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        public.as_ref().to_vec()
    }

    /// Puts a signature of the element with this id, which is the whole text, where the mark is.
    pub fn sign(&self, text: &str, id: &str) -> String {
        text.replace(HERE, &self.signature(&text.replace(HERE, ""), id, |info| info))
    }

    /// A signature of this text, with `SignedInfo` changed before it is signed.
    pub fn signature(&self, signed: &str, id: &str, change: impl Fn(String) -> String) -> String {
        let digest = STANDARD.encode(digest(&SHA256, signed.as_bytes()));
        let info = change(format!(
            "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:CanonicalizationMethod \
             Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"{RSA_SHA256}\">\
             </ds:SignatureMethod><ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform \
             Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform><ds:Transform \
             Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms><ds:DigestMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod><ds:DigestValue>{digest}\
             </ds:DigestValue></ds:Reference></ds:SignedInfo>"
        ));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), info.as_bytes(), &mut signature).unwrap();
        let info = info.replacen(" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"", "", 1);
        format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{info}<ds:SignatureValue>{}\
             </ds:SignatureValue></ds:Signature>",
            STANDARD.encode(signature)
        )
    }

    /// An `EncryptedAssertion` for this key.
    pub fn encrypt(&self, assertion: &str) -> String {
        let content_key = [7; 32];
        let nonce = [9; 12];
        let mut content = assertion.as_bytes().to_vec();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key).unwrap())
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut content)
            .unwrap();
        let public = PublicEncryptingKey::from_der(&self.public()).unwrap();
        let public = OaepPublicEncryptingKey::new(public).unwrap();
        let mut wrapped = vec![0; public.ciphertext_size()];
        let wrapped = public.encrypt(&OAEP_SHA1_MGF1SHA1, &content_key, &mut wrapped, None).unwrap();
        format!(
            "<saml:EncryptedAssertion xmlns:saml=\"{SAML}\"><xenc:EncryptedData \
             xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\"><xenc:EncryptionMethod \
             Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"></xenc:EncryptionMethod><ds:KeyInfo \
             xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><xenc:EncryptedKey><xenc:EncryptionMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"></xenc:EncryptionMethod><xenc:CipherData>\
             <xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>\
             <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>\
             </saml:EncryptedAssertion>",
            STANDARD.encode(wrapped),
            STANDARD.encode([&nonce[..], &content].concat()),
        )
    }
}

/// What an identity provider says, good as it stands.
#[derive(Clone)]
pub struct Saying {
    pub issuer: String,
    pub audience: String,
    pub recipient: String,
    /// Empty: in answer to nothing.
    pub in_response_to: String,
    pub now: i64,
    pub lives: i64,
    pub assertion_id: String,
    /// As it is written, markup and all.
    pub name_id: String,
    pub attributes: Vec<(String, String)>,
    pub status: String,
}

impl Saying {
    /// `Assertion`, with the mark for a signature.
    pub fn assertion(&self) -> String {
        let attributes: String = self
            .attributes
            .iter()
            .map(|(name, value)| {
                format!(
                    "<saml:Attribute Name=\"{name}\"><saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"
                )
            })
            .collect();
        format!(
            "<saml:Assertion xmlns:saml=\"{SAML}\" ID=\"{id}\" IssueInstant=\"{now}\" Version=\"2.0\"><saml:Issuer>\
             {issuer}</saml:Issuer>{HERE}<saml:Subject><saml:NameID>{name_id}</saml:NameID><saml:SubjectConfirmation \
             Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData{answer} \
             NotOnOrAfter=\"{until}\" Recipient=\"{recipient}\"></saml:SubjectConfirmationData>\
             </saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore=\"{now}\" NotOnOrAfter=\"{until}\">\
             <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>\
             </saml:Conditions><saml:AuthnStatement AuthnInstant=\"{now}\" SessionIndex=\"s1\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>\
             </saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{attributes}\
             </saml:AttributeStatement></saml:Assertion>",
            id = self.assertion_id,
            now = written(self.now),
            until = written(self.now + self.lives),
            issuer = self.issuer,
            name_id = self.name_id,
            answer = self.answer(),
            recipient = self.recipient,
            audience = self.audience,
        )
    }

    /// `Response` around these assertions, with the mark for a signature.
    pub fn response(&self, assertions: &str) -> String {
        format!(
            "<samlp:Response xmlns:samlp=\"{SAMLP}\" Destination=\"{to}\" ID=\"r1\"{answer} IssueInstant=\"{now}\" \
             Version=\"2.0\"><saml:Issuer xmlns:saml=\"{SAML}\">{issuer}</saml:Issuer>{HERE}<samlp:Status>\
             <samlp:StatusCode Value=\"{status}\"></samlp:StatusCode></samlp:Status>{assertions}</samlp:Response>",
            to = self.recipient,
            answer = self.answer(),
            now = written(self.now),
            issuer = self.issuer,
            status = self.status,
        )
    }

    /// A response whose assertion is signed.
    pub fn signed(&self, key: &SigningKey) -> String {
        self.response(&key.sign(&self.assertion(), &self.assertion_id)).replace(HERE, "")
    }

    /// A response that is signed, around an assertion that is not.
    pub fn signed_outside(&self, key: &SigningKey) -> String {
        key.sign(&self.response(&self.assertion().replace(HERE, "")), "r1")
    }

    fn answer(&self) -> String {
        let id = &self.in_response_to;
        if id.is_empty() { String::new() } else { format!(" InResponseTo=\"{id}\"") }
    }
}

/// What a browser posts.
pub fn posted(response: &str) -> String {
    STANDARD.encode(response)
}

/// An instant as SAML writes it.
pub fn written(seconds: i64) -> String {
    let (mut year, mut day) = (1970, seconds.div_euclid(86_400));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let rest = seconds.rem_euclid(86_400);
    format!("{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", month + 1, day + 1, rest / 3_600, rest / 60 % 60, rest % 60)
}

/// An X.509 certificate around this `SubjectPublicKeyInfo`. Who signed it matters to nobody, so nobody did.
fn certificate(public: &[u8]) -> Vec<u8> {
    let sequence = |parts: &[&[u8]]| tagged(0x30, &parts.concat());
    let algorithm = sequence(&[&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], &[0x05, 0]]);
    let time = tagged(0x17, b"260101000000Z");
    let version = tagged(0xa0, &[0x02, 1, 2]);
    let names = sequence(&[]);
    let inner = sequence(&[&version, &[0x02, 1, 1], &algorithm, &names, &sequence(&[&time, &time]), &names, public]);
    sequence(&[&inner, &algorithm, &tagged(0x03, &[0; 257])])
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let mut der = vec![tag];
    match length {
        [0, short @ 0..=0x7f] => der.push(short),
        [0, byte] => der.extend([0x81, byte]),
        [high, low] => der.extend([0x82, high, low]),
    }
    der.extend(value);
    der
}
