//! Test vectors of others, and what an authenticator of our own makes wrong on purpose.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AuthenticationResponse, Credential, Expected, NewCredential, RegistrationResponse, WebauthnError};

const ORIGIN: &str = "https://example.org";
const CHALLENGE: [u8; 32] = [7; 32];

fn expected(challenge: &[u8]) -> Expected<'_> {
    Expected { origin: ORIGIN, rp_id: "example.org", challenge, must_verify_user: false }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn known(new: &NewCredential) -> Credential<'_> {
    Credential { public_key: &new.public_key, sign_count: new.sign_count, is_backup_eligible: new.is_backup_eligible }
}

fn registration(client_data: &str, object: &str) -> RegistrationResponse {
    let response =
        json!({ "clientDataJSON": client_data, "attestationObject": object, "transports": ["usb", "No Word"] });
    RegistrationResponse::parse(&json!({ "type": "public-key", "id": "x", "response": response }).to_string()).unwrap()
}

fn assertion(id: &str, client_data: &str, data: &str, signature: &str) -> AuthenticationResponse {
    let response = json!({ "clientDataJSON": client_data, "authenticatorData": data, "signature": signature });
    AuthenticationResponse::parse(&json!({ "type": "public-key", "id": id, "response": response }).to_string()).unwrap()
}

#[test]
fn the_vectors_of_the_specification_and_of_another_library_are_good() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let name = &vector["name"];
        let text = |half: &str, member: &str| vector[half][member].as_str().unwrap().to_owned();
        let bytes = |half: &str, member: &str| URL_SAFE_NO_PAD.decode(text(half, member)).unwrap();

        let create = registration(&text("create", "clientDataJSON"), &text("create", "attestationObject"));
        let new = create.judge(&expected(&bytes("create", "challenge"))).unwrap();
        let get = |signature: &str| {
            assertion(&text("get", "id"), &text("get", "clientDataJSON"), &text("get", "authenticatorData"), signature)
        };
        let good = get(&text("get", "signature"));
        let challenge = bytes("get", "challenge");

        assert_eq!((&new.id, new.transports.clone()), (&bytes("get", "id"), vec!["usb".to_owned()]), "{name}");
        assert_eq!(good.credential_id().unwrap(), new.id, "{name}");
        let used = good.judge(&expected(&challenge), &known(&new)).unwrap();
        let is_of_the_specification = name == "ES256";
        assert_eq!(used.sign_count, if is_of_the_specification { 0 } else { 6 }, "{name}");
        assert_eq!((used.is_user_verified, used.is_backed_up), (!is_of_the_specification, is_of_the_specification));
        let verifying = Expected { must_verify_user: true, ..expected(&challenge) };
        assert_eq!(good.judge(&verifying, &known(&new)).is_ok(), !is_of_the_specification, "{name}");
        let mut forged = bytes("get", "signature");
        *forged.last_mut().unwrap() ^= 1;
        let refused = get(&b64(forged)).judge(&expected(&challenge), &known(&new));
        assert_eq!(refused, Err(WebauthnError::BadSignature), "{name}");
    }
}

/// An authenticator and its browser; every part of what they say can be another.
#[derive(Clone)]
struct Says {
    kind: &'static str,
    challenge: Vec<u8>,
    origin: &'static str,
    more: Value,
    rp_id: &'static str,
    flags: u8,
    count: u32,
    id: Vec<u8>,
    /// Instead of the key's own.
    key: Option<Vec<u8>>,
    behind_data: Vec<u8>,
    behind_object: Vec<u8>,
}

const UP: u8 = 1;
const UV: u8 = 4;
const BE: u8 = 8;
const BS: u8 = 16;
const AT: u8 = 64;
const ED: u8 = 128;

struct Authenticator(EcdsaKeyPair);

impl Authenticator {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn cose(&self) -> Vec<u8> {
        let point = self.0.public_key().as_ref();
        [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", &point[1..33], b"\x22\x58\x20", &point[33..]].concat()
    }

