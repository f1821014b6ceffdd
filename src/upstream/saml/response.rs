//! A posted response (SAML Profiles §4.1.4.3): what of it is signed, and whether that is meant for us, now, in answer to
//! this request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node};

use super::canonical::canonical;
use super::certificate::{OwnKey, VerifyingKey};
use super::encryption::decrypted;
use super::person::SignedIn;
use super::refusal::Refusal;
use super::settings::SamlSettings;
use super::signature::signed_form;
use super::xml::{self, ASSERTION, PROTOCOL};
use crate::protocol::instant;

/// Seconds by which the clocks of two machines may differ.
const SKEW: i64 = 60;
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// Who the response must be from and for.
pub(super) struct Expected<'a> {
    pub(super) settings: &'a SamlSettings,
    pub(super) own_key: Option<&'a OwnKey>,
    /// The identity provider's name in the settings, its entity id and its keys.
    pub(super) idp: &'a str,
    pub(super) entity_id: &'a str,
    pub(super) keys: &'a [VerifyingKey],
    pub(super) consumer_url: &'a str,
    /// `None`: the identity provider began, which the settings allow.
    pub(super) request_id: Option<&'a str>,
    pub(super) now: i64,
}

/// The text of a posted `SAMLResponse` (SAML Bindings §3.5.4).
pub(super) fn decoded(posted: &str) -> Result<String, Refusal> {
    if posted.len() > xml::MAX_BYTES / 3 * 4 + 4 {
        return Err(Refusal::TooLarge);
    }
    let compact: String = posted.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(compact).map_err(|_| Refusal::NotBase64)?;
    String::from_utf8(bytes).map_err(|_| Refusal::NotXml("it is not UTF-8".into()))
}

/// The issuer that a response names, which nothing proves: it only says whose keys to try.
pub(super) fn claimed_issuer(text: &str) -> Result<String, Refusal> {
    let document = response(text)?;
    let root = document.root_element();
    let named = match xml::child(root, ASSERTION, "Issuer")? {
        Some(issuer) => issuer,
        None => xml::the(xml::the(root, ASSERTION, "Assertion")?, ASSERTION, "Issuer")?,
    };
    xml::text(named, "Issuer")
}

/// Who signed in.
pub(super) fn judged(text: &str, expected: &Expected<'_>) -> Result<SignedIn, Refusal> {
    let sent = response(text)?;
    nothing_out_of_place(&sent)?;
    must_have_succeeded(sent.root_element())?;

    // From here on only what is signed is read, and what is not is only asked not to disagree.
    let signed = signed_form(sent.root_element(), expected.keys)?;
    if signed.is_none() && expected.settings.security_config.want_messages_signed {
        return Err(Refusal::PartUnsigned("Response"));
    }
    let form = signed.as_deref().map(response).transpose()?;
    let root = form.as_ref().map_or(sent.root_element(), Document::root_element);
    response_is_for_us(root, signed.is_some(), expected)?;

    let assertion = signed_assertion(sent.root_element(), root, signed.is_some(), expected)?;
    let assertion = xml::parse(&assertion)?;
    let in_signed_response = signed.is_some().then(|| root.attribute("InResponseTo")).flatten();
    assertion_is_for_us(assertion.root_element(), in_signed_response, expected)
}

fn response(text: &str) -> Result<Document<'_>, Refusal> {
    let document = xml::parse(text)?;
    let root = document.root_element();
    if xml::is(root, PROTOCOL, "Response") && root.attribute("Version") == Some("2.0") {
        Ok(document)
    } else {
        Err(Refusal::NotAResponse)
    }
}

