//! SAML 2.0: what is asked of an identity provider, and which answers are believed.

mod wrapping;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::DeflateDecoder;
use serde_json::json;
use std::io::Read as _;
use vestibule::protocol::Profile;
use vestibule::upstream::saml::{Answering, Refusal, Request, SamlSettings, ServiceProvider, SignedIn};

use crate::harness::guest::Guest;
use crate::harness::saml_idp::{HERE, Saying, SigningKey, posted};
use crate::harness::{Engine, Setup, Test};

pub const NOW: i64 = 1_795_530_375; // 2026-11-24T14:26:15Z
const ACS: &str = "https://sp.example/auth/complete/saml/";
const SP: &str = "https://sp.example/metadata";
const IDP: &str = "https://idp.example/metadata";

/// A service provider, two identity providers that it trusts, and their keys.
pub struct World {
    pub ours: ServiceProvider,
    pub key: SigningKey,
    pub other: SigningKey,
}

fn settings(key: &str, other: &str, more: &str) -> SamlSettings {
    let table = format!(
        "sp_entity_id = '{SP}'\n{more}\n\
         [enabled_idps.work]\nentity_id = '{IDP}'\nurl = 'https://idp.example/sso?tenant=7'\nx509cert = [\"\"\"{key}\"\"\"]\n\
         [enabled_idps.school]\nentity_id = 'https://school.example/'\nurl = 'https://school.example/sso'\n\
         x509cert = '{other}'\nattr_user_permanent_id = 'name_id'\nattr_email = 'eMail'\nattr_username = ''\n"
    );
    SamlSettings::from_table(table.parse().unwrap()).unwrap()
}

impl World {
    pub fn new(more: &str) -> Self {
        let (key, other) = (SigningKey::new(), SigningKey::new());
        let ours = ServiceProvider::new(settings(&key.certificate, &other.certificate, more)).unwrap();
        Self { ours, key, other }
    }

    pub fn judge(&self, response: &str) -> Result<SignedIn, Refusal> {
        self.judge_at(response, NOW)
    }

    fn judge_at(&self, response: &str, now: i64) -> Result<SignedIn, Refusal> {
        self.ours.judge(&posted(response), Some(Answering { idp: "work", request_id: "_q1" }), ACS, now)
    }
}