    fn client_data(says: &Says) -> Vec<u8> {
        let mut data = json!({ "type": says.kind, "challenge": b64(&says.challenge), "origin": says.origin });
        for (name, value) in says.more.as_object().unwrap() {
            data[name] = value.clone();
        }
        data.to_string().into_bytes()
    }

    fn data(&self, says: &Says) -> Vec<u8> {
        let mut data = digest(&SHA256, says.rp_id.as_bytes()).as_ref().to_vec();
        data.push(says.flags);
        data.extend(says.count.to_be_bytes());
        if says.flags & AT != 0 {
            data.extend([0; 16]);
            data.extend(u16::try_from(says.id.len()).unwrap().to_be_bytes());
            data.extend(&says.id);
            data.extend(says.key.clone().unwrap_or_else(|| self.cose()));
        }
        data.extend(&says.behind_data);
        data
    }

    fn creates(&self, says: &Says) -> RegistrationResponse {
        let data = self.data(says);
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        let object = [head.as_slice(), &length, &data, &says.behind_object].concat();
        registration(&b64(Self::client_data(says)), &b64(object))
    }

    fn gets(&self, says: &Says) -> AuthenticationResponse {
        let (client_data, data) = (Self::client_data(says), self.data(says));
        let signed = [data.as_slice(), digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
        assertion(&b64(&says.id), &b64(client_data), &b64(data), &b64(signature))
    }
}

fn creating() -> Says {
    Says {
        kind: "webauthn.create",
        challenge: CHALLENGE.to_vec(),
        origin: ORIGIN,
        more: json!({ "crossOrigin": false }),
        rp_id: "example.org",
        flags: UP | UV | AT,
        count: 10,
        id: vec![1; 32],
        key: None,
        behind_data: Vec::new(),
        behind_object: Vec::new(),
    }
}

fn getting() -> Says {
    Says { kind: "webauthn.get", flags: UP | UV, count: 11, ..creating() }
}

#[test]
fn a_new_credential_is_refused_for_everything_that_is_not_as_it_should_be() {
    use WebauthnError as E;
    let authenticator = Authenticator::new();
    let must = Expected { must_verify_user: true, ..expected(&CHALLENGE) };
    let judge = |says: &Says| authenticator.creates(says).judge(&must);
    let good = creating();
    assert!(judge(&good).is_ok());
    let extended = Says { flags: good.flags | ED, behind_data: b"\xa1\x61x\xf5".to_vec(), ..good.clone() };
    assert!(judge(&extended).is_ok(), "extensions that nobody asked for are passed over");
    let key = authenticator.cose();
    let with_key = |key: &[u8]| Says { key: Some(key.to_vec()), ..good.clone() };
    let changed = |at: usize, to: u8| {
        let mut key = key.clone();
        key[at] = to;
        with_key(&key)
    };
    let rsa = |bytes: usize, first: u8, e: &[u8]| {
        let n = [vec![first], vec![0xFF; bytes - 1]].concat();
        let length = u16::try_from(bytes).unwrap().to_be_bytes();
        let e = [&[0x21, 0x40 | u8::try_from(e.len()).unwrap()], e].concat();
        with_key(&[b"\xa4\x01\x03\x03\x39\x01\x00\x20\x59".as_slice(), &length, &n, &e].concat())
    };
    assert!(judge(&rsa(256, 0xFF, &[1, 0, 1])).is_ok());
    for (says, error, why) in [
        (Says { kind: "webauthn.get", ..good.clone() }, E::OtherType, "of another kind"),
        (Says { challenge: vec![8; 32], ..good.clone() }, E::OtherChallenge, "another challenge"),
        (Says { challenge: Vec::new(), ..good.clone() }, E::OtherChallenge, "no challenge"),
        (Says { origin: "https://example.org.evil.example", ..good.clone() }, E::OtherOrigin, "another origin"),
        (Says { origin: "http://example.org", ..good.clone() }, E::OtherOrigin, "another scheme"),
        (Says { origin: "https://example.org:8443", ..good.clone() }, E::OtherOrigin, "another port"),
        (Says { origin: "https://sub.example.org", ..good.clone() }, E::OtherOrigin, "a subdomain"),
        (Says { more: json!({ "crossOrigin": true }), ..good.clone() }, E::CrossOrigin, "in a frame"),
        (
            Says { more: json!({ "topOrigin": "https://evil.example" }), ..good.clone() },
            E::CrossOrigin,
            "under another",
        ),
        (Says { more: json!({ "crossOrigin": "no" }), ..good.clone() }, E::Malformed("clientDataJSON"), "no boolean"),
        (Says { rp_id: "evil.example", ..good.clone() }, E::OtherRelyingParty, "another RP"),
        (Says { flags: AT | UV, ..good.clone() }, E::NotPresent, "nobody there"),
        (Says { flags: AT | UP, ..good.clone() }, E::NotVerified, "not verified"),
        (
            Says { flags: AT | UP | UV | BS, ..good.clone() },
            E::Malformed("authenticatorData"),
            "backed up, not eligible",
        ),
        (Says { flags: UP | UV, ..good.clone() }, E::Malformed("attestedCredentialData"), "no credential"),
        (Says { flags: AT | UP | UV | ED, ..good.clone() }, E::Malformed("authenticatorData"), "no extensions"),
        (Says { id: Vec::new(), ..good.clone() }, E::Malformed("authenticatorData"), "no id"),
        (Says { id: vec![1; 1024], ..good.clone() }, E::Malformed("authenticatorData"), "a long id"),
        (Says { behind_data: vec![0], ..good.clone() }, E::Malformed("authenticatorData"), "a byte too many"),
        (Says { behind_object: vec![0], ..good.clone() }, E::Malformed("attestationObject"), "a byte too many"),
        (changed(2, 1), E::KeyRefused, "another type of key"),
        (changed(4, 0x27), E::KeyRefused, "another algorithm"),
        (changed(6, 2), E::KeyRefused, "another curve"),
        (changed(40, key[40] ^ 1), E::KeyRefused, "not on the curve"),
        (with_key(&key[..key.len() - 1]), E::Malformed("authenticatorData"), "a cut key"),
        (with_key(b"\x01"), E::KeyRefused, "no key"),
        (rsa(128, 0xFF, &[1, 0, 1]), E::KeyRefused, "RSA of 1024 bits"),
        (rsa(1024, 0xFF, &[1, 0, 1]), E::KeyRefused, "RSA of 8192 bits"),
        (rsa(256, 0x00, &[1, 0, 1]), E::KeyRefused, "zeros before it"),
        (rsa(256, 0xFF, &[1]), E::KeyRefused, "an exponent of one"),
        (rsa(256, 0xFF, &[2]), E::KeyRefused, "an even exponent"),
        (rsa(256, 0xFF, &[1, 0, 0, 0, 1]), E::KeyRefused, "a long exponent"),
    ] {
        assert_eq!(judge(&says), Err(error), "{why}");
    }
}

#[test]
fn a_use_is_refused_for_everything_that_is_not_as_it_should_be() {
    use WebauthnError as E;
    let (authenticator, other) = (Authenticator::new(), Authenticator::new());
    let must = Expected { must_verify_user: true, ..expected(&CHALLENGE) };
    let new = authenticator.creates(&creating()).judge(&must).unwrap();
    let judge = |says: &Says| authenticator.gets(says).judge(&must, &known(&new));
    let good = getting();
    assert_eq!(judge(&good).unwrap().sign_count, 11);
    for (says, error, why) in [
        (Says { kind: "webauthn.create", ..good.clone() }, E::OtherType, "of another kind"),
        (Says { challenge: vec![8; 32], ..good.clone() }, E::OtherChallenge, "another challenge"),
        (Says { origin: "https://evil.example", ..good.clone() }, E::OtherOrigin, "another origin"),
        (Says { more: json!({ "crossOrigin": true }), ..good.clone() }, E::CrossOrigin, "in a frame"),
        (Says { rp_id: "evil.example", ..good.clone() }, E::OtherRelyingParty, "another RP"),
        (Says { flags: UV, ..good.clone() }, E::NotPresent, "nobody there"),
        (Says { flags: UP, ..good.clone() }, E::NotVerified, "not verified"),
        (Says { flags: UP | UV | AT, ..good.clone() }, E::Malformed("authenticatorData"), "attested"),
        (Says { flags: UP | UV | BE, ..good.clone() }, E::BackupChanged, "eligible for backups now"),
        (Says { behind_data: vec![0], ..good.clone() }, E::Malformed("authenticatorData"), "a byte too many"),
        (Says { count: 10, ..good.clone() }, E::CounterWentBack, "the same count"),
        (Says { count: 9, ..good.clone() }, E::CounterWentBack, "a lower count"),
        (Says { count: 0, ..good.clone() }, E::CounterWentBack, "counts no more"),
    ] {
        assert_eq!(judge(&says), Err(error), "{why}");
    }
    assert_eq!(other.gets(&good).judge(&must, &known(&new)), Err(E::BadSignature), "another authenticator");
    let none = Credential { sign_count: 0, ..known(&new) };
    let zero = authenticator.gets(&Says { count: 0, ..good });
    assert!(zero.judge(&must, &none).is_ok(), "an authenticator that does not count");
}

#[test]
fn json_that_is_no_answer_is_refused() {
    let response =
        json!({ "clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": b64([1; 65]) });
    for (json, what) in [
        (json!([]), WebauthnError::Malformed("JSON")),
        (json!({ "type": "public-key", "id": "AA" }), WebauthnError::Malformed("JSON")),
        (json!({ "type": "password", "id": "AA", "response": response }), WebauthnError::OtherType),
    ] {
        assert_eq!(AuthenticationResponse::parse(&json.to_string()).err(), Some(what));
    }
    let read = json!({ "type": "public-key", "id": "A A", "response": response }).to_string();
    let read = AuthenticationResponse::parse(&read).unwrap();
    assert_eq!(read.credential_id(), Err(WebauthnError::Malformed("id")));
    assert_eq!(read.user_handle(), Err(WebauthnError::Malformed("userHandle")));
    let long = registration("e30", &"A".repeat(70_000));
    let answer = long.judge(&expected(&CHALLENGE));
    assert_eq!(answer, Err(WebauthnError::Malformed("clientDataJSON")), "what is wrong first is told");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Not one bit of what is signed or of the signature may be another.
    #[test]
    fn a_changed_bit_is_never_taken(at in 0_usize..37, bit in 0_u8..8) {
        let authenticator = Authenticator::new();
        let new = authenticator.creates(&creating()).judge(&expected(&CHALLENGE)).unwrap();
        let mut says = authenticator.gets(&getting());
        let mut data = URL_SAFE_NO_PAD.decode(&says.response.authenticator_data).unwrap();
        data[at] ^= 1 << bit;
        says.response.authenticator_data = b64(data);
        prop_assert!(says.judge(&expected(&CHALLENGE), &known(&new)).is_err());
    }

    /// Whatever bytes come in their places, nothing panics and nothing is taken.
    #[test]
    fn garbage_is_refused(object in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let client_data = b64(Authenticator::client_data(&creating()));
        prop_assert!(registration(&client_data, &b64(&object)).judge(&expected(&CHALLENGE)).is_err());
        let whole = Authenticator::new().creates(&creating());
        let bytes = URL_SAFE_NO_PAD.decode(&whole.response.attestation_object).unwrap();
        let part = &bytes[..cut.min(bytes.len() - 1)];
        prop_assert!(registration(&client_data, &b64(part)).judge(&expected(&CHALLENGE)).is_err());
    }
}