/// One response, assertions only right below it, signatures only right below either. Whoever moves a signed element away
/// to put another in its place has to leave it somewhere, and there is nowhere.
fn nothing_out_of_place(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document.root_element();
    let below_root = |node: Node<'_, '_>| node.parent() == Some(root);
    for node in document.descendants().filter(Node::is_element) {
        let at_home = match node.tag_name().name() {
            "Response" => node == root,
            "Assertion" | "EncryptedAssertion" => below_root(node),
            "Signature" => {
                let parent = node.parent();
                parent.is_some_and(|parent| parent == root || xml::is(parent, ASSERTION, "Assertion"))
            }
            _ => true,
        };
        if !at_home {
            return Err(Refusal::OutOfPlace(match node.tag_name().name() {
                "Response" => "Response",
                "Signature" => "Signature",
                _ => "Assertion",
            }));
        }
    }
    let assertions = ["Assertion", "EncryptedAssertion"].map(|name| xml::children(root, ASSERTION, name).count());
    if assertions.iter().sum::<usize>() > 1 { Err(Refusal::Twice("Assertion")) } else { Ok(()) }
}

/// `Status` (SAML Core §3.2.2).
fn must_have_succeeded(root: Node<'_, '_>) -> Result<(), Refusal> {
    let status = xml::the(root, PROTOCOL, "Status")?;
    let code = xml::the(status, PROTOCOL, "StatusCode")?;
    let value = xml::attribute(code, "Value")?;
    if value == SUCCESS {
        return Ok(());
    }
    let second = xml::child(code, PROTOCOL, "StatusCode")?.and_then(|code| code.attribute("Value")).unwrap_or_default();
    let message = match xml::child(status, PROTOCOL, "StatusMessage")? {
        Some(message) => xml::text(message, "StatusMessage")?,
        None => String::new(),
    };
    let word = |code: &str| code.rsplit(':').next().unwrap_or_default().to_owned();
    let sentence = match (word(value).as_str(), word(second).as_str()) {
        (_, "AuthnFailed") => "the sign-in there failed",
        (_, "RequestDenied") => "it does not answer this server's requests",
        (_, "NoPassive") => "the person would have had to do something there",
        (_, "NoAuthnContext") => "it cannot sign people in by the means that this server asks for",
        (_, "InvalidNameIDPolicy") => "it cannot give the kind of name identifier that this server asks for",
        (_, "UnknownPrincipal") => "it does not know the person",
        ("Requester", _) => "it finds fault with this server's request",
        ("Responder", _) => "it has a fault of its own",
        ("VersionMismatch", _) => "it does not speak SAML 2.0",
        _ => "it does not say why",
    };
    let said: String = format!("{value} {second} {message}").chars().take(300).collect();
    Err(Refusal::Status { sentence, said })
}

fn response_is_for_us(root: Node<'_, '_>, is_signed: bool, expected: &Expected<'_>) -> Result<(), Refusal> {
    match root.attribute("Destination") {
        Some(destination) if destination == expected.consumer_url => {}
        // SAML Bindings §3.5.5.2: a signed response must say.
        None if !is_signed => {}
        _ => return Err(Refusal::OtherDestination),
    }
    if let Some(issuer) = xml::child(root, ASSERTION, "Issuer")?
        && xml::text(issuer, "Issuer")? != expected.entity_id
    {
        return Err(Refusal::OtherIssuer);
    }
    match (root.attribute("InResponseTo"), expected.request_id) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Refusal::OtherRequest),
        (Some(answered), Some(asked)) if answered == asked => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::OtherRequest),
    }
}

