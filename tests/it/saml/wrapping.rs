//! Signature wrapping (Somorovsky and others, "On Breaking SAML", 2012): a good signature is kept, and what it signs is
//! moved to where nobody looks. In each of the eight, `evil` must not come in.

use super::{World, good};
use crate::harness::saml_idp::{HERE, Saying};

/// The assertion that the attacker would like to be believed, under an id of its own.
fn evil() -> Saying {
    Saying { name_id: "evil".into(), assertion_id: "evil".into(), ..good() }
}

fn evil_assertion() -> String {
    evil().assertion().replace(HERE, "")
}

/// A good assertion with its signature; the same without it; and the signature alone.
fn assertion(world: &World) -> (String, String, String) {
    let bare = good().assertion().replace(HERE, "");
    let signature = world.key.signature(&bare, "a1", |info| info);
    (good().assertion().replace(HERE, &signature), bare, signature)
}

fn around(assertions: &str) -> String {
    good().response(assertions).replace(HERE, "")
}

#[track_caller]
fn refused(world: &World, response: &str) {
    if let Ok(who) = world.judge(response) {
        panic!("{:?} came in", who.name_id);
    }
}

#[test]
fn a_signed_response_moved_into_a_false_one() {
    let world = World::new("");
    let bare = good().response(&good().assertion()).replace(HERE, "");
    let signature = world.key.signature(&bare, "r1", |info| info);
    let evil = Saying { ..evil() }.response(&evil_assertion()).replace("ID=\"r1\"", "ID=\"evil-response\"");

    // XSW1: the signature holds the response that it signs.
    refused(
        &world,
        &evil.replace(
            HERE,
            &signature.replace("</ds:Signature>", &format!("<ds:Object>{bare}</ds:Object></ds:Signature>")),
        ),
    );
    refused(&world, &evil.replace(HERE, &signature.replace("</ds:Signature>", &format!("{bare}</ds:Signature>"))));
    // XSW2: it stands beside its signature.
    refused(&world, &evil.replace(HERE, &format!("{bare}{signature}")));
    refused(&world, &evil.replace(HERE, &format!("<samlp:Extensions>{bare}</samlp:Extensions>{signature}")));
    // And with the id of the signed one.
    let same = evil.replace("evil-response", "r1");
    refused(&world, &same.replace(HERE, &format!("{bare}{signature}")));
    refused(&world, &same.replace(HERE, &signature));
}

#[test]
fn a_false_assertion_beside_the_signed_one() {
    let world = World::new("");
    let (signed, bare, signature) = assertion(&world);
    assert!(world.judge(&around(&signed)).is_ok());

    // XSW3: before it, or after it.
    refused(&world, &around(&format!("{}{signed}", evil_assertion())));
    refused(&world, &around(&format!("{signed}{}", evil_assertion())));
    // XSW5: the false one has the signature, and the signed one lost it.
    let holder = evil().assertion().replace(HERE, &signature);
    refused(&world, &around(&format!("{holder}{bare}")));
    refused(&world, &around(&format!("{bare}{holder}")));
    // The same id twice.
    refused(&world, &around(&format!("{}{signed}", evil_assertion().replace("\"evil\"", "\"a1\""))));
    refused(&world, &around(&format!("{signed}{signed}")));
}

#[test]
fn a_signed_assertion_inside_a_false_one() {
    let world = World::new("");
    let (signed, bare, signature) = assertion(&world);

    // XSW4: the false one holds the signed one, at its end, in its advice, and in the confirmation's data.
    refused(&world, &around(&evil_assertion().replace("</saml:Assertion>", &format!("{signed}</saml:Assertion>"))));
    refused(
        &world,
        &around(
            &evil_assertion()
                .replace("<saml:AuthnStatement", &format!("<saml:Advice>{signed}</saml:Advice><saml:AuthnStatement")),
        ),
    );
    refused(
        &world,
        &around(
            &evil_assertion()
                .replace("</saml:SubjectConfirmationData>", &format!("{signed}</saml:SubjectConfirmationData>")),
        ),
    );
    // XSW6: its signature holds it; XSW8: as an object.
    for inside in [bare.clone(), format!("<ds:Object>{bare}</ds:Object>")] {
        let signature = signature.replace("</ds:Signature>", &format!("{inside}</ds:Signature>"));
        refused(&world, &around(&evil().assertion().replace(HERE, &signature)));
        refused(&world, &around(&evil().assertion().replace("\"evil\"", "\"a1\"").replace(HERE, &signature)));
    }
    // XSW7: the false one in an extension before the signed one; and the other way round.
    let extended = |one: &str, two: &str| {
        around(two).replace("<samlp:Status>", &format!("<samlp:Extensions>{one}</samlp:Extensions><samlp:Status>"))
    };
    refused(&world, &extended(&evil_assertion(), &signed));
    refused(&world, &extended(&signed, &evil_assertion()));
    refused(&world, &extended(&signed, &evil().assertion().replace(HERE, &signature)));
}

#[test]
fn a_changed_assertion_and_one_that_hides_behind_other_names() {
    let world = World::new("");
    let (signed, _, signature) = assertion(&world);

    refused(&world, &around(&signed.replace(">ada<", ">evil<")));
    refused(&world, &around(&evil().assertion().replace(HERE, &signature)));
    refused(&world, &around(&signed.replace(" ID=\"a1\"", " ID=\"evil\"")));
    refused(&world, &around(&signed.replace(" ID=\"a1\"", " x:ID=\"a1\" xmlns:x=\"urn:x\" ID=\"evil\"")));
    // Names of another namespace are no assertions and no signatures.
    refused(&world, &around(&signed.replacen("SAML:2.0:assertion", "SAML:2.0:evil", 1)));
    refused(&world, &around(&signed.replace("http://www.w3.org/2000/09/xmldsig#\">", "urn:evil\">")));
    let foreign = format!("<x:Assertion xmlns:x=\"urn:x\">{}</x:Assertion>", evil_assertion());
    refused(&world, &around(&format!("{foreign}{signed}")));
    // Two signatures in one element.
    refused(&world, &around(&signed.replace(&signature, &format!("{signature}{signature}"))));
}

#[test]
fn a_comment_does_not_change_who_it_is() {
    let world = World::new("");
    let saying = Saying { name_id: "ada@example.com.evil.example".into(), ..good() };
    let cut = saying.signed(&world.key).replace("example.com.evil", "example.com<!-- -->.evil");

    // Canonical forms have no comments, so the signature still holds: what it signs is the whole name.
    assert_eq!(world.judge(&cut).unwrap().name_id.as_deref(), Some("ada@example.com.evil.example"));
    let cut = cut.replace("<!-- -->", "<![CDATA[]]>");
    assert_eq!(world.judge(&cut).unwrap().name_id.as_deref(), Some("ada@example.com.evil.example"));
    refused(&world, &cut.replace("<![CDATA[]]>", "<b/>"));
    refused(&world, &cut.replace("<![CDATA[]]>", "<?b ?>"));
}