pub fn good() -> Saying {
    Saying {
        issuer: IDP.into(),
        audience: SP.into(),
        recipient: ACS.into(),
        in_response_to: "_q1".into(),
        now: NOW,
        lives: 300,
        assertion_id: "a1".into(),
        name_id: "ada".into(),
        attributes: [
            ("urn:oid:0.9.2342.19200300.100.1.1", "ada"),
            ("urn:oid:0.9.2342.19200300.100.1.3", "ada@example.com"),
            ("urn:oid:2.5.4.3", "Ada Lovelace"),
            ("groups", "one"),
            ("groups", "two &amp; three"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        status: "urn:oasis:names:tc:SAML:2.0:status:Success".into(),
    }
}

#[test]
fn a_signed_assertion_and_a_signed_response_are_believed() {
    let world = World::new("");

    for response in [
        good().signed(&world.key),
        good().signed_outside(&world.key),
        world.key.sign(&good().response(&world.key.sign(&good().assertion(), "a1")), "r1"),
    ] {
        let who = world.judge(&response).unwrap();
        assert_eq!((who.idp.as_str(), who.issuer.as_str(), who.name_id.as_deref()), ("work", IDP, Some("ada")));
        assert_eq!(who.attributes["groups"], ["one", "two & three"]);
        assert_eq!((who.session_index.as_deref(), who.assertion_id.as_str()), (Some("s1"), "a1"));
        assert!(who.presentable_until >= NOW + 300);
        assert_eq!(who.to_json()["attributes"]["groups"][0], "one");
        let expected = Profile {
            uid: "work:ada".into(),
            username: Some("ada".into()),
            email: Some("ada@example.com".into()),
            first_name: Some("Ada".into()),
            last_name: Some("Lovelace".into()),
            full_name: Some("Ada Lovelace".into()),
            ..Profile::default()
        };
        assert_eq!(world.ours.profile(&who).unwrap(), expected);
        let answer = world.ours.answer(&who).unwrap();
        assert_eq!((&answer["person"]["uid"], &answer["name_id"]), (&json!("work:ada"), &json!("ada")));
    }
}

#[test]
fn what_xmlsec_signed_is_read_as_it_was_signed() {
    let key = include_str!("signed-by-xmlsec.pem");
    let other = SigningKey::new();
    let ours = ServiceProvider::new(settings(key, &other.certificate, "")).unwrap();
    let response = include_str!("signed-by-xmlsec.xml");
    let judge = |response: &str| {
        ours.judge(&posted(response), Some(Answering { idp: "work", request_id: "_request1" }), ACS, NOW)
    };

    let who = judge(response).unwrap();

    // The comment in the name identifier does not cut it short.
    assert_eq!(who.name_id.as_deref(), Some("AAdzZWNyZXQx"));
    assert_eq!(who.attributes["urn:oid:2.5.4.3"], ["Zoë <Ñandú> & Sons"]);
    assert_eq!(who.attributes["urn:oid:1.3.6.1.4.1.5923.1.1.1.10"], ["opaque"]);
    assert_eq!(judge(&response.replace("myself", "yourself")).unwrap_err(), Refusal::WrongSignature);
}

#[test]
fn who_did_not_sign_is_not_believed() {
    let world = World::new("");
    let stranger = SigningKey::new();

    assert_eq!(world.judge(&good().signed(&stranger)).unwrap_err(), Refusal::WrongSignature);
    assert_eq!(world.judge(&good().signed_outside(&stranger)).unwrap_err(), Refusal::WrongSignature);
    // The other identity provider's key under this one's name, and its own name in answer to this one's request.
    assert_eq!(world.judge(&good().signed(&world.other)).unwrap_err(), Refusal::WrongSignature);
    let school = Saying { issuer: "https://school.example/".into(), ..good() };
    assert_eq!(world.judge(&school.signed(&world.key)).unwrap_err(), Refusal::OtherIssuer);
    assert_eq!(world.judge(&school.signed(&world.other)).unwrap_err(), Refusal::OtherIssuer);
    // Only inside, beside a response that names the right one.
    let inside = world.key.sign(&school.assertion(), "a1");
    assert_eq!(world.judge(&good().response(&inside).replace(HERE, "")).unwrap_err(), Refusal::OtherIssuer);
    let unsigned = good().response(&good().assertion()).replace(HERE, "");
    assert_eq!(world.judge(&unsigned).unwrap_err(), Refusal::Unsigned);
    // One of two signatures does not hold.
    let half = world.key.sign(&good().response(&stranger.sign(&good().assertion(), "a1")), "r1");
    assert_eq!(world.judge(&half).unwrap_err(), Refusal::WrongSignature);
    let half = stranger.sign(&good().response(&world.key.sign(&good().assertion(), "a1")), "r1");
    assert_eq!(world.judge(&half).unwrap_err(), Refusal::WrongSignature);
}

#[test]
fn a_response_for_somebody_else_or_another_time_is_not_believed() {
    let world = World::new("");
    let judge = |saying: Saying| {
        let inside = world.judge(&saying.signed(&world.key)).unwrap_err();
        assert_eq!(world.judge(&saying.signed_outside(&world.key)).unwrap_err(), inside);
        inside
    };

    assert_eq!(judge(Saying { audience: "https://other.example/".into(), ..good() }), Refusal::OtherAudience);
    assert_eq!(judge(Saying { recipient: format!("{ACS}x"), ..good() }), Refusal::OtherDestination);
    assert_eq!(judge(Saying { in_response_to: "_q2".into(), ..good() }), Refusal::OtherRequest);
    assert_eq!(judge(Saying { in_response_to: String::new(), ..good() }), Refusal::Unsolicited);
    assert_eq!(judge(Saying { now: NOW + 61, ..good() }), Refusal::TooEarly);
    assert_eq!(judge(Saying { now: NOW - 361, ..good() }), Refusal::Expired);
    assert!(world.judge(&Saying { now: NOW + 59, ..good() }.signed(&world.key)).is_ok());
    assert!(world.judge(&Saying { now: NOW - 359, ..good() }.signed(&world.key)).is_ok());
    assert_eq!(world.judge_at(&good().signed(&world.key), NOW + 361).unwrap_err(), Refusal::Expired);
}

#[test]
fn what_surrounds_a_signed_assertion_may_not_say_otherwise() {
    let world = World::new("");
    let response = good().signed(&world.key);
    let change = |from: &str, to: &str| {
        let changed = response.replacen(from, to, 1);
        assert_ne!(changed, response);
        world.judge(&changed).unwrap_err()
    };

    assert_eq!(
        change(&format!("Destination=\"{ACS}\""), "Destination=\"https://other.example/\""),
        Refusal::OtherDestination
    );
    assert_eq!(change("InResponseTo=\"_q1\" IssueInstant", "InResponseTo=\"_q2\" IssueInstant"), Refusal::OtherRequest);
    assert_eq!(change(IDP, "https://other.example/"), Refusal::OtherIssuer);
    assert!(matches!(change("status:Success", "status:Requester"), Refusal::Status { .. }));
    // Its request's id stands in the signed assertion, so a stolen one cannot be given to another request.
    let other = Saying { in_response_to: "_q2".into(), ..good() }.signed(&world.key);
    let given = other.replacen("InResponseTo=\"_q2\" IssueInstant", "InResponseTo=\"_q1\" IssueInstant", 1);
    assert_eq!(world.judge(&given).unwrap_err(), Refusal::OtherRequest);
}

#[test]
fn parts_that_must_be_there_are() {
    let world = World::new("");
    let without = |from: &str, to: &str| {
        let assertion = good().assertion();
        let changed = assertion.replacen(from, to, 1);
        assert_ne!(changed, assertion, "{from}");
        world.judge(&good().response(&world.key.sign(&changed, "a1")).replace(HERE, "")).unwrap_err()
    };

    let audience = format!("<saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction>");
    assert_eq!(without(&audience, ""), Refusal::Missing("AudienceRestriction"));
    assert_eq!(
        without(&audience, &format!("{audience}<saml:OnlyOnMondays></saml:OnlyOnMondays>")),
        Refusal::UnknownCondition
    );
    assert_eq!(without("<saml:NameID>ada</saml:NameID>", ""), Refusal::Missing("NameID"));
    assert_eq!(without("cm:bearer", "cm:holder-of-key"), Refusal::NotBearer);
    assert_eq!(without(&format!(" Recipient=\"{ACS}\""), ""), Refusal::Missing("Recipient"));
    assert_eq!(
        without(" NotOnOrAfter=\"2026-11-24T14:31:15Z\" Recipient", " Recipient"),
        Refusal::Missing("NotOnOrAfter")
    );
    assert_eq!(
        without("NotBefore=\"2026-11-24T14:26:15Z\"", "NotBefore=\"tomorrow\""),
        Refusal::NotAnInstant("NotBefore")
    );
    assert_eq!(without("Version=\"2.0\"", "Version=\"1.1\""), Refusal::NotAResponse);
}

#[test]
fn sha_1_and_strange_signatures_are_refused() {
    let world = World::new("");
    let signed_with = |from: &str, to: &str| {
        let assertion = good().assertion();
        let signature = world.key.signature(&assertion.replace(HERE, ""), "a1", |info| {
            assert!(info.contains(from));
            info.replacen(from, to, 1)
        });
        world.judge(&good().response(&assertion.replace(HERE, &signature)).replace(HERE, "")).unwrap_err()
    };

    assert_eq!(
        signed_with("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        Refusal::Sha1
    );
    assert_eq!(
        signed_with("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"),
        Refusal::Sha1
    );
    for (from, to) in [
        ("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256"),
        ("xmldsig#enveloped-signature", "REC-xpath-19991116"),
        (
            "</ds:Transforms>",
            "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform></ds:Transforms>",
        ),
        ("URI=\"#a1\"", "URI=\"\""),
        ("URI=\"#a1\"", "URI=\"#r1\""),
        ("URI=\"#a1\"", "URI=\"http://evil.example/\""),
        (
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">",
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments\">",
        ),
    ] {
        assert!(matches!(signed_with(from, to), Refusal::SignatureForm(_)), "{to}");
    }
    assert!(matches!(
        signed_with("</ds:Reference>", "</ds:Reference><ds:Reference URI=\"#r1\"></ds:Reference>"),
        Refusal::Twice("Reference")
    ));
}

#[test]
fn what_is_no_response_is_refused_in_words() {
    let world = World::new("");
    let answering = Some(Answering { idp: "work", request_id: "_q1" });
    let judge = |posted: &str| world.ours.judge(posted, answering, ACS, NOW).unwrap_err();

    assert_eq!(judge("%%%"), Refusal::NotBase64);
    assert!(matches!(judge(""), Refusal::NotXml(_)));
    assert_eq!(judge(&"A".repeat(1_000_000)), Refusal::TooLarge);
    assert_eq!(world.judge("<Response/>").unwrap_err(), Refusal::NotAResponse);
    let laughs = format!("<!DOCTYPE r [<!ENTITY a \"ada\">]>{}", good().signed(&world.key).replace(">ada<", ">&a;<"));
    assert_eq!(world.judge(&laughs).unwrap_err(), Refusal::DocumentType);
    let status = Saying { status: "urn:oasis:names:tc:SAML:2.0:status:Responder".into(), ..good() }
        .response("")
        .replace(HERE, "");
    let refused = world.judge(&status).unwrap_err();
    assert_eq!(refused.to_string(), "the identity provider did not sign the person in: it has a fault of its own");
    assert_eq!(refused.cause().unwrap().trim(), "urn:oasis:names:tc:SAML:2.0:status:Responder");
}

#[test]
fn an_encrypted_assertion_is_opened_with_our_key() {
    let own = SigningKey::new();
    let more = format!("sp_private_key = \"\"\"{}\"\"\"\nsp_public_cert = '{}'", own.pem(), own.certificate);
    let world = World::new(&more);
    let inside = |key: &SigningKey| own.encrypt(&key.sign(&good().assertion(), "a1"));
    let wrapped = |encrypted: &str| good().response(encrypted).replace(HERE, "");

    assert_eq!(world.judge(&wrapped(&inside(&world.key))).unwrap().name_id.as_deref(), Some("ada"));
    // Signed around the encryption instead.
    let unsigned = own.encrypt(&good().assertion().replace(HERE, ""));
    assert!(world.judge(&world.key.sign(&good().response(&unsigned), "r1")).is_ok());
    // Everybody has our public key: that it is encrypted proves nothing.
    assert_eq!(world.judge(&wrapped(&unsigned)).unwrap_err(), Refusal::Unsigned);
    assert_eq!(world.judge(&wrapped(&inside(&world.other))).unwrap_err(), Refusal::WrongSignature);
    let elsewhere = SigningKey::new().encrypt(&world.key.sign(&good().assertion(), "a1"));
    assert_eq!(world.judge(&wrapped(&elsewhere)).unwrap_err(), Refusal::NotDecrypted);
    let weak = inside(&world.key).replace("2009/xmlenc11#aes256-gcm", "2001/04/xmlenc#aes256-cbc");
    assert!(matches!(world.judge(&wrapped(&weak)).unwrap_err(), Refusal::EncryptionForm(_)));
    let weak = inside(&world.key).replace("rsa-oaep-mgf1p", "rsa-1_5");
    assert!(matches!(world.judge(&wrapped(&weak)).unwrap_err(), Refusal::EncryptionForm(_)));
    assert_eq!(World::new("").judge(&wrapped(&inside(&world.key))).unwrap_err(), Refusal::NoDecryptionKey);
}

#[test]
fn more_can_be_demanded() {
    let own = SigningKey::new();
    let key = format!("sp_private_key = \"\"\"{}\"\"\"\n", own.pem());
    let assertion = World::new("security_config = { wantAssertionsSigned = true }");
    let message = World::new("security_config = { wantMessagesSigned = true }");
    let encrypted = World::new(&format!("{key}security_config = {{ wantAssertionsEncrypted = true }}"));
    let context = World::new("security_config = { requestedAuthnContext = ['urn:two-factors'] }");

    assert_eq!(
        assertion.judge(&good().signed_outside(&assertion.key)).unwrap_err(),
        Refusal::PartUnsigned("Assertion")
    );
    assert!(assertion.judge(&good().signed(&assertion.key)).is_ok());
    assert_eq!(message.judge(&good().signed(&message.key)).unwrap_err(), Refusal::PartUnsigned("Response"));
    assert!(message.judge(&good().signed_outside(&message.key)).is_ok());
    assert_eq!(encrypted.judge(&good().signed(&encrypted.key)).unwrap_err(), Refusal::NotEncrypted);
    assert_eq!(context.judge(&good().signed(&context.key)).unwrap_err(), Refusal::OtherContext);
}

#[test]
fn an_identity_provider_begins_only_where_it_may() {
    let (off, on) = (World::new(""), World::new("allow_idp_initiated = true"));
    let begun = Saying { in_response_to: String::new(), ..good() };
    let judge = |world: &World, saying: &Saying| world.ours.judge(&posted(&saying.signed(&world.key)), None, ACS, NOW);

    assert_eq!(judge(&off, &begun).unwrap_err(), Refusal::Unsolicited);
    assert_eq!(judge(&on, &begun).unwrap().idp, "work");
    // One that answers a request is for the browser that made it.
    assert_eq!(judge(&on, &good()).unwrap_err(), Refusal::OtherRequest);
    let unknown = Saying { issuer: "https://evil.example/".into(), ..begun.clone() };
    assert_eq!(judge(&on, &unknown).unwrap_err(), Refusal::OtherIssuer);
    // And in answer to a request, one that answers none is refused all the same.
    assert_eq!(on.judge(&begun.signed(&on.key)).unwrap_err(), Refusal::Unsolicited);
}

#[test]
fn attributes_are_named_by_the_settings() {
    let world = World::new("");
    let saying = Saying {
        issuer: "https://school.example/".into(),
        name_id: "s-17".into(),
        attributes: vec![
            ("eMail".into(), "ada@school.example".into()),
            ("name_id".into(), "somebody-else".into()),
            ("username".into(), "ada".into()),
            ("givenName".into(), "Ada".into()),
        ],
        ..good()
    };
    let judge = |saying: &Saying| {
        let answering = Some(Answering { idp: "school", request_id: "_q1" });
        world.ours.judge(&posted(&saying.signed(&world.other)), answering, ACS, NOW).unwrap()
    };

    let profile = world.ours.profile(&judge(&saying)).unwrap();

    assert_eq!(
        (profile.uid.as_str(), profile.username, profile.email.as_deref()),
        ("school:s-17", None, Some("ada@school.example"))
    );
    assert_eq!(profile.first_name.as_deref(), Some("Ada"));
    let nameless = judge(&Saying { attributes: Vec::new(), ..saying });
    assert_eq!(world.ours.profile(&nameless).unwrap_err(), Refusal::NoAttribute("eMail".into()));
}

#[test]
fn a_request_says_who_asks_and_is_signed_where_wanted() {
    let own = SigningKey::new();
    let more = format!(
        "sp_private_key = \"\"\"{}\"\"\"\nsecurity_config = {{ authnRequestsSigned = true }}\n\
         sp_extra = {{ NameIDFormat = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent' }}",
        own.pem()
    );
    let request = Request { id: "_q1", consumer_url: ACS, relay_state: "state & more", now: NOW };
    let (plain, signed) = (World::new(""), World::new(&more));

    let address = plain.ours.address("work", request).unwrap();
    let parameters: Vec<(String, String)> = url::Url::parse(&address).unwrap().query_pairs().into_owned().collect();
    assert_eq!(parameters[0], ("tenant".into(), "7".into()));
    assert_eq!((parameters[1].0.as_str(), parameters.len()), ("SAMLRequest", 3));
    assert_eq!(parameters[2], ("RelayState".into(), "state & more".into()));
    let mut document = String::new();
    DeflateDecoder::new(&STANDARD.decode(&parameters[1].1).unwrap()[..]).read_to_string(&mut document).unwrap();
    insta::assert_snapshot!(document, @r#"<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_q1" Version="2.0" IssueInstant="2026-11-24T14:26:15Z" Destination="https://idp.example/sso?tenant=7" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" AssertionConsumerServiceURL="https://sp.example/auth/complete/saml/"><saml:Issuer>https://sp.example/metadata</saml:Issuer><samlp:NameIDPolicy AllowCreate="true"/></samlp:AuthnRequest>"#);

    let address = signed.ours.address("school", request).unwrap();
    let (octets, signature) = address.split_once('?').unwrap().1.split_once("&Signature=").unwrap();
    assert!(octets.starts_with("SAMLRequest=") && octets.contains("&RelayState=") && octets.contains("&SigAlg="));
    let signature = url::form_urlencoded::parse(format!("s={signature}").as_bytes()).next().unwrap().1.into_owned();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, own.public());
    key.verify(octets.as_bytes(), &STANDARD.decode(signature).unwrap()).unwrap();
    assert_eq!(plain.ours.address("nobody", request).unwrap_err(), Refusal::UnknownIdentityProvider);
    assert_eq!(plain.ours.named(None).unwrap_err(), Refusal::NoIdentityProvider);
    assert_eq!(plain.ours.named(Some("school")).unwrap(), "school");
}

#[test]
fn metadata_tells_identity_providers_of_us() {
    let own = SigningKey::new();
    let more = format!(
        "sp_private_key = \"\"\"{}\"\"\"\nsp_public_cert = '{}'\n\
         org_info = {{ en = {{ name = 'example', displayname = 'Example & Co', url = 'https://example.com' }} }}\n\
         technical_contact = {{ givenName = 'Tech Gal', emailAddress = 'technical@example.com' }}",
        own.pem(),
        own.certificate
    );

    insta::assert_snapshot!(World::new("").ours.metadata(ACS), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sp.example/metadata"><md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://sp.example/auth/complete/saml/" index="1" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>
    "#);
    let full = World::new(&more).ours.metadata(ACS);
    assert_eq!(full.matches(&own.certificate).count(), 2, "to verify with, and to encrypt for");
    assert!(full.contains("<md:OrganizationDisplayName xml:lang=\"en\">Example &amp; Co</md:OrganizationDisplayName>"));
    assert!(full.contains("<md:EmailAddress>mailto:technical@example.com</md:EmailAddress>"));
    assert!(!full.contains("PRIVATE"));
}

#[test]
fn settings_that_cannot_work_name_their_key() {
    let own = SigningKey::new();
    let wrong = |key: &str, more: &str| ServiceProvider::new(settings(key, &own.certificate, more)).err().unwrap();

    assert_eq!(wrong("bm9uZQ==", ""), "enabled_idps.work.x509cert: not an X.509 certificate");
    let key = wrong(&own.certificate, "sp_private_key = 'c2VjcmV0'");
    assert_eq!(key, "sp_private_key: not an RSA key in PEM (PKCS#8 or PKCS#1)");
    let missing = wrong(&own.certificate, "security_config = { authnRequestsSigned = true }");
    assert_eq!(missing, "sp_private_key: not set, and `security_config` demands what needs it");
    let colon = "sp_entity_id = 'a'\n[enabled_idps.'a:b']\nentity_id = 'b'\nurl = 'https://c'\nx509cert = ''";
    let colon = ServiceProvider::new(SamlSettings::from_table(colon.parse().unwrap()).unwrap()).err().unwrap();
    assert_eq!(colon, "enabled_idps.a:b: a name is made of letters, digits, `-`, `_` and `.`");
}

fn parameter(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A server with one identity provider, whose key this is.
async fn served(engine: Engine) -> (Test, SigningKey) {
    let key = SigningKey::new();
    let mut setup = Setup::new(engine).await;
    let table = format!(
        "sp_entity_id = '{SP}'\n[enabled_idps.work]\nentity_id = '{IDP}'\nurl = 'https://idp.example/sso'\nx509cert = '{}'",
        key.certificate
    );
    let saml = setup.provider("saml");
    saml.entry = table.parse().unwrap();
    saml.enabled = Some(true);
    (setup.start().await, key)
}

async fn a_person_signs_in_by_saml(engine: Engine) {
    let (t, key) = served(engine).await;
    let (guest, stranger) = (Guest::new(&t), Guest::new(&t));
    let answer = guest.get("login/saml?idp=work").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let there = answer.header("location");
    let mut request = String::new();
    let packed = STANDARD.decode(parameter(&there, "SAMLRequest")).unwrap();
    DeflateDecoder::new(&packed[..]).read_to_string(&mut request).unwrap();
    let id = request.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap();
    let saying =
        Saying { recipient: t.url("complete/saml/"), in_response_to: id.to_owned(), now: t.clock.now(), ..good() };
    let back = |response: String| {
        let state = parameter(&there, "RelayState");
        let query = [("SAMLResponse", posted(&response)), ("RelayState", state)];
        format!("complete/saml/?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish())
    };

    assert!(stranger.get(&back(saying.signed(&key))).await.is_error_page());
    assert_eq!(t.people().await.len(), 0);
    guest.open(&back(saying.signed(&key))).await;
    let people = t.people().await;
    assert_eq!((people.len(), people[0].email.as_str()), (1, "ada@example.com"));
    // The same again: the journey is over.
    assert!(guest.get(&back(saying.signed(&key))).await.is_error_page());
}

/// A real response is longer than a query may be, and a post from another site brings no cookie of ours.
async fn a_long_response_is_posted_and_waits_for_its_browser(engine: Engine) {
    let (t, key) = served(engine).await;
    let guest = Guest::new(&t);
    let there = guest.get("login/saml?idp=work").await.header("location");
    let mut request = String::new();
    let packed = STANDARD.decode(parameter(&there, "SAMLRequest")).unwrap();
    DeflateDecoder::new(&packed[..]).read_to_string(&mut request).unwrap();
    let id = request.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap();
    let saying =
        Saying { recipient: t.url("complete/saml/"), in_response_to: id.to_owned(), now: t.clock.now(), ..good() };
    let (response, state) = (posted(&saying.signed(&key)), parameter(&there, "RelayState"));
    let long = "x".repeat(7_000);
    let form = [("SAMLResponse", response.as_str()), ("RelayState", &state), ("more", &long)];

    let kept = t.post("complete/saml/", &form).await;

    assert_eq!(kept.status, 303, "{kept:?}");
    let on = kept.header("location");
    assert!(on.contains("?posted=") && on.len() < 200, "{on}");
    assert!(Guest::new(&t).get(&on).await.is_error_page(), "another browser");
    let again = t.post("complete/saml/", &form).await.header("location");
    guest.open(&again).await;
    assert_eq!(t.people().await.len(), 1);
    assert!(guest.cookie("vestibule_session").is_some());
    // Nobody else's long posts are kept.
    let refused = t.post("complete/github/", &[("code", &long)]).await;
    assert!(refused.is_error_page(), "{refused:?}");
    let metadata = t.http.get(t.url("metadata/saml")).send().await.unwrap();
    assert_eq!(metadata.headers()["content-type"], "application/samlmetadata+xml");
    assert!(metadata.text().await.unwrap().contains(&t.url("complete/saml/")));
    assert_eq!(t.http.get(t.url("metadata/github")).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_response_is_posted_on_sqlite() {
    a_long_response_is_posted_and_waits_for_its_browser(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_response_is_posted_on_postgresql() {
    a_long_response_is_posted_and_waits_for_its_browser(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_by_saml_on_sqlite() {
    a_person_signs_in_by_saml(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_by_saml_on_postgresql() {
    a_person_signs_in_by_saml(Engine::Postgres).await;
}