/// The assertion as it was signed: by itself, or as a part of the signed response.
fn signed_assertion(
    sent: Node<'_, '_>,
    root: Node<'_, '_>,
    response_is_signed: bool,
    expected: &Expected<'_>,
) -> Result<String, Refusal> {
    let config = &expected.settings.security_config;
    let unsigned = || match (response_is_signed, config.want_assertions_signed) {
        (true, false) => Ok(()),
        (true, true) => Err(Refusal::PartUnsigned("Assertion")),
        (false, _) => Err(Refusal::Unsigned),
    };
    if let Some(encrypted) = xml::child(root, ASSERTION, "EncryptedAssertion")? {
        let key = expected.own_key.ok_or(Refusal::NoDecryptionKey)?;
        let text = decrypted(encrypted, key)?;
        let document = xml::parse(&text)?;
        let assertion = document.root_element();
        if !xml::is(assertion, ASSERTION, "Assertion") {
            return Err(Refusal::Missing("Assertion"));
        }
        return match signed_form(assertion, expected.keys)? {
            Some(form) => Ok(form),
            None => unsigned().map(|()| canonical(assertion, None, &[])),
        };
    }
    let part = xml::the(root, ASSERTION, "Assertion")?;
    if config.want_assertions_encrypted {
        return Err(Refusal::NotEncrypted);
    }
    // Its own signature was made where it was sent, with the prefixes that were declared there.
    match signed_form(xml::the(sent, ASSERTION, "Assertion")?, expected.keys)? {
        Some(form) => Ok(form),
        None => unsigned().map(|()| canonical(part, None, &[])),
    }
}

fn assertion_is_for_us(
    assertion: Node<'_, '_>,
    in_signed_response: Option<&str>,
    expected: &Expected<'_>,
) -> Result<SignedIn, Refusal> {
    let now = expected.now;
    if assertion.attribute("Version") != Some("2.0") {
        return Err(Refusal::NotAResponse);
    }
    if xml::text(xml::the(assertion, ASSERTION, "Issuer")?, "Issuer")? != expected.entity_id {
        return Err(Refusal::OtherIssuer);
    }
    if instant_of(assertion, "IssueInstant")?.ok_or(Refusal::Missing("IssueInstant"))? > now + SKEW {
        return Err(Refusal::TooEarly);
    }
    conditions_hold(xml::the(assertion, ASSERTION, "Conditions")?, expected)?;

    let subject = xml::the(assertion, ASSERTION, "Subject")?;
    let name_id = match xml::child(subject, ASSERTION, "NameID")? {
        Some(name_id) => Some(xml::text(name_id, "NameID")?).filter(|text| !text.is_empty()),
        None => None,
    };
    if name_id.is_none() && expected.settings.security_config.want_name_id {
        return Err(Refusal::Missing("NameID"));
    }
    let presentable_until = bearer_until(subject, in_signed_response, expected)?;

    let mut session = (None, None);
    let mut classes = Vec::new();
    let mut statements = 0;
    for statement in xml::children(assertion, ASSERTION, "AuthnStatement") {
        statements += 1;
        let ends = instant_of(statement, "SessionNotOnOrAfter")?;
        if ends.is_some_and(|ends| ends <= now - SKEW) {
            return Err(Refusal::Expired);
        }
        session = (statement.attribute("SessionIndex").map(str::to_owned).or(session.0), ends.or(session.1));
        if let Some(context) = xml::child(statement, ASSERTION, "AuthnContext")?
            && let Some(class) = xml::child(context, ASSERTION, "AuthnContextClassRef")?
        {
            classes.push(xml::text(class, "AuthnContextClassRef")?);
        }
    }
    if statements == 0 {
        return Err(Refusal::Missing("AuthnStatement"));
    }
    let asked = &expected.settings.security_config.requested_authn_context;
    if !asked.is_empty() && !classes.iter().any(|class| asked.contains(class)) {
        return Err(Refusal::OtherContext);
    }
    Ok(SignedIn {
        idp: expected.idp.to_owned(),
        issuer: expected.entity_id.to_owned(),
        name_id,
        attributes: attributes(assertion)?,
        session_index: session.0,
        assertion_id: xml::attribute(assertion, "ID")?.to_owned(),
        presentable_until: presentable_until.saturating_add(SKEW),
        session_expires_at: session.1,
    })
}

