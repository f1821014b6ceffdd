//! What an identity provider has to know of us, as a document (SAML Metadata §2.4.4).

use super::POST_BINDING;
use super::certificate::base64_of;
use super::settings::{Contact, SamlSettings};
use super::xml::{METADATA, PROTOCOL, SIGNATURE, escaped};

/// Our metadata, with the address that responses are posted to.
pub(super) fn document(settings: &SamlSettings, consumer_url: &str) -> String {
    let certificate = settings.sp_public_cert.as_deref().map(base64_of).filter(|text| !text.is_empty());
    let keys = match (certificate, &settings.sp_private_key) {
        (Some(certificate), Some(_)) => {
            // What `encryption` opens, the better first.
            let methods: String = [
                "http://www.w3.org/2009/xmlenc11#aes256-gcm",
                "http://www.w3.org/2009/xmlenc11#aes128-gcm",
                "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
            ]
            .map(|algorithm| format!("<md:EncryptionMethod Algorithm=\"{algorithm}\"/>"))
            .concat();
            key("signing", &certificate, "") + &key("encryption", &certificate, &methods)
        }
        _ => String::new(),
    };
    let config = &settings.security_config;
    let format = settings.sp_extra.name_id_format.as_deref();
    let format = format.map(|format| element("NameIDFormat", format)).unwrap_or_default();
    let contacts = [("technical", &settings.technical_contact), ("support", &settings.support_contact)]
        .map(|(kind, someone)| someone.as_ref().map(|someone| contact(kind, someone)).unwrap_or_default())
        .concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <md:EntityDescriptor xmlns:md=\"{METADATA}\" entityID=\"{entity_id}\">\
         <md:SPSSODescriptor AuthnRequestsSigned=\"{signed}\" WantAssertionsSigned=\"{want_signed}\" \
         protocolSupportEnumeration=\"{PROTOCOL}\">{keys}{format}\
         <md:AssertionConsumerService Binding=\"{POST_BINDING}\" Location=\"{consumer}\" index=\"1\" \
         isDefault=\"true\"/></md:SPSSODescriptor>{organization}{contacts}</md:EntityDescriptor>\n",
        entity_id = escaped(&settings.sp_entity_id),
        signed = config.authn_requests_signed,
        want_signed = config.want_assertions_signed,
        consumer = escaped(consumer_url),
        organization = organization(settings),
    )
}

fn key(r#use: &str, certificate: &str, methods: &str) -> String {
    format!(
        "<md:KeyDescriptor use=\"{use}\"><ds:KeyInfo xmlns:ds=\"{SIGNATURE}\"><ds:X509Data><ds:X509Certificate>\
         {certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{methods}</md:KeyDescriptor>",
        certificate = escaped(certificate),
    )
}

fn element(name: &str, text: &str) -> String {
    format!("<md:{name}>{}</md:{name}>", escaped(text))
}

/// All names, then all names for people, then all addresses, each once a language.
fn organization(settings: &SamlSettings) -> String {
    if settings.org_info.is_empty() {
        return String::new();
    }
    let mut members = [String::new(), String::new(), String::new()];
    for (language, about) in &settings.org_info {
        let texts = [("Name", &about.name), ("DisplayName", &about.displayname), ("URL", &about.url)];
        for (member, (name, text)) in members.iter_mut().zip(texts) {
            member.push_str(&format!(
                "<md:Organization{name} xml:lang=\"{}\">{}</md:Organization{name}>",
                escaped(language),
                escaped(text)
            ));
        }
    }
    format!("<md:Organization>{}</md:Organization>", members.concat())
}

fn contact(kind: &str, someone: &Contact) -> String {
    let address = someone.email_address.strip_prefix("mailto:").unwrap_or(&someone.email_address);
    format!(
        "<md:ContactPerson contactType=\"{kind}\">{}{}</md:ContactPerson>",
        element("GivenName", &someone.given_name),
        element("EmailAddress", &format!("mailto:{address}")),
    )
}
