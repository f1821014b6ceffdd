use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const RETURN_TO: &str = "https://us.example/complete/openid/?redirect_state=abc";
const NOW: i64 = 1_116_177_111;

#[test]
fn what_people_type_is_an_address() {
    // OpenID 2.0 appendix A.1, as `Url` writes them.
    for (typed, meant) in [
        ("example.com", "http://example.com/"),
        ("http://example.com", "http://example.com/"),
        ("https://example.com/", "https://example.com/"),
        ("http://example.com/user", "http://example.com/user"),
        ("http://example.com/user/", "http://example.com/user/"),
        (" HTTP://EXAMPLE.com/a#frag ", "http://example.com/a"),
        ("example.com:8080/a", "http://example.com:8080/a"),
    ] {
        assert_eq!(normalized(typed).map(String::from).as_deref(), Some(meant), "{typed}");
    }
    for typed in ["", "=example", "xri://=example", "@x", "(=x)", "http://a:b@example.com/", "http://"] {
        assert_eq!(normalized(typed), None, "{typed}");
    }
}

fn service(endpoint: &str, target: Target) -> Service {
    Service { endpoint: endpoint.into(), target }
}

#[test]
fn xrds_says_who_answers() {
    let text = r#"<?xml version="1.0"?><xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)">
      <XRD><Service><Type>http://specs.openid.net/auth/2.0/server</Type><URI>https://old.example/</URI></Service></XRD>
      <XRD>
        <Service priority="20"><Type>http://specs.openid.net/auth/2.0/signon</Type><URI>https://b.example/</URI><LocalID>https://b.example/ada</LocalID></Service>
        <Service priority="10"><Type>http://specs.openid.net/auth/2.0/signon</Type><URI priority="9">https://a2.example/</URI><URI priority="1">https://a1.example/</URI></Service>
        <Service priority="0"><Type>http://openid.net/signon/1.1</Type><URI>https://one.example/</URI></Service>
        <Service priority="30"><Type>http://specs.openid.net/auth/2.0/server</Type><URI>https://op.example/</URI></Service>
      </XRD></xrds:XRDS>"#;
    let claimed = |local: Option<&str>| Target::Claimed { local_id: local.map(str::to_owned) };

    assert_eq!(
        read(text),
        Document::Services(vec![
            service("https://op.example/", Target::Anybody),
            service("https://a1.example/", claimed(None)),
            service("https://a2.example/", claimed(None)),
            service("https://b.example/", claimed(Some("https://b.example/ada"))),
        ])
    );
}

#[test]
fn the_head_of_a_page_says_who_answers_and_nothing_else_of_it() {
    let head = "<!doctype html><HTML><head><!-- <link rel=openid2.provider href=https://comment.example> -->\
        <title><link rel='openid2.provider' href='https://title.example'></title>\
        <script>'<link rel=\"openid2.provider\" href=\"https://script.example\">'</script>\
        <LINK href='https://op.example/?a=1&amp;b=2' REL=\"openid.server OpenID2.Provider\"/>\
        <link rel=openid2.local_id href=https://op.example/ada></head>";
    let body = "<body><link rel='openid2.provider' href='https://visitor.example'></body>";
    let found =
        service("https://op.example/?a=1&b=2", Target::Claimed { local_id: Some("https://op.example/ada".into()) });

    assert_eq!(read(&format!("{head}{body}")), Document::Services(vec![found]));
    assert_eq!(read(body), Document::Services(vec![]));
    let meta = "<head><meta http-equiv=\"X-XRDS-Location\" content=\"https://x.example/xrds\"></head>";
    assert_eq!(read(meta), Document::Elsewhere("https://x.example/xrds".into()));
    for broken in [
        "<",
        "<link",
        "<link rel=",
        "<link rel='a",
        "<link =",
        "<!--",
        "<script>",
        "</",
        "<é",
        "<link rel=openid2.provider>",
    ] {
        assert_eq!(read(broken), Document::Services(vec![]), "{broken}");
    }
}