/// `Conditions` (SAML Core §2.5). One that is not known must not be taken for met.
fn conditions_hold(conditions: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), Refusal> {
    if instant_of(conditions, "NotBefore")?.is_some_and(|from| from > expected.now + SKEW) {
        return Err(Refusal::TooEarly);
    }
    if instant_of(conditions, "NotOnOrAfter")?.is_some_and(|until| until <= expected.now - SKEW) {
        return Err(Refusal::Expired);
    }
    let mut restrictions = 0;
    for condition in conditions.children().filter(Node::is_element) {
        if xml::is(condition, ASSERTION, "AudienceRestriction") {
            restrictions += 1;
            let mut is_ours = false;
            for audience in xml::children(condition, ASSERTION, "Audience") {
                is_ours |= xml::text(audience, "Audience")? == expected.settings.sp_entity_id;
            }
            if !is_ours {
                return Err(Refusal::OtherAudience);
            }
        // Each assertion is used once anyway, and we make no further ones of it.
        } else if !xml::is(condition, ASSERTION, "OneTimeUse") && !xml::is(condition, ASSERTION, "ProxyRestriction") {
            return Err(Refusal::UnknownCondition);
        }
    }
    // Required of an assertion that a bearer brings (SAML Profiles §4.1.4.2).
    if restrictions == 0 { Err(Refusal::Missing("AudienceRestriction")) } else { Ok(()) }
}

/// Until when whoever brings the assertion counts as its subject. Of several confirmations one must hold; if none does,
/// the first one says why.
fn bearer_until(
    subject: Node<'_, '_>,
    in_signed_response: Option<&str>,
    expected: &Expected<'_>,
) -> Result<i64, Refusal> {
    let mut why = Refusal::NotBearer;
    for confirmation in xml::children(subject, ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method") != Some(BEARER) {
            continue;
        }
        let Some(data) = xml::child(confirmation, ASSERTION, "SubjectConfirmationData")? else { continue };
        match confirmed(data, in_signed_response, expected) {
            Ok(until) => return Ok(until),
            Err(reason) if why == Refusal::NotBearer => why = reason,
            Err(_) => {}
        }
    }
    Err(why)
}

fn confirmed(data: Node<'_, '_>, in_signed_response: Option<&str>, expected: &Expected<'_>) -> Result<i64, Refusal> {
    if xml::attribute(data, "Recipient")? != expected.consumer_url {
        return Err(Refusal::OtherDestination);
    }
    let until = instant_of(data, "NotOnOrAfter")?.ok_or(Refusal::Missing("NotOnOrAfter"))?;
    if until <= expected.now - SKEW {
        return Err(Refusal::Expired);
    }
    if instant_of(data, "NotBefore")?.is_some_and(|from| from > expected.now + SKEW) {
        return Err(Refusal::TooEarly);
    }
    match (data.attribute("InResponseTo").or(in_signed_response), expected.request_id) {
        (Some(answered), Some(asked)) if answered == asked => Ok(until),
        (None, None) => Ok(until),
        (None, Some(_)) => Err(Refusal::Unsolicited),
        (Some(_), _) => Err(Refusal::OtherRequest),
    }
}

fn attributes(assertion: Node<'_, '_>) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for statement in xml::children(assertion, ASSERTION, "AttributeStatement") {
        for attribute in xml::children(statement, ASSERTION, "Attribute") {
            let values = all.entry(xml::attribute(attribute, "Name")?.to_owned()).or_default();
            for value in xml::children(attribute, ASSERTION, "AttributeValue") {
                // eduPersonTargetedID holds a `NameID`; any other structure is nothing that we could use.
                let held = xml::child(value, ASSERTION, "NameID")?.unwrap_or(value);
                if let Ok(text) = xml::text(held, "AttributeValue") {
                    values.push(text);
                }
            }
        }
    }
    Ok(all)
}

fn instant_of(node: Node<'_, '_>, name: &'static str) -> Result<Option<i64>, Refusal> {
    node.attribute(name).map(|text| instant::read(text).ok_or(Refusal::NotAnInstant(name))).transpose()
}