fn answer(change: impl Fn(&mut BTreeMap<String, String>)) -> Params {
    let mut all: BTreeMap<String, String> = [
        ("redirect_state", "abc"),
        ("openid.ns", NAMESPACE),
        ("openid.mode", "id_res"),
        ("openid.op_endpoint", "https://op.example/"),
        ("openid.claimed_id", "https://op.example/ada#2"),
        ("openid.identity", "https://op.example/ada"),
        ("openid.return_to", RETURN_TO),
        ("openid.response_nonce", "2005-05-15T17:11:51ZUNIQUE"),
        ("openid.assoc_handle", "h"),
        ("openid.sig", "s"),
        ("openid.ns.r", "http://openid.net/extensions/sreg/1.1"),
        ("openid.r.email", "ada@example.com"),
        ("openid.r.nickname", "unsigned"),
        ("openid.ns.x", "http://openid.net/srv/ax/1.0"),
        ("openid.x.type.m", "urn:mail"),
        ("openid.x.count.m", "1"),
        ("openid.x.value.m.1", "ada@example.org"),
        ("openid.x.type.n", "urn:name"),
        ("openid.x.value.n", "Mallory"),
        ("openid.signed", "op_endpoint,claimed_id,identity,return_to,response_nonce,assoc_handle,ns.r,r.email,ns.x,x.type.m,x.value.m.1,x.value.n"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    change(&mut all);
    Params::from_pairs(all).unwrap()
}

fn judged(params: &Params) -> Result<(), Wrong> {
    Assertion::read(params, RETURN_TO, NOW, 300).map(|_| ())
}

#[test]
fn only_what_was_signed_is_believed() {
    let params = answer(|_| {});
    let attributes =
        [("mail", "urn:mail"), ("name", "urn:name")].map(|(name, kind)| (name.to_owned(), kind.to_owned())).into();
    let registration = ["email".to_owned(), "nickname".to_owned()];
    let wanted = Wanted { attributes: &attributes, registration: &registration };
    let claims =
        Assertion::read(&params, RETURN_TO, NOW, 300).ok().map(|assertion| Value::Object(assertion.claims(wanted)));

    // The name's type is not signed, so nobody says that it is a name.
    assert_eq!(
        claims,
        Some(json!({
            "identity": "https://op.example/ada#2", "endpoint": "https://op.example/",
            "attributes": {"mail": "ada@example.org"}, "registration": {"email": "ada@example.com"},
        }))
    );
    let undeclared = answer(|all| {
        let signed = all.get_mut("openid.signed").unwrap();
        *signed = signed.replace("ns.r,", "");
    });
    let claims = Assertion::read(&undeclared, RETURN_TO, NOW, 300).ok().map(|assertion| assertion.claims(wanted));
    assert_eq!(claims.and_then(|claims| claims.get("registration").cloned()), Some(json!({})));
}

#[test]
fn an_answer_is_for_us_and_of_now_and_signed() {
    assert_eq!(judged(&answer(|_| {})), Ok(()));
    for name in ["op_endpoint", "claimed_id", "identity", "return_to", "response_nonce", "assoc_handle"] {
        let gone = answer(|all| drop(all.remove(&format!("openid.{name}"))));
        assert_eq!(judged(&gone), Err(Wrong::Missing(name)));
        let unsigned = answer(|all| {
            let signed = all.get_mut("openid.signed").unwrap();
            *signed = signed.split(',').filter(|one| *one != name).collect::<Vec<_>>().join(",");
        });
        assert_eq!(judged(&unsigned), Err(Wrong::Unsigned(name)));
    }
    let set = |name: &'static str, value: &'static str| answer(move |all| drop(all.insert(name.into(), value.into())));
    assert_eq!(judged(&set("openid.mode", "cancel")), Err(Wrong::NotAnAssertion));
    assert_eq!(judged(&set("openid.ns", "http://openid.net/signon/1.1")), Err(Wrong::NotAnAssertion));
    assert_eq!(judged(&set("openid.return_to", "https://evil.example/")), Err(Wrong::OtherAddress));
    assert_eq!(judged(&set("redirect_state", "other")), Err(Wrong::OtherAddress));
    for nonce in [
        "2005-05-15T17:06:50Z",
        "2005-05-15T17:16:52Zx",
        "2005-05-15 17:11:51Z",
        "2005-13-15T17:11:51Z",
        "+005-05-15T17:11:51Z",
        "",
        "ü",
    ] {
        assert_eq!(judged(&set("openid.response_nonce", nonce)), Err(Wrong::NotOfNow), "{nonce}");
    }
}

#[test]
fn a_nonces_time_is_read() {
    for (nonce, at) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Zx", 951_825_600),
        ("2005-05-15T17:11:51ZUNIQUE", NOW),
        ("2026-11-24T16:00:00Z", 1_795_536_000),
    ] {
        assert_eq!(nonce_time(nonce), Some(at), "{nonce}");
    }
}

#[test]
fn a_question_is_the_answer_again_and_yes_is_one_word() {
    let params = answer(|_| {});
    let question = Assertion::read(&params, RETURN_TO, NOW, 300).ok().map(|assertion| assertion.question()).unwrap();

    assert!(question.contains(&("openid.mode".into(), "check_authentication".into())));
    assert!(
        question.contains(&("openid.sig".into(), "s".into()))
            && !question.iter().any(|(name, _)| name == "redirect_state")
    );
    assert!(is_valid("ns:http://specs.openid.net/auth/2.0\nis_valid:true\n"));
    for no in
        ["", "is_valid:false", "is_valid:true\nis_valid:false", "is_valid:TRUE", "x is_valid:true", "is_valid: true"]
    {
        assert!(!is_valid(no), "{no}");
    }
}
